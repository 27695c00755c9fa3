"""Checks of the exercises that audit: a split, a confusion matrix, the plan of a sweep.

They belong to lessons 1, 7, 9 and 10. The tables are invented, so that each way to go wrong gives
another answer.
"""

from collections import defaultdict

import numpy as np

from bmix_lite.course.exercises.answers import (
    Mistake,
    call,
    expect,
    near,
    read_array,
    read_number,
    read_parts,
    recognise,
    recognise_number,
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
    "splits": 5,
    "seeds": 3,
    "minutes_of_a_run": 4,
    "at_a_time": 2,
}


def check_find_leaks(answer):
    """A function of (photos, split) that returns the patients on more than one side."""
    for photos, sides in ((PHOTOS, SIDES), (PHOTOS[2:][::-1], SIDES[2:][::-1])):
        listed = call(answer, photos, sides)
        if not isinstance(listed, list | tuple | set | frozenset | np.ndarray):
            raise Mistake(f"expected a list of patients, found {show(listed)}")
        names = [str(name) for name in listed]
        sides_of = defaultdict(list)
        for photo, side in zip(photos, sides, strict=True):
            sides_of[photo.split("_")[0]].append(side)
        _judge_names(names, photos, sides_of)
        _judge_leaks(set(names), sides_of)
        expect(len(names) == len(set(names)), "a patient is listed twice: name each one once")


def _judge_names(names, photos, patients):
    if not names:
        raise Mistake("none found: no photo is on two sides, but the two eyes of a patient may be")
    if set(names) & set(photos):
        raise Mistake("photos are listed: name each patient, the part before the underscore")
    unknown_names = sorted(set(names) - set(patients))
    if unknown_names:
        raise Mistake(f"{unknown_names[0]!r} is not a patient")


def _judge_leaks(names, sides_of):
    """Are `names` the leaking patients? sides_of: {patient: the side of each photo}."""
    leaks = {name for name, sides in sides_of.items() if len(set(sides)) > 1}
    if names == leaks:
        return
    if names == {name for name, sides in sides_of.items() if len(sides) > 1}:
        raise Mistake("all with two photos are listed: they leak only if the sides differ")
    if names == set(sides_of) - leaks:
        raise Mistake("the wrong way round: these patients are on one side only")
    for pair in (("train", "test"), ("train", "val"), ("val", "test")):
        if names == {name for name in leaks if set(sides_of[name]) == set(pair)}:
            raise Mistake(f"only {pair[0]} against {pair[1]} is compared: there are three sides")
    if names == {name for name in leaks if "test" in sides_of[name]}:
        raise Mistake("train against val is missing: the choice of the epoch would leak")
    if names - leaks:
        raise Mistake(f"{min(names - leaks)!r} is on one side only")
    raise Mistake(f"{len(leaks - names)} more are on two sides")


def check_read_matrix(answer):
    """A dict with accuracy, recall, balanced_accuracy and kappa (quadratic) of MATRIX."""
    names = ("accuracy", "recall", "balanced_accuracy", "kappa")
    accuracy, recall, balanced_accuracy, kappa = read_parts(answer, names)
    matrix = np.array(MATRIX)
    scores = score_matrix(matrix)
    scores["recall"] = matrix.diagonal() / matrix.sum(axis=1)
    wrong = _list_wrong_scores(scores)
    recognise_number(accuracy, scores["accuracy"], "accuracy", wrong["accuracy"])
    recall = read_array(recall, "recall")
    if recall.shape != (3,):
        raise Mistake(f"recall must have one number per class, (3,); found shape {recall.shape}")
    recognise(recall, scores["recall"], "recall", wrong["recall"])
    recognise_number(
        balanced_accuracy,
        scores["balanced_accuracy"],
        "balanced_accuracy",
        wrong["balanced_accuracy"],
    )
    recognise_number(kappa, scores["kappa"], "kappa", wrong["kappa"])


def _list_wrong_scores(scores):
    """{score: {message: what this mistake gives}}."""
    matrix = np.array(MATRIX)
    right = matrix.diagonal()
    recalls = scores["recall"]
    precisions = right / matrix.sum(axis=0)
    return {
        "accuracy": {
            "accuracy is the mean of the recalls: give the share of all images that are right": (
                recalls.mean()
            ),
            "accuracy is the share of errors": 1 - scores["accuracy"],
            "accuracy is a number of images: divide by all of them": right.sum(),
        },
        "recall": {
            "recall is divided by the columns: that is precision; rows are the truth": precisions,
            "recall is divided by all images: divide by the row": right / matrix.sum(),
            "recall is in the reverse order of the classes": recalls[::-1],
            "recall is the share that is missed": 1 - recalls,
        },
        "balanced_accuracy": {
            "balanced_accuracy is the accuracy: take the mean of the recalls": scores["accuracy"],
            "balanced_accuracy is the mean of the precisions: take the recalls": precisions.mean(),
            "balanced_accuracy is the sum of the recalls: take their mean": recalls.sum(),
            "balanced_accuracy is the median of the recalls: take their mean": np.median(recalls),
        },
        "kappa": {
            "kappa has no weights: grades are ordered, so weight by the squared distance": (
                weigh_kappa(0)
            ),
            "kappa has linear weights: square the distance between the grades": weigh_kappa(1),
            "kappa is the ratio of the disagreements: subtract it from 1": 1 - scores["kappa"],
        },
    }


def weigh_kappa(power):
    """Kappa of MATRIX, weighted by the distance of the grades to a power; 0: all errors alike."""
    matrix = np.array(MATRIX) / np.sum(MATRIX)
    distance = np.abs(np.subtract.outer(np.arange(3), np.arange(3)))
    weights = distance**power if power else distance > 0
    chance = np.outer(matrix.sum(axis=1), matrix.sum(axis=0))
    return 1 - np.sum(weights * matrix) / np.sum(weights * chance)


def check_plan_sweep(answer):
    """A dict with runs, minutes, chooses and reports."""
    runs, minutes, chooses, reports = read_parts(answer, ("runs", "minutes", "chooses", "reports"))
    _judge_runs(read_number(runs, "runs"))
    _judge_minutes(read_number(minutes, "minutes"))
    for name, split in (("chooses", chooses), ("reports", reports)):
        refuse_stub(split)
        if split not in ("train", "val", "test"):
            raise Mistake(f'{name} must be "train", "val" or "test", found {show(split)}')
        expect(split != "train", f"{name}: the network knows the training images by heart")
    if chooses != "val":
        raise Mistake("chooses: then no test images are left that took no part in the choice")
    if reports != "test":
        raise Mistake("reports: the part that chose gives a best score that is too high")


def _count_settings():
    return len(SWEEP["methods"]) - 1 + len(SWEEP["alphas_of_balanced_mixup"])


def _judge_runs(runs):
    splits = SWEEP["splits"]
    seeds = SWEEP["seeds"]
    alphas = len(SWEEP["alphas_of_balanced_mixup"])
    settings = _count_settings()
    mistakes = {
        "alpha is crossed with methods that have none: these have one setting each": (
            3 * alphas * splits * seeds
        ),
        "the two rivals without alpha are missing": alphas * splits * seeds,
        "the four alphas are four settings, not one": 3 * splits * seeds,
        "the splits are missing: each setting runs once per split and seed": settings * seeds,
        "the seeds are missing: one seed does not show how far runs scatter": settings * splits,
        "splits and seeds are added: each seed runs on each split": settings * (splits + seeds),
        "these are the settings: each runs once per split and seed": settings,
    }
    _recognise_count(runs, settings * splits * seeds, "runs", mistakes)


def _judge_minutes(minutes):
    one_by_one = _count_settings() * SWEEP["splits"] * SWEEP["seeds"] * SWEEP["minutes_of_a_run"]
    mistakes = {
        "two runs go at a time, so the clock shows half of that": one_by_one,
        "that is in hours": one_by_one / 120,
        "two at a time halve the time, they do not double it": 2 * one_by_one,
    }
    _recognise_count(minutes, one_by_one / 2, "minutes", mistakes)


def _recognise_count(answer, wanted, name, mistakes):
    for message, wrong in mistakes.items():
        expect(not near(answer, wrong), f"{name}: {message}")
    size = "many" if answer > wanted else "few"
    expect(near(answer, wanted), f"{name}: {answer:g} is too {size}")
