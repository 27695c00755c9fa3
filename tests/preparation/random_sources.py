"""Random small sources as people bring them, with and without planted faults."""

import functools
import itertools

import numpy as np
from PIL import Image

from preparation import naive_reader
from preparation.planted_faults import FOLDER_FAULTS, plant_files, respell
from preparation.random_arrays import write_arrays, write_memory, write_npz
from preparation.random_tables import write_table
from preparation.source_parts import (
    CLASSES,
    COLOURS,
    FORMATS,
    PARTED,
    WORDS,
    Deck,
    Source,
    put,
    save,
)


def write_folder(root, rng):
    """A folder per class, or train, val and test folders of such."""
    deck = Deck(rng)
    labels = rng.choice(CLASSES)[: rng.choice((2, 3))]
    group_from = rng.choice((None, None, r"(pt\d+)_"))
    patients = itertools.count()
    for part, count in rng.choice(([("", 5)], *PARTED)):
        folder = root / rng.choice(WORDS[part]) if part else root
        for label, _ in itertools.product(labels, range(count)):
            name, content = deck.image()
            start = f"pt{next(patients)}_" if group_from else ""
            put(folder / label / (start + name), content)
    options = deck.options()
    if group_from:
        options["group_from"] = group_from
    read = functools.partial(naive_reader.read_folder, root, group_from, deck.bits)
    source = Source(root, options, read)
    plant_files(source, root, rng, deck, FOLDER_FAULTS)
    return source


def write_boxes(root, rng):
    """Photographs with boxes, as Pascal VOC has them."""
    deck = Deck(rng)
    labels = rng.choice(CLASSES)[:2]
    marks = {}
    (root / "Annotations").mkdir()
    fault = rng.choice(("", "", "label", "box", "missing", "spelling", "unlisted"))
    lists = _write_lists(root, rng, [f"n.{number}" for number in range(6)], fault, marks)
    for number in range(6):
        name = next(deck.stems) + ".png"
        pixels = np.zeros((8, 8 * len(labels), 3), np.uint8)
        things = ""
        for column, label in enumerate(labels):
            pixels[:, 8 * column : 8 * column + 8] = COLOURS[next(deck.numbers)]
            left, right = 8 * column, 8 * column + 8
            if number == column == 0 and fault in ("label", "box", "missing", "spelling"):
                marks[fault] = [name, "n.0.xml object 1", label]
                label = {"label": "", "spelling": label + " \u200b"}.get(fault, label)
                right = left if fault == "box" else right
            edges = zip(naive_reader.EDGES, (left, 0, right, 8), strict=True)
            box = "".join(f"<{edge}>{value}</{edge}>" for edge, value in edges)
            things += f"<object><name>{label}</name><bndbox>{box}</bndbox></object>"
        if fault != "missing" or number:
            put(root / "JPEGImages" / name, save(Image.fromarray(pixels)))
        shown = name.replace("&", "&amp;")
        text = f"<annotation><filename>{shown}</filename>{things}</annotation>"
        (root / "Annotations" / f"n.{number}.xml").write_text(text, encoding="utf-8")
    return Source(root, {}, functools.partial(naive_reader.read_boxes, root, lists), marks)


def _write_lists(root, rng, names, fault, marks):
    """The lists of a split that came with the boxes, or none; whether there are such."""
    if rng.random() < 0.5:
        return False
    test = [("test", names[5:])]
    given = [("train", names[:4]), ("val", names[4:5]), *test]
    for part, listed in rng.choice((given, [("trainval", names[:5]), *test])):
        lines = [name + rng.choice(("", ".png", " ")) for name in listed]
        if fault == "unlisted" and part != "test":
            marks[fault] = [f"{lines.pop(0).strip().removesuffix('.png')}.xml object 1"]
            fault = ""
        put(root / f"ImageSets/Main/{part}.txt", "\r\n".join(lines).encode())
    put(root / "ImageSets/Main/cat_train.txt", b"n.0 -1")
    return True


def write_points(root, rng):
    """Photographs with a text file of points each, as Chula RBC-12 has them."""
    deck = Deck(rng)
    labels = rng.choice(CLASSES)[:2]
    cut = rng.choice((8, 10))
    sign = rng.choice((" ", "\t", ",", ";", ", "))
    marks = {}
    (root / "points").mkdir()
    fault = rng.choice(("", "", "label", "point", "far", "missing", "spelling", "blank"))
    for number in range(6):  # one may be blank
        name = next(deck.stems)
        pixels = np.zeros((16, 16 * len(labels), 3), np.uint8)
        lines = [""] * rng.choice((0, 0, 1))
        for column, label in enumerate(labels):
            pixels[:, 16 * column : 16 * column + 16] = COLOURS[next(deck.numbers)]
            x = 16 * column + rng.choice((5, 8, 8.0, 10.2))
            y = rng.choice((1, 5, 8, 15))
            if number == column == 0 and fault:
                marks[fault] = [name, label, f"{name}.txt line {len(lines) + 1}"]
                y = {"point": "x", "far": 99}.get(fault, y)
                other = respell(label, rng).strip()
                if fault == "spelling" and other == label:
                    marks = {}
                label = {"label": "", "spelling": other}.get(fault, label)
            lines.append(sign.join((str(x), str(y), label)))
        if fault == "blank" and not number:
            lines = []
            marks = {}
        end = rng.choice(("\n", "\r\n"))
        encoding = rng.choice(("utf-8", "utf-8-sig"))
        put(root / "points" / f"{name}.txt", end.join(lines).encode(encoding))
        if fault != "missing" or number:
            ending = rng.choice((".png", ".bmp", ".tif"))
            content = save(Image.fromarray(pixels), FORMATS.get(ending, ending[1:].upper()))
            put(root / "photographs" / (name + ending), content)
    options = {"points": root / "points", "cut": cut}
    folder = root / "photographs"
    read = functools.partial(naive_reader.read_points, folder, root / "points", cut)
    return Source(folder, options, read, marks)


WRITERS = (
    *(write_folder, write_folder, write_table, write_table),
    *(write_npz, write_boxes, write_points, write_memory, write_arrays),
)


def write_source(root, rng):
    """A Source in the empty folder `root`."""
    return rng.choice(WRITERS)(root, rng)
