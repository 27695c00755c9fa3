"""Locks on files that the operating system drops when their owner dies, however it dies. Linux and macOS."""

import contextlib
import os
import platform
import time
from pathlib import Path

from bmix_lite.base.errors import BmixError

_held = {}  # path: handle, for this process; a lock is taken once however often it is asked for


def take_lock(path, what, *, wait=0.0):
    """Hold the lock file at `path` until `drop_lock` or the end of this process; asked again, it stays held.

    wait: seconds to wait for another owner. Raises BmixError, which says that `what` is in use and by whom.
    """
    path = Path(path).absolute()
    if path not in _held:
        _held[path] = _take(path, what, wait)


def drop_lock(path):
    """Give back what `take_lock` took; nothing happens where it was not taken."""
    handle = _held.pop(Path(path).absolute(), None)
    if handle is not None:
        _drop(handle)


@contextlib.contextmanager
def locked(path, what, *, wait=0.0):
    """The lock for the length of a `with`; another thread of this process that asks for it is refused, too."""
    handle = _take(Path(path).absolute(), what, wait)
    try:
        yield
    finally:
        _drop(handle)


def _take(path, what, wait):
    import fcntl

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
    except OSError as error:
        raise BmixError(f"{what}: its lock cannot be written ({error})") from error
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
        except OSError as error:  # some network file systems have no locks
            os.close(handle)
            raise BmixError(f"{what}: {path} cannot be locked ({error})") from error
    with contextlib.suppress(OSError):  # a full disk; the name is for people only
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"process {os.getpid()} on {platform.node()}".encode(), 0)
    return handle


def _drop(handle):
    with contextlib.suppress(OSError):
        os.ftruncate(handle, 0)
    os.close(handle)
