"""On which side of a split an image lies, and which of two copies stays."""

from bmix_lite.preparation.faults import shorten

RANK = {"": 0, "train": 0, "val": 1, "test": 2}


def name_rows(items, rows):
    """Files, rows or objects that list the first images."""
    return shorten([items[row].where for row in rows], 4)


def say_side(item):
    """The part of the split, or the fold."""
    return item.split or f"fold {item.fold}"


def rank(item):
    """How near to the test side an image lies."""
    return RANK[item.split], -int(item.fold or 0)


def all_but_one(items, rows):
    """What to leave out: the image nearest to the test side stays, the first of equals."""
    stays = max(rows, key=lambda row: (rank(items[row]), -row))
    return tuple(row for row in rows if row != stays)
