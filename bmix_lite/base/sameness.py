"""What a path stands for: the same folder of data, or file of weights, wherever it lies."""

import functools
import os
import stat
from pathlib import Path

from bmix_lite.base.files import sha256_of


def name_dataset(dataset):
    """A built-in name as it is, or the last part of a folder's path."""
    path = Path(dataset)
    if path.name in ("", ".."):
        path = Path(os.path.abspath(dataset))
    return path.name


def hash_weights(weights):
    """sha256 of a file of weights; None for "", "imagenet" and what is no file."""
    return None if weights in ("", "imagenet") else _sha256_if_file(weights)


def _sha256_if_file(path):
    """`sha256_of` a file, computed anew where size or time have changed; None without a file."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    return _hash_once(os.path.abspath(path), status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=64)
def _hash_once(path, size, time):
    return sha256_of(path)
