"""A prepared folder is made once, by one process, and never of something else."""

import contextlib

from bmix_lite.base.errors import BmixError
from bmix_lite.base.locks import locked
from bmix_lite.data.prepared import read_about

LOCK = ".lock"  # in the folder that is prepared, while it is
WAIT = 60  # seconds for another preparation of the same folder


@contextlib.contextmanager
def unless_made(folder, key):
    """Whether the folder holds the dataset of this very call; else no other may write it meanwhile.

    key: a hash of the call. Another preparation of the folder is waited for a minute, then it is
    refused in words.
    """
    if _is_made(folder, key):
        yield True
        return
    folder.mkdir(parents=True, exist_ok=True)
    lock = folder / LOCK
    with locked(lock, f"the preparation of {folder}", wait=WAIT):
        try:
            yield _is_made(folder, key)  # by the one that held the lock
        finally:
            lock.unlink(missing_ok=True)


def _is_made(folder, key):
    """Whether the folder holds the dataset of this very call. Raises BmixError for another."""
    if not (folder / "dataset.json").exists():
        return False
    if read_about(folder).get("key") != key:
        raise BmixError(
            f"{folder} holds a dataset made of other files or options: choose another folder"
        )
    return True
