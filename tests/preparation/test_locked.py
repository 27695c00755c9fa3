import contextlib
import os
import stat
import subprocess
import sys
import threading
import time
import zipfile

import pytest

from bmix_lite.base.errors import BmixError
from bmix_lite.base.files import append_line
from bmix_lite.base.locks import locked
from bmix_lite.preparation import once
from clinic import make_folder
from common.archives import extract
from field import prepare_small, put


def test_two_preparations_into_one_folder_at_a_time_make_it_once(tmp_path):
    root = make_folder(tmp_path / "photos", (300, 200, 100))
    script = (
        "import sys; from bmix_lite.preparation.prepare import prepare\n"
        "print(prepare(*sys.argv[1:], size=16, jobs=1, progress=False).fingerprint)"
    )
    command = [sys.executable, "-c", script, str(root), str(tmp_path / "data")]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    both = [subprocess.Popen(command, **pipes) for _ in range(2)]
    said = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert said[0][0] == said[1][0] != ""
    assert not (tmp_path / "data/.lock").exists()


def test_one_that_waits_too_long_is_refused_in_words_and_another_call_after_the_first(
    tmp_path, monkeypatch
):
    root = make_folder(tmp_path / "photos")
    (tmp_path / "data").mkdir()
    monkeypatch.setattr(once, "WAIT", 0.2)
    with (
        locked(tmp_path / "data/.lock", "it"),
        pytest.raises(
            BmixError, match=rf"the preparation of .*data is in use by process {os.getpid()}"
        ),
    ):
        prepare_small(root, tmp_path / "data")
    monkeypatch.setattr(once, "WAIT", 30)
    said = []

    def call():
        try:
            prepare_small(root, tmp_path / "data", size=24)
        except BmixError as error:
            said.append(str(error))

    with locked(tmp_path / "data/.lock", "it"):
        other = threading.Thread(target=call)
        other.start()
        time.sleep(0.3)
        monkeypatch.setattr(once, "locked", lambda *given, **named: contextlib.nullcontext())
        prepare_small(root, tmp_path / "data", size=16)
    other.join()
    assert "holds a dataset made of other files or options" in said[0]


def test_an_output_folder_inside_the_source_is_no_part_of_it(tmp_path):
    root = make_folder(tmp_path / "photos")
    outside = prepare_small(root, tmp_path / "out")
    for out in (root / "ready", root / "class 0" / "ready"):
        out.mkdir()
        made = prepare_small(root, out)
        assert made.fingerprint == outside.fingerprint
        assert prepare_small(root, out).fingerprint == outside.fingerprint
    assert prepare_small(root, root / "x/y/z").fingerprint == outside.fingerprint
    assert prepare_small(root, tmp_path / "out").fingerprint == outside.fingerprint


def test_a_folder_of_photographs_with_a_file_named_as_ours_is_still_a_class(tmp_path):
    root = make_folder(tmp_path / "photos")
    (root / "class 1/dataset.json").write_text("{}")
    (root / "class 2/chunks").mkdir()
    with pytest.raises(BmixError, match="class 2/chunks: a folder in the folder of a class"):
        prepare_small(root, tmp_path / "out")
    assert len(prepare_small(root, tmp_path / "out", leave_out="chunks").labels) == 26


def test_the_folder_of_the_images_is_no_place_for_the_prepared_set(tmp_path):
    root = put(tmp_path / "photos", "a/1.png", "b/2.png")
    with pytest.raises(BmixError, match="is the folder of the images"):
        prepare_small(root, root / "a" / "..")
    assert sorted(path.name for path in root.iterdir()) == ["a", "b"]


@pytest.mark.parametrize("umask", [0o002, 0o077])
def test_what_is_written_follows_the_umask(tmp_path, umask):
    root = make_folder(tmp_path / "photos")
    archive = tmp_path / "some.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("a/b.txt", "text")
    before = os.umask(umask)
    try:
        prepare_small(root, tmp_path / "new" / "data")
        append_line(tmp_path / "new" / "ledger.jsonl", "{}")
        extract(archive, tmp_path / "new" / "unpacked")
        with locked(tmp_path / "new" / "lock", "it"):
            pass
    finally:
        os.umask(before)
    written = list((tmp_path / "new").rglob("*"))
    assert len(written) >= 10
    for path in written:
        wanted = (0o777 if path.is_dir() else 0o666) & ~umask
        assert stat.S_IMODE(path.stat().st_mode) == wanted, path
