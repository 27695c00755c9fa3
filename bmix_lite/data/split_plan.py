"""What a split can tell: images and groups per class and part, and how sure a recall would be."""

from statistics import NormalDist

import numpy as np

from bmix_lite.base.errors import BmixError, require
from bmix_lite.data.imageset import SPLITS


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
        "images": sum(parts.values()),
        "groups": groups,
        **parts,
        "test_groups": tested_groups,
        "one_fold": recall_reach(tested_groups),
        "all_folds": recall_reach(groups),
    }
    return pd.DataFrame(columns, index=pd.Index(data.class_names, name="class"))
