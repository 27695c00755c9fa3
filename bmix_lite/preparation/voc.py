"""Listing the objects that VOC annotations mark in images: each box is cut out and becomes an image of its class."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

from bmix_lite.base.errors import require
from bmix_lite.preparation.listing import Item, Listing
from bmix_lite.preparation.paths import Places

SIDES = ("xmin", "ymin", "xmax", "ymax")


def list_boxes(root):
    """One item a box in `root`/Annotations/*.xml, cut from `root`/JPEGImages; the image is the group of its boxes.

    A box is (xmin, ymin, xmax, ymax) in pixels. Source of the format: Everingham et al., IJCV 88, 2010 (Pascal VOC).
    """
    root = Path(root)
    listing, place = Listing(root), Places(root / "JPEGImages")
    files = sorted((root / "Annotations").glob("*.xml"))
    require(files, f"{root / 'Annotations'}: no .xml in it")
    for file in files:
        try:
            tree = ElementTree.fromstring(file.read_bytes())
        except (ElementTree.ParseError, OSError) as error:
            listing.fault("unreadable", file.name, f"no XML that can be read ({error})")
            continue
        found = place(tree.findtext("filename") or f"{file.stem}.jpg")
        for number, thing in enumerate(tree.iter("object"), start=1):
            where, label = f"{file.name} object {number}", thing.findtext("name") or ""
            texts = [thing.findtext(f"bndbox/{side}") or "" for side in SIDES]
            if label.strip():
                listing.labels[label] += 1
            try:
                box = tuple(round(float(text)) for text in texts)
            except ValueError:
                box = (0, 0, 0, 0)
            if found.fault:
                listing.fault(found.kind, where, found.fault)
            elif not label.strip():
                listing.fault("label", where, "no name")
            elif box[2] <= box[0] or box[3] <= box[1]:
                listing.fault(
                    "box",
                    where,
                    f"{label}: {', '.join(map('='.join, zip(SIDES, texts, strict=True)))}",
                )
            else:
                listing.items.append(
                    Item(f"{found.id}#{number}", found.path, label, where, found.id, box=box)
                )
    return listing
