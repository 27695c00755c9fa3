from fractions import Fraction

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from bmix_lite.errors import BmixError
from bmix_lite.losses import (
    LOSSES,
    class_balanced_loss,
    class_balanced_weights,
    focal_loss,
    make_loss,
    soft_cross_entropy,
)

COUNTS = [900, 90, 10]
seeds = st.integers(0, 2**32 - 1)


def make_case(seed, size=6, classes=3, soft=False):
    """Logits and targets in float64; hard targets also as class numbers."""
    rng = np.random.default_rng(seed)
    logits = torch.from_numpy(rng.normal(0, 3, (size, classes))).requires_grad_()
    numbers = torch.from_numpy(rng.integers(0, classes, size))
    targets = torch.from_numpy(rng.dirichlet(np.ones(classes), size)) if soft else F.one_hot(numbers, classes).double()
    return logits, targets, numbers


def softmax(logits):
    powers = np.exp(logits.detach().numpy())
    return powers / powers.sum(axis=1, keepdims=True)


def assert_same(ours, theirs, logits):
    """Equal in value and in gradient."""
    grads = [torch.autograd.grad(loss, logits)[0].numpy() for loss in (ours, theirs)]
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-12)
    np.testing.assert_allclose(*grads, rtol=1e-9, atol=1e-14)


@settings(deadline=None, max_examples=50)
@given(seeds)
def test_cross_entropy_of_one_hot_labels_is_the_hard_label_loss_of_torch(seed):
    logits, targets, numbers = make_case(seed)
    assert_same(soft_cross_entropy(logits, targets), F.cross_entropy(logits, numbers), logits)


@settings(deadline=None, max_examples=50)
@given(seeds)
def test_cross_entropy_of_soft_labels_is_minus_sum_y_log_p(seed):
    logits, targets, _ = make_case(seed, soft=True)
    expected = -(targets.numpy() * np.log(softmax(logits))).sum(axis=1).mean()
    assert soft_cross_entropy(logits, targets).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("gamma", [1, 2, 5])
@pytest.mark.parametrize("seed", range(5))
def test_focal_loss_of_one_hot_labels_is_the_hard_label_formula(seed, gamma):
    logits, targets, numbers = make_case(seed)
    p = logits.softmax(dim=1)[torch.arange(len(numbers)), numbers]
    assert_same(focal_loss(logits, targets, gamma), (-((1 - p) ** gamma) * p.log()).mean(), logits)


def test_focal_loss_of_known_probabilities_is_what_the_paper_says():
    # p = 0.9 is down-weighted 100 times by gamma = 2 (Lin et al., section 3.2)
    logits = torch.tensor([[0.9, 0.1]], dtype=torch.float64).log()
    one_hot = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    assert focal_loss(logits, one_hot).item() == pytest.approx(-np.log(0.9) / 100)


def test_focal_loss_without_focus_is_cross_entropy():
    logits, targets, _ = make_case(0, soft=True)
    assert_same(focal_loss(logits, targets, gamma=0), soft_cross_entropy(logits, targets), logits)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_every_loss_is_linear_in_the_soft_label(name, share):
    loss, (logits, one, _) = make_loss(name, COUNTS), make_case(0)
    other = make_case(1)[1]
    mixed = loss(logits, (1 - share) * one + share * other)
    assert_same(mixed, (1 - share) * loss(logits, one) + share * loss(logits, other), logits)


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_averages_over_images(name):
    loss, (logits, targets, _) = make_loss(name, COUNTS), make_case(0)
    each = [loss(logits[[row]], targets[[row]]).item() for row in range(len(logits))]
    assert loss(logits, targets).item() == pytest.approx(np.mean(each))


@pytest.mark.parametrize("beta", ["0", "0.9", "0.999", "0.9999"])
@pytest.mark.parametrize("counts", [COUNTS, [1, 2, 5000], [7, 7]])
def test_class_balanced_weights_follow_the_formula_of_cui_in_exact_fractions(counts, beta):
    exact = [(1 - Fraction(beta)) / (1 - Fraction(beta) ** n) for n in counts]
    expected = [float(weight * len(counts) / sum(exact)) for weight in exact]
    assert class_balanced_weights(counts, float(beta)).tolist() == pytest.approx(expected, rel=1e-6)


def test_class_balanced_weights_become_inverse_frequencies_as_beta_nears_one():
    inverse = 1 / np.array(COUNTS)
    assert class_balanced_weights(COUNTS, 1 - 1e-9).numpy() == pytest.approx(3 * inverse / inverse.sum(), rel=1e-4)


@pytest.mark.parametrize("seed", range(5))
def test_class_balanced_loss_of_one_hot_labels_is_the_weighted_loss_of_torch(seed):
    logits, targets, numbers = make_case(seed)
    weights = class_balanced_weights(COUNTS).double()
    theirs = F.cross_entropy(logits, numbers, weight=weights, reduction="sum") / len(logits)
    assert_same(class_balanced_loss(logits, targets, weights), theirs, logits)


def test_make_loss_weighs_classes_by_the_training_counts():
    (logits, targets, _), loss = make_case(0), make_loss("class_balanced", COUNTS)
    assert loss(logits, targets).item() == class_balanced_loss(logits, targets, class_balanced_weights(COUNTS)).item()


@pytest.mark.parametrize("name", LOSSES)
def test_losses_and_gradients_are_finite_for_a_certain_network(name):
    logits = torch.tensor([[200.0, 0, 0], [0, 200, 0]], requires_grad=True)
    for targets in (torch.eye(3)[[0, 1]], torch.eye(3)[[1, 0]], torch.full((2, 3), 1 / 3)):
        value = make_loss(name, COUNTS)(logits, targets)
        assert torch.isfinite(value)
        assert torch.isfinite(torch.autograd.grad(value, logits)[0]).all()


@pytest.mark.parametrize("name", LOSSES)
def test_class_numbers_as_labels_are_refused(name):
    loss, logits = make_loss(name, COUNTS), torch.zeros(3, 3)
    with pytest.raises(BmixError, match=r"must both be \(B, C\), got \(3, 3\) and \(3,\)"):
        loss(logits, torch.tensor([0, 1, 2]))
    with pytest.raises(BmixError, match=r"soft targets must be floating point, got torch\.int64"):
        loss(logits, torch.eye(3).long())
    with pytest.raises(BmixError, match=r"must both be \(B, C\), got \(3,\) and \(3,\)"):
        loss(logits[0], torch.eye(3)[0])


@pytest.mark.parametrize("counts", [[5, 0, 3], [5, -1], [5, float("nan")]])
def test_a_class_without_images_has_no_weight(counts):
    with pytest.raises(BmixError, match=r"counts must be at least 1 in every class, got \[5"):
        class_balanced_weights(counts)


@pytest.mark.parametrize("beta", [-0.1, 1, float("nan")])
def test_beta_outside_zero_to_one_is_refused(beta):
    with pytest.raises(BmixError, match=rf"beta must lie in \[0, 1\), got {beta}"):
        class_balanced_weights(COUNTS, beta)


def test_an_unknown_loss_is_refused_with_the_names_there_are():
    with pytest.raises(
        BmixError, match=r"loss must be one of cross_entropy, focal, class_balanced, got 'focla'.*'focal'"
    ):
        make_loss("focla", COUNTS)
