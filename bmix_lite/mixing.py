"""The method itself: Balanced-MixUp, and the MixUp it grew from."""

import torch

from bmix_lite.distribution import draw_lam
from bmix_lite.errors import BmixError, require

__all__ = ["balanced_mixup", "draw_lam", "mixup"]


def balanced_mixup(base, balanced, lam):
    """Mix a base batch with a class-balanced one (Galdran et al., MICCAI 2021, equation 2).

        x = (1 - lam) * x_base + lam * x_balanced,    y likewise

    base, balanced : (x, y) with x (B, ...) float and y (B, C) soft labels
    lam            : float, or (B,) tensor, in [0, 1]: the weight of the balanced batch
    Returns a new (x, y) of the same shapes. Raises BmixError if shapes differ or lam is out of range.
    """
    (x_base, y_base), (x_balanced, y_balanced) = base, balanced
    for name, one, other in (("x", x_base, x_balanced), ("y", y_base, y_balanced)):
        if one.shape != other.shape:
            raise BmixError(f"{name} of the two batches must match, got {tuple(one.shape)} and {tuple(other.shape)}")
        require(one.is_floating_point(), f"{name} must be floating point, got {one.dtype}")
    lam = torch.as_tensor(lam, dtype=x_base.dtype, device=x_base.device)
    in_range = bool(((lam >= 0) & (lam <= 1)).all())
    require(in_range, f"lam must lie in [0, 1], got {lam.tolist()}")
    require(lam.ndim == 0 or lam.shape == x_base.shape[:1], f"lam must be a number or (B,), got {tuple(lam.shape)}")
    return _mix(x_base, x_balanced, lam), _mix(y_base, y_balanced, lam.to(y_base.dtype))


def mixup(batch, lam, order):
    """MixUp inside one batch (Zhang et al., ICLR 2018): each image with the one at `order`, (B,) a permutation.

    x = (1 - lam) * x + lam * x[order],    y likewise,    lam ~ Beta(alpha, alpha)
    """
    x, y = batch
    return balanced_mixup(batch, (x[order], y[order]), lam)


def _mix(one, other, lam):
    weight = lam.reshape(lam.shape + (1,) * (one.ndim - lam.ndim)) if lam.ndim else lam
    return torch.lerp(one, other, weight)
