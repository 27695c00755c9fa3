"""How the splits of a dataset relate to each other, which decides how runs on them are compared."""

from dataclasses import dataclass

import numpy as np

DRAWS = "draws"
CROSS_VALIDATION = "folds"
FIXED_TEST = "fixed_test"
NOTES = ("split_kind", "test_images", "rest_images")  # what a run notes of its split


@dataclass(frozen=True)
class SplitDesign:
    """One split of a dataset, as a comparison over several must know it.

    kind: "draws": each split draws its test images anew from a pool; "folds": the test parts of a
        repeat of cross-validation have no image in common; "fixed_test": all splits have the same
        test images, and training and validation vary
    index: its number; test: images that it tests; rest: those that train and validate, but of
        draws all others of the pool
    """

    kind: str
    index: int
    test: int
    rest: int


def describe_split(data, split=0):
    """The SplitDesign of an ImageSet that has a split; None where it cannot be known.

    data: of `load`, `assign_split` or one's own making; split: the number that its runs note.
    Parts of one's own making are a fixed test where split is 0. With another number nobody knows
    what the splits have in common.
    """
    test = len(data.rows("test"))
    design = data.design
    if design is not None and design.test == test and design.index == split:
        return design
    if design is not None or split != 0:
        return None
    rest = len(data.rows("train")) + len(data.rows("val"))
    return SplitDesign(FIXED_TEST, split, test, rest)


def note_split(design):
    """The NOTES of a SplitDesign, as a dict; of None, that nothing is known."""
    if design is None:
        return dict.fromkeys(NOTES)
    return dict(zip(NOTES, (design.kind, design.test, design.rest), strict=True))


def describe_parts(parts, split, *, has_given_test):
    """The SplitDesign of parts (N,) that were dealt."""
    test = int(np.sum(parts == "test"))
    rest = int(np.sum(np.isin(parts, ("train", "val"))))
    return SplitDesign(FIXED_TEST if has_given_test else CROSS_VALIDATION, split, test, rest)
