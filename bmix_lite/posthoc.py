"""A finished run corrected for the class shares it was trained with; how far, validation decides. No torch."""

import math

import numpy as np

from bmix_lite.base.errors import require, require_choice
from bmix_lite.metrics import score
from bmix_lite.recipe import CHOICES

TAUS = tuple(
    round(0.1 * step, 1) for step in range(21)
)  # 0 to 2; Menon et al., ICLR 2021, figure 3, vary it likewise


def adjust_probabilities(probabilities, counts, tau=1.0):
    """Logit adjustment after training: p_c / pi_c**tau, scaled to sum to 1 (Menon et al., ICLR 2021, equation 9).

    probabilities (n, C), e.g. of `runs.read_predictions`; counts (C,): training images per class, pi their shares.
    tau=0 changes nothing. Meant for a run trained on the data as they are: one whose sampling, mixing or loss has
    balanced the classes already would be corrected twice.
    """
    probabilities, counts = np.asarray(probabilities, dtype=float), np.asarray(counts, dtype=float)
    require(probabilities.ndim == 2, f"probabilities must be (n, C), got {probabilities.shape}")
    valid = (
        np.isfinite(probabilities).all()
        and (probabilities >= 0).all()
        and (probabilities.sum(axis=1) > 0).all()
    )
    require(
        valid, "probabilities must be finite, 0 or more, and above 0 for some class of each image"
    )
    fits = (
        counts.shape == probabilities.shape[1:]
        and np.isfinite(counts).all()
        and counts.min(initial=1) >= 1
    )
    require(
        fits,
        f"counts must be {probabilities.shape[1]} numbers of at least 1, got {counts.tolist()}",
    )
    require(math.isfinite(tau), f"tau must be finite, got {tau!r}")
    with np.errstate(divide="ignore"):  # a probability of 0 stays 0
        logits = np.log(probabilities) - tau * np.log(counts / counts.sum())
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def choose_tau(labels, predict_with, taus=TAUS, metric="balanced_accuracy"):
    """(the tau whose probabilities score best, {tau: score}); the smallest of several that are equally good.

    labels (n,) of the validation split: a tau chosen on test images would make their score no measure of anything.
    predict_with: function of tau that returns the probabilities (n, C) of the same images
    metric: one by which a recipe may choose an epoch; higher is better
    """
    require_choice("metric", metric, CHOICES["monitor"])
    taus = sorted(taus)
    require(len(taus) > 0, "taus must hold at least one value")
    scores = {tau: score(labels, predict_with(tau), [metric])[metric] for tau in taus}
    defined = {
        tau: value for tau, value in scores.items() if value is not None and not math.isnan(value)
    }
    require(defined, f"{metric} is not defined on these validation images")
    return max(defined, key=defined.get), scores  # max takes the first of equals


def adjust_predictions(predictions, counts, taus=TAUS, metric="balanced_accuracy"):
    """(tau, {split: (labels, adjusted probabilities)}) of a run, tau being chosen on its "val" predictions alone.

    predictions: {"val": (labels (n,), probabilities (n, C)), "test": ...} as `runs.read_predictions` reads them
    """
    require("val" in predictions, f"tau is chosen on the split 'val', got {', '.join(predictions)}")
    labels, probabilities = predictions["val"]
    tau, _ = choose_tau(
        labels, lambda tau: adjust_probabilities(probabilities, counts, tau), taus, metric
    )
    return tau, {
        split: (y, adjust_probabilities(p, counts, tau)) for split, (y, p) in predictions.items()
    }
