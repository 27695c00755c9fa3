import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax
from sklearn import metrics as sk
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator

from bmix_lite.base.errors import BmixError
from bmix_lite.comparison.calibrating import apply_temperature, fit_temperature
from test_metrics import random_case


def draw_labels(seed, n=400, classes=4):
    """Logits, and labels that are drawn from their softmax: a network that is honest."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (n, classes))
    return logits, np.array([rng.choice(classes, p=row) for row in softmax(logits, axis=1)])


class GivenLogits(ClassifierMixin, BaseEstimator):
    def __init__(self, classes):
        self.classes = classes

    def fit(self, logits, labels):
        self.classes_ = np.arange(self.classes)
        return self

    def predict(self, logits):
        return logits.argmax(axis=1)

    def decision_function(self, logits):
        return logits


@pytest.mark.parametrize("sharpened", [0.5, 1, 3])
def test_the_temperature_is_scikit_learn_s_and_undoes_what_sharpened(sharpened):
    logits, labels = draw_labels(0)
    given = logits * sharpened
    temperature = fit_temperature(softmax(given, axis=1), labels)
    estimator = FrozenEstimator(GivenLogits(4).fit(given, labels))
    theirs = CalibratedClassifierCV(estimator, method="temperature").fit(given, labels)
    ours = apply_temperature(softmax(given, axis=1), temperature)
    assert ours == pytest.approx(theirs.predict_proba(given), abs=1e-3)
    assert temperature / sharpened == pytest.approx(1, abs=0.15)


@given(st.integers(0, 100), st.floats(0.1, 10))
def test_no_other_temperature_makes_the_labels_likelier(seed, other):
    labels, probabilities = random_case(seed)
    temperature = fit_temperature(probabilities, labels)

    def loss(t):
        scaled = apply_temperature(probabilities, t)
        return sk.log_loss(labels, scaled, labels=range(probabilities.shape[1]))

    assert loss(temperature) <= loss(other) + 1e-9


@given(st.integers(0, 100), st.floats(0.2, 5))
def test_a_temperature_keeps_the_order_of_the_classes_and_one_keeps_everything(seed, temperature):
    _, probabilities = random_case(2 * seed)  # of which none is 0
    scaled = apply_temperature(probabilities, temperature)
    assert scaled.sum(axis=1) == pytest.approx(1)
    assert (scaled.argmax(axis=1) == probabilities.argmax(axis=1)).all()
    assert apply_temperature(probabilities, 1) == pytest.approx(probabilities, abs=1e-12)
    assert apply_temperature(scaled, 1 / temperature) == pytest.approx(probabilities, abs=1e-9)


def test_a_temperature_of_two_is_a_square_root():
    assert apply_temperature([[0.8, 0.2]], 2)[0] == pytest.approx([2 / 3, 1 / 3])


@pytest.mark.parametrize(
    ("probabilities", "labels", "expected"),
    [
        ([[0.9, 0.1], [0.2, 0.8]], [0, 1], 0.01),  # all right
        ([[0.9, 0.1], [0.2, 0.8]], [1, 0], 100),  # all wrong
        ([[0.5, 0.5], [0.5, 0.5]], [1, 0], 1),
    ],
)
def test_where_no_temperature_is_likeliest_the_nearest_end_is_taken(
    probabilities, labels, expected
):
    assert fit_temperature(probabilities, labels) == expected


def test_a_true_class_of_probability_zero_is_very_unlikely_and_not_impossible():
    certain = np.eye(2)[[0] * 10]
    temperature = fit_temperature(certain, [0] * 9 + [1])
    assert apply_temperature(certain, temperature)[0] == pytest.approx([0.9, 0.1], abs=0.02)


@pytest.mark.parametrize(("value", "rule"), [(0, "above 0"), (np.inf, "finite"), ("2", "type")])
def test_what_is_no_temperature_is_refused(value, rule):
    with pytest.raises(BmixError, match=f"temperature must be .*{rule}"):
        apply_temperature([[0.5, 0.5]], value)


def test_logits_are_refused_in_words():
    with pytest.raises(BmixError, match="logits need a softmax first"):
        fit_temperature([[3.0, -1.0]], [0])
