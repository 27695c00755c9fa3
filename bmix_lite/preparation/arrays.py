"""Images that are arrays already: in memory, or in a folder of .npy files with their labels."""

import re
from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np

from bmix_lite.base.errors import BmixError, require_choice, suggest
from bmix_lite.data.imageset import hash_images
from bmix_lite.preparation.cache import CHUNK
from bmix_lite.preparation.faults import shorten
from bmix_lite.preparation.listing import Item, Listing
from bmix_lite.preparation.pixels import check_pixels
from bmix_lite.preparation.rows import SPLIT_WORDS, read_split
from bmix_lite.preparation.sameness import is_blank

ROLES = ("images", "labels", "groups")  # of the files in a folder
PART = "{}"  # in the name of a file: train, val or test


def list_memory(images, labels, *, groups=None, split=None, ids=None):
    """The Listing of arrays in memory; see `prepare_arrays`. Raises BmixError where they misfit."""
    images = check_pixels("images", images)
    n = len(images)
    listing = Listing(Path("arrays"), side=images.shape[1], digest=hash_images(images))
    names = list(map(str, range(n))) if ids is None else read_texts("ids", ids, n)
    repeated = [name for name, count in Counter(names).items() if count > 1 or not name.strip()]
    if repeated:
        raise BmixError(f"ids must differ from image to image and not be blank: {repeated[0]!r}")
    columns = {
        "label": read_texts("labels", labels, n),
        "group": None if groups is None else read_texts("groups", groups, n),
        "split": None if split is None else read_texts("split", split, n),
    }
    rows = [_add_row(listing, f"images[{row}]", names[row], row, columns) for row in range(n)]
    listing.blocks = partial(_yield_blocks, [(images, [row for row in rows if row is not None])])
    return listing


def list_arrays(folder, arrays):
    """The Listing of a folder of .npy files.

    arrays: {"images": name, "labels": name, "groups": name} of the files, the last where there is
      one; "{}" in the names stands for train, val and test: {"images": "x_{}.npy", "labels":
      "y_{}.npy"}. Without it, one file holds all, and no split is given.
    Raises BmixError where files are missing or do not fit. Nothing in them is run.
    """
    folder = Path(folder)
    for role in arrays:
        require_choice("arrays", role, ROLES)
    missing = [role for role in ROLES[:2] if not arrays.get(role)]
    if missing:
        raise BmixError(f"arrays: {missing[0]} must be named, got {arrays!r}")
    listing = Listing(folder)
    parts = []
    shapes = {}
    for split, files in _find_parts(folder, arrays).items():
        images = check_pixels(files["images"].name, _load(files["images"]))
        shapes[files["images"].name] = images.shape[1:]
        parts.append((images, _add_part(listing, split, files, len(images))))
    if len(set(shapes.values())) > 1:
        raise BmixError(f"{folder}: images of different shapes: {shapes}")
    listing.side = parts[0][0].shape[1]
    listing.blocks = partial(_yield_blocks, parts)
    return listing


def _find_parts(folder, arrays):
    """{split, "" where there is none: {role: path}}."""
    name = arrays["images"]
    words = {"": ""}
    if PART in name:
        words = _find_words(folder, name)
    parts = {}
    for split, word in words.items():
        parts[split] = {role: folder / file.replace(PART, word) for role, file in arrays.items()}
        lost = [path for path in parts[split].values() if not path.is_file()]
        if lost:
            raise BmixError(f"arrays: {lost[0]} is not there; {folder} holds {_list_files(folder)}")
    return parts


def _find_words(folder, name):
    """{split: how the names of the files write it}, in the order train, val, test."""
    start, _, end = name.partition(PART)
    pattern = re.compile(re.escape(start) + "(.+)" + re.escape(end))
    matches = [pattern.fullmatch(path.name) for path in sorted(folder.glob("*.npy"))]
    words = {}
    for word in (match[1] for match in matches if match and read_split(match[1])):
        split = read_split(word)
        if split in words:
            raise BmixError(
                f"arrays: {name!r} fits {words[split]!r} and {word!r}, both are {split}"
            )
        words[split] = word
    if not words:
        raise BmixError(
            f"arrays: no file of {folder} is {name!r} with train, val or test in place of {PART}: "
            f"found {_list_files(folder)}"
        )
    return {split: words[split] for split in ("train", "val", "test") if split in words}


def _list_files(folder):
    return shorten(sorted(path.name for path in folder.glob("*.npy"))) or "no .npy"


def _load(path):
    """An array, memory-mapped."""
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise BmixError(f"{path}: no array that can be read ({error})") from error


def _add_part(listing, split, files, n):
    """Add the rows of one part; returns the numbers of those without fault."""
    columns = {"label": read_texts(files["labels"].name, _load(files["labels"]), n), "split": None}
    columns["group"] = None
    if "groups" in files:
        columns["group"] = read_texts(files["groups"].name, _load(files["groups"]), n)
    path = files["images"]
    rows = []
    for row in range(n):
        id = f"{split}/{row}" if split else str(row)
        where = f"{path.name}[{row}]"
        rows.append(_add_row(listing, where, id, row, columns, split=split, path=str(path)))
    return [row for row in rows if row is not None]


def _add_row(listing, where, id, row, columns, *, split="", path=""):
    """Add an image to the listing: its faults, or its item and the row, which is returned."""
    label = columns["label"][row]
    group = "" if columns["group"] is None else columns["group"][row]
    faults = {}
    if is_blank(label):
        faults["label"] = "no label"
        listing.unlabelled += 1
    else:
        listing.labels[label] += 1
    if columns["group"] is not None and is_blank(group):
        faults["group"] = "no group"
    if columns["split"] is not None:
        text = columns["split"][row]
        split = read_split(text)
        if not split:
            faults["split"] = f"split {text!r}{suggest(text, SPLIT_WORDS)}"
    if split:
        listing.parts[split, label] += 1
    for kind, found in faults.items():
        listing.fault(kind, where, found)
    if faults:
        return None
    listing.items.append(Item(id, path, label, where, group, split))
    return row


def read_texts(name, values, n):
    """Labels, groups or names as n texts, "" for what is missing; 3.0 and 3 are both "3".

    values: a list, an array or a column of a table, (n,) or (n, 1)
    """
    # of a list of texts with a missing one numpy would make the text "nan"
    values = np.asarray(values, None if hasattr(values, "dtype") else object)
    if values.ndim == 2 and values.shape[1] > 1 and len(values) == n:
        raise BmixError(
            f"{name} must be one for each image, found {values.shape}: "
            f"of columns of 0 and 1, {name}.argmax(axis=1)"
        )
    if values.shape not in ((n,), (n, 1)):
        raise BmixError(f"{name} must be one for each of {n} images, found shape {values.shape}")
    return [_read_text(value) for value in values.ravel().tolist()]


def _read_text(value):
    value = value.item() if isinstance(value, np.generic) else value
    if value is None or repr(value) == "<NA>" or value != value:  # NaN is not itself
        return ""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _yield_blocks(parts):
    """Blocks (n, S, S, C) of the chosen rows. parts: [(images, rows), …]"""
    for images, rows in parts:
        for start in range(0, len(rows), CHUNK):
            yield np.asarray(images[rows[start : start + CHUNK]])
