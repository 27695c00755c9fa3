"""What a split can tell: images and groups of each class in each part, and how sure a recall on them would be."""

from statistics import NormalDist

import numpy as np

from bmix_lite.base.errors import require
from bmix_lite.data.imageset import SPLITS


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
