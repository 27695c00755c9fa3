"""Balanced-MixUp drawn without a network: the label mass of real epochs, and images to look at. NumPy only."""

from typing import NamedTuple

import numpy as np

from bmix_lite.base.errors import require
from bmix_lite.base.randomness import stream
from bmix_lite.distribution import draw_lam
from bmix_lite.samplers import IndexStream, balanced_stream


class MixedImages(NamedTuple):
    """A few mixed images with both parents: images (K, H, W, C) uint8, labels (K,), soft_labels (K, C), lam (K,).

    base_rows, balanced_rows (K,): where the parents stand in the dataset; uses (K,): how often the balanced stream
    drew this balanced parent in all epochs up to this one
    """

    base: np.ndarray
    balanced: np.ndarray
    mixed: np.ndarray
    base_labels: np.ndarray
    balanced_labels: np.ndarray
    soft_labels: np.ndarray
    lam: np.ndarray
    captions: list
    base_rows: np.ndarray
    balanced_rows: np.ndarray
    uses: np.ndarray


def simulate_label_mass(labels, q, alpha, *, seed, batch_size=32, epochs=1):
    """Share of label mass (C,) that really drawn epochs of Balanced-MixUp hold, lam drawn once per batch.

    The oracle of `mixed_class_probabilities`, made with the streams that training uses.
    """
    base = IndexStream(labels, q, seed=seed, purpose="base", epochs=epochs)
    balanced = balanced_stream(labels, seed=seed)
    mass, labels = np.zeros(len(base.counts)), np.asarray(labels)
    for epoch in range(1, epochs + 1):
        lam_rng = stream(seed, "lam", epoch)
        for one, other in zip(
            base.batches(epoch, batch_size), balanced.batches(epoch, batch_size), strict=True
        ):
            lam = draw_lam(alpha, rng=lam_rng)
            for weight, rows in ((1 - lam, one), (lam, other)):
                mass += weight * np.bincount(labels[rows], minlength=len(mass))
    return mass / mass.sum()


def simulate_draws(labels, q, *, seed, epochs=1, replacement=True):
    """How often each image is drawn in each of `epochs` epochs of N draws, (epochs, N): the oracle of lesson 2.

    replacement: False (q=0 only) deals each class from a deck
    """
    drawn = IndexStream(
        labels, q, seed=seed, purpose="base", epochs=epochs, replacement=replacement
    )
    return np.stack(
        [np.bincount(drawn.indices(epoch), minlength=len(labels)) for epoch in range(1, epochs + 1)]
    )


def draw_mixed_images(data, q, alpha, *, seed, epoch=1, size=8):
    """The first `size` images of an epoch of an ImageSet's training rows, mixed with one lam each; no augmentation."""
    rows = data.rows("train")
    require(1 <= size <= len(rows), f"size must lie in 1..{len(rows)}, got {size!r}")
    labels = data.labels[rows]
    base = next(IndexStream(labels, q, seed=seed, purpose="base").batches(epoch, size))[:size]
    other_side = balanced_stream(labels, seed=seed)
    balanced = next(other_side.batches(epoch, size))[:size]
    uses = sum(
        np.bincount(other_side.indices(number), minlength=len(rows))
        for number in range(1, epoch + 1)
    )
    lam = draw_lam(alpha, size, rng=stream(seed, "lam", epoch))
    one, other = data.images[rows[base]], data.images[rows[balanced]]
    weight = lam[:, None, None, None]
    classes = np.eye(len(data.class_names))
    soft = (1 - lam)[:, None] * classes[labels[base]] + lam[:, None] * classes[labels[balanced]]
    return MixedImages(
        base=one,
        balanced=other,
        mixed=np.round((1 - weight) * one + weight * other).astype(np.uint8),
        base_labels=labels[base],
        balanced_labels=labels[balanced],
        soft_labels=soft,
        lam=lam,
        captions=[_caption(row, data.class_names) for row in soft],
        base_rows=rows[base],
        balanced_rows=rows[balanced],
        uses=uses[balanced],
    )


def _caption(soft_label, class_names):
    """The soft label in words, the larger share first: "0.83 digit 0 / 0.17 digit 7"."""
    shares = [j for j in np.argsort(-soft_label, kind="stable") if soft_label[j] > 0]
    return "\n".join(f"{soft_label[j]:.2f} {class_names[j]}" for j in shares)
