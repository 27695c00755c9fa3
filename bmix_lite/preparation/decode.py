"""One image file to one checked, upright, resized RGB array."""

import warnings
from pathlib import Path

import numpy as np

from bmix_lite.base.errors import BmixError, require, require_choice, require_integer

FITS = ("crop", "pad", "stretch")
LARGEST = 50_000_000  # pixels of a file; a larger one is refused before it is decoded (a cut-out belongs before this)
NARROWEST = 8  # pixels of a side; less is a spacer or a line, not a photograph
LONGEST = 20  # times as long as wide
HALF_TONES = {12: 4095, 16: 65535}


def decode_image(path, size, *, fit="crop", bits=16, box=None):
    """The image in a file as (size, size, 3) uint8. Raises BmixError with the path and what is wrong with the file.

    fit: "crop" scales the shorter side to `size` and cuts the centre, "pad" fits the longer side on black, "stretch"
    bits: what white is in files of 16 bits a channel, 12 or 16; grey becomes equal red, green and blue
    box: (left, top, right, bottom) in pixels, of which only the part inside the image is taken
    Turned as its EXIF says; transparent parts lie on black; floats must lie in [0, 1]; more than one frame is refused.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    require_choice("fit", fit, FITS)
    require_choice("bits", bits, HALF_TONES)
    require_integer("size", size, 1)
    path = Path(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of sizes, which are checked here, and of odd metadata
            with path.open("rb") as file, Image.open(file) as image:
                _check_shape(image)
                if box is None:
                    image.draft(
                        "RGB", (2 * size, 2 * size)
                    )  # JPEG: decode at a half, a quarter …, never below this
                upright = ImageOps.exif_transpose(image)
                _check_end(image.format, file)
                upright = upright if box is None else _cut(upright, box)
                return np.asarray(_fit(_to_rgb(upright, bits), size, fit))
    except UnidentifiedImageError:
        raise BmixError(f"{path}: {_describe(path)}") from None
    except (
        Exception
    ) as error:  # Pillow's decoders raise almost anything on broken files, and never with the path
        raise BmixError(f"{path}: {_name_fault(error)}") from error


def _check_shape(image):
    width, height = image.size
    require(
        width * height <= LARGEST,
        f"{width}x{height} pixels are more than {LARGEST / 1e6:g} megapixels",
    )
    require(
        min(width, height) >= NARROWEST,
        f"{width}x{height} pixels: each side needs at least {NARROWEST}",
    )
    long = max(width, height) / min(width, height)
    require(long <= LONGEST, f"{width}x{height} pixels: more than {LONGEST} times as long as wide")
    frames = (
        1 if image.format == "MPO" else getattr(image, "n_frames", 1)
    )  # MPO: a camera's JPEG with its thumbnail
    require(
        frames == 1,
        f"{frames} frames, expected one: save the frame that is meant as a file of its own",
    )


def _cut(image, box):
    left, top, right, bottom = box
    inside = max(0, left), max(0, top), min(image.width, right), min(image.height, bottom)
    width, height = inside[2] - inside[0], inside[3] - inside[1]
    rule = f"box {tuple(box)} must enclose at least {NARROWEST}x{NARROWEST} of the {image.width}x{image.height} pixels"
    require(min(width, height) >= NARROWEST, rule)
    return image.crop(inside)


def _check_end(kind, file):
    """A progressive JPEG that was cut decodes without a word: what it misses is its end mark."""
    if kind in ("JPEG", "MPO"):
        file.seek(0)
        require(b"\xff\xd9" in file.read()[2:], "the JPEG has no end: the file is cut")


def _to_rgb(image, bits):
    from PIL import Image

    if image.mode.startswith(("I", "F")):
        values = np.asarray(image, dtype=np.float64)
        require(np.isfinite(values).all(), "pixels that are not finite numbers")
        white, low, high = HALF_TONES[bits], values.min(), values.max()
        if image.mode == "F":
            require(
                low >= 0 and high <= 1,
                f"float pixels must lie in [0, 1], found {low:g} to {high:g}",
            )
            white = 1
        else:
            require(
                low >= 0 and high <= white,
                f"pixels must lie in 0..{white} ({bits} bits), found {low:g} to {high:g}",
            )
            dim = bits == 16 and 255 < high <= HALF_TONES[12]
            require(
                not dim,
                f"16-bit file with no pixel over {high:g}: 12-bit data? say bits=12 to scale by 4095",
            )
        image = Image.fromarray(np.round(values * (255 / white)).astype(np.uint8))
    if image.mode in ("P", "PA", "LA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
    if image.mode == "RGBA":
        return Image.alpha_composite(Image.new("RGBA", image.size, "black"), image).convert("RGB")
    return image.convert("RGB")


def _fit(image, size, fit):
    from PIL import Image, ImageOps

    method = (
        Image.Resampling.BICUBIC if min(image.size) < size else Image.Resampling.BILINEAR
    )  # up, down
    if fit == "stretch":
        return image.resize((size, size), method)
    return (ImageOps.fit if fit == "crop" else ImageOps.pad)(image, (size, size), method)


def _describe(path):
    """What a file is that is no image."""
    head = path.read_bytes()[:512]
    if not head:
        return "the file is empty"
    if head[128:132] == b"DICM":
        return "a DICOM file, which is not read here: export it as PNG, of 16 bits where it has more than 8"
    start = head.lstrip().lower()
    if start.startswith((b"<!doctype html", b"<html")):
        return "looks like HTML, not an image: a download that failed?"
    return f"not an image that can be read, it begins with {head[:8]!r}"


def _name_fault(error):
    if isinstance(error, IsADirectoryError):
        return "a folder, expected an image file"
    if isinstance(error, FileNotFoundError):
        return "the file is missing"
    if isinstance(error, PermissionError):
        return "no permission to read the file"
    if isinstance(error, BmixError):
        return str(error)
    return f"cannot be decoded ({error or type(error).__name__})"
