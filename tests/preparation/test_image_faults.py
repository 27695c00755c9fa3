import os
from dataclasses import replace

import pytest

from bmix_lite.base.errors import BmixError
from bmix_lite.preparation.image_faults import find_copies, find_leaks
from bmix_lite.preparation.report import read_report
from field import make_facts, make_items, prepare_small, put

pytestmark = pytest.mark.filterwarnings("error", "ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.mark.parametrize(
    ("splits", "stays"),
    [
        (["train", "test"], 1),
        (["val", "train"], 0),
        (["train", "train"], 0),
        (["val", "test", "test"], 1),
        (["", ""], 0),
    ],
)
def test_of_copies_that_of_the_test_side_stays_and_the_first_of_equals(splits, stays):
    n = len(splits)
    [fault] = find_copies(make_items(splits), make_facts(n, ["x"] * n), range(n))
    assert (fault.kind, fault.level, fault.images) == ("duplicate", "bad", tuple(range(n)))
    assert fault.drop == tuple(number for number in range(n) if number != stays)


def test_an_image_that_a_split_lists_on_two_sides_is_named_with_both_rows_and_tested_only():
    items = [replace(item, id="a.png") for item in make_items(["train", "test"])]
    [fault] = find_copies(items, make_facts(2, ["x", "x"]), range(2))
    assert (fault.kind, fault.level, fault.where, fault.drop) == (
        "twice",
        "bad",
        "row 0, row 1",
        (0,),
    )


def test_one_image_with_two_labels_loses_all_its_rows():
    items = make_items(["train"] * 3, label=["0", "1", "0"])
    [fault] = find_copies(items, make_facts(3, ["x", "x", "y"]), range(3))
    assert (fault.kind, fault.drop, fault.where) == ("conflict", (0, 1), "row 0, row 1")


def test_patients_on_two_sides_are_listed_and_their_test_images_kept():
    items = make_items(
        ["train", "test", "val", "train", "train"], group=["1", "1", "10", "100", "100"]
    )
    [fault] = find_leaks(items, range(5))
    assert (fault.where, fault.drop) == ("group 1", (0,))
    assert "1 in test, 1 in train" in fault.found


def test_official_folds_are_sides_too():
    items = make_items([""] * 3, group=["p", "p", "q"], fold=["0", "1", "1"])
    [fault] = find_leaks(items, range(3))
    assert fault.drop == (1,)


@pytest.mark.parametrize("place", ["a/{}.png", "{}/1.png", "a/{}"])
def test_a_name_whose_bytes_are_no_text_is_named_and_breaks_no_report(tmp_path, place):
    root = put(tmp_path / "in", *(f"{label}/{n}.png" for label in "ab" for n in range(6)))
    name = os.fsencode(root / place).replace(b"{}", b"x\xff\xfe")
    os.makedirs(os.path.dirname(name), exist_ok=True)
    with open(name, "wb") as file:
        file.write((root / "a/0.png").read_bytes())
    if place == "a/{}":  # no image by its name
        prepare_small(root, tmp_path / "out")
    else:
        with pytest.raises(BmixError, match="the name is no UTF-8: rename it") as caught:
            prepare_small(root, tmp_path / "out")
        str(caught.value).encode()
    faults = read_report(tmp_path / "out").faults
    assert any("x\\udcff\\udcfe" in fault["where"] + fault["found"] for fault in faults)
