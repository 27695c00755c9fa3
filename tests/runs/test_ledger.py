import json
import shutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bmix_lite.base.errors import BmixError
from bmix_lite.runs.ledger import ENDINGS, append_ledger, read_endings, read_ledger


@pytest.mark.parametrize("keep", [1, 20, -2])
def test_the_ledger_survives_a_line_cut_short_by_a_crash(tmp_path, keep):
    for name in ("one", "two", "three"):
        append_ledger(tmp_path, name, "failed", error="ZeroDivisionError: é")
    path = tmp_path / "ledger.jsonl"
    *whole, last = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(whole) + last[:keep])
    expected = ["one", "two", "three"][: 3 if keep == -2 and last[:keep].endswith(b"}") else 2]
    assert [line["run_id"] for line in read_ledger(tmp_path)] == expected
    append_ledger(tmp_path, "four", "complete")
    assert [line["run_id"] for line in read_ledger(tmp_path)] == [*expected, "four"]


@pytest.mark.parametrize("noise", [b"\xff\xfe", b"null", b"[]", b"3", b'{"other": 1}', b"\0\0\0"])
def test_lines_that_are_no_ending_are_passed_over(tmp_path, noise):
    append_ledger(tmp_path, "one", "complete")
    with open(tmp_path / "ledger.jsonl", "ab") as file:
        file.write(noise + b"\n")
    append_ledger(tmp_path, "two", "killed")
    assert [(line["run_id"], line["status"]) for line in read_ledger(tmp_path)] == [
        ("one", "complete"),
        ("two", "killed"),
    ]


@settings(max_examples=50)
@given(st.text(st.characters(codec=None), max_size=20))
def test_any_text_of_an_error_comes_back_from_the_ledger(tmp_path_factory, text):
    folder = tmp_path_factory.mktemp("ledger")
    append_ledger(folder, "run", "failed", error=text)
    append_ledger(folder, "next", "complete")
    assert [line.get("error") for line in read_ledger(folder)] == [text, None]
    shutil.rmtree(folder)


@pytest.mark.parametrize(
    "text", ["line\u2028separator", "next\x85line", "not utf-8: \udcff", "two\nlines"]
)
def test_unusual_characters_of_an_error_come_back_from_the_ledger(tmp_path, text):
    append_ledger(tmp_path, "run", "failed", error=text)
    assert [line["error"] for line in read_ledger(tmp_path)] == [text]


def test_an_ending_that_is_none_is_refused(tmp_path):
    rule = r"status must be one of complete, failed, timed out, killed, .*interrupted, got 'done'"
    with pytest.raises(BmixError, match=rule):
        append_ledger(tmp_path, "run", "done")
    assert not (tmp_path / "ledger.jsonl").exists()


def test_no_ledger_has_no_lines(tmp_path):
    assert read_ledger(tmp_path) == []


@pytest.mark.parametrize("status", ENDINGS)
def test_the_last_line_of_a_run_tells_how_it_ended(tmp_path, status):
    append_ledger(tmp_path, "one", "failed", error="ValueError")
    append_ledger(tmp_path, "two", "complete")
    append_ledger(tmp_path, "one", status, tries=2)
    endings = read_endings(tmp_path)
    assert list(endings) == ["one", "two"]
    assert endings["one"] | {"when": ""} == {
        "run_id": "one",
        "status": status,
        "when": "",
        "tries": 2,
    }


def test_a_ledger_that_is_a_link_is_not_written_through(tmp_path):
    (tmp_path / "outside").write_text("mine")
    (tmp_path / "ledger.jsonl").symlink_to(tmp_path / "outside")
    with pytest.raises(OSError, match=r"ledger\.jsonl"):
        append_ledger(tmp_path, "one", "complete")
    assert (tmp_path / "outside").read_text() == "mine"


def test_each_ending_is_one_line_of_json(tmp_path):
    for number in range(3):
        append_ledger(tmp_path, f"run {number}", "failed", error="two\nlines")
    lines = (tmp_path / "ledger.jsonl").read_bytes().split(b"\n")
    assert [json.loads(line)["run_id"] for line in lines[:-1]] == ["run 0", "run 1", "run 2"]
    assert lines[-1] == b""
