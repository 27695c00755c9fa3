"""Listing the objects that VOC annotations mark: each box is cut out, an image of its class."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

from bmix_lite.base.errors import require
from bmix_lite.base.files import name_special
from bmix_lite.preparation.leave_out import LeaveOut
from bmix_lite.preparation.listing import Item, Listing
from bmix_lite.preparation.paths import FileFinder
from bmix_lite.preparation.sameness import is_blank

EDGES = ("xmin", "ymin", "xmax", "ymax")


def list_boxes(root, leave_out=None):
    """One item per box in `root`/Annotations/*.xml, cut from `root`/JPEGImages.

    A box is (xmin, ymin, xmax, ymax) in pixels; its image is its group.
    leave_out: a LeaveOut, which is asked for each photograph
    Source of the format: Everingham et al., IJCV 88, 2010 (Pascal VOC).
    Raises BmixError where there are no annotations; other faults are in the Listing.
    """
    root = Path(root)
    leave_out = leave_out or LeaveOut(root)
    listing = Listing(root)
    find = FileFinder(root / "JPEGImages")
    annotations = sorted((root / "Annotations").glob("*.xml"))
    require(annotations, f"{root / 'Annotations'}: no .xml in it")
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
        for number, thing in enumerate(tree.iter("object"), start=1):
            _add_object(listing, f"{annotation.name} object {number}", thing, file, number)
    return listing


def _add_object(listing, where, thing, file, number):
    """Add an object to the listing: its first fault, or its box where there is none."""
    label = thing.findtext("name") or ""
    edges = [thing.findtext(f"bndbox/{edge}") or "" for edge in EDGES]
    box = _read_box(edges)
    if not is_blank(label):
        listing.labels[label] += 1
    item = Item(f"{file.id}#{number}", file.path, label, where, file.id, box=box)
    if file.fault:
        listing.fault(file.kind, where, file.fault)
    elif is_blank(label):
        listing.fault("label", where, "no name", item if box else None)
    elif box is None:
        pairs = [f"{name}={text}" for name, text in zip(EDGES, edges, strict=True)]
        listing.fault("box", where, f"{label}: {', '.join(pairs)}")
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
