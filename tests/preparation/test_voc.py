import os
from collections import Counter

import pytest

from bmix_lite.base.errors import BmixError
from bmix_lite.preparation.sources import list_images
from bmix_lite.preparation.voc import list_boxes
from field import prepare_small, put


def test_the_real_smears_give_the_boxes_that_are_known(shared):
    listing = list_boxes(shared / "data/bccd")
    assert listing.labels == Counter({"RBC": 4155, "WBC": 372, "Platelets": 361})
    assert [fault.kind for fault in listing.faults] == ["box", "box"]
    assert len(listing.items) == 4886
    assert len({item.id for item in listing.items}) == 4886
    assert len({item.group for item in listing.items}) == 364


def test_annotations_that_cannot_be_read_or_name_no_image_are_faults(tmp_path):
    (tmp_path / "Annotations").mkdir()
    (tmp_path / "JPEGImages").mkdir()
    with pytest.raises(BmixError, match=r"Annotations: no \.xml in it"):
        list_boxes(tmp_path)
    box = "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>{}</xmax><ymax>9</ymax></bndbox>"
    thing = "<object><name>{}</name>{}</object>"
    cell = thing.format("x", box.format(9))
    (tmp_path / "JPEGImages/a.jpg").write_bytes(b"")
    for name, text in {
        "a": f"<a><filename>a.jpg</filename>{cell}{thing.format('', box.format(9))}</a>",
        "b": f"<a><filename>b.jpg</filename>{cell}</a>",
        "c": "<a><filename>",
        "d": f"<a><filename>../a.jpg</filename>{cell}</a>",
        "e": f"<a><filename>a.jpg</filename>{thing.format('x', box.format('many'))}</a>",
    }.items():
        (tmp_path / "Annotations" / f"{name}.xml").write_text(text)
    listing = list_boxes(tmp_path)
    assert [(item.id, item.box) for item in listing.items] == [("a.jpg#1", (1, 1, 9, 9))]
    assert [fault.kind for fault in listing.faults] == [
        "label",
        "missing",
        "unreadable",
        "path",
        "box",
    ]


def make_boxes(root, names, **lists):
    """A photograph with one box for each name, and ImageSets/Main with the lists."""
    for number, name in enumerate(names):
        put(root / "JPEGImages", f"{name}.png", start=number)
        box = "<xmin>4</xmin><ymin>4</ymin><xmax>40</xmax><ymax>40</ymax>"
        thing = f"<object><name>{'ab'[number % 2]}</name><bndbox>{box}</bndbox></object>"
        path = root / "Annotations" / f"{name}.xml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"<annotation><filename>{name}.png</filename>{thing}</annotation>")
    for part, lines in lists.items():
        path = root / "ImageSets/Main" / f"{part}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines) + "\n")
    return root


NAMES = [f"s{number}.v" for number in range(8)]


def test_the_real_smears_have_the_split_that_came_with_them(shared):
    listing = list_boxes(shared / "data/bccd")
    smears = {(item.group, item.split) for item in listing.items}
    assert Counter(split for _, split in smears) == {"train": 205, "val": 87, "test": 72}


def test_lists_of_photographs_are_the_split_and_fold_0_is_as_it_came(tmp_path):
    lists = {"train": NAMES[:4], "val": NAMES[4:6], "trainval": NAMES[:6]}
    lists["test"] = ["s6.v.png", " s7.v", "", "stranger"]  # endings and blanks do not matter
    listing = list_boxes(make_boxes(tmp_path, NAMES, a_train=["s0.v -1"], **lists))
    assert [item.split for item in listing.items] == ["train"] * 4 + ["val"] * 2 + ["test"] * 2
    [fault] = listing.faults
    assert (fault.kind, fault.where) == ("ignored", "ImageSets/Main/test.txt")
    assert fault.found == "1 without an annotation: stranger"


def test_a_part_that_no_list_names_is_taken_from_train_and_train_alone_is_no_split(tmp_path):
    both = list_boxes(make_boxes(tmp_path / "a", NAMES, trainval=NAMES[:6], test=NAMES[6:]))
    assert [item.split for item in both.items] == ["train"] * 6 + ["test"] * 2
    alone = list_boxes(make_boxes(tmp_path / "b", NAMES, trainval=NAMES))
    assert {item.split for item in alone.items} == {""}


def test_a_photograph_in_two_lists_or_in_none_is_a_fault_of_its_boxes(tmp_path):
    root = make_boxes(tmp_path, NAMES, train=NAMES[:5], val=NAMES[4:6], test=NAMES[7:])
    faults = [(fault.kind, fault.where) for fault in list_boxes(root).faults]
    assert faults == [("split", "s4.v.xml object 1"), ("split", "s6.v.xml object 1")]
    assert "listed in train and val" in list_boxes(root).faults[0].found
    assert "listed in no part" in list_boxes(root).faults[1].found


def test_lists_of_a_split_can_be_left_out_and_a_list_that_fits_nothing_stops(tmp_path):
    lists = {"train": NAMES[:4], "val": NAMES[4:], "test": ["elsewhere"]}
    root = make_boxes(tmp_path / "in", NAMES, **lists)
    for pattern in ("ImageSets", "ImageSets/*"):
        listing = list_images(root, leave_out=pattern)
        assert {item.split for item in listing.items} == {""}
    with pytest.raises(BmixError, match="test: 0 images listed, none is left"):
        prepare_small(root, tmp_path / "out", on_bad="skip")
    os.mkfifo(root / "ImageSets/Main/trainval.txt")
    (root / "ImageSets/Main/train.txt").unlink()
    with pytest.raises(BmixError, match=r"trainval\.txt: .* expected a list of photographs"):
        list_boxes(root)
