"""Losses for imbalanced classes. All take logits (B, C) and soft labels (B, C), and average over the batch."""

import functools

import torch
import torch.nn.functional as F

from bmix_lite.errors import require, require_choice

FOCAL_GAMMA = 2.0  # Lin et al., ICCV 2017: best in their table 1b
CLASS_BALANCED_BETA = 0.9999  # Cui et al., CVPR 2019: their choice for long-tailed data, section 5.2


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


def class_balanced_loss(logits, targets, weights):
    """-sum_c w_c y_c log p_c with `class_balanced_weights` (Cui et al., CVPR 2019, equation 10).

    The mean is over images, not over weights: an image's gradient does not depend on its batch.
    """
    check_targets(logits, targets)
    return -(targets * weights * F.log_softmax(logits, dim=1)).sum(dim=1).mean()


def class_balanced_weights(counts, beta=CLASS_BALANCED_BETA):
    """(C,) weights (1 - beta) / (1 - beta**n_c), scaled to sum to C (Cui et al., CVPR 2019, equation 9)."""
    counts = torch.as_tensor(counts, dtype=torch.float64)
    require(bool((counts >= 1).all()), f"counts must be at least 1 in every class, got {counts.tolist()}")
    require(0 <= beta < 1, f"beta must lie in [0, 1), got {beta!r}")
    weights = (1 - beta) / (1 - beta**counts)
    return (weights * (len(counts) / weights.sum())).float()


LOSSES = ("cross_entropy", "focal", "class_balanced")


def make_loss(name, counts, device="cpu"):
    """The loss called `name` as a function of (logits, soft targets); `counts` (C,) are the training counts."""
    require_choice("loss", name, LOSSES)
    if name == "class_balanced":
        return functools.partial(class_balanced_loss, weights=class_balanced_weights(counts).to(device))
    return {"cross_entropy": soft_cross_entropy, "focal": focal_loss}[name]


def check_targets(logits, targets):
    """Raise BmixError unless targets are floats of the shape of logits: class numbers would be read as weights."""
    same = logits.shape == targets.shape and logits.ndim == 2
    require(same, f"logits and soft targets must both be (B, C), got {tuple(logits.shape)} and {tuple(targets.shape)}")
    require(targets.is_floating_point(), f"soft targets must be floating point, got {targets.dtype}")
