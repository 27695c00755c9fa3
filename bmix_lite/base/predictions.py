"""Labels and probabilities that can be scored, as arrays."""

import numpy as np
from numpy.typing import ArrayLike

from bmix_lite.base.errors import BmixError, require
from bmix_lite.base.numbers import from_torch, rounding


def check_predictions(labels: ArrayLike, probabilities: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Both as arrays, or a BmixError that names the row that cannot be scored.

    Tensors, lists and half precision are understood.
    """
    labels = np.asarray(from_torch(labels))
    numbers = np.asarray(from_torch(probabilities), dtype=float)
    _check_shapes(labels, numbers)
    highest = numbers.shape[1] - 1
    bad = np.flatnonzero((labels < 0) | (labels > highest))[:1]
    if bad.size:
        raise BmixError(f"row {bad}: label {labels[bad]} is not in 0..{highest}")
    return labels, check_probabilities(probabilities)


def check_probabilities(probabilities: ArrayLike) -> np.ndarray:
    """Probabilities (N, C) as floats, or a BmixError that names the row that is no distribution."""
    # a float32 softmax over 1,000 classes stays within 1e-5
    tolerance = max(1e-4, 2 * rounding(probabilities))
    probabilities = np.asarray(from_torch(probabilities), dtype=float)
    if probabilities.ndim != 2 or not probabilities.size:
        raise BmixError(f"probabilities must be (N, C), got {probabilities.shape}")
    in_range = np.isfinite(probabilities).all(axis=1) & (probabilities >= 0).all(axis=1)
    sums_to_one = np.abs(probabilities.sum(axis=1) - 1) < tolerance
    bad = np.flatnonzero(~(in_range & sums_to_one))[:1]
    if bad.size:
        rule = "probabilities must be finite, >= 0 and sum to 1"
        raise BmixError(f"row {bad}: {rule}: {probabilities[bad]}; logits need a softmax first")
    return probabilities


def _check_shapes(labels, probabilities):
    if probabilities.ndim != 2 or labels.shape != probabilities.shape[:1]:
        shapes = f"labels {labels.shape} and probabilities {probabilities.shape}"
        fix = (
            "; of one column p make np.stack([1 - p, p], axis=1)" if probabilities.ndim == 1 else ""
        )
        if labels.ndim == 2:
            fix = "; of a column make labels[:, 0], of one-hot rows labels.argmax(axis=1)"
        raise BmixError(f"need (N,) and (N, C), got {shapes}{fix}")
    require(len(labels) > 0, "there is nothing to score: 0 predictions")
    if not np.issubdtype(labels.dtype, np.integer):
        raise BmixError(f"labels must be integers, got dtype {labels.dtype}: labels.astype(int)")
