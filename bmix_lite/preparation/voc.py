"""Listing the objects that VOC annotations mark: each box is cut out, an image of its class."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

from bmix_lite.base.errors import BmixError, require
from bmix_lite.base.files import name_special
from bmix_lite.preparation.faults import shorten
from bmix_lite.preparation.leave_out import LeaveOut
from bmix_lite.preparation.listing import Item, Listing
from bmix_lite.preparation.paths import FileFinder, is_image
from bmix_lite.preparation.sameness import is_blank

LISTS = "ImageSets/Main"  # train.txt and so on: one photograph per line, without its ending
LISTS_OF = {"train": ("train", "trainval"), "val": ("val",), "test": ("test",)}
EDGES = ("xmin", "ymin", "xmax", "ymax")


def list_boxes(root, leave_out=None):
    """One item per box in `root`/Annotations/*.xml, cut from `root`/JPEGImages.

    A box is (xmin, ymin, xmax, ymax) in pixels; its image is its group. Where ImageSets/Main holds
    train, val or test.txt, that is the split that came with the data.
    leave_out: a LeaveOut, which is asked for each photograph, and for the lists: "ImageSets"
      leaves the split out
    Source of the format: Everingham et al., IJCV 88, 2010 (Pascal VOC).
    Raises BmixError where there are no annotations; other faults are in the Listing.
    """
    root = Path(root)
    leave_out = leave_out or LeaveOut(root)
    listing = Listing(root)
    find = FileFinder(root / "JPEGImages")
    annotations = sorted((root / "Annotations").glob("*.xml"))
    require(annotations, f"{root / 'Annotations'}: no .xml in it")
    parts_of = _read_lists(listing, leave_out, {path.stem for path in annotations})
    for annotation in annotations:
        special = name_special(annotation)
        if special:
            listing.fault("unreadable", annotation.name, f"{special}, expected an .xml file")
            continue
        try:
            tree = ElementTree.fromstring(annotation.read_bytes())
        except (ElementTree.ParseError, OSError) as error:
            found = f"no XML that can be read ({error})"
            listing.fault("unreadable", annotation.name, found)
            continue
        file = find(tree.findtext("filename") or f"{annotation.stem}.jpg")
        if leave_out(f"JPEGImages/{file.id}"):
            continue
        parts = parts_of.get(annotation.stem, []) if parts_of else [""]
        for number, thing in enumerate(tree.iter("object"), start=1):
            where = f"{annotation.name} object {number}"
            _add_object(listing, where, thing, file, number, parts)
    return listing


def _read_lists(listing, leave_out, names):
    """{name of a photograph: parts of the split}, {} where none came with the data.

    names: the photographs with annotations; what else the lists hold is noted
    """
    files = {}
    for part, words in LISTS_OF.items():
        paths = [f"{LISTS}/{word}.txt" for word in words]
        there = [path for path in paths if (listing.source / path).exists()]
        if there and not leave_out(there[0]):
            files[part] = there[0]
    parts_of = {}
    if not files.keys() - {"train"}:
        return {}
    for part, path in files.items():
        listing.parts[part, ""] = 0  # a part without any photograph is one that is lost
        listed = _read_list(listing.source / path)
        for name in listed:
            parts_of.setdefault(name, []).append(part)
        strangers = sorted(listed - names)
        if strangers:
            found = f"{len(strangers)} without an annotation: {shorten(strangers)}"
            listing.fault("ignored", path, found)
    return parts_of


def _read_list(path):
    """The photographs that a list names, without the endings of their files."""
    special = name_special(path)
    if special:
        raise BmixError(f"{path}: {special}, expected a list of photographs")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        raise BmixError(f"{path}: no list that can be read ({error})") from error
    names = filter(None, map(str.strip, lines))
    return {Path(name).stem if is_image(name) else name for name in names}


def _add_object(listing, where, thing, file, number, parts):
    """Add an object to the listing: its first fault, or its box where there is none.

    parts: those whose lists name its photograph, one unless they are wrong; [""] without lists
    """
    label = thing.findtext("name") or ""
    edges = [thing.findtext(f"bndbox/{edge}") or "" for edge in EDGES]
    box = _read_box(edges)
    if is_blank(label):
        listing.unlabelled += 1
    else:
        listing.labels[label] += 1
        for part in filter(None, parts):
            listing.parts[part, label] += 1
    split = parts[0] if len(parts) == 1 else ""
    item = Item(f"{file.id}#{number}", file.path, label, where, file.id, split, box=box)
    if file.fault:
        listing.fault(file.kind, where, file.fault)
    elif is_blank(label):
        listing.fault("label", where, "no name", item if box else None)
    elif box is None:
        pairs = [f"{name}={text}" for name, text in zip(EDGES, edges, strict=True)]
        listing.fault("box", where, f"{label}: {', '.join(pairs)}")
    elif len(parts) != 1:
        found = f"{file.id} is listed in {' and '.join(parts) or 'no part'}, {LISTS} gives a split"
        listing.fault("split", where, found, item)
    else:
        listing.items.append(item)


def _read_box(edges):
    """(left, top, right, bottom), or None where it encloses nothing."""
    try:
        left, top, right, bottom = (round(float(text)) for text in edges)
    except ValueError:
        return None
    if right <= left or bottom <= top:
        return None
    return left, top, right, bottom
