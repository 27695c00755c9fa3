"""Imbalanced toys in the plane. To the kit a point is an image of one pixel with two channels."""

import numpy as np

from bmix_lite.base.errors import BmixError, require_choice
from bmix_lite.base.randomness import derive_seed
from bmix_lite.data.imageset import ImageSet

KINDS = ("blobs", "moons", "rings")
COMMON = 400  # training points of the common class; the rarest has COMMON / imbalance_ratio
HELD_OUT = {"val": 100, "test": 500}  # points per class
LEVELS = 255  # coordinates are uint8, as pixels are: the plane is a grid of 256 x 256 points
GRID = 52  # points per side where regions are computed: every fifth level, exactly a pixel value


def make_toy(kind, imbalance_ratio, *, seed=0):
    """A 2-D toy as an ImageSet: images (N, 1, 1, 2) uint8, points (x, y) of [0, 1]² times 255.

    kind: "blobs" (common, middle, rare), "moons" or "rings" (common, rare), drawn by scikit-learn
    imbalance_ratio: 1 to 100; a higher one only removes training points
    seed: another one draws all points anew
    """
    require_choice("kind", kind, KINDS)
    if not 1 <= imbalance_ratio <= 100:
        raise BmixError(f"imbalance_ratio must lie in [1, 100], got {imbalance_ratio!r}")
    names = ("common", "middle", "rare") if kind == "blobs" else ("common", "rare")
    sizes = _count_points(len(names), imbalance_ratio)
    points = []
    labels = []
    for split, kept in sizes.items():
        # the full number is drawn and then cut, so that no ratio changes the points of another
        most = COMMON if split == "train" else HELD_OUT[split]
        state = derive_seed(seed, f"toy {kind} {split}") % 2**32
        drawn, drawn_labels = _DRAW[kind]([most] * len(names), state)
        for label, size in enumerate(kept):
            points.append(drawn[drawn_labels == label][:size])
            labels.append(np.full(size, label))
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
    if images.shape[1:] != (1, 1, 2):
        raise BmixError(f"images of a toy are (n, 1, 1, 2), got shape {images.shape}")
    return images[:, 0, 0, :] / LEVELS


def _count_points(classes, imbalance_ratio):
    """{split: points per class (C,)}; in train the classes shrink geometrically."""
    steps = np.arange(classes) / (classes - 1)
    sizes = {"train": np.round(COMMON * float(imbalance_ratio) ** -steps).astype(int)}
    for split, size in HELD_OUT.items():
        sizes[split] = np.full(classes, size)
    return sizes


def _draw_blobs(sizes, state):
    from sklearn.datasets import make_blobs

    # spread so that classes overlap by about a tenth, and nearly all points lie in the square
    centres = [(0.37, 0.45), (0.66, 0.72), (0.73, 0.29)]
    return make_blobs(sizes, centers=centres, cluster_std=[0.14, 0.11, 0.1], random_state=state)


def _draw_moons(sizes, state):
    from sklearn.datasets import make_moons

    points, labels = make_moons(tuple(sizes), noise=0.2, random_state=state)
    return (points - (0.5, 0.25)) / (3.8, 2.9) + 0.5, labels


def _draw_rings(sizes, state):
    from sklearn.datasets import make_circles

    points, labels = make_circles(tuple(sizes), noise=0.14, factor=0.45, random_state=state)
    return points / 2.9 + 0.5, labels


_DRAW = {"blobs": _draw_blobs, "moons": _draw_moons, "rings": _draw_rings}
_MAKERS = {"blobs": "blobs", "moons": "moons", "rings": "circles"}
