"""Imbalanced toys in the plane. To the kit a point is an image of one pixel with two channels, x and y."""

import numpy as np

from bmix_lite.base.errors import require, require_choice
from bmix_lite.base.randomness import derive_seed
from bmix_lite.data.imageset import ImageSet

KINDS = ("blobs", "moons", "rings")
COMMON = 400  # training points of the common class; the rarest has COMMON / imbalance_ratio
HELD_OUT = {"val": 100, "test": 500}  # points of each class
LEVELS = 255  # coordinates are stored as uint8, as pixels are: the plane has 256 x 256 places
GRID = 52  # places a side where regions are computed: every fifth level, so that each is exactly a pixel value
PLAYGROUND_FORMAT = 1  # of the stored file: `boundary` writes it, `boundary_plots` reads it


def make_toy(kind, imbalance_ratio, *, seed=0):
    """A 2-D toy as an ImageSet: images (N, 1, 1, 2) uint8, the point (x, y) of [0, 1] x [0, 1] scaled to 0..255.

    kind: "blobs" (common, middle, rare), "moons" or "rings" (common, rare), drawn by scikit-learn
    imbalance_ratio: 1 to 100; a higher one only takes training points away, val and test stay as they are
    A seed draws all points anew. Raises BmixError for an unknown kind or a ratio out of range.
    """
    require_choice("kind", kind, KINDS)
    require(
        1 <= imbalance_ratio <= 100,
        f"imbalance_ratio must lie in [1, 100], got {imbalance_ratio!r}",
    )
    names = ("common", "middle", "rare") if kind == "blobs" else ("common", "rare")
    steps = np.arange(len(names)) / (len(names) - 1)
    sizes = {"train": np.round(COMMON * float(imbalance_ratio) ** -steps).astype(int)}
    sizes |= {split: np.full(len(names), size) for split, size in HELD_OUT.items()}
    points, labels = [], []
    for split, kept in sizes.items():
        most = COMMON if split == "train" else HELD_OUT[split]
        x, y = _DRAW[kind]([most] * len(names), derive_seed(seed, f"toy {kind} {split}") % 2**32)
        for j, size in enumerate(kept):
            points.append(x[y == j][:size])
            labels.append(np.full(size, j))
    pixels = np.round(np.clip(np.concatenate(points), 0, 1) * LEVELS).astype(np.uint8)
    return ImageSet(
        images=pixels[:, None, None, :],
        labels=np.concatenate(labels),
        class_names=names,
        split=np.repeat(list(sizes), [size.sum() for size in sizes.values()]),
        name=f"toy {kind} {imbalance_ratio:g}:1",
        source=f"scikit-learn, make_{_MAKERS[kind]}",
    )


def to_points(images):
    """Coordinates (n, 2) in [0, 1] of images (n, 1, 1, 2)."""
    images = np.asarray(images)
    require(
        images.shape[1:] == (1, 1, 2), f"images of a toy are (n, 1, 1, 2), got shape {images.shape}"
    )
    return images[:, 0, 0, :] / LEVELS


def _draw_blobs(sizes, state):
    from sklearn.datasets import make_blobs

    # spread so that classes overlap by about a tenth, and nearly all points lie in the square
    centres = [(0.37, 0.45), (0.66, 0.72), (0.73, 0.29)]
    return make_blobs(sizes, centers=centres, cluster_std=[0.14, 0.11, 0.1], random_state=state)


def _draw_moons(sizes, state):
    from sklearn.datasets import make_moons

    x, y = make_moons(tuple(sizes), noise=0.2, random_state=state)
    return (x - (0.5, 0.25)) / (3.8, 2.9) + 0.5, y


def _draw_rings(sizes, state):
    from sklearn.datasets import make_circles

    x, y = make_circles(tuple(sizes), noise=0.14, factor=0.45, random_state=state)
    return x / 2.9 + 0.5, y


_DRAW = {"blobs": _draw_blobs, "moons": _draw_moons, "rings": _draw_rings}
_MAKERS = {"blobs": "blobs", "moons": "moons", "rings": "circles"}
