import re

import numpy as np
import pytest

from bmix_lite.base.errors import BmixError
from bmix_lite.data.datasets import load
from bmix_lite.preparation.groups import COLUMNS, find_ungrouped
from bmix_lite.preparation.listing import Item
from bmix_lite.preparation.report import read_report
from bmix_lite.preparation.sources import list_images
from field import photo, prepare_small, put

CHEST = [
    f"{label}/person{patient + 100 * (label == 'NORMAL')}_{kind}_{i}.jpeg"
    for label, kind in (("NORMAL", "IM"), ("PNEUMONIA", "virus"))
    for patient in range(20)
    for i in range(4)
]


def make_items(names):
    return [Item(name, "", name.split("/")[0], name) for name in names]


def test_patients_in_the_names_of_a_folder_are_warned_of_and_taken_for_groups_when_said(tmp_path):
    root = put(tmp_path / "chest", *CHEST)
    prepare_small(root, tmp_path / "a")
    [fault] = [f for f in read_report(tmp_path / "a").faults if f["kind"] == "ungrouped"]
    assert fault["level"] == "warning"
    assert fault["found"].startswith("40 different ones, such as 'person")
    said = re.search(r"group_from='(.*?)' would", fault["found"])[1].replace("\\\\", "\\")
    data = prepare_small(root, tmp_path / "b", group_from=said)
    assert len(set(data.groups)) == 40
    assert "ungrouped" not in read_report(tmp_path / "b").counts()
    split = load(str(tmp_path / "b"))
    sides = [set(split.groups[split.rows(part)]) for part in ("train", "val", "test")]
    assert sum(map(len, sides)) == len(set.union(*sides)) == 40


@pytest.mark.parametrize(
    "name",
    [
        "covid_patient{}_SR_2_IM0000{}.tif",
        "{}_left_{}.jpeg",
        "HP-{}-frame {}.png",
        "video{}_{:05}.png",
        "lesion {} ({}).png",
        "2019-03-{}_{}.png",
        "Mr Smith{}_{}.png",
        "s{}/{}.png",
    ],
)
def test_names_of_patients_lesions_and_frames_are_noticed_however_written(name):
    names = [
        f"{label}/{name.format(n + 20, i)}" for n in range(9) for i in range(3) for label in "a"
    ]
    names += [f"b/{name.format(n + 50, i)}" for n in range(9) for i in range(3)]
    assert len(find_ungrouped(make_items(names), range(len(names)))) == 1


@pytest.mark.parametrize(
    "names",
    [
        [f"class {n % 3}/{n:03}.png" for n in range(40)],
        [f"{label}/{label} ({n}).png" for label in ("benign", "normal") for n in range(30)],
        [f"a/IMG_{n}.png" for n in range(30)] + [f"b/DSC_{n}.png" for n in range(30)],
        [f"{'ab'[n % 2]}/{n:012x}.png" for n in range(132)],
        [f"{'ab'[n % 2]}/ISIC_{n:07}_downsampled.jpg" for n in range(50)],
        [f"{'ab'[n % 2]}/patient{n}_1.png" for n in range(50)],  # one image of each patient
        [f"{part}/{n}" for part in ("train", "val", "test") for n in range(20)],
    ],
)
def test_names_that_hold_no_patient_are_not_accused(names):
    assert find_ungrouped(make_items(names), range(len(names))) == []


def test_a_column_of_patients_that_is_not_used_is_named(tmp_path):
    put(tmp_path, *(f"{n}.png" for n in range(12)))
    rows = [f"{n}.png,{n % 2},p{n // 2}" for n in range(12)]
    table = tmp_path / "t.csv"
    table.write_text("\n".join(["path,label,patient_id", *rows]) + "\n")
    [fault] = list_images(table).faults
    assert (fault.kind, fault.level) == ("ungrouped", "warning")
    assert "columns={'group': 'patient_id'}" in fault.found
    assert list_images(table, columns={"group": "patient_id"}).faults == []
    assert list_images(table, group_from=r"(\d)").faults == []
    assert not COLUMNS.fullmatch("outpatient")
    assert COLUMNS.fullmatch("Lesion-ID")


def test_a_name_without_the_group_is_listed_and_an_expression_that_cannot_be_is_refused(tmp_path):
    root = put(tmp_path / "in", "a/p1_1.png", "a/p1_2.png", "b/p2_1.png", "b/other.png")
    listing = list_images(root, group_from=r"(p\d)_")
    assert [(f.kind, f.where) for f in listing.faults] == [("group", "b/other.png")]
    assert [item.group for item in listing.items] == ["p1", "p1", "p2"]
    assert listing.labels == {"a": 2, "b": 2}
    for text, words in (
        ("p(", "no regular expression"),
        ("p", "must have one group"),
        (7, "no reg"),
    ):
        with pytest.raises(BmixError, match=words):
            list_images(root, group_from=text)


def test_boxes_of_several_photographs_of_a_patient_share_the_group_that_is_said(tmp_path):
    put(tmp_path / "JPEGImages", "p1_a.png", "p1_b.png", "p2_a.png", size=64)
    (tmp_path / "Annotations").mkdir()
    box = "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>40</xmax><ymax>40</ymax></bndbox>"
    for path in (tmp_path / "JPEGImages").iterdir():
        text = f"<a><filename>{path.name}</filename><object><name>x</name>{box}</object></a>"
        (tmp_path / "Annotations" / f"{path.stem}.xml").write_text(text)
    assert [item.group for item in list_images(tmp_path).items] == [
        "p1_a.png",
        "p1_b.png",
        "p2_a.png",
    ]
    listing = list_images(tmp_path, group_from=r"(p\d)_\w\.png$")
    assert [item.group for item in listing.items] == ["p1", "p1", "p2"]


def test_rows_of_an_npz_take_their_group_from_an_array_or_from_their_number(tmp_path):
    arrays = {}
    for split, start, count in (("train", 0, 40), ("val", 40, 20), ("test", 60, 20)):
        images = [np.asarray(photo(n, 28)) for n in range(start, start + count)]
        arrays[f"{split}_images"] = np.stack(images)
        arrays[f"{split}_labels"] = np.arange(count)[:, None] % 2
    np.savez(tmp_path / "a.npz", **arrays)
    tens = list_images(tmp_path / "a.npz", group_from=r"^(\w+/\d*)\d$")
    assert len({item.group for item in tens.items}) == 4 + 2 + 2
    for split, start, count in (("train", 0, 40), ("val", 40, 20), ("test", 60, 20)):
        arrays[f"{split}_groups"] = np.array([f"p{n // 4}" for n in range(start, start + count)])
    np.savez(tmp_path / "b.npz", **arrays)
    data = prepare_small(tmp_path / "b.npz", tmp_path / "out")
    assert len(set(data.groups)) == 20
