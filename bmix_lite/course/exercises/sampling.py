"""Checks of the exercises on sampling (lesson 2). Each raises Mistake or Undone, or returns.

Beside the right answer stand the known mistakes as formulas: each is recognised by what it gives.
"""

import numpy as np

from bmix_lite.base.randomness import stream
from bmix_lite.course.exercises.answers import Mistake, call, expect, read_array, recognise
from bmix_lite.distribution import class_probabilities, count_classes

LABELS = np.array([2, 0, 0, 1, 0, 0, 1, 0, 0, 1, 0, 0])  # not in the order of the classes
DRAWS = 3000


def check_image_weights(answer):
    """A function of labels (N,) that returns the probability of each image, (N,)."""
    for labels in (LABELS, LABELS[::-1].copy()):
        counts = count_classes(labels)
        size = len(labels)
        weights = read_array(call(answer, labels), "the weights")
        if weights.shape == counts.shape:
            raise Mistake(f"{len(counts)} weights, one per class: expected one per image, {size}")
        if weights.shape != (size,):
            raise Mistake(f"expected one weight per image, ({size},); found shape {weights.shape}")
        wanted = 1 / (len(counts) * counts[labels])
        recognise(weights, wanted, "the weights", _list_wrong_weights(labels, counts))


def _list_wrong_weights(labels, counts):
    size = len(labels)
    count = counts[labels]  # of each image's class
    right = 1 / (len(counts) * count)
    square_root = class_probabilities(counts, 0.5) / counts
    return {
        f"the weights sum to {np.sum(1 / count):.0f}: probabilities must sum to 1": 1 / count,
        f"the weights sum to {size}: probabilities must sum to 1": size * right,
        "all images have the same weight: that is instance-balanced sampling": (
            np.full(size, 1 / size)
        ),
        "each image has the share of its class, which the images of the class must divide": (
            np.full(size, 1 / len(counts))
        ),
        "the wrong way round: images of common classes weigh more": count / np.sum(count),
        "that is the class's share of the data: rare images must weigh more": count / size,
        "that is square-root sampling (q = 1/2): class-balanced is q = 0": square_root[labels],
        "right numbers, wrong order: weight k must be that of the image with labels[k]": (
            np.repeat(1 / (len(counts) * counts), counts)
        ),
    }


def check_draw_balanced(answer):
    """A function of (labels, draws, rng) that returns rows (draws,)."""
    rows = _draw(answer, seed=0)
    _judge_draws(rows)
    if np.array_equal(rows, _draw(answer, seed=1)):
        raise Mistake("another rng gives the same rows: draw from `rng`, set no seed inside")
    if not np.array_equal(rows, _draw(answer, seed=0)):
        raise Mistake("the same rng gives other rows: draw from `rng`, not from a global generator")
    repeats = np.mean(LABELS[rows][1:] == LABELS[rows][:-1])
    expect(repeats < 0.5, "the classes come one after the other: a batch must be a mixture of them")


def _draw(answer, seed):
    """Rows (DRAWS,) that the student's function draws, as integers."""
    rows = read_array(call(answer, LABELS, DRAWS, stream(seed, "exercise")), "the rows")
    if rows.shape != (DRAWS,):
        raise Mistake(f"expected {DRAWS} rows, as many as `draws`; found shape {rows.shape}")
    expect((rows == rows.astype(int)).all(), "rows must be whole numbers that index the images")
    lowest = rows.min()
    highest = rows.max()
    if lowest < 0 or highest >= len(LABELS):
        raise Mistake(f"rows must lie in 0..{len(LABELS) - 1}, found {lowest:.0f} to {highest:.0f}")
    return rows.astype(int)


def _judge_draws(rows):
    """Are these rows of all classes and images, equally often?"""
    classes = LABELS.max() + 1
    if set(rows) <= set(range(classes)):
        raise Mistake("these are classes: draw the class first, then one of its rows")
    times = np.bincount(rows, minlength=len(LABELS))
    shares = np.bincount(LABELS, times) / DRAWS
    slack = 5 * (0.25 / DRAWS) ** 0.5  # five standard errors
    if np.abs(shares - 1 / classes).max() > slack:
        text = ", ".join(f"{share:.2f}" for share in shares)
        instance_shares = class_probabilities(count_classes(LABELS), 1)
        if np.abs(shares - instance_shares).max() <= slack:
            raise Mistake(f"the classes have shares {text}, as in the data: instance-balanced")
        raise Mistake(f"the classes have shares {text}: all {classes} must come equally often")
    never_drawn = np.flatnonzero(times == 0)
    if len(never_drawn):
        raise Mistake(f"row {never_drawn[0]} is never drawn: every image must have its chance")
    within = times[LABELS == 0] / times[LABELS == 0].sum()
    expect(np.ptp(within) < 0.1, "images of one class must be drawn equally often")
