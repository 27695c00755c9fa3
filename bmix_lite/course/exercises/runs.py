"""Checks of the exercises on runs: a loader, costs, seeds (lessons 5 to 7).

The tables are invented, so that each way to go wrong gives another answer.
"""

import numpy as np
from scipy import stats

from bmix_lite.comparison.paired import compare_means
from bmix_lite.course.exercises.answers import (
    Mistake,
    call,
    expect,
    read_array,
    read_number,
    read_parts,
    recognise_number,
)

SCREENING = {
    "share_of_diseased": 0.02,
    "cost_of_a_miss": 30.0,
    "cost_of_a_false_alarm": 1.0,
    "alpha": [0.05, 0.1, 0.2, 0.3, 0.5, 1.0],
    "val_recall": [0.50, 0.62, 0.74, 0.80, 0.86, 0.90],
    "val_false_alarms": [0.010, 0.012, 0.030, 0.042, 0.080, 0.200],
    "test_recall": [0.52, 0.60, 0.78, 0.78, 0.84, 0.88],
    "test_false_alarms": [0.012, 0.014, 0.030, 0.046, 0.090, 0.180],
}
SEEDS = {"a": [0.842, 0.871, 0.815, 0.890, 0.856], "b": [0.861, 0.880, 0.840, 0.902, 0.879]}


def check_score_all(answer):
    """A function of (rows, batch_size) that returns a list of batches."""
    for count, batch_size in ((21, 8), (16, 8), (5, 8)):
        rows = np.arange(100, 100 + count)
        batches = _read_batches(call(answer, rows, batch_size))
        _judge_batches(batches, rows, batch_size)


def _read_batches(answer):
    try:
        batches = list(answer)
    except TypeError:
        raise Mistake("expected a list of batches, found something that is not a list") from None
    if batches and all(np.ndim(batch) == 0 for batch in batches):
        raise Mistake("expected a list of batches, found one flat list of rows")
    return [read_array(batch, "a batch") for batch in batches]


def _judge_batches(batches, rows, batch_size):
    """Is every row in the batches once, in order, in as few batches as possible?"""
    call_text = f"{len(rows)} rows in batches of {batch_size}"
    expect(all(batch.size for batch in batches), f"{call_text}: one batch is empty")
    batched_rows = np.concatenate(batches) if batches else np.empty(0)
    lost_rows = sorted(set(rows.tolist()) - set(batched_rows.tolist()))
    in_full_batches = len(rows) // batch_size * batch_size
    if lost_rows and lost_rows == rows[in_full_batches:].tolist():
        raise Mistake(
            f"{call_text}: the last {len(lost_rows)} are lost, and with them any rare class there"
        )
    expect(not lost_rows, f"{call_text}: {len(lost_rows)} of them are in no batch")
    if len(batched_rows) > len(set(batched_rows.tolist())):
        raise Mistake(f"{call_text}: some come twice and would count twice in the score")
    if len(batched_rows) > len(rows):
        raise Mistake(f"{call_text}: the batches contain rows that were not given")
    largest = max(batch.size for batch in batches)
    expect(largest <= batch_size, f"{call_text}: a batch has {largest} rows, more than batch_size")
    fewest = -(-len(rows) // batch_size)
    if len(batches) != fewest:
        raise Mistake(f"{call_text}: {fewest} batches are enough, found {len(batches)}")
    if not (batched_rows == rows).all():
        raise Mistake("the rows come in another order: predictions would meet the wrong labels")


def cost_per_thousand(split="val", share=None, miss=None, alarm=None):
    """Expected cost (A,) of 1,000 screened people at each alpha of SCREENING.

    share (of diseased), miss, alarm (costs): as in SCREENING unless given
    """
    share = SCREENING["share_of_diseased"] if share is None else share
    miss = SCREENING["cost_of_a_miss"] if miss is None else miss
    alarm = SCREENING["cost_of_a_false_alarm"] if alarm is None else alarm
    missed = 1 - np.array(SCREENING[f"{split}_recall"])
    alarms = np.array(SCREENING[f"{split}_false_alarms"])
    return 1000 * (share * missed * miss + (1 - share) * alarms * alarm)


def check_choose_alpha(answer):
    """A dict with alpha and cost, per 1,000 screened."""
    alpha, cost = read_parts(answer, ("alpha", "cost"))
    alpha = read_number(alpha, "alpha")
    cost = read_number(cost, "cost")
    _judge_alpha(alpha)
    best = int(cost_per_thousand().argmin())
    right_cost = cost_per_thousand()[best]
    if abs(cost - right_cost) > 0.5:  # money, rounded to the unit
        recognise_number(cost, right_cost, "cost", _list_wrong_costs(best))


def _judge_alpha(alpha):
    """Is this alpha the cheapest on validation? Else say which other rule would choose it."""
    alphas = np.array(SCREENING["alpha"])
    if not np.isclose(alphas, alpha).any():
        raise Mistake(f"alpha must be one of {alphas.tolist()}, found {alpha:g}")
    val_errors = np.array(SCREENING["val_false_alarms"]) - SCREENING["val_recall"]
    to_minimise = {
        "it is the cheapest on test: choose on validation, open test once": (
            cost_per_thousand("test")
        ),
        "it is the cheapest if a false alarm costs 30: the costs are swapped": (
            cost_per_thousand(miss=1, alarm=30)
        ),
        "it has the fewest errors: a miss costs 30 times as much as a false alarm": (
            cost_per_thousand(miss=1, alarm=1)
        ),
        "it has the highest balanced accuracy: use the costs and how rare the disease is": (
            val_errors
        ),
        "it is the cheapest if half of all were diseased: only 2 in 100 are": (
            cost_per_thousand(share=0.5)
        ),
    }
    for reason, values in to_minimise.items():
        if np.isclose(alpha, alphas[np.argmin(values)]):
            raise Mistake(f"alpha {alpha:g}: {reason}")


def _list_wrong_costs(best):
    right = cost_per_thousand()[best]
    rate = SCREENING["val_false_alarms"][best]
    healthy = 1000 * (1 - SCREENING["share_of_diseased"])
    of_alarms = healthy * rate * SCREENING["cost_of_a_false_alarm"]
    of_misses = right - of_alarms
    return {
        "that is the cost on test: compute it on validation, where you chose": (
            cost_per_thousand("test")[best]
        ),
        "that is the cost of one person: give the cost of 1,000": right / 1000,
        "cost counts the misses only: false alarms cost, too": of_misses,
        "cost counts the false alarms only: misses cost, too": of_alarms,
        "cost counts false alarms among all 1,000: only the 980 healthy can have one": (
            of_misses + 1000 * rate
        ),
    }


def check_judge_seeds(answer):
    """A dict with difference (b - a), p and verdict."""
    difference, p, verdict = read_parts(answer, ("difference", "p", "verdict"))
    a = np.array(SEEDS["a"])
    b = np.array(SEEDS["b"])
    mean_gap = np.mean(b - a)
    wrong_differences = {
        "difference has the wrong sign: give b - a": -mean_gap,
        "difference is that of seed 0 alone, or the median: take the mean of all five": b[0] - a[0],
        "difference is that of the best seeds: compare means, as the best of five flatters": (
            b.max() - a.max()
        ),
        "difference is relative to a: give b - a": mean_gap / a.mean(),
    }
    recognise_number(difference, mean_gap, "difference", wrong_differences)
    recognise_number(p, compare_means(b - a), "p", _list_wrong_p(a, b))
    word = str(verdict).strip().lower()
    if word not in ("higher", "lower", "not separable"):
        raise Mistake('verdict must be "higher", "lower" or "not separable"')
    expect(word != "not separable", "verdict does not follow from p, which is below 0.05")
    expect(word == "higher", "verdict speaks of b, and b has the higher mean")


def _list_wrong_p(a, b):
    gaps = b - a
    paired = compare_means(gaps)
    t = gaps.mean() / gaps.std() * 5**0.5
    return {
        "p is that of the unpaired test: runs with the same seed are a pair": (
            stats.ttest_ind(b, a).pvalue
        ),
        "p is that of the unpaired test (Welch): seeds are pairs": (
            stats.ttest_ind(b, a, equal_var=False).pvalue
        ),
        "p is one-sided: nobody knew in advance which method would win": paired / 2,
        "p is 1 less the p value": 1 - paired,
        "p comes from a standard deviation with n: estimate it with n - 1 (ddof=1)": (
            2 * stats.t.sf(t, 4)
        ),
        "p comes from the normal distribution: with five seeds take t": (
            2 * stats.norm.sf(t * (4 / 5) ** 0.5)
        ),
        "p is Wilcoxon's, which cannot be below 0.0625 with five pairs": (
            stats.wilcoxon(gaps).pvalue
        ),
    }
