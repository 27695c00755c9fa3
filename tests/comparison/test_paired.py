import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from bmix_lite.base.errors import BmixError
from bmix_lite.comparison.paired import (
    compare_means,
    correct_holm,
    flip_signs,
    lowest_p,
    rank_signs,
)
from comparison.in_one import bound_mean, smallest_detectable

pytestmark = pytest.mark.filterwarnings("error", "ignore::pytest.PytestUnraisableExceptionWarning")
FIVE = [0.03, -0.01, 0.04, 0.02, 0.05]
SIMULATIONS = 2_000
differences = st.lists(st.integers(-400, 400), min_size=2, max_size=8).filter(
    lambda values: len(set(values)) > 1
)


def draw_cases(sizes):
    rng = np.random.default_rng(0)
    return [rng.normal(0.5, 1, n) for n in sizes]


@pytest.mark.parametrize("gaps", [FIVE, *draw_cases([2, 3, 8, 30])])
def test_the_t_test_and_its_interval_are_those_of_scipy(gaps):
    base = np.linspace(0.5, 0.9, len(gaps))
    oracle = stats.ttest_rel(base + gaps, base)
    assert compare_means(gaps) == pytest.approx(oracle.pvalue)
    assert bound_mean(gaps, 0.9) == pytest.approx((np.mean(gaps), *oracle.confidence_interval(0.9)))


def test_folds_are_compared_with_the_variance_of_nadeau_and_bengio():
    # by hand: mean 0.026, s**2 = 0.00053, n = 5, n_test / n_train = 1 / 4, so that
    # t = 0.026 / sqrt(0.00053 * 0.45)
    t = 0.026 / np.sqrt(0.00053 * (1 / 5 + 1 / 4))
    assert t == pytest.approx(1.683562, abs=1e-6)
    assert compare_means(FIVE, 1 / 4) == pytest.approx(2 * stats.t.sf(t, 4))
    mean, low, high = bound_mean(FIVE, 0.95, 1 / 4)
    assert (mean, high - mean, mean - low) == pytest.approx(
        (0.026, *[2.776445 * 0.026 / t] * 2), abs=1e-7
    )


@pytest.mark.parametrize(
    "gaps", [FIVE, [0.1, 0.1, -0.1, 0.2], [0, 0, 0.1, 0.2], *draw_cases([2, 5, 9])]
)
def test_flipped_signs_count_what_scipy_permutes(gaps):
    oracle = stats.permutation_test(
        (np.array(gaps), np.zeros(len(gaps))),
        lambda a, b: round(np.mean(a - b), 12),
        permutation_type="samples",
        vectorized=False,
        n_resamples=np.inf,
    )
    assert flip_signs(gaps) == pytest.approx(oracle.pvalue)


def test_beyond_fifteen_pairs_signs_are_drawn_the_same_with_each_seed_and_near_the_exact_p():
    gaps = np.random.default_rng(1).integers(-3, 6, 20) / 400
    exact = _p_by_convolution(gaps * 400)
    drawn = [flip_signs(gaps, seed=seed) for seed in range(20)]
    spread = np.sqrt(exact * (1 - exact) / 2**15)
    assert drawn == pytest.approx([exact] * 20, abs=5 * spread)
    assert len(set(map(float, drawn))) > 1
    assert flip_signs(gaps, seed=3) == drawn[3]
    assert flip_signs(np.arange(1, 41)) == 1 / 2**15


def _p_by_convolution(whole):
    """Exact two-sided p of whole-numbered differences: how their sum is distributed over signs."""
    size = np.abs(whole).astype(int)
    middle = size.sum()
    probability = np.ones(1)  # of each sum
    for step in size:
        plus = np.pad(probability, (2 * step, 0))
        minus = np.pad(probability, (0, 2 * step))
        probability = (minus + plus) / 2
    sums = np.arange(len(probability)) - middle
    return probability[np.abs(sums) >= abs(whole.sum())].sum()


@pytest.mark.parametrize("gaps", [FIVE, *draw_cases([3, 8, 14])])
def test_wilcoxon_is_that_of_scipy(gaps):
    assert rank_signs(gaps) == pytest.approx(stats.wilcoxon(gaps, method="exact").pvalue)


@pytest.mark.parametrize(
    "gaps", [[0.1, 0.1, -0.1, 0.3], [0, 0.2, 0.1, 0.1, -0.2], [0.3 - 0.2, 0.1, -0.1, 0.2 - 0.1, 0]]
)
def test_ties_share_their_rank_and_zeros_have_none_also_where_the_last_bit_differs(gaps):
    exact = stats.PermutationMethod(n_resamples=np.inf)
    assert rank_signs(gaps) == pytest.approx(stats.wilcoxon(np.round(gaps, 9), method=exact).pvalue)


@pytest.mark.parametrize(
    ("pairs", "floor"), [(1, 1), (2, 0.5), (5, 0.0625), (6, 0.03125), (10, 2 / 1024)]
)
def test_signs_and_ranks_cannot_fall_below_their_floor(pairs, floor):
    gaps = np.arange(1, pairs + 1) / 100
    assert lowest_p(pairs) == floor
    if pairs > 1:
        assert flip_signs(gaps) == rank_signs(gaps) == floor


def test_holm_by_hand():
    # 0.01 * 4, then 0.02 * 3, 0.03 * 2 (not below the one before), 0.04 * 1 likewise; and a case
    # that reaches 1
    assert correct_holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert correct_holm([0.6, 0.001, 0.7]) == pytest.approx([1, 0.003, 1])
    assert correct_holm([0.02, np.nan, 0.03]) == pytest.approx([0.04, np.nan, 0.04], nan_ok=True)
    assert correct_holm([]).shape == (0,)
    assert np.isnan(correct_holm([np.nan, np.nan])).all()
    column = pd.Series([np.nan, 0.02, 0.03])  # as a table holds them
    assert correct_holm(column) == pytest.approx([np.nan, 0.04, 0.04], nan_ok=True)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_keeps_the_order_and_lies_between_the_raw_p_and_bonferroni(p):
    corrected, raw = correct_holm(p), np.array(p)
    assert np.all((corrected >= raw) & (corrected <= np.minimum(1, len(p) * raw)))
    assert np.all(np.diff(corrected[np.argsort(raw)]) >= 0)
    assert corrected.min() == pytest.approx(min(1, len(p) * raw.min()))


def power_by_integral(shift, freedom, limit):
    """Probability that a t test with this noncentrality rejects.

    Normal numerator, chi-squared denominator, integrated over.
    """
    critical = stats.t.isf(limit / 2, freedom)

    def given_spread(chi2):
        edge = critical * np.sqrt(chi2 / freedom)
        rejects = stats.norm.sf(edge - shift) + stats.norm.cdf(-edge - shift)
        return rejects * stats.chi2.pdf(chi2, freedom)

    return integrate.quad(given_spread, 0, np.inf, limit=200)[0]


@pytest.mark.parametrize("limit", [0.05, 0.0125])
@pytest.mark.parametrize("count", [2, 3, 5, 10, 30])
@pytest.mark.parametrize("overlap", [0, 0.25])
def test_the_smallest_detectable_difference_is_found_four_times_in_five(count, limit, overlap):
    gaps = np.random.default_rng(count).normal(size=count)
    error = np.std(gaps, ddof=1) * np.sqrt(1 / count + overlap)
    shift = smallest_detectable(gaps, overlap=overlap, limit=limit) / error
    assert power_by_integral(shift, count - 1, limit) == pytest.approx(0.8, abs=1e-3)


def test_the_smallest_detectable_difference_agrees_with_simulated_experiments():
    gaps = stats.zscore(np.arange(5.0), ddof=1)  # spread 1
    true = smallest_detectable(gaps)
    assert true == pytest.approx(1.6823, abs=2e-3)  # standard deviations, with 5 pairs
    rejected = compare_means(np.random.default_rng(0).normal(true, 1, (20_000, 5))) < 0.05
    assert np.mean(rejected) == pytest.approx(0.8, abs=0.014)  # five standard errors


def draw_seeds(count, simulations=SIMULATIONS):
    return np.random.default_rng(7).normal(0, 0.02, (simulations, count))


@pytest.mark.parametrize("count", [3, 5, 10])
def test_the_t_test_over_seeds_errs_in_five_percent_of_null_experiments(count):
    assert np.mean(compare_means(draw_seeds(count)) < 0.05) == pytest.approx(0.05, abs=0.01)


def test_flipped_signs_err_in_no_more_than_five_percent_of_null_experiments():
    # 10 pairs give p in steps of 2 / 1024, so p < 0.05 has the probability 25 / 512 = 0.0488;
    # 5 pairs never reach it
    assert np.mean(flip_signs(draw_seeds(10)) < 0.05) == pytest.approx(25 / 512, abs=0.01)
    assert np.mean(rank_signs(draw_seeds(10)) < 0.05) <= 0.05 + 0.01
    assert not np.any(flip_signs(draw_seeds(5)) < 0.05)


def test_flipped_signs_stay_exact_where_differences_are_far_from_normal():
    heavy = np.random.default_rng(7).standard_t(1, (SIMULATIONS, 10))
    assert np.mean(flip_signs(heavy) < 0.05) == pytest.approx(25 / 512, abs=0.01)


def test_holm_keeps_the_chance_of_any_false_verdict_among_four_methods_below_five_percent():
    # five methods that do not differ
    scores = np.random.default_rng(7).normal(0.8, 0.02, (SIMULATIONS, 5, 5))
    p = compare_means(scores[:, 1:] - scores[:, :1])
    assert np.mean([correct_holm(row).min() < 0.05 for row in p]) <= 0.05 + 0.01
    assert np.mean(p.min(axis=1) < 0.05) > 0.10  # what it would be without


@pytest.mark.parametrize("folds", [5, 10])
def test_folds_with_overlapping_training_sets_fool_the_plain_t_test_and_not_the_corrected_one(
    folds,
):
    # differences of folds correlate with rho = n_test / (n_train + n_test) = 1 / folds (Nadeau and
    # Bengio 2003); then var(mean) / E[s**2] = 1 / folds + rho / (1 - rho), which is their factor:
    # the corrected test is exact, the plain one errs as often as a t of folds - 1 degrees of
    # freedom passes its limit shrunk by the two factors' ratio
    rho = 1 / folds
    rng = np.random.default_rng(7)
    shared = rng.normal(size=(SIMULATIONS, 1))
    alone = rng.normal(size=(SIMULATIONS, folds))
    gaps = np.sqrt(rho) * shared + np.sqrt(1 - rho) * alone
    shrunk = np.sqrt((1 / folds) / (1 / folds + 1 / (folds - 1)))
    plain = 2 * stats.t.sf(stats.t.isf(0.025, folds - 1) * shrunk, folds - 1)
    assert plain > 0.13
    assert np.mean(compare_means(gaps) < 0.05) == pytest.approx(plain, abs=0.02)
    corrected = compare_means(gaps, overlap=1 / (folds - 1))
    assert np.mean(corrected < 0.05) == pytest.approx(0.05, abs=0.01)


def test_flipped_signs_and_ranks_do_not_know_of_overlap_either():
    rng = np.random.default_rng(7)
    shared = rng.normal(size=(SIMULATIONS, 1))
    alone = rng.normal(size=(SIMULATIONS, 10))
    gaps = np.sqrt(0.1) * shared + np.sqrt(0.9) * alone
    for test in (flip_signs, rank_signs):
        assert np.mean(test(gaps) < 0.05) > 0.10


@given(differences, st.floats(0.001, 1000), st.sampled_from([-1, 1]), st.floats(0, 2))
def test_p_knows_neither_scale_nor_direction_and_detectable_differences_scale(
    values, scale, sign, overlap
):
    gaps = np.array(values) / 400
    for test in (lambda x: compare_means(x, overlap), flip_signs):
        assert test(scale * sign * gaps) == pytest.approx(test(gaps), rel=1e-6)
    assert rank_signs(sign * gaps) == rank_signs(gaps)
    smallest = smallest_detectable(gaps, overlap=overlap)
    assert smallest_detectable(scale * gaps, overlap=overlap) == pytest.approx(scale * smallest)


@given(differences, st.floats(0, 2))
def test_an_interval_leaves_out_zero_where_p_is_below_the_limit_and_overlap_only_weakens(
    values, overlap
):
    p, (_, low, high) = compare_means(values, overlap), bound_mean(values, 0.95, overlap)
    if abs(p - 0.05) > 1e-9:
        assert (p < 0.05) == (not low <= 0 <= high)
    assert p >= compare_means(values) - 1e-12
    assert lowest_p(len(values)) <= flip_signs(values) <= 1


@pytest.mark.parametrize("gaps", [[0.1], [0.1, 0.1, 0.1], [0.0, 0.0], [0.3 - 0.2, 0.1]])
def test_one_pair_or_equal_differences_have_a_mean_and_nothing_else(gaps):
    mean, low, high = bound_mean(gaps)
    assert mean == pytest.approx(gaps[0])
    everything = [
        low,
        high,
        compare_means(gaps),
        flip_signs(gaps),
        rank_signs(gaps),
        smallest_detectable(gaps),
    ]
    assert np.isnan(everything).all()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: compare_means([]),
            r"differences must be \(\.\.\., n\) with n > 0, got shape \(0,\)",
        ),
        (lambda: flip_signs([0.1, np.nan]), r"differences must be finite, got \[nan\]"),
        (
            lambda: bound_mean(FIVE, overlap=-1),
            "overlap must be n_test / n_train, a number >= 0, got -1",
        ),
        (
            lambda: smallest_detectable(FIVE, limit=0.9),
            "need 0 < limit < power < 1, got limit 0.9 and power 0.8",
        ),
    ],
)
def test_what_cannot_be_compared_is_refused_in_words(call, words):
    with pytest.raises(BmixError, match=words):
        call()
