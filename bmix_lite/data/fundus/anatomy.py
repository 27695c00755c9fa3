"""A drawn retina without vessels: where things lie, tone, macula, disc. No eye was measured.

Lengths are degrees of visual angle; a degree is about 0.29 mm of retina. x points to the nose,
y down, the fovea is at 0. Positions are float64; pixels are float32 and meet only operations that
every machine rounds alike (+ - * / sqrt).
"""

from dataclasses import dataclass

import numpy as np

# centre of the optic disc: the blind spot lies 15.5 degrees off, the fovea a little lower
DISC = np.array((15.5, -1.5))
DISC_RADII = (3.0, 3.3)  # 1.76 x 1.92 mm, Quigley et al., Ophthalmology 97, 1990
HALF_FIELD = 22.5  # of the 45 degree cameras used in screening
# colours: red, green, blue
RIM = (1.0, 0.72, 0.36)
CUP = (1.0, 0.86, 0.55)


@dataclass(frozen=True)
class Eyes:
    """B eyes in pictures of size x size pixels, rows alternate between right and left eyes."""

    size: int
    centre: np.ndarray  # (B, 2) of the field of view, in pixels
    radius: np.ndarray  # (B,) of the field of view, in pixels
    gaze: np.ndarray  # (B, 2) what lies in the middle of the field
    scale: np.ndarray  # (B,) pixels per degree
    side: np.ndarray  # (B,) 1 for a right eye, -1 for a left one
    disc: np.ndarray  # (B, 2)

    def axes(self):
        """x (B, 1, size) and y (B, size, 1) of the pixels."""
        pixels = (np.arange(self.size) - self.centre[:, :, None]) / self.scale[:, None, None]
        x = pixels[:, None, 0] * self.side[:, None, None] + self.gaze[:, :1, None]
        y = pixels[:, 1, :, None] + self.gaze[:, 1:, None]
        return x.astype(np.float32), y.astype(np.float32)

    def pour(self, eye, x, y, ink):
        """Layer (B, size, size), 0 to 1: each point leaves its ink on the four nearest pixels.

        ink: in square degrees; where it overflows, it is opaque. All drawing is this: a vessel is
        a row of points, a lesion a cloud of them.
        """
        wide = self.size + 3  # a margin takes what lies outside
        eye, x, y, ink = np.broadcast_arrays(eye, x, y, ink)
        scale = self.scale[eye]
        column = (x - self.gaze[eye, 0]) * (scale * self.side[eye]) + self.centre[eye, 0]
        row = (y - self.gaze[eye, 1]) * scale + self.centre[eye, 1]
        column = np.clip(column, -1, self.size) + 1
        row = np.clip(row, -1, self.size) + 1
        left = column.astype(np.int64)
        top = row.astype(np.int64)
        right = column - left
        below = row - top
        ink = ink * scale**2
        lower = ink * below
        upper = ink * (1 - below)
        first = (eye * wide + top) * wide + left
        pixels = np.stack([first, first + 1, first + wide, first + wide + 1])
        shares = np.stack([upper * (1 - right), upper * right, lower * (1 - right), lower * right])
        layer = np.bincount(pixels.ravel(), shares.ravel(), len(self.side) * wide**2)
        layer = layer.reshape(-1, wide, wide)[:, 1 : 1 + self.size, 1 : 1 + self.size]
        return np.minimum(layer, 1).astype(np.float32)


def place_eyes(rng, count, size):
    """`count` eyes, an even number: the two of a patient are seen by one camera and look alike."""
    pair = np.arange(count) // 2
    radius = size * rng.uniform(0.46, 0.52, count // 2)[pair]
    half_field = HALF_FIELD * rng.uniform(0.9, 1.1, count // 2)[pair]
    gaze = rng.normal((3.5, 0), (1.5, 1.2), (count, 2))
    centre = (size - 1) / 2 + size * rng.normal(0, 0.008, (count, 2))
    disc = DISC + rng.normal(0, 0.6, (count // 2, 2))[pair] + rng.normal(0, 0.3, (count, 2))
    side = 1.0 - 2 * (np.arange(count) % 2)
    return Eyes(size, centre, radius, gaze, radius / half_field, side, disc)


def paint_background(rng, eyes):
    """Pictures (B, 3, size, size) of a fundus without vessels: tone, macula, disc and cup."""
    count = len(eyes.side)
    pair = np.arange(count) // 2
    light, hue = rng.uniform(0, 1, (2, count // 2, 1))[:, pair]
    # from the brownish red of a highly pigmented eye to the light orange of a fair one
    tone = (
        np.array((0.58, 0.22, 0.08))
        + light * np.array((0.34, 0.24, 0.12))
        + (hue - 0.5) * np.array((0, 0.1, 0.06))
    )
    x, y = eyes.axes()
    shade = 1 + _mottle(rng, count, eyes.size)
    for width, depth in ((1.4, 0.24), (5.0, 0.22)):  # foveola and macula
        shade *= 1 - np.float32(depth) * _bell(x, width) * _bell(y, width)
    picture = tone.astype(np.float32)[:, :, None, None] * shade[:, None]
    _paint_disc(rng, eyes, picture, x, y)
    return picture


def _paint_disc(rng, eyes, picture, x, y):
    """Lay the optic disc and its cup over the picture, in place; the eyes of a pair are alike."""
    pairs = len(eyes.side) // 2
    across = x - eyes.disc[:, 0, None, None].astype(np.float32)
    down = y - eyes.disc[:, 1, None, None].astype(np.float32)
    oval = np.sqrt((across / DISC_RADII[0]) ** 2 + (down / DISC_RADII[1]) ** 2)
    # a rim is never sharper than a pixel
    blur = (0.12 + 0.3 / eyes.scale)[:, None, None].astype(np.float32)
    # the cup-to-disc ratio of healthy eyes
    cup = np.repeat(rng.uniform(0.3, 0.6, (pairs, 1, 1)), 2, axis=0).astype(np.float32)
    lay(picture, 0.82 * ramp((1 - oval) / blur), RIM)
    lay(picture, 0.75 * ramp((cup - oval) / (blur + np.float32(0.1))), CUP)


def flatten(*values):
    """Arrays that broadcast, as flat ones of equal length: points, to be joined and poured."""
    return [value.ravel() for value in np.broadcast_arrays(*values)]


def join(points):
    """Lists of flat arrays, one list per kind of vessel or lesion, as one list of longer ones."""
    return [np.concatenate(parts) for parts in zip(*points, strict=True)]


def _mottle(rng, count, size):
    """Slow irregular shading, (count, size, size)."""
    spread = np.exp(-(((np.arange(size)[:, None] / (size - 1) - np.linspace(0, 1, 12)) * 14) ** 2))
    return (spread @ rng.normal(0, 0.025, (count, 12, 12)) @ spread.T).astype(np.float32)


def _bell(axis, width):
    return np.exp(-0.5 * (axis.astype(np.float64) / width) ** 2).astype(np.float32)


def ramp(distance):
    """From 0 to 1 while the distance grows from -0.5 to 0.5."""
    return np.clip(distance + np.float32(0.5), 0, 1)


def lay(picture, layer, colour):
    """Lay a colour over the picture (B, 3, size, size), in place, where the layer is opaque.

    layer (B, size, size): 0 to 1
    """
    for k, value in enumerate(colour):
        picture[:, k] += layer * (np.float32(value) - picture[:, k])


def take(picture, layer, shares):
    """Take shares of red, green and blue away, in place, where the layer is opaque."""
    for k, share in enumerate(shares):
        picture[:, k] *= 1 - np.float32(share) * layer
