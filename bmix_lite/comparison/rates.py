"""Two rates and what follows from them: sensitivity, specificity, predictive values, intervals.

Images of one patient are alike. Where there are patients they are resampled, each with all its
images; where resampling always gives the same rate it would seem certain, and the exact interval of
as many images as there are patients stands instead (Korn and Graubard, Survey Methodology 24,
1998). Predictive values are for a prevalence that is known: a test set was collected, and its own
prevalence is rarely that of the clinic.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from bmix_lite.base.errors import BmixError, require_integer
from bmix_lite.base.numbers import from_torch
from bmix_lite.base.randomness import stream
from bmix_lite.comparison.intervals import exact_interval


class Estimate(NamedTuple):
    """A number and its interval; NaN where the data do not define them."""

    value: float
    low: float
    high: float

    def __str__(self):
        if np.isnan(self.value):
            return "not defined"
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


def predictive_values(sensitivity, specificity, prevalence):
    """(PPV, NPV) by Bayes' rule: shares of those called positive, negative, that are it.

    Numbers or arrays, all in 0..1; NaN where none is called so. Raises BmixError outside 0..1.
    """
    given = {"sensitivity": sensitivity, "specificity": specificity, "prevalence": prevalence}
    arrays = {name: np.asarray(value, dtype=float) for name, value in given.items()}
    for name, array in arrays.items():
        if ((array < 0) | (array > 1)).any():
            raise BmixError(f"{name} must lie in 0..1, got {given[name]!r}")
    sensitivity, specificity, prevalence = arrays.values()
    found = prevalence * sensitivity
    missed = prevalence * (1 - sensitivity)
    cleared = (1 - prevalence) * specificity
    alarms = (1 - prevalence) * (1 - specificity)
    with np.errstate(invalid="ignore"):  # 0/0
        return found / (found + alarms), cleared / (cleared + missed)


def estimate_rates(truth, called, prevalence, groups=None, *, level=0.95, resamples=2000, seed=0):
    """(sensitivity, specificity, PPV, NPV), each an Estimate.

    truth, called (N,) bool; groups (N,) patients, or None where every image is of another one.
    Without groups the intervals of sensitivity and specificity are exact, and those of PPV and NPV
    are quantiles over both rates drawn from Beta(hits + 1/2, misses + 1/2), Jeffreys' posterior.
    With groups all four are percentiles over resampled patients.
    """
    require_integer("resamples", resamples, 1)
    rng = stream(seed, "operating point")
    drawn_pairs = None
    if groups is not None:
        drawn_pairs = _resample_patients(truth, called, groups, rng, resamples)
    rates = []
    draws = []
    for side, right in ((truth, called), (~truth, ~called)):
        hits = int((right & side).sum())
        n = int(side.sum())
        of_patients = None if drawn_pairs is None else drawn_pairs[len(rates)]
        members = n if groups is None else len(np.unique(groups[side]))
        rate, drawn = _estimate_rate(hits, n, of_patients, members, level, resamples, rng)
        rates.append(rate)
        draws.append(drawn)
    values = predictive_values(rates[0].value, rates[1].value, prevalence)
    drawn_values = predictive_values(*draws, prevalence)
    predictive = [
        _span(float(value), _quantiles(drawn, level))
        for value, drawn in zip(values, drawn_values, strict=True)
    ]
    return *rates, *predictive


def _estimate_rate(hits, n, of_patients, members, level, resamples, rng):
    """(Estimate, draws (resamples,)) of hits / n; members: how many images or patients it is of."""
    if n == 0:
        nothing = Estimate(np.nan, np.nan, np.nan)
        return nothing, np.full(resamples, np.nan)
    value = hits / n
    if of_patients is not None and np.nanmax(of_patients) - np.nanmin(of_patients) > 1e-12:
        return _span(value, _quantiles(of_patients, level)), of_patients
    likely = rng.beta(value * members + 0.5, (1 - value) * members + 0.5, size=resamples)
    return _span(value, exact_interval(value * members, members, level)), likely


def _resample_patients(truth, called, groups, rng, resamples):
    """Sensitivities and specificities (2, resamples) of patients drawn with replacement.

    Those with a positive image and those without are drawn apart, so that both stay as many.
    """
    outcome = 2 * ~truth + (truth != called)  # found, missed, cleared, false alarm
    _, patient = np.unique(groups, return_inverse=True)
    counts = np.zeros((patient.max() + 1, 4), dtype=int)
    np.add.at(counts, (patient, outcome), 1)
    ill = counts[:, :2].any(axis=1)
    totals = np.zeros((resamples, 4), dtype=int)
    for stratum in (counts[ill], counts[~ill]):
        if len(stratum):
            # patients of equal counts are drawn together
            rows, times = np.unique(stratum, axis=0, return_counts=True)
            totals += rng.multinomial(len(stratum), times / len(stratum), size=resamples) @ rows
    with np.errstate(invalid="ignore"):  # 0/0
        rates = totals[:, [0, 2]] / (totals[:, [0, 2]] + totals[:, [1, 3]])
    return rates.T


def _quantiles(draws, level):
    """The middle `level` of the draws that are defined."""
    defined = draws[~np.isnan(draws)]
    if not defined.size:
        return np.nan, np.nan
    tail = (1 - level) / 2
    low, high = np.quantile(defined, [tail, 1 - tail])
    return float(low), float(high)


def _span(value, interval):
    """An Estimate whose interval holds its value: the quantiles of draws may end just beside it."""
    if np.isnan(value):
        return Estimate(value, np.nan, np.nan)
    low, high = interval
    return Estimate(value, min(low, value), max(high, value))


def read_groups(groups, n):
    """Patients as an array (n,). Raises BmixError for another length or a row without one."""
    array = np.asarray(from_torch(groups))
    if array.shape != (n,):
        raise BmixError(f"groups must name the patient of each of {n} images, got {array.shape}")
    missing = np.flatnonzero(pd.isna(array))
    if missing.size:
        raise BmixError(f"groups must name the patient of each image, row {missing[0]} has none")
    return array.astype(str) if array.dtype == object else array
