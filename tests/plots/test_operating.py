import numpy as np
import pytest
from sklearn import metrics as sk

from bmix_lite.base.errors import BmixError
from bmix_lite.plots.operating import plot_decision_curve, plot_precision_recall
from plots.test_predictions import make_predictions, random_predictions, split

# scores of class 1: 0.9, 0.4 for class 1; 0.6, 0.1 for class 0
HAND = make_predictions([1, 1, 0, 0], [[0.1, 0.9], [0.6, 0.4], [0.4, 0.6], [0.9, 0.1]])


def test_precision_by_hand_holds_from_one_recall_to_the_next():
    chance, curve = plot_precision_recall({"m": HAND}, ["no", "yes"], 1).data
    assert chance.y == (0.5, 0.5)
    assert curve.y[np.asarray(curve.x) <= 0.5] == pytest.approx(1)
    assert curve.y[np.asarray(curve.x) > 0.5] == pytest.approx(2 / 3)
    assert curve.name == "m: 0.833"


def test_the_area_under_a_mean_curve_is_the_mean_average_precision_of_its_runs():
    predictions = random_predictions(4, n=200)
    runs = split(predictions)
    labels = predictions["label"].to_numpy()[:200]
    figure = plot_precision_recall({"m": predictions}, list("abcd"), 2)
    expected = np.mean(
        [sk.average_precision_score(labels == 2, probabilities[:, 2]) for _, probabilities in runs]
    )
    assert np.mean(figure.data[1].y[1:]) == pytest.approx(expected, abs=1e-3)
    assert figure.data[1].name.startswith(f"m: {expected:.3f} (")


def test_a_class_without_images_has_no_curve_and_a_note():
    predictions = random_predictions(3, absent=(1,))
    figure = plot_precision_recall({"m": predictions}, list("abc"), 1)
    assert figure.layout.annotations[0].text.startswith("No curve")
    assert figure.data[1].name == "m: not defined"


def test_a_decision_curve_shows_the_mean_net_benefit_beside_all_and_none():
    everyone, nobody, curve = plot_decision_curve({"m": HAND}, ["no", "yes"], 1).data
    at_half = list(curve.x).index(0.5)
    assert curve.y[at_half] == pytest.approx(1 / 4 - 1 / 4)
    assert everyone.y[at_half] == pytest.approx(0)
    assert set(nobody.y) == {0}
    assert curve.y[list(curve.x).index(0.4)] == pytest.approx(2 / 4 - 1 / 4 * 0.4 / 0.6)


def test_several_classes_count_as_one_and_the_prevalence_is_said():
    tables = {"<b>one</b>": random_predictions(4), "two": random_predictions(4)}
    figure = plot_decision_curve(tables, list("abcd"), [2, 3], prevalence=0.1)
    assert "c or d" in figure.layout.title.text
    assert "prevalence 0.1" in figure.layout.title.subtitle.text
    assert figure.data[2].name == "&lt;b&gt;one&lt;/b&gt;"
    assert np.asarray(figure.data[2].y).max() <= 0.1 + 1e-12


def test_no_method_and_no_such_class_are_refused():
    for function in (plot_precision_recall, plot_decision_curve):
        with pytest.raises(BmixError, match="at least one method"):
            function({}, ["a", "b"], 1)
    with pytest.raises(BmixError, match="which must be one of 0, 1, got 2"):
        plot_precision_recall({"m": HAND}, ["a", "b"], 2)
