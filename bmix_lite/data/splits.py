"""Splits into train, val and test: stratified, groups together; and what a split can tell."""

from dataclasses import replace
from statistics import NormalDist

import numpy as np

from bmix_lite.base.errors import require
from bmix_lite.base.randomness import derive_seed
from bmix_lite.data.imageset import SPLITS
from bmix_lite.distribution import count_classes

FOLDS = 5


def assign_split(data, *, fold=0, folds=FOLDS, seed=0):
    """The same ImageSet with a stratified split: fold `fold` is test, the next one val, the others train.

    Images that share a group stay together. A "test" split that the data came with is kept, and the fold is val.
    Folds that the data came with (`data.folds`) are kept instead; of two, one is test, and a fifth
    of the other is val, or more where the rarest class has fewer than five images there.
    """
    kept = (
        np.zeros(len(data.labels), bool) if data.split is None else np.asarray(data.split) == "test"
    )
    official = data.folds is not None and not kept.any()
    folds = int(np.max(data.folds)) + 1 if official else folds
    require(
        isinstance(fold, int) and 0 <= fold < folds,
        f"fold must lie in 0..{folds - 1}, got {fold!r}",
    )
    dealt = np.asarray(data.folds) if official else deal_folds(data, ~kept, folds, seed)
    split = np.full(len(data.labels), "train", dtype="<U5")
    split[kept] = "test"
    split[dealt == fold] = "val" if kept.any() else "test"
    if not kept.any():
        val = dealt == (fold + 1) % folds
        if folds == 2:  # the whole other fold cannot be val: nothing would be left to train on
            rarest = np.bincount(data.labels[val], minlength=len(data.class_names)).min()
            val = deal_folds(data, val, max(2, min(FOLDS, int(rarest))), seed) == 0
        split[val] = "val"
    return replace(data, split=split)


def deal_folds(data, chosen, folds, seed=0):
    """A fold for each chosen image, and -1 for the others, (N,): classes spread evenly, groups never divided.

    chosen (N,) bool. Raises BmixError where a class has fewer images, or the data fewer groups, than folds.
    """
    from sklearn.model_selection import StratifiedKFold

    rows = np.flatnonzero(chosen)
    if data.ids is not None:
        rows = rows[np.argsort(np.asarray(data.ids)[rows].astype(str), kind="stable")]
    labels, groups = (
        data.labels[rows],
        None if data.groups is None else np.asarray(data.groups)[rows],
    )
    counts = count_classes(labels, len(data.class_names))
    small = [f"{data.class_names[j]!r} ({n})" for j, n in enumerate(counts) if n < folds]
    require(
        not small,
        f"each class needs at least {folds} images for {folds} folds, too few in {', '.join(small)}",
    )
    alone = len(labels) if groups is None else len(set(groups.tolist()))
    require(alone >= folds, f"there must be at least {folds} groups for {folds} folds, got {alone}")
    state, dealt = derive_seed(seed, "folds") % 2**32, np.full(len(data.labels), -1)
    if groups is not None:
        dealt[rows] = deal_groups(labels, groups, folds, state)
        return dealt
    splitter = StratifiedKFold(folds, shuffle=True, random_state=state)
    for number, (_, part) in enumerate(splitter.split(labels[:, None], labels)):
        dealt[rows[part]] = number
    return dealt


def deal_groups(labels, groups, folds, state):
    """The folds of scikit-learn's shuffled StratifiedGroupKFold, (n,): 100,000 images of 50,000 groups in a second.

    scikit-learn takes five times as long and, before version 1.8, deals shuffled groups to folds at random, so that
    splits would depend on its version.
    Each group, the most uneven first, goes where the classes' shares (n_cf / n_c) then differ least between the folds.
    """
    _, members = np.unique(groups, return_inverse=True)
    order = np.arange(members.max() + 1)
    np.random.RandomState(state).shuffle(order)
    counts = np.zeros((len(order), labels.max() + 1))
    np.add.at(counts, (members, labels), 1)
    order = order[np.argsort(-np.std(counts[order], axis=1), kind="stable")]
    sizes, fold_of = counts.sum(axis=0), np.empty(len(order), int)
    filled, trial = np.zeros((folds, counts.shape[1])), np.arange(folds)
    for group in order:
        tried = np.repeat(
            filled[None], folds, axis=0
        )  # (folds, folds, C): what each choice of a fold would give
        tried[trial, trial] += counts[group]
        spread, full = (
            np.std(tried / sizes, axis=1).mean(axis=1).tolist(),
            filled.sum(axis=1).tolist(),
        )
        best = 0
        for fold in range(1, folds):
            tie = abs(spread[fold] - spread[best]) <= 1e-8 + 1e-5 * spread[best]  # as numpy.isclose
            if spread[fold] < spread[best] or (tie and full[fold] < full[best]):
                best = fold
        filled[best] += counts[group]
        fold_of[group] = best
    return fold_of[members]


def count_groups(data, rows=None):
    """Groups (patients, lesions) that have an image of each class, (C,); images where the data have no groups.

    rows: the images that are looked at, all unless given
    """
    rows = np.arange(len(data.labels)) if rows is None else rows
    if data.groups is None:
        return np.bincount(data.labels[rows], minlength=len(data.class_names))
    groups = np.asarray(data.groups)[rows]
    return np.array(
        [len(set(groups[data.labels[rows] == j])) for j in range(len(data.class_names))]
    )


def recall_reach(n, level=0.95):
    """Half the width of Wilson's interval for a recall of 1/2, the least certain one, found on n groups.

    z / (2 sqrt(n + z²)), z = 1.96 for 95 %: 0.5 with no group, 0.1 with 93. n: a number or an array, 0 or more.
    Source: Wilson, JASA 22, 1927. Groups are counted, not images, for two images of a patient are seldom independent.
    """
    n = np.asarray(n, dtype=float)
    require(bool(np.all(n >= 0)), f"n must be 0 or more, got {n.min():g}")
    require(0 < level < 1, f"level must lie between 0 and 1, got {level!r}")
    z = NormalDist().inv_cdf((1 + level) / 2)
    return z / (2 * np.sqrt(n + z**2))


def tabulate_split(data):
    """One row a class, a DataFrame: images and groups, images in each part, groups in test, and what they can tell.

    one_fold, all_folds: `recall_reach` on the groups of this test part, and on all groups, as when each fold is test
    in turn. Raises BmixError where the data have no split.
    """
    import pandas as pd

    parts = {split: data.counts(split) for split in SPLITS}
    groups, tested = count_groups(data), count_groups(data, data.rows("test"))
    columns = {"images": sum(parts.values()), "groups": groups} | parts | {"test_groups": tested}
    columns |= {"one_fold": recall_reach(tested), "all_folds": recall_reach(groups)}
    return pd.DataFrame(columns, index=pd.Index(data.class_names, name="class"))
