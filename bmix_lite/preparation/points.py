"""Listing the objects that points mark: a square about each is cut out of its photograph."""

import re
from pathlib import Path

from bmix_lite.base.errors import BmixError, require, require_integer
from bmix_lite.preparation.faults import shorten
from bmix_lite.preparation.leave_out import LeaveOut
from bmix_lite.preparation.listing import Item, Listing
from bmix_lite.preparation.paths import FileFinder

CUT = 72  # pixels of a side: a red blood cell of Chula RBC-12 with its surroundings
LINE = re.compile(r"\s*(\S+?)\s*[\s,;]\s*(\S+?)\s*[\s,;]\s*(.*)")


def list_points(root, points, *, cut=CUT, leave_out=None):
    """One item per line `x y class` in the text files of `points`, cut from photographs in `root`.

    "12.txt" goes with "12.jpg"; x and y are pixels from the left and the top, and blanks, commas
    or semicolons part them. cut: pixels of the square's side; what lies beyond the photograph is
    black, so that the object stays in the middle and keeps its size. The photograph is the group.
    Raises BmixError where there are no text files; other faults are in the Listing.
    """
    root = Path(root)
    points = Path(points)
    cut = require_integer("cut", cut, 8, 4096)
    require(root.is_dir(), f"{root}: there is no such folder")
    require(points.is_dir(), f"points: {points}: there is no such folder")
    files = sorted(path for path in points.glob("*.txt") if not path.name.startswith("."))
    require(files, f"points: {points}: no .txt in it")
    leave_out = leave_out or LeaveOut(root)
    listing = Listing(root)
    find = FileFinder(root, leave_out=leave_out)
    photographs = _index(find)
    empty = []
    for file in files:
        if leave_out(file.name):
            continue
        lines = _read_lines(listing, file)
        if not lines and file.is_file():
            empty.append(file.name)
        _list_file(listing, find, file, lines, photographs.pop(file.stem, []), cut)
    unlisted = sorted(path for paths in photographs.values() for path in paths)
    if unlisted:
        listing.fault("unlisted", root.name, f"{len(unlisted)} images: {shorten(unlisted)}")
    if empty:
        listing.fault("ignored", points.name, f"{len(empty)} without a point: {shorten(empty)}")
    return listing


def _index(find):
    """{name without its ending: paths of the photographs}."""
    photographs = {}
    for path in find.walk():
        photographs.setdefault(Path(path).stem, []).append(path)
    return photographs


def _read_lines(listing, file):
    """[(number, text)] of the lines that are not blank."""
    if not file.is_file():  # to open a named pipe would wait for ever
        listing.fault("unreadable", file.name, "no regular file")
        return []
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        listing.fault("unreadable", file.name, f"no text that can be read ({error})")
        return []
    lines = enumerate(text.splitlines(), start=1)
    return [(number, line) for number, line in lines if line.strip()]


def _list_file(listing, find, file, lines, paths, cut):
    """Add the points of one text file: each its fault, or its square."""
    for at, (number, line) in enumerate(lines, start=1):
        where = f"{file.name} line {number}"
        match = LINE.fullmatch(line)
        label = match[3].strip() if match else ""
        if label:
            listing.labels[label] += 1
        else:
            listing.unlabelled += 1
        box = _read_square(match, cut)
        if box is None or not label:
            listing.fault("point", where, f"{line.strip()!r} is not x y class")
        elif len(paths) != 1:
            found = shorten(paths) if paths else "there is none"
            listing.fault("missing", where, f"one photograph {file.stem!r} is expected: {found}")
        else:
            photograph = find(paths[0])
            item = Item(f"{paths[0]}#{at}", photograph.path, label, where, paths[0], box=box)
            if photograph.fault:
                listing.fault(photograph.kind, where, photograph.fault)
            else:
                listing.items.append(item)


def _read_square(match, cut):
    """(left, top, right, bottom, "pad") about the point of a line, None where it has none."""
    if match is None:
        return None
    try:
        x, y = (round(float(text)) for text in match.groups()[:2])
    except (ValueError, OverflowError):
        return None
    left = x - cut // 2
    top = y - cut // 2
    return left, top, left + cut, top + cut, "pad"


def refuse_for_tables(listing):
    """Raise BmixError where points or arrays are given with a table of labels."""
    for name in ("points", "arrays", "cut"):
        if name in listing:
            raise BmixError(f"{name}: only for a folder, the source is a table of labels")
