import os
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from bmix_lite.base.errors import BmixError
from bmix_lite.preparation.decode import decode_image
from bmix_lite.preparation.points import list_points
from bmix_lite.preparation.sources import list_images
from field import prepare_small, put

# counted in the label files of the 365 photographs that lie with the reference data
CELLS = [3883, 416, 263, 1871, 1673, 1078, 1235, 195, 376, 522, 88, 614, 571]


def make_smears(root, count=6):
    """Photographs of 80 x 60 pixels, each with a red and a green cell of 16 pixels."""
    rng = np.random.default_rng(0)
    (root / "photos").mkdir(parents=True)
    (root / "points").mkdir()
    for number in range(count):
        image = rng.integers(0, 40, (60, 80, 3)).astype(np.uint8)
        places = {"0": (8 + number, 12), "1": (60, 40 + number)}
        for label, (x, y) in places.items():
            image[y - 8 : y + 8, x - 8 : x + 8, int(label)] = 250
        Image.fromarray(image).save(root / "photos" / f"{number}.png")
        lines = [f"{x} {y} {label}" for label, (x, y) in places.items()]
        (root / "points" / f"{number}.txt").write_text("\n".join(lines) + "\n")
    return root


def test_a_square_about_each_point_becomes_an_image_of_its_class_grouped_by_photograph(tmp_path):
    root = make_smears(tmp_path)
    data = prepare_small(root / "photos", tmp_path / "out", points=root / "points", cut=16)
    assert data.class_names == ("0", "1")
    assert data.images.shape == (12, 16, 16, 3)
    assert data.ids[:3].tolist() == ["0.png#1", "0.png#2", "1.png#1"]
    assert Counter(data.groups) == {f"{number}.png": 2 for number in range(6)}
    for image, label in zip(data.images, data.labels, strict=True):
        assert (image[..., label] == 250).all()


def test_a_square_that_leaves_the_photograph_keeps_its_size_and_middle_and_is_black_there(tmp_path):
    root = make_smears(tmp_path)
    (root / "points/0.txt").write_text("0 59 0\n")
    item = list_points(root / "photos", root / "points", cut=20).items[0]
    image = decode_image(item.path, 20, box=item.box)
    whole = np.asarray(Image.open(root / "photos/0.png"))
    assert np.array_equal(image[:11, 10:], whole[49:60, :10])
    assert not image[:, :10].any()
    assert not image[11:].any()


@pytest.mark.parametrize(
    "line", ["8,12,0", "8, 12, 0", "8\t12\t0", "8;12;0", " 8.2 11.9  0 ", "\ufeff8 12 0"]
)
def test_lines_are_read_however_their_parts_are_separated(tmp_path, line):
    root = make_smears(tmp_path, 1)
    (root / "points/0.txt").write_text(f"{line}\r\n\r\n", encoding="utf-8")
    [item] = list_points(root / "photos", root / "points", cut=16).items
    assert (item.box, item.label, item.where) == ((0, 4, 16, 20, "pad"), "0", "0.txt line 1")


def test_classes_may_be_words(tmp_path):
    root = make_smears(tmp_path, 1)
    (root / "points/0.txt").write_text("8 12 target cell\n")
    assert [item.label for item in list_points(root / "photos", root / "points").items] == [
        "target cell"
    ]


def test_lines_and_files_that_do_not_fit_are_named_with_their_line(tmp_path):
    root = make_smears(tmp_path)
    (root / "points/0.txt").write_text("8 12\n8 x 0\n60 40 1\nnan 3 1\n5 5 \n")
    (root / "points/1.txt").rename(root / "points/lost.txt")
    (root / "points/2.txt").write_text("")
    (root / "points/3.txt").write_bytes(b"\xff\xfe\xfd")
    put(root / "photos", "5.jpg")
    os.mkfifo(root / "points/4a.txt")
    listing = list_points(root / "photos", root / "points")
    assert [(fault.kind, fault.where) for fault in listing.faults] == [
        ("point", "0.txt line 1"),
        ("point", "0.txt line 2"),
        ("point", "0.txt line 4"),
        ("point", "0.txt line 5"),
        ("unreadable", "3.txt"),
        ("unreadable", "4a.txt"),
        ("missing", "5.txt line 1"),
        ("missing", "5.txt line 2"),
        ("missing", "lost.txt line 1"),
        ("missing", "lost.txt line 2"),
        ("unlisted", "photos"),
        ("ignored", "points"),
    ]
    assert "5.jpg, 5.png" in listing.faults[6].found
    assert {item.group for item in listing.items} == {"0.png", "4.png"}


def test_a_point_outside_of_its_photograph_is_named(tmp_path):
    root = make_smears(tmp_path)
    with (root / "points/0.txt").open("a") as file:
        file.write("700 12 0\n")
    with pytest.raises(BmixError, match=r"0\.txt line 3: 0\.png#3: the point 700, 12 lies outside"):
        prepare_small(root / "photos", tmp_path / "out", points=root / "points", cut=16)
    data = prepare_small(
        root / "photos", tmp_path / "out", points=root / "points", cut=16, on_bad="skip"
    )
    assert len(data.labels) == 12


def test_patients_in_the_names_of_photographs_are_groups_when_said(tmp_path):
    root = make_smears(tmp_path, 2)
    for number in range(2):
        (root / f"photos/{number}.png").rename(root / f"photos/p7_{number}.png")
        (root / f"points/{number}.txt").rename(root / f"points/p7_{number}.txt")
    listing = list_images(root / "photos", points=root / "points", group_from=r"(p\d+)_\d.png$")
    assert {item.group for item in listing.items} == {"p7"}


def test_points_that_cannot_be_meant_are_refused_in_words(tmp_path):
    root = make_smears(tmp_path)
    with pytest.raises(BmixError, match=r"points: .*: there is no such folder"):
        list_images(root / "photos", points=root / "nowhere")
    with pytest.raises(BmixError, match=r"points: .*: no \.txt in it"):
        list_images(root / "photos", points=root / "photos")
    with pytest.raises(BmixError, match=r"cut must be an integer in 8..4096, got 7"):
        list_images(root / "photos", points=root / "points", cut=7)
    (root / "t.csv").write_text("path,label\n0.png,0\n")
    with pytest.raises(BmixError, match="points: only for a folder"):
        list_images(root / "t.csv", points=root / "points")
    listing = list_images(root)  # the folder above: photographs are one class, points another
    found = [fault.found for fault in listing.faults if fault.kind == "empty"]
    assert found == ["no image in it, but 6 .txt: points of photographs? say points=FOLDER"]


def test_the_real_smears_of_chula_hold_the_counts_that_are_known(shared):
    """They are prepared by their script, in test_data_scripts."""
    root = shared / "data/chula_rbc12"
    listing = list_points(root / "Dataset", root / "Label")
    assert [listing.labels[str(label)] for label in range(13)] == CELLS
    assert len({item.group for item in listing.items}) == 363  # two photographs have no cell
