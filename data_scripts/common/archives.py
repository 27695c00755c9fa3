"""Unpacking one zip or tar into a folder that appears only when it is complete."""

import contextlib
import errno
import os
import shutil
import zipfile
from pathlib import Path

from filelock import FileLock

from bmix_lite.base.errors import BmixError, require
from common.members import CHUNK, TOTAL, check_members, opened

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def extract(archive, folder, *, total=None):
    """Unpack a zip or tar into `folder`, which is returned; a folder with content is left as it is.

    total: bytes that the content may have, 20 GB unless given
    Raises BmixError with the member and the rule it breaks; then no folder is left. The archive is
    only read.
    """
    archive = Path(archive)
    folder = Path(folder)
    if _has_content(folder):
        return folder
    require(archive.is_file(), f"{archive}: there is no such file")
    needed = None
    try:
        with locked(folder):
            if _has_content(folder):  # another process was faster
                return folder
            with opened(archive) as (source, members):
                parts = check_members(archive, members, TOTAL if total is None else total)
                needed = sum(member.size for member in members)
                _unpack(archive, source, members, parts, folder)
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise BmixError(no_room(folder, needed)) from error
    return folder


def _unpack(archive, source, members, parts, folder):
    """Write all members into a folder beside `folder`, which takes its place when it is whole.

    parts: the names of each member, folder by folder
    """
    needed = sum(member.size for member in members)
    partial = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(partial, ignore_errors=True)  # of a killed process
    try:
        if needed > shutil.disk_usage(folder.parent).free:
            raise BmixError(no_room(folder, needed))
        partial.mkdir()
        for member, names in zip(members, parts, strict=True):
            _write(archive, source, member, partial.joinpath(*names))
        os.replace(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextlib.contextmanager
def locked(path):
    """Hold `.NAME.lock` beside `path`; others wait until its holder is done or dead."""
    lock = path.with_name(f".{path.name}.lock")
    with FileLock(lock, fallback_to_soft=False):
        try:
            yield
        finally:
            with contextlib.suppress(PermissionError):  # Windows: it goes when it is closed
                lock.unlink(missing_ok=True)


def no_room(path, needed):
    """The message for a full disk. needed: bytes, or None where unknown"""
    free = shutil.disk_usage(path.parent).free
    amount = "an unknown number of" if needed is None else f"{needed / 1e6:.1f}"
    return f"{path}: no room on the disk: {amount} MB needed, {free / 1e6:.1f} MB free"


def _has_content(folder):
    if os.path.lexists(folder) and not folder.is_dir():
        raise BmixError(f"{folder} is there and is not a folder")
    return folder.is_dir() and any(folder.iterdir())


def _write(archive, source, member, path):
    """Write one member; counts what comes, since a declared size may lie."""
    try:
        if member.folder:
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            _write_file(archive, source, member, path)
    except BmixError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in FULL:
            raise
        raise BmixError(f"{archive}: member {member.name!r} cannot be unpacked: {error}") from error


def _write_file(archive, source, member, path):
    name = f"{archive}: member {member.name!r}"
    open_member = source.open if isinstance(source, zipfile.ZipFile) else source.extractfile
    size = 0
    # x: never over a file, never through a link
    with open_member(member.entry) as content, path.open("xb") as file:
        while chunk := content.read(CHUNK):
            size += len(chunk)
            if size > member.size:
                raise BmixError(f"{name} is larger than the {member.size} bytes it declares")
            file.write(chunk)
    if size != member.size:
        raise BmixError(f"{name} has {size} bytes and declares {member.size}")
