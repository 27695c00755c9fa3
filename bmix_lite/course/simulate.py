"""Balanced-MixUp without a network: the label mass of simulated epochs, and images to look at."""

from typing import NamedTuple

import numpy as np

from bmix_lite.base.errors import require
from bmix_lite.base.randomness import stream
from bmix_lite.distribution import draw_lam
from bmix_lite.samplers import IndexStream, balanced_stream


class MixedImages(NamedTuple):
    """A few mixed images with both parents: images (K, H, W, C) uint8, the rest (K,) unless told.

    base_rows, balanced_rows: where the parents are in the dataset
    uses: how often the balanced stream drew the balanced parent, in all epochs up to this one
    """

    base: np.ndarray
    balanced: np.ndarray
    mixed: np.ndarray
    base_labels: np.ndarray
    balanced_labels: np.ndarray
    soft_labels: np.ndarray  # (K, C)
    lam: np.ndarray
    captions: list
    base_rows: np.ndarray
    balanced_rows: np.ndarray
    uses: np.ndarray


def simulate_label_mass(labels, q, alpha, *, seed, batch_size=32, epochs=1):
    """Share of label mass (C,) in simulated epochs of Balanced-MixUp, one lam per batch.

    Made with the streams that training uses: the oracle of `mixed_class_probabilities`.
    """
    labels = np.asarray(labels)
    base_stream = IndexStream(labels, q, seed=seed, purpose="base", epochs=epochs)
    other_stream = balanced_stream(labels, seed=seed)
    mass = np.zeros(len(base_stream.counts))
    for epoch in range(1, epochs + 1):
        lam_rng = stream(seed, "lam", epoch)
        pairs = zip(
            base_stream.batches(epoch, batch_size),
            other_stream.batches(epoch, batch_size),
            strict=True,
        )
        for base, balanced in pairs:
            lam = draw_lam(alpha, rng=lam_rng)
            mass += (1 - lam) * np.bincount(labels[base], minlength=len(mass))
            mass += lam * np.bincount(labels[balanced], minlength=len(mass))
    return mass / mass.sum()


def simulate_draws(labels, q, *, seed, epochs=1, replacement=True):
    """How often each image is drawn in each of `epochs` epochs of N draws, (epochs, N).

    replacement: False (q=0 only) deals each class from a deck
    """
    drawn = IndexStream(
        labels, q, seed=seed, purpose="base", epochs=epochs, replacement=replacement
    )
    times = [np.bincount(drawn.indices(k), minlength=len(labels)) for k in range(1, epochs + 1)]
    return np.stack(times)


def draw_mixed_images(data, q, alpha, *, seed, epoch=1, size=8):
    """The first `size` images of an epoch of an ImageSet's training rows, mixed, not augmented.

    Each has a lam of its own. Returns MixedImages.
    """
    rows = data.rows("train")
    require(1 <= size <= len(rows), f"size must lie in 1..{len(rows)}, got {size!r}")
    labels = data.labels[rows]
    base_stream = IndexStream(labels, q, seed=seed, purpose="base")
    other_stream = balanced_stream(labels, seed=seed)
    base = next(base_stream.batches(epoch, size))[:size]
    balanced = next(other_stream.batches(epoch, size))[:size]
    lam = draw_lam(alpha, size, rng=stream(seed, "lam", epoch))
    base_images = data.images[rows[base]]
    balanced_images = data.images[rows[balanced]]
    mixed = _mix(base_images, balanced_images, lam[:, None, None, None])
    one_hot = np.eye(len(data.class_names))
    soft_labels = _mix(one_hot[labels[base]], one_hot[labels[balanced]], lam[:, None])
    return MixedImages(
        base=base_images,
        balanced=balanced_images,
        mixed=np.round(mixed).astype(np.uint8),
        base_labels=labels[base],
        balanced_labels=labels[balanced],
        soft_labels=soft_labels,
        lam=lam,
        captions=[_caption(row, data.class_names) for row in soft_labels],
        base_rows=rows[base],
        balanced_rows=rows[balanced],
        uses=_count_uses(other_stream, epoch, len(rows))[balanced],
    )


def _mix(base, balanced, lam):
    return (1 - lam) * base + lam * balanced


def _count_uses(index_stream, epochs, length):
    """How often each image was drawn in the first `epochs` epochs, (length,)."""
    uses = np.zeros(length, int)
    for epoch in range(1, epochs + 1):
        uses += np.bincount(index_stream.indices(epoch), minlength=length)
    return uses


def _caption(soft_label, class_names):
    """The soft label in words, the larger share first: "0.83 digit 0 / 0.17 digit 7"."""
    shares = [j for j in np.argsort(-soft_label, kind="stable") if soft_label[j] > 0]
    return "\n".join(f"{soft_label[j]:.2f} {class_names[j]}" for j in shares)
