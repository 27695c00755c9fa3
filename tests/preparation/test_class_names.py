"""Names and order of classes in every usual form: field inputs 06 and 15 and their neighbours."""

import re
import time
from collections import Counter

import numpy as np
import pytest

from bmix_lite.base.errors import BmixError
from bmix_lite.preparation import prepare as preparation
from bmix_lite.preparation.class_names import name_labels
from bmix_lite.preparation.prepare import prepare
from bmix_lite.preparation.report import read_report
from bmix_lite.preparation.sameness import group_same, group_same_files
from clinic import draw, write_table

QUIET = dict(progress=False, jobs=1, size=8)
NAMES = ["no DR", "mild", "moderate", "severe", "proliferative"]


def make_table(root, labels, groups=None):
    """root/t.csv and an image for each label."""
    rows = []
    for number, label in enumerate(labels):
        draw(number).save(root / f"{number}.png")
        rows.append(
            (f"{number}.png", label) if groups is None else (f"{number}.png", label, groups[number])
        )
    return write_table(root / "t.csv", rows, ("path", "label", "patient")[: len(rows[0])])


def count(data):
    return dict(zip(data.class_names, np.bincount(data.labels).tolist(), strict=True))


@pytest.fixture
def codes(tmp_path):
    """A table of 50 images with the labels 0 to 4."""
    return make_table(tmp_path, [str(number % 5) for number in range(50)])


def test_a_joined_table_of_0_and_0_0_is_named_and_never_four_classes(tmp_path):
    labels = [str(float(number % 2)) if number < 30 else str(number % 2) for number in range(60)]
    table = make_table(tmp_path, labels)
    with pytest.raises(BmixError) as caught:
        prepare(table, tmp_path / "a", **QUIET)
    assert "'0' (15 images), '0.0' (15 images)" in str(caught.value)
    assert "'1' (15 images), '1.0' (15 images)" in str(caught.value)


def test_labels_that_class_names_reads_as_one_are_one_class(tmp_path):
    labels = [str(float(number % 2)) if number < 30 else str(number % 2) for number in range(60)]
    table = make_table(tmp_path, labels)
    data = prepare(table, tmp_path / "a", class_names={0: "healthy", 1: "ill"}, **QUIET)
    assert count(data) == {"healthy": 30, "ill": 30}
    assert data.labels.tolist() == [number % 2 for number in range(60)]
    faults = [fault for fault in read_report(tmp_path / "a").faults if fault["kind"] == "merged"]
    assert [fault["found"] for fault in faults] == [
        "labels '0' and '0.0' are one class",
        "labels '1' and '1.0' are one class",
    ]


def test_labels_of_one_name_are_one_class(codes, tmp_path):
    names = {"0": "healthy", "1": "ill", "2": "ill", "3": "ill", "4": "ill"}
    data = prepare(codes, tmp_path / "a", class_names=names, **QUIET)
    assert count(data) == {"healthy": 10, "ill": 40}


@pytest.mark.parametrize(
    "given",
    [
        dict(enumerate(NAMES)),
        {np.int64(number): name for number, name in enumerate(NAMES)},
        {float(number): name for number, name in enumerate(NAMES)},
        {str(number): name for number, name in enumerate(NAMES)},
        {name: number for number, name in enumerate(NAMES)},
        NAMES,
        tuple(NAMES),
    ],
)
def test_names_of_numbers_are_understood_in_every_usual_form(codes, tmp_path, given):
    data = prepare(codes, tmp_path / "a", class_names=given, **QUIET)
    assert data.class_names == tuple(NAMES)
    assert data.labels.tolist() == [number % 5 for number in range(50)]


@pytest.mark.parametrize(
    "given",
    [
        ["mild", "No_DR", "severe"],
        ["mild", "no dr", "severe"],
        {"mild": 0, "No_DR": 1, "severe": 2},
        {"severe": 2, "mild": 0, "No_DR": 1},
    ],
)
def test_an_order_of_names_is_understood_for_class_folders(tmp_path, given):
    for number in range(18):
        path = tmp_path / "eyes" / ("No_DR", "mild", "severe")[number % 3] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        draw(number).save(path)
    data = prepare(tmp_path / "eyes", tmp_path / "a", class_names=given, **QUIET)
    assert [name.casefold().replace("_", " ") for name in data.class_names] == [
        "mild",
        "no dr",
        "severe",
    ]
    for number, name in zip(data.labels, data.ids, strict=True):
        assert ("mild", "No_DR", "severe")[number] == name.split("/")[0]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("abc", "must be a dict or a list, got str"),
        ({"a", "b"}, "must be a dict or a list, got set"),
        ({}, "class_names is empty"),
        ([], "class_names is empty"),
        ({0: None}, "a name must be a text, got None"),
        ({0: 1.5}, "a name must be a text, got 1.5"),
        ({0: True}, "a name must be a text, got True"),
        ({0: " "}, "must not be blank"),
        (["a", "a"], "the list has 'a' twice"),
        ({0: "No DR", 1: "no_dr"}, "'No DR' and 'no_dr' read the same"),
        (["a", "b"], "neither among the 2 names of the list nor numbers from 0 to 1"),
        ({"x": "a", "y": "b"}, "none of the labels '0', '1', '2', '3', '4' is among 'x', 'y'"),
    ],
)
def test_names_that_do_not_fit_are_refused_before_any_image_is_opened(
    codes, tmp_path, given, message, monkeypatch
):
    monkeypatch.setattr(preparation, "decode_items", lambda *_, **__: pytest.fail("decoded"))
    with pytest.raises(BmixError, match=re.escape(message)):
        prepare(codes, tmp_path / "a", class_names=given, **QUIET)


def test_a_list_for_labels_from_1_is_refused_since_it_may_be_shifted():
    with pytest.raises(BmixError, match="nor numbers from 0 to 4"):
        name_labels(NAMES, list("12345"))
    with pytest.raises(BmixError, match="nor numbers from 0 to 4"):
        name_labels(NAMES, list("1234"))
    assert list(name_labels(NAMES, list("0124"))) == list("01234")


def test_a_label_that_no_name_fits_is_named_with_its_row(codes, tmp_path):
    codes.write_text(codes.read_text().replace("7.png,2", "7.png,two"))
    with pytest.raises(BmixError, match=r"t\.csv row 9: 7\.png: label 'two', expected one of 0, 1"):
        prepare(codes, tmp_path / "a", class_names=NAMES, **QUIET)


def test_names_that_differ_on_purpose_stay_two_classes(tmp_path):
    table = make_table(tmp_path, ["a", "A"] * 8)
    with pytest.raises(BmixError, match=r"'A' \(8 images\), 'a' \(8 images\)"):
        prepare(table, tmp_path / "a", **QUIET)
    data = prepare(table, tmp_path / "b", class_names={"a": "small", "A": "large"}, **QUIET)
    assert count(data) == {"small": 8, "large": 8}


@pytest.mark.parametrize(
    ("labels", "order"),
    [
        (["10", "9", "-1"], ["-1", "9", "10"]),
        (["10.0", "9.0", "0.0"], ["0.0", "9.0", "10.0"]),
        (["1.5", "0.5", "10.5"], ["0.5", "1.5", "10.5"]),
    ],
)
def test_classes_that_are_numbers_are_in_their_order(tmp_path, labels, order):
    data = prepare(make_table(tmp_path, labels * 6), tmp_path / "a", **QUIET)
    assert list(data.class_names) == order


@pytest.mark.parametrize(
    ("one", "other"), [("p1", "P1"), ("7", "007"), ("7", "7.0"), ("é", "e\u0301"), ("p1", "p1 ")]
)
def test_patients_that_read_the_same_stop(tmp_path, one, other):
    groups = [f"x{number}" for number in range(18)] + [one, other]
    table = make_table(tmp_path, ["a", "b"] * 10, groups)
    with pytest.raises(BmixError, match=r"aliases, 1: .* are one patient or lesion"):
        prepare(table, tmp_path / "a", columns={"group": "patient"}, **QUIET)
    fault = next(f for f in read_report(tmp_path / "a").faults if f["kind"] == "aliases")
    assert fault["images"] == [f"{18 + (one > other)}.png", f"{19 - (one > other)}.png"]


def test_files_of_one_folder_that_read_the_same_are_a_warning(tmp_path):
    for number, name in enumerate(
        ["a/x.png", "a/X.png", "b/x.png"] + [f"b/{n}y.png" for n in range(9)]
    ):
        (tmp_path / "s" / name).parent.mkdir(parents=True, exist_ok=True)
        draw(number).save(tmp_path / "s" / name)
    for number in range(5):
        draw(100 + number).save(tmp_path / f"s/a/{number}.png")
    prepare(tmp_path / "s", tmp_path / "a", **QUIET)
    [fault] = [f for f in read_report(tmp_path / "a").faults if f["kind"] == "namesakes"]
    assert (fault["level"], fault["found"]) == ("warning", "'a/X.png' and 'a/x.png'")


def test_the_same_call_with_another_order_is_another_dataset(codes, tmp_path):
    prepare(codes, tmp_path / "a", class_names=NAMES, **QUIET)
    with pytest.raises(BmixError, match="other files or options"):
        prepare(codes, tmp_path / "a", class_names=NAMES, ordered=True, **QUIET)
    assert Counter(prepare(codes, tmp_path / "a", class_names=NAMES, **QUIET).labels)[0] == 10


def test_class_folders_that_read_the_same_stop_in_one_part_and_across_parts(tmp_path):
    for number, name in enumerate(["train/Mild", "train/none", "test/mild", "test/none"] * 6):
        path = tmp_path / "s" / name / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        draw(number).save(path)
    with pytest.raises(BmixError, match=r"'Mild' \(6 images\), 'mild' \(6 images\)"):
        prepare(tmp_path / "s", tmp_path / "a", **QUIET)
    data = prepare(tmp_path / "s", tmp_path / "b", class_names=["none", "mild"], **QUIET)
    assert count(data) == {"none": 12, "mild": 12}


def test_a_hundred_thousand_names_of_patients_and_files_are_compared_in_seconds():
    started = time.process_time()
    assert group_same([f"patient {number}" for number in range(100_000)], joined=False) == []
    assert group_same_files([f"{n % 9}/{n:07}.png" for n in range(100_000)]) == []
    assert time.process_time() - started < 10  # the promise to the user; 3 here
