"""What an archive says is in it, and which archives and members must not be unpacked."""

import contextlib
import re
import stat
import tarfile
import unicodedata
import zipfile
from typing import NamedTuple

from bmix_lite.base.errors import BmixError

TOTAL = 20_000_000_000  # bytes unpacked, unless the caller knows better
RATIO = 100  # times the archive's size; images reach 3, text 20, a bomb of zeros 1000
SMALL = 1_000_000  # bytes unpacked that are no bomb at any ratio
MOST = 200_000  # members
CROWD = 5000  # with more members than this, smaller than TINY on average, it is not a dataset
TINY = 32  # bytes
NESTED = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".7z", ".rar")
CHUNK = 1 << 20


class Member(NamedTuple):
    name: str
    size: int  # bytes, as declared
    fault: str  # why it is refused, or ""
    folder: bool
    entry: object


@contextlib.contextmanager
def opened(archive):
    """The open archive and the list of its members; BmixError where it cannot be read."""
    with contextlib.ExitStack() as stack:
        kind = "zip or tar"
        try:
            with archive.open("rb") as file:
                if file.read(2) == b"PK":
                    kind = "zip"
            if kind == "zip":
                source = stack.enter_context(zipfile.ZipFile(archive))
                members = [_describe_zipped(info) for info in source.infolist()]
            else:
                source = stack.enter_context(tarfile.open(archive))
                members = _list_tar(archive, source)
        except BmixError:
            raise
        except Exception as error:  # the readers raise anything
            raise BmixError(
                f"{archive}: not a whole {kind}: {error}: remove it and download it again"
            ) from error
        yield source, members


def _describe_zipped(info):
    kind = stat.S_IFMT(info.external_attr >> 16)
    fault = "has a password" if info.flag_bits & 1 else ""
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        fault = "is a link or a device"
    return Member(info.orig_filename, info.file_size, fault, info.is_dir(), info)


def _list_tar(archive, source):
    members = []
    size = 0
    most = max(TOTAL, RATIO * archive.stat().st_size)
    for info in source:
        size += info.size
        if size > most or len(members) > MOST:
            raise BmixError(f"{archive}: member {info.name!r}: too much for an archive")
        plain = info.isdir() or (info.isreg() and not info.issparse())
        fault = "" if plain else "is a link or a device"
        members.append(Member(info.name, info.size, fault, info.isdir(), info))
    _check_end(archive, source, members)
    return members


def _check_end(archive, source, members):
    """Raise BmixError where a tar ends too early or goes on after its end."""
    where = f"after member {members[-1].name!r}" if members else "at its beginning"
    # tarfile takes a damaged header for the end, which is a block of zeros
    source.fileobj.seek(source.offset)
    if source.fileobj.read(512) != bytes(512):
        raise BmixError(f"{archive}: truncated or damaged {where}")
    while source.fileobj.read(CHUNK):  # gzip has its checksum behind the last block
        if source.fileobj.tell() >= source.offset + 16 * CHUNK:
            raise BmixError(f"{archive}: more data {where}, behind its end")


def check_members(archive, members, total):
    """The names of each member, folder by folder; BmixError for what must not be unpacked."""
    _check_size(archive, members, total)
    parts = []
    files = {}  # folded names: the member that has them
    folders = {}
    for member in members:
        names = [name for name in member.name.split("/") if name not in ("", ".")]
        _check_member(archive, member, names)
        key = tuple(_fold(name) for name in names)
        if not member.folder:
            if key in files:
                raise BmixError(
                    f"{archive}: member {member.name!r} has the name of member {files[key]!r},"
                    " perhaps except for case"
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


def _check_size(archive, members, total):
    """Raise BmixError for an archive without files, with too many, or too large: a bomb."""
    packed = archive.stat().st_size
    size = sum(member.size for member in members)
    count = len(members)
    if all(member.folder for member in members):
        raise BmixError(f"{archive}: has no files in it")
    if count > MOST:
        raise BmixError(f"{archive}: {count} members, at most {MOST} are unpacked")
    if count > CROWD and size < TINY * count:
        raise BmixError(f"{archive}: {count} members of {size / count:.1f} bytes each")
    megabytes = f"{size / 1e6:.1f} MB"
    if size > total:
        most = f"at most {total / 1e6:.1f} MB are allowed (total)"
        raise BmixError(f"{archive}: {megabytes} unpacked, {most}")
    if size > max(SMALL, RATIO * packed):
        raise BmixError(
            f"{archive}: {megabytes} from {packed / 1e6:.3f} MB, more than {RATIO} times as large"
        )


def _check_member(archive, member, names):
    """Raise BmixError for a member that must not be unpacked. names: its path, folder by folder"""
    fault = member.fault
    if member.name.startswith("/") or ".." in names or re.match(r"[A-Za-z]:", member.name):
        fault = "leads out of the folder"
    elif re.search(r"[\\\x00-\x1f]", member.name):
        fault = "has a backslash or a control character in it"
    elif not names and not member.folder:
        fault = "has no name"
    elif not fault and not member.folder and member.name.lower().endswith(NESTED):
        fault = "is an archive in the archive"
    if fault:
        raise BmixError(f"{archive}: member {member.name!r} {fault}")


def _fold(name):
    """A name as macOS and Windows compare it."""
    return unicodedata.normalize("NFC", name).casefold()
