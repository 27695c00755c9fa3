"""Images dealt to folds: classes spread evenly, groups whole, whatever the order of the rows."""

import numpy as np

from bmix_lite.base.errors import BmixError, require
from bmix_lite.base.randomness import derive_seed
from bmix_lite.distribution import count_classes

FOLDS = 5


def deal_folds(data, chosen, folds, seed=0, repeat=0):
    """A fold for each chosen image, and -1 for the others, (N,): classes spread evenly.

    Groups are never divided. chosen (N,) bool; repeat: another one shuffles anew.
    Raises BmixError where a class has fewer images, or the data fewer groups, than folds.
    """
    from sklearn.model_selection import StratifiedKFold

    rows = np.flatnonzero(chosen)
    if data.ids is not None:
        rows = rows[np.argsort(np.asarray(data.ids)[rows].astype(str), kind="stable")]
    labels = data.labels[rows]
    groups = None if data.groups is None else np.asarray(data.groups)[rows]
    _check_folds(data.class_names, labels, groups, folds)
    state = derive_seed(seed, "folds", repeat) % 2**32
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
        spread = _mean_std(tried / sizes).tolist()
        full = filled.sum(axis=1).tolist()
        best = 0
        for fold in range(1, folds):
            tie = abs(spread[fold] - spread[best]) <= 1e-8 + 1e-5 * spread[best]  # as numpy.isclose
            if spread[fold] < spread[best] or (tie and full[fold] < full[best]):
                best = fold
        filled[best] += counts[group]
        fold_of[group] = best
    return fold_of[members]


def _mean_std(values):
    """np.std(values, axis=1).mean(axis=1) to the last bit, and faster. values (n, k, C)."""
    centred = values - np.add.reduce(values, axis=1, keepdims=True) / values.shape[1]
    variance = np.add.reduce(centred * centred, axis=1) / values.shape[1]
    return np.add.reduce(np.sqrt(variance), axis=1) / values.shape[2]
