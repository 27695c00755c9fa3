"""Every command ends in one line and a code, never in a traceback, unless `--debug` asks for it."""

import errno
import os
import re
import signal
import subprocess
import sys
import types

import pytest

import bmix_lite.__main__
from bmix_lite.base import files
from bmix_lite.base.endings import explain, take_debug, tell_ending
from bmix_lite.base.errors import BmixError
from bmix_lite.base.files import explain_full, write_atomic
from conftest import miss
from toy_sweeps import sweep, write_light

ERRORS = {
    "read-only": (OSError(errno.EROFS, "Read-only file system", "out/x"), "out/x: the file sy"),
    "permission": (PermissionError(errno.EACCES, "denied", "/data/x"), "/data/x: this user has no"),
    "quota": (OSError(errno.EDQUOT, "Quota", "/nowhere/x"), "/nowhere/x: Disk quota ex"),
    "too many open files": (OSError(errno.EMFILE, "Too many"), r"too many open .*ulimit"),
    "on the machine": (OSError(errno.ENFILE, "Too many"), "too many open files on t"),
    "no such file": (FileNotFoundError(errno.ENOENT, "No such", "a.csv"), "a.csv: there is no"),
    "a folder": (IsADirectoryError(errno.EISDIR, "Is a", "data"), "data: it is a folder"),
    "a long name": (OSError(errno.ENAMETOOLONG, "long", "aaa"), "aaa: the name is too long"),
    "a broken disk": (OSError(errno.EIO, "I/O", "x"), "x: the disk could not be read or written"),
    "of a network": (OSError(errno.ESTALE, "Stale", "x"), "x: the network file system has"),
    "another": (OSError(errno.ELOOP, "Too many levels", "x"), "x: Too many levels"),
    "without a number": (OSError("only\nwords"), "only words"),
    "memory": (MemoryError(), "no memory was left: fewer --jobs, or smaller images$"),
    "memory of NumPy": (MemoryError("Unable to allocate 8 EiB"), r"no memory .*\(Unable to alloc"),
    "a package": (ModuleNotFoundError("No module named 'dask'"), "a package is missing"),
    "of the user": (BmixError("alpha must be"), "alpha must be$"),
}  # fmt: skip


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_of_the_system_is_one_line_with_what_to_do_and_code_2(name, capsys):
    error, words = ERRORS[name]
    assert tell_ending(error, "sweep") == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    assert line.startswith("bmix_lite sweep: ")
    assert re.match(words, line.removeprefix("bmix_lite sweep: ")), line


@pytest.mark.parametrize(
    "error", [KeyError("x"), OverflowError("int too large"), RuntimeError("a\nb")]
)
def test_a_fault_of_the_kit_is_one_line_and_a_code_of_its_own(error, capsys):
    assert tell_ending(error, "report") == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert type(error).__name__ in line
    assert "a fault of the kit: --debug shows where" in line


def test_ctrl_c_says_that_the_same_command_goes_on(capsys):
    assert tell_ending(KeyboardInterrupt(), "sweep") == 130
    assert "the same command goes on from there" in capsys.readouterr().err


def test_an_ending_of_the_parser_stays_what_it_is():
    with pytest.raises(SystemExit) as ended:
        tell_ending(SystemExit(2), "sweep")
    assert ended.value.code == 2


@pytest.mark.parametrize("arguments", [["--debug", "html", "x"], ["html", "x", "--debug"]])
def test_debug_may_stand_anywhere_and_shows_the_traceback_above_the_line(arguments, capsys):
    assert take_debug(arguments) == (["html", "x"], True)
    assert take_debug(["html", "x"]) == (["html", "x"], False)
    assert bmix_lite.__main__.main(arguments) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[-1] == "bmix_lite html: there is no notebook 'x'"


def test_arguments_of_the_process_are_taken_where_none_are_given(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["bmix_lite", "--debug", "report"])
    assert take_debug() == (["report"], True)


def fake_disk(monkeypatch, **fields):
    usual = {"f_bavail": 1000, "f_frsize": 4096, "f_files": 100, "f_favail": 50}
    disk = types.SimpleNamespace(**usual | fields)
    monkeypatch.setattr(files.os, "statvfs", lambda path: disk)


FULL = OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_is_not_blamed_where_inodes_are_gone(monkeypatch):
    fake_disk(monkeypatch, f_favail=0)
    words = explain_full(FULL, "/data/x", 1000)
    assert words == (
        "no inode is left for another file, 0.001 MB needed; 4 MB are free: delete some small files"
    )


@pytest.mark.parametrize(
    "fields", [{}, {"f_files": 0, "f_favail": 0}, {"f_favail": 0, "f_bavail": 0}]
)
def test_a_disk_that_is_full_or_counts_no_inodes_is_full(monkeypatch, fields):
    fake_disk(monkeypatch, **fields)
    assert explain_full(FULL, "/data/x", 2_500_000) == "No space left on device, 2.5 MB needed"


def test_a_quota_is_told_by_whoever_writes_with_the_size(monkeypatch, tmp_path):
    def refuse(*_):
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    monkeypatch.setattr(files.os, "fsync", refuse)
    with pytest.raises(
        OSError, match=r"Disk quota exceeded, 0\.5 MB needed: delete files of yours"
    ):
        write_atomic(tmp_path / "x", bytes(500_000))
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def few_inodes(tmp_path):
    """A disk of 4 MB that holds eight files."""
    folder = tmp_path / "disk"
    folder.mkdir()
    options = ["-t", "tmpfs", "-o", "size=4m,nr_inodes=8", "bmix", str(folder)]
    if os.geteuid() != 0 or subprocess.run(["mount", *options], capture_output=True).returncode:
        miss("this machine lets nobody mount a small disk")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_real_disk_without_inodes_is_told_apart_from_a_full_one(few_inodes):
    error = None
    for number in range(10):
        try:
            write_atomic(few_inodes / str(number), "x")
        except OSError as problem:
            error = problem
    assert re.search(r"no inode is left for another file.* 4 MB are free", str(error))
    words, code = explain(error)
    assert words.startswith(f"{few_inodes}/")
    assert code == 2


def end_limited(limit, *words):
    """(code, stdout, stderr) of a command of the kit in a shell in which `limit` was said."""
    command = [sys.executable, "-m", "bmix_lite", *map(str, words)]
    command = ["bash", "-c", f'{limit}; exec "$@"', "bash", *command]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def end_command(capsys, own_signals):
    """A function: (code, stdout, stderr) of a command of the kit, in this process."""

    def end(*words):
        code = bmix_lite.__main__.main([*map(str, words)])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return end


def refused(ending, words):
    code, _, err = ending
    assert "Traceback" not in err
    assert code == 2, err
    assert words in err.splitlines()[-1]


def test_too_few_open_files_are_told_before_a_kernel_starts(tmp_path):
    """`ulimit -n 64` with four jobs aborted the sweep inside libzmq."""
    notebook = write_light(tmp_path)
    arguments = ("sweep", notebook, "--out", tmp_path / "out", "--jobs", "4", "--grid", "seed=0:4")
    refused(end_limited("ulimit -n 64", *arguments), "Too many open files: 4 kernels")
    assert not list(tmp_path.glob("out/*/notebook*.ipynb"))


def test_a_soft_limit_is_raised_and_the_sweep_runs(tmp_path):
    notebook = write_light(tmp_path)
    code, _, err = sweep(notebook, tmp_path / "out", "--grid", "seed=0:2", preexec_fn=limit_softly)
    assert code == 0, err


def limit_softly():
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["report", "/proc/1/nothing"], "there is no folder"),
        (["keep", "x", "y", "--table", "missing.csv"], "missing.csv: there is no such file"),
        (["demo", "--seeds", "9" * 30], "seeds must be an integer in 1..1000, got 9999"),
        (["html", "x" * 5000], "the name is too long for this file system"),
        (["student", "--out", "/proc/out"], "/proc/out"),
    ],
)
def test_commands_on_what_cannot_be_read_or_written_end_in_a_line(
    arguments, words, tmp_path, root, end_command, monkeypatch
):
    (tmp_path / "notebooks").symlink_to(root / "notebooks")
    monkeypatch.chdir(tmp_path)
    refused(end_command(*arguments), words)


@pytest.mark.parametrize("value", ["9" * 30, str(2**63), "1e400"])
def test_numbers_over_64_bits_are_refused_by_name(value, tmp_path, end_command):
    notebook = write_light(tmp_path)
    arguments = ("sweep", notebook, "--out", tmp_path / "out", "--grid", f"seed={value}")
    refused(end_command(*arguments), "seed must be")
    arguments = ("sweep", notebook, "--out", tmp_path / "out", "--jobs", "9" * 30)
    refused(end_command(*arguments), "jobs must be at most 1024")


def test_a_reader_that_leaves_is_no_error(tmp_path):
    notebook = write_light(tmp_path)
    command = [sys.executable, "-m", "bmix_lite", "sweep", str(notebook), "--dry-run"]
    command += ["--out", str(tmp_path / "out"), "--grid", "seed=0:20"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process.stdout.close()
    assert "Traceback" not in process.stderr.read()
    assert process.wait(60) in (0, 120, 141)
    process.stderr.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_command_in_a_line_and_130(number, tmp_path):
    program = """
import os, signal, sys, bmix_lite.__main__ as kit
def wait(chosen):
    os.kill(os.getpid(), int(sys.argv.pop()))
    signal.pause()
names = kit.COMMANDS
first = names["report"]
names["report"] = (wait, first[1]) if isinstance(first, tuple) else wait
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.exit(kit.main(["report", "x"]))
"""
    command = [sys.executable, "-c", program, str(int(number))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 130
    assert done.stderr.strip().splitlines() == [
        "stopped. What is complete is kept; the same command goes on from there."
    ]
