"""A second reader of sources, written from what a person sees, with nothing of our own code.

Each reader yields Seen, one per image that a person would count: also those that no label fits.
"""

import csv
import io
import os
import re
import unicodedata
import xml.etree.ElementTree as ElementTree
from typing import NamedTuple

import numpy as np
from PIL import Image

PARTS = {"tr": "train", "va": "val", "te": "test"}


class Seen(NamedTuple):
    key: str  # id of the image
    mark: str  # by which a report may name it: the file, or the row
    label: object = None  # as a person reads it; None where the image has none
    group: object = ""
    part: str = ""
    mean: object = None  # red, green, blue of the image, (3,)


def read_as(text):
    """What a person reads: a number, or words without their case, width and spaces."""
    text = unicodedata.normalize("NFKC", str(text)).casefold()
    text = "".join(c for c in text if unicodedata.category(c) != "Cf")
    text = " ".join(text.split())
    is_number = re.fullmatch(r"\d+([.,]\d*)?", text)
    return float(text.replace(",", ".")) if is_number else text


def mean_of(path, box=None):
    """Red, green, blue of a file; None where it cannot be read."""
    if not os.path.isfile(path):
        return None
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB").crop(box)).mean((0, 1))
    except Exception:  # Pillow raises almost anything
        return None


def find_files(root):
    """Paths below the root of all that a person sees and can open as an image."""
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if name[0] != "."]
        for name in files:
            path = os.path.join(folder, name)
            if name[0] != "." and mean_of(path) is not None:
                yield os.path.relpath(path, root)


def read_folder(root, group_from=None):
    """Class folders, or such in folders of parts."""
    folders = [name for name in os.listdir(root) if os.path.isdir(f"{root}/{name}")]
    is_split = {name[:2].lower() for name in folders} <= {*PARTS}
    for path in find_files(root):
        *folders, name = path.split("/")
        part = PARTS[folders.pop(0)[:2].lower()] if is_split and folders else ""
        label = read_as(folders[0]) if len(folders) == 1 else None
        match = re.search(group_from, path) if group_from else None
        group = read_as(match[1]) if match else ""
        yield Seen(path, name, label, group, part, mean_of(f"{root}/{path}"))


def read_table(path, root, columns, suffix="", encoding="utf-8-sig"):
    """Rows of a table, then the images that no row lists."""
    with open(path, encoding=encoding, newline="") as file:
        text = file.read()
    mark = max(",;\t", key=text.split("\n")[0].count)
    header, *rows = csv.reader(io.StringIO(text, newline=""), delimiter=mark)
    disk = {unicodedata.normalize("NFC", name): name for name in find_files(root)}
    listed = set()
    for number, cells in enumerate(rows, start=2):
        if not any(map(str.strip, cells)):
            continue
        row = dict(zip(header, cells, strict=False))
        name = os.path.normpath(row.get(columns["path"], "").replace("\\", "/") + suffix)
        key = disk.get(unicodedata.normalize("NFC", name), name)
        label = columns["label"]
        if not isinstance(label, str):
            label = next((other for other in label if row.get(other, "").strip() == "1"), "")
            row[label] = label
        group = read_as(row.get(columns.get("group"), ""))
        part = row.get(columns.get("split"), "").strip()
        part = PARTS.get(part[:2].lower(), part) or row.get(columns.get("fold"), "").strip()
        listed.add(key)
        fits = len(cells) == len(header)
        word = read_as(row.get(label, "")) if fits else None
        yield Seen(key, f"row {number}", word, group, part, mean_of(f"{root}/{key}"))
    for key in set(disk.values()) - listed:
        yield Seen(key, key.split("/")[-1])


def read_npz(path):
    arrays = np.load(path)
    for part in PARTS.values():
        images = arrays[f"{part}_images"]
        for row, image in enumerate(images):
            mean = np.broadcast_to(image.reshape(-1, image.size // 64).mean(0), 3)
            label = read_as(arrays[f"{part}_labels"].ravel()[row])
            groups = arrays.get(f"{part}_groups")
            group = "" if groups is None else read_as(groups.ravel()[row])
            yield Seen(f"{part}/{row}", f"{part}_images[{row}]", label, group, part, mean)


def read_memory(images, labels, groups, split):
    for row, image in enumerate(images):
        label, group, part = (
            ""
            if values is None or values[row] is None or values[row] != values[row]
            else values[row]
            for values in (labels, groups, split)
        )
        mark = f"images[{row}]"
        yield Seen(str(row), mark, read_as(label), read_as(group), part, image.mean((0, 1)))


def read_boxes(root):
    for name in sorted(os.listdir(f"{root}/Annotations")):
        tree = ElementTree.parse(f"{root}/Annotations/{name}")
        file = tree.findtext("filename")
        for number, thing in enumerate(tree.iter("object"), start=1):
            edges = [float(thing.findtext(f"bndbox/{edge}") or 0) for edge in EDGES]
            mean = mean_of(f"{root}/JPEGImages/{file}", tuple(map(round, edges)))
            label = read_as(thing.findtext("name") or "")
            mark = f"{name} object {number}"
            yield Seen(f"{file}#{number}", mark, label, read_as(file), "", mean)


EDGES = ("xmin", "ymin", "xmax", "ymax")
