import errno
import hashlib
import json
import os
import subprocess
import sys
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmix_lite.base import files
from bmix_lite.base.files import (
    append_line,
    guard,
    remove_leftovers,
    sha256_of,
    unguard,
    write_atomic,
    write_json,
)

pytestmark = pytest.mark.filterwarnings("error", "ignore::pytest.PytestUnraisableExceptionWarning")
DISK_FULL = OSError(errno.ENOSPC, "No space left on device")
KILLED_WRITER = """
import os, sys
from bmix_lite.base.files import write_atomic
os.replace = lambda *_: os._exit(9)
write_atomic(sys.argv[1], 'new')
"""


def fail(error):
    def failing(*_, **__):
        raise error

    return failing


@pytest.mark.parametrize(
    ("content", "stored"),
    [("naïve 糖\n", "naïve 糖\n".encode()), (b"\x00\xff", b"\x00\xff"), ("", b"")],
)
def test_content_is_written_byte_for_byte_and_folders_are_made(tmp_path, content, stored):
    path = tmp_path / "new" / "deep" / "file.txt"
    write_atomic(path, "old")
    write_atomic(str(path), content)
    assert path.read_bytes() == stored
    assert [p.name for p in path.parent.iterdir()] == ["file.txt"]


@pytest.mark.parametrize("error", [DISK_FULL, KeyboardInterrupt(), MemoryError()])
@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failing_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, step, error):
    path = tmp_path / "metrics.json"
    write_atomic(path, "old")
    monkeypatch.setattr(files.os, step, fail(error))
    with pytest.raises(type(error)):
        write_atomic(path, "new" * 1000)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_disk_that_fills_half_way_leaves_the_old_file_and_nothing_else(tmp_path):
    resource = pytest.importorskip("resource")
    path = tmp_path / "metrics.json"
    write_atomic(path, "old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            write_atomic(path, "new" * 10_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_content_is_on_disk_before_the_name_changes_and_the_folder_after(tmp_path, monkeypatch):
    steps = []
    path = tmp_path / "file"
    fsync, replace = os.fsync, os.replace

    def spy_fsync(handle):
        where = os.readlink(f"/proc/self/fd/{handle}")
        steps.append(("fsync", where, os.stat(where).st_size if os.path.isfile(where) else None))
        fsync(handle)

    def spy_replace(source, target):
        steps.append(("replace", os.path.dirname(source), str(target)))
        replace(source, target)

    monkeypatch.setattr(files.os, "fsync", spy_fsync)
    monkeypatch.setattr(files.os, "replace", spy_replace)
    write_atomic(path, "12345")
    assert [step[0] for step in steps] == ["fsync", "replace", "fsync"]
    assert steps[0][2] == 5
    assert steps[1][1:] == (str(tmp_path), str(path))
    assert steps[2][1] == str(tmp_path)


def test_a_killed_writer_leaves_the_old_file_and_a_leftover_that_is_swept(tmp_path):
    path = tmp_path / "file.json"
    other = [tmp_path / name for name in ("a.tmp", ".hidden", "b.json", "notes.tmp.txt")]
    write_atomic(path, "old")
    for file in other:
        file.write_text("keep")
    ran = subprocess.run([sys.executable, "-c", KILLED_WRITER, str(path)], check=False)
    assert ran.returncode == 9
    assert path.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 6
    remove_leftovers(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([path, *other])


def test_json_is_readable_keeps_its_letters_and_ends_its_last_line(tmp_path):
    value = {"name": "糖尿病 é", "values": [1, 0.1, None]}
    write_json(tmp_path / "x.json", value)
    text = (tmp_path / "x.json").read_text(encoding="utf-8")
    assert json.loads(text) == value
    assert "糖尿病 é" in text
    assert text.endswith("}\n")


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), object()])
def test_what_json_cannot_say_is_refused_and_the_old_file_stays(tmp_path, bad):
    write_json(tmp_path / "x.json", [1])
    with pytest.raises((ValueError, TypeError)):
        write_json(tmp_path / "x.json", {"a": [bad]})
    assert json.loads((tmp_path / "x.json").read_text()) == [1]
    assert len(list(tmp_path.iterdir())) == 1


def test_lines_are_appended_in_order_and_synced(tmp_path, monkeypatch):
    synced = []
    fsync = os.fsync
    monkeypatch.setattr(files.os, "fsync", lambda handle: (synced.append(handle), fsync(handle)))
    for line in ("one", "zwei é", ""):
        append_line(tmp_path / "new" / "ledger", line)
    assert (tmp_path / "new" / "ledger").read_text(encoding="utf-8") == "one\nzwei é\n\n"
    assert len(synced) == 3


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b'{"a": 1}\n{"b', b'{"a": 1}\n{"b\n{"c": 3}\n'),
        (b'{"a": 1}', b'{"a": 1}\n{"c": 3}\n'),
        (b'{"a": 1}\n', b'{"a": 1}\n{"c": 3}\n'),
        ("é".encode()[:1], b"\xc3\n" + b'{"c": 3}\n'),
        (b"", b'{"c": 3}\n'),
    ],
)
def test_a_last_line_cut_by_a_crash_spoils_only_itself(tmp_path, before, after):
    path = tmp_path / "ledger.jsonl"
    path.write_bytes(before)
    append_line(path, '{"c": 3}')
    assert path.read_bytes() == after


def test_lines_of_several_writers_do_not_mingle(tmp_path):
    path = tmp_path / "ledger"
    lines = [str(i) * 2000 for i in range(8)]
    threads = [
        threading.Thread(target=lambda x=x: [append_line(path, x) for _ in range(10)])
        for x in lines
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(path.read_text().split()) == sorted(lines * 10)


def test_a_failing_append_closes_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(files.os, "fsync", fail(DISK_FULL))
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match="No space left"):
        append_line(tmp_path / "ledger", "x")
    assert len(os.listdir("/proc/self/fd")) == before


def test_sha256_is_that_of_the_content(tmp_path):
    (tmp_path / "x").write_bytes(b"abc" * 100_000)
    assert sha256_of(tmp_path / "x") == hashlib.sha256(b"abc" * 100_000).hexdigest()
    (tmp_path / "x").write_bytes(b"abc")
    assert sha256_of(tmp_path / "x").startswith("ba7816bf8f01cfea414140de5dae2223")


def test_a_folder_that_cannot_be_synced_is_no_failure(tmp_path, monkeypatch):
    monkeypatch.setattr(files.os, "open", fail(OSError(errno.EINVAL, "not supported")))
    write_atomic(tmp_path / "x", "new")
    assert (tmp_path / "x").read_text() == "new"


def test_a_full_disk_is_told_with_the_file_and_the_size(tmp_path, monkeypatch):
    monkeypatch.setattr(files.os, "fsync", fail(OSError(errno.ENOSPC, "No space left on device")))
    with pytest.raises(
        OSError, match=r"No space left on device, 2\.5 MB needed: '.*/checkpoint\.pt'"
    ) as caught:
        write_atomic(tmp_path / "checkpoint.pt", bytes(2_500_000))
    assert (caught.value.errno, list(tmp_path.iterdir())) == (errno.ENOSPC, [])


@pytest.mark.parametrize(
    "text", ["=cmd|' /C calc'!A0", "+1", "-1", "@sum", "\t=1", "\r=1", "'=1", "''-"]
)
def test_what_a_spreadsheet_would_compute_begins_with_a_quote(text):
    assert guard(text) == f"'{text}"
    assert unguard(guard(text)) == text


@pytest.mark.parametrize("text", ["", "007", "a=b", "'s Gravenhage", "'", "''", "é", " =1"])
def test_other_text_is_left_as_it_is(text):
    assert guard(text) == unguard(text) == text


@given(st.text("'=+-@\t\ra0 ", max_size=6) | st.text())
def test_any_text_comes_back_and_none_begins_as_a_formula(text):
    assert unguard(guard(text)) == text
    assert not guard(text).startswith(("=", "+", "-", "@", "\t", "\r"))
