import errno
import os
import select
import signal
import subprocess
import sys
import threading

import pytest

from bmix_lite.base.errors import BmixError
from bmix_lite.base.locks import drop_lock, locked, take_lock
from toy_sweeps import end

HOLDER = """import sys, time
from bmix_lite.base.locks import take_lock
take_lock(sys.argv[1], "it", wait=60)
print("held", flush=True)
sys.stdin.read()"""


def hold(path):
    """A process that holds the lock until its stdin is closed."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], **pipes)
    assert process.stdout.readline() == "held\n"
    return process


@pytest.fixture
def holder(tmp_path):
    process = hold(tmp_path / "lock")
    yield process
    process.kill()
    process.communicate()


def test_a_lock_that_another_process_holds_is_refused_in_words_that_name_it(tmp_path, holder):
    refusal = rf"the run is in use by process {holder.pid} on \S+: wait until it has ended"
    with pytest.raises(BmixError, match=refusal):
        take_lock(tmp_path / "lock", "the run")
    with pytest.raises(BmixError, match="in use"), locked(tmp_path / "lock", "the run"):
        pytest.fail("it was given twice")


def test_a_lock_whose_owner_was_killed_does_not_block(tmp_path, holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert (tmp_path / "lock").read_text().startswith(f"process {holder.pid}")
    with locked(tmp_path / "lock", "the run"):
        assert (tmp_path / "lock").read_text().startswith(f"process {os.getpid()} ")


def test_a_frozen_owner_does_not_lose_its_lock_whatever_the_clock_says(tmp_path, holder):
    holder.send_signal(signal.SIGSTOP)
    for when in (0, 4_000_000_000):
        os.utime(tmp_path / "lock", (when, when))
        with pytest.raises(BmixError, match=f"process {holder.pid}"):
            take_lock(tmp_path / "lock", "the run", wait=0.3)
    holder.send_signal(signal.SIGCONT)
    with pytest.raises(BmixError, match=f"process {holder.pid}"):
        take_lock(tmp_path / "lock", "the run")


def test_one_that_waits_gets_the_lock_when_it_is_free(tmp_path):
    with locked(tmp_path / "lock", "it"):
        script = HOLDER.replace("take_lock(", 'print("asks", flush=True)\ntake_lock(')
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        waiting = subprocess.Popen([sys.executable, "-c", script, str(tmp_path / "lock")], **pipes)
        assert waiting.stdout.readline() == "asks\n"
        assert select.select([waiting.stdout], [], [], 0.3)[0] == []
        assert (tmp_path / "lock").read_text().startswith(f"process {os.getpid()} ")
    assert waiting.stdout.readline() == "held\n"
    assert end(waiting)[0] == 0


def test_a_process_that_asks_again_keeps_its_lock_until_it_drops_it(tmp_path):
    take_lock(tmp_path / "lock", "it")
    take_lock(tmp_path / "lock", "it")
    with pytest.raises(BmixError, match=f"process {os.getpid()} "), locked(tmp_path / "lock", "it"):
        pytest.fail("it was given twice")
    drop_lock(tmp_path / "lock")
    drop_lock(tmp_path / "lock")
    assert (tmp_path / "lock").read_text() == ""
    end(hold(tmp_path / "lock"))


def test_two_threads_of_one_process_exclude_each_other(tmp_path):
    refused = []

    def ask():
        try:
            with locked(tmp_path / "lock", "it"):
                pass
        except BmixError as error:
            refused.append(str(error))

    with locked(tmp_path / "lock", "it"):
        thread = threading.Thread(target=ask)
        thread.start()
        thread.join()
    assert len(refused) == 1
    assert f"process {os.getpid()} " in refused[0]
    ask()
    assert len(refused) == 1


def test_an_error_inside_gives_the_lock_back(tmp_path):
    with pytest.raises(ZeroDivisionError), locked(tmp_path / "lock", "it"):
        raise ZeroDivisionError
    end(hold(tmp_path / "lock"))


def test_a_program_that_the_owner_starts_does_not_inherit_the_lock(tmp_path):
    script = "import subprocess, sys\n" + HOLDER.replace(
        "sys.stdin.read()",
        "print(subprocess.Popen(['sleep', '60']).pid, flush=True)\nsys.stdin.read()",
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    process = subprocess.Popen([sys.executable, "-c", script, str(tmp_path / "lock")], **pipes)
    assert process.stdout.readline() == "held\n"
    child = int(process.stdout.readline())
    process.kill()
    process.wait()  # not communicate: the child holds the pipe
    try:
        with locked(tmp_path / "lock", "it"):
            assert os.path.exists(f"/proc/{child}")
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_lock_is_not_written_through_a_link(tmp_path):
    (tmp_path / "outside").write_text("mine")
    (tmp_path / "lock").symlink_to(tmp_path / "outside")
    with pytest.raises(BmixError, match="the run: its lock cannot be written"):
        take_lock(tmp_path / "lock", "the run")
    assert (tmp_path / "outside").read_text() == "mine"


def test_a_place_where_no_lock_can_lie_is_told_in_words(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BmixError, match=r"the run: its lock cannot be written \(.*Not a directory"):
        take_lock(tmp_path / "file" / "sub" / "lock", "the run")


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o002, 0o664)])
def test_who_may_read_a_lock_file_is_the_umask_to_say(tmp_path, mask, mode):
    before = os.umask(mask)
    try:
        with locked(tmp_path / "lock", "it"):
            assert (tmp_path / "lock").stat().st_mode & 0o777 == mode
    finally:
        os.umask(before)


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS])
def test_a_file_system_without_locks_is_told_in_words(tmp_path, monkeypatch, number):
    def refuse(*arguments):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", refuse)
    words = rf"the run: {tmp_path}/lock cannot be locked \(.*{os.strerror(number)}"
    with pytest.raises(BmixError, match=words):
        take_lock(tmp_path / "lock", "the run")
