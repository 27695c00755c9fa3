"""Locks on files that the operating system drops when their owner dies, however it dies."""

import contextlib
import os
import platform
from pathlib import Path

from filelock import FileLock, Timeout

from bmix_lite.base.errors import BmixError

_held = {}  # {path: (lock, handle)} of this process; taken once, however often it is asked for


def take_lock(path, what, *, wait=0.0):
    """Hold the lock file at `path` until `drop_lock` or the end of this process.

    Asked again, it stays held. wait: seconds to wait for another owner. Raises BmixError, which
    says that `what` is in use and by whom.
    """
    path = Path(path).absolute()
    if path not in _held:
        _held[path] = _take(path, what, wait)


def drop_lock(path):
    """Give back what `take_lock` took; nothing happens where it was not taken."""
    taken = _held.pop(Path(path).absolute(), None)
    if taken is not None:
        _drop(*taken)


@contextlib.contextmanager
def locked(path, what, *, wait=0.0):
    """The lock for the length of a `with`; also another thread of this process is refused it."""
    taken = _take(Path(path).absolute(), what, wait)
    try:
        yield
    finally:
        _drop(*taken)


def _take(path, what, wait):
    """(lock, handle of its open file): new on each call, as one `FileLock` may be taken twice."""
    handles = []
    lock = FileLock(
        path,
        timeout=wait,
        thread_local=False,  # any thread of this process may drop it
        fallback_to_soft=False,  # a file that merely exists would outlive its owner
        preserve_lock_file=True,
        on_acquired=handles.append,
    )
    try:
        lock.acquire()
    except Timeout:
        owner = _read_owner(path)
        raise BmixError(f"{what} is in use by {owner}: wait until it has ended") from None
    except OSError as error:
        if error.filename is None:  # it is open: some network file systems have no locks
            raise BmixError(f"{what}: {path} cannot be locked ({error})") from error
        raise BmixError(f"{what}: its lock cannot be written ({error})") from error
    _write_owner(handles[0], f"process {os.getpid()} on {platform.node()}")
    return lock, handles[0]


def _drop(lock, handle):
    _write_owner(handle, "")
    lock.release()


def _write_owner(handle, name):
    with contextlib.suppress(OSError):  # a full disk; the name is for people only
        os.ftruncate(handle, 0)
        os.lseek(handle, 0, os.SEEK_SET)
        os.write(handle, name.encode())


def _read_owner(path):
    text = ""
    with contextlib.suppress(OSError), path.open("rb") as file:
        file.seek(1)  # Windows lets nobody read the first byte, which is what is locked
        text = file.read(200).decode(errors="replace")
    number_and_host = text.partition(" ")[2]
    return f"process {number_and_host}" if number_and_host else "another process"
