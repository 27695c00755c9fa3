"""Checks of the exercises on mixing (lesson 3). Each raises Mistake or Undone, or returns.

Beside the right answer stand the known mistakes as formulas: each is recognised by what it gives.
"""

import numpy as np

from bmix_lite.base.randomness import stream
from bmix_lite.course.exercises.answers import (
    Mistake,
    call,
    expect,
    near,
    read_array,
    read_number,
    recognise,
)
from bmix_lite.distribution import mean_lam, median_lam, mixed_class_probabilities

ALPHAS = np.array([0.1, 0.2, 0.5, 2.0])
SHARES = ((np.array([90, 9, 1]), 0.2), (np.array([50, 30, 15, 5]), 0.5))  # (counts, alpha)


def check_mean_lam(answer):
    """A function of alpha that returns E[lam]."""
    wanted = np.array([mean_lam(alpha) for alpha in ALPHAS])
    mistakes = {
        "that is alpha itself: the mean of Beta(alpha, 1) is smaller": ALPHAS,
        "that is the mean weight of the base batch, 1 - lam: lam belongs to the balanced batch": (
            1 - wanted
        ),
        "that is the median: half of the batches lie below it": [
            median_lam(alpha) for alpha in ALPHAS
        ],
        "one half is the mean of MixUp's Beta(alpha, alpha); here it is Beta(alpha, 1)": (
            np.full(len(ALPHAS), 0.5)
        ),
        "the density is alpha * t**(alpha - 1): take the integral of t times that": (
            ALPHAS / (2 + ALPHAS)
        ),
    }
    means = [read_number(call(answer, float(alpha)), "E[lam]") for alpha in ALPHAS]
    recognise(np.array(means), wanted, "E[lam]", mistakes)
    at_zero = read_number(call(answer, 0.0), "E[lam] at alpha = 0")
    expect(near(at_zero, 0.0), "at alpha = 0 nothing is mixed, so E[lam] is 0")


def check_mixed_shares(answer):
    """A function of (counts, alpha) that returns the shares (C,) of label mass after mixing."""
    for counts, alpha in SHARES:
        shares = read_array(call(answer, counts, alpha), "the shares")
        if shares.shape != counts.shape:
            raise Mistake(f"expected one share per class, {counts.shape}; found {shares.shape}")
        wanted = mixed_class_probabilities(counts, 1, alpha)
        recognise(shares, wanted, "the share", _list_wrong_shares(counts, alpha))


def _list_wrong_shares(counts, alpha):
    data = counts / counts.sum()
    equal = np.full(len(counts), 1 / len(counts))
    mean = mean_lam(alpha)
    median = median_lam(alpha)
    return {
        "alpha is used as the weight: its mean is alpha / (1 + alpha)": (
            (1 - alpha) * data + alpha * equal
        ),
        "the median of lam is used: expected shares need its mean": (
            (1 - median) * data + median * equal
        ),
        "the streams are swapped: E[lam] is the weight of the balanced stream": (
            mean * data + (1 - mean) * equal
        ),
        "these are the shares before mixing": data,
        "these are the shares of the balanced stream alone": equal,
        f"the shares sum to {1 + alpha:g}: divide by 1 + alpha": data + alpha * equal,
        "the balanced stream must give each class 1/C, not 1": (1 - mean) * data + mean,
        "these are numbers of images: divide by their sum": (
            (1 - mean) * counts + mean * counts.sum() * equal
        ),
        "counts are mixed with shares: divide the counts by their sum": (
            (1 - mean) * counts + mean * equal
        ),
    }


def check_balanced_mixup(answer):
    """A function of (base, balanced, lam), both (x (B, H, W), y (B, C)), that returns (x, y)."""
    rng = stream(0, "exercise batch")
    lams = np.array([0.25, 0.9])  # one on either side of a half
    x_base, x_balanced = rng.random((2, 4, 3, 3))
    y_base = np.eye(3)[[0, 0, 0, 1]]
    y_balanced = np.eye(3)[[2, 1, 2, 0]]
    mixed_images = []
    soft_labels = []
    for lam in lams:
        pair = call(answer, (x_base, y_base), (x_balanced, y_balanced), float(lam))
        x, y = _read_pair(pair, x_base.shape, y_base.shape)
        mixed_images.append(x)
        soft_labels.append(y)
    _check_images(np.stack(mixed_images), x_base, x_balanced, lams[:, None, None, None])
    _check_soft_labels(np.stack(soft_labels), y_base, y_balanced, lams[:, None, None])


def _read_pair(pair, x_shape, y_shape):
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise Mistake("expected a pair (x, y): images and labels are mixed in the same way")
    x = read_array(pair[0], "x")
    y = read_array(pair[1], "y")
    expect(x.shape == x_shape, f"x must keep its shape {x_shape}, found {x.shape}")
    if y.shape == y_shape[:1]:
        raise Mistake(
            "y has one number per image: after mixing, labels are not one-hot,"
            " so keep a share per class"
        )
    expect(y.shape == y_shape, f"y must keep its shape {y_shape}, found {y.shape}")
    return x, y


def _check_images(x, base, balanced, lam):
    wanted = (1 - lam) * base + lam * balanced
    mistakes = {
        "lam is swapped: it is the weight of the balanced batch": (
            lam * base + (1 - lam) * balanced
        ),
        "x is the base batch unchanged: the balanced one is missing": base + 0 * lam,
        "x is the balanced batch alone: the base one is missing": balanced + 0 * lam,
        "x is mixed half and half, whatever lam is": (base + balanced) / 2 + 0 * lam,
        "the weights of x do not sum to 1: the base batch has 1 - lam": base + lam * balanced,
        "the base batch is mixed with itself: that is MixUp": (1 - lam) * base + lam * base[::-1],
    }
    recognise(x, wanted, "x", mistakes)


def _check_soft_labels(y, base, balanced, lam):
    wanted = (1 - lam) * base + lam * balanced
    mistakes = {
        "only x is mixed: y is still that of the base batch": base + 0 * lam,
        "y is that of the balanced batch alone": balanced + 0 * lam,
        "x is right, but in y lam is swapped": lam * base + (1 - lam) * balanced,
        "y is hard: the largest share took everything; keep soft labels": (
            np.eye(3)[wanted.argmax(axis=-1)]
        ),
        "the rows of y do not sum to 1: the base labels have the weight 1 - lam": (
            base + lam * balanced
        ),
    }
    recognise(y, wanted, "y", mistakes)
