"""Where the file of an image lies: below one folder, never outside it; hidden files left out."""

import functools
import os
import re
from dataclasses import dataclass

from bmix_lite.base.files import name_special
from bmix_lite.preparation.faults import as_text, shorten
from bmix_lite.preparation.sameness import as_shown, reads_as, reads_as_file, show

SUFFIXES = {
    ".dcm",
    ".jpg",
    ".jpeg",
    ".png",
    ".bmp",
    ".tif",
    ".tiff",
    ".gif",
    ".webp",
    ".jp2",
    ".pgm",
    ".ppm",
}
STARTS = (  # of JPEG, PNG, GIF, TIFF, JPEG 2000
    b"\xff\xd8\xff",
    b"\x89PNG\r\n\x1a\n",
    b"GIF8",
    b"II*\0",
    b"MM\0*",
    b"\0\0\0\x0cjP  ",
)
HIDDEN = {"__macosx", "thumbs.db", "desktop.ini"}  # and all that begins with a dot


@dataclass(frozen=True, slots=True)
class FoundFile:
    """The file of an image: id is its path below the folder. Or why it is refused."""

    id: str
    path: str = ""
    kind: str = ""  # of the fault
    fault: str = ""


class FileFinder:
    """Finds files below `root` by what a table calls them; never leaves `root`, not by a link.

    suffix: what the names lack, such as ".jpeg"
    search: True looks for the file name in all folders below `root`
    leave_out: says of a path below `root` whether `walk` leaves it out
    """

    def __init__(self, root, suffix="", search=False, leave_out=None):
        self.root = os.fspath(root)
        self.suffix = suffix
        self.search = search
        self.leave_out = leave_out or (lambda path: False)
        self.real = os.path.realpath(root)
        # the links of a folder are followed once
        self.is_folder_inside = functools.lru_cache(maxsize=None)(self.is_inside)

    def __call__(self, text):
        """The FoundFile of a path in a table."""
        try:
            text.encode()
        except UnicodeEncodeError:
            return FoundFile(as_text(text), kind="path", fault="the name is no UTF-8: rename it")
        name = text.replace("\\", "/")
        if not name.endswith(self.suffix):
            name += self.suffix
        parts = [part for part in name.split("/") if part not in ("", ".")]
        fault = self._refuse_text(text, name, parts)
        if fault:
            return FoundFile(text, kind="path", fault=fault)
        name = "/".join(parts)
        if self.search:
            namesakes = self.by_name.get(parts[-1]) or self._list_twins(parts[-1])
            if len(namesakes) > 1:
                fault = f"{parts[-1]!r} is there more than once: {shorten(namesakes, 3)}"
                return FoundFile(name, kind="missing", fault=fault)
            name = namesakes[0] if namesakes else name
        return self._find(text, name)

    def _refuse_text(self, text, name, parts):
        """What is wrong with the path as it is written, "" where nothing is."""
        if not text.strip() or not parts:
            return "no path"
        if name.startswith("/") or re.match("[A-Za-z]:", name):
            return f"{text!r} is an absolute path: write it from the images' folder on"
        if ".." in parts:
            return f"{text!r} leads out of the folder of the images"
        if re.search(r"[\x00-\x1f]", name):
            return f"{text!r} holds a line break or another control character: rename it"
        return ""

    def _find(self, text, name):
        path = os.path.join(self.root, name)
        leaves = not self.is_folder_inside(os.path.dirname(path))
        if leaves or (os.path.islink(path) and not self.is_inside(path)):
            fault = f"{text!r} is a link that leads out of the folder of the images"
            return FoundFile(name, kind="path", fault=fault)
        if os.path.exists(path):
            return FoundFile(name, path)
        twins = [twin for twin in self._list_twins(name) if as_shown(twin) == as_shown(name)]
        if len(twins) == 1:
            return self._find(text, twins[0])
        near = self._list_alike(name)
        if not self.search:
            near = [other for other in near if _same_folder(other, name)]
        hint = f", but {shorten(map(show, near), 3)} is" if near else ""
        return FoundFile(name, kind="missing", fault=f"{name} is not there{hint}")

    def _list_alike(self, name):
        """Paths of files, in any folder, whose names read like this one."""
        return self.by_reading.get(reads_as_file(name)[1:], [])

    def _list_twins(self, name):
        """Those whose names show no difference, such as another Unicode form of é."""
        last = as_shown(name.rpartition("/")[2])
        alike = self._list_alike(name)
        return [other for other in alike if as_shown(other.rpartition("/")[2]) == last]

    def is_inside(self, path):
        """Whether a file or folder, its links followed, lies below the root."""
        return os.path.commonpath((self.real, os.path.realpath(path))) == self.real

    @functools.cached_property
    def by_name(self):
        """{file name: paths below the root}."""
        return self._index(lambda path: path.rpartition("/")[2])

    @functools.cached_property
    def by_reading(self):
        """{how a file name reads: paths below the root}."""
        return self._index(lambda path: reads_as_file(path)[1:])

    def _index(self, key_of):
        """{key: paths of images}; of those that are left out where there are no others.

        A row of a file that is left out is so found, and left out, instead of called missing.
        """
        used = {}
        left_out = {}
        for path in filter(is_image, self._walk()):
            paths = left_out if self.leave_out(path) else used
            paths.setdefault(key_of(path), []).append(path)
        return left_out | used

    def walk(self):
        """Paths of all images below the root, without those that are left out."""
        return (path for path in self.walk_all() if is_image(path))

    def walk_all(self):
        """Paths of all files below the root, without those that are left out."""
        return (path for path in self._walk() if not self.leave_out(path))

    def _walk(self):
        for folder, folders, files in os.walk(self.root):
            folders[:] = sorted(name for name in folders if not is_hidden(name))
            below = os.path.relpath(folder, self.root).replace(os.sep, "/")
            for name in sorted(files):
                if not is_hidden(name):
                    yield name if below == "." else f"{below}/{name}"


def _same_folder(one, other):
    return reads_as(one.rpartition("/")[0]) == reads_as(other.rpartition("/")[0])


def scan(folder):
    """Names of folders and of files in `folder`, sorted, without what systems leave there."""
    with os.scandir(folder) as entries:
        is_folder = {entry.name: entry.is_dir() for entry in entries if not is_hidden(entry.name)}
    names = sorted(is_folder)
    folders = [name for name in names if is_folder[name]]
    files = [name for name in names if not is_folder[name]]
    return folders, files


def is_hidden(name):
    """Whether it is one of the files and folders that systems leave behind."""
    return name.startswith(".") or name.lower() in HIDDEN


def begins_like_image(path):
    """Whether a file that is no image by its name begins like one."""
    try:
        if name_special(path):
            return False
        with open(path, "rb") as file:
            start = file.read(132)
    except OSError:
        return False
    is_webp = start[:4] == b"RIFF" and start[8:12] == b"WEBP"
    is_heic = start[4:8] == b"ftyp" and start[8:12] in (b"heic", b"heix", b"mif1", b"avif")
    is_bitmap = start[:2] == b"BM" and start[6:10] == bytes(4)
    is_dicom = start[128:] == b"DICM"
    return start.startswith(STARTS) or any((is_webp, is_heic, is_bitmap, is_dicom))


def is_image(name):
    """Whether a file is an image by its name."""
    return os.path.splitext(name)[1].lower() in SUFFIXES
