"""What an array must be to be images: its shape, and its values, judged over all of it."""

import math

import numpy as np

from bmix_lite.base.errors import BmixError, require

ROOM = 1024  # images looked at together


def check_pixels(name, images):
    """The images as (N, S, S, 1 or 3) uint8; floats in [0, 1] become 0..255.

    Raises BmixError, which says what the array is and how it becomes what is expected.
    """
    images = np.asanyarray(images)
    _check_shape(name, images)
    if images.ndim == 3:
        images = images[..., None]
    if images.dtype == np.uint8:
        return images
    if images.dtype.kind not in "iuf":
        raise BmixError(f"{name} must be numbers of 0..255, found {images.dtype}")
    low, high, is_whole = _look(name, images)
    if images.dtype.kind == "f" and low >= 0 and high <= 1:
        return _convert(images, 255)
    if low < 0 or high > 255 or not is_whole:
        raise BmixError(
            f"{name} must be whole numbers of 0..255, or floats in [0, 1], "
            f"found {low:g} to {high:g}: scale all of them alike"
        )
    if high <= 1:
        raise BmixError(f"{name}: no pixel over {high:g}, where 255 is white: multiply by 255")
    return _convert(images, 1)


def _check_shape(name, images):
    shape = images.shape
    if images.dtype.kind == "O":
        raise BmixError(f"{name}: images of different sizes, or no numbers: make one array of them")
    if images.ndim == 2:
        raise BmixError(
            f"{name} must be (N, S, S), found {shape}{_suggest_reshape(name, shape[1])}"
        )
    if images.ndim not in (3, 4):
        raise BmixError(f"{name} must be (N, S, S) or (N, S, S, 3), found {shape}")
    require(len(images), f"{name}: no image in it, found {shape}")
    if images.ndim == 4 and shape[1] in (1, 3) and shape[3] not in (1, 3):
        raise BmixError(
            f"{name}: the channels must come last, found {shape}: {name}.transpose(0, 2, 3, 1)"
        )
    if images.ndim == 4 and shape[3] not in (1, 3):
        raise BmixError(f"{name} must have 1 or 3 channels, found {shape}: {name}[..., :3]?")
    if shape[1] != shape[2]:
        raise BmixError(f"{name} must be square, found {shape}: cut or pad them")


def _suggest_reshape(name, values):
    """The end of a message about one row of values per image."""
    for channels, ending in ((1, ""), (3, ", 3")):
        side = math.isqrt(values // channels)
        if values == side * side * channels:
            return (
                f": rows of {side} x {side} pixels? {name}.reshape(-1, {side}, {side}{ending}); "
                "a column of labels or numbers must not be among them"
            )
    return f": {values} values per row are no square of pixels: is a column of labels among them?"


def _look(name, images):
    """(lowest, highest value, whether all are whole numbers)."""
    low = math.inf
    high = -math.inf
    is_whole = True
    for start in range(0, len(images), ROOM):
        part = np.asarray(images[start : start + ROOM])
        is_finite = np.isfinite(part).reshape(len(part), -1).all(axis=1)
        if not is_finite.all():
            row = start + int(np.argmin(is_finite))
            raise BmixError(f"{name}[{row}] has pixels that are no finite numbers: a cell missing?")
        low = min(low, part.min())
        high = max(high, part.max())
        is_whole = is_whole and bool((part == np.round(part)).all())
    return low, high, is_whole


def _convert(images, factor):
    pixels = np.empty(images.shape, np.uint8)
    for start in range(0, len(images), ROOM):
        part = np.asarray(images[start : start + ROOM], dtype=np.float64)
        pixels[start : start + ROOM] = np.round(part * factor)
    return pixels
