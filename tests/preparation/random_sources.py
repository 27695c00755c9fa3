"""Random small sources as people bring them, with and without planted faults."""

import csv
import functools
import io
import itertools
import os
import unicodedata
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from bmix_lite.preparation.arrays import list_memory
from preparation import naive_reader

CLASSES = (
    ["cat", "dog", "owl"],
    ["0", "1", "2"],
    ["1", "2", "10"],
    ["кот", "пёс", "сова"],
    ["猫", "犬", "鳥"],
    ["no finding", "mild DR", "severe"],
    ["G1.a", "G1.b", "G2"],
    ["NA", "None", "x"],
    ["é clair", "ñandú", "über"],
    ["قطة", "كلب", "بومة"],
    ["a-1", "a-2", "b-1"],
    ["True", "False", "unsure"],
    ["007", "12", "300"],
    ["1.5", "2.5", "3"],
)
STEMS = (
    *("a", "B", "7", "010", "x.y", "img 1", "img 2", "фото", "写真", "é", "ñ_ñ", "صورة"),
    *("a-9", "A#1", "100%", "it's", "(3)", "-x", "=y", "q&r", "z ", "v1.2.3", "🙂", "ＡＢ", "k+l"),
    *(
        "train",
        "test",
        "[4]",
        "{5}",
        "~6",
        "$HOME",
        "*",
        "null",
        "True",
        "1e5",
        "t,u",
        "m;n",
        'o"p',
    ),
)
GROUPS = ("P1", "P2", "3", "Ann Ek", "Łukasz", "患者", "n.7", "x-8", "012", "p 40", "Ω", "b_9")
WORDS = {
    "train": ("train", "Train", "TRAIN", "training"),
    "val": ("val", "valid", "Validation"),
    "test": ("test", "Test", "testing"),
}
ENDINGS = (".png", ".png", ".PNG", ".bmp", ".gif", ".tif", ".ppm", ".jpg", ".JPEG", ".webp")
FORMATS = {".jpg": "JPEG", ".jpeg": "JPEG", ".tif": "TIFF", ".ppm": "PPM"}
MODES = {("PNG", 0): "RGBA", ("PNG", 1): "P", ("TIFF", 0): "CMYK", ("JPEG", 1): "CMYK"}
PARTED = (  # (part, images of a class in it), with which five folds can be dealt
    [("train", 2), ("val", 1), ("test", 1)],
    [("train", 5), ("test", 1)],
    [("train", 5), ("val", 1)],
)
STEP = 28  # grey levels between two colours, more than a JPEG loses
COLOURS = list(itertools.product(range(10, 250, STEP), repeat=3))


@dataclass
class Source:
    """path, options: of `prepare`; read: the naive reader of it.

    marks: {planted fault: texts of which a report or a refusal must hold one}; none is clean
    """

    path: Path
    options: dict
    read: object
    marks: dict = field(default_factory=dict)


@functools.cache
def draw(number, ending=".png", side=8):
    """The bytes of an image of one colour."""
    kind = FORMATS.get(ending.lower(), ending[1:].upper())
    buffer = io.BytesIO()
    options = {"quality": 95} if kind == "JPEG" else {"lossless": True} if kind == "WEBP" else {}
    image = Image.new("RGB", (side, side), COLOURS[number % len(COLOURS)])
    image.convert(MODES.get((kind, number % 5), "RGB")).save(buffer, kind, **options)
    return buffer.getvalue()


@functools.cache
def draw_pattern(last):
    """The bytes of an image with a pattern; `last`: its last pixel, so that two are near copies."""
    pixels = np.random.default_rng(0).integers(0, 250, (8, 8, 3), dtype=np.uint8)
    pixels[-1, -1] = last
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


class Deck:
    """Names and colours that no two images of a source share."""

    def __init__(self, rng):
        self.rng = rng
        self.numbers = iter(rng.sample(range(len(COLOURS)), 80))
        stems = rng.sample(STEMS, len(STEMS))
        self.stems = itertools.chain(stems, (f"more{number}q" for number in itertools.count()))

    def image(self, ending=None):
        """(name, bytes)"""
        ending = ending or self.rng.choice(ENDINGS)
        side = self.rng.choice((8, 8, 11))
        return next(self.stems) + ending, draw(next(self.numbers), ending, side)


def put(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


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


def pick(root, rng):
    """A random image below the root."""
    return rng.choice(sorted(path for path in root.rglob("*.*") if path.is_file()))


def add_cut(source, root, rng, deck):
    path = pick(root, rng)
    content = path.read_bytes()
    path.write_bytes(content[: rng.randrange(len(content) * 2 // 3)])
    return [path.name]


def add_page(source, root, rng, deck):
    path = pick(root, rng)
    path.write_bytes(b"<html>404</html>")
    return [path.name]


def add_copy(source, root, rng, deck):
    path, other = pick(root, rng), pick(root, rng)
    put(other.with_name("twin" + path.suffix), path.read_bytes())
    return ["twin" + path.suffix]


def add_near(source, root, rng, deck):
    path, other = pick(root, rng), pick(root, rng)
    put(path.with_name("near1.png"), draw_pattern(10))
    put(other.with_name("near2.png"), draw_pattern(14))
    return ["near1.png"]


def add_ending(source, root, rng, deck):
    path = pick(root, rng)
    name, content = deck.image(".png")
    name = rng.choice((".jfif", ".heic", ".dat", ".png.bak", "")).join(["odd", ""])
    put(path.with_name(name), content)
    return [name]


def add_link_out(source, root, rng, deck):
    path = pick(root, rng)
    outside = root.parent / "outside.png"
    put(outside, draw(next(deck.numbers)))
    os.symlink(outside, path.with_name("out.png"))
    return ["out.png"]


def add_link_in(source, root, rng, deck):
    path, other = pick(root, rng), pick(root, rng)
    os.symlink(path, other.with_name("link" + path.suffix))
    return ["link" + path.suffix]


def add_pipe(source, root, rng, deck):
    path = pick(root, rng).with_name("pipe.png")
    os.mkfifo(path)
    return [path.name]


def add_mask(source, root, rng, deck):
    path = pick(root, rng)
    name = path.stem + rng.choice(("_mask", "-seg", " mask", "_thumb")) + ".png"
    put(path.with_name(name), draw(next(deck.numbers)))
    if rng.random() < 0.3:
        source.options["leave_out"] = "*" + name[len(path.stem) :]
    return [name]


def add_nested(source, root, rng, deck):
    name, content = deck.image()
    put(pick(root, rng).parent / rng.choice(("more", "old", "test")) / name, content)
    return [name, "more", "old", "test"]


def add_stray(source, root, rng, deck):
    name, content = deck.image()
    put(root / name, content)
    return [name]


def add_empty_class(source, root, rng, deck):
    (pick(root, rng).parent.parent / "hollow").mkdir()
    return ["hollow"]


def add_spelling(source, root, rng, deck):
    folder = pick(root, rng).parent
    name = respell(folder.name, rng)
    if name == folder.name or (folder.parent / name).exists():
        return None
    for _ in range(6):
        put(folder.parent / name / deck.image(".png")[0], draw(next(deck.numbers)))
    return [folder.name, name]


def add_tiny(source, root, rng, deck):
    path = pick(root, rng).with_name("tiny.png")
    put(path, draw(next(deck.numbers), side=rng.choice((1, 4, 7))))
    return [path.name]


def add_frames(source, root, rng, deck):
    path = pick(root, rng).with_name("film.gif")
    frames = [Image.new("RGB", (8, 8), COLOURS[next(deck.numbers)]) for _ in range(2)]
    frames[0].save(path, save_all=True, append_images=frames[1:])
    return [path.name]


def add_archive(source, root, rng, deck):
    path = pick(root, rng).with_name("pack.zip")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.png", draw(next(deck.numbers)))
    return [path.name]


def add_folder_link(source, root, rng, deck):
    folder = pick(root, rng).parent
    target = folder
    if rng.random() < 0.5:
        target = root.parent / "elsewhere"
        for _ in range(6):
            name, content = deck.image()
            put(target / name, content)
    os.symlink(target, folder.parent / "linked")
    return ["linked"]


def add_second_part(source, root, rng, deck):
    """A part under a second name, or a folder that is none."""
    names = [path.name for path in root.iterdir()]
    spare = [word for words in WORDS.values() for word in words if word not in names]
    name = rng.choice([*spare, "extra"])
    label = pick(root, rng).parent.name
    for _ in range(2):
        file, content = deck.image()
        put(root / name / rng.choice((".", label)) / file, content)
    return [name, file]


def respell(text, rng):
    """Another way to write what reads the same."""
    ways = [text.upper(), text.title(), f"{text} ", f" {text}", text.replace(" ", "  ")]
    ways += [unicodedata.normalize("NFD", text), text + "\u200b", text.replace("a", "а")]
    if text.isdecimal():
        ways += ["0" + text, text + ".0", text + ",0", chr(0xFF10 + int(text[0])) + text[1:]]
    return rng.choice(ways)


FILE_FAULTS = (add_cut, add_page, add_copy, add_near, add_ending, add_tiny, add_frames)
FILE_FAULTS += (add_link_in, add_link_out, add_pipe, add_mask)
FOLDER_FAULTS = (*FILE_FAULTS, add_nested, add_stray, add_empty_class, add_spelling, add_archive)
FOLDER_FAULTS += (add_folder_link, add_second_part)


def plant_files(source, root, rng, deck, faults):
    """None, one or two planted faults; harmless files that systems leave."""
    for fault in rng.sample(faults, rng.choice((0, 1, 1, 2))):
        marks = fault(source, root, rng, deck)
        if marks:
            source.marks[fault.__name__] = marks
    if rng.random() < 0.3:
        put(root / rng.choice((".DS_Store", "Thumbs.db", ".hidden.png")), b"x")


def write_table(root, rng):
    """A table and its images, with columns in any of their forms."""
    deck = Deck(rng)
    images = root / rng.choice(("images", "bilder 1", "画像")) if rng.random() < 0.7 else root
    labels = rng.choice(CLASSES)[: rng.choice((2, 3))]
    suffix = rng.choice(("", "", ".png"))
    names = {"path": rng.choice(("path", "file", "Bild Nr")), "label": rng.choice(("label", "dx"))}
    given = rng.choice(("", "split", "fold"))
    counts = [("", 5)]
    if given:
        names[given] = given
    if given == "split":
        counts = rng.choice(PARTED)
    if given == "fold":
        counts = [(str(fold), 1) for fold in range(3)]
    if rng.random() < 0.6:
        names["group"] = rng.choice(("patient", "Nr."))
    rows = []
    groups = itertools.cycle(GROUPS)
    for part, count in counts:
        for label, _ in itertools.product(labels, range(count)):
            name, content = deck.image(suffix or None)
            below = rng.choice(("", "", "sub/", "ß 1/"))
            put(images / (below + name), content)
            row = {"path": below + name, "label": label}
            row["group"] = f"{next(groups)}{'/' + part if given else ''}"
            row["split"] = rng.choice(WORDS[part]) if given == "split" and part else part
            row["fold"] = part
            rows.append(row)
    rng.shuffle(rows)
    options = {"columns": names, "images": images}
    if rng.random() < 0.2:
        options["class_names"] = {label: f"{label}!" for label in reversed(labels)}
    if rng.random() < 0.1:
        options["class_names"] = labels[::-1]
    if suffix:
        options["suffix"] = suffix
    source = Source(root / "labels.csv", options, None)
    for fault in rng.sample(TABLE_FAULTS, rng.choice((0, 1, 1, 2))):
        marks = fault(source, rows, rng, deck, images)
        if marks:
            source.marks[fault.__name__] = marks
    save_table(source, rows, rng)
    return source


def save_table(source, rows, rng):
    names = dict(source.options["columns"])
    suffix = source.options.get("suffix", "")
    labels = sorted({row["label"] for row in rows})
    one_hot = not source.marks and "class_names" not in source.options and rng.random() < 0.2
    header = list(names)
    rng.shuffle(header)
    extra = rng.choice(("", "age", "blank"))
    lines = []
    for number, row in enumerate(rows):
        row["path"] = row["path"].removesuffix(suffix)
        if rng.random() < 0.1 and row["path"].strip():
            row["path"] = "./" + row["path"]
        cells = [row[what] for what in header]
        if one_hot:
            cells[header.index("label")] = None
            cells += [str(int(row["label"] == label)) for label in labels]
        cells = [cell for cell in cells if cell is not None]
        cells += {"": [], "age": [str(20 + number)], "blank": [""]}[extra]
        lines.append(cells[: row.get("width")] + row.get("more", []))
    first = [names[what] for what in header if not (one_hot and what == "label")]
    first += [f"is {label}" for label in labels] if one_hot else []
    first += {"": [], "age": ["age"], "blank": [""]}[extra]
    if one_hot:
        names["label"] = [f"is {label}" for label in labels]
    encoding = rng.choice(("utf-8", "utf-8-sig", "utf-16"))
    end = rng.choice(("\n", "\r\n"))
    text = io.StringIO(newline="")
    if rng.random() < 0.15:
        first, lines = ["", *first], [[str(row), *line] for row, line in enumerate(lines)]
    if rng.random() < 0.15:
        lines.insert(rng.randrange(len(lines)), [""] * rng.choice((1, len(first))))
    quoting = rng.choice((csv.QUOTE_MINIMAL, csv.QUOTE_ALL))
    writer = csv.writer(text, delimiter=rng.choice(",;\t"), lineterminator=end, quoting=quoting)
    writer.writerows([first, *lines])
    source.path.write_bytes(text.getvalue().encode(encoding))
    source.options["columns"] = names
    images = source.options["images"]
    encoding = "utf-16" if encoding == "utf-16" else "utf-8-sig"
    source.read = lambda: naive_reader.read_table(source.path, images, names, suffix, encoding)


def on_files(fault):
    """A planted fault of class folders, in the images of a table; then a row for a new file."""

    def plant(source, rows, rng, deck, images):
        before = set(images.rglob("*"))
        marks = fault(source, images, rng, deck)
        if rng.random() < 0.8 and not source.options.get("suffix"):
            for path in sorted(set(images.rglob("*")) - before):
                if path.suffix:
                    new = dict(rng.choice(rows), path=str(path.relative_to(images)))
                    rows.append(new)
        return marks

    plant.__name__ = f"{fault.__name__}_in_table"
    return plant


def add_missing(source, rows, rng, deck, images):
    rows.append(dict(rng.choice(rows), path="gone.png"))
    return ["gone"]


def add_case(source, rows, rng, deck, images):
    row = rng.choice(rows)
    if row["path"].swapcase() == row["path"] or source.options.get("suffix"):
        return None
    row["path"] = row["path"].swapcase()
    return [row["path"]]


def add_no_label(source, rows, rng, deck, images):
    row = rng.choice(rows)
    row["label"] = rng.choice(("", " ", "#N/A", "\u200b"))
    return [row["path"].removesuffix(source.options.get("suffix", "")), "label"]


def add_label_spelling(source, rows, rng, deck, images):
    row = rng.choice(rows)
    old, row["label"] = row["label"], respell(row["label"], rng)
    return None if row["label"] == old else [old, row["label"]]


def add_several(source, rows, rng, deck, images):
    labels = sorted({row["label"] for row in rows})
    rng.choice(rows)["label"] = "|".join(labels[:2])
    return ["|".join(labels[:2])]


def add_leak(source, rows, rng, deck, images):
    if not {"split", "fold"} & set(source.options["columns"]):
        return None
    if "group" not in source.options["columns"]:
        return None
    row, other = rng.sample(rows, 2)
    row["group"] = other["group"] if rng.random() < 0.5 else respell(other["group"], rng)
    return (
        None
        if row["group"] == other["group"] and row["fold"] == other["fold"]
        else [
            row["group"],
            other["group"],
        ]
    )


def add_no_group(source, rows, rng, deck, images):
    if "group" not in source.options["columns"]:
        return None
    rng.choice(rows)["group"] = rng.choice(("", " ", "#REF!"))
    return ["group"]


def add_bad_split(source, rows, rng, deck, images):
    given = {"split", "fold"} & set(source.options["columns"])
    if not given:
        return None
    row = rng.choice(rows)
    for what in given:
        row[what] = rng.choice(("", "trian", "-1", "x"))
    return ["split", "fold"]


def add_short(source, rows, rng, deck, images):
    rng.choice(rows)["width"] = 1
    return ["row"]


def add_long(source, rows, rng, deck, images):
    rng.choice(rows)["more"] = ["x", "y"]
    return ["row"]


def add_twice(source, rows, rng, deck, images):
    row = dict(rng.choice(rows))
    if rng.random() < 0.5:
        row["label"] = rng.choice(rows)["label"]
    rows.append(row)
    return [row["path"].removesuffix(source.options.get("suffix", ""))]


def add_outside(source, rows, rng, deck, images):
    put(images.parent / "outside.png", draw(next(deck.numbers)))
    path = rng.choice(("../outside.png", str(images.parent / "outside.png")))
    rows.append(dict(rng.choice(rows), path=path))
    return ["outside"]


def add_unlisted(source, rows, rng, deck, images):
    row = rows.pop(rng.randrange(len(rows)))
    return [row["path"].rpartition("/")[2]]


TABLE_FAULTS = (
    *map(on_files, FILE_FAULTS),
    *(add_missing, add_case, add_no_label, add_label_spelling, add_several, add_leak),
    *(add_no_group, add_bad_split, add_short, add_long, add_twice, add_outside, add_unlisted),
)


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
