import csv

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bmix_lite.base.errors import BmixError
from bmix_lite.base.files import write_atomic
from bmix_lite.data.datasets import load
from bmix_lite.data.imageset import hash_images
from bmix_lite.data.prepared import load_prepared, read_about, save_prepared
from bmix_lite.data.splits import assign_split
from tiny import make

pytestmark = pytest.mark.filterwarnings("error", "ignore::pytest.PytestUnraisableExceptionWarning")

BASE = make(groups=["a", "b", "c", "d"], split=["train", "train", "val", "test"])


def test_a_prepared_dataset_comes_back_as_it_was_with_its_images_memory_mapped(tmp_path):
    data = make(
        class_names=("NA", "naïve 糖"),
        groups=np.array(["007", "7", "NA", "1e3"]),
        split=np.array(["train", "train", "val", "test"]),
        name="eyes",
        source="a clinic, 2024",
        ordered=True,
    )
    save_prepared(data, tmp_path / "eyes")
    back = load_prepared(tmp_path / "eyes")
    assert isinstance(back.images, np.memmap)
    assert not back.images.flags.writeable
    assert np.array_equal(back.images, data.images)
    for field in ("labels", "class_names", "groups", "split"):
        assert list(getattr(back, field)) == list(getattr(data, field))
    assert (back.name, back.source, back.ordered) == ("eyes", "a clinic, 2024", True)
    assert sorted(path.name for path in (tmp_path / "eyes").iterdir()) == [
        "dataset.json",
        "images.npy",
        "table.csv",
    ]


@pytest.mark.parametrize("fields", [{}, dict(groups=["x", "", "y", ""])])
def test_absent_groups_and_split_come_back_absent(tmp_path, fields):
    save_prepared(make(**fields), tmp_path)
    back = load_prepared(tmp_path)
    assert back.split is None
    assert (None if back.groups is None else back.groups.tolist()) == fields.get("groups")


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.text("07 ,\";\n\t\r=+-@#é'\\NAa.", max_size=5), min_size=4, max_size=4).filter(any)
)
def test_any_group_name_survives_the_table(tmp_path, groups):
    save_prepared(make(groups=groups), tmp_path)
    assert load_prepared(tmp_path).groups.tolist() == groups


def test_a_stored_dataset_keeps_its_fingerprint_through_copies(tmp_path):
    save_prepared(BASE, tmp_path / "one")
    one = load_prepared(tmp_path / "one")
    save_prepared(one, tmp_path / "two")
    assert BASE.fingerprint == one.fingerprint == load_prepared(tmp_path / "two").fingerprint
    assert (
        assign_split(make([0, 1] * 9), split=1).fingerprint
        != assign_split(make([0, 1] * 9), split=2).fingerprint
    )


def test_an_edited_table_changes_the_fingerprint(tmp_path):
    save_prepared(BASE, tmp_path)
    before = load_prepared(tmp_path).fingerprint
    table = tmp_path / "table.csv"
    table.write_text(table.read_text().replace("0,c,val", "1,c,val"))
    assert load_prepared(tmp_path).fingerprint != before


@pytest.mark.parametrize(
    ("file", "damage", "message"),
    [
        (
            "dataset.json",
            lambda text: text.replace(b'"format": 2', b'"format": 99'),
            "format must be 1 or 2, got 99",
        ),
        ("dataset.json", lambda text: text[:30], "dataset.json"),
        ("images.npy", lambda data: data[:150], "images.npy"),
        ("images.npy", lambda data: b"", "images.npy"),
        ("table.csv", lambda text: text.rsplit(b"\n", 2)[0] + b"\n", r"\(4, 4, 2, 3\) and 3 rows"),
        ("table.csv", lambda text: text.replace(b"label,", b"level,"), "table.csv"),
        ("table.csv", lambda text: text.replace(b"1,b", b",b"), "labels must be integers"),
        (
            "table.csv",
            lambda text: text.replace(b"val", b""),
            r"split must be one of .* got \[''\]",
        ),
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
        "bmix_lite.data.prepared.write_atomic",
        lambda path, x: (written.append(path.name), write_atomic(path, x)),
    )
    monkeypatch.setattr(
        "bmix_lite.data.prepared.write_json", lambda path, x: written.append(path.name)
    )
    save_prepared(BASE, tmp_path)
    assert (tmp_path / "images.npy").exists()
    assert written == ["table.csv", "dataset.json"]
    with pytest.raises(
        BmixError, match=r"dataset must be one of digits_lt, .* a folder with dataset\.json"
    ):
        load(str(tmp_path))


def test_ids_folds_hashes_and_licence_are_kept(tmp_path):
    data = make(ids=["a/007.png", "b, c.png", "NA", '"é".png'], folds=np.array([1, 0, 1, 0]))
    save_prepared(
        data,
        tmp_path,
        sha256=["0" * 64] * 4,
        about={"licence": "CC0", "counts": "what is counted wins"},
    )
    back = load_prepared(tmp_path)
    assert back.ids.tolist() == data.ids
    assert back.folds.tolist() == [1, 0, 1, 0]
    assert read_about(tmp_path)["licence"] == "CC0"
    assert read_about(tmp_path)["counts"] == {"class 0": 2, "class 1": 2}
    assert (
        (tmp_path / "table.csv")
        .read_text()
        .splitlines()[1]
        .startswith("a/007.png," + "0" * 64 + ",0,")
    )


@pytest.mark.parametrize("n", [1, 1023, 1024, 1025, 2500])
def test_images_are_written_block_by_block_as_numpy_would_and_hashed_on_the_way(tmp_path, n):
    labels = np.arange(n) % 2 if n > 1 else np.array([0])
    data = make(labels)
    save_prepared(data, tmp_path)
    assert np.array_equal(np.load(tmp_path / "images.npy"), data.images)
    assert read_about(tmp_path)["images_sha256"] == hash_images(data.images)


def test_a_set_that_is_written_over_is_incomplete_until_it_is_whole_again(tmp_path, monkeypatch):
    save_prepared(BASE, tmp_path)
    monkeypatch.setattr("bmix_lite.data.prepared.write_atomic", lambda path, x: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        save_prepared(BASE, tmp_path)
    assert not (tmp_path / "dataset.json").exists()


def test_no_cell_of_the_table_is_a_formula_and_the_fingerprint_is_that_of_the_real_names(tmp_path):
    groups = ["=cmd|' /C calc'!A0", "'=1", "-7", "'s Gravenhage"]
    data = make(groups=groups, ids=["=a.png", "+b.png", "@c.png", "d.png"])
    save_prepared(data, tmp_path)
    with open(tmp_path / "table.csv", newline="") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@"))]
    back = load_prepared(tmp_path)
    assert (back.groups.tolist(), back.ids.tolist()) == (groups, data.ids)
    assert back.fingerprint == data.fingerprint


def test_a_table_of_the_first_format_is_read_as_it_was_written(tmp_path):
    save_prepared(make(groups=["q1", "q2", "a", "b"]), tmp_path)
    for name, changes in {
        "dataset.json": {'"format": 2': '"format": 1'},
        "table.csv": {"q1": "'=1", "q2": "=1"},
    }.items():
        text = (tmp_path / name).read_text()
        for new, old in changes.items():
            assert new in text
            text = text.replace(new, old)
        (tmp_path / name).write_text(text)
    assert load_prepared(tmp_path).groups.tolist() == ["'=1", "=1", "a", "b"]


def test_links_in_the_folder_are_replaced_and_never_written_through(tmp_path):
    (tmp_path / "data").mkdir()
    for name in ("images.npy", "table.csv", "dataset.json"):
        (tmp_path / name).write_text("mine")
        (tmp_path / "data" / name).symlink_to(tmp_path / name)
    save_prepared(BASE, tmp_path / "data")
    assert load_prepared(tmp_path / "data").fingerprint == BASE.fingerprint
    assert all(
        (tmp_path / name).read_text() == "mine"
        for name in ("images.npy", "table.csv", "dataset.json")
    )


@pytest.mark.parametrize(
    ("about", "ordered"), [({}, False), ({"ordered": True}, True), ({"ordered": "no"}, False)]
)
def test_a_source_may_say_that_its_classes_are_ordered_and_an_old_set_says_nothing(
    tmp_path, about, ordered
):
    save_prepared(BASE, tmp_path, about=about)
    assert load_prepared(tmp_path).ordered is ordered
    assert load_prepared(tmp_path).fingerprint == BASE.fingerprint
    write_atomic(
        tmp_path / "dataset.json",
        (tmp_path / "dataset.json").read_text().replace('"ordered"', '"older"'),
    )
    assert load_prepared(tmp_path).ordered is False
