import itertools
import math
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from bmix_lite.base.errors import BmixError, require_choice
from bmix_lite.distribution import (
    SAMPLINGS,
    class_probabilities,
    count_classes,
    effective_probabilities,
    expected_distinct,
    expected_draws,
    imbalance_ratio,
    lam_density,
    lorenz_curve,
    mean_lam,
    median_lam,
    mixed_class_probabilities,
    progressive_probabilities,
    register_sampling,
    sampling_probabilities,
)

pytestmark = pytest.mark.filterwarnings("error", "ignore::pytest.PytestUnraisableExceptionWarning")

ALPHAS = [0.1, 0.2, 0.3, 1.0, 2.5]
counts_lists = st.lists(st.integers(1, 10**7), min_size=1, max_size=12)
shares = st.floats(0, 1)
few = settings(max_examples=60)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.int64, list])
def test_images_are_counted_by_class_number(dtype):
    labels = [2, 0, 0, 1, 2, 2]
    labels = labels if dtype is list else np.array(labels, dtype)
    assert count_classes(labels).tolist() == [2, 1, 3]
    assert count_classes(labels, 3).tolist() == [2, 1, 3]


@pytest.mark.parametrize(
    ("labels", "num_classes", "message"),
    [
        ([0, 1, -1, -2], None, r"labels must lie in 0\.\.1, got -1 in row 2"),
        ([0, 1, 2], 2, r"labels must lie in 0\.\.1, got 2 in row 2"),
        ([0, 2, 2, 4], None, r"classes \[1, 3\] have none"),
        ([0, 1], 4, r"classes \[2, 3\] have none"),
        ([1, 2, 3], None, r"classes \[0\] have none"),
        ([0.0, 1.0], None, "labels must be integers .* got dtype float64"),
        ([True, False], None, "labels must be integers .* got dtype bool"),
        (["0", "1"], None, "labels must be integers .* got dtype <U1"),
        ([], None, r"labels must be a non-empty \(N,\) array, got shape \(0,\)"),
        ([[0, 1]], None, r"got shape \(1, 2\)"),
    ],
)
def test_labels_that_cannot_be_counted_are_refused_in_words(labels, num_classes, message):
    with pytest.raises(BmixError, match=message):
        count_classes(labels, num_classes)


@pytest.mark.parametrize(
    ("q", "expected"),
    [
        (1, [0.90, 0.09, 0.01]),
        (
            0.5,
            [
                30 / (40 + math.sqrt(90)),
                math.sqrt(90) / (40 + math.sqrt(90)),
                10 / (40 + math.sqrt(90)),
            ],
        ),
        (0, [1 / 3, 1 / 3, 1 / 3]),
    ],
)
def test_class_shares_of_900_90_and_10_images_with_10_times_100_as_hand_computed(q, expected):
    counts = [900, 90, 10] if q != 0.5 else [900, 90, 100]
    assert class_probabilities(counts, q) == pytest.approx(expected, abs=1e-15)


@few
@given(counts_lists, shares, st.integers(1, 1000))
def test_class_shares_sum_to_one_follow_n_to_the_q_and_ignore_the_scale(counts, q, factor):
    p = class_probabilities(counts, q)
    assert p.sum() == pytest.approx(1, abs=1e-12)
    assert p / p[0] == pytest.approx([(n / counts[0]) ** q for n in counts], rel=1e-9)
    assert class_probabilities([n * factor for n in counts], q) == pytest.approx(p, rel=1e-9)


@pytest.mark.parametrize(
    "q", [-0.1, 1.1, float("nan"), float("inf"), "0.5", "progressive", None, True]
)
def test_q_outside_zero_to_one_is_refused_with_its_value(q):
    with pytest.raises(BmixError, match=r"q must be a number in \[0, 1\], got ") as caught:
        class_probabilities([3, 2], q)
    assert repr(q) in str(caught.value)


@pytest.mark.parametrize(
    "counts", [[3, 0], [3, -1], [3, 0.5], [3, float("nan")], [3, float("inf")], [], [[3, 2]]]
)
@pytest.mark.parametrize("function", [lambda c: class_probabilities(c, 0), imbalance_ratio])
def test_counts_need_an_image_in_every_class(function, counts):
    with pytest.raises(
        BmixError, match=r"counts must be .* at least one image in every class, got "
    ):
        function(counts)


def test_progressive_shares_go_from_instance_to_class_balanced_in_equal_steps():
    counts = [70, 20, 10]
    steps = [progressive_probabilities(counts, epoch, 5) for epoch in range(1, 6)]
    assert steps[0] == pytest.approx([0.7, 0.2, 0.1])
    assert steps[1] == pytest.approx([0.75 * p + 0.25 / 3 for p in (0.7, 0.2, 0.1)])
    assert steps[4] == pytest.approx([1 / 3] * 3)
    assert np.diff(steps, 2, axis=0) == pytest.approx(0, abs=1e-15)
    assert progressive_probabilities(counts, 1, 1) == pytest.approx([1 / 3] * 3)


@pytest.mark.parametrize("epoch", [0, 6, -1])
def test_a_progressive_epoch_outside_the_run_is_refused(epoch):
    with pytest.raises(BmixError, match=rf"epoch must lie in 1\.\.5, got {epoch}"):
        progressive_probabilities([3, 1], epoch, 5)


@pytest.mark.parametrize("beta", ["0.9", "0.999", "0.9999"])
@pytest.mark.parametrize("counts", [[900, 90, 10], [1, 2, 5000], [7, 7]])
def test_effective_shares_follow_the_formula_of_cui_in_exact_fractions(counts, beta):
    exact = [n * (1 - Fraction(beta)) / (1 - Fraction(beta) ** n) for n in counts]
    expected = [float(weight / sum(exact)) for weight in exact]
    assert effective_probabilities(counts, float(beta)) == pytest.approx(expected, rel=1e-9)


def test_an_effective_number_sums_the_geometric_series_of_beta():
    # E_3 = 1 + b + b**2 (Cui et al.): classes of 3 and 1 weigh 3 / 1.75 and 1 at 1/2
    assert effective_probabilities([3, 1], 0.5) == pytest.approx(
        [(3 / 1.75) / (3 / 1.75 + 1), 1 / (3 / 1.75 + 1)]
    )


@few
@given(counts_lists)
def test_effective_shares_lie_between_instance_and_class_balanced_and_reach_both(counts):
    uniform = np.full(len(counts), 1 / len(counts))
    assert effective_probabilities(counts, 0) == pytest.approx(
        class_probabilities(counts, 1), rel=1e-12
    )
    assert effective_probabilities([n % 100 + 1 for n in counts], 1 - 1e-9) == pytest.approx(
        uniform, rel=1e-5
    )
    found = effective_probabilities(counts)
    assert found.max() / found.min() <= imbalance_ratio(counts) * (1 + 1e-9)
    assert (
        np.diff(found[np.argsort(counts)]) >= -1e-12
    ).all()  # the larger class is never drawn less


@pytest.mark.parametrize("beta", [-0.1, 1, float("nan")])
def test_beta_outside_zero_to_one_is_refused(beta):
    with pytest.raises(BmixError, match=rf"beta must lie in \[0, 1\), got {beta}"):
        effective_probabilities([3, 1], beta)


def test_a_stream_goes_by_number_or_by_name():
    assert (
        sampling_probabilities([9, 1], 0.5, 1, None).tolist()
        == class_probabilities([9, 1], 0.5).tolist()
    )
    assert sampling_probabilities([9, 1], "progressive", 2, 4) == pytest.approx(
        progressive_probabilities([9, 1], 2, 4)
    )
    assert (
        sampling_probabilities([9, 1], "effective", 2, 4).tolist()
        == effective_probabilities([9, 1]).tolist()
    )
    with pytest.raises(
        BmixError, match=r"q must be one of progressive, effective.*, got 'efective'.*'effective'"
    ):
        sampling_probabilities([9, 1], "efective", 1, 4)


@pytest.fixture
def own_samplings(monkeypatch):
    for name in SAMPLINGS:  # so that the names of a test end with it
        monkeypatch.setitem(SAMPLINGS, name, SAMPLINGS[name])
    yield
    for name in set(SAMPLINGS) - {"progressive", "effective"}:
        del SAMPLINGS[name]


def test_a_stream_of_ones_own_is_scaled_to_shares_and_may_change_with_the_epoch(own_samplings):
    register_sampling("mine", lambda counts, epoch, epochs: counts * epoch + epochs)
    assert sampling_probabilities([9, 1], "mine", 3, 5).tolist() == [32 / 40, 8 / 40]
    register_sampling("mine", lambda counts, epoch, epochs: [0, 2])  # a cell that is run again
    assert sampling_probabilities([9, 1], "mine", 3, 5).tolist() == [0, 1]


@pytest.mark.parametrize("bad", [[1, 2, 3], [1, -1], [0, 0], [1, float("nan")], 0.5, [[1, 2]]])
def test_a_stream_of_ones_own_that_returns_no_weights_is_refused_by_name(own_samplings, bad):
    register_sampling("mine", lambda counts, epoch, epochs: bad)
    with pytest.raises(
        BmixError, match=r"the sampling 'mine' must return 2 weights >= 0, one per class, got"
    ):
        sampling_probabilities([9, 1], "mine", 1, 5)


@pytest.mark.parametrize(
    ("name", "function", "message"),
    [
        ("effective", abs, "'effective' is a sampling of bmix_lite: give yours another name"),
        ("my own", abs, "the name of a sampling must be one word, got 'my own'"),
        (3, abs, "the name of a sampling must be one word, got 3"),
        ("mine", [1, 2], r"the sampling 'mine' must be a function, got \[1, 2\]"),
    ],
)
def test_a_stream_of_ones_own_needs_a_new_name_and_a_function(name, function, message):
    before = dict(SAMPLINGS)
    with pytest.raises(BmixError, match=message):
        register_sampling(name, function)
    assert before == SAMPLINGS


def test_imbalance_ratio_is_largest_over_smallest():
    assert imbalance_ratio([20, 5, 500]) == 100.0


@pytest.mark.parametrize("alpha", ALPHAS)
def test_lam_has_the_mean_median_and_density_of_a_beta_alpha_1(alpha):
    beta, lam = stats.beta(alpha, 1), np.linspace(0.001, 1, 50)
    assert mean_lam(alpha) == pytest.approx(beta.mean(), rel=1e-12)
    assert median_lam(alpha) == pytest.approx(beta.median(), rel=1e-9)
    assert lam_density(lam, alpha) == pytest.approx(beta.pdf(lam), rel=1e-9)


def test_half_of_all_weights_lie_below_a_thousandth_at_alpha_one_tenth():
    assert median_lam(0.1) == pytest.approx(1 / 1024)


def test_without_alpha_all_mass_of_lam_sits_at_zero():
    assert mean_lam(0) == median_lam(0) == 0
    with pytest.raises(BmixError, match="alpha must be above 0"):
        lam_density(0.5, 0)


@pytest.mark.parametrize("alpha", [1e-300, 1e-8, 1e6, 1e300])
def test_extreme_alpha_gives_shares_not_nan(alpha):
    mixed = mixed_class_probabilities([9, 1], 1, alpha)
    assert mixed == pytest.approx([0.9, 0.1] if alpha < 1 else [0.5, 0.5], abs=1e-5)
    assert 0 <= median_lam(alpha) <= 1


@pytest.mark.parametrize("alpha", [-0.2, float("nan"), float("inf"), "0.5", None, True])
@pytest.mark.parametrize("function", [mean_lam, median_lam, lambda a: lam_density(0.5, a)])
def test_alpha_that_is_no_finite_number_from_zero_is_refused_with_its_value(function, alpha):
    with pytest.raises(BmixError, match="alpha must be a finite number >= 0, got ") as caught:
        function(alpha)
    assert repr(alpha) in str(caught.value)


@pytest.mark.parametrize("lam", [-0.1, 1.1, float("nan"), [0.5, 2]])
def test_lam_outside_its_range_is_refused(lam):
    with pytest.raises(BmixError, match="lam must lie in"):
        lam_density(lam, 0.2)


@pytest.mark.parametrize("alpha", [0.1, 0.2, 1.0])
@pytest.mark.parametrize("q", [0, 0.5, 1])
def test_mixed_shares_are_the_mean_over_beta_of_the_mixture(q, alpha):
    base, beta = class_probabilities([900, 90, 10], q), stats.beta(alpha, 1)
    mixtures = [lambda u, p=p: (1 - beta.ppf(u)) * p + beta.ppf(u) / 3 for p in base]
    expected = [integrate.quad(mixture, 0, 1)[0] for mixture in mixtures]
    assert mixed_class_probabilities([900, 90, 10], q, alpha) == pytest.approx(expected, rel=1e-6)


@few
@given(counts_lists, shares, st.floats(0, 1e6))
def test_mixed_shares_are_base_shares_plus_alpha_over_c_over_one_plus_alpha(counts, q, alpha):
    base, mixed = class_probabilities(counts, q), mixed_class_probabilities(counts, q, alpha)
    assert mixed == pytest.approx((base + alpha / len(counts)) / (1 + alpha), rel=1e-9)
    assert mixed.sum() == pytest.approx(1, abs=1e-12)


def test_rarest_class_of_900_90_10_gets_hand_computed_shares():
    assert mixed_class_probabilities([900, 90, 10], 1, 0.2)[2] == pytest.approx(0.0638888888888889)
    assert (
        mixed_class_probabilities([900, 90, 10], 1, 0).tolist()
        == class_probabilities([900, 90, 10], 1).tolist()
    )


@pytest.mark.parametrize(
    ("counts", "q", "draws"), [([2, 1], 0, 3), ([2, 1], 0.5, 4), ([3, 1, 1], 1, 4), ([1], 0, 5)]
)
def test_expected_draws_and_distinct_images_equal_the_sum_over_every_possible_epoch(
    counts, q, draws
):
    images = np.repeat(np.arange(len(counts)), counts)
    chance = (class_probabilities(counts, q) / counts)[images]
    drawn, distinct = np.zeros(len(images)), np.zeros(len(counts))
    for epoch in itertools.product(range(len(images)), repeat=draws):
        weight = np.prod(chance[list(epoch)])
        drawn += weight * np.bincount(epoch, minlength=len(images))
        distinct += weight * np.bincount(images[list(set(epoch))], minlength=len(counts))
    assert expected_draws(counts, q, draws)[images] == pytest.approx(drawn, rel=1e-12)
    assert expected_distinct(counts, q, draws) == pytest.approx(distinct, rel=1e-12)


def test_a_balanced_epoch_repeats_one_of_10_images_in_1000_over_33_times():
    assert expected_draws([900, 90, 10], 0, 1000) == pytest.approx(
        [1000 / 2700, 1000 / 270, 1000 / 30]
    )
    assert expected_draws([900, 90, 10], 1, 1000) == pytest.approx([1, 1, 1])


def test_expected_distinct_agrees_with_simulated_draws():
    counts, draws, rng = np.array([60, 9, 2]), 50, np.random.default_rng(0)
    images = np.repeat([0, 1, 2], counts)
    chance = (class_probabilities(counts, 0.5) / counts)[images]
    epochs = rng.choice(len(images), (20_000, draws), p=chance)
    hit = np.zeros((len(epochs), len(images)))
    hit[np.arange(len(epochs))[:, None], epochs] = 1
    distinct = np.stack([hit[:, images == j].sum(axis=1) for j in range(3)], axis=1)
    error = distinct.std(axis=0) / np.sqrt(len(epochs))
    assert (
        np.abs(distinct.mean(axis=0) - expected_distinct(counts, 0.5, draws)) < 5 * error + 1e-9
    ).all()


def test_expected_distinct_keeps_its_digits_for_huge_classes():
    assert expected_distinct([10**12, 10**12], 0, 10) == pytest.approx([5, 5], rel=1e-9)


def test_an_unknown_choice_names_the_argument_the_choices_and_the_nearest_one():
    with pytest.raises(
        BmixError, match=r"loss must be one of focal, none, got 'fokal'; did you mean 'focal'\?"
    ):
        require_choice("loss", "fokal", ("focal", "none"))
    with pytest.raises(BmixError, match=r"got 3$"):
        require_choice("loss", 3, ("focal", "none"))


def test_arguments_are_also_checked_under_python_minus_o():
    code = "from bmix_lite.distribution import mean_lam; mean_lam(-1)"
    ran = subprocess.run(
        [sys.executable, "-O", "-c", code], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 1
    assert "BmixError: alpha must be a finite number >= 0, got -1" in ran.stderr


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int64])
def test_numpy_numbers_are_numbers(kind):
    assert mean_lam(kind(1)) == 0.5
    assert class_probabilities([3, 1], kind(1)).tolist() == [0.75, 0.25]


def test_decks_show_as_many_images_as_are_dealt_and_no_more_than_there_are():
    # two classes, three draws: K ~ Binomial(3, 1/2) cards of each,
    # E[min(K, 1)] = 7/8, E[min(K, 2)] = 11/8
    assert expected_distinct([2, 1], 0, 3, replacement=False) == pytest.approx([11 / 8, 7 / 8])


@given(st.lists(st.integers(1, 60), min_size=1, max_size=5), st.integers(1, 300))
def test_decks_never_show_fewer_images_than_drawing_with_replacement(counts, draws):
    decks, replaced = (
        expected_distinct(counts, 0, draws, replacement=flag) for flag in (False, True)
    )
    assert np.all(decks >= replaced - 1e-9)
    assert np.all(decks <= np.minimum(counts, draws / len(counts) + 1e-9) + 1e-9)


@given(st.lists(st.integers(1, 10_000), min_size=1, max_size=30))
def test_a_lorenz_curve_rises_from_zero_to_one_below_the_diagonal(counts):
    at, held = lorenz_curve(counts)
    assert (at[0], held[0]) == (0, 0)
    assert (at[-1], held[-1]) == pytest.approx((1, 1))
    assert np.all(np.diff(held) > 0)
    assert np.all(held <= at + 1e-12)
    assert np.all(np.diff(held, n=2) >= -1e-12)


def test_the_rarest_two_of_three_classes_hold_a_tenth_of_90_9_1():
    assert lorenz_curve([9, 90, 1])[1] == pytest.approx([0, 0.01, 0.1, 1])
