"""Probabilities for other class shares than those of training: equal, known, or estimated.

NumPy only, so that they need no more of a run than its predictions.
"""

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import softmax

from bmix_lite.base.errors import BmixError, require
from bmix_lite.base.numbers import from_torch
from bmix_lite.distribution import (
    EFFECTIVE_BETA,
    mean_lam,
    per_effective_number,
    sampling_probabilities,
)
from bmix_lite.methods import check_known_shares

LEAST_CHANGE = 1e-9  # of every share in one step of EM: it has converged
MOST_STEPS = 100_000


def adjust_probabilities(
    probabilities: ArrayLike,
    prior: ArrayLike,
    tau: float = 1.0,
    *,
    target: ArrayLike | None = None,
) -> np.ndarray:
    """Logit adjustment after training: p_c target_c / pi_c**tau, scaled to sum to 1.

    probabilities (n, C), such as `read_predictions` gives
    prior (C,)  : what the network was trained on, counts or shares pi: the training counts of a run
                  on the data as they are, `mixed_class_probabilities` of one of Balanced-MixUp;
                  `trained_shares` knows that of a recipe. For a loss that corrects for the counts
                  itself, balanced softmax, there is none: it would be corrected twice.
    target (C,) : shares of the classes where the network is used, summing to 1; None: all equal,
                  which balanced accuracy asks for
    tau=0 leaves the prior in. Training counts as the prior of a run of class-balanced sampling are
    not its prior, but can help: a network that has learned its few rare images by heart is as
    unsure of new ones as if it had seen them rarely.
    Source: Menon et al., ICLR 2021, section 4; with a target Saerens et al., Neural Computation
    2002, Bayes' rule. Raises BmixError for what is no probability.
    """
    given = _checked_probabilities(probabilities)
    classes = given.shape[1]
    require(math.isfinite(tau), f"tau must be finite, got {tau!r}")
    with np.errstate(divide="ignore"):  # a probability of 0 stays 0
        logits = np.log(given) - tau * np.log(_checked_prior(prior, classes))
        if target is not None:
            logits += np.log(_checked_target(target, classes))
    highest = logits.max(axis=1)
    if not np.isfinite(highest).all():
        row = int(np.argmin(highest))
        raise BmixError(f"target is 0 for every class that image {row} can be of")
    return softmax(logits, axis=1)


def estimate_prevalence(probabilities: ArrayLike, prior: ArrayLike) -> np.ndarray:
    """Class shares (C,) of unlabelled images, by EM: the `target` of `adjust_probabilities`.

    probabilities (n, C) of these images, by a network whose probabilities are calibrated for the
    class shares `prior` (C,), counts or shares; see there. Each step adjusts the probabilities to
    the shares, then takes their mean as the new shares: the likelihood never falls, and it has one
    peak. Only as good as the calibration, and as the promise that the images of
    a class look alike in both places.
    Source: Saerens et al., Neural Computation 2002. Raises BmixError for what is no probability.
    """
    given = _checked_probabilities(probabilities)
    require(len(given) > 0, "there are no images to estimate class shares from")
    shares = _checked_prior(prior, given.shape[1])
    ratios = given / shares
    ratios /= ratios.max(axis=1, keepdims=True)
    for _ in range(MOST_STEPS):
        likely = ratios * shares
        before = shares
        shares = (likely / likely.sum(axis=1, keepdims=True)).mean(axis=0)
        if np.abs(shares - before).max() < LEAST_CHANGE:
            break
    return shares


def trained_shares(recipe, counts):
    """Class shares (C,) of the labels that the loss of a recipe sees: what there is to adjust.

    counts (C,): the training counts. Of the base stream (a mean over the epochs, where it moves),
    of Balanced-MixUp's mixed labels, times the loss's class weights.
    Raises BmixError where they are not known in closed form, or the loss corrects for them itself.
    """
    check_known_shares(recipe)
    counts = np.asarray(from_torch(counts), dtype=float)
    epochs = range(1, recipe.epochs + 1)
    drawn = [sampling_probabilities(counts, recipe.q, epoch, recipe.epochs) for epoch in epochs]
    shares = np.mean(drawn, axis=0)
    if recipe.mixing == "balanced":
        weight = recipe.mix_probability * mean_lam(recipe.alpha)  # of the balanced labels
        shares = (1 - weight) * shares + weight / len(shares)
    if recipe.loss == "weighted":
        shares = shares / counts
    if recipe.loss == "class_balanced":
        shares = per_effective_number(shares, counts, EFFECTIVE_BETA)
    return shares / shares.sum()


def _checked_probabilities(probabilities):
    probabilities = np.asarray(from_torch(probabilities), dtype=float)
    require(probabilities.ndim == 2, f"probabilities must be (n, C), got {probabilities.shape}")
    in_range = np.isfinite(probabilities).all() and (probabilities >= 0).all()
    if not in_range or not (probabilities.sum(axis=1) > 0).all():
        raise BmixError(
            "probabilities must be finite, 0 or more, and above 0 for some class of each image"
        )
    return probabilities


def _checked_prior(prior, classes):
    """prior (C,) as shares; BmixError unless each is above 0."""
    prior = np.asarray(from_torch(prior), dtype=float)
    fits = prior.shape == (classes,) and np.isfinite(prior).all()
    if not fits or prior.min(initial=1) <= 0:
        rule = f"prior must be {classes} numbers above 0, counts or shares"
        raise BmixError(f"{rule}, got {prior.tolist()}")
    return prior / prior.sum()


def _checked_target(target, classes):
    target = np.asarray(from_torch(target), dtype=float)
    fits = target.shape == (classes,) and np.isfinite(target).all()
    if not fits or target.min(initial=1) < 0 or not math.isclose(target.sum(), 1, abs_tol=1e-6):
        rule = f"target must be {classes} shares of at least 0 that sum to 1"
        raise BmixError(f"{rule}, got {target.tolist()}")
    return target
