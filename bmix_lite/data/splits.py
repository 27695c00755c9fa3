"""Splits into training, validation and test images: stratified, groups together, whatever the order of the rows."""

from dataclasses import replace

import numpy as np

from bmix_lite.base.errors import require
from bmix_lite.base.randomness import derive_seed
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
