"""What of a source is not used: what a pattern of the user fits, and what a preparation wrote."""

import os
from fnmatch import fnmatchcase
from pathlib import Path

from bmix_lite.base.errors import BmixError
from bmix_lite.preparation.faults import shorten
from bmix_lite.preparation.paths import scan

WRITTEN = (  # by a preparation, finished or stopped
    {"dataset.json", "images.npy", "table.csv"},
    {"report.json", "report.csv", "report.html"},
)


class LeaveOut:
    """Says of each file and folder of a source whether it is left out, and remembers which were.

    patterns: one or several, as a shell has them; "*_mask*" and "masks" fit the name of a file
      or folder at any depth, "test/*.png" a path below the source; None where none was given
    folder: where the prepared set goes; neither it nor another prepared set is a part of a source
    """

    def __init__(self, root="", patterns=None, folder=None):
        self.root = os.fspath(root)
        self.is_given = patterns is not None
        self.patterns = _list_patterns(patterns)
        self.folder = "" if folder is None else os.path.realpath(folder)
        self.left_out = {pattern: [] for pattern in self.patterns}

    def __call__(self, path):
        """Whether the file or folder `path`, written from the source on, is left out."""
        fitting = [pattern for pattern in self.patterns if _fits(pattern, path)]
        for pattern in fitting:
            self.left_out[pattern].append(path)
        return bool(fitting)

    def scan(self, below=""):
        """As `scan` of a folder below the source, "" for itself, without what is left out."""
        path = os.path.join(self.root, below)
        folders, files = scan(path)
        start = f"{below}/" if below else ""
        kept = [name for name in folders if not self._is_written(os.path.join(path, name))]
        return (
            [name for name in kept if not self(start + name)],
            [name for name in files if not self(start + name)],
        )

    def _is_written(self, path):
        """Whether a folder is a prepared set, or holds nothing but such."""
        if os.path.realpath(path) == self.folder:
            return True
        for names in WRITTEN:
            if all(os.path.exists(os.path.join(path, name)) for name in names):
                return True
        folders, files = scan(path)
        if files or not folders:
            return False
        return all(self._is_written(os.path.join(path, name)) for name in folders)

    def _list_inside(self, pattern):
        """What a pattern fits in folders that another pattern leaves out."""
        tree = os.walk(self.root) if any(self.left_out.values()) else ()
        paths = [os.path.join(folder, name) for folder, _, files in tree for name in files]
        paths = [os.path.relpath(path, self.root).replace(os.sep, "/") for path in paths]
        return [path for path in paths if _fits(pattern, path)]

    def note(self, listing):
        """Add to the listing what was left out. Raises BmixError where a pattern fits nothing."""
        for pattern, paths in self.left_out.items():
            paths = paths or self._list_inside(pattern)
            if not paths:
                raise BmixError(
                    f"leave_out: {pattern!r} fits no file or folder of {listing.source}: "
                    "'*' stands for any characters, capitals count"
                )
            paths = sorted(set(paths))
            listing.fault("left_out", repr(pattern), f"{len(paths)}: {shorten(paths)}")


def _fits(pattern, path):
    """Whether a pattern fits a path, or the name of a file or folder on it."""
    names = [path, f"{path}/"] if "/" in pattern else path.split("/")
    return any(fnmatchcase(name, pattern) for name in names)


def _list_patterns(patterns):
    if patterns is None:
        return []
    if isinstance(patterns, str):
        patterns = [patterns]
    try:
        patterns = list(patterns)
    except TypeError:
        patterns = [patterns]
    odd = [pattern for pattern in patterns if not isinstance(pattern, str) or not pattern]
    if odd:
        raise BmixError(f"leave_out must be a text or a list of texts, got {odd[0]!r}")
    return [pattern.replace("\\", "/").rstrip("/") for pattern in patterns]


def refuse_same(source, folder):
    """Raise BmixError where the prepared set would go into the very folder of the images."""
    if Path(source).is_dir() and os.path.realpath(source) == os.path.realpath(folder):
        raise BmixError(
            f"{folder} is the folder of the images: let the prepared set have a folder of its own"
        )
