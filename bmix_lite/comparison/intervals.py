"""Intervals: over the runs of a method, over the test images of one run, of one class's recall.

Student's t does not know that a score ends at 1, and with two or three seeds its interval may reach
beyond. It is cut there: the true mean lies within, so it is covered as often as before. An interval
that had to be cut is a wide one.
"""

import numpy as np
from scipy import stats

from bmix_lite.base.errors import BmixError
from bmix_lite.base.randomness import stream
from bmix_lite.metrics import (
    BINS,
    METRICS,
    VALUES,
    bin_confidence,
    check_predictions,
    expected_calibration_error,
)

SIGNED = ("mcc", "kappa", "kendall_tau")  # -1 to 1; all other metrics lie in 0 to 1


def bootstrap_intervals(
    labels, probabilities, metrics=METRICS, *, resamples=500, level=0.95, seed=0
):
    """Percentile intervals {metric: (low, high)} from resampling the images within each class.

    Resampling within classes keeps every class present, so that no metric becomes undefined on the
    way; a class of one image then seems certain: see `recall_intervals`. It speaks of other test
    images, not of other seeds: for those use `mean_interval` over runs. "ece" gets the basic
    interval (Davison and Hinkley 1997, section 5.2): a gap without sign grows with noise, so the
    ece of few images is too high and that of resampled ones higher still. In simulations of 100 to
    400 images it covers the true ece in 6 to 9 of 10 cases, percentiles in 0 to 9.
    """
    labels, probabilities = check_predictions(labels, probabilities)
    values = _resample_metrics(labels, probabilities, metrics, resamples, seed)
    tail = (1 - level) / 2
    intervals = {}
    for name in metrics:
        defined = [value for value in values[name] if not np.isnan(value)] or [np.nan]
        intervals[name] = tuple(np.quantile(defined, [tail, 1 - tail]).tolist())
    if "ece" in intervals:
        here = expected_calibration_error(labels, probabilities)
        low, high = intervals["ece"]
        intervals["ece"] = (max(0.0, 2 * here - high), max(0.0, 2 * here - low))
    return intervals


def chance_calibration_error(probabilities, *, resamples=200, seed=0):
    """The mean ECE of a network that is right exactly as often as it says: what noise alone gives.

    probabilities (N, C). Its top probabilities are kept, and whether each is right is drawn from
    them.
    """
    probabilities = np.asarray(probabilities, dtype=float)
    bins, confidence, _ = bin_confidence(probabilities.argmax(axis=1), probabilities)
    right = stream(seed, "chance calibration").random((resamples, len(bins))) < confidence
    gaps = (confidence - right) @ (bins[:, None] == np.arange(BINS))  # (resamples, BINS)
    return float(np.abs(gaps).sum(axis=1).mean() / len(bins))


def mean_interval(values, level=0.95):
    """(mean, low, high) of one number per seed or split, by Student's t.

    NaN bounds below two values. Raises BmixError without a value.
    """
    values = np.asarray(values, dtype=float)
    if values.ndim != 1 or values.size == 0:
        raise BmixError(f"values must be a non-empty list, got shape {values.shape}")
    if values.size < 2:
        return float(values[0]), float("nan"), float("nan")
    half = stats.sem(values) * stats.t.ppf((1 + level) / 2, values.size - 1)
    return float(values.mean()), float(values.mean() - half), float(values.mean() + half)


def metric_range(metric):
    """(lowest, highest) value of a metric, whose name may begin with "val_" or "test_"."""
    name = metric.removeprefix("val_").removeprefix("test_")
    return (-1.0 if name in SIGNED else 0.0), 1.0


def metric_interval(values, metric, level=0.95):
    """`mean_interval` of a metric over runs, cut at the ends of its range; NaN without a value."""
    if len(values) == 0:
        return np.nan, np.nan, np.nan
    lowest, highest = metric_range(metric)
    mean, low, high = mean_interval(values, level)
    return mean, float(np.maximum(low, lowest)), float(np.minimum(high, highest))


def recall_intervals(confusion, level=0.95):
    """Exact binomial interval (C, 2) of each class's recall; NaN for a class without an image.

    confusion (C, C): counts; rows are true classes. One image of one gives 0.025 to 1, where a
    bootstrap would give 1 to 1 (Clopper and Pearson, Biometrika 26, 1934). Raises BmixError if
    it is no matrix of counts.
    """
    matrix = _check_counts(confusion)
    right = np.diag(matrix)
    total = matrix.sum(axis=1)
    tail = (1 - level) / 2
    low = np.where(right == 0, 0.0, stats.beta.ppf(tail, right, total - right + 1))
    high = np.where(right == total, 1.0, stats.beta.isf(tail, right + 1, total - right))
    return np.where(total[:, None] > 0, np.column_stack([low, high]), np.nan)


def _resample_metrics(labels, probabilities, metrics, resamples, seed):
    """{metric: its values on bootstrap samples drawn within classes}."""
    rng = stream(seed, "bootstrap")
    members = [np.flatnonzero(labels == j) for j in np.unique(labels)]
    values = {name: [] for name in metrics}
    for _ in range(resamples):
        rows = np.concatenate([rng.choice(rows, len(rows)) for rows in members])
        resampled = labels[rows], probabilities[rows].argmax(axis=1), probabilities[rows]
        for name in metrics:
            values[name].append(VALUES[name](*resampled))
    return values


def _check_counts(confusion):
    matrix = np.asarray(confusion)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise BmixError(f"a confusion matrix is (C, C), got shape {matrix.shape}")
    if not np.issubdtype(matrix.dtype, np.integer) or matrix.min() < 0:
        raise BmixError(
            f"counts must be whole numbers of 0 or more, "
            f"got {matrix.dtype} with minimum {matrix.min()}"
        )
    return matrix
