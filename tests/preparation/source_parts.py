"""What random sources are made of: labels, names, groups, colours, and their images."""

import functools
import io
import itertools
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

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
    mode = MODES.get((kind, number % 5), "RGB")
    image.convert(mode, palette=Image.Palette.ADAPTIVE).save(buffer, kind, **options)
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
