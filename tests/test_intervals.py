import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bmix_lite.errors import BmixError
from bmix_lite.intervals import metric_interval, metric_range, recall_intervals
from bmix_lite.metrics import METRICS, mean_interval, score

pytestmark = pytest.mark.filterwarnings("error")


def test_an_interval_within_the_range_is_student_s():
    values = [0.81, 0.79, 0.84, 0.8, 0.77]
    assert metric_interval(values, "accuracy") == pytest.approx(mean_interval(values))
    assert metric_interval(values, "accuracy", 0.5) == pytest.approx(mean_interval(values, 0.5))


def test_an_interval_ends_where_its_metric_does():
    assert mean_interval([0.9, 0.99])[2] > 1
    assert metric_interval([0.9, 0.99], "test_balanced_accuracy") == pytest.approx((0.945, 0.373229, 1), abs=1e-5)
    assert metric_interval([0.01, 0.1], "accuracy")[1] == 0
    assert metric_interval([0.01, 0.1], "val_kappa")[1] < 0
    assert metric_interval([-0.9, -0.5], "mcc")[1] == -1


def test_one_value_has_a_mean_only_and_none_has_nothing():
    assert metric_interval([0.7], "mcc") == pytest.approx((0.7, np.nan, np.nan), nan_ok=True)
    assert np.isnan(metric_interval([], "mcc")).all()


@given(st.lists(st.integers(0, 100), min_size=2, max_size=3))
def test_cutting_never_takes_away_a_value_that_a_mean_can_have(values):
    shares = np.array(values) / 100
    cut, whole = metric_interval(shares, "accuracy"), mean_interval(shares)
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
        oracle = stats.binomtest(matrix[row][row], sum(matrix[row])).proportion_ci(level, method="exact")
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
