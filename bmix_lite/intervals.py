"""Intervals that know what they are of: means that stay in the range of their metric, recalls of classes of few images.

Student's t does not know that a score ends at 1, and with two or three seeds its interval may reach beyond. It is cut
there: the true mean lies within, so it is covered as often as before. An interval that had to be cut is a wide one.
"""

import numpy as np
from scipy import stats

from bmix_lite.errors import require
from bmix_lite.metrics import mean_interval

SIGNED = ("mcc", "kappa", "kendall_tau")  # -1 to 1; all other metrics lie in 0 to 1


def metric_range(metric):
    """(lowest, highest) value that a metric can take; its name may begin with "val_" or "test_"."""
    return (-1.0 if metric.removeprefix("val_").removeprefix("test_") in SIGNED else 0.0), 1.0


def metric_interval(values, metric, level=0.95):
    """`metrics.mean_interval` of one metric of several runs, cut at the ends of its range; NaN without a value."""
    if len(values) == 0:
        return np.nan, np.nan, np.nan
    lowest, highest = metric_range(metric)
    mean, low, high = mean_interval(values, level)
    return mean, float(np.maximum(low, lowest)), float(np.minimum(high, highest))


def recall_intervals(confusion, level=0.95):
    """Exact binomial interval (C, 2) of each class's recall, from a confusion matrix (C, C) of counts; rows are true.

    One image found of one gives 0.025 to 1, where a bootstrap would give 1 to 1 (Clopper and Pearson, Biometrika 26,
    1934). NaN for a class without an image.
    """
    matrix = np.asarray(confusion)
    require(matrix.ndim == 2 and len(set(matrix.shape)) == 1, f"a confusion matrix is (C, C), got shape {matrix.shape}")
    whole = np.issubdtype(matrix.dtype, np.integer) and matrix.min() >= 0
    require(whole, f"counts must be whole numbers of 0 or more, got {matrix.dtype} with minimum {matrix.min()}")
    found, total, tail = np.diag(matrix), matrix.sum(axis=1), (1 - level) / 2
    low = np.where(found == 0, 0.0, stats.beta.ppf(tail, found, total - found + 1))
    high = np.where(found == total, 1.0, stats.beta.isf(tail, found + 1, total - found))
    return np.where(total[:, None] > 0, np.column_stack([low, high]), np.nan)
