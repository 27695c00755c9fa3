"""Other class shares than those of training, by Bayes' rule and by EM, against other ways."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import softmax
from scipy.stats import norm
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from bmix_lite.base.errors import BmixError
from bmix_lite.distribution import (
    class_probabilities,
    effective_probabilities,
    mixed_class_probabilities,
    progressive_probabilities,
)
from bmix_lite.prevalence import adjust_probabilities, estimate_prevalence, trained_shares
from bmix_lite.recipe import Recipe

COUNTS = [900, 90, 10]
PRIOR = np.array([0.9, 0.1])


def posterior(x, shares):
    """p(class | x) of two normal densities two apart, by Bayes' rule."""
    joint = np.stack([norm.pdf(x, 0), norm.pdf(x, 2)], axis=1) * shares
    return joint / joint.sum(axis=1, keepdims=True)


def draw(shares, size, seed):
    rng = np.random.default_rng(seed)
    labels = rng.random(size) < shares[1]
    return rng.normal(2 * labels, 1), labels.astype(int)


@pytest.mark.parametrize("target", [[0.5, 0.5], [0.2, 0.8], [0.99, 0.01], [1.0, 0.0]])
def test_probabilities_for_a_target_are_those_of_bayes_rule_with_it_as_prior(target):
    x = np.linspace(-3, 5, 50)
    adjusted = adjust_probabilities(posterior(x, PRIOR), PRIOR, target=target)
    assert adjusted == pytest.approx(posterior(x, np.array(target)), rel=1e-9)


def test_probabilities_for_a_target_are_those_of_scikit_learn_with_other_priors():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [300, 60, 20])
    x = rng.normal(labels[:, None] * [1.0, 0.5], 1)
    fitted = LinearDiscriminantAnalysis(solver="lsqr").fit(x, labels)
    target = [0.2, 0.3, 0.5]
    # their discriminant is linear in log prior, all else being of the training data
    expected = fitted.decision_function(x) - np.log(fitted.priors_) + np.log(target)
    found = adjust_probabilities(fitted.predict_proba(x), [300, 60, 20], target=target)
    assert found == pytest.approx(softmax(expected, axis=1), rel=1e-6)


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1))
def test_there_and_back_again_changes_nothing_and_equal_shares_are_the_default(seed):
    rng = np.random.default_rng(seed)
    probabilities, target = rng.dirichlet(np.ones(3), 5), rng.dirichlet(np.ones(3) * 5)
    there = adjust_probabilities(probabilities, COUNTS, target=target)
    back = adjust_probabilities(there, target, target=np.array(COUNTS) / 1000)
    assert back == pytest.approx(probabilities, rel=1e-6, abs=1e-12)
    assert adjust_probabilities(probabilities, COUNTS) == pytest.approx(
        adjust_probabilities(probabilities, COUNTS, target=np.ones(3) / 3)
    )


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ([0.5, 0.4], r"target must be 2 shares of at least 0 that sum to 1, got \[0\.5, 0\.4\]"),
        ([1.5, -0.5], "target must be 2 shares"),
        ([1.0], "target must be 2 shares"),
        ([np.nan, 1.0], "target must be 2 shares"),
        ([0.0, 1.0], "target is 0 for every class that image 1 can be of"),
    ],
)
def test_a_target_that_is_no_shares_is_refused(target, message):
    with pytest.raises(BmixError, match=message):
        adjust_probabilities([[0.5, 0.5], [1.0, 0.0]], [3, 1], target=target)


@pytest.mark.parametrize("truth", [0.05, 0.3, 0.8])
def test_em_finds_the_shares_of_simulated_images(truth):
    x, labels = draw(np.array([1 - truth, truth]), 20_000, seed=1)
    found = estimate_prevalence(posterior(x, PRIOR), PRIOR)
    assert found.sum() == pytest.approx(1)
    # two overlapping classes: the standard error is at most 1.6 times that of counting labels
    assert found[1] == pytest.approx(truth, abs=5 * 1.6 * np.sqrt(truth * (1 - truth) / 20_000))
    known = adjust_probabilities(posterior(x, PRIOR), PRIOR, target=[1 - truth, truth])
    estimated = adjust_probabilities(posterior(x, PRIOR), PRIOR, target=found)
    assert (known.argmax(axis=1) == labels).mean() == pytest.approx(
        (estimated.argmax(axis=1) == labels).mean(), abs=0.005
    )


@pytest.mark.parametrize("seed", range(5))
def test_em_reaches_the_maximum_of_the_likelihood_that_scipy_finds(seed):
    rng = np.random.default_rng(seed)
    probabilities, prior = rng.dirichlet(np.ones(3), 40), rng.dirichlet(np.ones(3) * 3)
    ratios = probabilities / prior

    def minus_log_likelihood(free):
        return -np.log(ratios @ softmax([*free, 0.0])).sum()

    best = minimize(minus_log_likelihood, [0, 0], method="Nelder-Mead", options={"xatol": 1e-9})
    found = estimate_prevalence(probabilities, prior)
    assert -np.log(ratios @ found).sum() == pytest.approx(best.fun, abs=1e-5)
    at_peak = adjust_probabilities(probabilities, prior, target=found / found.sum())
    assert at_peak.mean(axis=0) == pytest.approx(found, abs=1e-6)  # a fixed point of the step


def test_em_of_certain_answers_counts_them_and_of_the_priors_own_leaves_it():
    certain = np.eye(3)[[0, 0, 1, 2, 2, 2]]
    assert estimate_prevalence(certain, COUNTS) == pytest.approx([2 / 6, 1 / 6, 3 / 6])
    x, _ = draw(PRIOR, 20_000, seed=3)
    assert estimate_prevalence(posterior(x, PRIOR), PRIOR) == pytest.approx(PRIOR, abs=0.015)
    with pytest.raises(BmixError, match="there are no images"):
        estimate_prevalence(np.empty((0, 3)), COUNTS)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (dict(), class_probabilities(COUNTS, 1)),
        (dict(q=0.5), class_probabilities(COUNTS, 0.5)),
        (dict(q="effective"), effective_probabilities(COUNTS)),
        (dict(mixing="mixup", alpha=0.4), class_probabilities(COUNTS, 1)),
        (dict(mixing="balanced", alpha=0.2), mixed_class_probabilities(COUNTS, 1, 0.2)),
        (dict(mixing="balanced", alpha=1.0, q=0.5), mixed_class_probabilities(COUNTS, 0.5, 1)),
        (dict(loss="weighted"), [1 / 3] * 3),
        (dict(loss="class_balanced"), effective_probabilities(COUNTS)),
        (
            dict(q="progressive", epochs=3),
            np.mean([progressive_probabilities(COUNTS, epoch, 3) for epoch in (1, 2, 3)], axis=0),
        ),
    ],
    ids=str,
)
def test_the_shares_that_a_recipe_trains_on_are_the_closed_forms(fields, expected):
    assert trained_shares(Recipe(**fields), COUNTS) == pytest.approx(expected, rel=1e-9)


def test_a_batch_that_is_mixed_now_and_then_has_the_shares_in_between():
    half = trained_shares(Recipe(mixing="balanced", alpha=0.2, mix_probability=0.5), COUNTS)
    whole = trained_shares(Recipe(mixing="balanced", alpha=0.2), COUNTS)
    assert half == pytest.approx((whole + trained_shares(Recipe(), COUNTS)) / 2)


@pytest.mark.parametrize("fields", [dict(loss="balanced_softmax"), dict(mixing="remix")], ids=str)
def test_shares_that_are_not_known_are_refused(fields):
    with pytest.raises(BmixError, match="logit adjustment after training needs"):
        trained_shares(Recipe(**fields), COUNTS)
