"""Checks of the exercises on what runs say: a loader, costs, seeds (lessons 5 to 7).

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
    recognise,
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
    """A function of (rows, batch_size) to a list of batches."""
    for count, size in ((21, 8), (16, 8), (5, 8)):
        rows = np.arange(100, 100 + count)
        try:
            batches = list(call(answer, rows, size))
        except TypeError:
            raise Mistake(
                "a list of batches is asked for, found something that is no list"
            ) from None
        flat = [np.ndim(batch) for batch in batches] == [0] * len(batches)
        expect(
            not (flat and batches), "a list of batches is asked for, found one flat list of rows"
        )
        parts = [read_array(batch, "a batch") for batch in batches]
        at = f"{count} rows in batches of {size}"
        expect(all(part.size for part in parts), f"{at}: one batch is empty")
        held = np.concatenate(parts) if parts else np.empty(0)
        lost = sorted(set(rows.tolist()) - set(held.tolist()))
        whole = count // size * size
        if lost == rows[whole:].tolist() and lost:
            raise Mistake(
                f"{at}: the last {len(lost)} are lost, and with them a rare class that lies there"
            )
        expect(not lost, f"{at}: {len(lost)} of them are in no batch")
        expect(
            len(held) == len(set(held.tolist())),
            f"{at}: some come twice and would count twice in the score",
        )
        expect(len(held) == count, f"{at}: there are rows in the batches that were not given")
        largest, fewest = max(part.size for part in parts), -(-count // size)
        expect(largest <= size, f"{at}: a batch holds {largest} rows, more than batch_size")
        expect(len(parts) == fewest, f"{at}: they make {fewest} batches, found {len(parts)}")
        expect(
            (held == rows).all(),
            "the rows come in another order: predictions would meet the wrong labels",
        )


def cost_per_thousand(split="val", share=None, miss=None, alarm=None):
    """Expected cost (A,) of 1,000 screened persons at each alpha of SCREENING."""
    share = SCREENING["share_of_diseased"] if share is None else share
    miss = SCREENING["cost_of_a_miss"] if miss is None else miss
    alarm = SCREENING["cost_of_a_false_alarm"] if alarm is None else alarm
    missed = 1 - np.array(SCREENING[f"{split}_recall"])
    alarms = np.array(SCREENING[f"{split}_false_alarms"])
    return 1000 * (share * missed * miss + (1 - share) * alarms * alarm)


def check_choose_alpha(answer):
    """A dict with alpha and cost, per 1,000 screened."""
    alpha, cost = read_parts(answer, ("alpha", "cost"))
    alpha, cost = read_number(alpha, "alpha"), read_number(cost, "cost")
    alphas, costs = np.array(SCREENING["alpha"]), cost_per_thousand()
    expect(
        np.isclose(alphas, alpha).any(), f"alpha must be one of {alphas.tolist()}, found {alpha:g}"
    )
    unbalanced = np.array(SCREENING["val_false_alarms"]) - SCREENING["val_recall"]
    for values, words in (
        (
            cost_per_thousand("test"),
            "it is the cheapest on test: choose on validation, test is opened once",
        ),
        (
            cost_per_thousand(miss=1, alarm=30),
            "it is the cheapest if a false alarm cost 30: the costs are swapped",
        ),
        (
            cost_per_thousand(miss=1, alarm=1),
            "it has the fewest errors: a miss costs 30 times as much as a false alarm",
        ),
        (
            unbalanced,
            "it has the highest balanced accuracy: use the costs and how rare the disease is",
        ),
        (
            cost_per_thousand(share=0.5),
            "it is the cheapest if half of all were diseased: only 2 in 100 are",
        ),
    ):
        expect(not np.isclose(alpha, alphas[np.argmin(values)]), f"alpha {alpha:g}: {words}")
    best = int(costs.argmin())
    healthy, rate = 1000 * (1 - SCREENING["share_of_diseased"]), SCREENING["val_false_alarms"][best]
    of_alarms = healthy * rate * SCREENING["cost_of_a_false_alarm"]
    of_misses = costs[best] - of_alarms
    if abs(cost - costs[best]) <= 0.5:  # money, rounded to the unit
        return
    recognise(
        np.float64(cost),
        costs[best],
        "cost",
        [
            (
                cost_per_thousand("test")[best],
                "cost is that on test: reckon it on validation, where you chose",
            ),
            (costs[best] / 1000, "cost is that of one person: that of 1,000 is asked for"),
            (of_misses, "cost counts the misses only: false alarms cost, too"),
            (of_alarms, "cost counts the false alarms only: misses cost, too"),
            (
                of_misses + 1000 * rate,
                "cost counts false alarms among all 1,000: only the 980 healthy can be one",
            ),
        ],
    )


def check_judge_seeds(answer):
    """A dict with difference (b less a), p and verdict."""
    difference, p, verdict = read_parts(answer, ("difference", "p", "verdict"))
    a, b = np.array(SEEDS["a"]), np.array(SEEDS["b"])
    gaps = b - a
    recognise(
        np.float64(read_number(difference, "difference")),
        gaps.mean(),
        "difference",
        [
            (-gaps.mean(), "difference has the wrong sign: b less a is asked for"),
            (
                gaps[0],
                "difference is that of seed 0 alone, or the median: take the mean of all five",
            ),
            (
                b.max() - a.max(),
                "difference is that of the best seeds: compare means, the best of five flatters",
            ),
            (gaps.mean() / a.mean(), "difference is relative to a: b less a is asked for"),
        ],
    )
    paired, t = compare_means(gaps), gaps.mean() / gaps.std() * 5**0.5
    recognise(
        np.float64(read_number(p, "p")),
        paired,
        "p",
        [
            (
                stats.ttest_ind(b, a).pvalue,
                "p is that of the unpaired test: runs of one seed are a pair",
            ),
            (
                stats.ttest_ind(b, a, equal_var=False).pvalue,
                "p is that of the unpaired test (Welch): seeds are pairs",
            ),
            (paired / 2, "p is one-sided: which method would win was not known before"),
            (1 - paired, "p is 1 less the p value"),
            (
                2 * stats.t.sf(t, 4),
                "p comes from a standard deviation with n: estimate it with n - 1 (ddof=1)",
            ),
            (
                2 * stats.norm.sf(t * (4 / 5) ** 0.5),
                "p comes from the normal distribution: with five seeds take t",
            ),
            (
                stats.wilcoxon(gaps).pvalue,
                "p is Wilcoxon's, which cannot fall below 0.0625 with five pairs",
            ),
        ],
    )
    words = str(verdict).strip().lower()
    expect(
        words in ("higher", "lower", "not separable"),
        'verdict must be "higher", "lower" or "not separable"',
    )
    expect(words != "not separable", "verdict does not follow from p, which lies below 0.05")
    expect(words == "higher", "verdict speaks of b, and b has the greater mean")
