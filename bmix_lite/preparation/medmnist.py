"""Reading MedMNIST's arrays, train_images to test_labels in one .npz, piece by piece and without running any code."""

import hashlib
import zipfile
import zlib
from pathlib import Path

import numpy as np

from bmix_lite.base.errors import BmixError, require
from bmix_lite.data.imageset import SPLITS
from bmix_lite.preparation.cache import CHUNK, save_chunk
from bmix_lite.preparation.listing import Item, Listing


def list_npz(path):
    """One item an image. Raises BmixError where arrays are missing, damaged, or not N images with one label each.

    Source of the format: Yang et al., Scientific Data 10, 2023 (MedMNIST v2).
    """
    path = Path(path)
    listing = Listing(path)
    with _open(path) as archive:
        shapes = set()
        for split in SPLITS:
            shape = _read_header(path, archive, f"{split}_images")[0]
            labels = _read_labels(path, archive, f"{split}_labels", shape)
            shapes.add(shape[1:])
            for row, label in enumerate(labels.tolist()):
                name, text = f"{split}/{row}", str(label)
                listing.labels[text] += 1
                listing.items.append(
                    Item(name, str(path), text, f"{split}_images[{row}]", split=split)
                )
    require(len(shapes) == 1, f"{path}: images of different shapes: {sorted(shapes)}")
    listing.side = shape[1]
    return listing


def unpack_npz(path, chunks):
    """Write the images, in the order of `list_npz`, into the chunk files that are not there yet."""
    path, todo, waiting = Path(path), iter(chunks), np.empty(0)
    with _open(path) as archive:
        for split in SPLITS:
            for block in _read_images(path, archive, f"{split}_images"):
                waiting = np.concatenate([waiting, block]) if len(waiting) else block
                if len(waiting) >= CHUNK:
                    _save(next(todo), waiting[:CHUNK])
                    waiting = waiting[CHUNK:]
    if len(waiting):
        _save(next(todo), waiting)


def _save(chunk, pixels):
    if not chunk.exists():
        digests = [hashlib.sha256(np.ascontiguousarray(image)).hexdigest() for image in pixels]
        save_chunk(chunk, pixels, digests, [pixels.shape[1:3]] * len(pixels), [""] * len(pixels))


def _open(path):
    try:
        return zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile) as error:
        raise BmixError(f"{path}: no .npz that can be read ({error})") from error


def _read_header(path, archive, name):
    """(shape, dtype, open member) of one array, checked before any of its content is read."""
    found = ", ".join(archive.namelist())
    require(f"{name}.npy" in archive.namelist(), f"{path}: no array {name!r}, found {found}")
    try:
        member = archive.open(f"{name}.npy")
        version = np.lib.format.read_magic(member)
        read = (
            np.lib.format.read_array_header_1_0
            if version == (1, 0)
            else np.lib.format.read_array_header_2_0
        )
        shape, fortran, dtype = read(member)
    except (OSError, ValueError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise BmixError(f"{path}: {name}: cannot be read ({error})") from error
    kind = "images" if name.endswith("images") else "labels"
    require(not dtype.hasobject, f"{path}: {name} holds Python objects, which are never loaded")
    right = dtype == np.uint8 if kind == "images" else dtype.kind in "iu"
    require(
        right,
        f"{path}: {name} must be {'uint8' if kind == 'images' else 'integers'}, found {dtype}",
    )
    if kind == "images":
        square = len(shape) in (3, 4) and shape[1] == shape[2] and shape[3:] in ((), (1,), (3,))
        require(square, f"{path}: {name} must be (N, S, S) or (N, S, S, 3), found {shape}")
    require(
        not fortran and shape[0] > 0,
        f"{path}: {name} must be in C order and not empty, found {shape}",
    )
    return shape, dtype, member


def _read_labels(path, archive, name, images):
    shape, dtype, member = _read_header(path, archive, name)
    one = shape in ((images[0],), (images[0], 1))
    require(
        one, f"{path}: {name} must be one label for each of {images[0]} images, found shape {shape}"
    )
    content = _read_bytes(path, name, member, shape[0] * dtype.itemsize)
    labels = np.frombuffer(content, dtype).ravel()
    require(
        labels.min() >= 0,
        f"{path}: {name} must be 0 or more, found {labels.min()} in row {labels.argmin()}",
    )
    return labels


def _read_images(path, archive, name):
    """Blocks (n, S, S, C) of one array."""
    shape, _, member = _read_header(path, archive, name)
    shape = shape if len(shape) == 4 else (*shape, 1)
    each = int(np.prod(shape[1:]))
    for at in range(0, shape[0], CHUNK):
        count = min(CHUNK, shape[0] - at)
        content = _read_bytes(path, name, member, count * each, last=at + count == shape[0])
        yield np.frombuffer(content, np.uint8).reshape(count, *shape[1:])


def _read_bytes(path, name, member, size, last=True):
    try:
        content = member.read(size)
        if last:
            member.read(1)  # at the end of a member zipfile compares the checksum
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise BmixError(f"{path}: {name}: damaged ({error})") from error
    require(
        len(content) == size, f"{path}: {name}: cut, {size} bytes expected, {len(content)} found"
    )
    return content
