"""Splits into training, validation and test images: stratified, groups stay together."""

from dataclasses import replace
from statistics import NormalDist

import numpy as np

from bmix_lite.base.errors import BmixError, require, require_integer
from bmix_lite.data.designs import describe_parts
from bmix_lite.data.folds import FOLDS, deal_folds
from bmix_lite.data.imageset import SPLITS, UNUSED


def assign_split(data, *, split=0, folds=FOLDS, seed=0):
    """The same ImageSet with split number `split`: one fold is test, the next val, others train.

    Split s is fold s % folds of repeat s // folds; each repeat shuffles and deals anew, stratified.
    Images that share a group stay together, and the order of the rows does not matter.
    Parts that the data came with stay: val or test, where one is missing, is a fold of train.
    Where all three were given, split 0 is as they came; each further split validates on another
    fold of train, which keeps its imbalance, and the given val is then "unused".
    Folds that the data came with (`data.folds`) are kept too, in one repeat; of two, one is test,
    and a fifth of the other is val, or more where the rarest class has fewer than five images
    there. Raises BmixError where such a split cannot be made.
    """
    split = require_integer("split", split, 0)
    has_given_test = "test" in name_parts(data)
    parts = data.split
    if split > 0 or not came_whole(data):
        folds = count_folds(data, folds, split)
        repeat, fold = divmod(split, folds)
        fold_of = deal_repeat(data, repeat, folds=folds, seed=seed)
        parts = place_fold(data, fold_of, folds, fold, seed)
    design = describe_parts(np.asarray(parts), split, has_given_test=has_given_test)
    return replace(data, split=parts, design=design)


def name_parts(data):
    """The part of each image as the data came, (N,): train where nothing is said."""
    if data.split is None:
        return np.full(len(data.labels), "train", dtype="<U6")
    return np.asarray(data.split).astype("<U6")


def came_whole(data):
    """Whether the data came with all three parts."""
    return set(SPLITS) <= set(name_parts(data))


def count_folds(data, folds=FOLDS, split=0):
    """Folds in a repeat: those that the data came with, else `folds`.

    Raises BmixError where there is but one, and for a split beyond the folds that came: nothing
    tells how to deal these data again.
    """
    if data.folds is None:
        return folds
    own = len(np.unique(np.asarray(data.folds)[name_parts(data) == "train"]))
    require(own > 1, f"there must be at least 2 folds, the data came with {own}")
    if split >= own:
        rule = f"split must lie in 0..{own - 1}, got {split}"
        raise BmixError(f"the data came with {own} folds of their own: {rule}")
    return own


def deal_repeat(data, repeat=0, *, folds=FOLDS, seed=0):
    """The folds of one repeat, or those that the data came with, (N,); -1: the image is not dealt.

    Raises BmixError.
    """
    is_dealt = name_parts(data) == "train"
    if data.folds is not None:
        fold_of = np.full(len(is_dealt), -1)
        fold_of[is_dealt] = np.unique(np.asarray(data.folds)[is_dealt], return_inverse=True)[1]
        return fold_of
    try:
        return deal_folds(data, is_dealt, folds, seed, repeat)
    except BmixError as error:
        if came_whole(data):
            raise BmixError(f"train alone is dealt, split 0 is as it came: {error}") from error
        raise


def place_fold(data, fold_of, folds, fold, seed=0):
    """The part of each image in one fold, (N,); fold_of: of `deal_repeat`, folds: how many."""
    parts = name_parts(data)
    given = set(parts)
    if "test" in given:
        parts[parts == "val"] = UNUSED
        parts[fold_of == fold] = "val"
        return parts
    if "val" not in given:
        parts[_choose_val(data, fold_of == (fold + 1) % folds, folds, seed)] = "val"
    parts[fold_of == fold] = "test"
    return parts


def require_classes(data, given, where):
    """Raise BmixError unless each part that was dealt has images of every class.

    given: the ImageSet as it came; a part that it brought is as its owner wants it
    """
    before = name_parts(given)
    after = name_parts(data)
    for part in SPLITS:
        is_given = given.split is not None and np.array_equal(before == part, after == part)
        counts = data.counts(part)
        missing = [name for name, count in zip(data.class_names, counts, strict=True) if not count]
        if missing and not is_given:
            raise BmixError(
                f"{where}: no {part!r} images of {', '.join(map(repr, missing))}: take another "
                "split, or prepare the data with the class merged with another or left out"
            )


def _choose_val(data, next_fold, folds, seed):
    """Which images validate, (N,) bool: the next fold, or a part of it where there are only two."""
    if folds != 2:
        return next_fold
    # the whole other fold cannot be val: nothing would be left to train on
    rarest = np.bincount(data.labels[next_fold], minlength=len(data.class_names)).min()
    parts = max(2, min(FOLDS, int(rarest)))
    return deal_folds(data, next_fold, parts, seed) == 0


def count_groups(data, rows=None):
    """Groups (patients, lesions) that have an image of each class, (C,).

    Images are counted where the data have no groups. rows: the images that are looked at, all
    unless given.
    """
    num_classes = len(data.class_names)
    if rows is None:
        rows = np.arange(len(data.labels))
    labels = data.labels[rows]
    if data.groups is None:
        return np.bincount(labels, minlength=num_classes)
    groups = np.asarray(data.groups)[rows]
    return np.array([len(set(groups[labels == j])) for j in range(num_classes)])


def recall_reach(n, level=0.95):
    """Half the width of Wilson's interval for a recall of 1/2, the least certain one, on n groups.

    z / (2 sqrt(n + z²)), z = 1.96 for 95 %: 0.5 with no group, 0.1 with 93.
    n: a number or an array, 0 or more; groups, not images: two of one patient are not independent.
    Source: Wilson, JASA 22, 1927. Raises BmixError for a negative n or a level outside (0, 1).
    """
    n = np.asarray(n, dtype=float)
    if not np.all(n >= 0):
        raise BmixError(f"n must be 0 or more, got {n.min():g}")
    require(0 < level < 1, f"level must lie between 0 and 1, got {level!r}")
    z = NormalDist().inv_cdf((1 + level) / 2)
    return z / (2 * np.sqrt(n + z**2))


def tabulate_split(data):
    """One row per class, a DataFrame: images and groups, in all and per part, and what they tell.

    one_fold: `recall_reach` on the groups of this test part; all_folds: on all groups, as when
    each fold is test in turn. Raises BmixError where the data have no split.
    """
    import pandas as pd

    parts = {split: data.counts(split) for split in SPLITS}
    groups = count_groups(data)
    tested_groups = count_groups(data, data.rows("test"))
    columns = {
        "images": np.bincount(data.labels, minlength=len(data.class_names)),
        "groups": groups,
        **parts,
        "test_groups": tested_groups,
        "one_fold": recall_reach(tested_groups),
        "all_folds": recall_reach(groups),
    }
    return pd.DataFrame(columns, index=pd.Index(data.class_names, name="class"))
