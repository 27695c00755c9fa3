"""Locks on files that the operating system drops when their owner dies, however it dies. Linux and macOS."""

import contextlib
import os
import platform
import time
from pathlib import Path

from bmix_lite.errors import BmixError

_held = {}  # path: handle, for this process; a lock is taken once however often it is asked for


def take_lock(path, what, *, wait=0.0):
    """Hold the lock file at `path` until `drop_lock` or the end of this process; asked again, it stays held.

    wait: seconds to wait for another owner. Raises BmixError, which says that `what` is in use and by whom.
    """
    import fcntl

    path = Path(path).absolute()
    if path in _held:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
    patience = time.monotonic() + wait
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if time.monotonic() > patience:
                owner = os.pread(handle, 200, 0).decode(errors="replace") or "another process"
                os.close(handle)
                raise BmixError(f"{what} is in use by {owner}: wait until it has ended") from None
            time.sleep(0.1)
    os.ftruncate(handle, 0)
    os.pwrite(handle, f"process {os.getpid()} on {platform.node()}".encode(), 0)
    _held[path] = handle


def drop_lock(path):
    """Give back what `take_lock` took; nothing happens where it was not taken."""
    handle = _held.pop(Path(path).absolute(), None)
    if handle is not None:
        os.ftruncate(handle, 0)
        os.close(handle)


@contextlib.contextmanager
def locked(path, what, *, wait=0.0):
    """The lock for the length of a `with`."""
    take_lock(path, what, wait=wait)
    try:
        yield
    finally:
        drop_lock(path)
