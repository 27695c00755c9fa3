"""Drawn retinas in the five grades of diabetic retinopathy, as imbalanced as EyePACS. A toy: no eye was photographed.

Whoever trains on them learns how a method behaves on ordered, rare, small lesions, and nothing about patients.
"""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from bmix_lite.base.errors import require, require_integer
from bmix_lite.base.randomness import stream
from bmix_lite.data.fundus.anatomy import (
    VESSEL,
    draw_vessels,
    paint_background,
    place_eyes,
    ramp,
    take,
)
from bmix_lite.data.fundus.lesions import BEADING, draw_lesions, draw_mimics, paint_lesions
from bmix_lite.data.imageset import ImageSet
from bmix_lite.data.known_counts import read_counts
from bmix_lite.data.splits import FOLDS, assign_split

GRADES = ("no retinopathy", "mild", "moderate", "severe", "proliferative")
FEWEST = 2 * FOLDS  # images of a class, so that each fold has some
CHUNK = (
    16  # eyes that are drawn together, from streams of their own; another number draws other eyes
)
LARGEST_SEED = 2**63 - 1
APART = 0.75  # how far, in grades, a severity may lie from the grade when eyes of like severity are paired


def fundus_toy(*, fold=0, n=2000, size=64, seed=0):
    """Drawn pictures of the back of the eye as an ImageSet, images (n, size, size, 3), split by patient. A toy.

    Classes are the five grades in their order, with EyePACS' shares rounded and at least 10 images each.
    Rows 2p and 2p + 1 are the right and the left eye of one patient, at most a grade or so apart.
    fold: 0 to 4, changes the split only; n: 100 to 100,000; size: 64 to 224 pixels; seed: another draws all anew.
    Shares: Kaggle, Diabetic Retinopathy Detection, 2015. Raises BmixError for an argument out of range.
    """
    require_integer("fold", fold, 0, FOLDS - 1)
    require_integer("n", n, 100, 100_000)
    require_integer("seed", seed, 0, LARGEST_SEED)
    labels = _pair_grades(_count_grades(n), stream(seed, "fundus grades"))
    data = ImageSet(
        images=draw_fundus(labels, size, seed),
        labels=labels,
        class_names=GRADES,
        groups=np.array([f"p{row // 2:04d}" for row in range(n)]),
        name="fundus_toy",
        source="drawn by bmix_lite.data.fundus.toy, not photographs; class shares of EyePACS (Kaggle, 2015)",
        ordered=True,
    )
    return assign_split(data, fold=int(fold))


def draw_fundus(grades, size=64, seed=0):
    """Drawn eyes of the given grades, (B, size, size, 3) uint8; right and left eyes of patients in turn.

    Row i shows the same eye, seen by the same camera, whatever its grade and however many rows follow: only the signs
    of disease follow the grade. grades (B,) integers 0 to 4; size: 64 to 224 pixels. Raises BmixError.
    """
    require_integer("size", size, 64, 224)
    require_integer("seed", seed, 0, LARGEST_SEED)
    grades = np.asarray(grades)
    listed = grades.ndim == 1 and grades.size and np.issubdtype(grades.dtype, np.integer)
    require(
        listed, f"grades must be a list of integers, got shape {grades.shape} of {grades.dtype}"
    )
    require(
        grades.min() >= 0 and grades.max() < len(GRADES),
        f"grades must lie in 0..4, got {grades.min()} to {grades.max()}",
    )
    chunks = np.append(grades, np.zeros(-len(grades) % CHUNK, int)).reshape(-1, CHUNK)
    images = np.empty((chunks.size, size, size, 3), np.uint8)

    def draw(k):
        images[k * CHUNK : (k + 1) * CHUNK] = _draw_chunk(chunks[k], size, seed, k)

    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        list(pool.map(draw, range(len(chunks))))
    return images[: len(grades)]


def _draw_chunk(grades, size, seed, k):
    """The pictures (CHUNK, size, size, 3) of chunk `k`; anatomy and camera come from streams that know no grades."""
    anatomy, lesions, camera = (
        stream(seed, f"fundus {part}", k) for part in ("anatomy", "lesions", "camera")
    )
    eyes = place_eyes(anatomy, len(grades), size)
    picture = paint_background(anatomy, eyes)
    vessels, arcades = draw_vessels(anatomy, eyes, BEADING[grades])
    take(picture, vessels, VESSEL)
    paint_lesions(picture, draw_mimics(anatomy, eyes), draw_lesions(lesions, eyes, grades, arcades))
    return _photograph(camera, eyes, picture)


def _photograph(rng, eyes, picture):
    """What a camera makes of the scene (B, 3, size, size): light, blur, field of view, grain; (B, size, size, 3)."""
    count, size = len(picture), eyes.size

    def vary(low, high, *shape):
        return rng.uniform(low, high, (count, *shape)).astype(np.float32)

    where = (np.arange(size) - eyes.centre[:, :, None]) / eyes.radius[:, None, None]
    where = where.astype(np.float32)
    x, y = where[:, 0, None, :], where[:, 1, :, None]
    away = x**2 + y**2
    light = (
        vary(0.85, 1.1, 1, 1)
        + vary(-0.15, 0.15, 1, 1) * x
        + vary(-0.15, 0.15, 1, 1) * y
        - vary(0.1, 0.4, 1, 1) * away
    )
    picture *= light[:, None] * vary(0.92, 1.08, 3, 1, 1)
    _blur(picture, 0.25 * vary(0, 1, 1, 1, 1))
    pixels = eyes.radius[:, None, None].astype(np.float32)
    field = ramp((1 - np.sqrt(away)) * pixels)
    # many cameras cut the top and the bottom of the round field off
    cut = np.where(vary(0, 1, 1, 1) < 0.4, vary(0.78, 0.92, 1, 1), 2)
    field *= ramp((cut - np.abs(y)) * pixels)
    picture += vary(0.004, 0.025, 1, 1, 1) * rng.standard_normal(picture.shape, np.float32)
    picture *= field[:, None]
    return (np.clip(picture, 0, 1) * 255 + np.float32(0.5)).astype(np.uint8).transpose(0, 2, 3, 1)


def _blur(picture, share):
    """Blur (B, 3, size, size) in place: each pixel gives `share` (0 to 1/4) of itself to each neighbour, ever wider."""
    step = 1
    while step <= picture.shape[-1] / 60:
        for image in (picture, np.swapaxes(picture, 2, 3)):
            middle = image[:, :, step:-step]
            middle += share * (image[:, :, 2 * step :] + image[:, :, : -2 * step] - 2 * middle)
        step *= 2


def _count_grades(n):
    """Images of each grade (5,): EyePACS' shares of n by largest remainders; rare grades are filled up to `FEWEST`."""
    known = read_counts("eyepacs")
    shares = (
        np.array([known.counts[known.classes.index(grade)] for grade in GRADES])
        * n
        / known.counts.sum()
    )
    counts = shares.astype(int)
    counts[np.argsort(counts - shares, kind="stable")[: n - counts.sum()]] += 1
    counts = np.maximum(counts, FEWEST)
    counts[0] -= counts.sum() - n
    return counts


def _pair_grades(counts, rng):
    """Grades (n,) of right and left eyes in turn: eyes of like severity become patients, who then are shuffled."""
    grades = np.repeat(np.arange(len(counts)), counts)
    severity = grades + rng.uniform(-APART, APART, len(grades))
    ranked = grades[np.argsort(severity, kind="stable")]
    odd = len(grades) % 2  # the healthiest eye is then alone, last of all
    patients = rng.permuted(rng.permutation(ranked[odd:].reshape(-1, 2)), axis=1)
    return np.append(patients.ravel(), ranked[:odd])
