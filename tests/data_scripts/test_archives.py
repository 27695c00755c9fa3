import io
import os
import signal
import stat
import subprocess
import sys
import tarfile
import time
import warnings
import zipfile

import pytest

from bmix_lite.base.errors import BmixError
from common.archives import extract

FILES = {"a/x.jpg": b"one" * 50, "b/x.jpg": b"two" * 50, "b/c/notes.txt": b"three" * 50}


def make_zip(path, files=FILES, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names that are there twice
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, **options) as archive:
            for name, content in files.items() if isinstance(files, dict) else files:
                archive.writestr(name, content)
    return path


def make_tar(path, members):
    with tarfile.open(path, "w:gz") as archive:
        for name, content, kind in members:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, content.decode() if kind != tarfile.REGTYPE else ""
            info.size = len(content) if kind == tarfile.REGTYPE else 0
            archive.addfile(info, io.BytesIO(content))
    return path


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_an_archive_is_unpacked_whole_names_and_all(tmp_path, kind):
    path = tmp_path / f"all.{kind}"
    if kind == "zip":
        make_zip(path)
    else:
        make_tar(path, [(name, content, tarfile.REGTYPE) for name, content in FILES.items()])
    before = path.read_bytes()
    assert contents(extract(path, tmp_path / "out")) == FILES
    assert path.read_bytes() == before
    assert sorted(item.name for item in tmp_path.iterdir()) == [path.name, "out"]


@pytest.mark.parametrize("name", ["../x", "/abs", "a/../../x", "..\\x", "C:/x", "a\\b", "a/\x01"])
def test_a_name_that_leads_outside_is_refused(tmp_path, name):
    path = make_zip(tmp_path / "slip.zip", FILES | {name: b"evil"})
    with pytest.raises(BmixError, match=r"slip\.zip: member .* (leads out|backslash)"):
        extract(path, tmp_path / "in" / "out")
    assert not (tmp_path / "in" / "out").exists()
    assert not list(tmp_path.glob("**/x"))


@pytest.mark.parametrize("name", ["../x", "/abs"])
def test_a_tar_that_leads_outside_is_refused(tmp_path, name):
    path = make_tar(tmp_path / "slip.tar.gz", [(name, b"evil", tarfile.REGTYPE)])
    with pytest.raises(BmixError, match="leads out of the folder"):
        extract(path, tmp_path / "out")
    assert sorted(item.name for item in tmp_path.iterdir()) == ["slip.tar.gz"]


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE]
)
def test_links_and_devices_in_a_tar_are_refused(tmp_path, kind):
    members = [("link", b"/etc", kind), ("link/x", b"evil", tarfile.REGTYPE)]
    with pytest.raises(BmixError, match="member 'link' is a link or a device"):
        extract(make_tar(tmp_path / "link.tar.gz", members), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_link_in_a_zip_is_refused(tmp_path):
    info = zipfile.ZipInfo("link")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with pytest.raises(BmixError, match="member 'link' is a link or a device"):
        extract(
            make_zip(tmp_path / "link.zip", [(info, "/etc"), ("link/x", "evil")]), tmp_path / "out"
        )


def test_a_bomb_is_refused_before_it_fills_the_disk(tmp_path):
    path = make_zip(tmp_path / "bomb.zip", {"zeros": bytes(50_000_000)})
    with pytest.raises(BmixError, match="more than 100 times as large"):
        extract(path, tmp_path / "out")
    many = make_zip(tmp_path / "many.zip", {f"{number}": b"x" for number in range(10_000)})
    with pytest.raises(BmixError, match=r"10000 members of 1\.0 bytes each"):
        extract(many, tmp_path / "out")
    with pytest.raises(BmixError, match=r"at most 0\.0 MB are allowed"):
        extract(make_zip(tmp_path / "small.zip"), tmp_path / "out", total=100)
    assert not (tmp_path / "out").exists()


def test_a_member_that_is_larger_than_it_says_is_refused(tmp_path):
    content = make_zip(tmp_path / "lie.zip", {"x": os.urandom(5000)}).read_bytes()
    honest = (5000).to_bytes(4, "little")
    lying = content.replace(honest, (100).to_bytes(4, "little"))
    (tmp_path / "lie.zip").write_bytes(lying)
    with pytest.raises(BmixError, match="member 'x'"):
        extract(tmp_path / "lie.zip", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([("a", b"1"), ("a", b"2")], "has the name of member 'a'"),
        (
            [("Polyp.jpg", b"1"), ("polyp.JPG", b"2")],
            "has the name of member 'Polyp.jpg', perhaps except for case",
        ),
        ([("a", b"1"), ("a/b", b"2")], "is a file, and a folder"),
        ([("inner.zip", b"PK")], "is an archive in the archive"),
        ([], "has no files in it"),
    ],
)
def test_names_that_cannot_all_be_written_are_refused(tmp_path, files, message):
    with pytest.raises(BmixError, match=message):
        extract(make_zip(tmp_path / "odd.zip", files), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_cut_or_damaged_archive_is_refused_with_its_member(tmp_path):
    content = make_zip(
        tmp_path / "good.zip", {"x": os.urandom(3000), "y": os.urandom(3000)}
    ).read_bytes()
    (tmp_path / "cut.zip").write_bytes(content[: len(content) // 2])
    with pytest.raises(BmixError, match=r"cut\.zip: not a whole zip"):
        extract(tmp_path / "cut.zip", tmp_path / "out")
    (tmp_path / "bad.zip").write_bytes(content[:200] + bytes([content[200] ^ 1]) + content[201:])
    with pytest.raises(BmixError, match="member 'x' cannot be unpacked"):
        extract(tmp_path / "bad.zip", tmp_path / "out")
    tar = make_tar(
        tmp_path / "good.tar.gz", [("x", os.urandom(3000), tarfile.REGTYPE)]
    ).read_bytes()
    (tmp_path / "cut.tar.gz").write_bytes(tar[: len(tar) // 2])
    with pytest.raises(BmixError, match=r"cut\.tar\.gz"):
        extract(tmp_path / "cut.tar.gz", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_locked_member_is_refused(tmp_path):
    content = bytearray(make_zip(tmp_path / "locked.zip", {"x": b"1" * 100}).read_bytes())
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "locked.zip").write_bytes(content)
    with pytest.raises(BmixError, match="member 'x' has a password"):
        extract(tmp_path / "locked.zip", tmp_path / "out")


def test_killed_while_unpacking_it_begins_again_and_is_complete(tmp_path):
    files = {f"{number:05}.bin": os.urandom(2000) for number in range(3000)}
    path, out = make_zip(tmp_path / "big.zip", files), tmp_path / "out"
    code = f"from common.archives import extract; extract({str(path)!r}, {str(out)!r})"
    for wanted in (1, 500):
        child = subprocess.Popen([sys.executable, "-c", code])
        while child.poll() is None and len(list((tmp_path / ".out.part").glob("*"))) < wanted:
            time.sleep(0.001)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        assert not out.exists()
    assert contents(extract(path, out)) == files
    assert not (tmp_path / ".out.part").exists()


def test_a_full_disk_is_named_and_the_archive_kept(tmp_path, monkeypatch):
    path = make_zip(tmp_path / "all.zip")
    usage = type("Usage", (), {"free": 100})()
    monkeypatch.setattr("common.archives.shutil.disk_usage", lambda folder: usage)
    with pytest.raises(BmixError, match="no room on the disk"):
        extract(path, tmp_path / "out")
    assert sorted(item.name for item in tmp_path.iterdir()) == ["all.zip"]


@pytest.mark.skipif(
    sys.platform != "linux", reason="the limit on the size of a file stands for a full disk"
)
def test_a_disk_that_fills_up_while_unpacking_is_named_and_the_archive_kept(tmp_path):
    path = make_zip(tmp_path / "all.zip", {"a": os.urandom(1000), "b": os.urandom(300_000)})
    code = (
        "import resource, signal, sys\nfrom common.archives import extract\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "extract(sys.argv[1], sys.argv[2])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, path, tmp_path / "out"], capture_output=True, text=True
    )
    assert "out: no room on the disk: 0.3 MB needed" in done.stderr
    assert sorted(item.name for item in tmp_path.iterdir()) == ["all.zip"]
