"""The method: Balanced-MixUp, the MixUp it grew from, and relatives. Pure: the caller draws."""

import numpy as np
import torch
from torch import Tensor

from bmix_lite.base.errors import BmixError
from bmix_lite.distribution import draw_lam

__all__ = ["balanced_mixup", "cut_box", "cutmix", "draw_lam", "mixup", "paste_box", "remix"]

Batch = tuple[Tensor, Tensor]  # images (B, ...) and soft labels (B, C), both float

REMIX_KAPPA = 3  # Chou et al., ECCV workshops 2020: one value for all datasets, like tau
REMIX_TAU = 0.5


def balanced_mixup(base: Batch, balanced: Batch, lam: float | Tensor) -> Batch:
    """Mix a base batch with a class-balanced one (Galdran et al., MICCAI 2021, equation 2).

        x = (1 - lam) * x_base + lam * x_balanced,    y likewise

    base, balanced : (x, y) with x (B, ...) float and y (B, C) soft labels
    lam            : float, or (B,) tensor, in [0, 1]: the weight of the balanced batch
    Returns a new (x, y) of the same shapes. Raises BmixError if shapes differ or lam is not in
    [0, 1].
    """
    lam = _check(base, balanced, lam)
    return _mix(base[0], balanced[0], lam), _mix(base[1], balanced[1], lam)


def mixup(batch: Batch, lam: float | Tensor, order: Tensor) -> Batch:
    """MixUp inside one batch (Zhang et al., ICLR 2018): each image with the one at `order`.

        x = (1 - lam) * x + lam * x[order],    y likewise,    lam ~ Beta(alpha, alpha)

    order: (B,) a permutation.
    """
    x, y = batch
    return balanced_mixup(batch, (x[order], y[order]), lam)


def remix(batch, lam, order, counts, kappa=REMIX_KAPPA, tau=REMIX_TAU):
    """MixUp whose label goes wholly to the much rarer class (Chou et al., ECCV workshops 2020).

    Images mix as in `mixup`, and so do labels, unless one class has at least kappa times the images
    of the other and its image weighs less than tau: then the label is the rarer class alone.
    batch  : y (B, C) one-hot, since the rule asks for the class of an image
    counts : (C,) training images per class
    Source: section 3.2. Raises BmixError if labels are soft or shapes do not fit.
    """
    x, y = batch
    lam = _check(batch, (x[order], y[order]), lam)
    _require_one_hot(y)
    counts = torch.as_tensor(counts, dtype=torch.float64, device=y.device)
    if counts.shape != y.shape[1:]:
        raise BmixError(f"counts must be ({y.shape[1]},), one per class, got {tuple(counts.shape)}")
    n_first = counts[y.argmax(dim=1)]
    n_second = n_first[order]
    label_lam = torch.as_tensor(lam, dtype=y.dtype, device=y.device).expand(len(y)).clone()
    label_lam[(n_first >= kappa * n_second) & (1 - lam < tau)] = 1
    label_lam[(n_second >= kappa * n_first) & (lam < tau)] = 0
    return _mix(x, x[order], lam), _mix(y, y[order], label_lam)


def cutmix(batch, box, order):
    """A box of each image comes from another one of the batch (Yun et al., ICCV 2019).

    order: (B,) a permutation: where the box comes from; all else as in `paste_box`
    """
    x, y = batch
    return paste_box(batch, (x[order], y[order]), box)


def paste_box(base, other, box):
    """A box of each image of `base` is that of the image of `other` in its place.

    With a class-balanced batch as `other` this is CMO (Park et al., CVPR 2022): images of rare
    classes come into the surroundings that frequent ones have.
    base, other : (x, y) with x (B, channels, H, W) float and y (B, C) soft labels
    box         : (top, bottom, left, right) in pixels as `cut_box` gives it, each an integer or
                  (B,)
    The label's weight is the box's share of the area after it was cut off at the edges. Returns a
    new (x, y). Raises BmixError if the box does not lie within the image.
    """
    x, y = base
    if x.ndim != 4:
        raise BmixError(f"CutMix needs images (B, channels, H, W), got {tuple(x.shape)}")
    height, width = x.shape[2:]
    box = torch.as_tensor(np.asarray(box), device=x.device)
    _require_inside(box, len(x), height, width)
    top, bottom, left, right = box
    lam = ((bottom - top) * (right - left)).to(x.dtype) / (height * width)
    lam = _check(base, other, lam)
    rows = torch.arange(height, device=x.device)
    columns = torch.arange(width, device=x.device)
    in_rows = (rows >= top[..., None]) & (rows < bottom[..., None])  # (H,) or (B, H)
    in_columns = (columns >= left[..., None]) & (columns < right[..., None])
    in_box = (in_rows[..., :, None] & in_columns[..., None, :]).unsqueeze(-3)
    return torch.where(in_box, other[0], x), _mix(y, other[1], lam)


def cut_box(lam, centre, shape):
    """The box that holds the share `lam` of an image around `centre`.

    lam: in [0, 1], a number or (B,); centre: (row, column) in [0, 1], each like lam; shape: (H, W)
    Returns (top, bottom, left, right), each like lam: rounded to pixels, and cut off at the edges.
    Edges are rounded from where the formula has them, so that its area is met on average at every
    size: a mean share of 0.32 of the image for lam uniform. The authors' code cuts sides down to an
    even number of pixels: 0.23 at 8 px, 0.30 at 32 px, 0.32 at 224 px.
    Source: Yun et al., ICCV 2019, the box coordinates.
    """
    half = np.sqrt(lam) / 2
    sides = []
    for middle, length in zip(centre, shape, strict=True):
        sides.append((np.asarray(middle) - half) * length)
        sides.append((np.asarray(middle) + half) * length)
    limits = np.repeat(shape, 2).reshape(4, *[1] * np.ndim(lam))
    return np.clip(np.round(sides), 0, limits).astype(np.int64)


def _check(base, balanced, lam):
    """lam as a float or a tensor, if the batches fit each other and lam fits them."""
    for name, one, other in zip("xy", base, balanced, strict=True):
        for part in (one, other):
            if not torch.is_tensor(part):
                kind = type(part).__name__
                raise BmixError(f"{name} must be a tensor, got {kind}: torch.as_tensor({name})")
        if one.shape != other.shape:
            shapes = f"{tuple(one.shape)} and {tuple(other.shape)}"
            raise BmixError(f"{name} of the two batches must match, got {shapes}")
        if not one.is_floating_point():
            fix = "x.float() / 255" if name == "x" else "F.one_hot(y, C).float()"
            raise BmixError(f"{name} must be floating point, got {one.dtype}: {fix}")
    # as a tensor, testing a number takes as long as mixing small images
    if isinstance(lam, (int, float)):
        if not 0 <= lam <= 1:
            raise BmixError(f"lam must lie in [0, 1], got {lam}")
        return float(lam)
    x_base = base[0]
    lam = torch.as_tensor(lam, dtype=x_base.dtype)  # tested before it is on a GPU, which would wait
    if not bool(((lam >= 0) & (lam <= 1)).all()):
        raise BmixError(f"lam must lie in [0, 1], got {lam.tolist()}")
    if lam.ndim != 0 and lam.shape != x_base.shape[:1]:
        raise BmixError(f"lam must be a number or (B,), got {tuple(lam.shape)}")
    return lam.to(x_base.device)


def _require_one_hot(y):
    zero_or_one = bool(((y == 0) | (y == 1)).all())
    if not zero_or_one or not bool(((y == 1).sum(dim=1) == 1).all()):
        raise BmixError(
            "Remix needs one-hot labels: the rule compares the classes of two images, "
            "soft labels have none"
        )


def _require_inside(box, batch_size, height, width):
    if box.shape not in ((4,), (4, batch_size)):
        raise BmixError(f"box must be (4,) or (4, {batch_size}), got {tuple(box.shape)}")
    top, bottom, left, right = box
    inside_rows = (top >= 0) & (top <= bottom) & (bottom <= height)
    inside_columns = (left >= 0) & (left <= right) & (right <= width)
    if not bool((inside_rows & inside_columns).all()):
        size = f"{height} x {width}"
        raise BmixError(f"box must lie within the image of {size}, got {box.tolist()}")


def _mix(one, other, lam):
    if torch.is_tensor(lam):
        lam = lam.to(one.dtype).reshape(lam.shape + (1,) * (one.ndim - lam.ndim))
    return torch.lerp(one, other, lam)
