import builtins
import os
import re
import time

import pytest

from bmix_lite.base.errors import BmixError
from bmix_lite.preparation.folders import list_folder
from bmix_lite.preparation.listing import list_table
from bmix_lite.preparation.report import make_report
from clinic import draw

pytestmark = pytest.mark.filterwarnings("error", "ignore::pytest.PytestUnraisableExceptionWarning")


def touch(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return root


def write(root, *rows, header="path,label"):
    (root / "labels.csv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return root / "labels.csv"


def kinds(listing):
    return [(fault.kind, fault.where) for fault in listing.faults]


def test_class_folders_are_listed_in_order_without_what_systems_leave(tmp_path):
    junk = [
        ".ipynb_checkpoints/a.jpg",
        "__MACOSX/a.jpg",
        "a/._x.jpeg",
        "a/Thumbs.db",
        "a/.DS_Store",
        "b/desktop.ini",
    ]
    listing = list_folder(touch(tmp_path, "b/2.JPG", "a/3.Png", "a/1.JPEG", *junk))
    assert [(item.id, item.label) for item in listing.items] == [
        ("a/1.JPEG", "a"),
        ("a/3.Png", "a"),
        ("b/2.JPG", "b"),
    ]
    assert listing.faults == []


def test_folders_of_train_val_and_test_are_a_split(tmp_path):
    listing = list_folder(touch(tmp_path, "train/a/1.png", "valid/a/2.png", "Test/b/3.png"))
    found = [(item.id, item.label, item.split) for item in listing.items]
    assert sorted(found) == [
        ("Test/b/3.png", "b", "test"),
        ("train/a/1.png", "a", "train"),
        ("valid/a/2.png", "a", "val"),
    ]


def test_what_lies_in_the_wrong_place_is_named(tmp_path):
    root = touch(tmp_path, "a/1.png", "a/deeper/2.png", "loose.png", "notes.txt")
    (root / "empty").mkdir()
    (root / "a/x.jpg").mkdir()
    listing = list_folder(root)
    assert sorted(kinds(listing)) == [
        ("empty", "empty"),
        ("ignored", tmp_path.name),
        ("stray", "a/deeper"),
        ("stray", "loose.png"),
    ]
    assert [item.id for item in listing.items] == ["a/1.png", "a/x.jpg"]


@pytest.mark.parametrize(
    "path", ["../secret.png", "/etc/passwd", "C:\\x.png", "..\\secret.png", "a/../../secret.png"]
)
def test_a_path_that_leaves_the_folder_is_refused_unopened(tmp_path, path, monkeypatch):
    root = touch(tmp_path / "in", "ok.png")
    touch(tmp_path, "secret.png")
    table = write(root, f"{path},1", "ok.png,0")
    opened = []
    opener = builtins.open

    def open_and_note(name, *rest, **named):
        opened.append(str(name))
        return opener(name, *rest, **named)

    monkeypatch.setattr(builtins, "open", open_and_note)
    listing = list_table(table)
    assert kinds(listing) == [("path", "labels.csv row 2")]
    assert [item.id for item in listing.items] == ["ok.png"]
    assert not [name for name in opened if "secret" in name or "passwd" in name]


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("0.png,0", "row 1 has '0.png', '0'; say which one it is: columns={'path': …}"),
        ("Bild,Grad", "row 1 has 'Bild', 'Grad'; say which one"),
        ("Path ,label", "row 1 has 'Path ', 'label'; did you mean 'Path '"),
        ("path,LABEL", "no column 'label', row 1 has 'path', 'LABEL'"),
    ],
)
def test_a_header_that_is_missing_or_named_otherwise_is_refused_with_what_is_there(
    tmp_path, header, found
):
    table = write(touch(tmp_path, "0.png", "1.png"), "1.png,1", header=header)
    with pytest.raises(BmixError, match=re.escape(found)):
        list_table(table)


def test_an_absolute_path_inside_the_folder_is_named_as_such(tmp_path):
    root = touch(tmp_path, "a.png", "b.png")
    listing = list_table(write(root, f"{root / 'a.png'},0", "b.png,1"))
    assert "is an absolute path: write it from the images' folder on" in listing.faults[0].found


def test_a_folder_that_cannot_be_meant_is_refused_in_words(tmp_path):
    root = touch(tmp_path, "a.png")
    with pytest.raises(
        BmixError, match="no class folders in it: put the images of each class into a folder"
    ):
        list_folder(root)
    with pytest.raises(BmixError, match="is a file, neither a table"):
        list_folder(root / "a.png")
    with pytest.raises(BmixError, match="there is no such folder"):
        list_folder(root / "nowhere")


def test_links_that_leave_the_folder_are_refused(tmp_path):
    root = touch(tmp_path / "in", "ok.png")
    touch(tmp_path / "out", "a.png")
    (root / "file.png").symlink_to(tmp_path / "out/a.png")
    (root / "folder").symlink_to(tmp_path / "out")
    (root / "inside.png").symlink_to(root / "ok.png")
    listing = list_table(write(root, "file.png,0", "folder/a.png,0", "inside.png,1", "ok.png,1"))
    assert kinds(listing)[:2] == [("path", "labels.csv row 2"), ("path", "labels.csv row 3")]
    assert [item.id for item in listing.items] == ["inside.png", "ok.png"]


def test_backslashes_of_windows_are_understood(tmp_path):
    listing = list_table(write(touch(tmp_path, "train/10_left.jpeg"), "train\\10_left.jpeg,0"))
    assert [item.id for item in listing.items] == ["train/10_left.jpeg"]


def test_one_missing_file_is_listed_and_all_missing_is_another_folder(tmp_path):
    root = touch(tmp_path, *(f"{number}.png" for number in range(20)))
    rows = [f"{number}.png,0" for number in range(21)]
    assert kinds(list_table(write(root, *rows))) == [("missing", "labels.csv row 22")]
    (root / "other").mkdir()
    with pytest.raises(BmixError, match=r"none of the 21 files .* is the folder right\?"):
        list_table(root / "labels.csv", images=root / "other")


def test_a_table_whose_rows_are_all_faulty_is_listed_with_their_faults(tmp_path):
    listing = list_table(write(touch(tmp_path, "a.png"), "a.png", "a.png,0,1"))
    assert listing.items == []
    assert kinds(listing)[:2] == [("row", "labels.csv row 2"), ("row", "labels.csv row 3")]


def test_names_without_suffix_or_folder_are_found_on_request(tmp_path):
    root = touch(tmp_path, "x/10_left.jpeg", "y/10_right.jpeg", "x/same.jpeg", "y/same.jpeg")
    table = write(root, "10_left,0", "10_right,1", "same,0")
    eyes = dict(suffix=".jpeg", search=True, group_from=r"(\d+)_(?:left|right)")
    listing = list_table(table, **eyes)
    assert [(item.id, item.group) for item in listing.items] == [
        ("x/10_left.jpeg", "10"),
        ("y/10_right.jpeg", "10"),
    ]
    assert kinds(listing)[:2] == [("missing", "labels.csv row 4"), ("group", "labels.csv row 4")]
    assert "there more than once: x/same.jpeg, y/same.jpeg" in listing.faults[0].found


def test_groups_splits_and_folds_are_checked_row_by_row(tmp_path):
    root = touch(tmp_path, *"abcdef")
    root = touch(tmp_path, *(f"{name}.png" for name in "abcdef"))
    rows = [
        "a.png,0,p1,train,0",
        "b.png,0,,val,1",
        "c.png,0,p2,later,2",
        "d.png, ,p3,test,0",
        "e.png,0,p4,Test,-1",
    ]
    table = write(root, *rows, header="path,label,patient,part,fold")
    listing = list_table(table, columns={"group": "patient", "split": "part", "fold": "fold"})
    rows = {kind: int(where.split()[-1]) for kind, where in kinds(listing) if kind != "unlisted"}
    assert rows == {"group": 3, "split": 6, "label": 5}
    assert [fault.where for fault in listing.faults if fault.kind == "split"] == [
        "labels.csv row 4",
        "labels.csv row 6",
    ]
    assert [(item.id, item.group, item.split, item.fold) for item in listing.items] == [
        ("a.png", "p1", "train", "0")
    ]
    assert listing.faults[-1].found == "1 images: f.png"  # rows with faults list the others


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(columns={"lable": "x"}), "columns must be one of path, label"),
        (dict(columns={"group": "x"}), "no column 'x'"),
        (dict(group_from="("), "no regular expression"),
        (dict(group_from="a"), "must have one group in parentheses"),
        (dict(images="nowhere"), "there is no such folder"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_in_words(tmp_path, options, message):
    with pytest.raises(BmixError, match=message):
        list_table(write(touch(tmp_path, "a.png"), "a.png,0"), **options)


def test_a_hundred_thousand_rows_are_listed_in_seconds(tmp_path, monkeypatch):
    table = write(
        touch(tmp_path, "0.png"),
        *(f"{number % 7}/{number}.png,{number % 3}" for number in range(100_000)),
    )
    monkeypatch.setattr(os.path, "exists", lambda path: True)
    started = time.process_time()
    assert len(list_table(table).items) == 100_000
    assert time.process_time() - started < 5  # the promise to the user; a second here


def test_an_image_beside_a_table_with_another_ending_is_named(tmp_path):
    for number in range(3):
        draw(number).save(tmp_path / f"{number}.png")
    (tmp_path / "sub").mkdir()
    for name in ("sub/x.jfif", "y.png.bak", "z", ".hidden", "listed.dat"):
        draw(9).save(tmp_path / name, "PNG")
    (tmp_path / "notes.md").write_text("no image")
    (tmp_path / "t.csv").write_text("path,label\n0.png,a\n1.png,b\n2.png,b\nlisted.dat,a\n")
    listing = list_table(tmp_path / "t.csv")
    [fault] = [fault for fault in listing.faults if fault.kind == "ending"]
    assert fault.found == "3 files: sub/x.jfif, y.png.bak, z"
    assert len(listing.items) == 4


@pytest.mark.parametrize("blank", ["\u200b", " \u200b ", "\ufeff", "\u3164", "\u00ad", "\u00a0"])
def test_a_label_and_a_group_that_show_nothing_are_missing(tmp_path, blank):
    rows = ["0.png,a,p1", f"1.png,{blank},p2", f"2.png,b,{blank}", "3.png,b,p3"]
    table = write(touch(tmp_path, *(f"{n}.png" for n in range(4))), *rows, header="path,label,p")
    listing = list_table(table, columns={"group": "p"})
    found = [(fault.kind, fault.where) for fault in listing.faults]
    assert found == [("label", "labels.csv row 3"), ("group", "labels.csv row 4")]
    assert dict(listing.labels) == {"a": 1, "b": 2}


def test_a_file_that_is_searched_under_other_letters_is_named(tmp_path):
    touch(tmp_path, "sub/a-9.tif", "sub/b.tif")
    table = write(tmp_path, "A-9.TIF,x", "b.tif,y")
    missing, _ = list_table(table, search=True).faults
    assert "A-9.TIF is not there, but 'sub/a-9.tif' is" in missing.found


def test_rows_without_a_label_or_with_too_many_fields_are_listed_images_too(tmp_path):
    put = [f"{number}.png" for number in range(14)]
    table = write(touch(tmp_path, *put), *(f"{name},{'ab'[n % 2]}" for n, name in enumerate(put)))
    table.write_text(table.read_text().replace("0.png,a", "0.png,").replace("1.png,b", "1.png,b,c"))
    listing = list_table(table)
    report = make_report(listing, listing.faults, [], {}, "stop")
    assert report.listed == 14
    assert listing.labels.total() == 14 - 4  # rows of 0, 1, 10 and 11
