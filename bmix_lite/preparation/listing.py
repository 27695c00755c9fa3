"""Which images there are, with which labels: from class folders or a table; no image is opened."""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from bmix_lite.base.errors import BmixError, require, require_choice, suggest
from bmix_lite.preparation.companions import find_packed, find_second_copies, refuse_wrapper
from bmix_lite.preparation.faults import Fault, shorten
from bmix_lite.preparation.groups import compile_group, warn_of_columns
from bmix_lite.preparation.leave_out import LeaveOut
from bmix_lite.preparation.paths import FileFinder, is_image
from bmix_lite.preparation.table import read_table

SPLIT_WORDS = {  # how folders and tables write a split
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
USUAL_COLUMNS = {"path": "path", "label": "label", "group": None, "split": None, "fold": None}
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

    labels: counts faulty rows, too
    side, blocks: where the images are arrays already, pixels of a side, and a function that yields
      them in order, (n, side, side, C) uint8 at a time; digest: their hash where no file has a date
    asks_companions: whether masks and previews beside the images are looked for
    """

    source: Path
    items: list = field(default_factory=list)
    faults: list = field(default_factory=list)
    labels: Counter = field(default_factory=Counter)
    side: int = 0
    blocks: Callable | None = None
    digest: str = ""
    asks_companions: bool = True

    def fault(self, kind, where, found):
        """Add a Fault."""
        self.faults.append(Fault(kind, where, found))


def list_folder(root, leave_out=None):
    """The images of a folder with a folder per class, or of train, val and test folders of such.

    leave_out: a LeaveOut. Raises BmixError where there are no class folders.
    """
    root = Path(root)
    if root.is_file():
        raise BmixError(f"{root}: is a file, neither a table (.csv, .tsv, .txt) nor arrays (.npz)")
    require(root.is_dir(), f"{root}: there is no such folder")
    leave_out = leave_out or LeaveOut(root)
    listing = Listing(root)
    find = FileFinder(root)
    classes, loose = _find_class_folders(listing, leave_out)
    others = [name for name in loose if not is_image(name)]
    for name in loose:
        if is_image(name):
            listing.fault("stray", name, "lies outside the class folders")
    for folder, label, split in classes:
        others += _list_class(listing, find, leave_out, folder, label, split)
    others = find_packed(listing, leave_out, others)
    if others:
        listing.fault("ignored", root.name, f"{len(others)} files: {shorten(sorted(others))}")
    return listing


def _find_class_folders(listing, leave_out):
    """[(folder, label, split)], and the files that lie beside class folders."""
    root = listing.source
    folders, loose = leave_out.scan()
    require(folders, f"{root}: no class folders in it: {NO_CLASSES}")
    refuse_wrapper(root, leave_out, folders, loose)
    folders = find_second_copies(listing, leave_out, "", folders)
    splits = {SPLIT_WORDS.get(name.lower()) for name in folders}
    are_splits = None not in splits and splits > {"train"}
    if not are_splits:
        return [(name, name, "") for name in folders], loose
    classes = []
    for part in folders:
        labels, files = leave_out.scan(part)
        labels = find_second_copies(listing, leave_out, part, labels)
        split = SPLIT_WORDS[part.lower()]
        classes += [(f"{part}/{label}", label, split) for label in labels]
        loose += [f"{part}/{name}" for name in files]
    return classes, loose


def _list_class(listing, find, leave_out, folder, label, split):
    """Add the images of a class folder; returns the files that are no images by their names."""
    nested, files = leave_out.scan(folder)
    for name in nested:
        if not is_image(name):  # one that is named like an image is reported as unreadable
            listing.fault("stray", f"{folder}/{name}", "a folder in the folder of a class")
    images = sorted(name for name in nested + files if is_image(name))
    if not images:
        texts = sum(name.lower().endswith(".txt") for name in files)
        hint = f", but {texts} .txt: points of photographs? say points=FOLDER" if texts else ""
        listing.fault("empty", folder, f"no image in it{hint}")
    listing.labels[label] += len(images)
    for name in images:
        file = find(f"{folder}/{name}")
        if file.fault:
            listing.fault(file.kind, file.id, file.fault)
        else:
            listing.items.append(Item(file.id, file.path, label, file.id, split=split))
    return [f"{folder}/{name}" for name in files if not is_image(name)]


def list_table(
    path, *, images=None, columns=None, group_from=None, suffix="", search=False, leave_out=None
):
    """The images of a CSV or TSV, whose paths lie below `images` (unless given, its own folder).

    columns: names of the columns "path", "label", "group", "split", "fold"; the last three only
      where there are such
    group_from: a regular expression with one group, which finds the group in the path, such as
      r"(\\d+)_(?:left|right)"
    suffix: what the paths lack, such as ".jpeg"
    search: True looks for the file names in all folders below `images`
    leave_out: a LeaveOut, which also leaves out rows
    Raises BmixError where columns or all files are missing; other faults are in the Listing.
    """
    table = read_table(path)
    columns = USUAL_COLUMNS | (columns or {})
    for name in columns:
        require_choice("columns", name, USUAL_COLUMNS)
    root = Path(images) if images is not None else table.path.parent
    require(root.is_dir(), f"images: {root}: there is no such folder")
    texts = {name: _read_column(table, name, column) for name, column in columns.items()}
    pattern = None if group_from is None else compile_group(group_from)
    find = FileFinder(root, suffix, search, leave_out)
    listing = Listing(table.path, faults=list(table.faults))
    warn_of_columns(listing, table.header, columns, group_from)
    for number, *fields in zip(table.numbers, *texts.values(), strict=True):
        row = dict(zip(texts, fields, strict=True))
        file = find(row["path"])
        if find.leave_out(file.id):
            continue
        if pattern is not None:
            match = pattern.search(file.id)
            row["group"] = match[1] if match else ""
        faults = list(_check_row(row, file, columns, group_from))
        _add_row(listing, f"{table.path.name} row {number}", row, file, faults)
    _check_missing(listing, table, root, texts["path"], suffix)
    unlisted = sorted(set(find.walk()) - {item.id for item in listing.items})
    if unlisted:
        listing.fault("unlisted", root.name, f"{len(unlisted)} images: {shorten(unlisted)}")
    return listing


def _read_column(table, name, column):
    if column is None:
        return [""] * len(table.rows)
    return table.column(column, f"; say which one it is: columns={{{name!r}: …}}")


def _check_row(row, file, columns, group_from):
    """Yield (kind, what is there) of each fault of a row."""
    path = row["path"]
    if file.fault:
        yield file.kind, file.fault
    if not row["label"].strip():
        yield "label", f"no label for {path!r}"
    if (columns["group"] or group_from is not None) and not row["group"].strip():
        origin = "" if group_from is None else f" with {group_from!r}"
        yield "group", f"no group for {path!r}{origin}"
    if columns["split"] and _read_split(row["split"]) == "":
        yield "split", f"split {row['split']!r}{suggest(row['split'], SPLIT_WORDS)}"
    if columns["fold"] and not re.fullmatch(r"\d{1,3}", row["fold"]):
        yield "split", f"fold {row['fold']!r}"


def _add_row(listing, where, row, file, faults):
    """Add a row to the listing: its faults, or the image where there are none."""
    label = row["label"]
    if label.strip():
        listing.labels[label] += 1
    for kind, found in faults:
        listing.fault(kind, where, found)
    if not faults:
        split = _read_split(row["split"])
        item = Item(file.id, file.path, label, where, row["group"], split, row["fold"])
        listing.items.append(item)


def _read_split(text):
    return SPLIT_WORDS.get(text.strip().lower(), "")


def _check_missing(listing, table, root, paths, suffix):
    """Where every file is missing, the folder is rather a wrong one. Raises BmixError."""
    missing = sum(fault.kind == "missing" for fault in listing.faults)
    if paths and missing >= len(paths):
        raise BmixError(
            f"{root}: none of the {missing} files of {table.path} is there, "
            f"the first is {root / paths[0]}{suffix}: {NO_FILES}"
        )
