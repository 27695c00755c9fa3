"""The healthy part of a drawn retina: where things lie, their colours, the vessels. A drawing, no eye was measured.

Lengths are degrees of visual angle; a degree is about 0.29 mm of retina. x points to the nose, y down, the fovea is 0.
Places are float64; pixels are float32 and meet only operations that every machine rounds alike (+ - * / sqrt).
"""

from dataclasses import dataclass

import numpy as np

DISC = np.array(
    (15.5, -1.5)
)  # centre of the optic disc: the blind spot lies 15.5 degrees off, fovea a little lower
DISC_RADII = (3.0, 3.3)  # 1.76 x 1.92 mm, Quigley et al., Ophthalmology 97, 1990
HALF_FIELD = 22.5  # of the 45 degree cameras used in screening
VEIN, ARTERY = (
    0.62,
    0.42,
)  # width at the disc: 0.13 and 0.09 mm, drawn 1.4 times as wide to last at 64 pixels
AVASCULAR = 1.5  # nothing but capillaries nearer to the fovea

# temporal and nasal arcades, cubic Bezier curves from the disc: steps to the nose and away from the horizontal
TEMPORAL = ((0, 0.5), (-0.5, 8), (-12, 13), (-32, 4.5))
NASAL = ((0.7, 0.3), (3, 4), (6, 7), (12, 15))
JITTER = np.array((0.5, 0.8, 1.2, 2.0))  # of these four points, from eye to eye
BRANCHES = ((6, 0.3), (3, 0.45))  # of a vessel, and their length in its own: branches, and theirs

# what is laid over (colour) and what is taken away (share of red, green, blue)
RIM, CUP = (1.0, 0.72, 0.36), (1.0, 0.86, 0.55)
VESSEL = (0.35, 0.6, 0.5)


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
        """Layer (B, size, size), 0 to 1: each point leaves its ink, in square degrees, on the four nearest pixels.

        All drawing is this: a vessel is a row of points, a lesion a cloud of them; where ink overflows, it is opaque.
        """
        wide = self.size + 3  # a margin takes what lies outside
        eye, x, y, ink = np.broadcast_arrays(eye, x, y, ink)
        scale = self.scale[eye]
        column = (x - self.gaze[eye, 0]) * (scale * self.side[eye]) + self.centre[eye, 0]
        row = (y - self.gaze[eye, 1]) * scale + self.centre[eye, 1]
        column, row = np.clip(column, -1, self.size) + 1, np.clip(row, -1, self.size) + 1
        left, top = column.astype(np.int64), row.astype(np.int64)
        first, ink, right, below = (
            (eye * wide + top) * wide + left,
            ink * scale**2,
            column - left,
            row - top,
        )
        lower, upper = ink * below, ink * (1 - below)
        pixels = np.stack([first, first + 1, first + wide, first + wide + 1])
        shares = np.stack([upper * (1 - right), upper * right, lower * (1 - right), lower * right])
        layer = np.bincount(pixels.ravel(), shares.ravel(), len(self.side) * wide**2).reshape(
            -1, wide, wide
        )
        return np.minimum(layer[:, 1 : 1 + self.size, 1 : 1 + self.size], 1).astype(np.float32)


def place_eyes(rng, count, size):
    """`count` eyes, an even number: the two of a patient are seen by one camera, and are much alike."""
    pair = np.arange(count) // 2
    radius = size * rng.uniform(0.46, 0.52, count // 2)[pair]
    half_field = HALF_FIELD * rng.uniform(0.9, 1.1, count // 2)[pair]
    gaze = rng.normal((3.5, 0), (1.5, 1.2), (count, 2))
    centre = (size - 1) / 2 + size * rng.normal(0, 0.008, (count, 2))
    disc = DISC + rng.normal(0, 0.6, (count // 2, 2))[pair] + rng.normal(0, 0.3, (count, 2))
    return Eyes(
        size, centre, radius, gaze, radius / half_field, 1.0 - 2 * (np.arange(count) % 2), disc
    )


def paint_background(rng, eyes):
    """Pictures (B, 3, size, size) of a fundus without vessels: tone, macula, disc and cup."""
    count, size = len(eyes.side), eyes.size
    pair = np.arange(count) // 2
    light, hue = rng.uniform(0, 1, (2, count // 2, 1))[:, pair]
    # from the brownish red of a much pigmented eye to the light orange of a fair one
    tone = (
        np.array((0.58, 0.22, 0.08))
        + light * np.array((0.34, 0.24, 0.12))
        + (hue - 0.5) * np.array((0, 0.1, 0.06))
    )
    x, y = eyes.axes()
    shade = 1 + _mottle(rng, count, size)
    for width, depth in ((1.4, 0.24), (5.0, 0.22)):  # foveola and macula
        shade *= 1 - np.float32(depth) * _bell(x, width) * _bell(y, width)
    picture = tone.astype(np.float32)[:, :, None, None] * shade[:, None]
    across, down = (
        (axis - eyes.disc[:, k, None, None].astype(np.float32)) for k, axis in enumerate((x, y))
    )
    oval = np.sqrt((across / DISC_RADII[0]) ** 2 + (down / DISC_RADII[1]) ** 2)
    blur = (0.12 + 0.3 / eyes.scale)[:, None, None].astype(
        np.float32
    )  # a rim is never sharper than a pixel
    cup = rng.uniform(0.3, 0.6, (count // 2, 1, 1))[pair].astype(
        np.float32
    )  # cup-to-disc ratio of healthy eyes
    lay(picture, 0.82 * ramp((1 - oval) / blur), RIM)
    lay(picture, 0.75 * ramp((cup - oval) / (blur + np.float32(0.1))), CUP)
    return picture


def draw_vessels(rng, eyes, beading):
    """Layer (B, size, size) of arteries and veins, and the courses (B, 8, 2, T) of the arcades.

    beading (B,): how much the width of the veins changes along them, a sign of severe retinopathy.
    """
    count, steps = len(eyes.side), int(1.7 * eyes.size)
    up, nose = np.array((0, -1.0)), np.array((1.0, 0))
    shapes = [(shape, way * up) for shape in (TEMPORAL, NASAL) for way in (1, -1)]
    controls = np.array(
        [[a * nose + b * way for a, b in shape] for shape, way in shapes for _ in range(2)]
    )
    controls = (
        np.swapaxes(controls, 1, 2)
        + rng.normal(0, 1, (count, 8, 2, 4)) * JITTER
        + eyes.disc[:, None, :, None]
    )
    vein = np.tile((False, True), 4)
    opacity = np.broadcast_to(np.where(vein, 1.0, 0.65), (count, 8))
    width = np.where(vein, VEIN, ARTERY) * rng.uniform(0.85, 1.15, (count, 8))
    main = course = _bend(rng, controls, steps)
    swell = (beading[:, None] * vein)[:, :, None] * (0.4 + np.sin(np.linspace(0, 80, steps - 1)))
    pools = [_trace(eyes, course, width, opacity, 1 + swell)]
    for number, share in BRANCHES:
        at = (np.arange(number) + rng.uniform(0.2, 1, (count, course.shape[1], number))) / (
            number + 0.5
        )
        turn = rng.uniform(0.4, 0.9, at.shape) * np.where(np.arange(number) % 2, 1, -1)
        chord = np.linalg.norm(course[..., -1] - course[..., 0], axis=2)[..., None]
        controls = _fork(rng, course, at, share * chord * rng.uniform(0.5, 1.4, at.shape), turn)
        steps = int(steps * share)
        course = _bend(rng, controls, steps)
        width = (width[:, :, None] * (0.68 - 0.2 * at)).reshape(count, -1)
        opacity = np.repeat(opacity, number, axis=1)
        pools.append(_trace(eyes, course, width, opacity))
    return eyes.pour(*(np.concatenate(parts) for parts in zip(*pools, strict=True))), main


def _bend(rng, controls, steps):
    """Courses (B, K, 2, steps) of cubic Bezier curves with controls (B, K, 2, 4), a little winding."""
    t = np.linspace(0, 1, steps)
    waves = [wave(pace * t) * t * (1 - t) for pace in (9, 21) for wave in (np.sin, np.cos)]
    basis = np.stack([(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3, *waves])
    chord = np.linalg.norm(controls[..., 3] - controls[..., 0], axis=-1)[..., None, None]
    sway = rng.normal(0, 1, controls.shape) * chord * np.array((0.1, 0.1, 0.04, 0.04))
    return np.concatenate([controls, sway], axis=-1) @ basis


def _fork(rng, course, at, length, turn):
    """Controls (B, K * J, 2, 4) of branches that leave at the shares `at` (B, K, J) and bend back a little."""
    here = (at * (course.shape[-1] - 2)).astype(int)[:, :, None]
    start, after = (np.take_along_axis(course, here + step, axis=3) for step in (0, 1))
    ahead = after - start  # (B, K, 2, J)
    ahead = np.arctan2(ahead[:, :, 1], ahead[:, :, 0])
    angles = [
        ahead + turn,
        ahead + 0.55 * turn,
        ahead + 0.2 * turn + rng.normal(0, 0.3, turn.shape),
    ]
    moves = [
        length[:, :, None] / 3 * np.stack([np.cos(angle), np.sin(angle)], axis=2)
        for angle in angles
    ]
    controls = np.cumsum([start, *moves], axis=0)  # (4, B, K, 2, J)
    return controls.transpose(1, 2, 4, 3, 0).reshape(len(course), -1, 2, 4)


def _trace(eyes, course, width, opacity, beads=1.0):
    """Points for `pour` along courses (B, K, 2, T): as many side by side as the widest healthy vessel has pixels."""
    along = course[..., 1:] - course[..., :-1]
    length = np.sqrt((along**2).sum(axis=2))  # (B, K, T - 1)
    x, y = np.moveaxis((course[..., 1:] + course[..., :-1]) / 2, 2, 0)
    clear = np.clip(np.sqrt(x**2 + y**2) / AVASCULAR - 1, 0, 1)
    taper = width[:, :, None] * np.linspace(1, 0.45, length.shape[2])
    strands = int(np.ceil(taper.max() * eyes.scale.max()))
    taper = taper * beads
    lie = ((np.arange(strands) + 0.5) / strands - 0.5) * (taper / length)[..., None]
    ink = (clear * opacity[:, :, None] * taper * length / strands)[..., None]
    eye = np.arange(len(course))[:, None, None, None]
    return flatten(
        eye,
        x[..., None] - lie * along[:, :, 1, :, None],
        y[..., None] + lie * along[:, :, 0, :, None],
        ink,
    )


def flatten(*values):
    """Arrays that fit together as flat ones of equal length: points, which can be joined and poured."""
    return [value.ravel() for value in np.broadcast_arrays(*values)]


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
    """Lay a colour over the picture (B, 3, size, size), in place, where the layer (B, size, size) is opaque."""
    for k, value in enumerate(colour):
        picture[:, k] += layer * (np.float32(value) - picture[:, k])


def take(picture, layer, shares):
    """Take shares of red, green and blue away, in place, where the layer (B, size, size) is opaque."""
    for k, share in enumerate(shares):
        picture[:, k] *= 1 - np.float32(share) * layer
