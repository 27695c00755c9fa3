import numpy as np
import pytest
from scipy.stats import binomtest

from bmix_lite.base.errors import BmixError
from bmix_lite.data.imageset import ImageSet
from bmix_lite.data.split_plan import count_groups, recall_reach, tabulate_split

LABELS = np.array([0, 0, 0, 0, 1, 1, 0, 1])
SPLIT = np.array(["train", "train", "val", "test", "train", "test", "test", "test"])
GROUPS = np.array(["a", "a", "b", "c", "d", "e", "c", "e"])


def make_set(**fields):
    images = np.zeros((len(LABELS), 2, 2, 1), np.uint8)
    return ImageSet(
        images, LABELS, ("common", "rare"), **({"split": SPLIT, "groups": GROUPS} | fields)
    )


@pytest.mark.parametrize("n", [2, 10, 94, 1000])
@pytest.mark.parametrize("level", [0.8, 0.95])
def test_the_reach_is_half_of_wilsons_interval_around_one_half(n, level):
    low, high = binomtest(n // 2, n).proportion_ci(level, method="wilson")
    assert recall_reach(n, level) == pytest.approx((high - low) / 2, rel=1e-12)


def test_nothing_tested_tells_nothing_and_a_tenth_takes_93_patients():
    assert recall_reach(0) == 0.5
    assert recall_reach([92, 93]).tolist() == pytest.approx([0.1001, 0.0996], abs=5e-5)


@pytest.mark.parametrize(
    ("n", "level", "message"), [(-1, 0.95, "n must be 0"), (3, 1.0, "level must lie")]
)
def test_what_is_no_number_of_groups_or_no_level_is_refused(n, level, message):
    with pytest.raises(BmixError, match=message):
        recall_reach(n, level)


def test_groups_are_counted_once_per_class_and_images_where_there_are_none():
    assert count_groups(make_set()).tolist() == [3, 2]  # a b c, d e
    assert count_groups(make_set(groups=None)).tolist() == [5, 3]
    one_patient = make_set(groups=np.array(["x"] * 8))  # with both classes
    assert count_groups(one_patient).tolist() == [1, 1]
    assert count_groups(make_set(), rows=np.array([0, 1, 5])).tolist() == [1, 1]


def test_the_table_counts_images_and_groups_of_every_part():
    table = tabulate_split(make_set())
    counts = table[["images", "groups", "train", "val", "test", "test_groups"]]
    assert counts.loc["common"].tolist() == [5, 3, 2, 1, 2, 1]
    assert counts.loc["rare"].tolist() == [3, 2, 1, 0, 2, 1]
    assert table["one_fold"].tolist() == pytest.approx([recall_reach(1)] * 2)
    assert table["all_folds"].tolist() == pytest.approx([recall_reach(3), recall_reach(2)])


def test_data_without_a_split_are_refused():
    with pytest.raises(BmixError, match="has no split yet"):
        tabulate_split(make_set(split=None))
