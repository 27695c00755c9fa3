import numpy as np
import pytest
from PIL import Image

from bmix_lite.base.errors import BmixError
from bmix_lite.course.clinic import EYES, make_clinic
from bmix_lite.preparation.prepare import prepare
from bmix_lite.preparation.report import read_report

COLUMNS = {"path": "photo", "label": "grade", "group": "patient"}
PLANTED = {
    "unreadable": 2,
    "missing": 1,
    "duplicate": 1,
    "conflict": 1,
    "label": 1,
    "group": 1,
    "unlisted": 1,
}


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return make_clinic(tmp_path_factory.mktemp("clinic"))


@pytest.fixture
def content(table):
    return {
        path.name: (path.read_bytes(), path.stat().st_mtime_ns)
        for path in table.parent.rglob("*.*")
    }


def test_the_report_finds_what_was_planted_and_nothing_else(table, tmp_path):
    with pytest.raises(BmixError, match="363 images listed"):  # one of which has no label
        prepare(table, tmp_path / "data", columns=COLUMNS, size=16, jobs=1, progress=False)
    assert read_report(tmp_path / "data").counts() == PLANTED


def test_without_the_faults_all_but_five_eyes_are_left_and_no_patient_is_divided(table, tmp_path):
    data = prepare(
        table, tmp_path / "data", columns=COLUMNS, size=16, on_bad="skip", jobs=1, progress=False
    )
    assert data.class_names == tuple(EYES)
    # cut, web page, two grades, no grade, no patient: all of eyes without a disease
    assert np.bincount(data.labels).tolist() == [260 - 5, 70, 30]
    sizes = np.unique(data.groups, return_counts=True)[1]
    assert sizes.max() == 2
    assert all(len(set(data.labels[data.groups == group])) == 1 for group in set(data.groups))


def test_the_photographs_are_drawn_and_differ(table):
    names = [f"photos/eye{number:03}.jpg" for number in range(8)]
    images = [np.asarray(Image.open(table.parent / name)) for name in names]
    assert {image.shape for image in images} == {(96, 96, 3)}
    assert len({image.tobytes() for image in images}) == len(images)


def test_a_second_call_leaves_every_file_as_it_is(table, content):
    assert make_clinic(table.parent) == table
    assert {
        path.name: (path.read_bytes(), path.stat().st_mtime_ns)
        for path in table.parent.rglob("*.*")
    } == content


def test_after_a_kill_before_the_table_was_written_all_is_written_again(tmp_path, content):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/eye000.jpg").write_bytes(b"half of a f")
    make_clinic(tmp_path)
    contents = {path.name: path.read_bytes() for path in tmp_path.rglob("*.*")}
    assert contents == {name: kept for name, (kept, _) in content.items()}


def test_a_table_of_somebody_else_is_never_replaced(tmp_path):
    (tmp_path / "labels.csv").write_text("photo,grade\na.jpg,1\n")
    with pytest.raises(BmixError, match=r"labels\.csv is not the table of this example"):
        make_clinic(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["labels.csv"]
    assert (tmp_path / "labels.csv").read_text() == "photo,grade\na.jpg,1\n"
