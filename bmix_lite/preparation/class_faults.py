"""The classes of a list of images: their order, their names, and whether each can be split, trained and tested."""

import re
from collections import Counter, defaultdict

import numpy as np

from bmix_lite.base.errors import BmixError
from bmix_lite.data.imageset import ImageSet
from bmix_lite.data.splits import FOLDS, deal_folds
from bmix_lite.preparation.faults import Fault, shorten

LONGEST = 60  # characters of a name that still fits a figure
MISSING = {
    "na",
    "n/a",
    "nan",
    "none",
    "null",
    "unknown",
    "?",
    "-",
    "",
}  # what tables write for "no value"
USUAL = 0.9  # of the labels must be numbers before the others are taken for slips


def find_odd_labels(items, names=None):
    """Faults of labels that do not belong: not among `names` where given, or no number where nearly all are."""
    labels = [item.class_label for item in items]
    numbers = [bool(re.fullmatch(r"\d+", label)) for label in labels]
    if names is not None:
        right, known = [label in names for label in labels], f"one of {shorten(names)}"
    elif USUAL * len(items) <= sum(numbers) < len(items):
        right, known = numbers, "a whole number from 0, as nearly all are"
    else:
        return []
    return [
        Fault(
            "label",
            items[at].where,
            f"{items[at].id}: label {items[at].label!r}, expected {known}",
            (at,),
            (at,),
        )
        for at in np.flatnonzero(~np.array(right, bool)).tolist()
    ]


def order_classes(labels):
    """Distinct labels, stripped: in numeric order where all are whole numbers, else in that of their letters."""
    distinct = {label.strip() for label in labels}
    numbered = all(re.fullmatch(r"\d+", label) for label in distinct)
    return sorted(distinct, key=lambda label: (int(label), label) if numbered else label)


def strip_labels(listed):
    """The Counter of labels without the blanks around them. listed: a Counter of labels."""
    counts = Counter()
    for label, count in listed.items():
        counts[label.strip()] += count
    return counts


def find_class_faults(items, rows, listed, names=None):
    """Faults of whole classes. rows: the images that are left; listed: a Counter of the labels of all rows."""
    left, faults = Counter(items[number].class_label for number in rows), []
    spellings = defaultdict(Counter)
    for label, count in listed.items():
        spellings[" ".join(label.split()).casefold()][label] += count
    for written in spellings.values():
        if len(written) > 1:
            ways = ", ".join(
                f"{label!r} ({count} images)" for label, count in sorted(written.items())
            )
            faults.append(Fault("spelling", next(iter(written)).strip(), ways))
    counts = strip_labels(listed)
    for label in sorted(counts):
        if left[label] == 0:
            faults.append(
                Fault("lost", repr(label), f"{counts[label]} images listed, none is left")
            )
    given = any(items[number].split or items[number].fold for number in rows)
    sides = defaultdict(set)
    for number in rows:
        sides[items[number].class_label].add(items[number].split)
    for label, found in sorted(sides.items()):
        if found <= {"val", "test"}:
            faults.append(
                Fault(
                    "untrained",
                    repr(label),
                    f"{left[label]} images, all in {' and '.join(sorted(found))}",
                )
            )
    for label, count in sorted(left.items()):
        if count < FOLDS and not given:
            faults.append(Fault("few", repr(label), f"{count} images for {FOLDS} folds"))
        faults += [Fault("names", repr(label), why) for why in _find_oddities(label)]
    if len(left) == 1:
        faults.append(Fault("single", repr(next(iter(left))), "every image has this label"))
    for label in names or ():
        if not counts[label]:
            faults.append(Fault("unused", repr(label), "0 images"))
    order = order_classes(left)
    gap = names is None and order != [str(number) for number in range(len(order))]
    if gap and all(label.isdecimal() for label in order):
        pairs = shorten([f"{label} is class {number}" for number, label in enumerate(order)], 30)
        faults.append(Fault("renumbered", f"{len(order)} classes", pairs))
    return faults


def find_absences(items, rows, order):
    """Warnings of classes that some fold lacks in training or test, because all their images lie in a few groups."""
    groups = np.array([items[number].group for number in rows])
    if not all(groups) or any(items[number].split or items[number].fold for number in rows):
        return []
    labels = np.array([order.index(items[number].class_label) for number in rows])
    ids = [items[number].id for number in rows]
    data = ImageSet(np.zeros((len(rows), 1, 1, 1), np.uint8), labels, order, groups=groups, ids=ids)
    try:
        dealt = deal_folds(data, np.ones(len(rows), bool), FOLDS)
    except BmixError as error:
        return [Fault("absent", f"{FOLDS} folds", str(error))]
    absent, folds = defaultdict(list), np.arange(FOLDS)
    for fold in folds:  # as assign_split has it: fold is test, the next one val
        parts = {
            "train": ~np.isin(folds, (fold, (fold + 1) % FOLDS)),
            "val": (fold + 1) % FOLDS,
            "test": fold,
        }
        for part, chosen in parts.items():
            inside = np.isin(dealt, folds[chosen])
            for j in np.flatnonzero(np.bincount(labels[inside], minlength=len(order)) == 0):
                absent[j].append(f"{part} of fold {fold}")
    faults = []
    for j, places in sorted(absent.items()):
        size = len(set(groups[labels == j]))
        found = f"{np.sum(labels == j)} images in {size} groups: none in {shorten(places)}"
        faults.append(Fault("absent", repr(order[j]), found))
    return faults


def _find_oddities(label):
    if label.casefold() in MISSING:
        yield "looks like a missing value"
    if len(label) > LONGEST:
        yield f"{len(label)} characters long, figures show {LONGEST}"
    if re.search(r"[<>&\x00-\x1f\x7f]", label):
        yield "holds characters of markup or control characters"
