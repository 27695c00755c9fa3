"""Losses for imbalanced classes: of logits (B, C) and soft labels (B, C), the mean over the batch.

A loss that its paper defines for hard labels is extended as MixUp does: sum_c y_c loss(logits, c).
"""

import functools
from collections.abc import Callable

import torch
import torch.nn.functional as F

from bmix_lite.base.errors import BmixError, require_choice
from bmix_lite.base.registry import add_own
from bmix_lite.distribution import EFFECTIVE_BETA, per_effective_number
from bmix_lite.heads import SCALE
from bmix_lite.recipe import CHOICES

FOCAL_GAMMA = 2.0  # Lin et al., ICCV 2017: best in their table 1b
SMOOTHING = 0.1  # Szegedy et al., CVPR 2016, section 7
LARGEST_MARGIN = 0.5  # in the code of Cao et al., NeurIPS 2019: sets the constant of the margins
# re-weighting begins after 4/5 of the epochs: after 160 of 200 in the code of Cao et al.
DEFERRED = (4, 5)


def soft_cross_entropy(logits, targets):
    """-sum_c y_c log p_c. Equals the usual cross-entropy on one-hot labels."""
    check_targets(logits, targets)
    return F.cross_entropy(logits, targets)


def focal_loss(logits, targets, gamma=FOCAL_GAMMA):
    """-sum_c y_c (1 - p_c)**gamma log p_c (Lin et al., ICCV 2017, equation 4)."""
    check_targets(logits, targets)
    log_p = F.log_softmax(logits, dim=1)
    one_minus_p = (-torch.expm1(log_p)).clamp(min=0)  # exact also where p is nearly 1
    return -(targets * one_minus_p**gamma * log_p).sum(dim=1).mean()


def weighted_loss(logits, targets, weights):
    """-sum_c w_c y_c log p_c, weights (C,) as `inverse_weights` or `class_balanced_weights`.

    The mean is over images, not over weights: an image's gradient does not depend on its batch.
    Source: Cui et al., CVPR 2019, the class-balanced softmax cross-entropy.
    """
    check_targets(logits, targets)
    return -(targets * weights * F.log_softmax(logits, dim=1)).sum(dim=1).mean()


def label_smoothing_loss(logits, targets, smoothing=SMOOTHING):
    """Cross-entropy with the label (1 - smoothing) y + smoothing / C.

    Source: Szegedy et al., CVPR 2016, section 7.
    """
    check_targets(logits, targets)
    return F.cross_entropy(logits, targets, label_smoothing=smoothing)


def adjusted_loss(logits, targets, log_prior):
    """Cross-entropy of logits + log_prior: the network learns what class shares do not explain.

    This is logit adjustment with tau = 1 (Menon et al., ICLR 2021, the logit adjusted softmax
    cross-entropy) and also balanced softmax (Ren et al., NeurIPS 2020), which adds log n_c instead
    of log pi_c: the same but for a constant, which softmax does not see. Both names are kept since
    both papers are compared with; they give the same run bit for bit.
    """
    check_targets(logits, targets)
    return F.cross_entropy(logits + log_prior, targets)


def ldam_loss(logits, targets, margins, weights):
    """-sum_c w_c y_c log p_c, where p_c has the cosine of c alone lowered by margin_c, (C,).

    logits: cosines times SCALE, as `heads.CosineLinear` gives them. On other logits a margin would
    mean nothing: the network could outgrow it by making them larger.
    Source: Cao et al., NeurIPS 2019, the LDAM loss, with the normalised head and the factor of
    their code. Memory: B * C * C numbers.
    """
    check_targets(logits, targets)
    # (B, C, C): row c has its margin at c
    as_if_true = logits.unsqueeze(1) - SCALE * torch.diag(margins)
    log_p = F.log_softmax(as_if_true, dim=2).diagonal(dim1=1, dim2=2)
    return -(targets * weights * log_p).sum(dim=1).mean()


def inverse_weights(counts):
    """(C,) weights proportional to 1 / n_c, scaled to sum to C."""
    return _scaled(1 / _checked(counts))


def class_balanced_weights(counts, beta=EFFECTIVE_BETA):
    """(C,) weights (1 - beta) / (1 - beta**n_c), scaled to sum to C.

    Source: Cui et al., CVPR 2019, one over the effective number of samples.
    """
    return _scaled(per_effective_number(1, _checked(counts), beta))


def scale_to_images(weights, counts):
    """Weights (C,) times what makes their mean over the training images 1."""
    counts = _checked(counts)
    return (weights * (counts.sum() / (counts * weights).sum())).float()


def ldam_margins(counts, largest=LARGEST_MARGIN):
    """(C,) margins proportional to n_c**(-1/4), the largest being `largest`.

    Source: Cao et al., NeurIPS 2019, class-dependent margins.
    """
    margins = _checked(counts) ** -0.25
    return (margins * (largest / margins.max())).float()


def log_prior(counts):
    """(C,) logarithms of the class shares."""
    counts = _checked(counts)
    return (counts / counts.sum()).log().float()


def _ldam_drw(counts, epoch, epochs):
    share, whole = DEFERRED
    weights = torch.ones(len(counts))
    if epoch * whole > epochs * share:
        weights = class_balanced_weights(counts)
    return {"margins": ldam_margins(counts), "weights": weights}


def _inverse(counts, epoch, epochs):
    return {"weights": inverse_weights(counts)}


def _class_balanced(counts, epoch, epochs):
    return {"weights": class_balanced_weights(counts)}


def _prior(counts, epoch, epochs):
    return {"log_prior": log_prior(counts)}


# name: (loss, function of (counts, epoch, epochs) that gives its other arguments, or None)
LOSSES: dict[str, tuple[Callable, Callable | None]] = {
    "cross_entropy": (soft_cross_entropy, None),
    "weighted": (weighted_loss, _inverse),
    "focal": (focal_loss, None),
    "class_balanced": (weighted_loss, _class_balanced),
    "label_smoothing": (label_smoothing_loss, None),
    "ldam_drw": (ldam_loss, _ldam_drw),
    "balanced_softmax": (adjusted_loss, _prior),
    "logit_adjusted": (adjusted_loss, _prior),
}
BUILT_IN = tuple(LOSSES)


def make_loss(name, counts, device="cpu", *, epoch=1, epochs=1, weight_mean="classes"):
    """The loss called `name` in one epoch, counted from 1, as a function of (logits, soft targets).

    counts (C,): the training counts. `epoch` may be left out where a loss does not depend on it.
    weight_mean: "classes" where class weights have a mean of 1 over classes, as in their papers:
    over images the mean is then far lower, as most are of classes of small weight, and so the steps
    are shorter at the same learning rate; "images" where it is 1 over the training images.
    """
    require_choice("loss", name, tuple(LOSSES))
    function, constants = LOSSES[name]
    if constants is None:
        return function
    arguments = {}
    for argument, value in constants(counts, epoch, epochs).items():
        if argument == "weights" and weight_mean == "images":
            value = scale_to_images(value, counts)
        arguments[argument] = torch.as_tensor(value).to(device)
    return functools.partial(function, **arguments)


def register_loss(name, function, constants=None):
    """Make `loss=name` a loss of recipes: function(logits, soft targets), each (B, C), to minimise.

    constants: function(counts, epoch, epochs) returning {argument: tensor} of what else the loss
    needs; they are put on the device. A method of your own, with its own sampling, in a notebook:

        def brier(logits, targets):
            return (logits.softmax(dim=1) - targets).square().sum(dim=1).mean()

        def cube_root(counts, epoch, epochs):
            return counts ** (1 / 3)

        register_loss("brier", brier)
        register_sampling("cube_root", cube_root)
        METHODS["brier_cube_root"] = dict(loss="brier", q="cube_root")
        recipe = Recipe.make("brier_cube_root", seed=0)

    A recipe, a run id and a checkpoint hold the name alone: give a changed function a new name. A
    sweep takes the same lines from a file, `--with notebooks/own_method.py`, whose content tells
    its runs apart.
    Raises BmixError for the name of a built-in loss.
    """
    if constants is not None and not callable(constants):
        raise BmixError(f"constants must be a function or None, got {constants!r}")
    add_own(LOSSES, BUILT_IN, "loss", name, function)

    @functools.wraps(function)
    def checked(logits, targets, **given):
        value = function(logits, targets, **given)
        if isinstance(value, torch.Tensor) and value.ndim == 0:
            return value
        got = tuple(value.shape) if isinstance(value, torch.Tensor) else repr(value)
        rule = f"the loss {name!r} must return one number as a tensor, such as a mean"
        raise BmixError(f"{rule}, got {got}")

    LOSSES[name] = (checked, constants)
    CHOICES["loss"] = tuple(LOSSES)


def check_targets(logits, targets):
    """Raise BmixError unless targets are floats of the shape of logits.

    Class numbers would be read as weights.
    """
    if logits.shape != targets.shape or logits.ndim != 2:
        shapes = f"{tuple(logits.shape)} and {tuple(targets.shape)}"
        fix = "; class numbers become soft targets by F.one_hot(labels, C).float()"
        raise BmixError(f"logits and soft targets must both be (B, C), got {shapes}{fix}")
    if not targets.is_floating_point():
        raise BmixError(f"soft targets must be floating point, got {targets.dtype}")


def _checked(counts):
    counts = torch.as_tensor(counts, dtype=torch.float64)
    if not bool((counts >= 1).all()):
        raise BmixError(f"counts must be at least 1 in every class, got {counts.tolist()}")
    return counts


def _scaled(weights):
    return (weights * (len(weights) / weights.sum())).float()
