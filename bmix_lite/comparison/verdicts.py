"""What runs allow to say: methods compared over splits, in words; and validation's choice."""

import numpy as np
import pandas as pd

from bmix_lite.base.errors import require_choice
from bmix_lite.comparison.estimates import (
    MARGIN,
    bound,
    chance_above,
    chance_within,
    find_detectable,
    find_p,
    range_detectable,
)
from bmix_lite.comparison.intervals import metric_range
from bmix_lite.comparison.paired import correct_holm, flip_signs, lowest_p, rank_signs
from bmix_lite.comparison.pairing import estimate_gaps, pair_methods
from bmix_lite.comparison.tables import REPORTED, group_runs, summarise

NUMBERS = ["difference", "low", "high", "p", "better", "equivalent"]
NUMBERS += ["detectable", "detectable_low", "detectable_high", "p_signs", "p_wilcoxon", "floor"]
COLUMNS = ["pairs", "difference", "low", "high", "covers", "higher", "p", "better", "equivalent"]
COLUMNS += ["verdict", "unit", "test", "detectable", "detectable_low", "detectable_high"]
COLUMNS += ["p_signs", "p_wilcoxon", "floor", "margin"]


def compare_pairs(
    runs, reference=None, metric="balanced_accuracy", split="test", level=0.95, margin=MARGIN
):
    """Each method less the reference over equal splits or seeds: one row per method.

    reference: a name as in `group_runs`, the first one unless given. Columns of the DataFrame:
    pairs; difference (mean); low, high: its interval, cut where no difference can lie
    covers: what the interval and all else speak of, in words
    higher: pairs in which the method scores more; p: with Holm's correction over the table
    better, equivalent: probability that the true difference is above 0; within the margin
    verdict: in words; unit: "splits", a split's seeds averaged first, because they share its
        images, or "seeds" where there is one split; test: see `pairing.TESTS`
    detectable: the true difference that is found 4 times in 5, at Holm's first step, and its range
    p_signs, p_wilcoxon: uncorrected; too low with splits, of whose overlap they know nothing
    floor: below which these two cannot fall; margin: as given
    """
    return compare_sets({"": runs}, reference, metric, split, level, margin)[""]


def compare_sets(
    sets, reference=None, metric="balanced_accuracy", split="test", level=0.95, margin=MARGIN
):
    """{name: table of `compare_pairs`} of several sets of runs that one page shows.

    Holm's correction is over all comparisons of the page.
    """
    require_choice("metric", metric, REPORTED)
    tables = {
        name: _compare_methods(runs, reference, metric, split, level, margin)
        for name, runs in sets.items()
    }
    p = correct_holm(np.concatenate([table["p"] for table in tables.values()]))
    limit = (1 - level) / max(1, len(p))  # Holm asks the most of the lowest p
    widest = np.ptp(metric_range(metric))
    start = 0
    for table in tables.values():
        table["p"] = p[start : start + len(table)]
        start += len(table)
        _judge_table(table, limit, 1 - level, widest)
    return {name: table.drop(columns=["estimate", "fault"]) for name, table in tables.items()}


def explain_tests(table):
    """What a reader must know of the tests behind a table of `compare_pairs`: sentences.

    None if nothing was tested.
    """
    table = table[table["p"].notna()]
    if table.empty:
        return []
    sentences = [EXPLAINED[test] for test in EXPLAINED if test in set(table["test"])]
    if "splits" in set(table["unit"]):
        sentences.append(SHARED)
    sentences.append(
        "p is corrected for the number of comparisons on this page (Holm), the intervals are not: "
        "one may leave out 0 where the words say not separable. The p of flipped signs and of "
        "ranks (Wilcoxon) stand each for itself."
    )
    sentences.append(_explain_floor(table))
    sentences.append(
        "Better is the probability that the true difference is above 0, equivalent that it is "
        f"within {table['margin'].iloc[0]:g} on either side of 0, for one who knew nothing before "
        "(Benavoli et al., JMLR 18, 2017). The smallest seen is the true difference that four such "
        "experiments in five would find: a range, because the scatter here is itself uncertain."
    )
    return sentences


EXPLAINED = {
    "paired t": (
        "Pairs are runs of equal seed on one split, compared by the paired t test: it tells what "
        "other seeds on this split would give, and nothing of other splits or images."
    ),
    "corrected paired t": (
        "Pairs are splits, the seeds of each averaged, compared by the t test of Nadeau and Bengio "
        "(2003), which allows for images that splits share; the tests of signs and ranks do not, "
        "so their p is too low."
    ),
    "images and splits": (
        "All splits have the same test images. The variance of a difference is that over other "
        "test images, or patients where the data have groups, plus that over trainings, which "
        "share images (Nadeau and Bengio, 2003); the tests of signs and ranks know of neither, so "
        "their p is too low."
    ),
}
SHARED = (
    "How much a difference scatters over splits is estimated from three methods or more together, "
    "as far as they scatter alike (Smyth, 2004)."
)


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


def _compare_methods(runs, reference, metric, split, level, margin):
    """A table of `compare_pairs` before what all rows of a page decide: Holm, verdict."""
    groups = group_runs(runs)
    reference = next(iter(groups)) if reference is None else reference
    require_choice("reference", reference, tuple(groups))
    pairings = pair_methods(groups, reference, metric, split)
    estimates = estimate_gaps(pairings, metric, split)
    rows = [
        _describe(pairing, *found, metric, level, margin)
        for pairing, found in zip(pairings.values(), estimates, strict=True)
    ]
    table = pd.DataFrame(rows, index=list(pairings), columns=[*COLUMNS, "estimate", "fault"])
    return table.astype(dict.fromkeys(NUMBERS, float) | {"higher": "Int64"})


def _describe(pairing, estimate, test, fault, metric, level, margin):
    """One row; nothing is tested where there is a fault."""
    gaps = pairing.gaps
    row = {"pairs": len(gaps), "unit": pairing.unit.name, "test": test, "margin": margin}
    row |= {"floor": lowest_p(len(gaps)), "covers": pairing.unit.covers, "fault": fault}
    if len(gaps) == 0:
        return row
    row["difference"] = gaps.mean()
    row["higher"] = int(np.sum(gaps > 0))
    if fault:
        return row
    widest = np.ptp(metric_range(metric))
    row["low"], row["high"] = np.clip(bound(estimate, level), -widest, widest)
    row["p"] = find_p(estimate)
    row["better"] = chance_above(estimate)
    row["equivalent"] = chance_within(estimate, margin)
    row["p_signs"] = flip_signs(gaps)
    row["p_wilcoxon"] = rank_signs(gaps)
    return row | {"estimate": estimate}


def _judge_table(table, limit, error, widest):
    """Fill in, row by row, what could have been seen at Holm's first step, and the verdict."""
    for name, row in table.iterrows():
        if row["fault"] == "" and np.isfinite(row["p"]):
            smallest = find_detectable(row["estimate"], limit=limit)
            reach = range_detectable(row["estimate"], limit=limit)
            columns = ["detectable", "detectable_low", "detectable_high"]
            table.loc[name, columns] = smallest, *reach
    table["verdict"] = [_judge(row, error, widest) for _, row in table.iterrows()]


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


def _judge(row, error, widest):
    """The verdict on one row in words."""
    pairs = int(row["pairs"])
    unit = row["unit"]
    if pairs < 2:
        return f"no verdict: it takes two splits or seeds that both have, found {pairs}"
    if row["fault"]:
        return f"no verdict: {row['fault']}"
    if np.isnan(row["p"]):
        return f"no verdict: the difference is the same in all {pairs} {unit}"
    here = " on this split" if unit == "seeds" else ""
    if row["p"] < error:
        return ("higher" if row["difference"] > 0 else "lower") + here
    if row["equivalent"] >= 1 - error:
        return f"equivalent within {row['margin']:g}{here}"
    return f"not separable with {pairs} {unit}{here}; {_say_missed(row, widest)}"


def _say_missed(row, widest):
    """What the experiment was too small to see."""
    if row["detectable"] >= widest:
        return "so few could not have shown any difference"
    low, high = row[["detectable_low", "detectable_high"]]
    reach = f"{low:.2g} to {high:.2g}" if high < widest else f"{low:.2g} or more"
    return f"the smallest difference seen 4 times in 5 is {reach}"
