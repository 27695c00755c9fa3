"""Names and order of the classes, in each of the ways in which others write them."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from numbers import Integral, Real

from bmix_lite.base.errors import BmixError
from bmix_lite.preparation.faults import Fault, shorten
from bmix_lite.preparation.sameness import group_same, read_number, reads_as, show

FORMS = "give {label: name} in the order of the classes, or a list of names in their order"


def check_names(class_names, ordered):
    """Raise BmixError unless both arguments have a form that `name_labels` may understand."""
    if ordered not in (None, True, False):
        raise BmixError(f"ordered must be True, False or None, got {ordered!r}")
    if class_names is None:
        return
    if isinstance(class_names, Mapping):
        values = list(class_names.values())
    elif isinstance(class_names, (list, tuple)):
        values = list(class_names)
        double = [name for name, count in Counter(map(str, values)).items() if count > 1]
        if double:
            raise BmixError(f"class_names: the list has {shorten(map(repr, double))} twice")
    else:
        kind = type(class_names).__name__
        raise BmixError(f"class_names must be a dict or a list, got {kind}: {FORMS}")
    if not values:
        raise BmixError(f"class_names is empty: {FORMS}")
    for value in values:
        if not isinstance(value, (str, Integral)) or isinstance(value, bool):
            raise BmixError(f"class_names: a name must be a text, got {value!r}: {FORMS}")
        if not str(value).strip():
            raise BmixError(f"class_names: a name must not be blank, got {value!r}")
    same = group_same(map(str, values))
    if same:
        texts = " and ".join(map(show, same[0]))
        raise BmixError(f"class_names: {texts} read the same: write them alike")


def name_labels(class_names, labels, ordered=None):
    """{label: name} in the order of the classes, of whatever form; None where none are given.

    class_names: {label: name}, {name: number} or {name: label}; or a list, of the labels in their
      order or of the names of the labels 0, 1, 2 …; labels of one name become one class
    labels: those of the images. Raises BmixError where the names do not fit them.
    """
    labels = sorted({label.strip() for label in labels})
    if class_names is None:
        if ordered and any(read_number(label) is None for label in labels):
            raise BmixError(
                f"ordered=True, but the labels are words: {shorten(map(repr, labels))}: "
                "give class_names, a list of them in the order of the grades"
            )
        return None
    if isinstance(class_names, Mapping):
        return _read_mapping(class_names, labels)
    return _read_list([str(name) for name in class_names], labels)


def _read_mapping(class_names, labels):
    """label: name, name: number of its place, or name: label, whichever fits the labels."""
    texts = {_write_key(key): value for key, value in class_names.items()}
    if any(isinstance(value, str) for value in texts.values()):
        return _match({key: str(name) for key, name in texts.items()}, labels)
    known = set(map(reads_as, labels))
    if known & set(map(reads_as, texts)):
        return _match({key: key for key in sorted(texts, key=texts.get)}, labels)
    in_order = sorted(texts, key=texts.get)
    return _match({str(texts[name]): name for name in in_order}, labels)


def _write_key(key):
    """A key of class_names as text; 0.0 as 0, a numpy number as a number."""
    is_number = isinstance(key, Real) and not isinstance(key, bool) and math.isfinite(key)
    return str(int(key)) if is_number and key == int(key) else str(key).strip()


def _read_list(names, labels):
    """The labels in another order, or the names of the labels 0, 1, 2 …"""
    known = set(map(reads_as, names))
    if any(reads_as(label) in known for label in labels):
        return _match({name: name for name in names}, labels)
    numbers = [number for number in map(read_number, labels) if number is not None]
    if numbers and min(numbers) == 0 and max(numbers) < len(names):
        return _match({str(number): name for number, name in enumerate(names)}, labels)
    raise BmixError(
        f"class_names: the labels {shorten(map(repr, labels))} are neither among the "
        f"{len(names)} names of the list nor numbers from 0 to {len(names) - 1}: "
        "give {label: name}"
    )


def _match(names, labels):
    """The same with the keys as the labels are written; a label may be written in several ways."""
    key_of = {reads_as(key): key for key in names}
    written = {key: [] for key in names}
    for label in labels:
        key = label if label in names else key_of.get(reads_as(label))
        if key is not None:
            written[key].append(label)
    if labels and not any(written.values()):
        raise BmixError(
            f"class_names: none of the labels {shorten(map(repr, labels))} is among "
            f"{shorten(map(repr, names))}: {FORMS}"
        )
    matched = {}
    for key, name in names.items():
        for label in written[key] or [key]:
            matched[label] = name
    return matched


def merge_labels(images, class_names):
    """(the Listing with one label per class, {label: name}): labels of one name are one class."""
    if class_names is None:
        return images, None
    first = {}
    for label, name in class_names.items():
        first.setdefault(name, label)
    merged = {label: first[name] for label, name in class_names.items() if first[name] != label}
    if not merged:
        return images, class_names
    labels = Counter()
    for label, count in images.labels.items():
        labels[merged.get(label.strip(), label)] += count
    parts = Counter()
    for (part, label), count in images.parts.items():
        parts[part, merged.get(label.strip(), label)] += count
    items = [
        replace(item, label=merged[item.class_label]) if item.class_label in merged else item
        for item in images.items
    ]
    faults = list(images.faults)
    for name, label in first.items():
        others = [other for other in merged if merged[other] == label and other in _strip(images)]
        if others:
            found = f"labels {' and '.join(map(show, [label, *others]))} are one class"
            faults.append(Fault("merged", repr(name), found))
    unique = {label: name for name, label in first.items()}
    return replace(images, items=items, labels=labels, parts=parts, faults=faults), unique


def _strip(images):
    return {label.strip() for label in images.labels}
