"""What is known of a true difference, and what that says: p, interval, chances, what is missed.

An `Estimate` is a Student t: the true value less `mean`, over `error`, has `freedom` degrees of
freedom. All three are arrays (...) or numbers; what is not defined is NaN.
"""

from typing import NamedTuple

import numpy as np
from scipy import special, stats

from bmix_lite.base.errors import BmixError, require

POWER = 0.8  # the usual choice (Cohen, Statistical Power Analysis, 1988, section 2.4)
MARGIN = 0.01  # one point: a difference that nobody would act on


class Estimate(NamedTuple):
    """A mean, its standard error and the degrees of freedom of that error."""

    mean: np.ndarray
    error: np.ndarray
    freedom: np.ndarray


def combine_errors(*parts):
    """(error, freedom) of a sum of independent parts (error, freedom).

    The freedom is that of Satterthwaite (Biometrics Bulletin 2, 1946).
    """
    variances = np.array([error**2 for error, _ in parts])
    total = variances.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        weights = sum(error**4 / freedom for error, freedom in parts)
        return np.sqrt(total), total**2 / weights


def find_p(estimate):
    """Two-sided p of a true value of 0."""
    mean, error, freedom = estimate
    with np.errstate(divide="ignore", invalid="ignore"):
        return 2 * stats.t.sf(np.abs(mean) / error, freedom)


def bound(estimate, level=0.95):
    """(low, high) of the interval that leaves out 0 where `find_p` is below 1 - level."""
    mean, error, freedom = estimate
    half = error * stats.t.ppf((1 + level) / 2, freedom)
    return mean - half, mean + half


def chance_above(estimate, margin=0.0):
    """Probability that the true value is above the margin, knowing nothing before.

    The posterior is the Student t itself; over splits that share images this is the correlated
    Bayesian t test (Benavoli, Corani, Demšar and Zaffalon, JMLR 18, 2017).
    """
    mean, error, freedom = estimate
    with np.errstate(divide="ignore", invalid="ignore"):
        return stats.t.sf((margin - mean) / error, freedom)


def chance_within(estimate, margin=MARGIN):
    """Probability that the true value lies within the margin, on either side of 0."""
    require(margin > 0, f"margin must be a number above 0, got {margin!r}")
    return chance_above(estimate, -margin) - chance_above(estimate, margin)


def find_detectable(estimate, *, limit=0.05, power=POWER):
    """The true value that the test at `limit` finds with probability `power`.

    From the noncentral t distribution, with the error of this estimate taken for the true one: see
    `range_detectable`.
    """
    if not 0 < limit < power < 1:
        raise BmixError(f"need 0 < limit < power < 1, got limit {limit} and power {power}")
    _, error, freedom = estimate
    # a significant difference of the wrong sign has a probability below 1e-6 here, so that the
    # upper tail is all of the power
    return error * special.nctdtrinc(freedom, 1 - power, stats.t.isf(limit / 2, freedom))


def range_detectable(estimate, *, limit=0.05, power=POWER, level=0.95):
    """(low, high) of `find_detectable`: the error is known as well as its freedom lets it be.

    From the chi-squared interval of a standard deviation: with 9 degrees of freedom the true one
    is 0.69 to 1.83 times the one seen.
    """
    middle = find_detectable(estimate, limit=limit, power=power)
    freedom = estimate.freedom
    tail = (1 - level) / 2
    return tuple(
        middle * np.sqrt(freedom / stats.chi2.isf(share, freedom)) for share in (tail, 1 - tail)
    )
