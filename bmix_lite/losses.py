"""Losses for imbalanced classes. All take logits (B, C) and soft labels (B, C), and average over the batch.

A loss that its paper defines for one class an image is extended as MixUp does it: sum_c y_c loss(logits, c).
"""

import functools

import torch
import torch.nn.functional as F

from bmix_lite.base.errors import require, require_choice
from bmix_lite.base.registry import add_own
from bmix_lite.distribution import EFFECTIVE_BETA, per_effective_number
from bmix_lite.recipe import CHOICES

FOCAL_GAMMA = 2.0  # Lin et al., ICCV 2017: best in their table 1b
SMOOTHING = 0.1  # Szegedy et al., CVPR 2016, section 7
LARGEST_MARGIN = (
    0.5  # Cao et al., NeurIPS 2019, section 4: the constant of the margins is chosen so
)
DEFERRED = (
    4,
    5,
)  # re-weighting begins after this share of the epochs: after 160 of 200 in their code


def soft_cross_entropy(logits, targets):
    """-sum_c y_c log p_c. Equals the usual cross-entropy on one-hot labels."""
    check_targets(logits, targets)
    return F.cross_entropy(logits, targets)


def focal_loss(logits, targets, gamma=FOCAL_GAMMA):
    """-sum_c y_c (1 - p_c)**gamma log p_c (Lin et al., ICCV 2017, equation 4), each class by its soft label."""
    check_targets(logits, targets)
    log_p = F.log_softmax(logits, dim=1)
    # 1 - p through expm1: exact also where p is nearly 1
    return -(targets * (-torch.expm1(log_p)).clamp(min=0) ** gamma * log_p).sum(dim=1).mean()


def weighted_loss(logits, targets, weights):
    """-sum_c w_c y_c log p_c, weights (C,) as `inverse_weights` or `class_balanced_weights` (Cui et al., equation 10).

    The mean is over images, not over weights: an image's gradient does not depend on its batch.
    """
    check_targets(logits, targets)
    return -(targets * weights * F.log_softmax(logits, dim=1)).sum(dim=1).mean()


def label_smoothing_loss(logits, targets, smoothing=SMOOTHING):
    """Cross-entropy with (1 - smoothing) y + smoothing / C as label (Szegedy et al., CVPR 2016, section 7)."""
    check_targets(logits, targets)
    return F.cross_entropy(logits, targets, label_smoothing=smoothing)


def adjusted_loss(logits, targets, log_prior):
    """Cross-entropy of logits + log_prior: the network learns what is left when class shares are accounted for.

    This is logit adjustment with tau = 1 (Menon et al., ICLR 2021, equation 10) and also balanced softmax (Ren et al.,
    NeurIPS 2020, equation 4), which adds log n_c instead of log pi_c: the same but for a constant, which softmax does
    not see. Both names are kept since both papers are compared with, and give the same run bit for bit.
    """
    check_targets(logits, targets)
    return F.cross_entropy(logits + log_prior, targets)


def ldam_loss(logits, targets, margins, weights):
    """-sum_c w_c y_c log p_c, where for each c the logit of c alone is lowered by margin_c (C,) before the softmax.

    Cao et al., NeurIPS 2019, equation 13. They normalise features and last layer and multiply by 30; here the network
    is the same as for every other loss, so margins are in units of its plain logits. Memory: B * C * C numbers.
    """
    check_targets(logits, targets)
    as_if_true = logits.unsqueeze(1) - torch.diag(margins)  # (B, C, C): row c has its margin at c
    log_p = F.log_softmax(as_if_true, dim=2).diagonal(dim1=1, dim2=2)
    return -(targets * weights * log_p).sum(dim=1).mean()


def inverse_weights(counts):
    """(C,) weights proportional to 1 / n_c, scaled to sum to C."""
    return _scaled(1 / _checked(counts))


def class_balanced_weights(counts, beta=EFFECTIVE_BETA):
    """(C,) weights (1 - beta) / (1 - beta**n_c), scaled to sum to C (Cui et al., CVPR 2019, equation 9)."""
    return _scaled(per_effective_number(1, _checked(counts), beta))


def ldam_margins(counts, largest=LARGEST_MARGIN):
    """(C,) margins proportional to n_c**(-1/4), the largest being `largest` (Cao et al., NeurIPS 2019, section 3.2)."""
    margins = _checked(counts) ** -0.25
    return (margins * (largest / margins.max())).float()


def log_prior(counts):
    """(C,) logarithms of the class shares."""
    counts = _checked(counts)
    return (counts / counts.sum()).log().float()


def _ldam_drw(counts, epoch, epochs):
    share, whole = DEFERRED
    late = epoch * whole > epochs * share
    return {
        "margins": ldam_margins(counts),
        "weights": class_balanced_weights(counts) if late else torch.ones(len(counts)),
    }


# name: (loss, function of (counts, epoch, epochs) that gives its further arguments in that epoch, or None)
LOSSES = {
    "cross_entropy": (soft_cross_entropy, None),
    "weighted": (weighted_loss, lambda counts, epoch, epochs: {"weights": inverse_weights(counts)}),
    "focal": (focal_loss, None),
    "class_balanced": (
        weighted_loss,
        lambda counts, epoch, epochs: {"weights": class_balanced_weights(counts)},
    ),
    "label_smoothing": (label_smoothing_loss, None),
    "ldam_drw": (ldam_loss, _ldam_drw),
    "balanced_softmax": (
        adjusted_loss,
        lambda counts, epoch, epochs: {"log_prior": log_prior(counts)},
    ),
    "logit_adjusted": (
        adjusted_loss,
        lambda counts, epoch, epochs: {"log_prior": log_prior(counts)},
    ),
}
BUILT_IN = tuple(LOSSES)


def make_loss(name, counts, device="cpu", *, epoch=1, epochs=1):
    """The loss called `name` in one epoch, counted from 1, as a function of (logits, soft targets).

    counts (C,): the training counts. Where a loss does not depend on the epoch, `epoch` may be left out.
    """
    require_choice("loss", name, tuple(LOSSES))
    function, constants = LOSSES[name]
    if constants is None:
        return function
    given = constants(counts, epoch, epochs)
    return functools.partial(
        function, **{name: torch.as_tensor(value).to(device) for name, value in given.items()}
    )


def register_loss(name, function, constants=None):
    """Make `loss=name` a loss of recipes: function(logits (B, C), soft targets (B, C)) returns a number to minimise.

    constants: function(counts, epoch, epochs) returning {argument: tensor} of what the loss needs besides; they are
    put on the device. A method of your own, with a sampling of your own too, in a notebook:

        def brier(logits, targets):
            return (logits.softmax(dim=1) - targets).square().sum(dim=1).mean()

        def cube_root(counts, epoch, epochs):
            return counts ** (1 / 3)

        register_loss("brier", brier)
        register_sampling("cube_root", cube_root)
        METHODS["brier_cube_root"] = dict(loss="brier", q="cube_root")
        recipe = Recipe.make("brier_cube_root", seed=0)

    A recipe, a run id and a checkpoint hold the name alone: give a changed function a new name. A sweep takes the same
    lines from a file, `--with notebooks/own_method.py`, whose content tells its runs apart.
    Raises BmixError for the name of a built-in loss.
    """
    require(
        constants is None or callable(constants),
        f"constants must be a function or None, got {constants!r}",
    )
    add_own(LOSSES, BUILT_IN, "loss", name, function)

    @functools.wraps(function)
    def checked(logits, targets, **given):
        value = function(logits, targets, **given)
        single = isinstance(value, torch.Tensor) and value.ndim == 0
        found = tuple(value.shape) if isinstance(value, torch.Tensor) else repr(value)
        require(
            single,
            f"the loss {name!r} must return one number as a tensor, such as a mean, got {found}",
        )
        return value

    LOSSES[name] = (checked, constants)
    CHOICES["loss"] = tuple(LOSSES)


def check_targets(logits, targets):
    """Raise BmixError unless targets are floats of the shape of logits: class numbers would be read as weights."""
    same = logits.shape == targets.shape and logits.ndim == 2
    require(
        same,
        f"logits and soft targets must both be (B, C), got {tuple(logits.shape)} and {tuple(targets.shape)}",
    )
    require(
        targets.is_floating_point(), f"soft targets must be floating point, got {targets.dtype}"
    )


def _checked(counts):
    counts = torch.as_tensor(counts, dtype=torch.float64)
    require(
        bool((counts >= 1).all()),
        f"counts must be at least 1 in every class, got {counts.tolist()}",
    )
    return counts


def _scaled(weights):
    return (weights * (len(weights) / weights.sum())).float()
