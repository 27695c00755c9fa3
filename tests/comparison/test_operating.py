import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from bmix_lite import operating_point
from bmix_lite.base.errors import BmixError
from test_metrics import random_case

# class 1 at 0.9, 0.8, 0.4 and 0.2; class 0 at 0.7, 0.4, 0.3, 0.2, 0.1 and 0.0
SCORES = np.array([0.9, 0.8, 0.4, 0.2, 0.7, 0.4, 0.3, 0.2, 0.1, 0.0])
LABELS = np.array([1] * 4 + [0] * 6)
HAND = np.stack([1 - SCORES, SCORES], axis=1)
TEN_TO_ONE = {"false_negative": 10, "false_positive": 1}


@pytest.mark.parametrize(
    ("aim", "threshold", "sensitivity", "specificity"),
    [
        (dict(min_recall=0.5), 0.75, 2 / 4, 1),
        (dict(min_recall=0.51), 0.35, 3 / 4, 4 / 6),
        (dict(min_recall=1), 0.15, 1, 2 / 6),
        (dict(min_specificity=1), 0.75, 2 / 4, 1),
        (dict(min_specificity=4 / 6), 0.35, 3 / 4, 4 / 6),
        (dict(min_specificity=0.1), 0.15, 1, 2 / 6),
        (dict(costs=TEN_TO_ONE), 0.15, 1, 2 / 6),  # 4 alarms; 0.35 costs one miss, 10, and 2
        (dict(costs={"false_negative": 1, "false_positive": 3}), 0.75, 2 / 4, 1),
        (dict(costs=TEN_TO_ONE, prevalence=0.01), 0.75, 2 / 4, 1),
        (dict(prevalence=0.4), 0.35, 3 / 4, 4 / 6),  # 0.3 + 0.2 are called, 0.3 at 0.55
        (dict(prevalence=0.01), 0.75, 2 / 4, 1),  # 0.005 are called
    ],
)
def test_each_aim_chooses_the_threshold_worked_out_by_hand(
    aim, threshold, sensitivity, specificity
):
    point = operating_point(HAND, LABELS, positive=1, **aim)
    found = (point.threshold, point.sensitivity, point.specificity)
    assert found == pytest.approx((threshold, sensitivity, specificity))


def calls_of_every_threshold(scores):
    return [scores >= t for t in [np.inf, *np.unique(scores)]]


@pytest.mark.parametrize("seed", range(20))
def test_no_other_threshold_would_serve_the_aim_better(seed):
    labels, probabilities = random_case(seed)
    classes = probabilities.shape[1]
    positive = list(range(classes // 2, classes))  # "grade 2 and above"
    scores, truth = probabilities[:, positive].sum(axis=1), np.isin(labels, positive)
    sides = []
    for called in calls_of_every_threshold(scores):
        recall = sk.recall_score(truth, called, zero_division=0)
        sides.append((recall, sk.recall_score(~truth, ~called, zero_division=0)))
    share = truth.mean()

    def choose(**aim):
        point = operating_point(probabilities, labels, positive=positive, **aim)
        called = point.call(probabilities)
        assert point.sensitivity == pytest.approx(called[truth].mean())
        assert point.specificity == pytest.approx((~called)[~truth].mean())
        return point

    best = max(specificity for recall, specificity in sides if recall >= 0.8)
    assert choose(min_recall=0.8).specificity == pytest.approx(best)
    best = max(recall for recall, specificity in sides if specificity >= 0.8)
    assert choose(min_specificity=0.8).sensitivity == pytest.approx(best)
    point = choose(costs=TEN_TO_ONE)
    costs = [10 * share * (1 - r) + (1 - share) * (1 - s) for r, s in [*sides, (0.0, 1.0)]]
    cost = 10 * share * (1 - point.sensitivity) + (1 - share) * (1 - point.specificity)
    assert cost == pytest.approx(min(costs))


@given(st.integers(0, 50), st.floats(0.01, 1), st.floats(0.01, 1))
def test_asking_for_more_recall_never_raises_the_threshold(seed, one, other):
    labels, probabilities = random_case(seed)
    less, more = (
        operating_point(probabilities, labels, positive=0, min_recall=least)
        for least in sorted((one, other))
    )
    assert more.threshold <= less.threshold
    assert more.sensitivity >= max(less.sensitivity, max(one, other) - 1e-12)


def test_equal_scores_are_called_alike_and_rounding_in_a_file_moves_none():
    point = operating_point(HAND, LABELS, positive=1, min_recall=0.75)
    called = point.call(HAND)
    assert called[SCORES == 0.4].all()
    assert (point.call(HAND.astype(np.float32)) == called).all()
    assert (point.call(HAND[:-1] + np.array([1e-7, -1e-7])) == called[:-1]).all()


def test_constant_probabilities_leave_two_choices_all_or_none():
    constant = np.full((10, 2), 0.5)
    everything = operating_point(constant, LABELS, positive=1, min_recall=0.1)
    assert (everything.threshold, everything.sensitivity, everything.specificity) == (0, 1, 0)
    nothing = operating_point(constant, LABELS, positive=1, min_specificity=0.1)
    assert (nothing.threshold, nothing.sensitivity, nothing.specificity) == (np.inf, 0, 1)
    assert not nothing.call(np.eye(2)).any()
    assert "called class 1 nowhere" in repr(nothing)


def test_neighbouring_floats_stay_on_their_sides():
    scores = np.array([0.5, np.nextafter(0.5, 1)])
    probabilities = np.stack([1 - scores, scores], axis=1)
    point = operating_point(probabilities, [0, 1], positive=1, min_recall=1)
    assert point.call(probabilities).tolist() == [False, True]


def test_the_classes_of_a_set_count_as_one_however_they_are_given():
    labels, probabilities = random_case(3)
    points = {
        repr(operating_point(probabilities, labels, positive=positive, min_recall=0.9))
        for positive in ([1, 0], range(2), np.array([0, 1, 1]), torch.tensor([0, 1]))
    }
    assert len(points) == 1
    assert "class 0 or 1" in points.pop()
    tensors = torch.tensor(probabilities), torch.tensor(labels)
    point = operating_point(*tensors, positive=1, min_recall=0.9)
    assert point == operating_point(probabilities, labels, positive=1, min_recall=0.9)


@pytest.mark.parametrize(
    ("aim", "message"),
    [
        (dict(), "give one of min_recall, min_specificity, costs, or prevalence alone; got none"),
        (dict(min_recall=0.9, costs=TEN_TO_ONE), "got min_recall and costs"),
        (dict(min_recall=0), "min_recall must be a number above 0 and at most 1, got 0"),
        (dict(min_specificity=95), "min_specificity must be .* at most 1, got 95"),
        (dict(min_recall=True), "min_recall must be of type float, got True"),
        (dict(prevalence=1), "prevalence must be a number above 0 and below 1, got 1"),
        (dict(prevalence=np.nan), "prevalence must be finite, got nan"),
        (dict(costs=(10, 1)), r'costs must be like \{"false_negative": 10, .* got \(10, 1\)'),
        (dict(costs={"false_negative": 1}), "costs must be like"),
        (dict(costs=TEN_TO_ONE | {"false_positive": 0}), "costs must be above 0"),
        (dict(min_recall=0.9, positive=2), r"positive must be an integer in 0\.\.1, got 2"),
        (dict(min_recall=0.9, positive=[0, 1]), r"not none and not all, got \[0, 1\]"),
        (dict(min_recall=0.9, positive=[]), r"not none and not all, got \[\]"),
        (dict(min_recall=0.9, positive=[False, True]), "positive must be an integer"),
    ],
)
def test_an_aim_that_cannot_be_followed_is_refused_in_words(aim, message):
    with pytest.raises(BmixError, match=message):
        operating_point(HAND, LABELS, **{"positive": 1} | aim)


def test_predictions_that_cannot_be_judged_are_refused_in_words():
    broken = HAND.copy()
    broken[3] = np.nan
    with pytest.raises(BmixError, match=r"row \[3\]: probabilities must be finite"):
        operating_point(broken, LABELS, positive=1, min_recall=0.9)
    with pytest.raises(BmixError, match=r"probabilities .* come first, then labels"):
        operating_point(LABELS, HAND, positive=1, min_recall=0.9)
    with pytest.raises(BmixError, match="without images of class 1, got 10 images"):
        operating_point(HAND, np.zeros(10, int), positive=1, min_recall=0.9)
    with pytest.raises(BmixError, match="without images others than class 1"):
        operating_point(HAND, np.ones(10, int), positive=1, min_recall=0.9)


def test_a_report_counts_other_images_with_the_threshold_as_it_is():
    point = operating_point(HAND, LABELS, positive=1, min_recall=0.75)  # 0.35
    scores = np.array([0.36, 0.34, 0.35, 0.0])
    report = point.report(np.stack([1 - scores, scores], axis=1), [1, 1, 0, 0])
    assert report.counts == {"found": 1, "missed": 1, "false_alarms": 1, "cleared": 1}
    assert report.prevalence == 0.5
    assert (report.ppv.value, report.npv.value) == (0.5, 0.5)
    with pytest.raises(dataclasses.FrozenInstanceError):
        report.level = 0.5


def test_a_report_reads_as_a_paper_would_state_it():
    point = operating_point(HAND, LABELS, positive=1, min_recall=0.75, prevalence=0.1)
    lines = repr(point.report(np.tile(HAND, (4, 1)), np.tile(LABELS, 4))).splitlines()
    assert lines[0].startswith("OperatingReport: class 1, threshold 0.35, chosen for recall of at")
    assert lines[1] == "  sensitivity  0.750 (0.476 to 0.927), 12 of 16"
    assert lines[2] == "  specificity  0.667 (0.447 to 0.844), 16 of 24"
    assert lines[3].startswith("  PPV          0.200 (")
    assert lines[3].endswith(") at prevalence 0.1 (stated)")
    told = "75 found, 25 missed, 300 false alarms, 600 cleared"
    assert lines[5] == f"  of 1,000 at this prevalence: {told}"
    assert lines[6] == (
        "  95 % intervals: other images than these 40 images, taken as of different patients; "
        "not another training, threshold or prevalence"
    )


def test_the_report_repeats_itself_and_its_seed_only_moves_what_is_drawn():
    point = operating_point(HAND, LABELS, positive=1, min_recall=0.75)
    first = point.report(HAND, LABELS)
    assert first == point.report(HAND, LABELS)
    other = point.report(HAND, LABELS, seed=1)
    assert (first.sensitivity, first.specificity) == (other.sensitivity, other.specificity)
    assert first.ppv != other.ppv


def test_a_prevalence_given_to_the_report_goes_before_that_of_the_rule():
    point = operating_point(HAND, LABELS, positive=1, min_recall=0.75, prevalence=0.1)
    assert point.report(HAND, LABELS).prevalence == 0.1
    assert point.report(HAND, LABELS, prevalence=0.3).prevalence == 0.3


def test_a_test_split_without_positives_has_a_specificity_only():
    point = operating_point(HAND, LABELS, positive=1, min_recall=0.75)
    report = point.report(HAND, np.zeros(10, int), prevalence=0.2)
    assert np.isnan([*report.sensitivity, *report.ppv, *report.npv]).all()
    assert report.specificity.value == 0.5
    assert "sensitivity  not defined, 0 of 0" in repr(report)
    assert "of 1,000 at this prevalence: not defined" in repr(report)


def test_patients_that_say_nothing_or_do_not_fit_are_refused():
    point = operating_point(HAND, LABELS, positive=1, min_recall=0.75)
    with pytest.raises(BmixError, match=r"groups must name the patient of each of 10 images"):
        point.report(HAND, LABELS, groups=[1, 2])
    with pytest.raises(BmixError, match=r"groups must name the patient .*, row 4 has none"):
        point.report(HAND, LABELS, groups=["a"] * 4 + [None] + ["b"] * 5)
