"""Random sources that are arrays already: MedMNIST's .npz, folders of .npy, arrays in memory."""

import functools

import numpy as np

from bmix_lite.preparation.arrays import list_memory
from preparation import naive_reader
from preparation.planted_faults import respell
from preparation.source_parts import COLOURS, PARTED, WORDS, Source


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
    parts = {}
    for part in ("train", "val", "test"):
        parts[part] = [arrays.get(f"{part}_{role}") for role in ("images", "labels", "groups")]
    names = {part: f"{part}_images" for part in parts}
    read = functools.partial(naive_reader.read_arrays, parts, names)
    return Source(path, {}, read, marks)


def write_arrays(root, rng):
    """A folder of .npy files: one of each kind, or one of each for every part."""
    has_parts = rng.random() < 0.6
    counts = rng.choice(PARTED) if has_parts else [("", 5)]
    numbers = iter(rng.sample(range(len(COLOURS)), 60))
    dtype = rng.choice((int, float, "U1", np.uint8, bool))
    fault = rng.choice(("", "", "label", "group", "copy", "spelling", "length", "leak"))
    parts = {}
    for part, count in counts:
        images = _paint(numbers, 2 * count)
        labels = np.array([0, 1] * count).astype(dtype)
        parts[part] = [images, labels, np.array([f"{part}{n} é" for n in range(2 * count)])]
    names = {"images": rng.choice(("x_{}.npy", "{}-x.npy")), "labels": "y_{}.npy"}
    if rng.random() < 0.5:
        names["groups"] = "who {}.npy"
    marks = _spoil(fault, parts, "groups" in names)
    files = {}
    for part, columns in parts.items():
        columns[2] = columns[2] if "groups" in names else None
        word = rng.choice(WORDS[part]) if part else "all"
        files[part] = names["images"].replace("{}", word)
        for role, values in zip(("images", "labels", "groups"), columns, strict=True):
            if values is not None:
                is_short = fault == "length" and role == "labels"
                np.save(root / names[role].replace("{}", word), values[int(is_short) :])
    if not has_parts:
        names = {role: name.replace("{}", "all") for role, name in names.items()}
    read = functools.partial(naive_reader.read_arrays, parts, files)
    return Source(root, {"arrays": names}, read, marks)


def _paint(numbers, count):
    """(count, 8, 8, 3) images of one colour but for a corner."""
    images = np.array([COLOURS[next(numbers)] for _ in range(count)], np.uint8)
    images = np.tile(images[:, None, None], (1, 8, 8, 1))
    images[:, :4, :4, 2] += 4
    return images


def _spoil(fault, parts, has_groups):
    """Plant a fault in the first part, or in the last, in place; its marks."""
    first, *_, last = [*parts.values(), *parts.values()]
    if fault == "label":
        first[1] = np.array(["", *first[1][1:].astype(str)])
        return {fault: ["[0]"]}
    if fault == "spelling":
        first[1] = np.array([f"{first[1][0]} ", f"{first[1][0]}\u200b", *first[1][2:].astype(str)])
        return {fault: [str(first[1][0])]}
    if fault == "group" and has_groups:
        first[2][0] = " "
        return {fault: ["[0]"]}
    if fault == "leak" and has_groups and len(parts) > 1:
        last[2] = np.array([first[2][0], *last[2][1:]])
        return {fault: [first[2][0]]}
    if fault == "copy":
        last[0][-1] = first[0][0]
        return {fault: ["[0]"]}
    return {fault: ["y_"]} if fault == "length" else {}


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
