"""The method itself: Balanced-MixUp, the MixUp it grew from, and its relatives. All pure: the caller draws."""

import numpy as np
import torch

from bmix_lite.base.errors import BmixError, require
from bmix_lite.distribution import draw_lam

__all__ = ["balanced_mixup", "cut_box", "cutmix", "draw_lam", "mixup", "remix"]

REMIX_KAPPA, REMIX_TAU = 3, 0.5  # Chou et al., ECCV workshops 2020: their values for all datasets


def balanced_mixup(base, balanced, lam):
    """Mix a base batch with a class-balanced one (Galdran et al., MICCAI 2021, equation 2).

        x = (1 - lam) * x_base + lam * x_balanced,    y likewise

    base, balanced : (x, y) with x (B, ...) float and y (B, C) soft labels
    lam            : float, or (B,) tensor, in [0, 1]: the weight of the balanced batch
    Returns a new (x, y) of the same shapes. Raises BmixError if shapes differ or lam is out of range.
    """
    lam = _check(base, balanced, lam)
    return _mix(base[0], balanced[0], lam), _mix(base[1], balanced[1], lam)


def mixup(batch, lam, order):
    """MixUp inside one batch (Zhang et al., ICLR 2018): each image with the one at `order`, (B,) a permutation.

    x = (1 - lam) * x + lam * x[order],    y likewise,    lam ~ Beta(alpha, alpha)
    """
    x, y = batch
    return balanced_mixup(batch, (x[order], y[order]), lam)


def remix(batch, lam, order, counts, kappa=REMIX_KAPPA, tau=REMIX_TAU):
    """MixUp whose label goes wholly to the much rarer class (Chou et al., ECCV workshops 2020, section 3.2).

    Images mix as in `mixup`, and labels too, unless one class has at least kappa times the images of the other and its
    image weighs less than tau: then the label is the rarer class alone.
    batch: y (B, C) one-hot, since the rule asks for the class of an image; counts (C,): training images per class
    """
    x, y = batch
    lam = _check(batch, (x[order], y[order]), lam)
    one_hot = bool(((y == 1).sum(dim=1) == 1).all() and ((y == 0) | (y == 1)).all())
    require(
        one_hot,
        "Remix needs one-hot labels: the rule compares the classes of two images, soft labels have none",
    )
    counts = torch.as_tensor(counts, dtype=torch.float64, device=y.device)
    require(
        counts.shape == y.shape[1:],
        f"counts must be ({y.shape[1]},), one a class, got {tuple(counts.shape)}",
    )
    own = counts[y.argmax(dim=1)]
    other = own[order]
    label_lam = torch.as_tensor(lam, dtype=y.dtype, device=y.device).expand(len(y)).clone()
    label_lam[(own >= kappa * other) & (1 - lam < tau)] = 1
    label_lam[(other >= kappa * own) & (lam < tau)] = 0
    return _mix(x, x[order], lam), _mix(y, y[order], label_lam)


def cutmix(batch, box, order):
    """A box of each image is cut out of the one at `order`, (B,) a permutation (Yun et al., ICCV 2019, equation 1).

    box: (top, bottom, left, right) in pixels as `cut_box` gives it, each an integer or (B,); the label's weight is the
    box's share of the area, after it was cut off at the edges. batch: x (B, channels, H, W). Returns a new (x, y).
    """
    x, y = batch
    require(x.ndim == 4, f"CutMix needs images (B, channels, H, W), got {tuple(x.shape)}")
    (height, width), box = x.shape[2:], torch.as_tensor(np.asarray(box), device=x.device)
    require(
        box.shape in ((4,), (4, len(x))),
        f"box must be (4,) or (4, {len(x)}), got {tuple(box.shape)}",
    )
    top, bottom, left, right = box
    inside = bool(((top >= 0) & (top <= bottom) & (bottom <= height)).all())
    inside = inside and bool(((left >= 0) & (left <= right) & (right <= width)).all())
    require(inside, f"box must lie within the image of {height} x {width}, got {box.tolist()}")
    lam = ((bottom - top) * (right - left)).to(x.dtype) / (height * width)
    lam = _check(batch, (x[order], y[order]), lam)
    rows, columns = (torch.arange(length, device=x.device) for length in (height, width))
    in_rows = (rows >= top[..., None]) & (rows < bottom[..., None])  # (H,) or (B, H)
    in_columns = (columns >= left[..., None]) & (columns < right[..., None])
    cut = (in_rows[..., :, None] & in_columns[..., None, :]).unsqueeze(-3)
    return torch.where(cut, x[order], x), _mix(y, y[order], lam)


def cut_box(lam, centre, shape):
    """The box that holds the share `lam` of an image around `centre` (Yun et al., ICCV 2019, equation 2).

    lam: in [0, 1], a number or (B,); centre: (row, column) in [0, 1], each like lam; shape: (H, W)
    Returns (top, bottom, left, right), each like lam: rounded to pixels, and cut off at the edges.
    """
    sides = []
    for middle, length in zip(centre, shape, strict=True):
        half = np.sqrt(lam) / 2
        sides += [(np.asarray(middle) - half) * length, (np.asarray(middle) + half) * length]
    limits = np.repeat(shape, 2).reshape(4, *[1] * np.ndim(lam))
    return np.clip(np.round(sides), 0, limits).astype(np.int64)


def _check(base, balanced, lam):
    """lam, a number as a float and all else as a tensor, if the batches fit each other and lam fits them."""
    (x_base, y_base), (x_balanced, y_balanced) = base, balanced
    for name, one, other in (("x", x_base, x_balanced), ("y", y_base, y_balanced)):
        if one.shape != other.shape:
            raise BmixError(
                f"{name} of the two batches must match, got {tuple(one.shape)} and {tuple(other.shape)}"
            )
        require(one.is_floating_point(), f"{name} must be floating point, got {one.dtype}")
    if isinstance(
        lam, (int, float)
    ):  # as tensors, the tests of a number take as long as mixing small images
        require(0 <= lam <= 1, f"lam must lie in [0, 1], got {lam}")
        return float(lam)
    lam = torch.as_tensor(
        lam, dtype=x_base.dtype
    )  # looked at before it is on a GPU, which would wait
    in_range = bool(((lam >= 0) & (lam <= 1)).all())
    require(in_range, f"lam must lie in [0, 1], got {lam.tolist()}")
    require(
        lam.ndim == 0 or lam.shape == x_base.shape[:1],
        f"lam must be a number or (B,), got {tuple(lam.shape)}",
    )
    return lam.to(x_base.device)


def _mix(one, other, lam):
    if torch.is_tensor(lam):
        lam = lam.to(one.dtype).reshape(lam.shape + (1,) * (one.ndim - lam.ndim))
    return torch.lerp(one, other, lam)
