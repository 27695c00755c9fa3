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
TURNED = ("PNG", "JPEG", "TIFF", "WEBP")  # formats that may hold an EXIF
MODES = {("PNG", 0): "RGBA", ("PNG", 1): "P", ("TIFF", 0): "CMYK", ("JPEG", 1): "CMYK"}
PARTED = (  # (part, images of a class in it), with which five folds can be dealt
    [("train", 2), ("val", 1), ("test", 1)],
    [("train", 5), ("test", 1)],
    [("train", 5), ("val", 1)],
)
STEP = 26  # grey levels between two colours, more than a JPEG loses
COLOURS = list(itertools.product(range(30, 220, STEP), repeat=3))
MARK = np.array([-8, 0, 20])  # what a corner differs by: no grey level, so that no pair is near
ORIENTATION = 274  # EXIF's number of it


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
def draw(number, ending=".png", side=8, turn=1):
    """The bytes of an image of one colour but for two corners, by which its turns differ.

    turn: how EXIF says that it is to be turned, 1 to 8
    """
    kind = FORMATS.get(ending.lower(), ending[1:].upper())
    options = {"quality": 95} if kind == "JPEG" else {"lossless": True} if kind == "WEBP" else {}
    pixels = np.tile(COLOURS[number % len(COLOURS)], (side, side, 1))
    pixels[: side // 2] += MARK
    pixels[: side // 2, : side // 2] += MARK
    if turn > 1 and kind in TURNED:
        options["exif"] = Image.Exif()
        options["exif"][ORIENTATION] = turn
    image = Image.fromarray(pixels.astype(np.uint8))
    mode = MODES.get((kind, number % 5), "RGB")
    image = image.convert(mode, palette=Image.Palette.ADAPTIVE)
    return save(image, kind, **options)


@functools.cache
def draw_deep(level, bits, ending):
    """The bytes of a grey image of 16 bits, of which `bits` are used; level: 0 to 255."""
    pixels = np.full((8, 8), round(level / 255 * (2**bits - 1)), np.uint16)
    return save(Image.fromarray(pixels), FORMATS.get(ending, "PNG"))


def save(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@functools.cache
def draw_pattern(last):
    """The bytes of an image with a pattern; `last`: its last pixel, so that two are near copies."""
    pixels = np.random.default_rng(0).integers(0, 250, (8, 8, 3), dtype=np.uint8)
    pixels[-1, -1] = last
    return save(Image.fromarray(pixels))


class Deck:
    """Names and colours that no two images of a source share.

    bits: of its grey images of more than 8 bits, which some sources have
    """

    def __init__(self, rng):
        self.rng = rng
        self.bits = rng.choice((12, 14, 16))
        self.has_deep = rng.random() < 0.3
        self.levels = iter(rng.sample(range(10, 250, 7), 34))
        self.numbers = iter(rng.sample(range(len(COLOURS)), 80))
        stems = rng.sample(STEMS, len(STEMS))
        self.stems = itertools.chain(stems, (f"more{number}q" for number in itertools.count()))

    def image(self, ending=None):
        """(name, bytes)"""
        if not ending and self.has_deep and self.rng.random() < 0.3:
            ending = self.rng.choice((".png", ".tif"))
            return next(self.stems) + ending, draw_deep(next(self.levels), self.bits, ending)
        ending = ending or self.rng.choice(ENDINGS)
        side = self.rng.choice((8, 8, 12))
        turn = self.rng.choice((1, 1, *range(2, 9)))
        return next(self.stems) + ending, draw(next(self.numbers), ending, side, turn)

    def options(self):
        """Of `prepare`: the depth must be said where there are deep images."""
        return {"bits": self.bits} if self.has_deep else {}


def put(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
