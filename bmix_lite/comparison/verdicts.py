"""What runs allow to say: methods compared pair by pair, in words; and validation's choice."""

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
NUMBERS = ("difference", "low", "high", "p", "detectable", "p_signs", "p_wilcoxon", "floor")
COLUMNS = ["pairs", "difference", "low", "high", "higher", "p", "verdict"]
COLUMNS += ["unit", "test", "detectable", "p_signs", "p_wilcoxon", "floor"]


def compare_pairs(runs, reference=None, metric="balanced_accuracy", split="test", level=0.95):
    """Each method less the reference, pair by pair over equal seeds or folds: one row per method.

    reference: a name as in `group_runs`, the first one unless given. Columns of the DataFrame:
    pairs; difference (mean); low, high: its Student-t interval, cut where no difference can lie
    higher: pairs in which the method scores more; p: t test, Holm's correction over the methods
    verdict: in words; unit: "seeds" of one split, or "folds", a fold's seeds averaged first,
        because its runs share their images; test: plain for seeds, Nadeau and Bengio's for folds
    detectable: the true difference that is found 4 times in 5, at Holm's first step
    p_signs, p_wilcoxon: uncorrected; too low with folds, of whose overlap they know nothing
    floor: below which these two cannot fall
    All of it speaks of other seeds or folds of the same images, not of other images.
    """
    require_choice("metric", metric, REPORTED)
    groups = group_runs(runs)
    reference = next(iter(groups)) if reference is None else reference
    require_choice("reference", reference, tuple(groups))
    base = groups.pop(reference)
    limit = (1 - level) / max(1, len(groups))  # Holm asks the most of the lowest p
    widest = np.ptp(metric_range(metric))
    rows = [_compare(base, group, metric, split, level, limit) for group in groups.values()]
    table = pd.DataFrame(rows, index=list(groups), columns=COLUMNS)
    table = table.astype(dict.fromkeys(NUMBERS, float) | {"higher": "Int64"})
    table["low"] = table["low"].clip(lower=-widest)
    table["high"] = table["high"].clip(upper=widest)
    table["p"] = correct_holm(table["p"])
    table["verdict"] = [_judge(row, 1 - level, widest) for _, row in table.iterrows()]
    return table


def pair_up(base, other, metric, split="test"):
    """(differences (n,), other less base; "seeds" or "folds") over what both groups of runs have.

    One difference per seed on one split; or, where they share several folds, one per fold, the mean
    over its seeds. Runs in which the metric is undefined make no pair.
    """
    base_scores = _score_by_pair(base, metric, split)
    other_scores = _score_by_pair(other, metric, split)
    shared = sorted(base_scores.keys() & other_scores.keys())
    unit = "folds" if len({fold for fold, _ in shared}) > 1 else "seeds"
    gaps = defaultdict(list)
    for fold, seed in shared:
        gap = other_scores[fold, seed] - base_scores[fold, seed]
        gaps[fold if unit == "folds" else seed].append(gap)
    return np.array([np.mean(values) for values in gaps.values()]), unit


def explain_tests(table):
    """What a reader must know of the tests behind a table of `compare_pairs`: sentences.

    None if nothing was tested.
    """
    table = table[table["p"].notna()]
    if table.empty:
        return []
    units = sorted(set(table["unit"]))
    sentences = []
    if "seeds" in units:
        sentences.append("Pairs are runs of equal seed, compared by the paired t test.")
    if "folds" in units:
        sentences.append(
            "Pairs are folds, the seeds of each averaged, compared by the t test of Nadeau and "
            "Bengio (2003), which allows for training images that folds share; the tests of signs "
            "and ranks do not, so their p is too low."
        )
    sentences.append(
        "p is corrected for the number of methods (Holm), the intervals are not: one may leave out "
        "0 where the words say not separable. The p of flipped signs and of ranks (Wilcoxon) stand "
        "each for itself."
    )
    sentences.append(_explain_floor(table))
    sentences.append(
        "The smallest seen is the true difference that four such experiments in five would find. "
        f"It is estimated from how the {' and '.join(units)} scatter here, "
        "and from so few a rough size."
    )
    return sentences


def choose_by_validation(runs, metric="balanced_accuracy"):
    """What an honest choice gives, and what nobody may choose.

    [(name, its means {"val", "test"}), ...]: first of the name with the highest mean on "val", then
    of the one that is highest on "test".
    """
    means = {split: summarise(runs, metric, split)["mean"] for split in ("val", "test")}
    choices = []
    for chosen_on in ("val", "test"):
        name = means[chosen_on].idxmax()
        choices.append((name, {split: float(values[name]) for split, values in means.items()}))
    return choices


def _compare(base, group, metric, split, level, limit):
    """One row of `compare_pairs`, before what all rows together decide: Holm, cut, verdict."""
    gaps, unit = pair_up(base, group, metric, split)
    row = {"pairs": len(gaps), "unit": unit, "test": TESTS[unit], "floor": lowest_p(len(gaps))}
    if len(gaps) == 0:
        return row
    overlap = _overlap(base + group, split) if unit == "folds" else 0.0
    row["difference"], row["low"], row["high"] = bound_mean(gaps, level, overlap)
    row["higher"] = int(np.sum(gaps > 0))
    row["p"] = compare_means(gaps, overlap)
    row["p_signs"] = flip_signs(gaps)
    row["p_wilcoxon"] = rank_signs(gaps)
    row["detectable"] = smallest_detectable(gaps, overlap=overlap, limit=limit)
    return row


def _score_by_pair(group, metric, split):
    """{(split, seed): score} of the runs in which the metric is defined."""
    scores = {}
    for run in group:
        score = run["metrics"][split][metric]
        if score is not None:
            scores[run["recipe"]["split"], run["recipe"]["seed"]] = score
    return scores


def _overlap(runs, split):
    """n_test / n_train, the mean over runs; what validation holds is counted in neither."""
    ratios = [
        np.sum(run["metrics"][split]["confusion"]) / np.sum(run["train_counts"]) for run in runs
    ]
    return float(np.mean(ratios))


def _explain_floor(table):
    """The sentence on the lowest p of signs and ranks."""
    floors = dict(zip(table["pairs"].astype(int), table["floor"], strict=True))
    limits = [
        f"with {pairs} pairs p cannot fall below {_format_p(floors[pairs])}"
        for pairs in sorted(floors)
    ]
    never = ", so they alone cannot reach 0.05" if min(floors.values()) >= 0.05 else ""
    return f"Signs and ranks have a floor: {', '.join(limits)}{never}."


def _format_p(p):
    return f"{p:.4f}".rstrip("0") if p >= 0.0001 else f"{p:.0e}"


def _judge(row, limit, widest):
    """The verdict on one row in words."""
    pairs = int(row["pairs"])
    unit = row["unit"]
    if pairs < 2:
        return f"no verdict: it takes two seeds or folds that both have, found {pairs}"
    if np.isnan(row["p"]):
        return f"no verdict: the difference is the same in all {pairs} {unit}"
    if row["p"] < limit:
        return "higher" if row["difference"] > 0 else "lower"
    if row["detectable"] >= widest:
        return f"not separable with {pairs} {unit}; so few could not have shown any difference"
    smallest = f"{row['detectable']:.2g}"
    return (
        f"not separable with {pairs} {unit}; only differences above {smallest} would have been seen"
    )
