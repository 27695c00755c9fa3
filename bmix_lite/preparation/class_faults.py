"""What can be wrong with classes: their labels, their names, and that none of them is left."""

import re
from collections import Counter, defaultdict

from bmix_lite.preparation.cells import is_date
from bmix_lite.preparation.faults import Fault, shorten
from bmix_lite.preparation.part_faults import find_few, find_untrained
from bmix_lite.preparation.sameness import (
    group_same,
    group_same_files,
    read_number,
    show,
    strip_invisible,
)

LONGEST = 60  # characters of a name that still fits a figure
MISSING = {"na", "n/a", "nan", "none", "null", "unknown", "?", "-", ""}  # what tables write
USUAL = 0.9  # of the labels must be numbers before the others are taken for slips


def find_odd_labels(items, names=None):
    """Faults of labels that do not belong: not among `names`, or no number where most are."""
    labels = [item.class_label for item in items]
    is_number = _are_whole(labels)
    if names is not None:
        belongs = [label in names for label in labels]
        expected = f"one of {shorten(names)}"
    elif USUAL * len(items) <= sum(is_number) < len(items):
        belongs = is_number
        expected = "a whole number from 0, as nearly all are"
    else:
        return []
    faults = []
    for number, item in enumerate(items):
        if not belongs[number]:
            found = f"{item.id}: label {item.label!r}, expected {expected}"
            faults.append(Fault("label", item.where, found, (number,), (number,)))
    return faults


def _are_whole(labels):
    """Whether each label is a whole number, or reads like one that another label is."""
    is_whole = {label: bool(re.fullmatch(r"\d+", label)) for label in set(labels)}
    numbers = {int(label) for label, whole in is_whole.items() if whole}
    for label, whole in is_whole.items():
        is_whole[label] = whole or read_number(label) in numbers
    return [is_whole[label] for label in labels]


def order_classes(labels):
    """Distinct labels, stripped: in numeric order if all are numbers, else by letters."""
    distinct = {label.strip() for label in labels}
    numbers = {label: read_number(label) for label in distinct}
    if None not in numbers.values():
        return sorted(distinct, key=lambda label: (numbers[label], label))
    return sorted(distinct)


def strip_labels(listed):
    """A Counter of labels without the blanks around them. listed: a Counter of labels."""
    counts = Counter()
    for label, count in listed.items():
        counts[label.strip()] += count
    return counts


def find_same_groups(items, rows):
    """A fault for each set of groups that read the same, a warning of each that reads as none."""
    rows_of = defaultdict(list)
    for row in rows:
        if items[row].group:
            rows_of[items[row].group].append(row)
    for group, members in rows_of.items():
        if strip_invisible(group).strip().casefold() in MISSING:
            found = f"{len(members)} images of one group"
            yield Fault("nobody", repr(group), found, tuple(members[:20]))
    for alike in group_same(rows_of, joined=False):
        ways = [f"{show(group)} ({len(rows_of[group])} images)" for group in alike]
        images = tuple(rows_of[group][0] for group in alike)
        yield Fault("aliases", f"group {alike[0].strip()}", ", ".join(ways), images)


def find_same_files(items, rows):
    """A warning for each set of image files of one folder whose names read the same."""
    row_of = {items[row].id: row for row in rows}
    for alike in group_same_files(row_of):
        images = tuple(row_of[name] for name in alike)
        yield Fault("namesakes", alike[0], " and ".join(map(show, alike)), images)


def find_class_faults(items, rows, listed, names=None):
    """Faults of whole classes, spelling first.

    rows: the images that are left; listed: a Counter of the labels of all rows
    names: {label: name} where the classes are given
    """
    kept = [items[row] for row in rows]
    left = Counter(item.class_label for item in kept)
    counts = strip_labels(listed)
    return [
        *_find_spellings(listed, names),
        *_find_lost(counts, left),
        *find_untrained(kept),
        *find_few(kept),
        *_find_odd_names(left),
        *_find_single(left),
        *_find_unused(counts, names),
        *_find_renumbered(left, names),
    ]


def _find_spellings(listed, names):
    """Labels that read the same, unless `names` gives each of them a class."""
    counts = {label: count for label, count in listed.items() if label.strip() not in (names or {})}
    for alike in group_same(counts):
        ways = [f"{show(label)} ({counts[label]} images)" for label in alike]
        yield Fault("spelling", alike[0].strip(), ", ".join(ways))


def _find_lost(counts, left):
    for label, count in sorted(counts.items()):
        if left[label] == 0:
            yield Fault("lost", repr(label), f"{count} images listed, none is left")


def _find_odd_names(left):
    for label in sorted(left):
        for oddity in _find_oddities(label):
            yield Fault("names", repr(label), oddity)


def _find_single(left):
    if len(left) == 1:
        yield Fault("single", repr(next(iter(left))), "every image has this label")


def _find_unused(counts, names):
    for label in names or ():
        if not counts[label]:
            yield Fault("unused", repr(label), "0 images")


def _find_renumbered(left, names):
    """Labels that are numbers, but not 0, 1, 2 …"""
    order = order_classes(left)
    numbers = [read_number(label) for label in order]
    if names is not None or None in numbers or len(set(numbers)) < len(numbers):
        return
    if numbers != list(range(len(order))):
        pairs = [f"{label} is class {number}" for number, label in enumerate(order)]
        yield Fault("renumbered", f"{len(order)} classes", shorten(pairs, 30))


def _find_oddities(label):
    if strip_invisible(label).strip().casefold() in MISSING:
        yield "looks like a missing value"
    if is_date(label):
        yield "looks like a date, perhaps one that a spreadsheet made of another text"
    if len(label) > LONGEST:
        yield f"{len(label)} characters long, figures show {LONGEST}"
    if re.search(r"[<>&\x00-\x1f\x7f]", label):
        yield "holds characters of markup or control characters"
