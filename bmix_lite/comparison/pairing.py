"""Methods paired with a reference over equal splits or seeds, and the differences estimated."""

from typing import NamedTuple

import numpy as np

from bmix_lite.base.errors import BmixError
from bmix_lite.comparison.estimates import Estimate, combine_errors
from bmix_lite.comparison.imagewise import image_error, subtract_influences, weigh_runs
from bmix_lite.comparison.moderated import share_variances
from bmix_lite.comparison.paired import differ, estimate_mean
from bmix_lite.comparison.units import Unit, average_seeds, find_unit, read_split

TESTS = {"seeds": "paired t", "splits": "corrected paired t", "images": "images and splits"}


class Pairing(NamedTuple):
    """gaps (n,), other less base, at `numbers` (n,): splits or seeds; the runs they come from."""

    gaps: np.ndarray
    numbers: tuple
    unit: Unit
    base: list
    other: list


def pair_methods(groups, reference, metric, part="test"):
    """{name: Pairing with the reference} of all other methods. groups: as of `group_runs`."""
    base = groups[reference]
    others = {name: runs for name, runs in groups.items() if name != reference}
    return {name: pair_up(base, runs, metric, part) for name, runs in others.items()}


def pair_up(base, other, metric, part="test"):
    """The Pairing of two groups of runs over the splits and seeds that both have.

    One difference per split, the mean over its seeds; or per seed where they share one split.
    Runs in which the metric is undefined make no pair.
    """
    scores = [score_runs(runs, metric, part) for runs in (base, other)]
    shared = sorted(scores[0].keys() & scores[1].keys())
    base, other = (
        [run for run in runs if (read_split(run), run["recipe"]["seed"]) in shared]
        for runs in (base, other)
    )
    unit = find_unit(base + other, part)
    gaps = average_seeds({key: scores[1][key] - scores[0][key] for key in shared}, unit.name)
    return Pairing(np.array(list(gaps.values())), tuple(gaps), unit, base, other)


def estimate_gaps(pairings, metric, part="test"):
    """[(Estimate, test, fault in words or ""), ...] of the true differences, one per Pairing.

    The variances of methods that share their splits are estimated together.
    """
    variances = _share_over_splits(pairings)
    influences = {}
    found = []
    for name, pairing in pairings.items():
        test = "images" if pairing.unit.fixed_test else pairing.unit.name
        try:
            estimate = _estimate(pairing, variances.get(name), metric, part, influences)
            found.append((estimate, TESTS[test], ""))
        except BmixError as error:
            found.append((None, TESTS[test], str(error)))
    return found


def _estimate(pairing, variance, metric, part, influences):
    """The Estimate of one Pairing; raises BmixError where no test fits."""
    unit = pairing.unit
    if unit.fault:
        raise BmixError(unit.fault)
    if len(pairing.gaps) == 0:
        return None
    estimate = estimate_mean(pairing.gaps, unit.overlap, *(variance or ()))
    if not unit.fixed_test or len(pairing.gaps) < 2:
        return estimate
    base, other = (
        weigh_runs(runs, metric, part, influences) for runs in (pairing.base, pairing.other)
    )
    images = image_error(subtract_influences(other, base), metric)
    over_splits = (np.nan_to_num(estimate.error), estimate.freedom)  # 0 where all are the same
    error, freedom = combine_errors(images, over_splits)
    return Estimate(estimate.mean, error if error > 0 else np.nan, freedom)


def _share_over_splits(pairings):
    """{name: (variance, freedom)} of the methods that have the splits which most have."""
    rows = {
        name: pairing
        for name, pairing in pairings.items()
        if pairing.unit.name == "splits" and len(pairing.gaps) > 1 and differ(pairing.gaps)
    }
    numbers = [pairing.numbers for pairing in rows.values()]
    most = max(numbers, key=numbers.count, default=())
    rows = {name: pairing.gaps for name, pairing in rows.items() if pairing.numbers == most}
    if not rows:
        return {}
    variances, freedom = share_variances(np.array(list(rows.values())))
    return {name: (value, freedom) for name, value in zip(rows, variances, strict=True)}


def score_runs(group, metric, part):
    """{(split, seed): score} of the runs in which the metric is defined."""
    scores = {}
    for run in group:
        score = run["metrics"][part][metric]
        if score is not None:
            scores[read_split(run), run["recipe"]["seed"]] = score
    return scores
