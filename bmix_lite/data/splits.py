"""Splits into training, validation and test images: stratified, groups stay together."""

from dataclasses import replace
from statistics import NormalDist

import numpy as np

from bmix_lite.base.errors import BmixError, require
from bmix_lite.base.randomness import derive_seed
from bmix_lite.data.imageset import SPLITS, UNUSED
from bmix_lite.distribution import count_classes

FOLDS = 5


def assign_split(data, *, fold=0, folds=FOLDS, seed=0):
    """The same ImageSet with a stratified split: fold `fold` is test, the next val, others train.

    Images that share a group stay together, and the order of the rows does not matter.
    Parts that the data came with stay: val or test, where one is missing, is a fold of train.
    Where all three were given, fold 0 is the split as it came; each further fold validates on
    another part of train, which keeps its imbalance, and the given val is then "unused".
    Folds that the data came with (`data.folds`) are kept too; of two, one is test, and a fifth of
    the other is val, or more where the rarest class has fewer than five images there.
    Raises BmixError where such a split cannot be made.
    """
    fold_of, folds = plan_folds(data, folds=folds, seed=seed, fold=fold)
    if fold_of is None:
        return data
    return replace(data, split=place_fold(data, fold_of, folds, fold, seed))


def plan_folds(data, *, folds=FOLDS, seed=0, fold=None):
    """(fold of each image that is dealt, -1 for the others, (N,); number of folds).

    fold: the one that is wanted, which must be one of them; None instead of an array where it is
    the split that the data came with. Raises BmixError.
    """
    given = _name_parts(data)
    is_dealt = given == "train"
    if data.folds is not None:
        fold_of, folds = _number_folds(data.folds, is_dealt)
    if fold is not None and (not isinstance(fold, int) or not 0 <= fold < folds):
        raise BmixError(f"fold must lie in 0..{folds - 1}, got {fold!r}")
    is_whole = set(SPLITS) <= set(given)
    if is_whole and fold == 0:
        return None, folds
    if data.folds is None:
        try:
            fold_of = deal_folds(data, is_dealt, folds, seed)
        except BmixError as error:
            if is_whole:
                raise BmixError(f"train alone is dealt, fold 0 is as it came: {error}") from error
            raise
    return fold_of, folds


def _name_parts(data):
    """The part of each image as the data came, (N,): train where nothing is said."""
    if data.split is None:
        return np.full(len(data.labels), "train", dtype="<U6")
    return np.asarray(data.split).astype("<U6")


def _number_folds(folds, is_dealt):
    """Folds that the data came with, numbered from 0; -1 for images that are not dealt."""
    numbers, fold_of = np.unique(np.asarray(folds)[is_dealt], return_inverse=True)
    require(len(numbers) > 1, f"there must be at least 2 folds, the data came with {len(numbers)}")
    numbered = np.full(len(is_dealt), -1)
    numbered[is_dealt] = fold_of
    return numbered, len(numbers)


def place_fold(data, fold_of, folds, fold, seed=0):
    """The part of each image in one fold, (N,); fold_of, folds: of `plan_folds`."""
    split = _name_parts(data)
    given = set(split)
    if "test" in given:
        split[split == "val"] = UNUSED
        split[fold_of == fold] = "val"
        return split
    if "val" not in given:
        split[_choose_val(data, fold_of == (fold + 1) % folds, folds, seed)] = "val"
    split[fold_of == fold] = "test"
    return split


def require_classes(data, given, where):
    """Raise BmixError unless each part that was dealt has images of every class.

    given: the ImageSet as it came; a part that it brought is as its owner wants it
    """
    before = _name_parts(given)
    after = _name_parts(data)
    for part in SPLITS:
        is_given = given.split is not None and np.array_equal(before == part, after == part)
        counts = data.counts(part)
        missing = [name for name, count in zip(data.class_names, counts, strict=True) if not count]
        if missing and not is_given:
            raise BmixError(
                f"{where}: no {part!r} images of {', '.join(map(repr, missing))}: take another "
                "fold, or prepare the data with the class merged with another or left out"
            )


def _choose_val(data, next_fold, folds, seed):
    """Which images validate, (N,) bool: the next fold, or a part of it where there are only two."""
    if folds != 2:
        return next_fold
    # the whole other fold cannot be val: nothing would be left to train on
    rarest = np.bincount(data.labels[next_fold], minlength=len(data.class_names)).min()
    parts = max(2, min(FOLDS, int(rarest)))
    return deal_folds(data, next_fold, parts, seed) == 0


def deal_folds(data, chosen, folds, seed=0):
    """A fold for each chosen image, and -1 for the others, (N,): classes spread evenly.

    Groups are never divided. chosen (N,) bool. Raises BmixError where a class has fewer images,
    or the data fewer groups, than folds.
    """
    from sklearn.model_selection import StratifiedKFold

    rows = np.flatnonzero(chosen)
    if data.ids is not None:
        rows = rows[np.argsort(np.asarray(data.ids)[rows].astype(str), kind="stable")]
    labels = data.labels[rows]
    groups = None if data.groups is None else np.asarray(data.groups)[rows]
    _check_folds(data.class_names, labels, groups, folds)
    state = derive_seed(seed, "folds") % 2**32
    fold_of = np.full(len(data.labels), -1)
    if groups is not None:
        fold_of[rows] = deal_groups(labels, groups, folds, state)
        return fold_of
    splitter = StratifiedKFold(folds, shuffle=True, random_state=state)
    for fold, (_, part) in enumerate(splitter.split(labels[:, None], labels)):
        fold_of[rows[part]] = fold
    return fold_of


def _check_folds(class_names, labels, groups, folds):
    counts = count_classes(labels, len(class_names))
    small = [f"{class_names[j]!r} ({n})" for j, n in enumerate(counts) if n < folds]
    if small:
        raise BmixError(
            f"each class needs at least {folds} images for {folds} folds, "
            f"too few in {', '.join(small)}"
        )
    units = len(labels) if groups is None else len(set(groups.tolist()))
    require(units >= folds, f"there must be at least {folds} groups for {folds} folds, got {units}")


def deal_groups(labels, groups, folds, state):
    """The folds of scikit-learn's shuffled StratifiedGroupKFold, (n,), five times as fast.

    Ours, as scikit-learn before 1.8 deals shuffled groups to folds at random: a split would depend
    on its version. 100,000 images of 50,000 groups take a second. Each group, the most uneven
    first, goes where the classes' shares (n_cf / n_c) then differ least between the folds.
    """
    _, members = np.unique(groups, return_inverse=True)
    order = np.arange(members.max() + 1)
    np.random.RandomState(state).shuffle(order)
    counts = np.zeros((len(order), labels.max() + 1))
    np.add.at(counts, (members, labels), 1)
    order = order[np.argsort(-np.std(counts[order], axis=1), kind="stable")]
    sizes = counts.sum(axis=0)
    fold_of = np.empty(len(order), int)
    filled = np.zeros((folds, counts.shape[1]))
    trial = np.arange(folds)
    for group in order:
        # (folds, folds, C): what each choice of a fold would give
        tried = np.repeat(filled[None], folds, axis=0)
        tried[trial, trial] += counts[group]
        spread = np.std(tried / sizes, axis=1).mean(axis=1).tolist()
        full = filled.sum(axis=1).tolist()
        best = 0
        for fold in range(1, folds):
            tie = abs(spread[fold] - spread[best]) <= 1e-8 + 1e-5 * spread[best]  # as numpy.isclose
            if spread[fold] < spread[best] or (tie and full[fold] < full[best]):
                best = fold
        filled[best] += counts[group]
        fold_of[group] = best
    return fold_of[members]


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
