import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax, softmax

from bmix_lite.base.errors import BmixError
from bmix_lite.metrics import score
from bmix_lite.posthoc import TAUS, adjust_predictions, adjust_probabilities, choose_tau
from bmix_lite.recipe import Recipe
from bmix_lite.runs.reading import read_predictions
from examples import QUICK, make_images, run_in_folder

COUNTS = [900, 90, 10]


def make_probabilities(seed, size=20, classes=3):
    return np.random.default_rng(seed).dirichlet(np.ones(classes), size)


@settings(max_examples=50)
@given(
    st.integers(0, 2**32 - 1),
    st.floats(-1, 3),
    st.lists(st.integers(1, 10**6), min_size=3, max_size=3),
)
def test_it_is_the_softmax_of_logits_less_tau_log_pi(seed, tau, counts):
    logits = np.random.default_rng(seed).normal(0, 3, (6, 3))
    expected = softmax(logits - tau * np.log(np.array(counts) / sum(counts)), axis=1)
    assert adjust_probabilities(softmax(logits, axis=1), counts, tau) == pytest.approx(
        expected, rel=1e-9, abs=1e-15
    )


def test_a_rare_class_at_its_prior_becomes_as_likely_as_the_others():
    shares = np.array([[0.9, 0.09, 0.01]])
    assert adjust_probabilities(shares, COUNTS, 1) == pytest.approx(np.full((1, 3), 1 / 3))
    assert adjust_probabilities(shares, COUNTS, 0) == pytest.approx(shares)
    # 0.9**0.5, 0.09**0.5 and 0.01**0.5 are as 9.487, 3 and 1
    assert adjust_probabilities(shares, COUNTS, 0.5)[0] == pytest.approx(
        np.sqrt(shares[0]) / np.sqrt(shares).sum()
    )


def test_with_the_true_probabilities_tau_one_has_the_best_balanced_accuracy():
    # two normal densities one apart: p(c | x) by Bayes, and the rule that balances the classes cuts half way
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], [180_000, 20_000])
    x = rng.normal(labels, 1)
    logits = np.stack([np.log(0.9) - x**2 / 2, np.log(0.1) - (x - 1) ** 2 / 2], axis=1)
    probabilities = softmax(logits, axis=1)
    adjusted = adjust_probabilities(probabilities, [9, 1], 1)
    assert (adjusted.argmax(axis=1) == (x > 0.5)).all()
    tau, scores = choose_tau(labels, lambda tau: adjust_probabilities(probabilities, [9, 1], tau))
    assert abs(tau - 1) <= 0.2
    assert scores[tau] > scores[0] + 0.1


def test_probabilities_of_zero_stay_zero_and_tiny_ones_do_not_overflow():
    probabilities = np.array([[1, 0, 0], [1 - 1e-300, 1e-300, 0]])
    adjusted = adjust_probabilities(probabilities, [10**9, 1, 1], 50)
    assert np.isfinite(adjusted).all()
    assert adjusted[0].tolist() == [1, 0, 0]
    assert adjusted.sum(axis=1) == pytest.approx(1)


@pytest.mark.parametrize(
    ("probabilities", "counts", "tau", "message"),
    [
        ([0.5, 0.5], [3, 1], 1, r"probabilities must be \(n, C\), got \(2,\)"),
        ([[0.5, np.nan]], [3, 1], 1, "probabilities must be finite"),
        ([[1.5, -0.5]], [3, 1], 1, "probabilities must be finite, 0 or more"),
        ([[0.0, 0.0]], [3, 1], 1, "above 0 for some class of each image"),
        (
            [[0.5, 0.5]],
            [3, 1, 1],
            1,
            r"counts must be 2 numbers of at least 1, got \[3\.0, 1\.0, 1\.0\]",
        ),
        ([[0.5, 0.5]], [3, 0], 1, r"counts must be 2 numbers of at least 1, got \[3\.0, 0\.0\]"),
        ([[0.5, 0.5]], [3, 1], float("inf"), "tau must be finite, got inf"),
    ],
)
def test_what_cannot_be_adjusted_is_refused(probabilities, counts, tau, message):
    with pytest.raises(BmixError, match=message):
        adjust_probabilities(probabilities, counts, tau)


def test_the_smallest_of_equally_good_taus_is_chosen_whatever_their_order():
    labels, probabilities = np.array([0, 1, 2]), np.eye(3) * 0.98 + 0.01 / 1.5
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    tau, scores = choose_tau(
        labels, lambda tau: adjust_probabilities(probabilities, [2, 1, 1], tau), (0.5, 0.2, 1.0)
    )
    assert tau == 0.2
    assert set(scores.values()) == {1.0}


def test_a_metric_of_which_less_is_better_and_an_empty_choice_are_refused():
    with pytest.raises(BmixError, match=r"metric must be one of balanced_accuracy, .*got 'ece'"):
        choose_tau([0, 1], lambda tau: np.eye(2), metric="ece")
    with pytest.raises(BmixError, match="taus must hold at least one value"):
        choose_tau([0, 1], lambda tau: np.eye(2), taus=())


def test_the_test_split_has_no_say_in_tau():
    labels = np.random.default_rng(0).integers(0, 3, 60)
    val = labels, make_probabilities(1, 60)
    taus = {
        adjust_predictions({"val": val, "test": (labels, make_probabilities(seed, 60))}, COUNTS)[0]
        for seed in (2, 3)
    }
    assert len(taus) == 1
    with pytest.raises(BmixError, match="tau is chosen on the split 'val', got test"):
        adjust_predictions({"test": val}, COUNTS)


def test_the_predictions_of_a_finished_run_are_adjusted_from_its_folder(tmp_path):
    data = make_images(counts=(60, 12, 6))
    run_in_folder(tmp_path / "one", Recipe(**QUICK), data)
    predictions = read_predictions(tmp_path / "one")
    tau, adjusted = adjust_predictions(predictions, data.counts())
    assert tau in TAUS
    for split, (labels, probabilities) in adjusted.items():
        was = predictions[split]
        assert labels.tolist() == was[0].tolist()
        expected = softmax(
            log_softmax(np.log(was[1]), axis=1) - tau * np.log(data.counts() / 78), axis=1
        )
        assert probabilities == pytest.approx(expected, rel=1e-9)
    best = score(*adjusted["val"], ["balanced_accuracy"])["balanced_accuracy"]
    assert (
        best >= score(*predictions["val"], ["balanced_accuracy"])["balanced_accuracy"]
    )  # tau = 0 is among them
