"""What grey tones and colours tell of a whole set: depth is judged over all files, never by one."""

from collections import Counter

import numpy as np

from bmix_lite.preparation.decode import HALF_TONES
from bmix_lite.preparation.faults import Fault, shorten

DARK = 14  # bits; a set of 16 that never needs more was rather meant to have so many
FEW = 0.1  # of the deep files must be much darker than the others to be another depth
UNEQUAL = 0.3  # between the shares of grey images of two classes
ENOUGH = 5  # images of a class that make a share


def find_depth(items, facts, rows, bits=None):
    """Faults of the depth of the grey files of more than 8 bits, all taken together.

    bits: what was said of them, None where nothing was and 16 is assumed
    """
    deep = [row for row in rows if facts.tops[row] > 0]
    if not deep:
        return []
    tops = facts.tops[deep]
    top = int(tops.max())
    said = bits or 16
    needed = max(8, top.bit_length())
    if needed > said:
        over = [row for row in deep if facts.tops[row] > HALF_TONES[said]]
        found = (
            f"pixels up to {top} in {len(over)} of {len(deep)} files are more than the "
            f"{HALF_TONES[said]} of {said} bits: bits={needed} holds them all"
        )
        return [_name_depth(items, deep, found, over)]
    if bits is None and needed <= DARK:
        found = (
            f"no pixel over {top} in {len(deep)} files of more than 8 bits: data of {needed} bits? "
            f"bits={needed} makes {HALF_TONES[needed]} white, bits=16 says that they are meant so"
        )
        return [_name_depth(items, deep, found, deep)]
    if needed <= said - 2:
        found = f"no pixel over {top}, white is {HALF_TONES[said]} as bits={said} says"
        return [Fault("depths", f"{len(deep)} files", found, tuple(deep[:20]))]
    return _find_mixed(items, facts, deep, said)


def _name_depth(items, deep, found, shown):
    names = shorten([items[row].id for row in shown], 4)
    return Fault("depth", f"{len(deep)} files", f"{found}: {names}", tuple(shown[:20]), tuple(deep))


def _find_mixed(items, facts, deep, said):
    """A warning where some files use a part of the depth only, and others all of it."""
    needed = np.array([int(top).bit_length() for top in facts.tops[deep]])
    is_dark = needed <= said - 4
    dark = [deep[at] for at in np.flatnonzero(is_dark)]
    if len(dark) < max(2, FEW * len(deep)):
        return []
    top = max(int(facts.tops[row]) for row in dark)
    counts = Counter(items[row].class_label for row in dark)
    parts = shorten([f"{count} in {label!r}" for label, count in sorted(counts.items())])
    found = f"no pixel over {top} in {len(dark)} of {len(deep)}, the others more: {parts}"
    return [Fault("depths", f"{len(dark)} files", found, tuple(dark[:20]))]


def find_channels(items, facts, rows):
    """A warning where grey images and coloured ones are not equally common in all classes."""
    grey = [row for row in rows if not facts.colours[row]]
    if not grey or len(grey) == len(rows):
        return []
    total = Counter(items[row].class_label for row in rows)
    of_class = Counter(items[row].class_label for row in grey)
    shares = {label: of_class[label] / n for label, n in total.items() if n >= ENOUGH}
    if not shares or max(shares.values()) - min(shares.values()) < UNEQUAL:
        return []
    parts = [f"{of_class[label]} of {total[label]} in {label!r}" for label in sorted(total)]
    found = f"grey are {shorten(parts, 30)}"
    return [Fault("channels", f"{len(grey)} images", found, tuple(grey[:20]))]
