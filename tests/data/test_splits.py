import dataclasses

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest
from sklearn.model_selection import StratifiedGroupKFold

from bmix_lite.base.errors import BmixError
from bmix_lite.data.folds import deal_groups
from bmix_lite.data.imageset import SPLITS, ImageSet
from bmix_lite.data.splits import (
    assign_split,
    count_groups,
    recall_reach,
    tabulate_split,
)
from tiny import make, parts_of

pytestmark = pytest.mark.filterwarnings("error", "ignore::pytest.PytestUnraisableExceptionWarning")


def patients(n, seed):
    """Images of n patients, one to six each, with mostly one label per patient."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(n), rng.integers(1, 7, n))
    labels = np.where(rng.random(len(groups)) < 0.8, groups % 3, rng.integers(0, 3, len(groups)))
    order = rng.permutation(len(groups))
    return make(labels[order], groups=np.array([f"p{g}" for g in groups[order]]))


@pytest.mark.parametrize("grouped", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_every_image_is_tested_in_one_fold_validated_in_another_and_groups_stay_together(
    seed, grouped
):
    data = patients(60, seed)
    data = data if grouped else dataclasses.replace(data, groups=None)
    folds = [assign_split(data, split=fold, seed=seed) for fold in range(5)]
    n = len(data.labels)
    for split in ("val", "test"):
        assert sorted(np.concatenate([fold.rows(split) for fold in folds])) == list(range(n))
    for fold in folds:
        assert sum(len(fold.rows(split)) for split in SPLITS) == n
        for split in SPLITS:
            shares = fold.counts(split) / fold.counts(split).sum()
            assert shares == pytest.approx(
                np.bincount(data.labels) / n, abs=0.1 if grouped else 0.02
            )
        if grouped:
            assert sum(map(len, parts_of(fold, data.groups))) == len(set(data.groups))


@pytest.mark.parametrize("seed", range(20))
def test_groups_are_dealt_as_scikit_learn_deals_them(seed):
    data = patients(50, seed)
    folds = 2 + seed % 4
    reference = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    expected = np.empty(len(data.labels), int)
    for number, (_, part) in enumerate(
        reference.split(data.labels[:, None], data.labels, data.groups)
    ):
        expected[part] = number
    assert deal_groups(data.labels, data.groups, folds, seed).tolist() == expected.tolist()


def test_a_split_repeats_with_its_seed_and_leaves_the_original_alone():
    data = patients(30, 0)
    one, again, other = (assign_split(data, seed=seed).split for seed in (0, 0, 1))
    assert data.split is None
    assert one.tolist() == again.tolist() != other.tolist()


def test_both_eyes_of_an_eyepacs_patient_stay_together(shared):
    table = pd.read_csv(shared / "data/eyepacs/trainLabels.csv")
    groups = table["image"].str.split("_").str[0].to_numpy(str)
    labels = table["level"].to_numpy()
    data = ImageSet(np.zeros((len(table), 1, 1, 1), np.uint8), labels, range(5), groups=groups)
    data = assign_split(data, split=2)
    train, val, test = parts_of(data, groups)
    assert [len(train | val | test), len(train) + len(val) + len(test)] == [17563, 17563]
    for split, size in zip(SPLITS, (0.6, 0.2, 0.2), strict=True):
        assert len(data.rows(split)) / len(table) == pytest.approx(size, abs=0.001)
        assert data.counts(split) / len(data.rows(split)) == pytest.approx(
            np.bincount(labels) / 35126, abs=0.003
        )


def test_patients_1_10_and_100_are_three_patients():
    groups = np.tile(["1", "10", "100"], 10)
    data = make(np.repeat([0, 1], 15), groups=groups)
    folds = [assign_split(data, split=fold, folds=3) for fold in range(3)]
    assert all([len(part) for part in parts_of(fold, groups)] == [1, 1, 1] for fold in folds)
    assert {parts_of(fold, groups)[2].pop() for fold in folds} == {"1", "10", "100"}


def test_a_test_split_that_the_data_came_with_is_kept():
    split = np.array(["test", "train", "train", "test"] * 15)
    data = make([0, 1, 1, 1, 0, 0] * 10, split=split)
    folds = [assign_split(data, split=fold) for fold in range(5)]
    for fold in folds:
        assert np.array_equal(fold.rows("test"), np.flatnonzero(split == "test"))
        assert len(fold.rows("val")) == 6
    assert (
        sorted(np.concatenate([fold.rows("val") for fold in folds]))
        == np.flatnonzero(split != "test").tolist()
    )


def make_given(parts, **fields):
    """Images of a split that came with the data: 100 and 10 of two classes in each part."""
    labels = np.tile(np.repeat([0, 1], [100, 10]), len(parts))
    return make(labels, split=np.repeat(parts, 110), **fields)


def test_where_all_three_parts_are_given_only_train_is_dealt_and_its_imbalance_stays():
    data = make_given(["train", "val", "test"])
    trained = set(data.rows("train"))
    assert assign_split(data, split=0).split is data.split
    validated = []
    for number in range(1, 15):
        split = assign_split(data, split=number)
        assert split.rows("test").tolist() == data.rows("test").tolist()
        assert split.counts("train").tolist() == [80, 8]
        assert set(split.rows("train")) | set(split.rows("val")) == trained
        assert set(split.split[data.rows("val")]) == {"unused"}
        assert "unused 110" in repr(split)
        validated.append(frozenset(split.rows("val")))
    assert len(set(validated)) == 14
    for first in (0, 4, 9):  # splits 1 to 4, 5 to 9, 10 to 14: those of a repeat share no image
        of_repeat = validated[first : first + 5 if first else 4]
        assert len(set.union(*map(set, of_repeat))) == 22 * len(of_repeat)
    assert tabulate_split(split)["images"].tolist() == [300, 30]


@pytest.mark.parametrize(("given", "missing"), [("val", "test"), ("test", "val")])
def test_a_part_that_is_missing_is_taken_from_train_and_the_other_stays(given, missing):
    data = make_given(["train", given])
    taken = []
    for fold in range(5):
        split = assign_split(data, split=fold)
        assert split.rows(given).tolist() == data.rows(given).tolist()
        assert split.counts("train").tolist() == [80, 8]
        taken += split.rows(missing).tolist()
    assert sorted(taken) == data.rows("train").tolist()


def test_a_group_stays_together_where_train_alone_is_dealt():
    groups = np.array([f"p{row // 2}" for row in range(330)])
    data = make_given(["train", "val", "test"], groups=groups)
    for fold in range(1, 5):
        sides = parts_of(assign_split(data, split=fold), groups)
        assert sum(map(len, sides)) == len(set.union(*sides))


def test_folds_that_the_data_came_with_are_numbered_from_0_and_kept_beside_a_given_test():
    folds = np.tile([1, 2, 3, 4, 5], 22)
    data = make_given(["train"], folds=folds)
    for fold in range(5):
        assert np.array_equal(
            assign_split(data, split=fold).rows("test"), np.flatnonzero(folds == fold + 1)
        )
    data = make_given(["train", "test"], folds=np.concatenate([folds, np.zeros(110, int)]))
    for fold in range(5):
        split = assign_split(data, split=fold)
        assert np.array_equal(split.rows("val"), np.flatnonzero(data.folds == fold + 1))
        assert split.rows("test").tolist() == data.rows("test").tolist()
    with pytest.raises(BmixError, match="at least 2 folds, the data came with 1"):
        assign_split(make_given(["train"], folds=np.zeros(110, int)))


def test_a_train_part_too_small_for_folds_says_that_split_0_is_as_it_came():
    labels = np.array([0] * 20 + [1] * 4 + [0, 1] * 10)
    data = make(labels, split=np.repeat(["train", "val", "test"], [24, 10, 10]))
    assert assign_split(data).split is data.split
    with pytest.raises(BmixError, match=r"split 0 is as it came: .* too few in 'class 1' \(4\)"):
        assign_split(data, split=1)


@pytest.mark.parametrize(
    ("labels", "groups", "arguments", "message"),
    [
        ([0, 1] * 5, None, dict(split=-1), r"split must be an integer >= 0, got -1"),
        ([0, 1] * 5, None, dict(split=0.5), r"split must be an integer >= 0, got 0\.5"),
        ([0, 1] * 5, None, dict(split=True), r"split must be an integer >= 0, got True"),
        (
            [0, 1] * 4,
            None,
            {},
            r"at least 5 images for 5 folds, too few in 'class 0' \(4\), 'class 1' \(4\)",
        ),
        ([0, 0, 1] * 4, None, {}, r"at least 5 images for 5 folds, too few in 'class 1' \(4\)"),
        ([0, 1] * 15, np.tile(["1", "10", "100"], 10), {}, "at least 5 groups for 5 folds, got 3"),
        (
            [0] * 20 + [1] * 5,
            list("abcdefghijklmnopqrstttttt"),
            {},
            r"one training image, \['class 1'\] have none",
        ),
    ],
)
def test_folds_that_cannot_be_made_are_refused_in_words(labels, groups, arguments, message):
    with pytest.raises(BmixError, match=message):
        [
            assign_split(make(labels, groups=groups), **dict(split=fold) | arguments)
            for fold in range(5)
        ]


def read_real(shared, name):
    """(labels, groups, ids, folds) of a real label table."""
    if name == "eyepacs":
        table = pd.read_csv(shared / "data/eyepacs/trainLabels.csv")
        return table["level"], table["image"].str.split("_").str[0], table["image"], None
    if name == "ham10000":
        table = pd.read_csv(shared / "data/ham10000/HAM10000_metadata.csv")
        return pd.factorize(table["dx"], sort=True)[0], table["lesion_id"], table["image_id"], None
    table = pd.read_csv(shared / f"data/hyper_kvasir/{name}_split.csv", sep=";")
    return (
        pd.factorize(table["class-name"], sort=True)[0],
        None,
        table["file-name"],
        table["split-index"],
    )


def make_real(shared, name, order=None):
    columns = [None if values is None else np.asarray(values) for values in read_real(shared, name)]
    if order is not None:
        columns = [None if values is None else values[order] for values in columns]
    labels, groups, ids, folds = columns
    images = np.zeros((len(labels), 1, 1, 1), np.uint8)
    return ImageSet(images, labels, range(labels.max() + 1), groups=groups, ids=ids, folds=folds)


@pytest.mark.parametrize("seeds", [range(3), pytest.param(range(3, 20), marks=pytest.mark.nightly)])
@pytest.mark.parametrize(
    ("name", "images", "groups"), [("eyepacs", 35126, 17563), ("ham10000", 10015, 7470)]
)
def test_no_patient_and_no_lesion_is_ever_apart(shared, name, images, groups, seeds):
    data = make_real(shared, name)
    assert (len(data.labels), len(set(data.groups))) == (images, groups)
    for seed in seeds:
        for fold in range(5) if seed == 0 else [seed % 5]:
            sides = parts_of(assign_split(data, split=fold, seed=seed), data.groups)
            assert sum(map(len, sides)) == len(set.union(*sides)) == groups


@pytest.mark.parametrize("name", ["ham10000", "2_fold", "5_fold"])
def test_the_order_of_the_rows_does_not_change_the_folds(shared, name):
    data = make_real(shared, name)
    order = np.random.default_rng(0).permutation(len(data.labels))
    shuffled = make_real(shared, name, order)
    for fold in range(2):
        assert np.array_equal(
            assign_split(data, split=fold).split[order], assign_split(shuffled, split=fold).split
        )


def test_the_order_of_tiny_tables_does_not_change_the_folds():
    data = patients(40, 3)
    ids = np.array([f"{row % 7}/{row}" for row in range(len(data.labels))])
    order = np.random.default_rng(1).permutation(len(ids))
    one = make(data.labels, groups=data.groups, ids=ids)
    two = make(data.labels[order], groups=data.groups[order], ids=ids[order])
    assert (
        assign_split(one, split=1).split[order].tolist()
        == assign_split(two, split=1).split.tolist()
    )


def test_official_folds_are_kept(shared):
    data = make_real(shared, "5_fold")
    assert (len(data.labels), len(data.class_names)) == (10662, 23)
    for fold in range(5):
        split = assign_split(data, split=fold)
        assert np.array_equal(split.rows("test"), np.flatnonzero(data.folds == fold))
        assert np.array_equal(split.rows("val"), np.flatnonzero(data.folds == (fold + 1) % 5))
    with pytest.raises(BmixError, match=r"came with 5 folds .*split must lie in 0\.\.4, got 5"):
        assign_split(data, split=5)


def test_of_two_official_folds_one_is_test_and_a_fifth_of_the_other_validates():
    data = make([0, 1] * 50, folds=np.repeat([0, 1], 50))
    for fold in range(2):
        split = assign_split(data, split=fold)
        assert np.array_equal(split.rows("test"), np.flatnonzero(data.folds == fold))
        assert [len(split.rows(part)) for part in SPLITS] == [40, 10, 50]
        assert split.counts("val").tolist() == [5, 5]


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
    assert count_groups(make_set(groups=np.array(["x"] * 8))).tolist() == [
        1,
        1,
    ]  # one group may have both classes
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
