import numpy as np
import pytest
from sklearn import metrics as sk

from bmix_lite.base.errors import BmixError
from bmix_lite.comparison.curves import decision_curve, sensitivity_at, trace_precision
from test_metrics import random_case

SCORES = np.array([0.9, 0.6, 0.2, 0.6, 0.1])
HAND = np.stack([1 - SCORES, SCORES], axis=1), np.array([1, 1, 1, 0, 0])


@pytest.mark.parametrize("seed", range(10))
def test_precision_and_sensitivity_are_scikit_learn_s(seed):
    labels, probabilities = random_case(seed)
    truth, scores = labels == 1, probabilities[:, 1]
    expected = sk.precision_recall_curve(truth, scores)
    found = trace_precision(probabilities, labels, positive=1)
    for ours, theirs in zip(found, expected, strict=True):
        assert ours == pytest.approx(theirs)
    false_alarms, recalls, _ = sk.roc_curve(truth, scores, drop_intermediate=False)
    for least in (0.5, 0.8, 1):
        best = recalls[1 - false_alarms >= least - 1e-9].max()
        assert sensitivity_at(probabilities, labels, positive=1, specificity=least) == best


def test_precision_at_another_prevalence_is_that_of_images_repeated_to_it():
    probabilities, labels = HAND
    repeats = np.where(labels == 1, 2, 27)  # 6 of 60
    precision, recall, _ = trace_precision(probabilities, labels, positive=1, prevalence=0.1)
    repeated = trace_precision(
        np.repeat(probabilities, repeats, axis=0), np.repeat(labels, repeats), positive=1
    )
    assert precision == pytest.approx(repeated[0])
    assert recall == pytest.approx(repeated[1])
    assert precision[0] == pytest.approx(0.1)


def test_net_benefit_by_hand():
    table = decision_curve(*HAND, positive=1, thresholds=[0.5, 0.6, 0.75])
    assert table["model"].tolist() == pytest.approx(
        [2 / 5 - 1 / 5, 2 / 5 - 1 / 5 * 1.5, 1 / 5]  # a score of 0.6 is acted upon at 0.6
    )
    assert table["all"].tolist() == pytest.approx([0.6 - 0.4, 0.6 - 0.4 * 1.5, 0.6 - 0.4 * 3])
    assert table["none"].tolist() == [0, 0, 0]
    assert table.index.tolist() == [0.5, 0.6, 0.75]


def test_net_benefit_at_a_prevalence_is_that_of_images_repeated_to_it():
    probabilities, labels = HAND
    repeats = np.where(labels == 1, 2, 27)
    expected = decision_curve(
        np.repeat(probabilities, repeats, axis=0), np.repeat(labels, repeats), positive=1
    )
    found = decision_curve(probabilities, labels, positive=1, prevalence=0.1)
    assert found.to_numpy() == pytest.approx(expected.to_numpy())


def test_a_perfect_model_gains_the_prevalence_and_acting_on_all_gains_nothing_there():
    labels = np.array([1, 0, 0, 0])
    table = decision_curve(np.eye(2)[labels], labels, positive=1)
    assert table["model"].to_numpy() == pytest.approx(np.full(99, 0.25))
    assert table.loc[0.25, "all"] == pytest.approx(0)
    assert table["all"].is_monotonic_decreasing


@pytest.mark.parametrize("thresholds", [[0, 0.5], [0.5, 1], [], [np.nan], 0.5])
def test_thresholds_that_no_one_could_act_at_are_refused(thresholds):
    with pytest.raises(BmixError, match="thresholds must be a list of numbers above 0 and below 1"):
        decision_curve(*HAND, positive=1, thresholds=thresholds)


def test_curves_need_both_kinds_of_image():
    probabilities, _ = HAND
    for function in (trace_precision, decision_curve):
        with pytest.raises(BmixError, match="without images of class 1"):
            function(probabilities, np.zeros(5, int), positive=1)
