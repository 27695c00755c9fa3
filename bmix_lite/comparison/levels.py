"""How far the mean score of one method is known: intervals, each with what it covers.

Student's t does not know that a score ends at 1, and with two or three seeds its interval may reach
beyond. It is cut there: the true mean lies within, so it is covered as often as before. An interval
that had to be cut is a wide one.
"""

import numpy as np
import pandas as pd

from bmix_lite.base.errors import BmixError
from bmix_lite.comparison.estimates import Estimate, bound, combine_errors
from bmix_lite.comparison.imagewise import image_error, weigh_runs
from bmix_lite.comparison.intervals import metric_range
from bmix_lite.comparison.paired import estimate_mean
from bmix_lite.comparison.pairing import score_runs
from bmix_lite.comparison.units import (
    COVERED,
    IMAGES_ONLY,
    SEEDS_AND_IMAGES,
    SEEDS_ONLY,
    average_seeds,
    find_unit,
)


def bound_level(runs, metric, part="test", level=0.95, *, images=False):
    """(mean, [{"low", "high", "covers"}, ...]) of the score of one method's runs.

    Over splits the interval allows for the images that they share; on one split it speaks of other
    seeds alone. images: there, a second one that speaks of other test images too, or patients,
    where the predictions are at hand. NaN bounds where nothing is repeated.
    """
    scores = score_runs(runs, metric, part)
    if not scores:
        return np.nan, [_cut(None, metric, level, "nothing: undefined in all runs")]
    unit = find_unit(runs, part)
    values = np.array(list(average_seeds(scores, unit.name).values()))
    mean = float(values.mean())
    if unit.fault:
        return mean, [_cut(None, metric, level, f"nothing: {unit.fault}")]
    estimate = _spread(values, unit.overlap)
    if unit.fixed_test:
        return mean, [_try_images(runs, metric, part, level, estimate, unit.covers)]
    covers = unit.covers if len(values) > 1 else "nothing: one run"
    intervals = [_cut(estimate, metric, level, covers)]
    if images and unit.name == "seeds":
        covers = SEEDS_AND_IMAGES if len(values) > 1 else IMAGES_ONLY
        intervals.append(_try_images(runs, metric, part, level, estimate, covers))
    return mean, intervals


def bound_column(rows, metric, level=0.95):
    """(mean, low, high, what it covers) of a column of metrics of one method's runs, as a table.

    rows: of `tables.tabulate`. Where all splits have the same test images the table alone does not
    tell how much these matter, and there is no interval.
    """
    rows = rows.dropna(subset=[metric])
    if rows.empty:
        return np.nan, np.nan, np.nan, "nothing: undefined in all runs"
    splits = rows["split"] if "split" in rows else pd.Series(0, index=rows.index)
    if splits.nunique() < 2:
        values, overlap, covers = rows[metric].to_numpy(), 0.0, SEEDS_ONLY
    elif set(rows["split_kind"]) <= {"draws", "folds"} and rows["split_kind"].nunique() == 1:
        values = rows.groupby("split")[metric].mean().to_numpy()
        overlap = float((rows["test_images"] / rows["rest_images"]).mean())
        covers = COVERED[rows["split_kind"].iloc[0]]
    else:
        return float(rows[metric].mean()), np.nan, np.nan, "none over these splits"
    cut = _cut(_spread(values, overlap), metric, level, covers)
    return float(values.mean()), cut["low"], cut["high"], covers


def _spread(values, overlap):
    """The Estimate of the mean of values (n,); its error is 0 where they are all the same."""
    estimate = estimate_mean(values, overlap)
    if len(values) < 2:
        return estimate
    return estimate._replace(error=np.nan_to_num(estimate.error))


def _try_images(runs, metric, part, level, estimate, covers):
    """The interval that adds what other test images change; in words why not, if unknown."""
    try:
        table = weigh_runs(runs, metric, part)
    except BmixError as error:
        return _cut(None, metric, level, f"nothing: {error}")
    if table["group"].nunique() < len(table):
        covers = covers.replace("test images", "test images by groups")
    parts = [image_error(table, metric), (np.nan_to_num(estimate.error), estimate.freedom)]
    return _cut(Estimate(estimate.mean, *combine_errors(*parts)), metric, level, covers)


def _cut(estimate, metric, level, covers):
    """An interval within the range of its metric; NaN bounds of no estimate."""
    low, high = (np.nan, np.nan) if estimate is None else bound(estimate, level)
    lowest, highest = metric_range(metric)
    low, high = float(np.maximum(low, lowest)), float(np.minimum(high, highest))
    return {"low": low, "high": high, "covers": covers}
