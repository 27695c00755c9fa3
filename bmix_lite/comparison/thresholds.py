"""One class, or several together, against the rest: scores, every threshold, the one for an aim."""

import numpy as np
from sklearn.metrics import confusion_matrix_at_thresholds

from bmix_lite.base.errors import BmixError, require_integer, require_type
from bmix_lite.base.numbers import from_torch
from bmix_lite.base.predictions import check_predictions

ROUNDING = 1e-12  # shares that differ by less are equal
COSTS = ("false_negative", "false_positive")


def read_scores(probabilities, labels, positive):
    """(scores (N,), whether each image is of a positive class (N,) bool, class numbers).

    probabilities (N, C), labels (N,); positive: one class number or several, not all. Raises
    BmixError if a row cannot be scored.
    """
    if np.ndim(probabilities) == 1 and np.ndim(labels) == 2:
        raise BmixError("probabilities (N, C) come first, then labels (N,); they are the other way")
    labels, probabilities = check_predictions(labels, probabilities)
    classes = probabilities.shape[1]
    given = np.ravel(from_torch(positive)).tolist()
    chosen = {require_integer("positive", number, 0, classes - 1) for number in given}
    if not 0 < len(chosen) < classes:
        rule = f"positive must be some of the classes 0..{classes - 1}, not none and not all"
        raise BmixError(f"{rule}, got {sorted(chosen)}")
    numbers = sorted(chosen)
    return sum_scores(probabilities, numbers), np.isin(labels, numbers), tuple(numbers)


def sum_scores(probabilities, positive):
    """The score of each image, (N,): its probabilities (N, C) of the positive classes together.

    Raises BmixError where there are not so many classes.
    """
    classes = probabilities.shape[1]
    if max(positive) >= classes:
        rule = f"positive must be some of the classes 0..{classes - 1}"
        raise BmixError(f"{rule}, got {list(positive)}")
    return probabilities[:, list(positive)].sum(axis=1)


def require_both(truth, positive):
    """Raise BmixError unless there are images of the positive classes and others."""
    if not 0 < truth.sum() < len(truth):
        which = "others than" if truth.any() else "of"
        raise BmixError(
            f"no threshold can be judged without images {which} class "
            f"{', '.join(map(str, positive))}, got {len(truth)} images"
        )


def list_thresholds(scores, truth):
    """(thresholds, sensitivity, specificity), each (K,), for every way to part the scores.

    From infinity, where no image is called positive, down to 0, where all are; between neighbouring
    scores half-way, so that a score in the last digit of a file stays on its side.
    """
    cleared, alarms, missed, found, scores = confusion_matrix_at_thresholds(truth, scores)
    below = np.append(scores[1:], -scores[-1])  # the last threshold is 0
    half_way = (scores + below) / 2
    thresholds = np.where(half_way > below, half_way, scores)
    thresholds[-1] = 0.0
    sensitivity = np.append(0.0, found / (found + missed))
    specificity = np.append(1.0, cleared / (cleared + alarms))
    return np.append(np.inf, thresholds), sensitivity, specificity


def choose_threshold(scores, truth, aim, value, prevalence):
    """(threshold, its sensitivity, its specificity, the rule in words).

    aim: a key of AIMS, and its value. Of equally good thresholds the one with the highest
    sensitivity, then with the highest specificity.
    """
    thresholds, sensitivity, specificity = list_thresholds(scores, truth)
    worth, rule = AIMS[aim](value, sensitivity, specificity, prevalence)
    best = np.flatnonzero(worth >= worth.max() - ROUNDING)
    chosen = best[np.lexsort((specificity[best], sensitivity[best]))[-1]]
    return float(thresholds[chosen]), float(sensitivity[chosen]), float(specificity[chosen]), rule


def read_aim(prevalence, min_recall, min_specificity, costs):
    """(name, value) of the one aim that is given. Raises BmixError for none, several, or a bad one.

    A prevalence is an aim where it stands alone.
    """
    given = {"min_recall": min_recall, "min_specificity": min_specificity, "costs": costs}
    aims = {name: value for name, value in given.items() if value is not None}
    if not aims and prevalence is not None:
        return "prevalence", prevalence
    if len(aims) != 1:
        found = " and ".join(aims) or "none of them"
        raise BmixError(f"give one of {', '.join(given)}, or prevalence alone; got {found}")
    ((name, value),) = aims.items()
    return name, _read_costs(value) if name == "costs" else read_share(name, value, highest=1)


def read_share(name, value, highest=None):
    """A share as a float. Raises BmixError unless it is above 0 and below 1, or is `highest`."""
    number = require_type(name, value, "float")
    if not (0 < number < 1 or number == highest):
        end = "at most 1" if highest else "below 1"
        raise BmixError(f"{name} must be a number above 0 and {end}, got {value!r}")
    return number


def _read_costs(costs):
    """Costs as floats in the order of COSTS."""
    if not isinstance(costs, dict) or set(costs) != set(COSTS):
        example = '{"false_negative": 10, "false_positive": 1}'
        raise BmixError(f"costs must be like {example}, got {costs!r}")
    numbers = [require_type(f"costs: {name}", costs[name], "float") for name in COSTS]
    if min(numbers) <= 0:
        raise BmixError(f"costs must be above 0, got {costs!r}")
    return numbers


def _reach_recall(least, sensitivity, specificity, _):
    worth = np.where(sensitivity >= least - ROUNDING, specificity, -np.inf)
    return worth, f"recall of at least {least:g}, then the highest specificity"


def _reach_specificity(least, sensitivity, specificity, _):
    worth = np.where(specificity >= least - ROUNDING, sensitivity, -np.inf)
    return worth, f"specificity of at least {least:g}, then the highest recall"


def _save_costs(costs, sensitivity, specificity, prevalence):
    miss, alarm = costs
    missed = prevalence * (1 - sensitivity) * miss / (miss + alarm)
    alarms = (1 - prevalence) * (1 - specificity) * alarm / (miss + alarm)
    words = f"a miss costs {miss:g}, a false alarm {alarm:g}"
    return -(missed + alarms), f"the lowest cost at prevalence {prevalence:.4g}, where {words}"


def _match_prevalence(_, sensitivity, specificity, prevalence):
    called = prevalence * sensitivity + (1 - prevalence) * (1 - specificity)
    words = f"as many called positive as there are, at prevalence {prevalence:.4g}"
    return -np.abs(called - prevalence), words


# each takes (value, sensitivity (K,), specificity (K,), prevalence): (worth (K,), rule in words)
AIMS = {
    "min_recall": _reach_recall,
    "min_specificity": _reach_specificity,
    "costs": _save_costs,
    "prevalence": _match_prevalence,
}
