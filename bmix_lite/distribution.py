"""Class distributions before and after sampling and mixing, in closed form. NumPy only."""

from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from bmix_lite.base.errors import BmixError, require, require_alpha, require_choice, suggest
from bmix_lite.base.numbers import from_torch, plain_number
from bmix_lite.base.registry import add_own

EFFECTIVE_BETA = 0.9999  # Cui et al., CVPR 2019: the largest of those they tried


def count_classes(labels, num_classes=None):
    """Images per class: labels (N,) integers 0..C-1, every class present; returns (C,) int64.

    Raises BmixError naming the first bad row, or the classes without an image.
    """
    labels = np.asarray(from_torch(labels))
    if labels.ndim != 1 or labels.size == 0:
        raise BmixError(f"labels must be a non-empty (N,) array, got shape {labels.shape}")
    if not np.issubdtype(labels.dtype, np.integer):
        rule = f"labels must be integers 0..C-1, got dtype {labels.dtype}"
        raise BmixError(f"{rule}: convert them, labels.astype(int)")
    highest = int(labels.max()) if num_classes is None else num_classes - 1
    bad = np.flatnonzero((labels < 0) | (labels > highest))
    if bad.size:
        raise BmixError(f"labels must lie in 0..{highest}, got {labels[bad[0]]} in row {bad[0]}")
    counts = np.bincount(labels, minlength=highest + 1)
    missing = np.flatnonzero(counts == 0).tolist()
    if missing:
        raise BmixError(f"every class needs at least one image, classes {missing} have none")
    return counts


def class_probabilities(counts: ArrayLike, q: float) -> np.ndarray:
    """Probability that a drawn image belongs to each class: p_j = n_j**q / sum_i n_i**q.

    q=1 instance-balanced, q=1/2 square-root, q=0 class-balanced. The authors' code writes n**-q:
    their q is the reverse of this one. counts (C,), each at least 1; returns (C,) summing to 1.
    Source: Kang et al., ICLR 2020, sampling strategies. Raises BmixError for other counts or q.
    """
    counts = _checked_counts(counts)
    q = plain_number(q)
    if not isinstance(q, Real) or isinstance(q, bool) or not 0 <= q <= 1:
        raise BmixError(f"q must be a number in [0, 1], got {q!r}")
    weights = (counts / counts.max()) ** q
    return weights / weights.sum()


def progressive_probabilities(counts, epoch, epochs):
    """From instance-balanced in the first epoch (1) to class-balanced in the last, (C,).

    Source: Kang et al., ICLR 2020, progressively-balanced sampling.
    """
    require(1 <= epoch <= epochs, f"epoch must lie in 1..{epochs}, got {epoch}")
    balance = (epoch - 1) / (epochs - 1) if epochs > 1 else 1.0
    return (1 - balance) * class_probabilities(counts, 1) + balance * class_probabilities(counts, 0)


def effective_probabilities(counts, beta=EFFECTIVE_BETA):
    """Class shares if an image weighs one over its class's effective number, (C,) summing to 1.

        p_j ~ n_j (1 - beta) / (1 - beta**n_j)

    beta=0 is instance-balanced, beta near 1 class-balanced: with 0.9999 small data are too, as
    long as all classes are far smaller than 1 / (1 - beta) = 10,000 images. counts (C,), each at
    least 1.
    Source: Cui et al., CVPR 2019, effective number of samples; as weights of a sampler in the code
    of Cao et al., NeurIPS 2019.
    """
    counts = _checked_counts(counts)
    weights = per_effective_number(counts, counts, beta)
    return weights / weights.sum()


def per_effective_number(values, counts, beta):
    """`values` over the effective numbers of the classes, (1 - beta**n) / (1 - beta).

    values: a number or (C,); counts (C,): a NumPy array or a torch tensor, as is the result.
    Source: Cui et al., CVPR 2019, effective number. Raises BmixError unless beta lies in [0, 1).
    """
    if not 0 <= beta < 1:
        raise BmixError(f"beta must lie in [0, 1), got {beta!r}")
    return values * (1 - beta) / (1 - beta**counts)


# base streams that go by a name, as `q`: functions of (counts, epoch, epochs), class shares (C,)
SAMPLINGS = {
    "progressive": progressive_probabilities,
    "effective": lambda counts, epoch, epochs: effective_probabilities(counts),
}
BUILT_IN = tuple(SAMPLINGS)


def register_sampling(name, function):
    """Make `q=name` a base stream: function(counts (C,), epoch, epochs) returns weights (C,).

    Weights are scaled to sum to 1; epochs count from 1. A recipe, a run id and a checkpoint hold
    the name alone: give a changed function a new name. Raises BmixError for the name of a built-in
    one.
    """
    add_own(SAMPLINGS, BUILT_IN, "sampling", name, function)


def require_sampling(q):
    """Raise BmixError unless `q` is a number in [0, 1] or a name of SAMPLINGS."""
    names = tuple(SAMPLINGS)
    rule = f"q must lie in [0, 1] or be one of {', '.join(names)}"
    if isinstance(q, str):
        if q not in names:
            raise BmixError(f"{rule}, got {q!r}{suggest(q, names)}")
    elif not 0 <= q <= 1:
        raise BmixError(f"{rule}, got {q!r}")


def sampling_probabilities(counts, q, epoch, epochs):
    """Class shares (C,) of a base stream in one epoch. q: a number, or a name of SAMPLINGS."""
    q = plain_number(q)
    if not isinstance(q, str):
        return class_probabilities(counts, q)
    require_choice("q", q, tuple(SAMPLINGS))
    if not isinstance(epochs, int) or epochs < 1:
        raise BmixError(f"q={q!r} needs epochs >= 1, got {epochs!r}")
    counts = _checked_counts(counts)
    shares = np.asarray(SAMPLINGS[q](counts, epoch, epochs), dtype=float)
    fits = shares.shape == counts.shape and np.isfinite(shares).all()
    if not fits or shares.min() < 0 or shares.sum() == 0:
        rule = f"the sampling {q!r} must return {len(counts)} weights >= 0, one per class"
        raise BmixError(f"{rule}, got {shares.tolist()}")
    return shares if q in BUILT_IN else shares / shares.sum()


def imbalance_ratio(counts):
    """Images of the largest class for each image of the smallest."""
    counts = _checked_counts(counts)
    return float(counts.max() / counts.min())


def mean_lam(alpha):
    """E[lam] = alpha / (1 + alpha) for lam ~ Beta(alpha, 1); 0 when alpha = 0."""
    alpha = require_alpha(alpha)
    return alpha / (1 + alpha)


def median_lam(alpha):
    """Half of all batches mix with a weight below 0.5**(1/alpha): 0.001 at alpha = 0.1."""
    alpha = require_alpha(alpha)
    return 0.5 ** (1 / alpha) if alpha > 0 else 0.0


def lam_density(lam, alpha):
    """Density of Beta(alpha, 1): alpha * lam**(alpha - 1), for lam in (0, 1] and alpha > 0."""
    alpha = require_alpha(alpha)
    words = "alpha must be above 0: at alpha = 0 all mass sits at lam = 0 and there is no density"
    require(alpha > 0, words)
    lam = np.asarray(lam, dtype=float)
    require(bool(np.all((lam > 0) & (lam <= 1))), "lam must lie in (0, 1]")
    return alpha * lam ** (alpha - 1)


def draw_lam(alpha: float, size: int | None = None, *, rng: np.random.Generator) -> Any:
    """Weights lam ~ Beta(alpha, 1) of the balanced batch, by inverse CDF: P(lam < t) = t**alpha.

    One float, or an array of `size`; alpha = 0 gives lam = 0, no mixing. rng: a numpy Generator,
    such as `stream` gives. Source: Galdran et al., MICCAI 2021, section 2.2.
    Raises BmixError if alpha is negative or not finite.
    """
    alpha = require_alpha(alpha)
    uniform = rng.random(size)
    return uniform ** (1 / alpha) if alpha > 0 else uniform * 0.0


def mixed_class_probabilities(counts: ArrayLike, q: float, alpha: float) -> np.ndarray:
    """Expected soft-label mass (C,) after Balanced-MixUp: (p_j + alpha / C) / (1 + alpha).

    p_j: the base stream's class probabilities. counts (C,), each at least 1; q in [0, 1].
    """
    base = class_probabilities(counts, q)
    weight = mean_lam(alpha)
    return (1 - weight) * base + weight / len(base)


def expected_draws(counts, q, draws):
    """Expected draws of ONE image of each class among `draws` draws: draws * p_j / n_j, (C,).

    With q=0: N / (C * n_j), the repeats of a rare image. Weighted by lam, multiply by
    `mean_lam(alpha)`.
    """
    return draws * class_probabilities(counts, q) / np.asarray(counts)


def expected_distinct(counts, q, draws, *, replacement=True):
    """Expected number of different images of each class seen in `draws` draws, (C,).

    With replacement each draw hits a given image of class j with probability p_j / n_j, so all
    draws miss it with (1 - p_j/n_j)**draws. Without (decks), class j is dealt
    K ~ Binomial(draws, p_j) times and shows min(K, n_j).
    """
    counts = np.asarray(counts)
    shares = class_probabilities(counts, q)
    if not replacement:
        pairs = zip(counts, shares, strict=True)
        return np.array([_mean_of_smaller(draws, share, n) for n, share in pairs])
    # a single class of one image is drawn for certain: log1p(-1) = -inf is right
    with np.errstate(divide="ignore"):
        return counts * -np.expm1(draws * np.log1p(-shares / counts))


def lorenz_curve(counts):
    """(shares of the classes, share of the images that the rarest of them hold), each (C+1,)."""
    ordered = np.sort(_checked_counts(counts))
    images = np.concatenate([[0], np.cumsum(ordered)]) / ordered.sum()
    return np.linspace(0, 1, len(images)), images


def _mean_of_smaller(draws, share, n):
    """E[min(K, n)] of K ~ Binomial(draws, share): the sum of P(K > k) over k < n."""
    from scipy.stats import binom

    return binom.sf(np.arange(n), draws, share).sum()


def _checked_counts(counts):
    counts = np.asarray(from_torch(counts), dtype=float)
    listed = counts.ndim == 1 and counts.size > 0 and np.isfinite(counts).all()
    if not listed or counts.min() < 1:
        rule = "counts must be (C,) with at least one image in every class"
        raise BmixError(f"{rule}, got {counts.tolist()}")
    return counts
