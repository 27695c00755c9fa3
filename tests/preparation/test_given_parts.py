"""Parts and folds that came with the data stay: field input 03 and its neighbours."""

from collections import Counter

import numpy as np
import pytest

from bmix_lite.base.errors import BmixError
from bmix_lite.data.datasets import load
from bmix_lite.preparation.folders import list_folder
from bmix_lite.preparation.prepare import prepare
from bmix_lite.preparation.report import read_report
from bmix_lite.sweeps.plans import plan_runs
from clinic import draw, write_table
from conftest import ROOT

QUIET = dict(progress=False, jobs=1, size=8)


def put(path, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    draw(seed).save(path)


def make_parts(root, counts):
    """root/part/label/n.png; counts: {part: {label: images}}."""
    seed = 0
    for part, labels in counts.items():
        for label, count in labels.items():
            for number in range(count):
                seed += 1
                put(root / part / label / f"{part} {number}.png", seed)
    return root


def kinds(folder):
    return {fault["kind"]: fault for fault in read_report(folder).faults}


def test_folders_of_train_and_valid_stay_and_test_is_taken_from_train(tmp_path):
    counts = {"train": {"NORMAL": 20, "PNEUMONIA": 20}, "valid": {"NORMAL": 8, "PNEUMONIA": 8}}
    data = prepare(make_parts(tmp_path / "chest", counts), tmp_path / "a", **QUIET)
    tested = []
    for fold in range(5):
        loaded = load(tmp_path / "a", split=fold)
        became = Counter(zip(data.split, loaded.split, strict=True))
        assert became == {("train", "train"): 32, ("train", "test"): 8, ("val", "val"): 16}
        tested += loaded.rows("test").tolist()
    assert sorted(tested) == data.rows("train").tolist()


def test_a_column_of_train_and_valid_stays_and_patients_stay_together(tmp_path):
    rows = []
    for patient in range(40):
        for number in range(3):
            name = f"p{patient}_{number}.png"
            put(tmp_path / "images" / name, 3 * patient + number)
            part = "train" if patient < 30 else "valid"
            rows.append((name, "ab"[patient % 2], f"p{patient}", part))
    table = write_table(tmp_path / "t.csv", rows, ("image", "label", "patient", "set"))
    columns = {"path": "image", "group": "patient", "split": "set"}
    options = dict(images=tmp_path / "images", columns=columns, **QUIET)
    data = prepare(table, tmp_path / "b", **options)
    for fold in range(5):
        loaded = load(tmp_path / "b", split=fold)
        became = Counter(zip(data.split, loaded.split, strict=True))
        assert set(became) == {("train", "train"), ("train", "test"), ("val", "val")}
        assert became["val", "val"] == 30
        sides = [set(loaded.groups[loaded.rows(part)]) for part in ("train", "val", "test")]
        assert sum(map(len, sides)) == len(set.union(*sides)) == 40


def test_a_part_that_lost_all_its_images_stops_and_is_never_taken_from_train(tmp_path):
    labels = {"a": 8, "b": 8}
    root = make_parts(tmp_path / "s", {"train": labels, "val": labels, "test": {"a": 1, "b": 1}})
    for path in (root / "test").rglob("*.png"):
        path.write_bytes(b"")
    with pytest.raises(BmixError, match="test: 2 images listed, none is left"):
        prepare(root, tmp_path / "a", on_bad="skip", **QUIET)


def test_a_part_without_class_folders_stops(tmp_path):
    labels = {"a": 8, "b": 8}
    root = make_parts(tmp_path / "s", {"train": labels, "val": labels})
    (root / "test").mkdir()
    with pytest.raises(BmixError, match="test: 0 images listed, none is left"):
        prepare(root, tmp_path / "a", **QUIET)


def test_a_class_that_lost_its_images_in_one_part_stops(tmp_path):
    counts = {"train": {"a": 9, "b": 9}, "val": {"a": 3, "b": 1}, "test": {"a": 3, "b": 3}}
    root = make_parts(tmp_path / "s", counts)
    next((root / "val/b").iterdir()).write_bytes(b"")
    with pytest.raises(BmixError, match="'b': 1 images listed in val, none is left"):
        prepare(root, tmp_path / "a", on_bad="skip", **QUIET)


def test_a_class_that_a_given_part_never_had_is_in_the_report(tmp_path):
    counts = {"train": {"a": 9, "b": 9}, "val": {"a": 3}, "test": {"a": 3, "b": 3}}
    prepare(make_parts(tmp_path / "s", counts), tmp_path / "a", **QUIET)
    fault = kinds(tmp_path / "a")["absent"]
    assert (fault["where"], fault["found"]) == ("'b'", "12 images: none in val of split 0")
    assert load(tmp_path / "a").counts("val").tolist() == [3, 0]
    assert load(tmp_path / "a", split=1).counts("val").tolist() == [2, 2]
    lesson = ROOT / "notebooks/05_train.ipynb"
    grid = [{"dataset": str(tmp_path / "a"), "split": split} for split in (0, 1)]
    with pytest.raises(BmixError, match="no 'val' images of 'b' to choose an epoch with"):
        plan_runs(lesson, grid, tmp_path / "runs")
    assert len(plan_runs(lesson, grid[1:], tmp_path / "runs").tasks) == 1


def test_folds_that_a_small_train_part_does_not_allow_are_in_the_report(tmp_path):
    counts = {"train": {"a": 9, "b": 4}, "val": {"a": 3, "b": 1}, "test": {"a": 3, "b": 3}}
    prepare(make_parts(tmp_path / "s", counts), tmp_path / "a", **QUIET)
    fault = kinds(tmp_path / "a")["absent"]
    assert fault["where"] == "every split but 0"
    assert "split 0 is as it came" in fault["found"]
    assert load(tmp_path / "a").counts().tolist() == [9, 4]


def test_a_class_too_small_for_the_part_that_is_missing_stops(tmp_path):
    counts = {"train": {"a": 9, "b": 4}, "test": {"a": 3, "b": 3}}
    with pytest.raises(BmixError, match="'b': 4 training images for 5 folds"):
        prepare(make_parts(tmp_path / "s", counts), tmp_path / "a", **QUIET)


def test_official_folds_that_lack_a_class_are_in_the_report(tmp_path):
    rows = []
    for number in range(40):
        put(tmp_path / f"{number}.png", number)
        is_rare = number % 5 == 0 and number < 30
        rows.append((f"{number}.png", "rare" if is_rare else "common", str(number % 4 + 1)))
    for number, row in enumerate(rows):
        if row[1] == "rare":
            rows[number] = (*row[:2], "1" if number < 15 else "2")
    table = write_table(tmp_path / "t.csv", rows, ("path", "label", "fold"))
    prepare(table, tmp_path / "a", columns={"fold": "fold"}, **QUIET)
    fault = kinds(tmp_path / "a")["absent"]
    assert fault["found"].startswith("6 images: none in ")
    for fold in (1, 2):
        with pytest.raises(BmixError, match=f"split {fold}: no .* images of 'rare'"):
            load(tmp_path / "a", split=fold)
        assert f"{fold}" in fault["found"].split("val of splits ")[1].split(";")[0]


def test_a_folder_beside_the_parts_of_a_split_is_named(tmp_path):
    labels = {"a": 2, "b": 2}
    counts = {"train": labels, "test": labels, "unlabelled": labels}
    with pytest.raises(BmixError, match="test, train are parts of a split, unlabelled is none"):
        list_folder(make_parts(tmp_path, counts))


def test_a_class_may_be_called_train(tmp_path):
    for label in ("train", "test", "bus"):
        put(tmp_path / label / "1.png", 1)
    assert {item.label for item in list_folder(tmp_path).items} == {"train", "test", "bus"}


def test_the_split_of_arrays_stays(tmp_path):
    arrays = {}
    for part, count in (("train", 40), ("val", 10), ("test", 10)):
        rng = np.random.default_rng(count + len(arrays))
        arrays[f"{part}_images"] = rng.integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
        arrays[f"{part}_labels"] = np.arange(count)[:, None] % 2
    np.savez(tmp_path / "set.npz", **arrays)
    data = prepare(tmp_path / "set.npz", tmp_path / "a", progress=False)
    for fold in range(1, 5):
        loaded = load(tmp_path / "a", split=fold)
        assert loaded.counts().tolist() == [16, 16]
        assert set(loaded.rows("val")) < set(data.rows("train"))
        assert loaded.rows("test").tolist() == data.rows("test").tolist()


def test_images_of_a_given_test_need_no_fold(tmp_path):
    rows = []
    for number in range(30):
        put(tmp_path / f"{number}.png", number)
        fold = "" if number >= 20 else str(number // 2 % 5)
        rows.append((f"{number}.png", "ab"[number % 2], "test" if number >= 20 else "train", fold))
    table = write_table(tmp_path / "t.csv", rows, ("path", "label", "set", "fold"))
    prepare(table, tmp_path / "a", columns={"split": "set", "fold": "fold"}, **QUIET)
    for fold in range(5):
        data = load(tmp_path / "a", split=fold)
        assert data.rows("test").tolist() == list(range(20, 30))
        assert data.rows("val").tolist() == [n for n in range(20) if n // 2 % 5 == fold]


def test_a_column_that_holds_a_split_is_asked_for_and_never_dealt_over(tmp_path):
    parts = ["train"] * 10 + ["Validation"] * 4
    rows = [(f"{n}.png", "ab"[n % 2], part) for n, part in enumerate(parts)]
    for number, row in enumerate(rows):
        put(tmp_path / row[0], number)
    table = write_table(tmp_path / "t.csv", rows, ("path", "label", "Set"))
    words = r"the column 'Set' holds train, val: columns=\{'split': 'Set'\} keeps that split"
    for columns in (None, {"label": "label"}):
        with pytest.raises(BmixError, match=words):
            prepare(table, tmp_path / "a", columns=columns, **QUIET)
    kept = prepare(table, tmp_path / "b", columns={"split": "Set"}, **QUIET)
    assert Counter(kept.split) == {"train": 10, "val": 4}
    assert prepare(table, tmp_path / "c", columns={"split": None}, **QUIET).split is None
