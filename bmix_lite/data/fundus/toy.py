"""Drawn retinas in the five grades of diabetic retinopathy, as imbalanced as EyePACS.

A toy: no eye was photographed. Training on them shows how a method behaves on ordered grades and
rare, small lesions, and nothing about patients.
"""

import functools
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from bmix_lite.base.errors import BmixError, require_integer
from bmix_lite.base.randomness import stream
from bmix_lite.data.folds import FOLDS
from bmix_lite.data.fundus.anatomy import paint_background, place_eyes, ramp, take
from bmix_lite.data.fundus.lesions import BEADING, draw_lesions, draw_mimics, paint_lesions
from bmix_lite.data.fundus.vessels import VESSEL, draw_vessels
from bmix_lite.data.imageset import ImageSet
from bmix_lite.data.known_counts import read_counts
from bmix_lite.data.splits import assign_split

GRADES = ("no retinopathy", "mild", "moderate", "severe", "proliferative")
SOURCE = (
    "drawn by bmix_lite.data.fundus.toy, not photographs; class shares of EyePACS (Kaggle, 2015)"
)
FEWEST = 2 * FOLDS  # images per class, so that each fold has some
MOST_KEPT = 64 * 2**20  # bytes of pixels that may stay in memory for the next split
LARGEST_SEED = 2**63 - 1
EYES_AT_ONCE = 16  # drawn together, from the same streams; another number draws other eyes
APART = 0.75  # grades: how far a severity may lie from the grade when eyes are paired by severity


def fundus_toy(*, split=0, n=2000, size=64, seed=0):
    """Drawn pictures of the back of the eye as an ImageSet, split by patient. A toy.

    images (n, size, size, 3). Classes are the five grades in their order, with EyePACS' shares
    (Kaggle, Diabetic Retinopathy Detection, 2015) rounded and at least 10 images each.
    Rows 2p and 2p + 1 are the right and the left eye of one patient, at most a grade or so apart.
    split: any number from 0, changes the parts only; n: 100 to 100,000; size: 64 to 224 pixels
    seed: another one draws everything anew
    Raises BmixError for an argument out of range.
    """
    split = require_integer("split", split, 0)
    require_integer("n", n, 100, 100_000)
    require_integer("seed", seed, 0, LARGEST_SEED)
    require_integer("size", size, 64, 224)
    labels = _pair_grades(_count_grades(n), stream(seed, "fundus grades"))
    is_small = n * size**2 * 3 <= MOST_KEPT
    draw = _draw_once if is_small else draw_fundus
    data = ImageSet(
        images=draw(tuple(labels.tolist()), size, seed),
        labels=labels,
        class_names=GRADES,
        groups=np.array([f"p{row // 2:04d}" for row in range(n)]),
        name="fundus_toy",
        source=SOURCE,
        ordered=True,
    )
    return assign_split(data, split=split)


def draw_fundus(grades, size=64, seed=0):
    """Drawn eyes of the given grades, (B, size, size, 3) uint8; right and left eyes in turn.

    Row i shows the same eye, seen by the same camera, whatever its grade and however many rows
    follow: only the signs of disease follow the grade.
    grades (B,) integers 0 to 4; size: 64 to 224 pixels. Raises BmixError.
    """
    require_integer("size", size, 64, 224)
    require_integer("seed", seed, 0, LARGEST_SEED)
    grades = _check_grades(grades)
    padding = np.zeros(-len(grades) % EYES_AT_ONCE, int)
    batches = np.append(grades, padding).reshape(-1, EYES_AT_ONCE)
    images = np.empty((*batches.shape, size, size, 3), np.uint8)

    def draw(number):
        images[number] = _draw_batch(batches[number], size, seed, number)

    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        list(pool.map(draw, range(len(batches))))
    return images.reshape(-1, size, size, 3)[: len(grades)]


@functools.lru_cache(maxsize=1)
def _draw_once(grades, size, seed):
    """The same, kept and read-only: the splits of one set differ in no pixel."""
    images = draw_fundus(grades, size, seed)
    images.setflags(write=False)
    return images


def _draw_batch(grades, size, seed, number):
    """The pictures (EYES_AT_ONCE, size, size, 3) of a batch.

    Anatomy and camera come from streams that do not know the grades.
    """
    anatomy = stream(seed, "fundus anatomy", number)
    lesions = stream(seed, "fundus lesions", number)
    camera = stream(seed, "fundus camera", number)
    eyes = place_eyes(anatomy, len(grades), size)
    picture = paint_background(anatomy, eyes)
    vessels, arcades = draw_vessels(anatomy, eyes, BEADING[grades])
    take(picture, vessels, VESSEL)
    mimics = draw_mimics(anatomy, eyes)
    paint_lesions(picture, mimics, draw_lesions(lesions, eyes, grades, arcades))
    return _photograph(camera, eyes, picture)


def _photograph(rng, eyes, picture):
    """What a camera makes of the scene (B, 3, size, size), as (B, size, size, 3) uint8.

    Light, blur, field of view and grain differ from eye to eye.
    """

    def vary(low, high, *shape):
        return rng.uniform(low, high, (len(picture), *shape)).astype(np.float32)

    # position in the field of view, whose radius is 1
    position = (np.arange(eyes.size) - eyes.centre[:, :, None]) / eyes.radius[:, None, None]
    position = position.astype(np.float32)
    x = position[:, 0, None, :]
    y = position[:, 1, :, None]
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
    """Blur (B, 3, size, size) in place, step by step over wider distances.

    share (B, 1, 1, 1), 0 to 1/4: what each pixel gives of itself to each neighbour
    """
    step = 1
    while step <= picture.shape[-1] / 60:
        for image in (picture, np.swapaxes(picture, 2, 3)):
            middle = image[:, :, step:-step]
            middle += share * (image[:, :, 2 * step :] + image[:, :, : -2 * step] - 2 * middle)
        step *= 2


def _count_grades(n):
    """Images of each grade (5,): EyePACS' shares of n by largest remainders.

    Rare grades are filled up to `FEWEST`.
    """
    known = read_counts("eyepacs")
    images = known.as_dict()
    shares = np.array([images[grade] for grade in GRADES]) * n / known.counts.sum()
    counts = shares.astype(int)
    largest_first = np.argsort(counts - shares, kind="stable")
    counts[largest_first[: n - counts.sum()]] += 1
    counts = np.maximum(counts, FEWEST)
    counts[0] -= counts.sum() - n
    return counts


def _pair_grades(counts, rng):
    """Grades (n,) of right and left eyes in turn.

    Eyes of like severity become patients, who then are shuffled.
    """
    grades = np.repeat(np.arange(len(counts)), counts)
    severity = grades + rng.uniform(-APART, APART, len(grades))
    ranked = grades[np.argsort(severity, kind="stable")]
    odd = len(grades) % 2  # the healthiest eye is then alone, last of all
    patients = rng.permuted(rng.permutation(ranked[odd:].reshape(-1, 2)), axis=1)
    return np.append(patients.ravel(), ranked[:odd])


def _check_grades(grades):
    """The grades as an array (B,) of integers 0 to 4. Raises BmixError."""
    grades = np.asarray(grades)
    if grades.ndim != 1 or not grades.size or not np.issubdtype(grades.dtype, np.integer):
        raise BmixError(
            f"grades must be a list of integers, got shape {grades.shape} of {grades.dtype}"
        )
    if grades.min() < 0 or grades.max() >= len(GRADES):
        raise BmixError(f"grades must lie in 0..4, got {grades.min()} to {grades.max()}")
    return grades
