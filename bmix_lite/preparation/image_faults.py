"""What can be wrong with images once they are decoded: broken files, copies, leaks, odd sizes."""

from collections import Counter, defaultdict

import numpy as np

from bmix_lite.preparation.faults import Fault, shorten
from bmix_lite.preparation.sides import all_but_one, name_rows, rank, say_side


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
    where = name_rows(items, copies)
    names = shorten(ids, 4)
    if len({items[row].label for row in copies}) > 1:
        labels = " and ".join(repr(items[row].label) for row in copies[:4])
        found = f"{names}: labels {labels}"
        return Fault("conflict", where, found, tuple(copies), tuple(copies))
    kind = "twice" if len(ids) == 1 else "duplicate"
    return Fault(kind, where, names, tuple(copies), all_but_one(items, copies))


def find_leaks(items, rows):
    """A fault for each group with images on more than one side of the split."""
    rows_of = defaultdict(list)
    for row in rows:
        if items[row].group:
            rows_of[items[row].group].append(row)
    faults = []
    for group, members in rows_of.items():
        sides = Counter(say_side(items[row]) for row in members)
        if len(sides) > 1:
            counts = ", ".join(f"{count} in {side}" for side, count in sorted(sides.items()))
            found = f"{counts}: {name_rows(items, members)}"
            best = max(rank(items[row]) for row in members)
            drop = tuple(row for row in members if rank(items[row]) != best)
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
