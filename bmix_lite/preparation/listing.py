"""Which images there are, with which labels: what a Listing holds, and how a table gives it.

No image is opened. Class folders: folders.py; points, boxes, arrays: their own files.
"""

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from bmix_lite.base.errors import BmixError, require
from bmix_lite.preparation.faults import Fault, shorten
from bmix_lite.preparation.groups import compile_group, warn_of_columns
from bmix_lite.preparation.paths import FileFinder, begins_like_image, is_image
from bmix_lite.preparation.rows import (
    check_columns,
    check_row,
    read_fold,
    read_rows,
    read_split,
    refuse_unnamed_split,
)
from bmix_lite.preparation.sameness import is_blank
from bmix_lite.preparation.table import read_table

NO_FILES = "is the folder right? a suffix missing (suffix)? are they in folders below (search)?"


@dataclass(frozen=True, slots=True)
class Item:
    """One image: id is its path below the folder of images, "#2" added for its second box.

    where: file, row or object that lists it, for messages
    """

    id: str
    path: str
    label: str
    where: str
    group: str = ""
    split: str = ""
    fold: str = ""
    box: tuple | None = None

    @property
    def file_id(self):
        """The id of the file: without the number of a box."""
        return self.id.rpartition("#")[0] if self.box else self.id

    @property
    def class_label(self):
        """The label without the blanks around it, by which classes are told apart."""
        return self.label.strip()


@dataclass
class Listing:
    """The images found, the faults found on the way, and how many rows each label has.

    labels, and parts, (part of a split that came with the data, label), count faulty rows, too;
      unlabelled counts those of which the label cannot be read
    side, blocks: where the images are arrays already, pixels of a side, and a function that yields
      them in order, (n, side, side, C) uint8 at a time; digest: their hash where no file has a date
    companions: the kind of fault that masks and previews beside the images are, "" where all that
      look like such are meant
    """

    source: Path
    items: list = field(default_factory=list)
    faults: list = field(default_factory=list)
    labels: Counter = field(default_factory=Counter)
    parts: Counter = field(default_factory=Counter)
    unlabelled: int = 0
    side: int = 0
    blocks: Callable | None = None
    digest: str = ""
    companions: str = "companion"

    def fault(self, kind, where, found, item=None):
        """Add a Fault; item: its image, where there is one that can be shown."""
        self.faults.append(Fault(kind, where, found, asides=() if item is None else (item,)))


def list_table(
    path, *, images=None, columns=None, group_from=None, suffix="", search=False, leave_out=None
):
    """The images of a CSV or TSV, whose paths lie below `images` (unless given, its own folder).

    columns: names of the columns "path", "label", "group", "split", "fold"; the last three only
      where there are such, and "split": None where one shall not be used; "label" may be a list
      of columns, one of 0 and 1 for each class
    group_from: a regular expression with one group, which finds the group in the path, such as
      r"(\\d+)_(?:left|right)"
    suffix: what the paths lack, ".jpeg"; search: True looks for the names in all folders below
    leave_out: a LeaveOut, which also leaves out rows
    Raises BmixError where columns or all files are missing; other faults are in the Listing.
    """
    given = columns
    columns = check_columns(columns)
    pattern = None if group_from is None else compile_group(group_from)
    table = read_table(path)
    refuse_unnamed_split(table, given)
    root = Path(images) if images is not None else table.path.parent
    require(root.is_dir(), f"images: {root}: there is no such folder")
    find = FileFinder(root, suffix, search, leave_out)
    listing = Listing(table.path, faults=list(table.faults), unlabelled=len(table.misfits))
    warn_of_columns(listing, table.header, columns, group_from)
    rows = read_rows(table, columns)
    seen = set()
    for number, row in zip(table.numbers, rows, strict=True):
        file = find(row["path"])
        seen.add(file.id)
        if find.leave_out(file.id):
            continue
        if pattern is not None:
            match = pattern.search(file.id)
            row["group"] = match[1] if match else ""
        faults = list(check_row(row, file, columns, group_from))
        _add_row(listing, f"{table.path.name} row {number}", row, file, faults)
    _check_missing(listing, root, [row["path"] for row in rows], suffix)
    _find_unlisted(listing, find, seen, table.misfits)
    _find_unused(listing, columns["label"])
    return listing


def _find_unlisted(listing, find, seen, misfits):
    """A note of the images that no row lists, not even one that does not fit."""
    files = set(find.walk_all()) - seen
    images = set(filter(is_image, files))
    if images and misfits:
        images -= {find(cell).id for row in misfits for cell in row}
    if images:
        found = f"{len(images)} images: {shorten(sorted(images))}"
        listing.fault("unlisted", Path(find.root).name, found)
    others = sorted(files - set(filter(is_image, files)))
    odd = [path for path in others if begins_like_image(os.path.join(find.root, path))]
    if odd:
        listing.fault("ending", Path(find.root).name, f"{len(odd)} files: {shorten(odd)}")


def _find_unused(listing, columns):
    """Warnings of the columns, one per class, that hold no 1."""
    names = [] if isinstance(columns, str) else columns
    for name in names:
        if not listing.labels[name]:
            listing.fault("unused", repr(name), "0 images")


def _add_row(listing, where, row, file, faults):
    """Add a row to the listing: its faults, or the image where there are none."""
    label = row["label"]
    if is_blank(label) or row["why"]:
        listing.unlabelled += 1
    else:
        listing.labels[label] += 1
    split = read_split(row["split"])
    if split:
        listing.parts[split, label] += 1
    item = Item(file.id, file.path, label, where, row["group"], split, read_fold(row["fold"]))
    for kind, found in faults:
        listing.fault(kind, where, found, None if file.fault else item)
    if not faults:
        listing.items.append(item)


def _check_missing(listing, root, paths, suffix):
    """Where every file is missing, the folder is rather a wrong one. Raises BmixError."""
    missing = sum(fault.kind == "missing" for fault in listing.faults)
    if paths and missing >= len(paths):
        raise BmixError(
            f"{root}: none of the {missing} files of {listing.source} is there, "
            f"the first is {root / paths[0]}{suffix}: {NO_FILES}"
        )
