"""Which images there are, and with which labels: listed from class folders or from a table, nothing opened yet."""

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from bmix_lite.base.errors import require, require_choice, suggest
from bmix_lite.preparation.faults import Fault, shorten
from bmix_lite.preparation.paths import Places, is_image, scan
from bmix_lite.preparation.table import read_table

SIDES = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val"}
SIDES |= {"test": "test", "testing": "test"}
COLUMNS = {"path": "path", "label": "label", "group": None, "split": None, "fold": None}


@dataclass(frozen=True, slots=True)
class Item:
    """One image: id is its path below the folder of images, with "#2" for the second box cut from it."""

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
    """The images found, the faults found on the way, and how many rows each label has, faulty ones included."""

    source: Path
    items: list = field(default_factory=list)
    faults: list = field(default_factory=list)
    labels: Counter = field(default_factory=Counter)
    side: int = 0  # pixels of a side where the images lie in an .npz, not in files of their own

    def fault(self, kind, where, found):
        self.faults.append(Fault(kind, where, found))


def list_folder(root):
    """The images of a folder with one folder a class, or of train, val and test folders with class folders inside."""
    root = Path(root)
    require(
        not root.is_file(),
        f"{root}: is a file, neither a table (.csv, .tsv, .txt) nor arrays (.npz)",
    )
    require(root.is_dir(), f"{root}: there is no such folder")
    listing, place = Listing(root), Places(root)
    folders, loose = scan(root)
    hint = "put the images of each class into a folder with its name, or give a table: prepare(TABLE, …, images=FOLDER)"
    require(folders, f"{root}: no class folders in it: {hint}")
    classes = [(name, name, "") for name in folders]
    sides = {SIDES.get(name.lower()) for name in folders}
    if {"train"} < sides and None not in sides:
        inner = {name: scan(root / name) for name in folders}
        classes = [
            (f"{name}/{label}", label, SIDES[name.lower()])
            for name in folders
            for label in inner[name][0]
        ]
        loose += [f"{name}/{file}" for name in folders for file in inner[name][1]]
    others = [name for name in loose if not is_image(name)]
    for name in loose:
        if is_image(name):
            listing.fault("stray", name, "lies outside the class folders")
    for folder, label, side in classes:
        nested, files = scan(root / folder)
        for name in nested:
            if not is_image(name):  # one that is named like an image will be reported as unreadable
                listing.fault("stray", f"{folder}/{name}", "a folder in the folder of a class")
        images = sorted(name for name in nested + files if is_image(name))
        others += [f"{folder}/{name}" for name in files if not is_image(name)]
        if not images:
            listing.fault("empty", folder, "no image in it")
        listing.labels[label] += len(images)
        for found in (place(f"{folder}/{name}") for name in images):
            if found.fault:
                listing.fault(found.kind, found.id, found.fault)
            else:
                listing.items.append(Item(found.id, found.path, label, found.id, split=side))
    if others:
        listing.fault("ignored", root.name, f"{len(others)} files: {shorten(sorted(others))}")
    return listing


def list_table(path, *, images=None, columns=None, group_from=None, suffix="", search=False):
    """The images of a CSV or TSV, whose paths lie below `images` (the folder of the table, unless given).

    columns: names of the columns "path", "label", "group", "split", "fold"; the last three only where there are such
    group_from: a regular expression with one group, which finds the group in the path, such as r"(\\d+)_(?:left|right)"
    suffix: what the paths lack, such as ".jpeg"; search=True looks for the file names in all folders below `images`
    """
    table, columns = read_table(path), COLUMNS | (columns or {})
    for name in columns:
        require_choice("columns", name, COLUMNS)
    root = Path(images) if images is not None else table.path.parent
    require(root.is_dir(), f"images: {root}: there is no such folder")
    listing, place = Listing(table.path, faults=list(table.faults)), Places(root, suffix, search)
    blanks = [""] * len(table.rows)
    read = {
        name: blanks
        if column is None
        else table.column(column, f"; say which one it is: columns={{{name!r}: …}}")
        for name, column in columns.items()
    }
    pattern = None if group_from is None else _compile(group_from)
    for number, text, label, group, split, fold in zip(table.numbers, *read.values(), strict=True):
        where, found = f"{table.path.name} row {number}", place(text)
        if label.strip():
            listing.labels[label] += 1
        side, wrong = SIDES.get(split.strip().lower(), ""), []
        if pattern:
            match = pattern.search(found.id)
            group = match[1] if match else ""
        if found.fault:
            wrong.append((found.kind, found.fault))
        if not label.strip():
            wrong.append(("label", f"no label for {text!r}"))
        if (pattern or columns["group"]) and not group.strip():
            wrong.append(
                ("group", f"no group for {text!r}" + (f" with {group_from!r}" if pattern else ""))
            )
        if columns["split"] and not side:
            wrong.append(("split", f"split {split!r}{suggest(split, SIDES)}"))
        if columns["fold"] and not re.fullmatch(r"\d{1,3}", fold):
            wrong.append(("split", f"fold {fold!r}"))
        for kind, message in wrong:
            listing.fault(kind, where, message)
        if not wrong:
            listing.items.append(Item(found.id, found.path, label, where, group, side, fold))
    lacking = sum(fault.kind == "missing" for fault in listing.faults)
    first = f"the first is {root / read['path'][0]}{suffix}"
    hints = "is the folder right? a suffix missing (suffix)? are they in folders below (search)?"
    none = f"{root}: none of the {lacking} files of {table.path} is there, {first}: {hints}"
    require(lacking < len(table.rows), none)
    spare = sorted(set(place.walk()) - {item.id for item in listing.items})
    if spare:
        listing.fault("unlisted", root.name, f"{len(spare)} images: {shorten(spare)}")
    return listing


def _compile(text):
    try:
        pattern = re.compile(text)
    except re.error as error:
        require(False, f"group_from: {text!r} is no regular expression: {error}")
    require(
        pattern.groups == 1,
        f"group_from must have one group in parentheses, {text!r} has {pattern.groups}",
    )
    return pattern
