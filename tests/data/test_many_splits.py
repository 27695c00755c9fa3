"""Any number of splits of one dataset: what they share, how they differ, what is noted of it."""

import dataclasses
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bmix_lite.base.errors import BmixError
from bmix_lite.data.datasets import digits_lt
from bmix_lite.data.designs import SplitDesign, describe_split
from bmix_lite.data.imageset import SPLITS
from bmix_lite.data.splits import assign_split
from tiny import make, parts_of

GIVEN = ((), ("train", "test"), ("train", "val"), ("train", "val", "test"))
SIZES = (60, 25, 10)  # images per class that are dealt: 6:1


def build(parts=(), grouped=False, seed=0):
    """Three classes, 95 images of each given part or in all; patients have one to three images."""
    rng = np.random.default_rng(seed)
    copies = max(1, len(parts))
    labels = np.tile(np.repeat(np.arange(3), SIZES), copies)
    place = np.arange(len(labels))
    groups = np.array([f"{labels[row]}/{row // (1 + seed % 3)}" for row in place])
    order = rng.permutation(len(labels))
    return make(
        labels[order],
        groups=groups[order] if grouped else None,
        split=np.repeat(parts, 95)[order] if parts else None,
        ids=np.array([f"image {row}" for row in order]),
    )


random_data = st.builds(build, st.sampled_from(GIVEN), st.booleans(), st.integers(0, 10**6))


@settings(max_examples=40)
@given(random_data, st.integers(0, 1000))
def test_given_parts_and_groups_stay_whole_in_every_split_and_training_keeps_its_imbalance(
    data, number
):
    split = assign_split(data, split=number)
    came = np.full(len(data.labels), "train") if data.split is None else data.split
    is_whole = set(SPLITS) <= set(came)
    for part in ("val", "test"):
        if is_whole and part == "val" and number:
            assert set(split.split[came == "val"]) == {"unused"}
        elif part in came:
            assert split.rows(part).tolist() == np.flatnonzero(came == part).tolist()
    dealt = np.flatnonzero(came == "train")
    assert set(split.split[dealt]) <= set(SPLITS)
    if data.groups is not None:
        used = dataclasses.replace(split, split=np.where(came == "train", split.split, "unused"))
        sides = parts_of(used, data.groups)
        assert sum(map(len, sides)) == len(set.union(*sides))
    if data.groups is None and not (is_whole and number == 0):
        folds = 2 if set(came) == {"train"} else 1  # of five, that do not train
        left = np.array(SIZES) - split.counts()
        assert (left >= folds * (np.array(SIZES) // 5)).all()
        assert (left <= folds * -(-np.array(SIZES) // 5)).all()


@settings(max_examples=20)
@given(random_data, st.integers(0, 1000))
def test_a_split_is_the_same_every_time_and_in_whatever_order_the_images_come(data, number):
    order = np.random.default_rng(number).permutation(len(data.labels))
    columns = ("images", "labels", "ids", "groups", "split")
    shuffled = {name: getattr(data, name) for name in columns}
    shuffled = {name: None if all_ is None else all_[order] for name, all_ in shuffled.items()}
    one = assign_split(data, split=number)
    assert one.split.tolist() == assign_split(data, split=number).split.tolist()
    other = assign_split(dataclasses.replace(data, **shuffled), split=number)
    assert one.split[order].tolist() == other.split.tolist()
    assert one.design == other.design


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("parts", GIVEN)
def test_the_splits_of_a_repeat_take_turns_and_no_two_splits_are_alike(parts, grouped):
    data = build(parts, grouped, seed=7)
    splits = [assign_split(data, split=number) for number in range(20)]
    varied = "val" if "test" in parts else "test"
    came = np.full(len(data.labels), "train") if data.split is None else data.split
    dealt = np.flatnonzero(came == "train")
    for first in (5, 10, 15) if len(parts) == 3 else (0, 5, 10, 15):
        of_repeat = [split.rows(varied) for split in splits[first : first + 5]]
        assert sorted(np.concatenate(of_repeat)) == dealt.tolist()
    for one, other in combinations(splits, 2):
        assert one.split.tolist() != other.split.tolist()
        assert set(one.rows("train")) != set(other.rows("train"))


@pytest.mark.parametrize(
    ("parts", "number", "expected"),
    [
        ((), 0, SplitDesign("folds", 0, 19, 76)),
        ((), 13, SplitDesign("folds", 13, 19, 76)),
        (("train", "val"), 6, SplitDesign("folds", 6, 19, 171)),
        (("train", "test"), 6, SplitDesign("fixed_test", 6, 95, 95)),
        (("train", "val", "test"), 0, SplitDesign("fixed_test", 0, 95, 190)),
        (("train", "val", "test"), 6, SplitDesign("fixed_test", 6, 95, 95)),
    ],
)
def test_what_is_noted_of_a_split_says_how_it_relates_to_the_others(parts, number, expected):
    data = assign_split(build(parts), split=number)
    assert describe_split(data, number) == data.design == expected


@pytest.mark.parametrize("ratio", [1, 100])
def test_digits_are_drawn_from_a_pool_and_all_others_of_it_are_noted(ratio):
    data = digits_lt(imbalance_ratio=ratio, split=31)
    assert describe_split(data, 31) == SplitDesign("draws", 31, 400, 1397)
    counts = data.counts()
    assert counts[0] / counts[-1] == ratio


def test_official_folds_are_noted_as_folds():
    data = make([0, 1] * 30, folds=np.repeat([1, 2, 3], 20))
    assert assign_split(data, split=2).design == SplitDesign("folds", 2, 20, 40)
    with pytest.raises(BmixError, match=r"3 folds of their own: split must lie in 0..2, got 3"):
        assign_split(data, split=3)


def test_parts_of_ones_own_making_are_a_fixed_test_only_as_split_0():
    data = make([0, 1] * 30, split=np.repeat(["train", "val", "test"], 20))
    assert describe_split(data) == SplitDesign("fixed_test", 0, 20, 40)
    assert describe_split(data, 1) is None
    dealt = assign_split(make([0, 1] * 30), split=1)
    assert describe_split(dealt, 0) is None
    assert describe_split(dataclasses.replace(dealt, split=data.split), 1) is None
