"""What can be wrong with images once they are decoded: broken files, copies, leaks, odd sizes."""

from collections import Counter, defaultdict

import numpy as np

from bmix_lite.preparation.faults import Fault, shorten

RANK = {"": 0, "train": 0, "val": 1, "test": 2}
NEAR = 0.97  # correlation of small grey copies, less their mean; the test alters copies
BLEND = 16  # images: with fewer than that, their mean is rather one of them than what all share
BLOCK = 2048  # images compared at a time


def find_unreadable(items, facts):
    """A fault for each file that `decode_image` refused, such as a broken JPEG."""
    faults = []
    for number, (item, fault) in enumerate(zip(items, facts.faults, strict=True)):
        if fault:
            found = fault if item.where == item.id else f"{item.id}: {fault}"
            faults.append(Fault("unreadable", item.where, found, (number,), (number,)))
    return faults


def find_copies(items, facts, rows):
    """Faults of rows with the same content: listed twice, under two names, or with two labels."""
    rows_of = defaultdict(list)
    for row in rows:
        rows_of[str(facts.sha256[row])].append(row)
    return [_name_copies(items, copies) for copies in rows_of.values() if len(copies) > 1]


def _name_copies(items, copies):
    ids = sorted({items[row].id for row in copies})
    where = _name_rows(items, copies)
    names = shorten(ids, 4)
    if len({items[row].label for row in copies}) > 1:
        labels = " and ".join(repr(items[row].label) for row in copies[:4])
        found = f"{names}: labels {labels}"
        return Fault("conflict", where, found, tuple(copies), tuple(copies))
    kind = "twice" if len(ids) == 1 else "duplicate"
    return Fault(kind, where, names, tuple(copies), _all_but_one(items, copies))


def find_near(items, facts, rows):
    """Faults of pairs that look nearly the same and lie on two sides of a split, or may come to."""
    if len(rows) < 2:
        return []
    faults = []
    alike = []
    for i, j in pair_near(facts.grey[rows]):
        pair = (rows[i], rows[j])
        first = items[pair[0]]
        second = items[pair[1]]
        same_side = _side(first) == _side(second)
        if first.group and first.group == second.group and same_side:
            continue
        if not (first.split or first.fold):
            alike.append(pair)
        elif not same_side:
            found = f"{first.id} ({_say_side(first)}) and {second.id} ({_say_side(second)})"
            where = _name_rows(items, pair)
            faults.append(Fault("near", where, found, pair, _all_but_one(items, pair)))
    if alike:
        faults.append(_name_alike(items, alike))
    return faults


def _name_alike(items, pairs):
    names = shorten([f"{items[i].id} = {items[j].id}" for i, j in pairs])
    images = tuple(row for pair in pairs[:10] for row in pair)
    return Fault("alike", f"{len(pairs)} pairs", names, images)


def pair_near(grey):
    """Pairs (i, j), i < j, of small grey copies (N, D) whose residuals correlate by NEAR or more.

    The mean over all images is taken off first: what all share (the round field of a fundus
    camera) tells nothing.
    """
    values = _normalise(grey)
    for first in range(0, len(values), BLOCK):
        for second in range(first, len(values), BLOCK):
            likeness = values[first : first + BLOCK] @ values[second : second + BLOCK].T
            for i, j in np.argwhere(likeness >= NEAR):
                if first + i < second + j:
                    yield first + int(i), second + int(j)


def _normalise(grey):
    """Residuals (N, D) of length 1; 0 where they are less than one grey level per pixel."""
    values = grey.astype(np.float32)
    values -= values.mean(axis=1, keepdims=True)
    values -= values.mean(axis=0, keepdims=True) * len(values) / (len(values) + BLEND)
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    values /= np.maximum(lengths, 1e-6)
    values[lengths[:, 0] < grey.shape[1] ** 0.5] = 0  # nothing to compare
    return values


def find_leaks(items, rows):
    """A fault for each group with images on more than one side of the split."""
    rows_of = defaultdict(list)
    for row in rows:
        if items[row].group:
            rows_of[items[row].group].append(row)
    faults = []
    for group, members in rows_of.items():
        sides = Counter(_say_side(items[row]) for row in members)
        if len(sides) > 1:
            counts = ", ".join(f"{count} in {side}" for side, count in sorted(sides.items()))
            found = f"{counts}: {_name_rows(items, members)}"
            best = max(_rank(items[row]) for row in members)
            drop = tuple(row for row in members if _rank(items[row]) != best)
            faults.append(Fault("leak", f"group {group}", found, tuple(members), drop))
    return faults


def find_odd_sizes(items, facts, rows, size):
    """Warnings of images much smaller than they will be, and of shapes far from the usual."""
    shapes = facts.shapes[rows].astype(float)
    is_small = shapes.min(axis=1) < size / 2
    slant = np.log2(shapes[:, 0] / shapes[:, 1])
    is_odd = np.abs(slant - np.median(slant)) > 1
    faults = []
    for chosen, rule in (
        (is_small, f"smaller than half of {size} pixels"),
        (is_odd, "twice as long or wide as the others"),
    ):
        odd_rows = [rows[at] for at in np.flatnonzero(chosen)]
        if odd_rows:
            sizes = ["x".join(map(str, facts.shapes[row])) for row in odd_rows]
            names = [f"{items[row].id} ({text})" for row, text in zip(odd_rows, sizes, strict=True)]
            found = f"{rule}: {shorten(names)}"
            faults.append(Fault("sizes", f"{len(odd_rows)} images", found, tuple(odd_rows[:20])))
    return faults


def _name_rows(items, rows):
    return shorten([items[row].where for row in rows], 4)


def _side(item):
    return item.split, item.fold


def _say_side(item):
    return item.split or f"fold {item.fold}"


def _rank(item):
    """How near to the test side an image lies."""
    return RANK[item.split], -int(item.fold or 0)


def _all_but_one(items, rows):
    """What to leave out: the image nearest to the test side stays, the first of equals."""
    stays = max(rows, key=lambda row: (_rank(items[row]), -row))
    return tuple(row for row in rows if row != stays)
