"""Labels that hold several findings at once, such as Effusion|Infiltration."""

import re
from collections import Counter

from bmix_lite.base.errors import BmixError
from bmix_lite.preparation.faults import shorten
from bmix_lite.preparation.sameness import read_number, reads_as

SEPARATORS = ("|", ";", ",", "/", "+", "&", "\n", " and ", " ")
BRACKETS = re.compile(r"[\[({].*[\])}]")


def refuse_several(images, class_names):
    """Raise BmixError where labels are made of other labels, unless class_names has them.

    A Listing has one class for each image: which of several findings it is cannot be told.
    """
    labels = {label.strip() for label in images.labels} - set(class_names or {})
    several = find_several(labels)
    if not several:
        return
    counts = Counter()
    for label, count in images.labels.items():
        counts[label.strip()] += count
    shown = shorten([f"{label!r} ({counts[label]} images)" for label in several], 4)
    raise BmixError(
        f"{images.source}: {len(several)} labels hold several findings at once: {shown}: "
        "an image has one class here. Keep the rows with one finding, or make a table of one "
        "finding against all else; if a label is one class, name it in class_names"
    )


def find_several(labels):
    """The labels (a set) that are made of others with a separator, sorted."""
    several = set()
    numbers = {read_number(label) for label in labels if label.isdecimal()}
    labels = {label for label in labels if label.isdecimal() or read_number(label) not in numbers}
    for separator in SEPARATORS:
        parts = {label: _split(label, separator) for label in labels}
        joined = {label for label in labels if len(parts[label]) > 1}
        single = {part for label in labels - joined for part in _read(parts[label])}
        uses = Counter(part for label in joined for part in set(_read(parts[label])))
        for label in joined:
            known = [part in single or uses[part] > 1 for part in _read(parts[label])]
            if _is_made_of(label, separator, parts[label], known, single):
                several.add(label)
    return sorted(several)


def _is_made_of(label, separator, parts, known, single):
    if separator == " ":  # words alone say little
        is_numbers = all(read_number(part) is not None for part in parts)
        return is_numbers or all(reads_as(part) in single for part in parts)
    if separator in "|;\n" or BRACKETS.fullmatch(label):
        return any(known)
    return all(known) or all(reads_as(part) in single for part in parts)


def _split(label, separator):
    if BRACKETS.fullmatch(label):
        label = label[1:-1]
    return [part.strip(" '\"") for part in label.split(separator) if part.strip(" '\"")]


def _read(parts):
    return [reads_as(part) for part in parts]
