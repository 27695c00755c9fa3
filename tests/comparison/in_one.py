"""What the comparison does in two steps, in one: an Estimate from gaps, and what it says."""

from bmix_lite.comparison.estimates import POWER, bound, find_detectable
from bmix_lite.comparison.paired import estimate_mean


def bound_mean(gaps, level=0.95, overlap=0.0):
    """(mean, low, high) of the Student-t interval."""
    estimate = estimate_mean(gaps, overlap)
    return estimate.mean, *bound(estimate, level)


def smallest_detectable(gaps, *, overlap=0.0, limit=0.05, power=POWER):
    """The true mean difference that the t test at `limit` finds with probability `power`."""
    return find_detectable(estimate_mean(gaps, overlap), limit=limit, power=power)
