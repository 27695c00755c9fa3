import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from bmix_lite.datasets import SPLITS, ImageSet, assign_split, digits_lt, load, load_prepared, save_prepared
from bmix_lite.errors import BmixError
from bmix_lite.files import write_atomic

pytestmark = pytest.mark.filterwarnings("error")

DIGITS = load_digits()


def make(labels=(0, 1, 0, 1), **fields):
    n = len(labels)
    images = np.random.default_rng(0).integers(0, 256, (n, 4, 2, 3), dtype=np.uint8)
    names = [f"class {j}" for j in range(max(labels) + 1)]
    return ImageSet(**dict(images=images, labels=np.array(labels), class_names=names) | fields)


def digit_rows(data, split):
    """Row in scikit-learn's table of each image of a split, found by its pixels (all 1,797 differ)."""
    known = {np.round(image * 255 / 16).astype(np.uint8).tobytes(): i for i, image in enumerate(DIGITS.images)}
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
        digits_lt().fingerprint == digits_lt(imbalance_ratio=100, fold=0).fingerprint == load("digits_lt").fingerprint
    )


@pytest.mark.parametrize("fold", [0, 3])
def test_digits_are_those_of_scikit_learn_and_none_is_in_two_splits(fold):
    data = digits_lt(imbalance_ratio=1, fold=fold)
    rows = {split: digit_rows(data, split) for split in SPLITS}
    every = [row for part in rows.values() for row in part]
    assert len(set(every)) == len(every) == 1740
    for split in SPLITS:
        assert data.labels[data.rows(split)].tolist() == DIGITS.target[rows[split]].tolist()


def test_test_and_validation_digits_are_the_same_for_every_imbalance_ratio():
    whole, tailed = digits_lt(imbalance_ratio=1), digits_lt(imbalance_ratio=100)
    for split in ("val", "test"):
        assert digit_rows(whole, split) == digit_rows(tailed, split)
    assert set(digit_rows(tailed, "train")) < set(digit_rows(whole, "train"))


def test_another_fold_tests_on_other_digits():
    tested = [set(digit_rows(digits_lt(fold=fold), "test")) for fold in (0, 1, 2)]
    assert max(len(tested[i] & tested[j]) for i, j in ((0, 1), (0, 2), (1, 2))) < 150  # 400 / 1797 of 400 by chance: 89
    assert load("digits_lt", fold=2).fingerprint == digits_lt(fold=2).fingerprint != digits_lt(fold=1).fingerprint


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(imbalance_ratio=0.5), r"imbalance_ratio must lie in \[1, 100\], got 0\.5"),
        (dict(imbalance_ratio=101), r"imbalance_ratio must lie in \[1, 100\], got 101"),
        (dict(imbalance_ratio=float("nan")), "imbalance_ratio must lie .* got nan"),
        (dict(fold=-1), "fold must be an integer >= 0, got -1"),
        (dict(fold=1.5), r"fold must be an integer >= 0, got 1\.5"),
    ],
)
def test_digits_that_cannot_be_made_are_refused_in_words(arguments, message):
    with pytest.raises(BmixError, match=message):
        digits_lt(**arguments)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (dict(images=np.zeros((4, 2, 2, 3))), "images must be uint8, got float64"),
        (dict(images=np.zeros((4, 2, 2), np.uint8)), r"images must be \(N, H, W, C\), got shape \(4, 2, 2\)"),
        (dict(images=np.zeros((5, 2, 2, 3), np.uint8)), "images and labels differ in length: 5 and 4"),
        (dict(labels=np.array([0, 1, 0, 2])), r"labels must lie in 0\.\.1, got 2 in row 3"),
        (dict(labels=np.array([0, -1, 0, 1])), r"labels must lie in 0\.\.1, got -1 in row 1"),
        (dict(labels=np.array([0, 1, 0, 2.5])), "labels must be integers .* got dtype float64"),
        (dict(labels=np.array([0, 0, 0, 0])), r"every class needs at least one image, classes \[1\] have none"),
        (dict(groups=["a", "b"]), "groups must have 4 entries"),
        (dict(split=["train"] * 3), "split must have 4 entries"),
        (dict(split=["train", "train", "Test", "train"]), r"split must be one of .* got \['Test'\]"),
        (dict(split=["train", "val", "train", "test"]), r"at least one training image, \['class 1'\] have none"),
    ],
)
def test_an_image_set_refuses_what_does_not_fit_in_words(fields, message):
    with pytest.raises(BmixError, match=message):
        dataclasses.replace(make(), **fields)


def test_rows_and_counts_belong_to_one_split():
    data = make([0, 1, 0, 1, 1], split=np.array(["train", "train", "val", "test", "val"]))
    assert [data.rows(split).tolist() for split in SPLITS] == [[0, 1], [2, 4], [3]]
    assert [data.counts(split).tolist() for split in SPLITS] == [[1, 1], [1, 1], [0, 1]]
    with pytest.raises(BmixError, match="split must be one of train, val, test, got 'valid'; did you mean 'val'"):
        data.rows("valid")
    with pytest.raises(BmixError, match="dataset 'unnamed' has no split yet"):
        make().rows("train")


BASE = make(groups=["a", "b", "c", "d"], split=["train", "train", "val", "test"])


@pytest.mark.parametrize(
    "change",
    [
        dict(images=BASE.images ^ np.uint8([[[[1, 0, 0]]]])),
        dict(images=np.where(np.arange(96).reshape(4, 4, 2, 3) == 95, BASE.images + np.uint8(1), BASE.images)),
        dict(images=BASE.images.reshape(4, 2, 4, 3)),
        dict(images=BASE.images[::-1]),
        dict(labels=np.array([0, 1, 1, 0])),
        dict(class_names=("class 1", "class 0")),
        dict(class_names=("class 0class", " 1")),
        dict(groups=["a", "b", "c", "e"]),
        dict(groups=["a", "b", "cd", ""]),
        dict(groups=None),
        dict(split=["train", "train", "test", "val"]),
        dict(split=None),
        dict(groups=BASE.split, split=BASE.split),
    ],
)
def test_every_part_that_training_sees_changes_the_fingerprint(change):
    assert dataclasses.replace(BASE, **change).fingerprint != BASE.fingerprint


def test_the_fingerprint_depends_on_content_not_on_memory_layout_or_name():
    same = dict(images=np.asfortranarray(BASE.images), labels=BASE.labels.astype(np.int8), name="other")
    assert dataclasses.replace(BASE, **same).fingerprint == BASE.fingerprint
    assert len(BASE.fingerprint) == 64


def patients(n, seed):
    """Images of n patients, one to six each, with mostly one label a patient."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(n), rng.integers(1, 7, n))
    labels = np.where(rng.random(len(groups)) < 0.8, groups % 3, rng.integers(0, 3, len(groups)))
    order = rng.permutation(len(groups))
    return make(labels[order], groups=np.array([f"p{g}" for g in groups[order]]))


def parts_of(data, values):
    return [set(values[data.rows(split)]) for split in SPLITS]


@pytest.mark.parametrize("grouped", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_every_image_is_tested_in_one_fold_validated_in_another_and_groups_stay_together(seed, grouped):
    data = patients(60, seed)
    data = data if grouped else dataclasses.replace(data, groups=None)
    folds = [assign_split(data, fold=fold, seed=seed) for fold in range(5)]
    n = len(data.labels)
    for split in ("val", "test"):
        assert sorted(np.concatenate([fold.rows(split) for fold in folds])) == list(range(n))
    for fold in folds:
        assert sum(len(fold.rows(split)) for split in SPLITS) == n
        for split in SPLITS:
            shares = fold.counts(split) / fold.counts(split).sum()
            assert shares == pytest.approx(np.bincount(data.labels) / n, abs=0.1 if grouped else 0.02)
        if grouped:
            assert sum(map(len, parts_of(fold, data.groups))) == len(set(data.groups))


def test_a_split_repeats_with_its_seed_and_leaves_the_original_alone():
    data = patients(30, 0)
    one, again, other = (assign_split(data, seed=seed).split for seed in (0, 0, 1))
    assert data.split is None
    assert one.tolist() == again.tolist() != other.tolist()


def test_both_eyes_of_an_eyepacs_patient_stay_together(shared):
    table = pd.read_csv(shared / "data/eyepacs/trainLabels.csv")
    groups, labels = table["image"].str.split("_").str[0].to_numpy(str), table["level"].to_numpy()
    data = ImageSet(np.zeros((len(table), 1, 1, 1), np.uint8), labels, range(5), groups=groups)
    data = assign_split(data, fold=2)
    train, val, test = parts_of(data, groups)
    assert [len(train | val | test), len(train) + len(val) + len(test)] == [17563, 17563]
    for split, size in zip(SPLITS, (0.6, 0.2, 0.2), strict=True):
        assert len(data.rows(split)) / len(table) == pytest.approx(size, abs=0.001)
        assert data.counts(split) / len(data.rows(split)) == pytest.approx(np.bincount(labels) / 35126, abs=0.003)


def test_patients_1_10_and_100_are_three_patients():
    groups = np.tile(["1", "10", "100"], 10)
    data = make(np.repeat([0, 1], 15), groups=groups)
    folds = [assign_split(data, fold=fold, folds=3) for fold in range(3)]
    assert all([len(part) for part in parts_of(fold, groups)] == [1, 1, 1] for fold in folds)
    assert {parts_of(fold, groups)[2].pop() for fold in folds} == {"1", "10", "100"}


def test_a_test_split_that_the_data_came_with_is_kept():
    split = np.array(["test", "train", "val", "test"] * 15)
    data = make([0, 1, 1, 1, 0, 0] * 10, split=split)
    folds = [assign_split(data, fold=fold) for fold in range(5)]
    for fold in folds:
        assert np.array_equal(fold.rows("test"), np.flatnonzero(split == "test"))
        assert len(fold.rows("val")) == 6
    assert sorted(np.concatenate([fold.rows("val") for fold in folds])) == np.flatnonzero(split != "test").tolist()


@pytest.mark.parametrize(
    ("labels", "groups", "arguments", "message"),
    [
        ([0, 1] * 5, None, dict(fold=5), r"fold must lie in 0\.\.4, got 5"),
        ([0, 1] * 5, None, dict(fold=-1), r"fold must lie in 0\.\.4, got -1"),
        ([0, 1] * 5, None, dict(fold=0.5), r"fold must lie in 0\.\.4, got 0\.5"),
        ([0, 1] * 4, None, {}, r"at least 5 images for 5 folds, too few in 'class 0' \(4\), 'class 1' \(4\)"),
        ([0, 0, 1] * 4, None, {}, r"at least 5 images for 5 folds, too few in 'class 1' \(4\)"),
        ([0, 1] * 15, np.tile(["1", "10", "100"], 10), {}, "at least 5 groups for 5 folds, got 3"),
        ([0] * 20 + [1] * 5, list("abcdefghijklmnopqrstttttt"), {}, r"one training image, \['class 1'\] have none"),
    ],
)
def test_folds_that_cannot_be_made_are_refused_in_words(labels, groups, arguments, message):
    with pytest.raises(BmixError, match=message):
        [assign_split(make(labels, groups=groups), **dict(fold=fold) | arguments) for fold in range(5)]


def test_a_prepared_dataset_comes_back_as_it_was_with_its_images_memory_mapped(tmp_path):
    data = make(
        class_names=("NA", "naïve 糖"),
        groups=np.array(["007", "7", "NA", "1e3"]),
        split=np.array(["train", "train", "val", "test"]),
        name="eyes",
        source="a clinic, 2024",
    )
    save_prepared(data, tmp_path / "eyes")
    back = load_prepared(tmp_path / "eyes")
    assert isinstance(back.images, np.memmap)
    assert not back.images.flags.writeable
    assert np.array_equal(back.images, data.images)
    for field in ("labels", "class_names", "groups", "split"):
        assert list(getattr(back, field)) == list(getattr(data, field))
    assert (back.name, back.source) == ("eyes", "a clinic, 2024")
    assert sorted(path.name for path in (tmp_path / "eyes").iterdir()) == ["dataset.json", "images.npy", "table.csv"]


@pytest.mark.parametrize("fields", [{}, dict(groups=["x", "", "y", ""])])
def test_absent_groups_and_split_come_back_absent(tmp_path, fields):
    save_prepared(make(**fields), tmp_path)
    back = load_prepared(tmp_path)
    assert back.split is None
    assert (None if back.groups is None else back.groups.tolist()) == fields.get("groups")


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text("07 ,\";\n\t#é'\\NAa.", max_size=5), min_size=4, max_size=4).filter(any))
def test_any_group_name_survives_the_table(tmp_path, groups):
    save_prepared(make(groups=groups), tmp_path)
    assert load_prepared(tmp_path).groups.tolist() == groups


def test_a_stored_dataset_keeps_its_fingerprint_through_copies(tmp_path):
    save_prepared(BASE, tmp_path / "one")
    one = load_prepared(tmp_path / "one")
    save_prepared(one, tmp_path / "two")
    assert BASE.fingerprint == one.fingerprint == load_prepared(tmp_path / "two").fingerprint
    assert assign_split(make([0, 1] * 9), fold=1).fingerprint != assign_split(make([0, 1] * 9), fold=2).fingerprint


def test_an_edited_table_changes_the_fingerprint(tmp_path):
    save_prepared(BASE, tmp_path)
    before, table = load_prepared(tmp_path).fingerprint, tmp_path / "table.csv"
    table.write_text(table.read_text().replace("0,c,val", "1,c,val"))
    assert load_prepared(tmp_path).fingerprint != before


@pytest.mark.parametrize(
    ("file", "damage", "message"),
    [
        ("dataset.json", lambda text: text.replace(b'"format": 1', b'"format": 99'), "format must be 1, got 99"),
        ("dataset.json", lambda text: text[:30], "dataset.json"),
        ("images.npy", lambda data: data[:150], "images.npy"),
        ("images.npy", lambda data: b"", "images.npy"),
        ("table.csv", lambda text: text.rsplit(b"\n", 2)[0] + b"\n", r"\(4, 4, 2, 3\) and 3 rows"),
        ("table.csv", lambda text: text.replace(b"label,", b"level,"), "table.csv"),
        ("table.csv", lambda text: text.replace(b"1,b", b",b"), "labels must be integers"),
        ("table.csv", lambda text: text.replace(b"val", b""), r"split must be one of .* got \[''\]"),
    ],
)
def test_a_damaged_prepared_dataset_is_refused_in_words(tmp_path, file, damage, message):
    save_prepared(BASE, tmp_path)
    (tmp_path / file).write_bytes(damage((tmp_path / file).read_bytes()))
    with pytest.raises(BmixError, match=message):
        load_prepared(tmp_path)


def test_dataset_json_is_written_last_so_that_a_cut_dataset_is_none(tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr(
        "bmix_lite.datasets.write_atomic", lambda path, x: (written.append(path.name), write_atomic(path, x))
    )
    monkeypatch.setattr("bmix_lite.datasets.write_json", lambda path, x: written.append(path.name))
    save_prepared(BASE, tmp_path)
    assert sorted(written[:2]) == ["images.npy", "table.csv"]
    assert written[2:] == ["dataset.json"]
    with pytest.raises(BmixError, match=r"dataset must be one of digits_lt, a folder with dataset\.json"):
        load(str(tmp_path))


def test_a_dataset_is_loaded_by_name_or_path_and_fold(tmp_path):
    data = make([0, 1] * 15, split=np.array(["train", "train", "val", "test", "train"] * 6))
    save_prepared(data, tmp_path)
    assert json.loads((tmp_path / "dataset.json").read_text())["shape"] == [30, 4, 2, 3]
    assert load(tmp_path).split.tolist() == data.split.tolist()
    other = load(str(tmp_path), fold=1)
    assert other.split.tolist() == assign_split(data, fold=1).split.tolist() != data.split.tolist()
    with pytest.raises(BmixError, match="got 'digits_ltt'; did you mean 'digits_lt'"):
        load("digits_ltt")
