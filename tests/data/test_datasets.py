import json

import numpy as np
import pytest
from sklearn.datasets import load_digits

from bmix_lite.base.errors import BmixError
from bmix_lite.data.datasets import digits_lt, load
from bmix_lite.data.imageset import SPLITS
from bmix_lite.data.prepared import save_prepared
from bmix_lite.data.splits import assign_split
from tiny import make

pytestmark = pytest.mark.filterwarnings("error", "ignore::pytest.PytestUnraisableExceptionWarning")

DIGITS = load_digits()


def digit_rows(data, split):
    """Row in scikit-learn's table of each image of a split, found by its pixels; all differ."""
    known = {
        np.round(image * 255 / 16).astype(np.uint8).tobytes(): i
        for i, image in enumerate(DIGITS.images)
    }
    return [known[image.tobytes()] for image in data.images[data.rows(split)]]


@pytest.mark.parametrize(
    ("ratio", "expected"),
    [
        (100, [100, 60, 36, 22, 13, 8, 5, 3, 2, 1]),
        (10, [100, 77, 60, 46, 36, 28, 22, 17, 13, 10]),
        (1, [100] * 10),
    ],
)
def test_training_digits_decay_exponentially_to_the_imbalance_ratio(ratio, expected):
    data = digits_lt(imbalance_ratio=ratio)
    assert data.counts().tolist() == expected
    assert data.counts("test").tolist() == [40] * 10
    assert data.counts("val").tolist() == [34] * 10
    assert data.images.shape == (sum(expected) + 740, 8, 8, 1)
    assert data.class_names == tuple(f"digit {j}" for j in range(10))


def test_the_default_imbalance_ratio_is_100():
    assert (
        digits_lt().fingerprint
        == digits_lt(imbalance_ratio=100, split=0).fingerprint
        == load("digits_lt").fingerprint
    )


@pytest.mark.parametrize("split", [0, 3, 12])
def test_digits_are_those_of_scikit_learn_and_none_is_in_two_splits(split):
    data = digits_lt(imbalance_ratio=1, split=split)
    rows = {split: digit_rows(data, split) for split in SPLITS}
    every = [row for part in rows.values() for row in part]
    assert len(set(every)) == len(every) == 1740
    for split in SPLITS:
        assert data.labels[data.rows(split)].tolist() == DIGITS.target[rows[split]].tolist()


def test_test_and_validation_digits_are_the_same_for_every_imbalance_ratio():
    whole = digits_lt(imbalance_ratio=1)
    tailed = digits_lt(imbalance_ratio=100)
    for split in ("val", "test"):
        assert digit_rows(whole, split) == digit_rows(tailed, split)
    assert set(digit_rows(tailed, "train")) < set(digit_rows(whole, "train"))


def test_another_split_tests_on_other_digits():
    tested = [set(digit_rows(digits_lt(split=split), "test")) for split in (0, 1, 2)]
    shared = [len(tested[i] & tested[j]) for i, j in ((0, 1), (0, 2), (1, 2))]
    assert max(shared) < 150  # 400 / 1797 of 400 by chance: 89
    assert (
        load("digits_lt", split=2).fingerprint
        == digits_lt(split=2).fingerprint
        != digits_lt(split=1).fingerprint
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(imbalance_ratio=0.5), r"imbalance_ratio must lie in \[1, 100\], got 0\.5"),
        (dict(imbalance_ratio=101), r"imbalance_ratio must lie in \[1, 100\], got 101"),
        (dict(imbalance_ratio=float("nan")), "imbalance_ratio must lie .* got nan"),
        (dict(split=-1), "split must be an integer >= 0, got -1"),
        (dict(split=1.5), r"split must be an integer >= 0, got 1\.5"),
    ],
)
def test_digits_that_cannot_be_made_are_refused_in_words(arguments, message):
    with pytest.raises(BmixError, match=message):
        digits_lt(**arguments)


def test_a_dataset_is_loaded_by_name_or_path_and_fold(tmp_path):
    data = make([0, 1] * 15, split=np.array(["train", "train", "val", "test", "train"] * 6))
    save_prepared(data, tmp_path)
    assert json.loads((tmp_path / "dataset.json").read_text())["shape"] == [30, 4, 2, 3]
    assert load(tmp_path).split.tolist() == data.split.tolist()
    other = load(str(tmp_path), split=1)
    assert other.split.tolist() == assign_split(data, split=1).split.tolist() != data.split.tolist()
    with pytest.raises(BmixError, match="got 'digits_ltt'; did you mean 'digits_lt'"):
        load("digits_ltt")


@pytest.mark.parametrize("given", [["train", "test", "train"], ["train", "val", "train"]])
def test_a_split_that_lacks_a_part_is_completed_on_loading(tmp_path, given):
    data = make([0, 1] * 15, split=np.array(given * 10))
    save_prepared(data, tmp_path)
    loaded = load(tmp_path)
    assert all(len(loaded.rows(part)) for part in ("train", "val", "test"))
    if "test" in given:
        assert np.array_equal(loaded.rows("test"), data.rows("test"))


def test_a_fold_in_which_a_dealt_part_lacks_a_class_is_refused_before_any_training(tmp_path):
    groups = np.array([f"p{row}" for row in range(40)] + ["one", "one", "two", "two", "two"])
    save_prepared(make([0] * 40 + [1] * 5, groups=groups), tmp_path)
    messages = []
    for split in range(5):  # a class of two patients cannot lie in all three parts
        with pytest.raises(BmixError) as caught:
            load(tmp_path, split=split)
        messages.append(str(caught.value))
    assert any("no 'test' images of 'class 1': take another split" in text for text in messages)


def test_a_part_that_came_without_a_class_stays_and_dealt_ones_have_all(tmp_path):
    split = np.array(["train"] * 20 + ["val"] * 4 + ["test"] * 4)
    save_prepared(make([0, 1] * 10 + [0] * 4 + [0, 1] * 2, split=split), tmp_path)
    assert load(tmp_path).counts("val").tolist() == [4, 0]
    assert load(tmp_path, split=1).counts("val").tolist() == [2, 2]


def test_grades_are_ordered_and_digits_are_not():
    assert load("fundus_toy").ordered
    assert not load("digits_lt").ordered
