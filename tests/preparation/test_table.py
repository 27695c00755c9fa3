import csv
import io

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bmix_lite.base.errors import BmixError
from bmix_lite.preparation.table import read_table

pytestmark = pytest.mark.filterwarnings("error", "ignore::pytest.PytestUnraisableExceptionWarning")


def read(tmp_path, content):
    path = tmp_path / "labels.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_table(path)


PLAIN = "image,level\n007,NA\n7,None\n"


@pytest.mark.parametrize(
    "content",
    [
        PLAIN,
        PLAIN.replace("\n", "\r\n"),
        PLAIN.encode("utf-8-sig"),
        PLAIN.encode("utf-16"),
        PLAIN.replace(",", ";"),
        PLAIN.replace(",", "\t"),
        PLAIN.replace("\n", ",\n"),
        "\ufeff" + PLAIN.replace("7,None", '7,"None"'),
    ],
)
def test_text_stays_text_in_every_usual_form_of_table(tmp_path, content):
    table = read(tmp_path, content)
    assert table.header == ("image", "level")
    assert table.column("image") == ["007", "7"]
    assert table.column("level") == ["NA", "None"]
    assert table.numbers == [2, 3]
    assert table.faults == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "the table is empty"),
        ("image,level\n", "only a header, no rows"),
        (",,\n", "only a header, no rows"),
        ("image,image\na,1\n", "the column 'image' more than once"),
        ("image,image \na,1\n", "the column 'image', 'image ' more than once"),
        ("image,\na,1\n", "no name for column 2"),
        ("a,b\nx,y\0z\n", "row 2 holds a NUL"),
        ("a,b\nx,é\n".encode("cp1252"), "row 2 holds the byte 0xe9, which is not utf-8"),
        ('a,b\nx,y\nx,"y\nx,z\n', "row 3: .*quote left open"),
        ('a,b\nx,"y\nz"\nx,z\n', "row 2: a line break inside a field"),
    ],
)
def test_what_is_no_table_is_refused_with_its_row(tmp_path, content, message):
    with pytest.raises(BmixError, match=rf"labels\.csv.*{message}"):
        read(tmp_path, content)


def test_rows_too_long_and_too_short_are_left_out_and_named(tmp_path):
    table = read(tmp_path, "a,b\n1,2\n1,2,3\n\n1\n5,6\n")
    assert table.rows == [["1", "2"], ["5", "6"]]
    assert [(fault.kind, fault.where, fault.found[:8]) for fault in table.faults] == [
        ("row", "labels.csv row 3", "3 fields"),
        ("row", "labels.csv row 5", "1 fields"),
    ]


def test_a_decimal_comma_between_commas_is_a_field_too_many(tmp_path):
    table = read(tmp_path, "image,label,weight\na,0,1\nb,1,0,5\n")
    assert [(fault.kind, fault.where, fault.level) for fault in table.faults] == [
        ("row", "labels.csv row 3", "bad")
    ]


def test_one_field_too_many_in_every_row_never_shifts_columns(tmp_path):
    table = read(tmp_path, "image,label\na,0,x\nb,1,y\n")
    assert table.rows == []
    assert len(table.faults) == 2


def test_a_table_cut_short_is_named(tmp_path):
    table = read(tmp_path, "a,b\n1,2\n3")
    assert [(fault.kind, fault.where) for fault in table.faults] == [
        ("row", "labels.csv row 3"),
        ("unfinished", "labels.csv row 3"),
    ]


def test_a_column_that_is_not_there_is_named_beside_those_that_are(tmp_path):
    with pytest.raises(
        BmixError, match=r"no column 'lable', row 1 has 'image', 'label'; did you mean 'label'"
    ):
        read(tmp_path, "image,label\na,1\n").column("lable")
    with pytest.raises(
        BmixError,
        match=r"no column 'image', row 1 has 'image\|level' \(is another separator meant\?\)",
    ):
        read(tmp_path, "image|level\na|1\n").column("image")


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(*[st.text("ab07 ,;\t\"'é=", min_size=1, max_size=6)] * 3), min_size=1, max_size=5
    )
)
def test_any_table_that_python_writes_comes_back(tmp_path, rows):
    buffer = io.StringIO()
    csv.writer(buffer).writerows([("one", "two", "three"), *rows])
    written = [row for row in rows if any(cell.strip() for cell in row)]  # blank rows are no rows
    if not written:
        with pytest.raises(BmixError, match="only a header, no rows"):
            read(tmp_path, buffer.getvalue())
        return
    assert [tuple(row) for row in read(tmp_path, buffer.getvalue()).rows] == written


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("eyepacs/trainLabels.csv", 35126),
        ("ham10000/HAM10000_metadata.csv", 10015),
        ("hyper_kvasir/2_fold_split.csv", 10662),
        ("hyper_kvasir/5_fold_split.csv", 10662),
    ],
)
def test_the_real_tables_are_read_whole(shared, name, rows):
    table = read_table(shared / "data" / name)
    assert len(table.rows) == rows
    assert not [fault for fault in table.faults if fault.level == "bad"]
