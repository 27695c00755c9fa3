"""Checks of the exercises that audit: a split, a confusion matrix, the plan of a sweep (lessons 1, 7, 9 and 10).

The tables are invented, so that each way to go wrong gives another answer.
"""

from collections import defaultdict

import numpy as np

from bmix_lite.course.exercises.answers import (
    call,
    expect,
    near,
    read_array,
    read_number,
    read_parts,
    recognise,
    refuse_stub,
    show,
)
from bmix_lite.metrics import score_matrix

PHOTOS = [
    "p01_left",
    "p01_right",
    "p02_left",
    "p02_right",
    "p03_left",
    "p04_left",
    "p04_right",
    "p05_left",
    "p05_right",
]
SIDES = ["train", "train", "train", "test", "test", "val", "test", "train", "val"]
MATRIX = [[80, 15, 5], [6, 10, 4], [1, 3, 6]]
SWEEP = {
    "methods": ["instance", "class_balanced", "balanced_mixup"],
    "alphas_of_balanced_mixup": [0.1, 0.2, 0.3, 0.5],
    "folds": 5,
    "seeds": 3,
    "minutes_of_a_run": 4,
    "at_a_time": 2,
}


def check_find_leaks(answer):
    """A function of (photos, split) to the patients on two sides."""
    for photos, sides in ((PHOTOS, SIDES), (PHOTOS[2:][::-1], SIDES[2:][::-1])):
        found = call(answer, photos, sides)
        listed = isinstance(found, list | tuple | set | frozenset | np.ndarray)
        expect(listed, f"a list of patients is asked for, found {show(found)}")
        names = [str(name) for name in found]
        where, eyes = defaultdict(set), defaultdict(int)
        for photo, side in zip(photos, sides, strict=True):
            where[photo.split("_")[0]].add(side)
            eyes[photo.split("_")[0]] += 1
        leaks = {name for name in where if len(where[name]) > 1}
        expect(
            names, "none is found: no photo lies on two sides, but the two eyes of a patient may"
        )
        expect(
            not set(names) & set(photos),
            "photos are listed: name each patient, the part before the underscore",
        )
        expect(set(names) <= set(where), f"{sorted(set(names) - set(where))[:1]} is no patient")
        _recognise_leaks(set(names), where, eyes, leaks)
        expect(len(names) == len(set(names)), "a patient is listed twice: name each once")


def _recognise_leaks(names, where, eyes, leaks):
    two_eyes = {name for name in eyes if eyes[name] > 1}
    expect(
        names == leaks or names != two_eyes,
        "all with two photos are listed: they leak only if the sides differ",
    )
    expect(names != set(where) - leaks, "the wrong way round: these patients lie on one side only")
    for pair in (("train", "test"), ("train", "val"), ("val", "test")):
        alone = {name for name in leaks if where[name] == set(pair)}
        expect(
            names != alone, f"only {pair[0]} against {pair[1]} is compared: there are three sides"
        )
    with_test = {name for name in leaks if "test" in where[name]}
    expect(names != with_test, "train against val is missing: the choice of the epoch would leak")
    expect(names <= leaks, f"{sorted(names - leaks)[:1]} lies on one side only")
    expect(names == leaks, f"{len(leaks - names)} more lie on two sides")


def check_read_matrix(answer):
    """A dict with accuracy, recall, balanced_accuracy and kappa (quadratic) of MATRIX."""
    accuracy, recall, balanced, kappa = read_parts(
        answer, ("accuracy", "recall", "balanced_accuracy", "kappa")
    )
    matrix = np.array(MATRIX)
    scores, right = score_matrix(matrix), matrix.diagonal()
    recalls, precisions = right / matrix.sum(axis=1), right / matrix.sum(axis=0)
    recognise(
        np.float64(read_number(accuracy, "accuracy")),
        scores["accuracy"],
        "accuracy",
        [
            (
                recalls.mean(),
                "accuracy is the mean of the recalls: it is the share of all images that are right",
            ),
            (1 - scores["accuracy"], "accuracy is the share of errors"),
            (right.sum(), "accuracy is a number of images: divide by all of them"),
        ],
    )
    found = read_array(recall, "recall")
    expect(
        found.shape == (3,),
        f"recall must have one number per class, (3,); found shape {found.shape}",
    )
    recognise(
        found,
        recalls,
        "recall",
        [
            (precisions, "recall is divided by the columns: that is precision; rows are the truth"),
            (right / matrix.sum(), "recall is divided by all images: divide by the row"),
            (recalls[::-1], "recall is in the reverse order of the classes"),
            (1 - recalls, "recall is the share that is missed"),
        ],
    )
    recognise(
        np.float64(read_number(balanced, "balanced_accuracy")),
        scores["balanced_accuracy"],
        "balanced_accuracy",
        [
            (scores["accuracy"], "balanced_accuracy is the accuracy: take the mean of the recalls"),
            (
                precisions.mean(),
                "balanced_accuracy is the mean of the precisions: take the recalls",
            ),
            (recalls.sum(), "balanced_accuracy is the sum of the recalls: take their mean"),
            (np.median(recalls), "balanced_accuracy is the median of the recalls: take their mean"),
        ],
    )
    recognise(
        np.float64(read_number(kappa, "kappa")),
        scores["kappa"],
        "kappa",
        [
            (
                weigh_kappa(0),
                "kappa has no weights: grades are ordered, weigh by the squared distance",
            ),
            (weigh_kappa(1), "kappa has linear weights: square the distance of the grades"),
            (
                1 - scores["kappa"],
                "kappa is the ratio of the disagreements: 1 less it is asked for",
            ),
        ],
    )


def weigh_kappa(power):
    """Kappa of MATRIX, disagreement weighed by the distance of the grades to a power; 0: any two grades alike."""
    matrix = np.array(MATRIX) / np.sum(MATRIX)
    distance = np.abs(np.subtract.outer(np.arange(3), np.arange(3)))
    weights = distance**power if power else distance > 0
    return 1 - np.sum(weights * matrix) / np.sum(
        weights * np.outer(matrix.sum(axis=1), matrix.sum(axis=0))
    )


def check_plan_sweep(answer):
    """A dict with runs, minutes, chooses and reports."""
    runs, minutes, chooses, reports = read_parts(answer, ("runs", "minutes", "chooses", "reports"))
    folds, seeds, alphas = SWEEP["folds"], SWEEP["seeds"], len(SWEEP["alphas_of_balanced_mixup"])
    settings = len(SWEEP["methods"]) - 1 + alphas
    _recognise_number(
        read_number(runs, "runs"),
        settings * folds * seeds,
        "runs",
        [
            (
                3 * alphas * folds * seeds,
                "alpha is crossed with methods that have none: these have one setting each",
            ),
            (alphas * folds * seeds, "the two rivals without alpha are missing"),
            (3 * folds * seeds, "the four alphas are four settings, not one"),
            (
                settings * seeds,
                "the folds are missing: each setting runs once for each fold and seed",
            ),
            (
                settings * folds,
                "the seeds are missing: one seed does not show how far a run scatters",
            ),
            (settings * (folds + seeds), "folds and seeds are added: each seed runs in each fold"),
            (settings, "these are the settings: each runs once for each fold and seed"),
        ],
    )
    alone = settings * folds * seeds * SWEEP["minutes_of_a_run"]
    _recognise_number(
        read_number(minutes, "minutes"),
        alone / 2,
        "minutes",
        [
            (alone, "two runs go at a time, so the clock shows half of that"),
            (alone / 120, "that is in hours"),
            (2 * alone, "two at a time halve the time, they do not double it"),
        ],
    )
    for name, side in (("chooses", chooses), ("reports", reports)):
        refuse_stub(side)
        expect(
            side in ("train", "val", "test"),
            f'{name} must be "train", "val" or "test", found {show(side)}',
        )
        expect(side != "train", f"{name}: training images are known by heart")
    expect(
        chooses == "val",
        "chooses: whoever chooses on test has no images left that took no part in the choice",
    )
    expect(reports == "test", "reports: the split that chose gives a best score that is too high")


def _recognise_number(found, wanted, name, mistakes):
    for wrong, words in mistakes:
        expect(not near(found, wrong), f"{name}: {words}")
    expect(near(found, wanted), f"{name}: {found:g} is too {'many' if found > wanted else 'few'}")
