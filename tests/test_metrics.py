import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as sk

from bmix_lite.base.errors import BmixError
from bmix_lite.comparison.intervals import bootstrap_intervals
from bmix_lite.metrics import (
    METRICS,
    bin_confidence,
    confusion_matrix,
    expected_calibration_error,
    per_class_auc,
    require_metric,
    score,
    score_matrix,
)

pytestmark = pytest.mark.filterwarnings("error", "ignore::pytest.PytestUnraisableExceptionWarning")


def one_hot(predicted, num_classes):
    return np.eye(num_classes)[predicted]


def random_case(seed):
    """All classes present; every second case has probabilities in 64ths, which tie."""
    rng = np.random.default_rng(seed)
    c = int(rng.integers(2, 7))
    n = int(rng.integers(c + 3, 80))
    labels = rng.permutation(
        np.concatenate([np.arange(c), rng.choice(c, n - c, p=rng.dirichlet(np.ones(c)))])
    )
    probabilities = rng.dirichlet(np.ones(c), n)
    if seed % 2:
        probabilities = rng.multinomial(64, probabilities) / 64
    return labels, probabilities


def by_hand(y, s):
    n, c = s.shape
    p = np.array([row.tolist().index(max(row)) for row in s])
    m = np.zeros((c, c))
    np.add.at(m, (y, p), 1)
    true, predicted, hit = m.sum(1), m.sum(0), np.diag(m)
    weights = (np.arange(c)[:, None] - np.arange(c)) ** 2
    sign_y, sign_p = (np.sign(a[:, None] - a) for a in (y, p))
    spread = np.sqrt((n**2 - (true**2).sum()) * (n**2 - (predicted**2).sum()))
    average_precision = [ap_by_hand(y == j, s[:, j]) for j in range(c)]
    greater = [s[y == j, j][:, None] - s[y != j, j] for j in range(c)]
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "accuracy": hit.sum() / n,
            "balanced_accuracy": (hit / true).mean(),
            "macro_f1": (2 * hit / (true + predicted)).mean(),
            "mcc": (hit.sum() * n - true @ predicted) / spread if spread else 0.0,
            "kappa": 1 - n * (weights * m).sum() / (true @ weights @ predicted),
            "kendall_tau": (sign_y * sign_p).sum() / np.sqrt((sign_y**2).sum() * (sign_p**2).sum()),
            "macro_auc": np.mean([(g > 0).mean() + (g == 0).mean() / 2 for g in greater]),
            "recall": hit / true,
            "precision": hit / predicted,
            "specificity": (n - true - predicted + hit) / (n - true),
            "macro_ap": np.mean(average_precision),
            "average_precision": average_precision,
            "confusion": m,
        }


def ap_by_hand(positive, s):
    """Mean over the positives of the precision among all that score at least as high."""
    return np.mean([positive[s >= lowest].mean() for lowest in s[positive]])


def by_library(y, s):
    c, p = s.shape[1], s.argmax(1)
    precision, recall, f1, _ = sk.precision_recall_fscore_support(
        y, p, labels=range(c), zero_division=np.nan
    )
    parts = sk.multilabel_confusion_matrix(y, p, labels=range(c))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", stats.ConstantInputWarning)
        tau = stats.kendalltau(y, p, variant="b").statistic
    return {
        "accuracy": sk.accuracy_score(y, p),
        "balanced_accuracy": recall.mean(),
        "macro_f1": f1.mean(),
        "mcc": sk.matthews_corrcoef(y, p),
        "kappa": sk.cohen_kappa_score(y, p, weights="quadratic", labels=range(c)),
        "kendall_tau": tau,
        "macro_auc": sk.roc_auc_score(
            y, s if c > 2 else s[:, 1], multi_class="ovr", labels=range(c)
        ),
        "recall": recall,
        "precision": precision,
        "specificity": parts[:, 0, 0] / parts[:, 0].sum(axis=1),
        "confusion": sk.confusion_matrix(y, p, labels=range(c)),
    }


@pytest.mark.parametrize(
    "start", [0, *(pytest.param(k, marks=pytest.mark.nightly) for k in range(200, 1000, 200))]
)
def test_metrics_equal_scikit_learn_scipy_and_hand_on_200_random_cases(start):
    for seed in range(start, start + 200):
        labels, probabilities = random_case(seed)
        ours = score(labels, probabilities)
        for oracle in (by_library, by_hand):
            for name, expected in oracle(labels, probabilities).items():
                np.testing.assert_allclose(
                    ours[name], expected, rtol=0, atol=1e-12, err_msg=f"{name}, case {seed}"
                )


def test_the_confusion_matrix_has_true_classes_in_rows_and_all_classes():
    assert confusion_matrix([0, 0, 1, 1], [0, 1, 1, 1], 3).tolist() == [
        [1, 1, 0],
        [0, 2, 0],
        [0, 0, 0],
    ]


def test_an_absent_class_is_left_out_and_named():  # H01
    labels, predicted = [0, 0, 1, 1], [0, 2, 1, 1]
    result = score(labels, one_hot(predicted, 4))
    assert result["balanced_accuracy"] == pytest.approx((1 / 2 + 1) / 2)
    assert result["macro_f1"] == pytest.approx((2 / 3 + 1 + 0) / 3)
    assert result["macro_auc"] == pytest.approx((0.75 + 1) / 2)
    assert np.isnan(result["recall"]).tolist() == [False, False, True, True]
    assert np.isnan(result["precision"]).tolist() == [False, False, False, True]
    assert result["specificity"] == pytest.approx([1, 1, 3 / 4, 1])
    assert np.isnan(result["average_precision"]).tolist() == [False, False, True, True]
    assert result["macro_ap"] == pytest.approx(((1 + 2 / 4) / 2 + 1) / 2)
    assert np.shape(result["confusion"]) == (4, 4)
    assert result["notes"] == [
        "no image of class 2, 3: left out of balanced_accuracy, macro_auc and macro_ap",
        "class 3 neither present nor predicted: left out of macro_f1",
    ]


def test_one_against_rest_auc_is_nan_only_for_the_absent_class():
    values = per_class_auc(
        np.array([0, 0, 1]), np.array([[0.9, 0.1, 0], [0.4, 0.5, 0.1], [0.3, 0.5, 0.2]])
    )
    assert values == pytest.approx([1, 0.75, np.nan], nan_ok=True)


def test_kappa_counts_the_distance_over_a_class_that_nobody_has():  # H02
    labels, predicted = [0, 0, 1, 3, 3, 3], [0, 1, 1, 3, 1, 0]
    weights = sum((a - b) ** 2 for a, b in zip(labels, predicted, strict=True))
    chance = sum((a - b) ** 2 for a in labels for b in predicted) / 6
    assert score(labels, one_hot(predicted, 4))["kappa"] == pytest.approx(1 - weights / chance)
    assert sk.cohen_kappa_score(labels, predicted, weights="quadratic") != pytest.approx(
        1 - weights / chance
    )


def test_a_constant_prediction_agrees_no_better_than_chance():  # H03
    result = score([0, 0, 1, 2], one_hot([0, 0, 0, 0], 3))
    assert (result["mcc"], result["kappa"]) == (0, 0)
    assert result["balanced_accuracy"] == pytest.approx(1 / 3)
    assert result["macro_f1"] == pytest.approx((4 / 6) / 3)
    assert np.isnan(result["kendall_tau"])
    assert result["notes"] == [
        "kendall_tau is undefined: labels or predictions are all of one class"
    ]
    assert np.isnan(result["precision"]).tolist() == [False, True, True]


@pytest.mark.parametrize("n", [1, 5])
def test_constant_truth_and_prediction_leave_agreement_undefined_in_words(n):  # H04, H06
    result = score([1] * n, one_hot([1] * n, 3))
    assert [result[name] for name in ("accuracy", "balanced_accuracy", "macro_f1", "ece")] == [
        1,
        1,
        1,
        0,
    ]
    for name in ("mcc", "kappa", "kendall_tau", "macro_auc"):
        assert np.isnan(result[name])
        assert sum(f"{name} is undefined: " in note for note in result["notes"]) == 1


def test_one_wrong_prediction_alone_scores_zero():  # H06
    result = score([1], one_hot([2], 3))
    assert [
        result[name] for name in ("accuracy", "balanced_accuracy", "macro_f1", "mcc", "kappa")
    ] == [0] * 5
    assert result["ece"] == 1


@pytest.mark.parametrize("scorer", [score, bootstrap_intervals])
@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([0.5, np.nan], r"row \[1\]: probabilities must be finite, >= 0 and sum to 1"),
        ([np.inf, 0], r"row \[1\]: probabilities must be finite"),
        ([1.5, -0.5], r"row \[1\]: probabilities must be finite, >= 0"),
        ([0.5, 0.6], r"row \[1\]: .* sum to 1: \[\[0\.5 0\.6\]\]"),
        ([0.4, 0.5], r"row \[1\]: .* sum to 1: \[\[0\.4 0\.5\]\]"),
    ],
)
def test_a_row_that_is_no_distribution_is_refused_by_its_number(scorer, row, message):  # H05
    with pytest.raises(BmixError, match=message):
        scorer([0, 1, 0], [[1, 0], row, [np.nan, 0]])


@pytest.mark.parametrize(
    ("labels", "probabilities", "message"),
    [
        (np.zeros(0, int), np.zeros((0, 3)), "nothing to score: 0 predictions"),
        ([0, 2], np.eye(2), r"row \[1\]: label \[2\] is not in 0\.\.1"),
        ([0, -1], np.eye(2), r"row \[1\]: label \[-1\] is not in 0\.\.1"),
        ([0, 1.0], np.eye(2), "labels must be integers, got dtype float64"),
        ([0, 1, 1], np.eye(2), r"got labels \(3,\) and probabilities \(2, 2\)"),
        ([0, 1], [1, 0], r"got labels \(2,\) and probabilities \(2,\)"),
    ],
)
def test_predictions_that_cannot_be_scored_are_refused_in_words(
    labels, probabilities, message
):  # H06
    with pytest.raises(BmixError, match=message):
        score(labels, probabilities)


def test_float32_softmax_of_a_thousand_classes_is_accepted():
    logits = np.random.default_rng(0).normal(0, 3, (50, 1000)).astype(np.float32)
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True, dtype=np.float32)
    assert score(np.arange(50), probabilities, ("accuracy",))["accuracy"] == np.mean(
        logits.argmax(1) == np.arange(50)
    )


def test_of_tied_probabilities_the_lowest_class_is_predicted():  # H07
    result = score(
        [0, 1, 2, 1], [[0.5, 0.5, 0], [0.25, 0.375, 0.375], [0.25, 0.375, 0.375], [0.5, 0.5, 0]]
    )
    assert result["confusion"] == [[1, 0, 0], [1, 1, 0], [0, 1, 0]]


def test_only_the_metrics_asked_for_are_computed():
    result = score([0, 1], np.eye(2), ("mcc",))
    assert set(result) == {"mcc", "recall", "precision", "specificity", "confusion", "notes"}
    assert "average_precision" in score([0, 1], np.eye(2), ("macro_ap",))
    assert set(METRICS) <= set(score([0, 1], np.eye(2)))


@pytest.mark.parametrize("call", [require_metric, lambda name: score([0, 1], np.eye(2), (name,))])
def test_an_unknown_metric_is_refused_with_the_nearest_one(call):
    with pytest.raises(
        BmixError,
        match=r"metric must be one of accuracy, .* got 'macro_fi'; did you mean 'macro_f1'",
    ):
        call("macro_fi")


@pytest.mark.parametrize(
    ("labels", "confidence", "expected"),
    [
        ([0, 1, 0], [0.9, 0.9, 0.6], (0.8 + 0.4) / 3),
        ([0, 1], [0.6, 0.58], 0.18 / 2),  # 0.6 is the upper edge of the ninth bin
        ([0, 1], [0.61, 0.58], (0.39 + 0.58) / 2),
        ([0, 0], [1, 1], 0),
        ([1, 1], [1, 1], 1),
        ([0] * 3 + [1], [0.75] * 4, 0),
    ],
)
def test_calibration_error_of_hand_computed_bins(labels, confidence, expected):
    probabilities = np.array([[c, 1 - c] for c in confidence])
    assert expected_calibration_error(np.array(labels), probabilities) == pytest.approx(
        expected, abs=1e-12
    )
    assert score(labels, probabilities)["ece"] == pytest.approx(expected, abs=1e-12)


def test_calibration_error_equals_a_sum_over_fifteen_bins():
    labels, probabilities = random_case(0)
    confidence, correct = probabilities.max(1), probabilities.argmax(1) == labels
    expected = 0
    for low in np.arange(15) / 15:
        inside = (confidence > low) & (confidence <= low + 1 / 15)
        if inside.any():
            expected += inside.mean() * abs(correct[inside].mean() - confidence[inside].mean())
    assert expected_calibration_error(labels, probabilities) == pytest.approx(expected)


@given(
    st.integers(2, 5).flatmap(
        lambda c: st.lists(st.tuples(*[st.integers(0, c - 1)] * 2, st.just(c)), min_size=1)
    )
)
def test_a_matrix_scores_what_the_images_that_it_counts_score(pairs):
    labels, predicted, (classes, *_) = map(np.array, zip(*pairs, strict=True))
    matrix = confusion_matrix(labels, predicted, classes)
    names = ("accuracy", "balanced_accuracy", "macro_f1", "mcc", "kappa")
    expected = score(labels, one_hot(predicted, classes), names)
    found = score_matrix(matrix)
    assert tuple(found) == names
    assert found == pytest.approx({name: expected[name] for name in names}, nan_ok=True, abs=1e-12)


@given(st.integers(2, 5), st.integers(0, 2**32 - 1), st.floats(0.01, 100))
def test_scores_of_a_matrix_do_not_change_with_its_unit(classes, seed, unit):
    matrix = np.random.default_rng(seed).integers(0, 4, (classes, classes)) + np.eye(classes)
    assert score_matrix(matrix * unit) == pytest.approx(score_matrix(matrix), abs=1e-9)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=5).filter(any), st.booleans(), st.data())
def test_where_fractions_of_images_are_all_predicted_alike_mcc_is_exactly_zero(
    column, turned, data
):
    matrix = np.zeros([len(column)] * 2)
    alone = data.draw(st.integers(0, len(column) - 1))
    matrix[:, alone] = column
    undefined = matrix.sum() == matrix[alone, alone]
    found = score_matrix(matrix.T if turned else matrix, ["mcc"])["mcc"]
    assert np.isnan(found) if undefined and np.count_nonzero(matrix) == 1 else found == 0


def test_rounding_of_fractions_does_not_make_a_constant_prediction_undefined():
    matrix = np.zeros((4, 4))
    matrix[:, 1] = [
        0.991,
        0.293,
        0.968,
        0.507,
    ]  # for which scikit-learn takes the root of a negative number
    assert score_matrix(matrix)["mcc"] == 0


def test_scores_of_a_matrix_by_hand():
    assert score_matrix([[3, 1], [0, 4]]) == pytest.approx(
        {"accuracy": 7 / 8, "balanced_accuracy": 7 / 8, "macro_f1": (6 / 7 + 8 / 9) / 2}
        | {"mcc": 12 / np.sqrt(3 * 5 * 4 * 4), "kappa": 0.75}
    )
    assert score_matrix([[3, 1], [0, 4]], ["accuracy"]) == {"accuracy": 7 / 8}


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        ([[1, 2]], r"must be \(C, C\), C >= 2, got \(1, 2\)"),
        ([1, 2], r"got \(2,\)"),
        ([[1]], r"got \(1, 1\)"),
        ([[1, -2], [0, 1]], r"finite and >= 0, got \[-2"),
        ([[1, np.nan], [0, 1]], r"finite and >= 0, got \[nan\]"),
        ([[0, 0], [0, 0]], "at least one image"),
    ],
)
def test_what_is_no_confusion_matrix_is_refused(matrix, message):
    with pytest.raises(BmixError, match=message):
        score_matrix(matrix)


def test_a_metric_that_needs_probabilities_cannot_be_had_from_counts():
    with pytest.raises(BmixError, match=r"metric must be one of accuracy, .* got 'macro_auc'"):
        score_matrix([[1, 0], [0, 1]], ["macro_auc"])


def test_the_upper_edge_belongs_to_a_bin_and_ties_go_to_the_lowest_class():
    probabilities = [[1, 0], [0.6, 0.4], [0.61, 0.39], [0.5, 0.5]]
    bins, confidence, correct = bin_confidence(np.array([0, 1, 0, 0]), np.array(probabilities))
    assert bins.tolist() == [14, 8, 9, 7]
    assert confidence.tolist() == [1, 0.6, 0.61, 0.5]
    assert correct.tolist() == [True, False, True, True]
