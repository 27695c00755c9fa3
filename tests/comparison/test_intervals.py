import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bmix_lite.base.errors import BmixError
from bmix_lite.comparison.intervals import (
    bootstrap_intervals,
    chance_calibration_error,
    count_effective,
    draw_recalls,
    metric_range,
    recall_intervals,
)
from bmix_lite.comparison.levels import bound_column
from bmix_lite.metrics import METRICS, score
from test_metrics import one_hot, random_case

SIMULATIONS = 400

pytestmark = pytest.mark.filterwarnings("error", "ignore::pytest.PytestUnraisableExceptionWarning")


def metric_interval(values, metric, level=0.95):
    """(mean, low, high) of one number per seed, as tables and figures give it."""
    return bound_column(pd.DataFrame({metric: values}), metric, level)[:3]


def student(values, level=0.95):
    """The same, not cut, by scipy."""
    mean, error = np.mean(values), stats.sem(values)
    if np.ptp(values) == 0:
        return mean, mean, mean
    return mean, *stats.t.interval(level, len(values) - 1, loc=mean, scale=error)


def test_an_interval_within_the_range_is_student_s():
    values = [0.81, 0.79, 0.84, 0.8, 0.77]
    assert metric_interval(values, "accuracy") == pytest.approx(student(values))
    assert metric_interval(values, "accuracy", 0.5) == pytest.approx(student(values, 0.5))


def test_an_interval_ends_where_its_metric_does():
    assert student([0.9, 0.99])[2] > 1
    assert metric_interval([0.9, 0.99], "test_balanced_accuracy") == pytest.approx(
        (0.945, 0.373229, 1), abs=1e-5
    )
    assert metric_interval([0.01, 0.1], "accuracy")[1] == 0
    assert metric_interval([0.01, 0.1], "val_kappa")[1] < 0
    assert metric_interval([-0.9, -0.5], "mcc")[1] == -1


def test_one_value_has_a_mean_only_and_none_has_nothing():
    assert metric_interval([0.7], "mcc") == pytest.approx((0.7, np.nan, np.nan), nan_ok=True)
    assert np.isnan(metric_interval([], "mcc")).all()


@given(st.lists(st.integers(0, 100), min_size=2, max_size=3))
def test_cutting_never_takes_away_a_value_that_a_mean_can_have(values):
    shares = np.array(values) / 100
    cut, whole = metric_interval(shares, "accuracy"), student(shares)
    for truth in np.linspace(0, 1, 11):
        assert (whole[1] <= truth <= whole[2]) == (cut[1] <= truth <= cut[2])


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=3, max_size=12))
def test_no_metric_leaves_its_range(pairs):
    labels, predicted = map(np.array, zip(*pairs, strict=True))
    result = score(labels, np.eye(3)[predicted])
    for name in METRICS:
        lowest, highest = metric_range(name)
        assert np.isnan(result[name]) or lowest - 1e-12 <= result[name] <= highest + 1e-12


@pytest.mark.parametrize("level", [0.95, 0.5])
def test_the_interval_of_a_recall_is_the_exact_one_of_scipy(level):
    matrix = [[7, 3, 0], [0, 1, 0], [2, 2, 0]]
    for row, (low, high) in enumerate(recall_intervals(matrix, level)):
        oracle = stats.binomtest(matrix[row][row], sum(matrix[row])).proportion_ci(
            level, method="exact"
        )
        assert (low, high) == pytest.approx((oracle.low, oracle.high))


def test_one_image_found_of_one_leaves_its_recall_open():
    intervals = recall_intervals([[1, 0], [0, 0]])
    assert intervals[0] == pytest.approx([0.025, 1])
    assert np.isnan(intervals[1]).all()


@pytest.mark.parametrize(
    ("matrix", "words"),
    [
        ([[1, 2]], r"a confusion matrix is \(C, C\), got shape \(1, 2\)"),
        ([[0.5, 1], [1, 1]], "counts must be whole numbers of 0 or more, got float64"),
        ([[-1, 1], [1, 1]], "counts must be whole numbers of 0 or more, got int64 with minimum -1"),
    ],
)
def test_what_is_no_confusion_matrix_is_refused(matrix, words):
    with pytest.raises(BmixError, match=words):
        recall_intervals(matrix)


@pytest.mark.parametrize("level", [0.95, 0.5])
def test_the_interval_of_an_accuracy_of_one_class_has_the_limits_of_jeffreys(level):
    labels, predicted = np.zeros(100, int), np.repeat([0, 1], [80, 20])
    found = bootstrap_intervals(
        labels, one_hot(predicted, 2), ("accuracy",), resamples=20_000, level=level
    )["accuracy"]
    expected = stats.beta.interval(level, 80.5, 20.5)
    assert found == pytest.approx(expected, abs=0.004)


def test_recalls_of_classes_are_drawn_apart_and_average_to_the_balanced_accuracy():
    labels = np.repeat([0, 1], [90, 60])
    predicted = np.where(np.arange(150) % 10 < 8, labels, 1 - labels)
    draws = draw_recalls(labels, predicted == labels, draws=20_000)
    assert draws.mean(axis=0) == pytest.approx([72.5 / 91, 48.5 / 61], abs=2e-3)
    assert draws.std(axis=0) == pytest.approx(
        [stats.beta.std(72.5, 18.5), stats.beta.std(48.5, 12.5)], rel=0.03
    )
    found = bootstrap_intervals(
        labels, one_hot(predicted, 2), ("balanced_accuracy",), resamples=20_000
    )["balanced_accuracy"]
    assert found == pytest.approx(np.quantile(draws.mean(axis=1), [0.025, 0.975]))


def cover(counts, recalls, *, groups=None, simulations=SIMULATIONS):
    """Share of simulated test sets whose interval of the balanced accuracy covers the true one.

    groups: images per patient, who is right with a chance of his own
    """
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(len(counts)), counts)
    covered = 0
    for seed in range(simulations):
        chance = np.repeat(recalls, counts)
        patients = None
        if groups:
            patients = np.arange(len(labels)) // groups
            rates = rng.beta(2 * chance, 2 * (1 - chance))
            chance = rates[patients * groups]
        predicted = np.where(rng.random(len(labels)) < chance, labels, (labels + 1) % len(counts))
        low, high = bootstrap_intervals(
            labels,
            one_hot(predicted, len(counts)),
            ("balanced_accuracy",),
            groups=patients,
            seed=seed,
        )["balanced_accuracy"]
        covered += low <= np.mean(recalls) <= high
    return covered / simulations


@pytest.mark.parametrize(
    ("counts", "recalls"),
    [
        ((90, 60), (0.9, 0.6)),
        ((200, 50, 20, 8, 3), (0.95, 0.9, 0.8, 0.7, 0.5)),
        ((200, 50, 20, 8, 3), (0.95, 0.9, 0.9, 0.9, 0.9)),
        ((100, 10, 1), (0.9, 0.7, 0.6)),
    ],
)
def test_the_interval_covers_the_true_balanced_accuracy_also_with_tiny_classes(counts, recalls):
    # resampled within classes it covers 0.81 with 3 images in the rarest class, 0.28 with one
    assert 0.92 <= cover(counts, recalls) <= 1


def test_patients_are_resampled_whole_so_that_their_images_do_not_count_for_many():
    counts, recalls = (160, 80, 40), (0.9, 0.7, 0.6)
    assert cover(counts, recalls, groups=4) >= 0.92


def test_groups_of_one_image_are_images_and_of_equal_images_count_once():
    right = np.random.default_rng(0).random(200) < 0.7
    assert count_effective(right, np.arange(200)) == pytest.approx(199, abs=1)
    assert count_effective(np.repeat(right, 5), np.repeat(np.arange(200), 5)) == 200
    assert count_effective([True] * 8, [0, 0, 0, 0, 1, 1, 1, 1]) == 2


def test_other_metrics_resample_patients_too():
    rng = np.random.default_rng(3)
    labels = np.tile([0, 1], 60)
    predicted = np.where(rng.random(30)[np.arange(120) // 4] < 0.7, labels, 1 - labels)
    probabilities = one_hot(predicted, 2)
    alone = bootstrap_intervals(labels, probabilities, ("mcc",), resamples=300)["mcc"]
    whole = bootstrap_intervals(
        labels, probabilities, ("mcc",), groups=np.arange(120) // 4, resamples=300
    )["mcc"]
    assert np.ptp(whole) > 1.5 * np.ptp(alone)  # four images of a patient err together: twice


@pytest.mark.parametrize(
    ("groups", "words"),
    [
        ([0, 1], r"groups must be \(4,\), one for each image, got shape \(2,\)"),
        ([7] * 4, "groups must be at least 2: one patient says nothing of others"),
    ],
)
def test_groups_that_do_not_fit_are_refused(groups, words):
    with pytest.raises(BmixError, match=words):
        bootstrap_intervals([0, 0, 1, 1], one_hot([0, 0, 1, 1], 2), groups=groups)


def test_five_images_that_are_right_do_not_make_it_certain():
    found = bootstrap_intervals([0] * 5, one_hot([0] * 5, 2), ("accuracy",), resamples=20_000)
    assert found["accuracy"] == pytest.approx(stats.beta.interval(0.95, 5.5, 0.5), abs=0.02)


def test_the_intervals_are_those_of_scipy_s_bootstrap():
    rng = np.random.default_rng(3)
    labels = np.repeat([0, 1, 2], [60, 40, 30])
    predicted = np.where(rng.random(130) < 0.7, labels, rng.integers(0, 3, 130))
    low, high = bootstrap_intervals(
        labels, one_hot(predicted, 3), ("balanced_accuracy",), resamples=500
    )["balanced_accuracy"]
    # stratified: one sample per class
    right = [(predicted == labels)[labels == j].astype(float) for j in range(3)]
    oracle = stats.bootstrap(
        right,
        lambda *parts, axis=-1: sum(part.mean(axis=axis) for part in parts) / 3,
        method="percentile",
        n_resamples=4000,
        rng=np.random.default_rng(0),
    ).confidence_interval
    assert (low, high) == pytest.approx((oracle.low, oracle.high), abs=0.02)


@pytest.mark.parametrize(
    ("gap", "images", "at_least"), [(0.0, 100, 20), (0.05, 100, 30), (0.1, 400, 27)]
)
def test_the_interval_of_the_calibration_error_reaches_down_to_the_true_one(gap, images, at_least):
    # confidence is `gap` too high in every bin, so the true error is `gap`; of these 40 data sets
    # percentiles cover it in 0, about 6 and about 37; nothing covers 0, the end of the range, as
    # often as it should
    rng = np.random.default_rng(0)
    covered = 0
    for seed in range(40):
        confidence, labels = rng.uniform(0.55, 1, images), rng.integers(0, 2, images)
        predicted = np.where(rng.random(images) < confidence - gap, labels, 1 - labels)
        probabilities = np.where(
            one_hot(predicted, 2) == 1, confidence[:, None], 1 - confidence[:, None]
        )
        low, high = bootstrap_intervals(labels, probabilities, ("ece",), resamples=100, seed=seed)[
            "ece"
        ]
        assert 0 <= low <= high
        covered += low <= gap <= high
    assert covered >= at_least


@pytest.mark.parametrize("seed", [200, pytest.param(201, marks=pytest.mark.nightly)])
def test_bootstrap_intervals_contain_the_value_itself_and_repeat_with_their_seed(seed):
    labels, probabilities = random_case(seed)
    # resampling adds noise to the gaps: ece is biased upwards
    names = [name for name in METRICS if name != "ece"]
    values = score(labels, probabilities, names)
    intervals = bootstrap_intervals(labels, probabilities, names, resamples=60, seed=1)
    for name, (low, high) in intervals.items():
        assert low < values[name] < high, name
    assert intervals == bootstrap_intervals(labels, probabilities, names, resamples=60, seed=1)
    assert intervals != bootstrap_intervals(labels, probabilities, names, resamples=60, seed=2)


def test_the_interval_of_an_undefined_metric_is_undefined_without_a_warning():
    intervals = bootstrap_intervals([0] * 5, one_hot([0] * 5, 2), resamples=5)
    assert np.isnan(
        [intervals[name] for name in ("mcc", "kappa", "kendall_tau", "macro_auc")]
    ).all()


@pytest.mark.parametrize(("images", "confidence"), [(10, 0.8), (40, 0.55), (100, 0.95)])
def test_the_calibration_error_by_chance_is_the_mean_deviation_of_a_binomial(images, confidence):
    probabilities = np.tile([confidence, 1 - confidence], (images, 1))
    right = np.arange(images + 1)
    expected = np.sum(
        stats.binom.pmf(right, images, confidence) * np.abs(right / images - confidence)
    )
    # 0.02 of the mean is about five standard errors: the deviation scatters by less than its mean
    assert chance_calibration_error(probabilities, resamples=60_000) == pytest.approx(
        expected, rel=0.02
    )


def test_certain_predictions_have_no_calibration_error_by_chance_and_a_seed_gives_it_again():
    assert chance_calibration_error([[1.0, 0.0], [0.0, 1.0]]) == 0
    assert chance_calibration_error([[0.6, 0.4]] * 9) == chance_calibration_error([[0.6, 0.4]] * 9)
    assert chance_calibration_error([[0.6, 0.4]] * 9) != chance_calibration_error(
        [[0.6, 0.4]] * 9, seed=1
    )
