from dataclasses import replace
from xml.etree import ElementTree

import pytest

from bmix_lite.base.errors import BmixError
from bmix_lite.preparation.faults import KINDS
from bmix_lite.preparation.report import Report, read_report, save_report
from tiny import HOSTILE_TEXTS, read_rows

pytestmark = pytest.mark.filterwarnings("error", "ignore::pytest.PytestUnraisableExceptionWarning")


def make_fault(kind, where="row 2"):
    level = KINDS[kind][0]
    return dict(level=level, kind=kind, where=where, found="x", images=["a.png"], left_out=[])


FAULTS = [make_fault("unreadable"), make_fault("unreadable"), make_fault("unlisted")]
REPORT = Report("labels.csv", 363, 355, {"none": (261, 255), "severe": (101, 100)}, FAULTS)


def test_a_report_is_shown_in_one_line():
    assert repr(REPORT) == (
        "Report 'labels.csv': 363 images listed, 355 without fault, 2 classes; "
        "faults: 2 bad, 1 note; stopped"
    )
    assert repr(replace(REPORT, on_bad="skip")).endswith("; faults: 2 bad, 1 note")
    assert repr(replace(REPORT, faults=[])).endswith("2 classes; faults: none")


def test_a_notebook_shows_images_per_class_and_the_kinds_of_faults_with_their_rules():
    rows = read_rows(REPORT._repr_html_())
    assert (rows["none"], rows["severe"]) == (["261", "255"], ["101", "100"])
    assert rows["unreadable"] == ["bad", "2", KINDS["unreadable"][1]]
    assert rows["unlisted"] == ["note", "1", KINDS["unlisted"][1]]


def test_a_report_without_faults_or_classes_is_shown_too():
    page = replace(REPORT, faults=[], classes={})._repr_html_()
    assert len(list(ElementTree.fromstring(f"<div>{page}</div>").iter("table"))) == 1


def test_names_are_text_in_every_view_never_markup_nor_lines():
    classes = dict.fromkeys(HOSTILE_TEXTS, (2, 1))
    report = replace(REPORT, classes=classes, source=HOSTILE_TEXTS[1] + HOSTILE_TEXTS[3])
    page = report._repr_html_()
    assert "\n" not in repr(report)
    assert "<img" not in page
    assert "<script" not in page
    assert {name.replace("\n", "\\n") for name in HOSTILE_TEXTS} < set(read_rows(page))


def test_a_report_comes_back_from_its_folder_and_shows_the_same(tmp_path):
    save_report(REPORT, tmp_path)
    assert repr(read_report(tmp_path)) == repr(REPORT)
    assert read_report(tmp_path)._repr_html_() == REPORT._repr_html_()
    with pytest.raises(BmixError, match=r"report\.json: no report of a preparation"):
        read_report(tmp_path / "elsewhere")
