import numpy as np
import pytest
from PIL import Image

from bmix_lite.base.errors import BmixError
from bmix_lite.preparation.companions import find_companions
from bmix_lite.preparation.listing import Item
from bmix_lite.preparation.report import read_report
from bmix_lite.preparation.sources import list_images
from field import prepare_small, put

BUSI = {"benign": 30, "malignant": 14, "normal": 9}


@pytest.fixture(scope="module")
def busi(tmp_path_factory):
    """A mask beside each photograph; those of normal ones are black."""
    root = tmp_path_factory.mktemp("busi") / "BUSI"
    names = [
        f"{label}/{label} ({n + 1}).png" for label, count in BUSI.items() for n in range(count)
    ]
    put(root, *names)
    y, x = np.mgrid[:48, :48]
    for number, name in enumerate(names):
        mask = (x - 12 - number % 20) ** 2 + (y - 20) ** 2 < 25 + number
        mask &= not name.startswith("normal")
        Image.fromarray(mask).save(root / name.replace(".png", "_mask.png"))
    return root


def count(data):
    return dict(zip(data.class_names, np.bincount(data.labels).tolist(), strict=True))


def test_masks_beside_photographs_stop_and_are_named_with_the_pattern_that_leaves_them_out(
    busi, tmp_path
):
    with pytest.raises(BmixError) as caught:
        prepare_small(busi, tmp_path / "a")
    [fault] = read_report(tmp_path / "a").faults
    assert (fault["kind"], fault["where"], fault["level"]) == ("companion", "53 images", "bad")
    assert "benign/benign (1)_mask.png" in fault["found"]
    assert "leave_out='*_mask*'" in str(caught.value)
    page = (tmp_path / "a/report.html").read_text()
    assert 'alt="image benign/benign (1)_mask.png"' in page


def test_masks_are_left_out_by_a_pattern_or_with_all_that_is_faulty(busi, tmp_path):
    data = prepare_small(busi, tmp_path / "a", leave_out="*_mask*")
    assert count(data) == BUSI
    assert read_report(tmp_path / "a").counts() == {"left_out": 1}
    assert count(prepare_small(busi, tmp_path / "b", on_bad="skip")) == BUSI
    assert read_report(tmp_path / "b").counts() == {"companion": 1}
    again = prepare_small(busi, tmp_path / "a", leave_out="*_mask*")
    assert again.fingerprint == data.fingerprint


def make_items(*names):
    return [Item(name, name, "x", name) for name in names]


@pytest.mark.parametrize(
    "name",
    [
        "a/1_mask.png",
        "a/1_mask_2.png",
        "a/1-Mask.PNG",
        "a/1 mask.png",
        "a/1mask.png",
        "a/1_segmentation.jpg",
        "a/1.thumb.jpg",
        "a/1_GT.png",
        "a/1 - Copy.png",
        "a/1_lesion_mask.png",
        "masks/1.png",
    ],
)
def test_companions_are_known_by_many_names(name):
    [fault] = find_companions(make_items("a/1.png", "a/2.png", name), range(3))
    assert fault.drop == (2,)


@pytest.mark.parametrize(
    "names",
    [
        ["a/1.png", "a/1 (2).png", "a/1_2.png", "a/11.png"],
        ["a/1.png", "b/1_mask.png"],  # another class
        ["a/1_mask.png", "a/2_mask.png"],  # no photograph beside it
        ["a/1.png", "a/1b.png", "a/1_left.png"],  # one pair with a word of no known meaning
        ["mask/1.png", "mask/2.png", "no mask/3.png"],  # classes
        ["patient.png", "patients.png"],
    ],
)
def test_what_only_resembles_a_companion_is_left_in_peace(names):
    assert find_companions(make_items(*names), range(len(names))) == []


def test_two_pairs_with_any_word_are_companions_unless_all_are_said_to_be_meant(tmp_path):
    names = [f"{label}/{n}{word}.png" for label in "ab" for n in range(6) for word in ("", "_red")]
    root = put(tmp_path / "in", *names)
    with pytest.raises(
        BmixError, match=r"companion, 1: (.|\n)*without 'red'.*leave_out='\*_red\*'"
    ):
        prepare_small(root, tmp_path / "a")
    assert count(prepare_small(root, tmp_path / "a", leave_out=[])) == {"a": 12, "b": 12}


def test_files_of_one_name_and_two_endings_are_companions_where_all_of_an_ending_are(tmp_path):
    pairs = [
        f"{label}/{n}.{ending}" for label in "ab" for n in range(6) for ending in ("jpg", "png")
    ]
    root = put(tmp_path / "in", *pairs)
    with pytest.raises(BmixError, match=r"12 images: (.|\n)*leave_out='\*\.png'"):
        prepare_small(root, tmp_path / "out")
    assert count(prepare_small(root, tmp_path / "out", leave_out="*.png")) == {"a": 6, "b": 6}
    few = make_items(*pairs[:4], *(f"b/{number}.png" for number in range(7)))
    [fault] = find_companions(few, range(11))  # two previews among photographs in PNG
    assert fault.drop == (0, 2)
    items = make_items("a/1.jpg", "a/1.png", "a/2.png", "a/3.jpg", "b/3.png")
    assert find_companions(items, range(5)) == []


def test_rows_of_a_table_and_photographs_with_boxes_are_left_out_by_a_pattern_too(tmp_path):
    put(tmp_path / "photos", *(f"{n}{word}.png" for n in range(4) for word in ("", "_mask")))
    table = tmp_path / "t.csv"
    rows = [f"{n}{word}.png,{n % 2}" for n in range(4) for word in ("", "_mask")]
    table.write_text("\n".join(["path,label", *rows]) + "\n")
    listing = list_images(table, images=tmp_path / "photos", leave_out="*_mask.png")
    assert [item.id for item in listing.items] == ["0.png", "1.png", "2.png", "3.png"]
    assert listing.labels == {"0": 2, "1": 2}
    assert [fault.kind for fault in listing.faults] == ["left_out"]


def test_a_pattern_that_fits_nothing_or_is_no_text_is_refused(busi):
    with pytest.raises(BmixError, match=r"leave_out: '\*_MASK\*' fits no file or folder"):
        list_images(busi, leave_out="*_MASK*")
    for odd in ([3], 3, ""):
        with pytest.raises(BmixError, match="leave_out must be a text or a list of texts, got"):
            list_images(busi, leave_out=odd)
    assert len(list_images(busi, leave_out="normal/").items) == 2 * (30 + 14)


def make_chest(root, *places):
    sizes = {"train": 8, "test": 5, "val": 3}
    for place in places:
        names = [
            f"{split}/{label}/{n}.png"
            for split, size in sizes.items()
            for label in ("NORMAL", "PNEUMONIA")
            for n in range(size)
        ]
        put(root / place, *names)
    return root


def test_a_set_that_lies_in_itself_once_more_is_named_with_the_folder_to_give(tmp_path):
    root = make_chest(tmp_path / "in", "chest_xray", "chest_xray/chest_xray") / "chest_xray"
    with pytest.raises(BmixError) as caught:
        prepare_small(root, tmp_path / "a")
    [fault] = read_report(tmp_path / "a").faults
    assert (fault["kind"], fault["where"]) == ("second_copy", "chest_xray")
    assert "holds test, train, val once more" in fault["found"]
    assert str(root / "chest_xray") in str(caught.value)
    with pytest.raises(
        BmixError, match=r"holds one folder only, chest_xray, .*: give .*/chest_xray"
    ):
        prepare_small(tmp_path / "in", tmp_path / "b")
    inner = prepare_small(root / "chest_xray", tmp_path / "c")
    outer = prepare_small(root, tmp_path / "d", leave_out="chest_xray")
    assert len(inner.labels) == len(outer.labels) == 32
    assert inner.fingerprint == outer.fingerprint


def test_a_sample_and_classes_that_are_there_twice_are_noticed_too(tmp_path):
    dogs = make_chest(tmp_path / "dogscats", ".", "sample")
    assert [f.kind for f in list_images(dogs).faults] == ["second_copy"]
    twice = put(tmp_path / "twice", "a/1.png", "b/1.png", "all/a/1.png", "all/b/1.png")
    assert [(f.kind, f.where) for f in list_images(twice).faults] == [("second_copy", "all")]
    deep = put(tmp_path / "deep", "a/1.png", "b/1.png", "x/x/a/1.png", "x/x/b/1.png")
    assert [(f.kind, f.where) for f in list_images(deep).faults] == [("second_copy", "x")]
    part = put(
        tmp_path / "part",
        "train/a/1.png",
        "train/b/1.png",
        "test/a/1.png",
        "train/train/a/1.png",
        "train/train/b/1.png",
    )
    assert [(f.kind, f.where) for f in list_images(part).faults] == [("second_copy", "train/train")]


def test_an_archive_among_the_images_is_named_unless_it_is_unpacked_beside(tmp_path):
    root = put(tmp_path / "in", "a/1.png", "b/1.png")
    for name in ("a/more.zip", "b.tar.gz", "masks.7z"):
        (root / name).write_bytes(b"PK")
    listing = list_images(root)
    assert [(f.kind, f.where) for f in listing.faults] == [
        ("packed", "masks.7z"),
        ("packed", "a/more.zip"),
        ("ignored", "in"),
    ]
    assert [f.kind for f in list_images(root, leave_out=["*.zip", "*.7z"]).faults] == [
        "ignored",
        "left_out",
        "left_out",
    ]


def test_what_looks_like_a_mask_and_fits_no_pattern_that_was_given_is_a_warning(tmp_path):
    names = [f"{label}/{n}{end}.png" for label in "ab" for n in range(6) for end in ("", "-seg")]
    root = put(tmp_path / "in", *names, "a/thumb.png")
    prepare_small(root, tmp_path / "out", leave_out="thumb*")
    [fault] = [f for f in read_report(tmp_path / "out").faults if f["kind"] == "beside"]
    assert fault["level"] == "warning"
    assert "leave_out='*-seg*'" in fault["found"]
    assert fault["left_out"] == []


def test_a_pattern_of_all_that_is_in_a_folder_leaves_the_folder_out(tmp_path):
    root = put(tmp_path / "in", "a/1.png", "a/old/2.png", "a/old/3.png", "b/4.png")
    listing = list_images(root, leave_out="a/old/*")
    assert [item.id for item in listing.items] == ["a/1.png", "b/4.png"]
    assert [fault.kind for fault in listing.faults] == ["left_out"]


def test_a_row_of_a_file_that_is_left_out_is_left_out_where_files_are_searched_too(tmp_path):
    put(tmp_path / "photos", "x/1.png", "x/2.png", "y/3.png", "old/1.png", "old/4.png")
    table = tmp_path / "t.csv"
    table.write_text("path,label\n1.png,a\n2.png,a\n3.png,b\n4.png,b\n")
    listing = list_images(table, images=tmp_path / "photos", search=True, leave_out="old")
    assert [item.id for item in listing.items] == ["x/1.png", "x/2.png", "y/3.png"]
    assert [fault.kind for fault in listing.faults] == ["left_out"]


def test_a_pattern_whose_files_another_one_leaves_out_already_fits_all_the_same(tmp_path):
    names = ["a/1.png", "a/old/1_thumb.png", "b/2.png", "b/3.png"]
    put(tmp_path / "in", *names)
    table = tmp_path / "t.csv"
    table.write_text("path,label\na/1.png,a\nb/2.png,b\nb/3.png,b\n")
    for patterns in (["old", "*_thumb*"], ["*_thumb*", "old"]):
        listing = list_images(tmp_path / "in", leave_out=patterns)
        assert [item.id for item in listing.items] == ["a/1.png", "b/2.png", "b/3.png"]
        listing = list_images(table, images=tmp_path / "in", leave_out=patterns)
        assert [fault.kind for fault in listing.faults] == ["left_out", "left_out"]
    with pytest.raises(BmixError, match=r"leave_out: '\*_mask\*' fits no file or folder"):
        list_images(tmp_path / "in", leave_out=["old", "*_mask*"])
