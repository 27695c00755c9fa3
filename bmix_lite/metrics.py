"""Every number that is read off predictions; scikit-learn and scipy do the arithmetic.

A metric that is undefined for the data is NaN, never a made-up number, and `notes` says why.
The predicted class is the most probable one, the lowest class number where probabilities tie.
"""

import functools
import warnings
from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats
from sklearn import metrics as sk

from bmix_lite.base.errors import BmixError, require, require_choice
from bmix_lite.base.predictions import check_predictions
from bmix_lite.base.registry import add_own
from bmix_lite.recipe import CHOICES

OF_CLASSES = ("accuracy", "balanced_accuracy", "macro_f1", "mcc", "kappa", "kendall_tau")
METRICS = (*OF_CLASSES, "macro_auc", "macro_ap", "ece")  # these three need probabilities
NEED_ORDER = ("kappa", "kendall_tau")  # mean nothing where the classes have no order
BINS = 15  # of confidence in the calibration error (Guo et al., ICML 2017)


def score(
    labels: ArrayLike,
    probabilities: ArrayLike,
    metrics: Sequence[str] = METRICS,
    *,
    ordered: bool = True,
) -> dict[str, Any]:
    """All metrics of one set of predictions.

    labels (N,) integers 0..C-1, probabilities (N, C) with rows that sum to 1. Returns a dict of
    floats, one per name in `metrics`, plus "recall", "precision" and "specificity" (one per class),
    "confusion" (C rows, the true classes) and "notes"; with `macro_ap` also the "average_precision"
    of each class. `kappa` has quadratic weights; `kappa` and `kendall_tau` only mean something
    where classes are ordered: they are NaN where `ordered` is False.
    Raises BmixError if a row cannot be scored.
    """
    labels, probabilities = check_predictions(labels, probabilities)
    for name in metrics:
        require_metric(name)
    predicted = probabilities.argmax(axis=1)
    matrix = confusion_matrix(labels, predicted, probabilities.shape[1])
    with np.errstate(all="ignore"):  # whatever the caller's is
        values = {name: VALUES[name](labels, predicted, probabilities) for name in metrics}
        recall = np.diag(matrix) / matrix.sum(axis=1)
        precision = np.diag(matrix) / matrix.sum(axis=0)
        others = len(labels) - matrix.sum(axis=1)
        specificity = (others - matrix.sum(axis=0) + np.diag(matrix)) / others
    if not ordered:
        values |= {name: float("nan") for name in NEED_ORDER if name in values}
    per_class = {"recall": recall, "precision": precision, "specificity": specificity}
    if "macro_ap" in metrics:
        per_class["average_precision"] = per_class_ap(labels, probabilities)
    return values | {
        **{name: of_classes.tolist() for name, of_classes in per_class.items()},
        "confusion": matrix.tolist(),
        "notes": _explain_gaps(matrix, values, ordered),
    }


def _explain_gaps(matrix, values, ordered):
    """Sentences: which classes were left out of which metric, and which metrics are undefined."""
    notes = []
    absent = np.flatnonzero(matrix.sum(axis=1) == 0)
    if absent.size:
        listed = ", ".join(map(str, absent))
        metrics = "balanced_accuracy, macro_auc and macro_ap"
        notes.append(f"no image of class {listed}: left out of {metrics}")
    unseen = [j for j in absent if matrix[:, j].sum() == 0]
    if unseen:
        classes = ", ".join(map(str, unseen))
        notes.append(f"class {classes} neither present nor predicted: left out of macro_f1")
    for name, value in values.items():
        if not ordered and name in NEED_ORDER:
            notes.append(f"{name} is undefined: the data do not say that their classes are grades")
        elif np.isnan(value):
            reason = _UNDEFINED.get(name, "its function returned NaN")
            notes.append(f"{name} is undefined: {reason}")
    return notes


def confusion_matrix(labels, predicted, num_classes):
    """Counts (C, C): row = true class, column = predicted class; always all C classes."""
    return sk.confusion_matrix(labels, predicted, labels=range(num_classes))


def score_matrix(matrix, metrics=("accuracy", "balanced_accuracy", "macro_f1", "mcc", "kappa")):
    """What `score` gives for the images of a confusion matrix (C, C), rows are true classes.

    Counts may be fractions. Returns a dict of floats, NaN where a metric is undefined.
    """
    matrix = np.asarray(matrix, dtype=float)
    shape = matrix.shape
    if matrix.ndim != 2 or shape[0] != shape[1] or shape[0] < 2:
        raise BmixError(f"a confusion matrix must be (C, C), C >= 2, got {shape}")
    bad = matrix[~(np.isfinite(matrix) & (matrix >= 0))]
    if bad.size:
        raise BmixError(f"counts of a confusion matrix must be finite and >= 0, got {bad[:1]}")
    require(matrix.sum() > 0, "a confusion matrix needs at least one image")
    for name in metrics:
        require_choice("metric", name, tuple(_OF_COUNTS))
    labels, predicted = np.nonzero(matrix)
    return {
        name: _OF_COUNTS[name](labels, predicted, len(matrix), matrix[labels, predicted])
        for name in metrics
    }


def expected_calibration_error(labels, probabilities):
    """Mean gap between confidence and accuracy over 15 equal bins (Guo et al., ICML 2017)."""
    bins, confidence, correct = bin_confidence(labels, probabilities)
    gaps = np.bincount(bins, weights=confidence - correct, minlength=BINS)
    return float(np.abs(gaps).sum() / len(labels))


def bin_confidence(labels, probabilities):
    """Bin 0..14 (with its upper edge), top probability and whether it is right; each (N,)."""
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == labels
    return np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1), confidence, correct


def per_class_auc(labels, probabilities):
    """Area under the one-against-rest ROC curve per class, (C,); NaN if all or none are of it."""
    areas = np.full(probabilities.shape[1], np.nan)
    for j in range(len(areas)):
        positive = labels == j
        if 0 < positive.sum() < len(positive):
            areas[j] = sk.roc_auc_score(positive, probabilities[:, j])
    return areas


def per_class_ap(labels, probabilities):
    """Average precision of each class against the rest, (C,); NaN for a class without an image.

    The area in steps under the precision-recall curve; a score that says nothing has about the
    share of the class.
    """
    areas = np.full(probabilities.shape[1], np.nan)
    for j in np.unique(labels):
        areas[j] = sk.average_precision_score(labels == j, probabilities[:, j])
    return areas


def _macro_auc(labels, predicted, probabilities):
    values = per_class_auc(labels, probabilities)
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")


def _agreement(function, labels, predicted, classes, weights=None):
    """An agreement coefficient; NaN (0/0) where labels and predictions are all of one class."""
    if len(np.union1d(labels, predicted)) == 1:
        return float("nan")
    return float(function(labels, predicted, classes, weights))


def _matthews(labels, predicted, classes, weights):
    """scikit-learn's MCC, and 0 where one side is constant (with weights its 0/0 is rounding)."""
    constant = min(len(np.unique(labels)), len(np.unique(predicted))) == 1
    return 0.0 if constant else sk.matthews_corrcoef(labels, predicted, sample_weight=weights)


def _macro_f1(labels, predicted, classes, weights=None):
    settings = {"average": "macro", "zero_division": np.nan, "sample_weight": weights}
    return sk.f1_score(labels, predicted, labels=range(classes), **settings)


def _quadratic_kappa(labels, predicted, classes, weights):
    settings = {"weights": "quadratic", "labels": range(classes), "sample_weight": weights}
    return sk.cohen_kappa_score(labels, predicted, **settings)


def _quietly(function):
    """scikit-learn warns about absent classes; the notes of `score` say it instead."""

    @functools.wraps(function)
    def quiet(*arguments):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return float(function(*arguments))

    return quiet


# these need labels and predicted classes only; weights count equal images together
_OF_COUNTS = {
    "accuracy": _quietly(lambda y, p, c, w=None: sk.accuracy_score(y, p, sample_weight=w)),
    "balanced_accuracy": _quietly(
        lambda y, p, c, w=None: sk.balanced_accuracy_score(y, p, sample_weight=w)
    ),
    "macro_f1": _quietly(_macro_f1),
    "mcc": functools.partial(_agreement, _matthews),
    "kappa": functools.partial(_agreement, _quadratic_kappa),
}
# each takes labels (N,), predicted classes (N,) and probabilities (N, C)
VALUES = {
    name: lambda y, p, s, function=function: function(y, p, s.shape[1])
    for name, function in _OF_COUNTS.items()
} | {
    "kendall_tau": _quietly(lambda y, p, _: stats.kendalltau(y, p).statistic),
    "macro_auc": _macro_auc,
    "macro_ap": lambda y, _, s: float(np.nanmean(per_class_ap(y, s))),
    "ece": lambda y, _, s: expected_calibration_error(y, s),
}
_UNDEFINED = dict.fromkeys(METRICS, "no class can be scored")
_UNDEFINED["mcc"] = _UNDEFINED["kappa"] = "all labels and all predictions are of one class"
_UNDEFINED["kendall_tau"] = "labels or predictions are all of one class"
_UNDEFINED["macro_auc"] = "no class has both positives and negatives"


def require_metric(name):
    """Raise BmixError unless `name` is a metric of this module, or a registered one."""
    require_choice("metric", name, tuple(VALUES))


def register_metric(name, function):
    """Make `name` a metric that `score` knows, and `monitor=name` one that chooses epochs.

    function(labels (N,), predicted classes (N,), probabilities (N, C)) returns a number, the higher
    the better, or NaN where it is not defined. For example, the lowest recall of a class:

        def worst_recall(labels, predicted, probabilities):
            return min((predicted[labels == j] == j).mean() for j in set(labels))

        register_metric("worst_recall", worst_recall)
        recipe = Recipe(monitor="worst_recall")

    A recipe, a run id and a checkpoint hold the name alone: give a changed function a new name.
    Raises BmixError for the name of a built-in metric.
    """
    add_own(VALUES, METRICS, "metric", name, function)

    def checked(labels, predicted, probabilities):
        value = function(labels, predicted, probabilities)
        if not isinstance(value, Real):
            raise BmixError(f"the metric {name!r} must return a number, got {value!r}")
        return float(value)

    VALUES[name] = checked
    CHOICES["monitor"] = tuple(dict.fromkeys((*CHOICES["monitor"], name)))
