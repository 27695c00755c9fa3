"""Opening one image file: a broken, cut or odd file is refused here, any other is made RGB.

`decode_image` raises BmixError with the path and what is wrong: empty, HTML, DICOM, cut, huge, a
line or dot, several frames, pixels out of range. `cache` calls it for every file of a dataset.
"""

import functools
import warnings
from pathlib import Path

import numpy as np

from bmix_lite.base.errors import BmixError, require, require_choice, require_integer
from bmix_lite.base.files import name_special

FITS = ("crop", "pad", "stretch")
LARGEST = 50_000_000  # pixels of a file; a larger one is refused before it is decoded
NARROWEST = 8  # pixels of a side; less is a spacer or a line, not a photograph
LONGEST = 20  # times as long as wide
ORIENTATION = 0x0112  # EXIF's entry
METADATA = {bytes([0xFF, mark]) for mark in (*range(0xE0, 0xF0), 0xFE)}  # segments of a JPEG
HALF_TONES = {bits: 2**bits - 1 for bits in range(8, 17)}  # bits per channel: white
PHOTOGRAPHS = ("JPEG", "MPO")  # MPO: a camera's JPEG with its thumbnail
LAYERED = ("P", "PA", "LA", "La", "RGBa")  # Pillow's modes that may hold transparent parts
KNOWN_ERRORS = {  # how an operating system refuses a file, in words
    IsADirectoryError: "a folder, expected an image file",
    FileNotFoundError: "the file is missing",
    PermissionError: "no permission to read the file",
}


def decode_image(path, size, *, fit="crop", bits=16, box=None):
    """The image in a file as (size, size, 3) uint8. Raises BmixError: path, and what is wrong.

    fit: "crop" scales the shorter side to `size` and cuts the centre, "pad" fits the longer side
      on black, "stretch" ignores the shape
    bits: what white is in grey files of more than 8 bits, 8 to 16; of a whole set, see `depth`
    box: (left, top, right, bottom) in pixels; only the part inside the image is taken. With a
      fifth entry, "pad", what lies outside is black: the box keeps its size
    Turned as its EXIF says; grey becomes equal red, green and blue; transparent parts lie on
    black; floats must lie in [0, 1]; more than one frame is refused.
    """
    pixels, top = decode_file(path, size, fit=fit, bits=bits, box=box)
    if top:
        _check_half_tones(path, top, bits)
    return pixels


def decode_file(path, size, *, fit="crop", bits=16, box=None):
    """As `decode_image`, and the highest pixel of a grey file of more than 8 bits, else 0.

    Whether that goes with `bits` is left to who knows the other files of the set.
    """
    from PIL import UnidentifiedImageError

    require_choice("fit", fit, FITS)
    require_choice("bits", bits, HALF_TONES)
    require_integer("size", size, 1)
    path = Path(path)
    special = name_special(path)
    if special:
        raise BmixError(f"{path}: {special}, expected an image file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of sizes, which are checked here, and of odd metadata
            upright = _open_upright(path, size, box)
            picture, top = _to_rgb(upright, bits)
            return np.asarray(_resize(picture, size, fit)), top
    except UnidentifiedImageError:
        raise BmixError(f"{path}: {_describe_file(path)}") from None
    except Exception as error:
        # Pillow's decoders raise almost anything on broken files, and never with the path
        raise BmixError(f"{path}: {_name_fault(error)}") from error


def _open_upright(path, size, box):
    """The image of a file, decoded, turned as its EXIF says, and cut to the box."""
    if box is None:
        return _open_whole(path, size)
    status = path.stat()
    return _cut(_open_again(path, status.st_mtime_ns, status.st_size), box)


@functools.lru_cache(maxsize=1)
def _open_again(path, date, length):
    """The same of a photograph whose boxes follow each other; date and length tell files apart."""
    return _open_whole(path)


def _open_whole(path, size=None):
    """The image of a file, decoded and turned as its EXIF says; a JPEG not much above `size`."""
    from PIL import Image, ImageOps

    with path.open("rb") as file, Image.open(file) as image:
        _check_shape(image)
        if size is not None:
            # a JPEG is decoded at a half, a quarter … of its size, never below this one
            image.draft("RGB", (2 * size, 2 * size))
        elif image.getexif().get(ORIENTATION, 1) > 1:
            words = "do boxes and points fit it as stored, or turned? Save it upright"
            raise BmixError(f"EXIF turns this photograph: {words}")
        upright = ImageOps.exif_transpose(image)
        if image.format in PHOTOGRAPHS:
            _check_end(file)
        return upright


def _check_shape(image):
    width, height = image.size
    if width * height > LARGEST:
        raise BmixError(f"{width}x{height} pixels are more than {LARGEST / 1e6:g} megapixels")
    if min(width, height) < NARROWEST:
        raise BmixError(f"{width}x{height} pixels: each side needs at least {NARROWEST}")
    if max(width, height) / min(width, height) > LONGEST:
        raise BmixError(f"{width}x{height} pixels: more than {LONGEST} times as long as wide")
    frames = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
    if frames != 1:
        raise BmixError(
            f"{frames} frames, expected one: save the frame that is meant as a file of its own"
        )


def _check_end(file):
    """A progressive JPEG that was cut decodes without a word: what it lacks is its end mark.

    That of a thumbnail among the metadata, which come first, is another one.
    """
    file.seek(0)
    content = file.read()
    at = 2
    while content[at : at + 2] in METADATA:
        at += 2 + int.from_bytes(content[at + 2 : at + 4], "big")
    require(content.find(b"\xff\xd9", at) > 0, "the JPEG has no end: the file is cut")


def _cut(image, box):
    left, top, right, bottom = box[:4]
    if box[4:] == ("pad",):
        x = (left + right) / 2
        y = (top + bottom) / 2
        if not (0 <= x < image.width and 0 <= y < image.height):
            raise BmixError(
                f"the point {x:g}, {y:g} lies outside of the {image.width}x{image.height} pixels"
            )
        return image.crop((left, top, right, bottom))  # black beyond the edge
    left = max(0, left)
    top = max(0, top)
    right = min(image.width, right)
    bottom = min(image.height, bottom)
    if min(right - left, bottom - top) < NARROWEST:
        raise BmixError(
            f"box {tuple(box)} must enclose at least {NARROWEST}x{NARROWEST} "
            f"of the {image.width}x{image.height} pixels"
        )
    return image.crop((left, top, right, bottom))


def _to_rgb(image, bits):
    """The image in RGB, and the highest pixel where it was grey with more than 8 bits, else 0."""
    from PIL import Image

    top = 0
    if image.mode.startswith("F"):
        image = _to_8_bits(_check_floats(image), 1)
    elif image.mode.startswith("I"):
        values = _check_range(image)
        top = int(values.max())
        image = _to_8_bits(values, HALF_TONES[bits])
    if image.mode in LAYERED or "transparency" in image.info:
        image = image.convert("RGBA")
    if image.mode == "RGBA":
        black = Image.new("RGBA", image.size, "black")
        image = Image.alpha_composite(black, image)
    return image.convert("RGB"), top


def _check_floats(image):
    values = np.asarray(image, dtype=np.float64)
    require(np.isfinite(values).all(), "pixels that are not finite numbers")
    low = values.min()
    high = values.max()
    if low < 0 or high > 1:
        raise BmixError(f"float pixels must lie in [0, 1], found {low:g} to {high:g}")
    return values


def _check_range(image):
    values = np.asarray(image, dtype=np.float64)
    low = values.min()
    high = values.max()
    if low < 0 or high > HALF_TONES[16]:
        raise BmixError(
            f"pixels must lie in 0..{HALF_TONES[16]} (16 bits), found {low:g} to {high:g}"
        )
    return values


def _to_8_bits(values, white):
    """A grey image of 8 bits; what is above white is white."""
    from PIL import Image

    return Image.fromarray(np.round(np.minimum(values, white) * (255 / white)).astype(np.uint8))


def _check_half_tones(path, top, bits):
    white = HALF_TONES[bits]
    if top > white:
        raise BmixError(f"{path}: pixels must lie in 0..{white} ({bits} bits), found {top:g}")
    if bits == 16 and 255 < top <= HALF_TONES[12]:
        raise BmixError(
            f"{path}: 16-bit file with no pixel over {top:g}: 12-bit data? "
            "say bits=12 to scale by 4095"
        )


def _resize(image, size, fit):
    from PIL import Image, ImageOps

    enlarges = min(image.size) < size
    method = Image.Resampling.BICUBIC if enlarges else Image.Resampling.BILINEAR
    if fit == "stretch":
        return image.resize((size, size), method)
    if fit == "pad":
        return ImageOps.pad(image, (size, size), method)
    return ImageOps.fit(image, (size, size), method)


def _describe_file(path):
    """What a file is that is not an image."""
    head = path.read_bytes()[:512]
    if not head:
        return "the file is empty"
    if head[128:132] == b"DICM":
        return (
            "a DICOM file, which is not read here: export it as PNG, "
            "of 16 bits where it has more than 8"
        )
    start = head.lstrip().lower()
    if start.startswith((b"<!doctype html", b"<html")):
        return "looks like HTML, not an image: a download that failed?"
    return f"not an image that can be read, it begins with {head[:8]!r}"


def _name_fault(error):
    if isinstance(error, BmixError):
        return str(error)
    for kind, words in KNOWN_ERRORS.items():
        if isinstance(error, kind):
            return words
    return f"cannot be decoded ({error or type(error).__name__})"
