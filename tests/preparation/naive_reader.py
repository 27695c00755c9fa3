"""A second reader of sources, written from what a person sees, with nothing of our own code.

Each reader yields Seen, one per image that a person would count: also those that no label fits.
"""

import csv
import io
import os
import re
import unicodedata
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

PARTS = {"tr": "train", "va": "val", "te": "test"}
EDGES = ("xmin", "ymin", "xmax", "ymax")


class Seen(NamedTuple):
    key: str  # id of the image
    mark: str  # by which a report may name it: the file, or the row
    label: object = None  # as a person reads it; None where the image has none
    group: object = ""
    part: str = ""
    corners: object = None  # of the image, (4, 3); None where it cannot be read


def read_as(text):
    """What a person reads: a number, or words without their case, width and spaces."""
    text = unicodedata.normalize("NFKC", str(text)).casefold()
    text = "".join(c for c in text if unicodedata.category(c) != "Cf")
    text = " ".join(text.split())
    is_number = re.fullmatch(r"\d+([.,]\d*)?", text)
    return float(text.replace(",", ".")) if is_number else text


def corners_of(pixels):
    """Red, green, blue of the four corners."""
    if not pixels.size:
        return None
    n = max(1, len(pixels) // 4)
    halves = (pixels[:n], pixels[-n:])
    means = [part.reshape(n * n, -1).mean(0) for h in halves for part in (h[:, :n], h[:, -n:])]
    return np.stack([np.broadcast_to(mean, 3) for mean in means])


def look_at(path, box=None, bits=16):
    """The corners of a file as a viewer shows it; None where it cannot be read."""
    try:
        with Image.open(path if os.path.isfile(path) else "") as image:
            if image.mode.startswith("I"):
                return corners_of(np.asarray(image) / (2**bits - 1) * 255)
            pixels = np.asarray(image.convert("RGB").crop(box))
            turn = image.getexif().get(274, 1)
    except Exception:  # Pillow raises almost anything
        return None
    pixels = pixels.swapaxes(0, 1) if turn > 4 else pixels
    pixels = pixels[:, ::-1] if turn in (2, 3, 6, 7) else pixels
    return corners_of(pixels[::-1] if turn in (3, 4, 7, 8) else pixels)


def find_files(root):
    """Paths below the root of all that a person sees and can open as an image."""
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if name[0] != "."]
        for name in files:
            path = os.path.join(folder, name)
            if name[0] != "." and look_at(path) is not None:
                yield os.path.relpath(path, root)


def read_folder(root, group_from=None, bits=16):
    """Class folders, or such in folders of parts."""
    folders = [name for name in os.listdir(root) if os.path.isdir(f"{root}/{name}")]
    is_split = {name[:2].lower() for name in folders} <= {*PARTS}
    for path in find_files(root):
        *folders, name = path.split("/")
        part = PARTS[folders.pop(0)[:2].lower()] if is_split and folders else ""
        label = read_as(folders[0]) if len(folders) == 1 else None
        match = re.search(group_from, path) if group_from else None
        group = read_as(match[1]) if match else ""
        yield Seen(path, name, label, group, part, look_at(f"{root}/{path}", bits=bits))


def read_table(path, root, columns, suffix="", search=False, encoding="utf-8-sig", bits=16):
    """Rows of a table, then the images that no row lists."""
    with open(path, encoding=encoding, newline="") as file:
        text = file.read()
    mark = max(",;\t", key=text.split("\n")[0].count)
    header, *rows = csv.reader(io.StringIO(text, newline=""), delimiter=mark)
    files = list(find_files(root))
    names = [name.split("/")[-1] if search else name for name in files]
    disk = {
        unicodedata.normalize("NFC", name): file for name, file in zip(names, files, strict=True)
    }
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
        yield Seen(key, f"row {number}", word, group, part, look_at(f"{root}/{key}", bits=bits))
    for key in set(files) - listed:
        yield Seen(key, key.split("/")[-1])


def read_arrays(parts, names):
    """Images, labels and groups of each part; names: how a report names a part's images."""
    for part, (images, labels, groups) in parts.items():
        for row, image in enumerate(images):
            key = f"{part}/{row}" if part else str(row)
            label = read_as(np.ravel(labels)[row])
            group = "" if groups is None else read_as(np.ravel(groups)[row])
            yield Seen(key, f"{names[part]}[{row}]", label, group, part, corners_of(image))


def read_memory(images, labels, groups, split):
    for row, image in enumerate(images):
        label, group, part = (
            ""
            if values is None or values[row] is None or values[row] != values[row]
            else values[row]
            for values in (labels, groups, split)
        )
        mark = f"images[{row}]"
        yield Seen(str(row), mark, read_as(label), read_as(group), part, corners_of(image))


def read_boxes(root, has_lists):
    parts = {}
    for part in ("trainval", *PARTS.values()) if has_lists else ():
        path = Path(root, f"ImageSets/Main/{part}.txt")
        for line in path.read_text().split() if path.exists() else ():
            parts[line.removesuffix(".png")] = part.removesuffix("val") or part
    for name in sorted(os.listdir(f"{root}/Annotations")):
        tree = ElementTree.parse(f"{root}/Annotations/{name}")
        file = tree.findtext("filename")
        for number, thing in enumerate(tree.iter("object"), start=1):
            edges = [float(thing.findtext(f"bndbox/{edge}") or 0) for edge in EDGES]
            corners = look_at(f"{root}/JPEGImages/{file}", tuple(map(round, edges)))
            label = read_as(thing.findtext("name") or "")
            part = parts.get(name.removesuffix(".xml"), "")
            mark = f"{name} object {number}"
            yield Seen(f"{file}#{number}", mark, label, read_as(file), part, corners)


def read_points(root, points, cut):
    photographs = {Path(path).stem: path for path in find_files(root)}
    for file in sorted(Path(points).iterdir()):
        lines = [line.strip() for line in file.read_text("utf-8-sig").splitlines()]
        for number, line in enumerate(filter(None, lines), start=1):
            x, y, label = (*re.split(r"[\s,;]+", line, maxsplit=2), "", "")[:3]
            photograph = photographs.get(file.stem)
            box = None
            if re.fullmatch(r"[\d.]+", x + y):
                left, top = round(float(x)) - cut // 2, round(float(y)) - cut // 2
                box = (left, top, left + cut, top + cut)
            mark = f"{file.name} line {lines.index(line) + 1}"
            group = read_as(photograph)
            corners = look_at(f"{root}/{photograph}", box)
            yield Seen(f"{photograph}#{number}", mark, read_as(label), group, "", corners)
