"""Temperature scaling: one number, fitted on validation images, that makes probabilities honest."""

import numpy as np
from scipy.optimize import brentq
from scipy.special import softmax

from bmix_lite.base.errors import BmixError, require_type
from bmix_lite.base.predictions import check_predictions, check_probabilities

COLDEST = 0.01
HOTTEST = 100.0
# what a softmax in float32 gives as 0 was below this
SMALLEST = float(np.finfo(np.float32).tiny)


def fit_temperature(probabilities, labels):
    """The temperature T at which the labels are likeliest, of p**(1 / T) scaled to sum to 1.

    probabilities (N, C), labels (N,) of the validation split. Above 1: the network was too sure of
    itself. The predicted classes stay as they are. The negative log-likelihood is convex in 1 / T,
    so its slope is followed to 0. T stays within 0.01 to 100: the likeliest is 0 where every image
    is right, and infinite where the network knows nothing; it is 1 where all probabilities are
    equal. Source: Guo et al., ICML 2017, section 4.2. Raises BmixError if a row cannot be scored.
    """
    labels, probabilities = check_predictions(labels, probabilities)
    logits = _read_logits(probabilities)
    of_labels = logits[np.arange(len(labels)), labels]

    def slope(sharpness):
        """Of the mean negative log-likelihood, in 1 / T."""
        expected = (softmax(sharpness * logits, axis=1) * logits).sum(axis=1)
        return float((expected - of_labels).mean())

    if not logits.any():
        return 1.0
    if slope(1 / HOTTEST) >= 0:
        return HOTTEST
    if slope(1 / COLDEST) <= 0:
        return COLDEST
    return float(1 / brentq(slope, 1 / HOTTEST, 1 / COLDEST, xtol=1e-12))


def apply_temperature(probabilities, temperature):
    """Probabilities (N, C) at temperature T: p**(1 / T), scaled to sum to 1; T = 1 changes nothing.

    Raises BmixError unless T is a finite number above 0, or if a row is no distribution.
    """
    number = require_type("temperature", temperature, "float")
    if number <= 0:
        raise BmixError(f"temperature must be above 0, got {temperature!r}")
    return softmax(_read_logits(check_probabilities(probabilities)) / number, axis=1)


def _read_logits(probabilities):
    """Logits (N, C) whose highest is 0; a probability of 0 is one too small for float32."""
    logits = np.log(np.maximum(probabilities, SMALLEST))
    return logits - logits.max(axis=1, keepdims=True)
