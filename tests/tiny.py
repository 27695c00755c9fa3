"""Tiny image sets, files and hostile names for the tests of the arrays, without torch."""

import struct
import zlib
from xml.etree import ElementTree

import numpy as np

from bmix_lite.data.imageset import SPLITS, ImageSet

HOSTILE_TEXTS = (
    "<img src=x onerror=alert(1)>",
    "</td></table><script>alert(1)</script>",
    "\"' & &amp;",
    "two\nlines",
    "{0} %s $x$",
    "naïve 糖尿病",
)
# class names that a page, plotly or a table could take for something else than words
HOSTILE = ["<img src=x onerror=alert(1)>", "$a_$", "糖尿病", "x" * 200, "", "same", "same"]
ATTACK = "<img src=x onerror=window.hit=1>"  # where a browser can tell whether it ran


def make(labels=(0, 1, 0, 1), **fields):
    n = len(labels)
    images = np.random.default_rng(0).integers(0, 256, (n, 4, 2, 3), dtype=np.uint8)
    names = [f"class {j}" for j in range(max(labels) + 1)]
    return ImageSet(**dict(images=images, labels=np.array(labels), class_names=names) | fields)


def choose(data, kept):
    """The images of a set that the (N,) mask `kept` is true for, not yet split."""
    fields = {name: getattr(data, name) for name in ("images", "labels", "groups", "ids")}
    chosen = {name: values[kept] for name, values in fields.items() if values is not None}
    return ImageSet(class_names=data.class_names, **chosen)


def parts_of(data, values):
    return [set(values[data.rows(split)]) for split in SPLITS]


def make_empty_png(side):
    """A valid black PNG of one bit per pixel: many pixels, few bytes."""
    pack = zlib.compressobj(9)
    rows = b"".join(pack.compress(bytes(1 + side // 8)) for _ in range(side)) + pack.flush()
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)),
        (b"IDAT", rows),
        (b"IEND", b""),
    ]
    pieces = [
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in parts
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(pieces)


def read_rows(page):
    """{first cell: the other cells} of the tables in a page; also checks that it is well-formed."""
    tree = ElementTree.fromstring(f"<div>{page}</div>")
    rows = [["".join(cell.itertext()) for cell in row] for row in tree.iter("tr")]
    return {row[0]: row[1:] for row in rows}
