"""Where the file of an image lies: below one folder, never outside it, and not among what systems leave there."""

import functools
import os
import re
from dataclasses import dataclass

from bmix_lite.preparation.faults import shorten

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
HIDDEN = {"__macosx", "thumbs.db", "desktop.ini"}  # and all that begins with a dot


@dataclass(frozen=True, slots=True)
class Place:
    """Where the file of an image lies, or why it is refused."""

    id: str
    path: str = ""
    kind: str = ""
    fault: str = ""


class Places:
    """Finds files below `root` and never follows a path or a link out of it."""

    def __init__(self, root, suffix="", search=False):
        self.root, self.suffix, self.search = os.fspath(root), suffix, search
        self.real = os.path.realpath(root)
        self.folder_inside = functools.lru_cache(maxsize=None)(
            self.is_inside
        )  # links are resolved once a folder

    def __call__(self, text):
        name = text.replace("\\", "/")
        name = name if name.endswith(self.suffix) else name + self.suffix
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if not text.strip() or not parts:
            return Place(text, kind="path", fault="no path")
        if name.startswith("/") or re.match("[A-Za-z]:", name):
            return Place(
                text,
                kind="path",
                fault=f"{text!r} is an absolute path: write it from the images' folder on",
            )
        if ".." in parts or re.search(r"[\x00-\x1f]", name):
            return Place(text, kind="path", fault=f"{text!r} leads out of the folder of the images")
        name = "/".join(parts)
        if self.search:
            found = self.by_name.get(parts[-1], [])
            if len(found) > 1:
                return Place(
                    name,
                    kind="missing",
                    fault=f"{parts[-1]!r} is there more than once: {shorten(found, 3)}",
                )
            name = found[0] if found else name
        path = os.path.join(self.root, name)
        if not self.folder_inside(os.path.dirname(path)) or (
            os.path.islink(path) and not self.is_inside(path)
        ):
            return Place(
                name,
                kind="path",
                fault=f"{text!r} is a link that leads out of the folder of the images",
            )
        if not os.path.exists(path):
            return Place(name, kind="missing", fault=f"{name} is not there")
        return Place(name, path)

    def is_inside(self, path):
        """Whether a file or folder, its links followed, lies below the root."""
        return os.path.commonpath((self.real, os.path.realpath(path))) == self.real

    @functools.cached_property
    def by_name(self):
        names = {}
        for path in self.walk():
            names.setdefault(path.rpartition("/")[2], []).append(path)
        return names

    def walk(self):
        """Paths of all images below the root."""
        for folder, folders, files in os.walk(self.root):
            folders[:] = sorted(name for name in folders if not is_hidden(name))
            below = os.path.relpath(folder, self.root).replace(os.sep, "/")
            for name in sorted(files):
                if is_image(name) and not is_hidden(name):
                    yield name if below == "." else f"{below}/{name}"


def scan(folder):
    """Names of folders and of files in `folder`, sorted, without what systems leave there."""
    with os.scandir(folder) as entries:
        seen = sorted(
            (entry.name, entry.is_dir()) for entry in entries if not is_hidden(entry.name)
        )
    return [name for name, is_folder in seen if is_folder], [
        name for name, is_folder in seen if not is_folder
    ]


def is_hidden(name):
    return name.startswith(".") or name.lower() in HIDDEN


def is_image(name):
    return os.path.splitext(name)[1].lower() in SUFFIXES
