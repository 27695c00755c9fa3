import math
from fractions import Fraction

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from bmix_lite.base.errors import BmixError
from bmix_lite.losses import (
    LOSSES,
    adjusted_loss,
    class_balanced_weights,
    focal_loss,
    inverse_weights,
    label_smoothing_loss,
    ldam_loss,
    ldam_margins,
    log_prior,
    make_loss,
    register_loss,
    soft_cross_entropy,
    weighted_loss,
)
from bmix_lite.recipe import CHOICES, Recipe

COUNTS = [900, 90, 10]
seeds = st.integers(0, 2**32 - 1)


def make_case(seed, size=6, classes=3, soft=False):
    """Logits and targets in float64; hard targets also as class numbers."""
    rng = np.random.default_rng(seed)
    logits = torch.from_numpy(rng.normal(0, 3, (size, classes))).requires_grad_()
    numbers = torch.from_numpy(rng.integers(0, classes, size))
    targets = (
        torch.from_numpy(rng.dirichlet(np.ones(classes), size))
        if soft
        else F.one_hot(numbers, classes).double()
    )
    return logits, targets, numbers


def softmax(logits):
    powers = np.exp(logits.detach().numpy())
    return powers / powers.sum(axis=1, keepdims=True)


def assert_same(ours, theirs, logits):
    """Equal in value and in gradient."""
    grads = [torch.autograd.grad(loss, logits)[0].numpy() for loss in (ours, theirs)]
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-12)
    np.testing.assert_allclose(*grads, rtol=1e-9, atol=1e-14)


@settings(max_examples=50)
@given(seeds)
def test_cross_entropy_of_one_hot_labels_is_the_hard_label_loss_of_torch(seed):
    logits, targets, numbers = make_case(seed)
    assert_same(soft_cross_entropy(logits, targets), F.cross_entropy(logits, numbers), logits)


@settings(max_examples=50)
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
    assert class_balanced_weights(COUNTS, 1 - 1e-9).numpy() == pytest.approx(
        3 * inverse / inverse.sum(), rel=1e-4
    )


@pytest.mark.parametrize("seed", range(5))
def test_class_balanced_loss_of_one_hot_labels_is_the_weighted_loss_of_torch(seed):
    logits, targets, numbers = make_case(seed)
    weights = class_balanced_weights(COUNTS).double()
    theirs = F.cross_entropy(logits, numbers, weight=weights, reduction="sum") / len(logits)
    assert_same(weighted_loss(logits, targets, weights), theirs, logits)


def test_make_loss_weighs_classes_by_the_training_counts():
    (logits, targets, _), loss = make_case(0), make_loss("class_balanced", COUNTS)
    assert (
        loss(logits, targets).item()
        == weighted_loss(logits, targets, class_balanced_weights(COUNTS)).item()
    )


@pytest.mark.parametrize("counts", [COUNTS, [1, 2, 5000], [7, 7]])
def test_inverse_weights_are_inverse_frequencies_that_sum_to_the_number_of_classes(counts):
    exact = [Fraction(1, n) for n in counts]
    expected = [float(weight * len(counts) / sum(exact)) for weight in exact]
    assert inverse_weights(counts).tolist() == pytest.approx(expected, rel=1e-6)


def test_make_loss_weighs_by_inverse_frequency_as_torch_does_with_the_sum_as_reduction():
    logits, targets, numbers = make_case(3)
    weights = torch.tensor([1 / n for n in COUNTS], dtype=torch.float64)
    weights *= 3 / weights.sum()
    theirs = F.cross_entropy(logits, numbers, weight=weights, reduction="sum") / len(logits)
    assert make_loss("weighted", COUNTS)(logits, targets).item() == pytest.approx(
        theirs.item(), rel=1e-6
    )


@pytest.mark.parametrize("seed", range(5))
def test_label_smoothing_is_that_of_torch_for_class_numbers_and_of_the_paper_for_soft_labels(seed):
    logits, targets, numbers = make_case(seed)
    theirs = F.cross_entropy(logits, numbers, label_smoothing=0.1)
    assert_same(label_smoothing_loss(logits, targets), theirs, logits)
    logits, soft, _ = make_case(seed, soft=True)
    expected = -((0.9 * soft.numpy() + 0.1 / 3) * np.log(softmax(logits))).sum(axis=1).mean()
    assert label_smoothing_loss(logits, soft).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_balanced_softmax_is_the_formula_of_ren_with_counts(seed):
    logits, targets, numbers = make_case(seed)
    powers = np.array(COUNTS) * np.exp(logits.detach().numpy())  # n_j e^z_j / sum_i n_i e^z_i
    expected = -np.log(
        (powers / powers.sum(axis=1, keepdims=True))[np.arange(len(numbers)), numbers]
    ).mean()
    assert make_loss("balanced_softmax", COUNTS)(logits, targets).item() == pytest.approx(
        expected, rel=1e-6
    )


@pytest.mark.parametrize("seed", range(5))
def test_logit_adjustment_is_the_formula_of_menon_with_pairwise_ratios_of_shares(seed):
    # the same loss in its pairwise form: log(1 + sum over y' != y of (pi_y' / pi_y) e^(f_y' - f_y))
    logits, targets, numbers = make_case(seed)
    z, pi = logits.detach().numpy(), np.array(COUNTS) / sum(COUNTS)
    terms = []
    for row, y in zip(z, numbers.tolist(), strict=True):
        terms.append(
            math.log1p(sum(pi[j] / pi[y] * math.exp(row[j] - row[y]) for j in range(3) if j != y))
        )
    assert make_loss("logit_adjusted", COUNTS)(logits, targets).item() == pytest.approx(
        np.mean(terms), rel=1e-6
    )


@settings(max_examples=50)
@given(seeds, st.lists(st.integers(1, 10**6), min_size=3, max_size=3))
def test_balanced_softmax_and_logit_adjustment_are_one_loss_since_softmax_sees_no_constant(
    seed, counts
):
    logits, targets, _ = make_case(seed, soft=True)
    with_counts = adjusted_loss(logits, targets, torch.tensor(counts, dtype=torch.float64).log())
    with_shares = adjusted_loss(logits, targets, log_prior(counts).double())
    assert with_counts.item() == pytest.approx(with_shares.item(), rel=1e-5, abs=1e-5)
    both = [
        make_loss(name, counts)(logits, targets).item()
        for name in ("balanced_softmax", "logit_adjusted")
    ]
    assert both[0] == both[1]


def test_margins_are_the_fourth_root_of_the_inverse_count_the_largest_being_one_half():
    # 16, 1 and 81 have fourth roots 2, 1 and 3
    assert ldam_margins([16, 1, 81]).tolist() == pytest.approx([1 / 4, 1 / 2, 1 / 6])
    assert ldam_margins([16, 81], largest=1).tolist() == pytest.approx([1, 2 / 3])


@pytest.mark.parametrize("seed", range(5))
def test_ldam_of_one_hot_labels_is_cross_entropy_of_logits_with_the_true_one_lowered(seed):
    logits, targets, numbers = make_case(seed)
    margins, weights = ldam_margins(COUNTS).double(), class_balanced_weights(COUNTS).double()
    lowered = logits - 30 * F.one_hot(numbers, 3) * margins[numbers, None]
    plain = F.cross_entropy(lowered, numbers)
    assert_same(
        ldam_loss(logits, targets, margins, torch.ones(3, dtype=torch.float64)), plain, logits
    )
    theirs = F.cross_entropy(lowered, numbers, weight=weights, reduction="sum") / len(logits)
    assert_same(ldam_loss(logits, targets, margins, weights), theirs, logits)


def test_ldam_of_a_known_case_as_computed_by_hand():
    # p of the true class: e^-15 / (e^-15 + 1), as 30 * 0.5 = 15
    logits, margins = (
        torch.zeros(1, 2, dtype=torch.float64),
        torch.tensor([0.5, 0.25], dtype=torch.float64),
    )
    value = ldam_loss(
        logits, torch.eye(2, dtype=torch.float64)[[0]], margins, torch.ones(2, dtype=torch.float64)
    )
    assert value.item() == pytest.approx(math.log(1 + math.exp(15)))


def test_ldam_of_cosines_is_that_of_the_authors_code():
    """Their loss of cosines 0.9 and 0.5 with counts 100 and 1 is 0.0007; the margin alone 0.58.

    By hand: 100**-0.25 = 0.3162, so that the margins are 0.1581 and 0.5; log(1 + exp(15 - 22.26)).
    """
    loss = make_loss("ldam_drw", [100, 1], epoch=1, epochs=10)
    value = loss(30 * torch.tensor([[0.9, 0.5]]), torch.tensor([[1.0, 0.0]])).item()
    assert value == pytest.approx(
        math.log1p(math.exp(15 - 30 * (0.9 - 0.5 * 100**-0.25))), rel=1e-4
    )
    assert round(value, 4) == 0.0007


@pytest.mark.parametrize("epoch", [1, 10])
def test_ldam_equals_a_second_implementation_image_by_image(epoch):
    rng = np.random.default_rng(epoch)
    cosines, labels = rng.uniform(-1, 1, (7, 3)), rng.integers(0, 3, 7)
    counts = np.array(COUNTS, dtype=float)
    margins = counts**-0.25 / (counts**-0.25).max() / 2
    weights = np.ones(3)
    if epoch == 10:  # deferred: weights by effective number, with a sum of C
        weights = (1 - 0.9999) / (1 - 0.9999**counts)
        weights *= 3 / weights.sum()
    total = 0.0
    for row, label in zip(cosines, labels, strict=True):
        scaled = [30 * (value - margins[j] * (j == label)) for j, value in enumerate(row)]
        total -= weights[label] * math.log(math.exp(scaled[label]) / sum(map(math.exp, scaled)))
    loss = make_loss("ldam_drw", COUNTS, epoch=epoch, epochs=10)
    found = loss(torch.tensor(30 * cosines), torch.eye(3, dtype=torch.float64)[labels])
    assert found.item() == pytest.approx(total / 7, rel=1e-5)


@pytest.mark.parametrize("name", ["weighted", "class_balanced", "ldam_drw"])
def test_class_weights_have_a_mean_of_one_over_classes_or_over_training_images(name):
    labels = np.repeat(range(3), COUNTS)
    when = dict(epoch=10, epochs=10)
    usual = make_loss(name, COUNTS, **when).keywords["weights"].numpy()
    other = make_loss(name, COUNTS, **when, weight_mean="images").keywords["weights"].numpy()
    assert usual.mean() == pytest.approx(1)
    assert other[labels].mean() == pytest.approx(1)
    assert other / usual == pytest.approx(other[0] / usual[0])  # the same but for a factor
    assert usual[labels].mean() < 0.6


@pytest.mark.parametrize(
    ("epochs", "first"), [(200, 161), (60, 49), (15, 13), (5, 5), (4, 4), (2, 2), (1, 1)]
)
def test_ldam_weighs_classes_from_four_fifths_of_the_epochs_on(epochs, first):
    logits, targets, _ = make_case(0)
    losses = [
        make_loss("ldam_drw", COUNTS, epoch=epoch, epochs=epochs) for epoch in range(1, epochs + 1)
    ]
    weighted = [loss.keywords["weights"].tolist() != [1, 1, 1] for loss in losses]
    assert weighted.index(True) + 1 == first
    assert all(weighted[first - 1 :])
    late = ldam_loss(logits, targets, ldam_margins(COUNTS), class_balanced_weights(COUNTS))
    assert losses[-1](logits, targets).item() == late.item()


@pytest.mark.parametrize("name", sorted(set(LOSSES) - {"ldam_drw"}))
def test_no_other_loss_depends_on_the_epoch(name):
    logits, targets, _ = make_case(0, soft=True)
    values = {
        make_loss(name, COUNTS, epoch=epoch, epochs=10)(logits, targets).item()
        for epoch in (1, 9, 10)
    }
    assert len(values) == 1


@pytest.mark.parametrize("weights", [inverse_weights, ldam_margins, log_prior])
def test_counts_below_one_are_refused(weights):
    with pytest.raises(
        BmixError, match=r"counts must be at least 1 in every class, got \[5\.0, 0\.0\]"
    ):
        weights([5, 0])


# losses of one's own


@pytest.fixture
def own_losses(monkeypatch):
    monkeypatch.setitem(CHOICES, "loss", CHOICES["loss"])  # so that the names of a test end with it
    built_in = dict(LOSSES)
    yield
    LOSSES.clear()
    LOSSES.update(built_in)


def brier(logits, targets):
    return (logits.softmax(dim=1) - targets).square().sum(dim=1).mean()


def test_a_loss_of_ones_own_is_known_to_recipes_and_called_as_it_is(own_losses):
    with pytest.raises(BmixError, match=r"loss must be one of .*, got 'brier'"):
        Recipe(loss="brier")
    register_loss("brier", brier)
    assert Recipe(loss="brier").loss == "brier"
    logits, targets, _ = make_case(0, soft=True)
    assert make_loss("brier", COUNTS)(logits, targets).item() == brier(logits, targets).item()


def test_a_loss_of_ones_own_is_given_its_constants_of_the_epoch(own_losses):
    def scaled(logits, targets, factor):
        return brier(logits, targets) * factor

    register_loss(
        "scaled", scaled, lambda counts, epoch, epochs: {"factor": sum(counts) * epoch / epochs}
    )
    logits, targets, _ = make_case(0)
    value = make_loss("scaled", COUNTS, epoch=3, epochs=4)(logits, targets)
    assert value.item() == pytest.approx(brier(logits, targets).item() * 750)


@pytest.mark.parametrize(
    ("result", "found"),
    [(torch.zeros(6), r"\(6,\)"), (0.5, r"0\.5"), (None, "None"), (torch.zeros(1), r"\(1,\)")],
)
def test_a_loss_of_ones_own_that_returns_no_single_number_is_refused_by_name(
    own_losses, result, found
):
    register_loss("mine", lambda logits, targets: result)
    with pytest.raises(
        BmixError, match=rf"the loss 'mine' must return one number as a tensor, .* got {found}"
    ):
        make_loss("mine", COUNTS)(*make_case(0)[:2])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("focal", brier), "'focal' is a loss of bmix_lite: give yours another name"),
        (("my loss", brier), "the name of a loss must be one word, got 'my loss'"),
        (("mine", 0.5), r"the loss 'mine' must be a function, got 0\.5"),
        (
            ("mine", brier, {"factor": 1}),
            r"constants must be a function or None, got \{'factor': 1\}",
        ),
    ],
)
def test_a_loss_of_ones_own_needs_a_new_name_and_functions(own_losses, arguments, message):
    before = dict(LOSSES), CHOICES["loss"]
    with pytest.raises(BmixError, match=message):
        register_loss(*arguments)
    assert before == (LOSSES, CHOICES["loss"])


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
        BmixError,
        match=r"loss must be one of cross_entropy, weighted, focal, .*, got 'focla'.*'focal'",
    ):
        make_loss("focla", COUNTS)
