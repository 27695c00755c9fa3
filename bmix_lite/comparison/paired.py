"""Two methods compared over pairs of runs: tests, interval, what so many pairs could show.

Arrays only. `gaps` (..., n) are the differences of n pairs, here of equal splits or equal seeds.
`overlap` is n_test / n_train where the pairs are splits of one dataset, which share images, and 0
where they are seeds on one split. What is not defined (fewer than two pairs, all differences
the same) is NaN.
"""

import numpy as np
from scipy import stats

from bmix_lite.base.errors import BmixError
from bmix_lite.base.randomness import stream
from bmix_lite.comparison.estimates import Estimate, find_p

PATTERNS = 2**15  # of signs that are counted one by one; beyond that as many are drawn


def compare_means(gaps, overlap=0.0):
    """Two-sided p of the paired t test (...), corrected if training sets overlap.

    The corrected variance of the mean is s**2 * (1/n + n_test/n_train) (Nadeau and Bengio, Machine
    Learning 52, 2003).
    """
    return find_p(estimate_mean(gaps, overlap))


def flip_signs(gaps, *, seed=0):
    """Two-sided p of the sign-flip permutation test (...): which share of signs is as extreme.

    Exact up to 2**15 patterns (15 pairs); beyond that 2**15 are drawn, the one observed among them,
    so p is never 0. Under the null p falls below a limit at most as often as the limit says. p is
    never below `lowest_p`.
    """
    gaps = _check(gaps)
    pairs = gaps.shape[-1]
    if pairs < 2:
        return np.full(gaps.shape[:-1], np.nan)
    distance = np.abs(gaps.sum(axis=-1))
    slack = 1e-9 * np.abs(gaps).sum(axis=-1)  # sums that are equal but for rounding count as equal

    def is_as_far(flipped, axis):
        return np.abs(flipped.sum(axis=axis)) >= distance - slack

    test = stats.permutation_test(
        (gaps,),
        is_as_far,
        permutation_type="samples",  # of a single sample: its signs are flipped
        alternative="greater",
        # SciPy adds the one observed to those drawn
        n_resamples=PATTERNS if 2**pairs <= PATTERNS else PATTERNS - 1,
        axis=-1,
        random_state=stream(seed, "sign flips"),  # named `rng` since SciPy 1.15
    )
    return np.where(differ(gaps), test.pvalue, np.nan)


def rank_signs(gaps, *, seed=0):
    """Two-sided p of Wilcoxon's signed-rank test (...), as exact as `flip_signs`, also with ties.

    Differences of 0 keep no rank, as Wilcoxon left them out; equal ones share their mean rank.
    SciPy's `wilcoxon` is exact with ties only through a `PermutationMethod`, which ranks anew for
    every pattern: 1.7 seconds for 15 pairs.
    """
    gaps = _check(gaps)
    size = np.abs(gaps).round(12)  # scores are fractions of few images: the last bit hides no tie
    ranks = stats.rankdata(size, axis=-1) - np.sum(size == 0, axis=-1, keepdims=True)
    return flip_signs(np.where(size > 0, np.sign(gaps) * ranks, 0.0), seed=seed)


def lowest_p(pairs):
    """The lowest two-sided p that signs or ranks of so many pairs can give: 0.0625 with 5 pairs."""
    return min(1.0, 2.0 ** (1 - pairs))


def correct_holm(p):
    """p values (n,) corrected for n comparisons by Holm; NaN stays, and counts for none.

    Source: Scandinavian Journal of Statistics 6, 1979.
    """
    p = np.asarray(p, dtype=float)
    count = int(np.sum(~np.isnan(p)))
    ascending = np.argsort(p)[:count]  # NaN comes last
    steps = p[ascending] * np.arange(count, 0, -1)
    corrected = np.full(p.shape, np.nan)
    corrected[ascending] = np.minimum(1, np.maximum.accumulate(steps))
    return corrected


def estimate_mean(gaps, overlap=0.0, variances=None, freedom=None):
    """The `Estimate` of the mean difference (...) of gaps (..., n).

    variances (...), freedom: of the gaps where they are known better than from these gaps alone,
    see `moderated.share_variances`.
    """
    gaps = _check(gaps)
    if not np.isfinite(overlap) or overlap < 0:
        raise BmixError(f"overlap must be n_test / n_train, a number >= 0, got {overlap!r}")
    count = gaps.shape[-1]
    mean = gaps.mean(axis=-1)
    if variances is None:
        variances = gaps.var(axis=-1, ddof=1) if count > 1 else np.full(mean.shape, np.nan)
        freedom = count - 1
    error = np.sqrt(variances * (1 / count + overlap))
    return Estimate(mean, np.where(differ(gaps), error, np.nan), np.maximum(freedom, 1))


def _check(gaps):
    gaps = np.asarray(gaps, dtype=float)
    if gaps.ndim == 0 or gaps.shape[-1] == 0:
        raise BmixError(f"differences must be (..., n) with n > 0, got shape {gaps.shape}")
    bad = gaps[~np.isfinite(gaps)]
    if bad.size:
        raise BmixError(f"differences must be finite, got {bad[:1]}")
    return gaps


def differ(gaps):
    """True (...) where two differences or more are not all the same but for rounding."""
    if gaps.shape[-1] < 2:
        return np.zeros(gaps.shape[:-1], bool)
    return np.ptp(gaps, axis=-1) > 1e-12
