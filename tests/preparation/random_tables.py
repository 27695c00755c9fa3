"""Random tables of labels as people bring them, with and without planted faults."""

import csv
import functools
import io
import itertools

from preparation import naive_reader
from preparation.planted_faults import FILE_FAULTS, choose_faults, respell
from preparation.source_parts import CLASSES, GROUPS, PARTED, WORDS, Deck, Source, draw, put


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
    options = {"columns": names, "images": images, **deck.options()}
    if rng.random() < 0.2:
        options["search"] = True
    if rng.random() < 0.2:
        options["class_names"] = {label: f"{label}!" for label in reversed(labels)}
    if rng.random() < 0.1:
        options["class_names"] = labels[::-1]
    if suffix:
        options["suffix"] = suffix
    source = Source(root / "labels.csv", options, None)
    for fault in choose_faults(rng, TABLE_FAULTS):
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
        if source.options.get("search") and ".." not in row["path"]:
            row["path"] = row["path"].rpartition("/")[2]
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
    read = functools.partial(naive_reader.read_table, source.path, images, names, suffix)
    is_searched = source.options.get("search", False)
    source.read = functools.partial(read, is_searched, encoding, source.options.get("bits", 16))


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
    return [row["path"].rpartition("/")[2]]


def add_no_label(source, rows, rng, deck, images):
    row = rng.choice(rows)
    row["label"] = rng.choice(("", " ", "#N/A", "\u200b"))
    return [row["path"].removesuffix(source.options.get("suffix", "")), "label"]


def add_label_spelling(source, rows, rng, deck, images):
    row = rng.choice(rows)
    old, row["label"] = row["label"], respell(row["label"], rng)
    is_named = "class_names" in source.options and row["label"].strip() == old
    return None if is_named or row["label"] == old else [old, row["label"]]


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
    is_harmless = row["group"] == other["group"] and row["fold"] == other["fold"]
    return None if is_harmless else [row["group"], other["group"]]


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
