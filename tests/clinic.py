"""A folder as it comes from a clinic: a table, photographs, and one of every planted fault."""

import numpy as np
from PIL import Image

from tiny import make_empty_png

SIZE = 24
CLASSES = {"0": "healthy", "1": "mild", "2": "severe"}


def draw(seed, side=SIZE):
    """A photograph that no other seed gives: smooth blobs of colour."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
    return coarse.resize((side, side), Image.Resampling.BICUBIC)


def make_folder(root, counts=(12, 8, 6)):
    """A folder per class, all in order; returns root."""
    for label, count in enumerate(counts):
        for number in range(count):
            path = root / f"class {label}" / f"{number:03}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            draw(1000 * label + number).save(path)
    return root


def write_table(path, rows, header=("path", "label", "patient", "split")):
    path.write_text("\n".join(",".join(row) for row in [header, *rows]) + "\n", encoding="utf-8")
    return path


def make_clinic(root):
    """images/ and labels.csv: 90 photographs of 3 classes, with patients and splits, no fault.

    Returns (table, rows).
    """
    rows = []
    (root / "images").mkdir(parents=True)
    for number in range(90):
        name = f"{number:03}.png"
        draw(number).save(root / "images" / name)
        patient = number // 2
        split = ("train", "train", "train", "val", "test")[patient % 5]
        rows.append((name, str(patient % 3), f"p{patient}", split))
    return write_table(root / "labels.csv", rows), rows


def plant(root):
    """A clinic with faults; returns (table, {kind: [texts that the report must show]})."""
    _, rows = make_clinic(root)
    images = root / "images"
    kinds = {}

    def add(kind, name, content=None, *, row=None, found=None):
        """One more row for a file with this content."""
        path = images / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif content is not None:
            content.save(path)
        rows.append(row or (name, "0", f"own {name.replace(' ', '')}", "train"))
        kinds.setdefault(kind, []).append(found or name)

    photo = draw(500, 200)
    photo.save(root / "whole.jpg", quality=95)
    photo.save(root / "whole.png")
    jpeg = (root / "whole.jpg").read_bytes()
    png = (root / "whole.png").read_bytes()
    add("unreadable", "cut half.jpg", jpeg[: len(jpeg) // 2])
    add("unreadable", "cut two bytes.jpg", jpeg[:-2])
    add("unreadable", "cut half.png", png[: len(png) // 2])
    broken = bytearray(png)
    broken[len(png) // 2] ^= 255
    add("unreadable", "bad sum.png", bytes(broken))
    add("unreadable", "empty.jpg", b"")
    add("unreadable", "one byte.jpg", b"x")
    add(
        "unreadable",
        "page.jpg",
        b"<!DOCTYPE html><html><body>sign in</body></html>",
        found="looks like HTML",
    )
    add("unreadable", "words.jpg", b"see the other folder")
    add("unreadable", "huge.png", make_empty_png(10_000))
    add("unreadable", "dot.png", Image.new("RGB", (1, 1)))
    add("unreadable", "line.png", Image.new("RGB", (3000, 10)))
    pages = [draw(501), draw(502), draw(503)]
    pages[0].save(images / "pages.tif", save_all=True, append_images=pages[1:])
    add("unreadable", "pages.tif")
    pages[0].save(images / "moving.gif", save_all=True, append_images=pages[1:])
    add("unreadable", "moving.gif")
    add("depth", "dark 12 bits.png", Image.fromarray(np.full((20, 20), 3000, np.uint16)))
    add("unreadable", "floats.tif", Image.fromarray(np.full((20, 20), 7.5, np.float32)))
    (images / "a folder.jpg").mkdir()
    add("unreadable", "a folder.jpg")
    add("missing", "not there.png")
    add("missing", "nor this.png")
    add("label", "blank.png", draw(510), row=("blank.png", " ", "q1", "train"))
    add("label", "word.png", draw(511), row=("word.png", "two", "q2", "train"), found="'two'")
    add(
        "label",
        "ninety-nine.png",
        draw(512),
        row=("ninety-nine.png", "99", "q3", "train"),
        found="'99'",
    )
    add("group", "nobody.png", draw(513), row=("nobody.png", "0", "", "train"))
    add(
        "split",
        "odd split.png",
        draw(514),
        row=("odd split.png", "0", "q4", "trian"),
        found="did you mean 'train'",
    )
    add(
        "row", "long.png", draw(515), row=("long.png", "0", "q5", "train", "more"), found="5 fields"
    )
    add("row", "short.png", draw(516), row=("short.png", "0"), found="2 fields")
    add("twice", "000.png", row=rows[0])
    add(
        "conflict",
        "001.png",
        row=("001.png", "2", "p0", "train"),
        found="labels &#39;0&#39; and &#39;2&#39;",
    )
    add(
        "duplicate",
        "copy.png",
        (images / "010.png").read_bytes(),
        row=("copy.png", "2", "q6", "test"),
    )
    smaller = Image.open(images / "020.png").resize((20, 20), Image.Resampling.BICUBIC)
    add("near", "smaller.jpg", smaller, row=("smaller.jpg", "1", "q7", "val"))
    add(
        "leak",
        "p12 again.png",
        draw(517),
        row=("p12 again.png", "0", "p12", "test"),
        found="group p12",
    )
    add("sizes", "wide.png", draw(518).resize((96, 24)))
    draw(519).save(images / "spare <b>.png")
    kinds["unlisted"] = ["spare &lt;b&gt;.png"]
    return write_table(root / "labels.csv", rows), kinds
