"""Writing files so that each is the old one or the new one, even after `kill -9` or a full disk."""

import contextlib
import errno
import functools
import hashlib
import json
import os
import re
import secrets
import stat
from importlib import resources
from pathlib import Path

from bmix_lite.base.errors import BmixError

# what a spreadsheet would compute, and such text that was guarded before
FORMULA = re.compile(r"'*[=+\-@\t\r]")
SPECIAL = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def write_atomic(path, content, *, durable=True):
    """Write bytes or text under a temporary name in the same folder, fsync, rename to `path`.

    durable: False leaves out the fsync, for what may be lost in a power cut but must never be
    read half-written. Raises OSError; when the disk is full, it names the file and the size needed.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, str):
        content = content.encode()
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        _write_bytes(temporary, content, durable)
        os.replace(temporary, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            # the system names neither the file nor the size
            words = explain_full(error, path, len(content))
            raise OSError(error.errno, words, str(path)) from error
        raise
    if durable:
        _sync_folder(path.parent)


def explain_full(error, path, size=0):
    """Why nothing more can be written at `path`: disk, inodes or quota. size: bytes to write."""
    needed = f", {size / 1e6:.2g} MB needed" if size else ""
    if error.errno == errno.EDQUOT:
        return f"{os.strerror(errno.EDQUOT)}{needed}: delete files of yours, or ask for more"
    try:
        disk = os.statvfs(Path(path or ".").absolute().parent)
    except (OSError, AttributeError):  # gone, or Windows
        return f"{os.strerror(errno.ENOSPC)}{needed}"
    free = disk.f_bavail * disk.f_frsize
    # some file systems count no inodes and say 0 of 0
    if disk.f_files > 0 and disk.f_favail == 0 and free > size:
        room = f"{free / 1e6:,.0f} MB are free"
        return f"no inode is left for another file{needed}; {room}: delete some small files"
    return f"{os.strerror(errno.ENOSPC)}{needed}"


def _write_bytes(path, content, durable):
    with open(path, "wb") as file:
        file.write(content)
        file.flush()
        if durable:
            os.fsync(file.fileno())


def name_special(path):
    """What is at `path` in words if it is no regular file, such as a named pipe, which would hang.

    "" for a regular file, and where there is nothing.
    """
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return ""
    return next((words for holds, words in SPECIAL if holds(mode)), "")


def write_json(path, value):
    """Write `value` as readable JSON; NaN has no place in JSON and is refused."""
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
    write_atomic(path, text + "\n")


def read_json(path):
    """What a JSON file holds. Raises BmixError naming the file if it is not valid."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise BmixError(f"{path}: not valid JSON ({error})") from error


def append_line(path, line):
    """Append one line and fsync it. A line that a crash cut short is ended first and stays alone.

    Several processes may append to one file: their lines do not mix.
    """
    from filelock import lock_descriptor

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    try:
        with contextlib.suppress(OSError):
            # on a network file system two machines can append safely only under a lock
            lock_descriptor(handle, poll_interval=0.01)
        content = line.encode() + b"\n"
        if _ends_inside_a_line(handle):
            content = b"\n" + content
        os.write(handle, content)  # in one call, so that appends do not interleave
        os.fsync(handle)
    finally:
        os.close(handle)


def _ends_inside_a_line(handle):
    size = os.fstat(handle).st_size
    return size > 0 and os.pread(handle, 1, size - 1) != b"\n"


def read_static(name):
    """A script or style of the package, from its folder `static`, as text."""
    return (resources.files("bmix_lite") / "static" / name).read_text(encoding="utf-8")


def fill_static(name, /, **values):
    """A page of the package's folder `static` with its places filled in; every value is escaped."""
    return _compile_static(name).render(**values)


@functools.cache
def _compile_static(name):
    from jinja2 import Environment

    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(read_static(name))


def guard(text):
    """The text, with a quote before what a spreadsheet would compute; `unguard` takes it off."""
    return f"'{text}" if FORMULA.match(text) else text


def unguard(text):
    """The text that `guard` was given."""
    return text[1:] if text.startswith("'") and FORMULA.match(text) else text


def sha256_of(path):
    """Hex digest of a file's content."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_json(value):
    """Hex sha256 of a value of lists, dicts, texts and numbers; the order of a dict counts."""
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()


def remove_leftovers(folder):
    """Delete the temporary files that a killed writer left in `folder`."""
    for path in Path(folder).glob(".*.tmp"):
        path.unlink(missing_ok=True)


def _sync_folder(folder):
    with contextlib.suppress(OSError):  # some network file systems cannot fsync a folder
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
