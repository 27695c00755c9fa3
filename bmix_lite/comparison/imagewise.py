"""How far a score, or a difference of two, depends on which test images, or patients, there were.

Every image has an influence on a score: how fast the score moves as the image counts for more. The
sum of their squares is the variance over other test images (infinitesimal jackknife, Efron, The
Jackknife, the Bootstrap and Other Resampling Plans, 1982, chapter 6); images of one patient are
summed first. So images are drawn once and scored by all runs, which a bootstrap would cost hundreds
of times as much to say.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from bmix_lite.base.errors import BmixError, require_choice
from bmix_lite.comparison.predictions import read_probabilities
from bmix_lite.metrics import confusion_matrix, score_matrix

COUNTED = ("accuracy", "balanced_accuracy", "macro_f1", "mcc", "kappa")  # are read off a matrix
BY_CLASS = ("balanced_accuracy", "macro_f1")  # in which few images can have a large part
STEP = 1e-4  # of a count, for the slope of a metric


def weigh_images(run, metric, part="test"):
    """The influence of each image of the part on a run's score, as a DataFrame by row of the data.

    Columns: label, group (the image itself where the data have no groups), influence.
    Raises BmixError without stored predictions, and for a metric that is no function of counts.
    """
    require_choice("metric", metric, COUNTED)
    table = _read_predictions(run, part)
    probabilities = read_probabilities(table)
    labels = table["label"].to_numpy()
    predicted = probabilities.argmax(axis=1)
    matrix = confusion_matrix(labels, predicted, probabilities.shape[1])
    slopes = find_slopes(matrix, metric)
    weighed = table[["label"]].assign(
        group=table["group"] if "group" in table else table["index"],
        influence=slopes[labels, predicted],
    )
    return weighed.set_index(table["index"])


def weigh_runs(runs, metric, part="test", known=None):
    """The influence of each image on the mean score of runs, as of `weigh_images`.

    known: {run id: influences} of runs that have been read, which is added to
    """
    known = {} if known is None else known
    for run in runs:
        if run["run_id"] not in known:
            known[run["run_id"]] = weigh_images(run, metric, part)
    return average_influences([known[run["run_id"]] for run in runs])


def average_influences(tables):
    """The influences of images on the mean score of runs: a DataFrame as of `weigh_images`.

    Raises BmixError unless all have the same images.
    """
    first = tables[0].sort_index()
    for table in tables[1:]:
        if not first.index.equals(table.sort_index().index):
            raise BmixError("the runs were not tested on the same images")
    influences = [table["influence"].sort_index() for table in tables]
    return first.assign(influence=np.mean(influences, axis=0))


def subtract_influences(table, other):
    """The influences of images on the score of `table` less that of `other`."""
    mirrored = other.assign(influence=-other["influence"])
    mean = average_influences([table, mirrored])
    return mean.assign(influence=2 * mean["influence"])


def image_error(table, metric):
    """(standard error, degrees of freedom) over other test images of a score, or of a difference.

    table: influences. Groups are resampled whole where there are any. Degrees of freedom are the
    images or groups that count, (sum of squares)**2 / (sum of fourth powers): if ten decide, ten.
    """
    sums = table.groupby("group")["influence"].sum().to_numpy()
    count = len(sums)
    squares = sums**2
    if squares.sum() == 0 or count < 2:
        return 0.0, float(max(1, count - 1))
    if metric in BY_CLASS and count == len(table):
        variance = _variance_by_class(table)
    else:
        variance = squares.sum() * count / (count - 1)
    freedom = squares.sum() ** 2 / (squares**2).sum()
    return float(np.sqrt(variance)), float(max(1.0, min(freedom, count - 1)))


def find_slopes(matrix, metric):
    """How fast the metric grows with one more image in each cell of a confusion matrix, (C, C).

    0 where there is no image.
    """
    matrix = np.asarray(matrix, dtype=float)
    totals = matrix.sum(axis=1)
    if metric == "balanced_accuracy":
        present = totals > 0
        rows = np.where(present, totals, 1)
        recall = np.diag(matrix) / rows
        slopes = (np.eye(len(matrix)) - recall[:, None]) / (rows * present.sum())[:, None]
        return np.where(matrix > 0, slopes, 0.0)
    slopes = np.zeros_like(matrix)
    for cell in zip(*np.nonzero(matrix), strict=True):
        ends = [matrix.copy(), matrix.copy()]
        ends[0][cell] -= STEP
        ends[1][cell] += STEP
        low, high = (score_matrix(end, (metric,))[metric] for end in ends)
        slopes[cell] = (high - low) / (2 * STEP)
    return slopes


def _variance_by_class(table):
    """Sum over classes of the variance of their part, which few images know badly.

    The spread of each class is estimated with one image more, that scatters as all classes do on
    average: a class of a single image, or one where all images agree, is not certain for that.
    """
    sizes = table.groupby("label")["influence"].transform("size").to_numpy()
    effects = pd.Series(sizes * table["influence"].to_numpy()).groupby(table["label"].to_numpy())
    size = effects.size().to_numpy()
    squares = effects.apply(lambda values: np.sum((values - values.mean()) ** 2)).to_numpy()
    typical = squares.sum() / max(1, (size - 1).sum())
    return float(np.sum((squares + typical) / size / size))


def _read_predictions(run, part):
    folder = run.get("folder")
    if folder is None:
        raise BmixError("the predictions of the runs are not at hand: read them with read_runs")
    table = pd.read_csv(Path(folder) / "predictions.csv")
    return table[table["split"] == part].reset_index(drop=True)
