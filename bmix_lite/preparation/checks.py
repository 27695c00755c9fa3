"""All checks of a preparation, in their order: each looks at what those before it have left."""

from collections import Counter

from bmix_lite.preparation.class_faults import (
    find_class_faults,
    find_odd_labels,
    find_same_files,
    find_same_groups,
    order_classes,
)
from bmix_lite.preparation.companions import find_companions
from bmix_lite.preparation.groups import find_ungrouped
from bmix_lite.preparation.image_faults import (
    find_copies,
    find_leaks,
    find_odd_sizes,
    find_unreadable,
)
from bmix_lite.preparation.near_copies import find_near
from bmix_lite.preparation.part_faults import find_absences, find_lost_parts
from bmix_lite.preparation.tones import find_channels, find_depth


def find_faults(images, facts, size, class_names=None, bits=None):
    """(all faults, rows of the images that are left, labels in the order of the classes).

    Each check looks at the images that the checks before it have left.
    """
    items = images.items
    odd_labels = find_odd_labels(items, class_names)
    faults = [*images.faults, *odd_labels, *find_unreadable(items, facts)]
    left = _list_left(items, faults)
    for find in (
        lambda rows: find_companions(items, rows, images.companions),
        lambda rows: find_depth(items, facts, rows, bits),
        lambda rows: find_copies(items, facts, rows),
        lambda rows: find_near(items, facts, rows),
        lambda rows: find_leaks(items, rows),
    ):
        faults += find(left)
        left = _list_left(items, faults)
    order = _order_left(items, left, class_names)
    faults += find_ungrouped(items, left)
    if left:
        odd = Counter(items[row].label for fault in odd_labels for row in fault.drop)
        faults += find_odd_sizes(items, facts, left, size)
        faults += find_channels(items, facts, left)
        faults += [*find_same_groups(items, left), *find_same_files(items, left)]
        faults += find_class_faults(items, left, images.labels - odd, class_names)
        faults += find_lost_parts(images.parts, [items[row] for row in left])
        if all(fault.level != "stop" for fault in faults):
            faults += find_absences(items, left, order)
    return faults, left, order


def _list_left(items, faults):
    """Rows of the images that no fault leaves out."""
    dropped = {row for fault in faults for row in fault.drop}
    return [row for row in range(len(items)) if row not in dropped]


def _order_left(items, left, class_names):
    """Labels of the images that are left, in the order of the classes."""
    order = order_classes(items[row].label for row in left)
    if class_names is None:
        return order
    return [label for label in class_names if label in order]
