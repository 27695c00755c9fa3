"""Nearly the same image twice: found among look-alikes, in memory that does not grow with pairs."""

import numpy as np

from bmix_lite.preparation.faults import Fault
from bmix_lite.preparation.sides import all_but_one, name_rows, rank, say_side

NEAR = 0.97  # correlation of small grey copies, less their mean; the test alters copies
SAME = 0.99  # a copy in any company
RATIO = 0.2  # of a pair's distance 1 - c to that of the NEIGHBOUR-th nearest image
NEIGHBOUR = 6
BLEND = 16  # images: with fewer than that, their mean is rather one of them than what all share
BLOCK = 2048  # images compared at a time
SHOWN = 10  # pairs that are named in one line, and their pictures
MOST = {"near": 1000, "alike": SHOWN, "lookalike": SHOWN}  # pairs that are kept by name


def find_near(items, facts, rows):
    """Faults of pairs that look nearly the same and lie on two sides of a split, or may come to.

    A pair of one group on one side does not matter, nor one on the same side of a given split.
    """
    if len(rows) < 2:
        return []
    pairs = _Pairs([items[row] for row in rows])
    for block in pair_alike(facts.grey[rows]):
        pairs.add(*block)
    return [*_name_across(items, rows, pairs), *_name_others(items, rows, pairs)]


class _Pairs:
    """The pairs that matter: all are counted, and as many kept as will be named."""

    def __init__(self, items):
        self.side = _number([(item.split, item.fold) for item in items])
        self.is_given = np.array([bool(item.split or item.fold) for item in items])
        self.group = _number([item.group for item in items])
        self.has_group = np.array([bool(item.group) for item in items])
        self.rank = _number([rank(item) for item in items])
        self.partner_rank = np.full(len(items), -1)  # the highest one across a side
        self.named = {"near": [], "alike": [], "lookalike": []}
        self.counts = dict.fromkeys(self.named, 0)

    def add(self, i, j, is_copy):
        """Take pairs i, j (n,); is_copy (n,) is False where they are mere look-alikes."""
        same_side = self.side[i] == self.side[j]
        together = same_side & self.has_group[i] & (self.group[i] == self.group[j])
        is_across = self.is_given[i] & ~same_side
        is_open = ~self.is_given[i] & ~together
        self._keep("near", i, j, is_across & is_copy)
        self._keep("alike", i, j, is_open & is_copy)
        self._keep("lookalike", i, j, (is_across | is_open) & ~is_copy)

    def _keep(self, kind, i, j, chosen):
        i = i[chosen]
        j = j[chosen]
        self.counts[kind] += len(i)
        room = MOST[kind] - len(self.named[kind])
        self.named[kind] += zip(i[:room].tolist(), j[:room].tolist(), strict=True)
        if kind == "near":
            np.maximum.at(self.partner_rank, i, self.rank[j])
            np.maximum.at(self.partner_rank, j, self.rank[i])

    def list_left_out(self):
        """Numbers of the images that a copy nearer to the test side makes superfluous."""
        return np.flatnonzero(self.partner_rank > self.rank).tolist()


def _number(values):
    """Each value's number in the order of all distinct ones, (N,)."""
    order = {value: number for number, value in enumerate(sorted(set(values)))}
    return np.array([order[value] for value in values])


def _name_across(items, rows, pairs):
    """A fault per pair across a split, and one for all that are too many to list."""
    faults = []
    for i, j in pairs.named["near"]:
        pair = (rows[i], rows[j])
        first, second = (items[row] for row in pair)
        found = f"{first.id} ({say_side(first)}) and {second.id} ({say_side(second)})"
        where = name_rows(items, pair)
        faults.append(Fault("near", where, found, pair, all_but_one(items, pair)))
    more = pairs.counts["near"] - len(faults)
    if more:
        drop = tuple(rows[at] for at in pairs.list_left_out())
        found = f"and {more} more pairs; they and those above leave out {len(drop)} images"
        faults.append(Fault("near", f"{more} pairs", found, drop[:SHOWN], drop))
    return faults


def _name_others(items, rows, pairs):
    """One fault for all pairs that a split may yet part, and one for all mere look-alikes."""
    for kind in ("alike", "lookalike"):
        named = [(rows[i], rows[j]) for i, j in pairs.named[kind]]
        if named:
            names = [f"{items[i].id} = {items[j].id}" for i, j in named]
            more = pairs.counts[kind] - len(named)
            found = ", ".join(names) + (f" and {more} more" if more else "")
            images = tuple(row for pair in named for row in pair)
            yield Fault(kind, f"{pairs.counts[kind]} pairs", found, images)


def pair_alike(grey):
    """Yield pairs (i, j, is_copy), each (n,), of small grey copies (N, D) that correlate by NEAR.

    The mean over all images is taken off first: what all share (the round field of a fundus
    camera) tells nothing. A pair is a copy where it stands alone: with the correlation c of the
    pair and c_k of either image's sixth nearest one, 1 - c <= 0.2 (1 - c_k); or where c >= 0.99.
    Photographs that merely look alike have many such neighbours.
    """
    values = _normalise(grey)
    chosen = _find_near_ones(values)
    crowd = _find_crowd(values, chosen)
    values = values[chosen]
    for first, second, likeness in _compare(values):
        i, j = np.nonzero(likeness >= NEAR)
        alike = likeness[i, j]
        i += first
        j += second
        is_copy = 1 - alike <= RATIO * (1 - np.maximum(crowd[i], crowd[j]))
        yield chosen[i], chosen[j], is_copy | (alike >= SAME)


def _find_near_ones(values):
    """Numbers of the images that have a near one, (n,)."""
    has_near = np.zeros(len(values), bool)
    for first, second, likeness in _compare(values):
        is_near = likeness >= NEAR
        has_near[first : first + BLOCK] |= is_near.any(axis=1)
        has_near[second : second + BLOCK] |= is_near.any(axis=0)
    return np.flatnonzero(has_near)


def _find_crowd(values, chosen):
    """Correlation of each chosen image with its sixth nearest one, (n,); -1 where there is none."""
    crowd = np.full(len(chosen), -1.0, np.float32)
    if len(values) <= NEIGHBOUR:
        return crowd
    for start in range(0, len(chosen), BLOCK):
        part = chosen[start : start + BLOCK]
        nearest = np.full((len(part), NEIGHBOUR), -1.0, np.float32)
        for second in range(0, len(values), BLOCK):
            likeness = values[part] @ values[second : second + BLOCK].T
            own = np.flatnonzero((part >= second) & (part < second + BLOCK))
            likeness[own, part[own] - second] = -1
            both = np.concatenate([nearest, likeness], axis=1)
            nearest = np.partition(both, -NEIGHBOUR, axis=1)[:, -NEIGHBOUR:]
        crowd[start : start + BLOCK] = nearest[:, 0]
    return crowd


def _compare(values):
    """Yield (first row, first column, correlations) block by block; -1 unless row < column."""
    for first in range(0, len(values), BLOCK):
        for second in range(first, len(values), BLOCK):
            likeness = values[first : first + BLOCK] @ values[second : second + BLOCK].T
            if first == second:
                likeness[np.tri(len(likeness), dtype=bool)] = -1
            yield first, second, likeness


def _normalise(grey):
    """Residuals (N, D) of length 1; 0 where an image or its residual shows nothing.

    Nothing is less than one grey level a pixel, besides the shading of a lamp: what else an empty
    field of view shows is the mean of the others and the shading, as any such does.
    """
    least = grey.shape[1] ** 0.5
    values = grey.astype(np.float32)
    values -= values.mean(axis=1, keepdims=True)
    shading = _make_shading(grey.shape[1])
    flat = values - (values @ shading) @ shading.T
    is_blank = np.linalg.norm(flat, axis=1) < least
    values -= values.mean(axis=0, keepdims=True) * len(values) / (len(values) + BLEND)
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    values /= np.maximum(lengths, 1e-6)
    values[is_blank | (lengths[:, 0] < least)] = 0  # nothing to compare
    return values


def _make_shading(pixels):
    """An orthonormal basis (D, 6) of what is smooth from edge to edge: 1, x, y, x², xy, y²."""
    side = round(pixels**0.5)
    y, x = np.divmod(np.arange(pixels), side) / np.float32(side)
    terms = np.stack([np.ones(pixels), x, y, x * x, x * y, y * y], axis=1)
    return np.linalg.qr(terms)[0].astype(np.float32)
