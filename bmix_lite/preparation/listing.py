"""Which images there are, with which labels: from class folders or a table; no image is opened."""

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from bmix_lite.base.errors import BmixError, require
from bmix_lite.base.files import name_special
from bmix_lite.preparation.faults import Fault, shorten
from bmix_lite.preparation.paths import FileFinder, begins_like_image, is_image, scan
from bmix_lite.preparation.rows import check_columns, check_row, read_fold, read_rows, read_split
from bmix_lite.preparation.table import read_table

NO_CLASSES = (
    "put the images of each class into a folder with its name, "
    "or give a table: prepare(TABLE, …, images=FOLDER)"
)
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
    def class_label(self):
        """The label without the blanks around it, by which classes are told apart."""
        return self.label.strip()


@dataclass
class Listing:
    """The images found, the faults found on the way, and how many rows each label has.

    labels, and parts, (part of a split that came with the data, label), count faulty rows, too
    side: pixels of a side where the images lie in an .npz
    """

    source: Path
    items: list = field(default_factory=list)
    faults: list = field(default_factory=list)
    labels: Counter = field(default_factory=Counter)
    parts: Counter = field(default_factory=Counter)
    side: int = 0

    def fault(self, kind, where, found, item=None):
        """Add a Fault; item: its image, where there is one that can be shown."""
        self.faults.append(Fault(kind, where, found, asides=() if item is None else (item,)))


def list_folder(root):
    """The images of a folder with a folder per class, or of train, val and test folders of such.

    Raises BmixError where there are no class folders.
    """
    root = Path(root)
    if root.is_file():
        raise BmixError(f"{root}: is a file, neither a table (.csv, .tsv, .txt) nor arrays (.npz)")
    special = name_special(root)
    if special not in ("", "a folder"):
        raise BmixError(f"{root}: is {special}, expected a folder")
    require(root.is_dir(), f"{root}: there is no such folder")
    listing = Listing(root)
    find = FileFinder(root)
    classes, loose, parts = _find_class_folders(root)
    listing.parts.update(parts)
    others = [name for name in loose if not is_image(name)]
    _find_odd_endings(listing, root.name, others)
    for name in loose:
        if is_image(name):
            listing.fault("stray", name, "lies outside the class folders")
    for folder, label, split in classes:
        others += _list_class(listing, find, folder, label, split)
    if others:
        listing.fault("ignored", root.name, f"{len(others)} files: {shorten(sorted(others))}")
    return listing


def _find_class_folders(root):
    """[(folder, label, split)], files that lie beside class folders, {(part, ""): 0}."""
    folders, loose = scan(root)
    require(folders, f"{root}: no class folders in it: {NO_CLASSES}")
    parts = [name for name in folders if read_split(name)]
    if len(parts) < len(folders) and _hold_classes(root, parts):
        others = [name for name in folders if name not in parts]
        raise BmixError(
            f"{root}: {', '.join(parts)} are parts of a split, {shorten(others)} is none: move it "
            "elsewhere, or name it train, val or test"
        )
    splits = {read_split(name) for name in folders}
    if "" in splits or not splits > {"train"}:
        return [(name, name, "") for name in folders], loose, {}
    classes = []
    for part in folders:
        labels, files = scan(root / part)
        split = read_split(part)
        classes += [(f"{part}/{label}", label, split) for label in labels]
        loose += [f"{part}/{name}" for name in files]
    return classes, loose, {(read_split(part), ""): 0 for part in folders}


def _hold_classes(root, parts):
    """Whether folders named like the parts of a split, train among them, hold folders alone."""
    if not {read_split(name) for name in parts} > {"train"}:
        return False
    for part in parts:
        labels, files = scan(root / part)
        if not labels or any(is_image(name) for name in files):
            return False
    return True


def _list_class(listing, find, folder, label, split):
    """Add the images of a class folder; returns the files that are no images by their names."""
    nested, files = scan(listing.source / folder)
    for name in nested:
        if not is_image(name):  # one that is named like an image is reported as unreadable
            listing.fault("stray", f"{folder}/{name}", "a folder in the folder of a class")
    images = sorted(name for name in nested + files if is_image(name))
    if not images:
        listing.fault("empty", folder, "no image in it")
    listing.labels[label] += len(images)
    if split:
        listing.parts[split, label] += len(images)
    for name in images:
        file = find(f"{folder}/{name}")
        if file.fault:
            listing.fault(file.kind, file.id, file.fault)
        else:
            listing.items.append(Item(file.id, file.path, label, file.id, split=split))
    others = [f"{folder}/{name}" for name in files if not is_image(name)]
    _find_odd_endings(listing, folder, others)
    return others


def _find_odd_endings(listing, where, names):
    """A warning of files that begin like images and are not used for the ending of their names."""
    odd = [name for name in names if begins_like_image(listing.source / name)]
    if odd:
        listing.fault("ending", where, f"{len(odd)} files: {shorten(odd)}")


def list_table(path, *, images=None, columns=None, group_from=None, suffix="", search=False):
    """The images of a CSV or TSV, whose paths lie below `images` (unless given, its own folder).

    columns: names of the columns "path", "label", "group", "split", "fold"; the last three only
      where there are such; "label" may be a list of columns, one of 0 and 1 for each class
    group_from: a regular expression with one group, which finds the group in the path, such as
      r"(\\d+)_(?:left|right)"
    suffix: what the paths lack, such as ".jpeg"
    search: True looks for the file names in all folders below `images`
    Raises BmixError where columns or all files are missing; other faults are in the Listing.
    """
    columns = check_columns(columns)
    pattern = None if group_from is None else _compile(group_from)
    table = read_table(path)
    root = Path(images) if images is not None else table.path.parent
    require(root.is_dir(), f"images: {root}: there is no such folder")
    find = FileFinder(root, suffix, search)
    listing = Listing(table.path, faults=list(table.faults))
    rows = read_rows(table, columns)
    seen = set()
    for number, row in zip(table.numbers, rows, strict=True):
        file = find(row["path"])
        seen.add(file.id)
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
    images = set(find.walk()) - seen
    if images and misfits:
        images -= {find(cell).id for row in misfits for cell in row}
    if images:
        found = f"{len(images)} images: {shorten(sorted(images))}"
        listing.fault("unlisted", Path(find.root).name, found)


def _find_unused(listing, columns):
    """Warnings of the columns, one per class, that hold no 1."""
    names = [] if isinstance(columns, str) else columns
    for name in names:
        if not listing.labels[name]:
            listing.fault("unused", repr(name), "0 images")


def _add_row(listing, where, row, file, faults):
    """Add a row to the listing: its faults, or the image where there are none."""
    label = row["label"]
    if label.strip() and not row["why"]:
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


def _compile(text):
    """The regular expression `group_from`. Raises BmixError where it cannot be used."""
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise BmixError(f"group_from: {text!r} is no regular expression: {error}") from error
    if pattern.groups != 1:
        raise BmixError(
            f"group_from must have one group in parentheses, {text!r} has {pattern.groups}"
        )
    return pattern
