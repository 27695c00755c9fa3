"""Finding what is wrong with a list of images once they are decoded: copies, leaks, classes that cannot be split."""

from collections import Counter, defaultdict

import numpy as np

from bmix_lite.preparation.faults import Fault, shorten

RANK = {"": 0, "train": 0, "val": 1, "test": 2}
NEAR = 0.97  # correlation of small grey copies, less their mean over all images; test_checks.py alters copies
BLEND = 16  # images: with fewer than that, their mean is rather one of them than what all share
BLOCK = 2048  # images compared at a time


def find_unreadable(items, facts):
    """A fault for each file that could not be decoded."""
    return [
        Fault(
            "unreadable",
            item.where,
            fault if item.where == item.id else f"{item.id}: {fault}",
            (number,),
            (number,),
        )
        for number, (item, fault) in enumerate(zip(items, facts.faults, strict=True))
        if fault
    ]


def find_copies(items, facts, rows):
    """Faults of rows with the same content: listed twice, under two names, or with two labels."""
    same = defaultdict(list)
    for number in rows:
        same[str(facts.sha256[number])].append(number)
    faults = []
    for numbers in same.values():
        if len(numbers) < 2:
            continue
        ids, labels = (
            sorted({items[n].id for n in numbers}),
            sorted({items[n].label for n in numbers}),
        )
        where, names = _name_rows(items, numbers), shorten(ids, 4)
        if len(labels) > 1:
            labels = " and ".join(repr(items[n].label) for n in numbers[:4])
            faults.append(
                Fault(
                    "conflict", where, f"{names}: labels {labels}", tuple(numbers), tuple(numbers)
                )
            )
        else:
            kind = "twice" if len(ids) == 1 else "duplicate"
            faults.append(Fault(kind, where, names, tuple(numbers), _all_but_one(items, numbers)))
    return faults


def find_near(items, facts, rows):
    """Faults of pairs that look nearly the same and lie on two sides of a split, or may come to lie there."""
    faults, alike = [], []
    if len(rows) < 2:
        return faults
    for one, two in pair_near(facts.grey[rows]):
        pair = (rows[one], rows[two])
        first, second = items[pair[0]], items[pair[1]]
        if first.group and first.group == second.group and _side(first) == _side(second):
            continue
        if not (first.split or first.fold):
            alike.append(pair)
        elif _side(first) != _side(second):
            sides = f"{first.id} ({_say_side(first)}) and {second.id} ({_say_side(second)})"
            faults.append(
                Fault("near", _name_rows(items, pair), sides, pair, _all_but_one(items, pair))
            )
    if alike:
        names = shorten([f"{items[one].id} = {items[two].id}" for one, two in alike])
        shown = tuple(number for pair in alike[:10] for number in pair)
        faults.append(Fault("alike", f"{len(alike)} pairs", names, shown))
    return faults


def pair_near(grey):
    """Pairs (i, j), i < j, of small grey copies (N, D) whose residuals correlate by NEAR or more.

    The mean over all images is taken off first: what all share (the round field of a fundus camera) tells nothing.
    """
    values = grey.astype(np.float32)
    values -= values.mean(axis=1, keepdims=True)
    values -= values.mean(axis=0, keepdims=True) * len(values) / (len(values) + BLEND)
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    values /= np.maximum(lengths, 1e-6)
    values[lengths[:, 0] < grey.shape[1] ** 0.5] = (
        0  # less than one grey level a pixel: nothing to compare
    )
    for at in range(0, len(values), BLOCK):
        for to in range(at, len(values), BLOCK):
            near = np.argwhere(values[at : at + BLOCK] @ values[to : to + BLOCK].T >= NEAR)
            yield from ((at + int(one), to + int(two)) for one, two in near if at + one < to + two)


def find_leaks(items, rows):
    """A fault for each group with images on more than one side of the split."""
    members = defaultdict(list)
    for number in rows:
        if items[number].group:
            members[items[number].group].append(number)
    faults = []
    for group, numbers in members.items():
        sides = Counter(_say_side(items[number]) for number in numbers)
        if len(sides) > 1:
            found = ", ".join(f"{count} in {side}" for side, count in sorted(sides.items()))
            best = max(map(_rank, (items[number] for number in numbers)))
            drop = tuple(number for number in numbers if _rank(items[number]) != best)
            found = f"{found}: {_name_rows(items, numbers)}"
            faults.append(Fault("leak", f"group {group}", found, tuple(numbers), drop))
    return faults


def find_odd_sizes(items, facts, rows, size):
    """Warnings of images much smaller than they will be, and of shapes far from the usual."""
    faults, shapes = [], facts.shapes[rows].astype(float)
    small = [rows[at] for at in np.flatnonzero(shapes.min(axis=1) < size / 2)]
    slant = np.log2(shapes[:, 0] / shapes[:, 1])
    odd = [rows[at] for at in np.flatnonzero(np.abs(slant - np.median(slant)) > 1)]
    for numbers, what in (
        (small, f"smaller than half of {size} pixels"),
        (odd, "twice as long or wide as the others"),
    ):
        if numbers:
            names = shorten(
                [f"{items[n].id} ({facts.shapes[n][0]}x{facts.shapes[n][1]})" for n in numbers]
            )
            faults.append(
                Fault("sizes", f"{len(numbers)} images", f"{what}: {names}", tuple(numbers[:20]))
            )
    return faults


def _name_rows(items, numbers):
    return shorten([items[number].where for number in numbers], 4)


def _side(item):
    return item.split, item.fold


def _say_side(item):
    return item.split or f"fold {item.fold}"


def _rank(item):
    return RANK[item.split], -int(item.fold or 0)


def _all_but_one(items, numbers):
    """What to leave out: the image nearest to the test side stays, the first of equals."""
    stays = max(numbers, key=lambda number: (_rank(items[number]), -number))
    return tuple(number for number in numbers if number != stays)
