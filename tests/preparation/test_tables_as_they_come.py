"""Tables as people bring them: field inputs 10 and 12, and what spreadsheets add or hide."""

import os
import re
import socket

import numpy as np
import pytest

from bmix_lite.base.errors import BmixError
from bmix_lite.data.prepared import load_prepared
from bmix_lite.preparation.decode import decode_image
from bmix_lite.preparation.folders import list_folder
from bmix_lite.preparation.listing import list_table
from bmix_lite.preparation.medmnist import list_npz
from bmix_lite.preparation.prepare import prepare
from bmix_lite.preparation.report import read_report
from bmix_lite.preparation.table import read_table
from clinic import draw, write_table

QUIET = dict(progress=False, jobs=1, size=8)
ISIC = ["MEL", "NV", "BCC", "AKIEC", "BKL", "DF", "VASC"]


def put(root, *names):
    for number, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        draw(number).save(root / name, "PNG")
    return root


def write(root, text):
    (root / "t.csv").write_bytes(text.encode() if isinstance(text, str) else text)
    return root / "t.csv"


def found(listing, kind):
    return [(fault.where, fault.found) for fault in listing.faults if fault.kind == kind]


# several findings in one cell: field input 10


@pytest.mark.parametrize(
    "labels",
    [
        ["No Finding", "Effusion", "Infiltration", "Effusion|Infiltration"],
        ["A|B", "A|C", "B|C", "A|B|C"],
        ["a", "b", "a;b"],
        ["a", "b", "a, b"],
        ["a", "b", "a/b"],
        ["a", "b", "a + b"],
        ["a", "b", "a and b"],
        ["['a']", "['b']", "['a', 'b']"],
        ["0", "16", "16 0"],
        ["haze", "primary", "haze primary"],
    ],
)
def test_several_findings_in_one_cell_are_refused_with_what_to_do(tmp_path, labels):
    names = [f"{number}.png" for number in range(6 * len(labels))]
    cells = [f'"{label}"' for label in labels * 6]
    lines = [f"{name},{cell}" for name, cell in zip(names, cells, strict=True)]
    table = write(put(tmp_path, *names), "path,label\n" + "\n".join(lines) + "\n")
    with pytest.raises(BmixError) as caught:
        prepare(table, tmp_path / "a", **QUIET)
    assert f"{labels[-1]!r} (6 images)" in str(caught.value)
    assert "Keep the rows with one finding" in str(caught.value)
    assert not (tmp_path / "a").exists()
    names = {label: f"class {number}" for number, label in enumerate(labels)}
    assert len(prepare(table, tmp_path / "b", class_names=names, **QUIET).class_names) == len(
        labels
    )


@pytest.mark.parametrize(
    "labels",
    [
        ["femur left", "femur right", "heart"],
        ["melanoma", "nevus, benign", "nevus, atypical"],
        ["normal or benign", "malignant"],
        ["HER2+", "HER2-"],
        ["n/a", "a"],
    ],
)
def test_names_that_hold_a_separator_are_classes(tmp_path, labels):
    names = [f"{number}.png" for number in range(6 * len(labels))]
    lines = [f'{name},"{labels[n % len(labels)]}"' for n, name in enumerate(names)]
    table = write(put(tmp_path, *names), "path,label\n" + "\n".join(lines) + "\n")
    assert set(prepare(table, tmp_path / "a", **QUIET).class_names) == set(labels)


# a column of 0 and 1 for each class: field input 12


def write_isic(root, cell=float, count=70):
    rows = [[f"ISIC_{i:07d}", *(str(cell(i % 7 == j)) for j in range(7))] for i in range(count)]
    put(root / "images", *(f"{row[0]}.jpg" for row in rows))
    return write_table(root / "t.csv", rows, ("image", *ISIC))


@pytest.mark.parametrize("cell", [float, int, lambda one: "01"[one], lambda one: f" {int(one)},0"])
def test_a_column_of_0_and_1_for_each_class_is_the_label(tmp_path, cell):
    table = write_isic(tmp_path, cell)
    if "," in str(cell(True)):  # a decimal comma
        table.write_text(re.sub(r" ([01]),0", r'"\1,0"', table.read_text()))
    given = dict(images=tmp_path / "images", suffix=".jpg", **QUIET)
    data = prepare(table, tmp_path / "a", columns={"path": "image", "label": ISIC}, **given)
    assert data.class_names == tuple(sorted(ISIC))
    for name, label in zip(data.ids, data.labels, strict=True):
        assert data.class_names[label] == ISIC[int(name[5:12]) % 7]
    data = prepare(
        table,
        tmp_path / "b",
        columns={"path": "image", "label": ISIC},
        class_names=ISIC,
        **given,
    )
    assert data.class_names == tuple(ISIC)


def test_a_table_of_0_and_1_says_what_to_write(tmp_path):
    table = write_isic(tmp_path)
    with pytest.raises(BmixError) as caught:
        list_table(table, images=tmp_path / "images", suffix=".jpg", columns={"path": "image"})
    assert "no column 'label', but 7 columns hold 0 and 1: if they are the classes, " in str(
        caught.value
    )
    assert f"columns={{'label': {ISIC}}}" in str(caught.value)


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ("1,1,0", "exactly one column must hold 1, found it in 'a', 'b'"),
        ("0,0,0", "exactly one column must hold 1, found it in no column"),
        ("1,,0", "column 'b' must hold 0 or 1, found ''"),
        ("0.7,0.3,0", "column 'a' must hold 0 or 1, found '0.7'"),
        ("1,-1,0", "column 'b' must hold 0 or 1, found '-1'"),
        ("1,0,#N/A", "column 'c' must hold 0 or 1, found '#N/A'"),
    ],
)
def test_a_row_without_exactly_one_1_is_named(tmp_path, cells, words):
    text = f"path,a,b,c\n0.png,1,0,0\n1.png,{cells}\n2.png,0,1,0\n"
    table = write(put(tmp_path, "0.png", "1.png", "2.png"), text)
    listing = list_table(table, columns={"label": ["a", "b", "c"]})
    assert found(listing, "label") == [("t.csv row 3", f"1.png: label {words}")]
    assert found(listing, "unused") == [("'c'", "0 images")]
    assert [(item.id, item.label) for item in listing.items] == [("0.png", "a"), ("2.png", "b")]


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ("label", "columns must be a dict such as"),
        ({"label": ["a"]}, "the label needs two or more columns"),
        ({"label": ["a", "a"]}, "the label needs two or more columns"),
        ({"label": ["a", 1]}, "'label' must be the name of a column"),
        ({"label": None}, "'label' must be the name of a column"),
        ({"path": 0}, "'path' must be the name of a column"),
        ({"group": ["a", "b"]}, "'group' must be the name of a column"),
        ({"label": ["a", "z"]}, "no column 'z', row 1 has 'path', 'a', 'b'"),
    ],
)
def test_columns_that_cannot_be_meant_are_refused_in_words(tmp_path, columns, words):
    table = write(put(tmp_path, "0.png"), "path,a,b\n0.png,1,0\n")
    with pytest.raises(BmixError, match=re.escape(words)):
        list_table(table, columns=columns)


# what spreadsheets and to_csv add or hide


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        (",path,label\n0,a,x\n1,b,y\n", [2, 3]),  # the index of to_csv
        (",path,label\n7,a,x\n3,b,y\n", [2, 3]),  # that of rows that were chosen
        ('"","path","label"\n"1","a","x"\n"2","b","y"\n', [2, 3]),  # of R's write.csv
        ("sep=,\npath,label\na,x\nb,y\n", [3, 4]),
        ("sep=;\r\npath;label\r\na;x\r\nb;y\r\n", [3, 4]),
        ('"sep=;"\npath;label\na;x\nb;y\n', [3, 4]),
        ("sep=\t\npath\tlabel\na\tx\nb\ty\n", [3, 4]),
        ("path,label,,,\na,x,,,\nb,y,,,\n", [2, 3]),
        ("path,label\na,x,,\nb,y,,\n", [2, 3]),
        ("path,label, \na,x, \nb,y, \n", [2, 3]),
        ("path,label\n\na,x\n,\nb,y\n,\n,\n", [3, 5]),
        ("path,label\na,x\n , \nb,y\n\n\n", [2, 4]),
        ("\n\npath,label\na,x\nb,y\n", [4, 5]),
        ("\ufeff\ufeffpath,label\na,x\nb,y\n", [2, 3]),
        ("\ufeff,path,label\n0,a,x\n1,b,y\n", [2, 3]),
        ("\ufeffsep=;\npath;label\na;x\nb;y\n", [3, 4]),
    ],
)
def test_what_programs_add_to_a_table_is_left_out_and_rows_keep_their_numbers(
    tmp_path, text, numbers
):
    table = read_table(write(tmp_path, text))
    assert (table.header, table.rows) == (("path", "label"), [["a", "x"], ["b", "y"]])
    assert (table.numbers, table.faults) == (numbers, [])


@pytest.mark.parametrize(
    "text", [",path,label\np1,a,x\np2,b,y\n", ",path,label\n1,a,x\n1,b,y\n", "path,,label\na,1,x\n"]
)
def test_a_column_without_a_name_that_is_no_index_is_named(tmp_path, text):
    with pytest.raises(BmixError, match=r"t\.csv: the header has no name for column [12]"):
        read_table(write(tmp_path, text))


@pytest.mark.parametrize("header", ["label ", "label\u00a0", "\u200blabel", " label"])
def test_a_name_of_a_column_that_looks_exactly_right_is_right(tmp_path, header):
    table = read_table(write(tmp_path, f"path,{header}\na,x\n"))
    assert table.column("label") == ["x"]


@pytest.mark.parametrize(
    ("label", "words"),
    [
        ("#N/A", "is an error of a spreadsheet"),
        ("#REF!", "is an error of a spreadsheet"),
        ("#NAME?", "is an error of a spreadsheet"),
        ("#DIV/0!", "is an error of a spreadsheet"),
        ("######", "is an error of a spreadsheet"),
        ("#NV", "is an error of a spreadsheet"),
        ("=A2", "is a formula"),
        ("1.23E+11", "is a number that a spreadsheet shortened"),
    ],
)
def test_what_a_spreadsheet_leaves_in_a_cell_is_named_with_row_and_column(tmp_path, label, words):
    text = f"path,label,patient\n0.png,x,p0\n1.png,{label},p1\n2.png,y,{label}\n"
    table = write(put(tmp_path, "0.png", "1.png", "2.png"), text)
    listing = list_table(table, columns={"group": "patient"})
    [(where, label_words)] = found(listing, "label")
    assert where == "t.csv row 3"
    assert f"1.png: label {label!r} {words}" in label_words
    [(where, group_words)] = found(listing, "group")
    assert where == "t.csv row 4"
    assert f"group {label!r} in column 'patient' {words}" in group_words
    assert [item.id for item in listing.items] == ["0.png"]


@pytest.mark.parametrize("label", ["02-Jan", "2026-01-02", "Mar-01", "01.02.2026"])
def test_a_date_among_the_classes_is_a_warning(tmp_path, label):
    names = [f"{number}.png" for number in range(12)]
    lines = [f"{name},{('5-10', label)[n % 2]}" for n, name in enumerate(names)]
    table = write(put(tmp_path, *names), "path,label\n" + "\n".join(lines) + "\n")
    prepare(table, tmp_path / "a", **QUIET)
    [fault] = [f for f in read_report(tmp_path / "a").faults if f["kind"] == "names"]
    assert (fault["where"], fault["level"]) == (repr(label), "warning")
    assert "looks like a date" in fault["found"]


def test_folds_that_became_floats_are_folds(tmp_path):
    table = write(
        put(tmp_path, "0.png", "1.png", "2.png"),
        "path,label,fold\n0.png,x,0.0\n1.png,y,01\n2.png,x,1.5\n",
    )
    listing = list_table(table, columns={"fold": "fold"})
    assert [item.fold for item in listing.items] == ["0", "1"]
    assert found(listing, "split") == [("t.csv row 4", "fold '1.5'")]


@pytest.mark.parametrize("word", ["TRAIN", " train ", "ｔｒａｉｎ", "train\u200b", "'train'"])
def test_a_part_is_read_as_a_person_reads_it(tmp_path, word):
    table = write(put(tmp_path, "0.png"), f"path,label,set\n0.png,x,{word}\n")
    assert list_table(table, columns={"split": "set"}).items[0].split == "train"


# file names


@pytest.mark.parametrize(
    ("written", "there"),
    [
        ("é.png", "e\u0301.png"),
        ("e\u0301.png", "é.png"),
        ("a b.png", "a\u00a0b.png"),
        ("x\u200b.png", "x.png"),
        (" x.png", "x.png"),
        ("d/é.png", "d/e\u0301.png"),
    ],
)
@pytest.mark.parametrize("search", [False, True])
def test_a_name_that_looks_exactly_like_that_of_a_file_is_that_file(
    tmp_path, written, there, search
):
    table = write(put(tmp_path, there, "other.png"), f"path,label\n{written},x\nother.png,y\n")
    listing = list_table(table, search=search)
    assert [item.id for item in listing.items] == [there, "other.png"]
    assert listing.faults == []


@pytest.mark.parametrize(
    ("written", "there"),
    [("a.png", "A.PNG"), ("10.0.png", "10.png"), ("1.png", "0001.png"), ("a_b.png", "a b.png")],
)
def test_a_file_whose_name_reads_the_same_is_named_beside_the_one_that_is_missing(
    tmp_path, written, there
):
    table = write(put(tmp_path, there, "other.png"), f"path,label\n{written},x\nother.png,y\n")
    assert found(list_table(table), "missing") == [
        ("t.csv row 2", f"{written} is not there, but {there!r} is")
    ]


def test_one_file_under_two_spellings_is_listed_twice(tmp_path):
    text = "path,label\né.png,x\ne\u0301.png,x\n./é.png,x\n"
    names = [f"{number}.png" for number in range(9)]
    text += "".join(f"{name},{'xy'[name > '4.png']}\n" for name in names)
    table = write(put(tmp_path, "é.png", *names), text)
    with pytest.raises(BmixError, match=r"(?s)twice, 1: .* row 2, t\.csv row 3, t\.csv row 4: é"):
        prepare(table, tmp_path / "a", **QUIET)


# only regular files are opened


@pytest.fixture(params=["a named pipe", "a socket", "a folder"])
def make_special(request):
    """(words, function(path) that makes such a thing)."""
    open_sockets = []

    def make(path):
        if request.param == "a named pipe":
            os.mkfifo(path)
        elif request.param == "a folder":
            path.mkdir()
        else:
            here = os.getcwd()
            os.chdir(path.parent)  # the path of a socket must be short
            server = socket.socket(socket.AF_UNIX)
            server.bind(path.name)
            os.chdir(here)
            open_sockets.append(server)

    yield request.param, make
    for server in open_sockets:
        server.close()


def test_what_is_no_file_is_named_and_never_opened(tmp_path, make_special):
    words, make = make_special
    for name, read in (
        ("t.csv", read_table),
        ("a.npz", list_npz),
        ("a.png", lambda path: decode_image(path, 8)),
        ("dataset.json", lambda path: load_prepared(path.parent)),
        ("report.json", lambda path: read_report(path.parent)),
    ):
        make(tmp_path / name)
        with pytest.raises(BmixError, match=f"{name}: .*{words}"):
            read(tmp_path / name)


def test_what_is_no_file_among_images_is_reported_and_the_others_are_prepared(
    tmp_path, make_special
):
    words, make = make_special
    names = [f"{label}/{number}.png" for label in "ab" for number in range(6)]
    put(tmp_path / "s", *names)
    make(tmp_path / "s/a/x.png")
    make(tmp_path / "s/b/notes")
    data = prepare(tmp_path / "s", tmp_path / "a", on_bad="skip", **QUIET)
    assert len(data.labels) == 12
    [fault] = [f for f in read_report(tmp_path / "a").faults if f["kind"] == "unreadable"]
    assert (fault["where"], fault["found"]) == ("a/x.png", f"{words}, expected an image file")


def test_a_device_is_no_table():
    with pytest.raises(BmixError, match="/dev/zero: cannot be read \\(it is a device"):
        read_table("/dev/zero")


# files that begin like an image


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("x.jfif", "JPEG"),
        ("x.jpe", "JPEG"),
        ("x", "PNG"),
        ("x.png.txt", "PNG"),
        ("x.JPG_large", "JPEG"),
        ("x.dat", "GIF"),
        ("x.dat", "BMP"),
        ("x.dat", "TIFF"),
        ("x.dat", "WEBP"),
    ],
)
def test_an_image_that_is_ignored_for_its_ending_is_a_warning_with_its_class(tmp_path, name, kind):
    put(tmp_path, "a/0.png", "b/0.png", "b/1.png")
    draw(8).save(tmp_path / "loose.dat", kind)
    draw(9).save(tmp_path / "a" / name, kind)
    (tmp_path / "a/words.txt").write_text("BMI and other words" if kind != "BMP" else "words")
    listing = list_folder(tmp_path)
    assert found(listing, "ending") == [
        (tmp_path.name, "1 files: loose.dat"),
        ("a", f"1 files: a/{name}"),
    ]
    fault = next(fault for fault in listing.faults if fault.kind == "ending")
    assert fault.level == "warning"


# the report


def test_rows_with_faults_are_not_called_unlisted_and_show_their_image(tmp_path):
    names = [f"{number}.png" for number in range(20)]
    rows = [[name, "xy"[n % 2], f"p{n}", "train"] for n, name in enumerate(names)]
    rows[3][1] = ""
    rows[4][2] = " "
    rows[5][3] = "trian"
    rows[6].append("more")
    del rows[7][2:]
    put(tmp_path, *names, "spare.png")
    table = write_table(tmp_path / "t.csv", rows)
    columns = {"group": "patient", "split": "split"}
    with pytest.raises(BmixError):
        prepare(table, tmp_path / "a", columns=columns, **QUIET)
    report = read_report(tmp_path / "a")
    by_kind = {fault["kind"]: fault for fault in report.faults}
    assert by_kind["unlisted"]["found"] == "1 images: spare.png"
    page = (tmp_path / "a/report.html").read_text()
    for kind, name in (("label", "3.png"), ("group", "4.png"), ("split", "5.png")):
        assert by_kind[kind]["images"] == by_kind[kind]["left_out"] == [name]
        assert f'alt="image {name}"' in page
    assert "in column 'label'" in by_kind["label"]["found"]
    assert "in column 'patient'" in by_kind["group"]["found"]


def test_an_object_without_a_name_shows_its_box(tmp_path):
    (tmp_path / "s/Annotations").mkdir(parents=True)
    (tmp_path / "s/JPEGImages").mkdir()
    draw(3, 64).save(tmp_path / "s/JPEGImages/a.jpg", "PNG")
    box = "<bndbox><xmin>9</xmin><ymin>9</ymin><xmax>40</xmax><ymax>40</ymax></bndbox>"
    things = "".join(f"<object><name>{name}</name>{box}</object>" for name in ("x", " "))
    text = f"<annotation><filename>a.jpg</filename>{things}</annotation>"
    (tmp_path / "s/Annotations/a.xml").write_text(text)
    with pytest.raises(BmixError):
        prepare(tmp_path / "s", tmp_path / "a", **QUIET)
    [fault] = [f for f in read_report(tmp_path / "a").faults if f["kind"] == "label"]
    assert fault["images"] == ["a.jpg#2"]
    assert 'alt="image a.jpg#2"' in (tmp_path / "a/report.html").read_text()


def test_rows_that_are_all_without_a_group_stop_with_a_report_in_words(tmp_path):
    table = write(put(tmp_path, "0.png", "1.png"), "path,label,patient\n0.png,x,\n1.png,y,\n")
    with pytest.raises(BmixError, match=r"(?s)no image is left: .*group, 2"):
        prepare(table, tmp_path / "a", columns={"group": "patient"}, **QUIET)


def test_a_numpy_array_is_no_table(tmp_path):
    np.save(tmp_path / "t.npy", np.zeros(3))
    with pytest.raises(BmixError, match="neither a table"):
        prepare(tmp_path / "t.npy", tmp_path / "a", **QUIET)
