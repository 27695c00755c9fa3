"""What runs allow to say: methods compared pair by pair, in words, and the choice that validation makes."""

from collections import defaultdict

import numpy as np
import pandas as pd

from bmix_lite.base.errors import require_choice
from bmix_lite.comparison.intervals import metric_range
from bmix_lite.comparison.paired import (
    bound_mean,
    compare_means,
    correct_holm,
    flip_signs,
    lowest_p,
    rank_signs,
    smallest_detectable,
)
from bmix_lite.comparison.tables import REPORTED, group_runs, summarise

TESTS = {"seeds": "paired t", "folds": "corrected paired t"}
COLUMNS = ["pairs", "difference", "low", "high", "higher", "p", "verdict"]
COLUMNS += ["unit", "test", "detectable", "p_signs", "p_wilcoxon", "floor"]


def compare_pairs(runs, reference=None, metric="balanced_accuracy", split="test", level=0.95):
    """Each method less the reference, pair by pair over equal seeds or folds: one row a method, a DataFrame.

    reference: a name as in `group_runs`, the first one unless given. Columns: pairs, difference (mean), low and high
    (Student-t interval, cut where no difference can lie), higher (pairs in which the method has more), p (t test,
    Holm's correction over the methods), verdict in words; unit and test: seeds of one split by the plain test, folds
    by that of Nadeau and Bengio, a fold's seeds averaged first, because its runs share their images; detectable (the
    smallest true difference that is found 4 times in 5, whatever Holm does with the other methods); p_signs and
    p_wilcoxon (uncorrected; with folds too low, as they know of no overlap) and floor, below which these two cannot
    fall. All of it speaks of other seeds or folds of the same images, not of other images.
    """
    require_choice("metric", metric, REPORTED)
    groups = group_runs(runs)
    reference = next(iter(groups)) if reference is None else reference
    require_choice("reference", reference, tuple(groups))
    methods = [name for name in groups if name != reference]
    limit = (1 - level) / max(1, len(methods))  # Holm asks the most of the lowest p
    widest = np.ptp(metric_range(metric))
    rows = []
    for name in methods:
        gaps, unit = pair_up(groups[reference], groups[name], metric, split)
        overlap = _overlap(groups[reference] + groups[name], split) if unit == "folds" else 0.0
        row = {"pairs": len(gaps), "unit": unit, "test": TESTS[unit], "floor": lowest_p(len(gaps))}
        if len(gaps):
            mean, low, high = bound_mean(gaps, level, overlap)
            row |= {
                "difference": mean,
                "low": np.maximum(low, -widest),
                "high": np.minimum(high, widest),
            }
            row |= {"higher": int(np.sum(gaps > 0)), "p": compare_means(gaps, overlap)}
            row |= {"p_signs": flip_signs(gaps), "p_wilcoxon": rank_signs(gaps)}
            row["detectable"] = smallest_detectable(gaps, overlap=overlap, limit=limit)
        rows.append(row)
    table = pd.DataFrame(rows, index=methods, columns=COLUMNS)
    numbers = ["difference", "low", "high", "p", "detectable", "p_signs", "p_wilcoxon", "floor"]
    table = table.astype(dict.fromkeys(numbers, float) | {"higher": "Int64"})
    table["p"] = correct_holm(table["p"])
    table["verdict"] = [_judge(row, 1 - level, widest) for _, row in table.iterrows()]
    return table


def pair_up(base, other, metric, split="test"):
    """(differences (n,), other less base; "seeds" or "folds") over the seeds and folds that both runs have.

    One difference a seed on one split, or, where they share several folds, one a fold, the mean over its seeds. Runs in
    which the metric is undefined make no pair.
    """
    ours, theirs = _by_pair(base, metric, split), _by_pair(other, metric, split)
    shared, gaps = sorted(ours.keys() & theirs.keys()), defaultdict(list)
    by_fold = len({fold for fold, _ in shared}) > 1
    for fold, seed in shared:
        gaps[fold if by_fold else seed].append(theirs[fold, seed] - ours[fold, seed])
    return np.array([np.mean(values) for values in gaps.values()]), "folds" if by_fold else "seeds"


def explain_tests(table):
    """What a reader must know of the tests behind a table of `compare_pairs`: sentences, none if nothing was tested."""
    table = table[table["p"].notna()]
    if table.empty:
        return []
    units = set(table["unit"])
    words = ["Pairs are runs of equal seed, compared by the paired t test."] * ("seeds" in units)
    if "folds" in units:
        words.append(
            "Pairs are folds, the seeds of each averaged, compared by the t test of Nadeau and Bengio (2003), which "
            "allows for training images that folds share; the tests of signs and ranks do not, so their p is too low."
        )
    words.append(
        "p is corrected for the number of methods (Holm), the intervals are not: one may leave out 0 where the words "
        "say not separable. The p of flipped signs and of ranks (Wilcoxon) stand each for itself."
    )
    floors = {
        int(pairs): floor for pairs, floor in zip(table["pairs"], table["floor"], strict=True)
    }
    limits = ", ".join(
        f"with {pairs} pairs p cannot fall below {_short(floors[pairs])}"
        for pairs in sorted(floors)
    )
    never = ", so they alone cannot reach 0.05" if min(floors.values()) >= 0.05 else ""
    words.append(f"Signs and ranks have a floor: {limits}{never}.")
    words.append(
        f"The smallest seen is the true difference that four such experiments in five would find. It is reckoned from "
        f"how the {' and '.join(sorted(units))} scatter here, and from so few a rough size."
    )
    return words


def choose_by_validation(runs, metric="balanced_accuracy"):
    """What an honest choice gives: (name with the highest mean on "val", its means {"val", "test"}), then the same of
    the name that is highest on "test", which nobody may choose by."""
    means = {split: summarise(runs, metric, split)["mean"] for split in ("val", "test")}
    chosen, best = (means[split].idxmax() for split in ("val", "test"))
    return [
        (name, {split: float(values[name]) for split, values in means.items()})
        for name in (chosen, best)
    ]


def _by_pair(group, metric, split):
    values = {
        (run["recipe"]["fold"], run["recipe"]["seed"]): run["metrics"][split][metric]
        for run in group
    }
    return {pair: value for pair, value in values.items() if value is not None}


def _overlap(runs, split):
    """n_test / n_train, the mean over runs; what validation holds is counted in neither."""
    return float(
        np.mean(
            [
                np.sum(run["metrics"][split]["confusion"]) / np.sum(run["train_counts"])
                for run in runs
            ]
        )
    )


def _short(p):
    return f"{p:.4f}".rstrip("0") if p >= 0.0001 else f"{p:.0e}"


def _judge(row, limit, widest):
    pairs, unit = int(row["pairs"]), row["unit"]
    if pairs < 2:
        return f"no verdict: it takes two seeds or folds that both have, found {pairs}"
    if np.isnan(row["p"]):
        return f"no verdict: the difference is the same in all {pairs} {unit}"
    if row["p"] < limit:
        return "higher" if row["difference"] > 0 else "lower"
    if row["detectable"] >= widest:
        return f"not separable with {pairs} {unit}; so few could not have shown any difference"
    return f"not separable with {pairs} {unit}; only differences above {row['detectable']:.2g} would have been seen"
