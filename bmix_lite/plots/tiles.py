"""Small images in rows, each with room for a caption below, as one picture."""

import numpy as np

from bmix_lite.data.imageset import to_data_uri, to_picture

# pixels
TILE = 96  # the longer side of an image
GAP = 6
CAPTION = 72

TILES_IN_ROW = 6
MOST_BYTES = 16_000  # of the picture as text: a page holds one for each cell of a matrix


def measure_tiles(count):
    """(width, height) in pixels of a picture of `count` images."""
    rows = -(-count // TILES_IN_ROW)
    return TILES_IN_ROW * (TILE + GAP), rows * (TILE + CAPTION)


def place_captions(count):
    """x (count,) and y (count,), in pixels, of the middle of each caption's upper edge."""
    rows, columns = np.divmod(np.arange(count), TILES_IN_ROW)
    return columns * (TILE + GAP) + TILE / 2, rows * (TILE + CAPTION) + TILE + 3


def draw_tiles(images):
    """Images (K, H, W, C) uint8 as one picture, a data URI of at most about MOST_BYTES.

    A PNG, or a JPEG where that is too large. Without any image it is one white row.
    """
    channels = images.shape[3]
    rows = -(-len(images) // TILES_IN_ROW) or 1
    shape = (rows, TILES_IN_ROW, TILE + CAPTION, TILE + GAP, channels)
    tiles = np.full(shape, 255, np.uint8)
    for k, image in enumerate(images):
        pixels = _fit(image)
        height, width = pixels.shape[:2]
        left = (TILE - width) // 2
        row, column = divmod(k, TILES_IN_ROW)
        tiles[row, column, TILE - height : TILE, left : left + width] = pixels
    mosaic = tiles.swapaxes(1, 2).reshape(-1, TILES_IN_ROW * (TILE + GAP), channels)
    return _compress(to_picture(mosaic))


def _fit(image):
    """An image shrunk to TILE, or enlarged by whole pixels as far as that allows."""
    picture = to_picture(image)
    picture.thumbnail((TILE, TILE))
    zoom = TILE // max(picture.size)
    pixels = np.asarray(picture).reshape(picture.height, picture.width, -1)
    return pixels.repeat(zoom, axis=0).repeat(zoom, axis=1)


def _compress(picture):
    uri = to_data_uri(picture)
    quality = 90
    while len(uri) > MOST_BYTES and quality > 5:
        quality //= 2
        uri = to_data_uri(picture, "JPEG", quality=quality)
    return uri
