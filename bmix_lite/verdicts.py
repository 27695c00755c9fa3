"""What runs allow to say: methods compared pair by pair, in words, and the choice that validation makes."""

import numpy as np
import pandas as pd
from scipy import stats

from bmix_lite.comparison import REPORTED, group_runs, summarise
from bmix_lite.errors import require_choice
from bmix_lite.metrics import mean_interval


def compare_pairs(runs, reference=None, metric="balanced_accuracy", split="test", level=0.95):
    """Each method less the reference, pair by pair over equal folds and seeds: one row a method, a DataFrame.

    reference: a name as in `group_runs`, the first one unless given. Columns: pairs, difference (mean), low and high
    (Student-t interval), higher (pairs in which the method has more), p (paired t test, Holm's correction over the
    methods) and verdict. It speaks of other seeds on the same images, not of other images.
    """
    require_choice("metric", metric, REPORTED)
    groups = group_runs(runs)
    reference = next(iter(groups)) if reference is None else reference
    require_choice("reference", reference, tuple(groups))
    base, rows = _by_pair(groups[reference], metric, split), {}
    for name in groups.keys() - {reference}:
        other = _by_pair(groups[name], metric, split)
        gaps = np.array([other[pair] - base[pair] for pair in sorted(base.keys() & other.keys())])
        mean, low, high = mean_interval(gaps, level) if gaps.size else [np.nan] * 3
        rows[name] = {"pairs": len(gaps), "difference": mean, "low": low, "high": high, "higher": int(sum(gaps > 0))}
        rows[name]["p"] = _paired_p(gaps)
    table = pd.DataFrame.from_dict(rows, orient="index").reindex([name for name in groups if name != reference])
    if len(table):
        table["p"] = correct_holm(table["p"].to_numpy(dtype=float))
        table["verdict"] = [_judge(row, 1 - level) for _, row in table.iterrows()]
    return table


def correct_holm(p):
    """Holm's correction of p values (n,) for n comparisons (Scandinavian Journal of Statistics 6, 1979); NaN stays."""
    p, order = np.asarray(p, dtype=float), np.argsort(p)
    count = int(np.sum(~np.isnan(p)))
    steps = p[order[:count]] * np.arange(count, 0, -1)
    corrected = np.full(p.shape, np.nan)
    corrected[order[:count]] = np.minimum(1, np.maximum.accumulate(steps)) if count else []
    return corrected


def choose_by_validation(runs, metric="balanced_accuracy"):
    """What an honest choice gives: (name with the highest mean on "val", its means {"val", "test"}), then the same of
    the name that is highest on "test", which nobody may choose by."""
    means = {split: summarise(runs, metric, split)["mean"] for split in ("val", "test")}
    chosen, best = (means[split].idxmax() for split in ("val", "test"))
    return [(name, {split: float(values[name]) for split, values in means.items()}) for name in (chosen, best)]


def _by_pair(group, metric, split):
    values = {(run["recipe"]["fold"], run["recipe"]["seed"]): run["metrics"][split][metric] for run in group}
    return {pair: value for pair, value in values.items() if value is not None}


def _paired_p(gaps):
    """Two-sided p of a paired t test; NaN where it is not defined."""
    if len(gaps) < 2 or np.ptp(gaps) == 0:
        return np.nan
    return float(stats.ttest_1samp(gaps, 0).pvalue)


def _judge(row, limit):
    if np.isnan(row["p"]):
        return "no verdict: it takes two pairs that differ"
    if row["p"] >= limit:
        return f"not separable with {row['pairs']:.0f} pairs"
    return "higher" if row["difference"] > 0 else "lower"
