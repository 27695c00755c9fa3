"""What every threshold would give: precision and recall, sensitivity, net benefit.

`positive` is one class number, or several that stand together against the rest. To choose a
threshold and to report it on other images is what `operating.operating_point` is for.
"""

import numpy as np
import pandas as pd
from sklearn.metrics import precision_recall_curve

from bmix_lite.base.errors import BmixError
from bmix_lite.comparison.thresholds import (
    ROUNDING,
    list_thresholds,
    read_scores,
    read_share,
    require_both,
)

STEPS = np.arange(1, 100) / 100  # thresholds of a decision curve


def trace_precision(probabilities, labels, *, positive, prevalence=None):
    """Precision against recall: (precision (K + 1,), recall (K + 1,), thresholds (K,)).

    As scikit-learn gives them: thresholds rise, and an end point of precision 1 and recall 0 is
    added. prevalence: as if so large a share of the images were positive; precision depends on it.
    """
    scores, truth, positive = read_scores(probabilities, labels, positive)
    require_both(truth, positive)
    weights = None
    if prevalence is not None:
        share = read_share("prevalence", prevalence)
        weights = np.where(truth, share / truth.sum(), (1 - share) / (~truth).sum())
    return precision_recall_curve(truth, scores, sample_weight=weights)


def sensitivity_at(probabilities, labels, *, positive, specificity):
    """The highest sensitivity whose specificity is at least this one, on the same images.

    It describes a ranking. As a promise to others it is too good, since the threshold is chosen on
    the images it is judged by.
    """
    least = read_share("specificity", specificity, highest=1)
    scores, truth, positive = read_scores(probabilities, labels, positive)
    require_both(truth, positive)
    _, sensitivities, specificities = list_thresholds(scores, truth)
    return float(sensitivities[specificities >= least - ROUNDING].max())


def decision_curve(probabilities, labels, *, positive, thresholds=STEPS, prevalence=None):
    """Net benefit of acting on the model, on all and on none, per threshold probability t.

        found - false alarms * t / (1 - t),    both as shares of all images

    t is the probability from which one would act: acting for nothing costs t / (1 - t) of what
    acting in time gains. Probabilities must be calibrated, see `calibrating`. prevalence: that of
    the clinic, else that of the images. Returns a DataFrame, index threshold, columns model, all,
    none. Source: Vickers and Elkin, Medical Decision Making 26, 2006.
    """
    scores, truth, positive = read_scores(probabilities, labels, positive)
    require_both(truth, positive)
    t = np.asarray(thresholds, dtype=float)
    if t.ndim != 1 or not t.size or not ((t > 0) & (t < 1)).all():
        raise BmixError(f"thresholds must be a list of numbers above 0 and below 1, got {t}")
    share = float(truth.mean()) if prevalence is None else read_share("prevalence", prevalence)
    called = scores >= t[:, None]  # (K, N)
    found = called[:, truth].mean(axis=1)
    alarms = called[:, ~truth].mean(axis=1)
    odds = t / (1 - t)
    table = {
        "model": share * found - (1 - share) * alarms * odds,
        "all": share - (1 - share) * odds,
        "none": np.zeros_like(t),
    }
    return pd.DataFrame(table, index=pd.Index(t, name="threshold"))
