"""Unpacking one zip or tar into a folder that appears only when it is complete."""

import contextlib
import errno
import os
import re
import shutil
import stat
import tarfile
import unicodedata
import zipfile
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock

from bmix_lite.base.errors import BmixError, require

TOTAL = 20_000_000_000  # bytes unpacked, unless the caller knows better
RATIO = 100  # times the archive's size; images reach 3, text 20, a bomb of zeros 1000
SMALL = 1_000_000  # bytes unpacked that are no bomb at any ratio
MOST = 200_000  # members
CROWD, TINY = (
    5000,
    32,
)  # more members than this, smaller than this many bytes on average, are no data set
NESTED = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".7z", ".rar")
CHUNK = 1 << 20
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class _Member(NamedTuple):
    name: str
    size: int  # bytes, as declared
    fault: str  # why it is refused, or ""
    folder: bool
    entry: object


def extract(archive, folder, *, total=None):
    """Unpack a zip or tar into `folder`, which is returned; where it is there and not empty, nothing is done.

    total: bytes that the content may have, 20 GB unless given
    Raises BmixError with the member and the rule it breaks; then no folder is left. The archive is only read.
    """
    archive, folder = Path(archive), Path(folder)
    if _is_there(folder):
        return folder
    require(archive.is_file(), f"{archive}: there is no such file")
    needed = None
    try:
        with locked(folder):
            if _is_there(folder):  # another process was faster
                return folder
            with _opened(archive) as (source, members):
                parts = _check(archive, members, TOTAL if total is None else total)
                needed = sum(member.size for member in members)
                partial = folder.with_name(f".{folder.name}.part")
                shutil.rmtree(partial, ignore_errors=True)  # of a killed process
                try:
                    require(
                        needed <= shutil.disk_usage(folder.parent).free, no_room(folder, needed)
                    )
                    partial.mkdir()
                    for member, names in zip(members, parts, strict=True):
                        _write(archive, source, member, partial.joinpath(*names))
                    os.replace(partial, folder)
                finally:
                    shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise BmixError(no_room(folder, needed)) from error
    return folder


@contextlib.contextmanager
def locked(path):
    """Hold `.NAME.lock` beside `path`; a second process or thread waits until the first is done or dead."""
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


def _is_there(folder):
    require(folder.is_dir() or not os.path.lexists(folder), f"{folder} is there and is no folder")
    return folder.is_dir() and any(folder.iterdir())


@contextlib.contextmanager
def _opened(archive):
    """The open archive and the list of its members; whatever the readers raise at a broken one is a BmixError."""
    with contextlib.ExitStack() as stack:
        try:
            with archive.open("rb") as file:
                zipped = file.read(2) == b"PK"
            if zipped:
                source = stack.enter_context(zipfile.ZipFile(archive))
                members = [_describe_zipped(info) for info in source.infolist()]
            else:
                source = stack.enter_context(tarfile.open(archive))
                members = _list_tar(archive, source)
        except BmixError:
            raise
        except Exception as error:
            raise BmixError(
                f"{archive}: no whole {'zip' if zipped else 'zip or tar'}: {error}: remove it and get it again"
            ) from error
        yield source, members


def _describe_zipped(info):
    kind = stat.S_IFMT(info.external_attr >> 16)
    fault = "has a password" if info.flag_bits & 1 else ""
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        fault = "is a link or a device"
    return _Member(info.orig_filename, info.file_size, fault, info.is_dir(), info)


def _list_tar(archive, source):
    members, size, most = [], 0, max(TOTAL, RATIO * archive.stat().st_size)
    for info in source:
        size += info.size
        require(
            size <= most and len(members) <= MOST,
            f"{archive}: member {info.name!r}: too much for an archive",
        )
        fault = (
            ""
            if (info.isreg() and not info.issparse()) or info.isdir()
            else "is a link or a device"
        )
        members.append(_Member(info.name, info.size, fault, info.isdir(), info))
    last = f"after member {members[-1].name!r}" if members else "at its beginning"
    source.fileobj.seek(
        source.offset
    )  # tarfile takes a damaged header for the end, which is a block of zeros
    require(source.fileobj.read(512) == bytes(512), f"{archive}: cut or damaged {last}")
    while source.fileobj.read(CHUNK):  # gzip has its checksum behind the last block
        require(
            source.fileobj.tell() < source.offset + 16 * CHUNK,
            f"{archive}: more data {last}, behind its end",
        )
    return members


def _check(archive, members, total):
    """The names of every member, folder by folder; raises BmixError for what must not be unpacked."""
    packed, size, count = (
        archive.stat().st_size,
        sum(member.size for member in members),
        len(members),
    )
    require(any(not member.folder for member in members), f"{archive}: holds no files")
    require(count <= MOST, f"{archive}: {count} members, at most {MOST} are unpacked")
    require(
        count <= CROWD or size >= TINY * count,
        f"{archive}: {count} members of {size / count:.1f} bytes each",
    )
    require(
        size <= total,
        f"{archive}: {size / 1e6:.1f} MB unpacked, at most {total / 1e6:.1f} MB are allowed (total)",
    )
    ratio = f"{archive}: {size / 1e6:.1f} MB from {packed / 1e6:.3f} MB, more than {RATIO} times as large"
    require(size <= max(SMALL, RATIO * packed), ratio)
    parts, files, folders = [], {}, {}
    for member in members:
        named = f"{archive}: member {member.name!r}"
        names = [name for name in member.name.split("/") if name not in ("", ".")]
        outside = (
            member.name.startswith("/") or ".." in names or re.match(r"[A-Za-z]:", member.name)
        )
        require(not outside, f"{named} leads out of the folder")
        require(
            not re.search(r"[\\\x00-\x1f]", member.name),
            f"{named} has a backslash or a control character in it",
        )
        require(names or member.folder, f"{named} has no name")
        require(not member.fault, f"{named} {member.fault}")
        require(
            member.folder or not member.name.lower().endswith(NESTED),
            f"{named} is an archive in the archive",
        )
        key = tuple(
            unicodedata.normalize("NFC", name).casefold() for name in names
        )  # as macOS and Windows compare
        if not member.folder:
            require(
                key not in files,
                f"{named} has the name of member {files.get(key)!r}, perhaps but for case",
            )
            files[key] = member.name
        for depth in range(1, len(key) + member.folder):
            folders[key[:depth]] = member.name
        parts.append(names)
    for key in files.keys() & folders.keys():
        raise BmixError(
            f"{archive}: member {files[key]!r} is a file, and a folder in {folders[key]!r}"
        )
    return parts


def _write(archive, source, member, path):
    """Write one member; counts what comes, since a declared size may lie."""
    named = f"{archive}: member {member.name!r}"
    try:
        (path if member.folder else path.parent).mkdir(parents=True, exist_ok=True)
        if member.folder:
            return
        size, reader = 0, source.open if isinstance(source, zipfile.ZipFile) else source.extractfile
        with (
            reader(member.entry) as content,
            path.open("xb") as file,
        ):  # x: never over a file, never through a link
            while chunk := content.read(CHUNK):
                size += len(chunk)
                require(
                    size <= member.size,
                    f"{named} is larger than the {member.size} bytes it declares",
                )
                file.write(chunk)
        require(size == member.size, f"{named} has {size} bytes and declares {member.size}")
    except BmixError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in FULL:
            raise
        raise BmixError(f"{named} cannot be unpacked: {error}") from error
