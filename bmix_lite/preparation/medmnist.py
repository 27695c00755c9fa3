"""Reading MedMNIST's arrays from one .npz, train_images to test_labels, in pieces, no code run."""

import zipfile
import zlib
from functools import partial
from pathlib import Path

import numpy as np

from bmix_lite.base.errors import BmixError, require
from bmix_lite.base.files import name_special
from bmix_lite.data.imageset import SPLITS
from bmix_lite.preparation.cache import CHUNK, save_blocks
from bmix_lite.preparation.listing import Item, Listing
from bmix_lite.preparation.sameness import is_blank

READERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def list_npz(path):
    """One item per image, as a Listing; train_groups to test_groups are read where they are there.

    Raises BmixError where arrays are missing, damaged, or not N images with one label each.
    Source of the format: Yang et al., Scientific Data 10, 2023 (MedMNIST v2).
    """
    path = Path(path)
    listing = Listing(path)
    shapes = set()
    with _open(path) as archive:
        for split in SPLITS:
            shape = _read_header(path, archive, f"{split}_images")[0]
            labels = _read_labels(path, archive, f"{split}_labels", shape[0])
            groups = _read_groups(path, archive, f"{split}_groups", shape[0])
            shapes.add(shape[1:])
            listing.parts.update((split, label) for label in labels)
            for row, (label, group) in enumerate(zip(labels, groups, strict=True)):
                where = f"{split}_images[{row}]"
                listing.labels[label] += 1
                item = Item(f"{split}/{row}", str(path), label, where, group, split)
                listing.items.append(item)
    require(len(shapes) == 1, f"{path}: images of different shapes: {sorted(shapes)}")
    listing.side = shape[1]
    listing.blocks = partial(read_blocks, path)
    return listing


def unpack_npz(path, chunks):
    """Write the images, in the order of `list_npz`, into the chunk files that do not exist yet."""
    save_blocks(read_blocks(Path(path)), chunks)


def read_blocks(path):
    """Yield the images, in the order of `list_npz`, as blocks (n, S, S, C)."""
    with _open(path) as archive:
        for split in SPLITS:
            yield from _read_images(path, archive, f"{split}_images")


def _open(path):
    special = name_special(path)
    if special:
        raise BmixError(f"{path}: no .npz that can be read (it is {special})")
    try:
        return zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile) as error:
        raise BmixError(f"{path}: no .npz that can be read ({error})") from error


def _read_header(path, archive, name):
    """(shape, dtype, open member) of one array, checked before any of its content is read."""
    names = archive.namelist()
    if f"{name}.npy" not in names:
        raise BmixError(f"{path}: no array {name!r}, found {', '.join(names)}")
    try:
        member = archive.open(f"{name}.npy")
        version = np.lib.format.read_magic(member)
        read = READERS.get(version, np.lib.format.read_array_header_2_0)
        shape, is_fortran, dtype = read(member)
    except (OSError, ValueError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise BmixError(f"{path}: {name}: cannot be read ({error})") from error
    require(not dtype.hasobject, f"{path}: {name} holds Python objects, which are never loaded")
    if name.endswith("images"):
        _check_images(path, name, shape, dtype)
    elif dtype.kind not in ("iuU" if name.endswith("groups") else "iu"):
        raise BmixError(f"{path}: {name} must be integers, found {dtype}")
    if is_fortran or shape[0] == 0:
        raise BmixError(f"{path}: {name} must be in C order and not empty, found {shape}")
    return shape, dtype, member


def _check_images(path, name, shape, dtype):
    if dtype != np.uint8:
        raise BmixError(f"{path}: {name} must be uint8, found {dtype}")
    is_square = len(shape) in (3, 4) and shape[1] == shape[2]
    if not is_square or shape[3:] not in ((), (1,), (3,)):
        raise BmixError(f"{path}: {name} must be (N, S, S) or (N, S, S, 3), found {shape}")


def _read_labels(path, archive, name, count):
    """The labels of `count` images, as texts."""
    labels = _read_column(path, archive, name, count)
    if labels.min() < 0:
        raise BmixError(
            f"{path}: {name} must be 0 or more, found {labels.min()} in row {labels.argmin()}"
        )
    return list(map(str, labels.tolist()))


def _read_groups(path, archive, name, count):
    """The groups of `count` images, as texts, blank where the array is not there."""
    if f"{name}.npy" not in archive.namelist():
        return [""] * count
    groups = list(map(str, _read_column(path, archive, name, count).tolist()))
    blank = [row for row, group in enumerate(groups) if is_blank(group)]
    if blank:
        raise BmixError(f"{path}: {name} must hold a group for each image, row {blank[0]} is blank")
    return groups


def _read_column(path, archive, name, count):
    """An array (count,) or (count, 1)."""
    shape, dtype, member = _read_header(path, archive, name)
    if shape not in ((count,), (count, 1)):
        raise BmixError(
            f"{path}: {name} must be one label for each of {count} images, found shape {shape}"
        )
    content = _read_bytes(path, name, member, count * dtype.itemsize)
    return np.frombuffer(content, dtype).ravel()


def _read_images(path, archive, name):
    """Blocks (n, S, S, C) of one array."""
    shape, _, member = _read_header(path, archive, name)
    images = shape[0]
    size = shape[1:] if len(shape) == 4 else (*shape[1:], 1)
    for start in range(0, images, CHUNK):
        count = min(CHUNK, images - start)
        is_last = start + count == images
        content = _read_bytes(path, name, member, count * int(np.prod(size)), is_last)
        yield np.frombuffer(content, np.uint8).reshape(count, *size)


def _read_bytes(path, name, member, size, is_last=True):
    try:
        content = member.read(size)
        if is_last:
            member.read(1)  # at the end of a member zipfile compares the checksum
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise BmixError(f"{path}: {name}: damaged ({error})") from error
    if len(content) != size:
        raise BmixError(f"{path}: {name}: cut, {size} bytes expected, {len(content)} found")
    return content
