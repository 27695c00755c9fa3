"""Random small sources as people bring them, with and without planted faults."""

import functools
import io
import itertools

import numpy as np
from PIL import Image

from bmix_lite.preparation.arrays import list_memory
from preparation import naive_reader
from preparation.planted_faults import FOLDER_FAULTS, plant_files, respell
from preparation.random_tables import write_table
from preparation.source_parts import CLASSES, COLOURS, PARTED, WORDS, Deck, Source, put


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
    options = {"group_from": group_from} if group_from else {}
    source = Source(root, options, lambda: naive_reader.read_folder(root, group_from))
    plant_files(source, root, rng, deck, FOLDER_FAULTS)
    return source


def write_npz(root, rng):
    """Arrays as MedMNIST has them."""
    numbers = iter(rng.sample(range(len(COLOURS)), 60))
    greys = iter(rng.sample(range(0, 256, 8), 32))
    classes = rng.choice((2, 3))
    start = rng.choice((0, 0, 1))
    is_grey = rng.random() < 0.3
    has_groups = rng.random() < 0.5
    is_flat = is_grey and rng.random() < 0.5
    arrays, marks = {}, {}
    for part, count in (("train", 3), ("val", 1), ("test", 2)):
        labels = np.repeat(np.arange(classes), count)
        images = np.array([COLOURS[next(numbers)] for _ in labels], np.uint8)
        if is_grey:
            images = np.array([[next(greys)] for _ in labels], np.uint8)
        images = np.tile(images[:, None, None], (1, 8, 8, 1))
        labels = labels.astype(rng.choice(("u1", "i8"))) + start
        arrays[f"{part}_images"] = images[..., 0] if is_flat else images
        arrays[f"{part}_labels"] = labels[:, None] if rng.random() < 0.5 else labels
        if has_groups:
            arrays[f"{part}_groups"] = np.array(
                [f"{part}{row} é" for row in range(len(labels))], "U9"
            )
    fault = rng.choice(("", "", "copy", "leak", "negative", "spelling"))
    if fault == "copy":
        arrays["test_images"] = arrays["test_images"].copy()
        arrays["test_images"][0] = arrays["train_images"][0].reshape(arrays["test_images"][0].shape)
        marks[fault] = ["test_images[0]"]
    if fault in ("leak", "spelling") and has_groups:
        arrays["val_groups"][0] = "train0 é" if fault == "leak" else "TRAIN0 é"
        marks[fault] = ["train0 é"]
    if fault == "negative":
        arrays["val_labels"] = arrays["val_labels"].astype("i8")
        arrays["val_labels"][0] = -1
        marks[fault] = ["val_labels"]
    path = root / "set.npz"
    np.savez(path, **arrays)
    return Source(path, {}, lambda: naive_reader.read_npz(path), marks)


def write_memory(root, rng):
    """Arrays in memory, with labels, groups and splits as lists or arrays."""
    numbers = rng.sample(range(len(COLOURS)), 12)
    images = np.tile(np.array([COLOURS[n] for n in numbers], np.uint8)[:, None, None], (1, 8, 8, 1))
    labels = rng.choice(([0, 1], [1.0, 2.0], ["a", "猫"], [True, False], ["x ", "y"])) * 6
    split = None
    if rng.random() < 0.5:
        split = ["train"] * 10 + ["test"] * 2
    groups = rng.choice(
        (None, [f"p{n}" for n in range(12)], list(range(12)), [n / 2 for n in range(12)])
    )
    groups = None if groups is None else list(groups)
    marks = {}
    fault = rng.choice(("", "", "", "label", "group", "leak", "split", "copy", "spelling", "float"))
    if fault == "label":
        labels[3] = rng.choice((None, float("nan"), "", np.nan))
    if fault == "spelling":
        labels = [str(label) for label in labels]
        old, labels[3] = labels[3], respell(labels[3], rng)
        marks = {fault: [old]} if labels[3] != old else {}
    is_planted = fault in ("label", "copy") or (fault == "split" and split)
    is_planted = is_planted or (fault in ("group", "leak") and groups)
    if fault == "group" and groups:
        groups[3] = rng.choice((None, float("nan"), ""))
    if fault == "leak" and groups:
        groups[11] = groups[0]
        is_planted = split
    if fault == "split" and split:
        split[3] = rng.choice(("trian", None, ""))
    if fault == "copy":
        images[11] = images[0]
    if is_planted:
        marks = {fault: ["images[3]", "images[11]"]}
    given = images / np.float32(255) if fault == "float" else images
    if rng.random() < 0.5:
        labels = np.array(labels, None if isinstance(labels[3], str) else object)
    listing = list_memory(given, labels, groups=groups, split=split)
    read = functools.partial(naive_reader.read_memory, images, labels, groups, split)
    return Source(listing, {}, read, marks)


def write_boxes(root, rng):
    """Photographs with boxes, as Pascal VOC has them."""
    deck = Deck(rng)
    labels = rng.choice(CLASSES)[:2]
    marks = {}
    (root / "Annotations").mkdir()
    fault = rng.choice(("", "", "label", "box", "missing", "spelling"))
    for number in range(5):
        name = next(deck.stems) + ".png"
        pixels = np.zeros((8, 8 * len(labels), 3), np.uint8)
        things = ""
        for column, label in enumerate(labels):
            pixels[:, 8 * column : 8 * column + 8] = COLOURS[next(deck.numbers)]
            left, right = 8 * column, 8 * column + 8
            if number == column == 0 and fault:
                marks[fault] = [name, "0.xml object 1", label]
                label = {"label": "", "spelling": label + " \u200b"}.get(fault, label)
                right = left if fault == "box" else right
            edges = zip(naive_reader.EDGES, (left, 0, right, 8), strict=True)
            box = "".join(f"<{edge}>{value}</{edge}>" for edge, value in edges)
            things += f"<object><name>{label}</name><bndbox>{box}</bndbox></object>"
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG")
        if fault != "missing" or number:
            put(root / "JPEGImages" / name, buffer.getvalue())
        shown = name.replace("&", "&amp;")
        text = f"<annotation><filename>{shown}</filename>{things}</annotation>"
        (root / "Annotations" / f"{number}.xml").write_text(text, encoding="utf-8")
    return Source(root, {}, lambda: naive_reader.read_boxes(root), marks)


WRITERS = (
    write_folder,
    write_folder,
    write_table,
    write_table,
    write_npz,
    write_boxes,
    write_memory,
)


def write_source(root, rng):
    """A Source in the empty folder `root`."""
    return rng.choice(WRITERS)(root, rng)
