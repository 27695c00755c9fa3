from collections import Counter

import pytest

from bmix_lite.base.errors import BmixError
from bmix_lite.preparation.voc import list_boxes


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
