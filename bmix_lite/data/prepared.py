"""A prepared dataset on disk: images.npy, memory-mapped, table.csv, and dataset.json, the last.

One of features has features.npy, (N, D) float32, in place of images.npy.
"""

import json
import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np

from bmix_lite.base.errors import BmixError, require
from bmix_lite.base.files import guard, name_special, unguard, write_atomic, write_json
from bmix_lite.data.imageset import ImageSet, cut_blocks, hash_blocks, hash_images

FORMAT = 2  # 1 did not guard the texts of table.csv against spreadsheets; it is read as it is
IMAGES = "images.npy"
FEATURES = "features.npy"
TEXT_COLUMNS = {"path": "ids", "group": "groups", "split": "split"}  # of table.csv: field


def save_prepared(data, folder, *, sha256=None, about=None):
    """Write an ImageSet as a prepared dataset; dataset.json, written last, makes it complete.

    sha256 (N,): of the source of each image
    about: more entries for dataset.json, such as licence and citation
    """
    folder = Path(folder)
    # from here on the old set is not complete any more
    (folder / "dataset.json").unlink(missing_ok=True)
    path = folder / _name_file(data.has_features)
    digest = write_images(path, data.images.shape, cut_blocks(data.images))
    write_description(replace(data, images_sha256=digest), folder, sha256=sha256, about=about)


def write_images(path, shape, blocks):
    """Write blocks of uint8 images (n, H, W, C) as one .npy of `shape`; returns their sha256.

    One block is in memory at a time. At a path of features they are (n, 1, 1, D) float32.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    path.parent.mkdir(parents=True, exist_ok=True)
    header = {"descr": "|u1", "fortran_order": False, "shape": tuple(shape)}
    if path.name == FEATURES:
        header = header | {"descr": "<f4", "shape": (shape[0], shape[3])}
    try:
        with open(temporary, "wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            digest = hash_blocks(shape, _write_blocks(file, blocks))
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return digest


def _write_blocks(file, blocks):
    for block in blocks:
        file.write(np.ascontiguousarray(block))
        yield block


def write_description(data, folder, *, sha256=None, about=None):
    """Write table.csv and dataset.json beside an images.npy that is complete."""
    _write_table(data, folder / "table.csv", sha256)
    counts = np.bincount(data.labels, minlength=len(data.class_names)).tolist()
    core = {
        "format": FORMAT,
        "name": data.name,
        "class_names": list(data.class_names),
        "source": data.source,
        "shape": list(data.images.shape),
        "images_sha256": data.images_sha256,
        "counts": dict(zip(data.class_names, counts, strict=True)),
        "fingerprint": data.fingerprint,
    }
    if data.has_features:
        core |= {"kind": "features", "origin": data.origin}
    write_json(folder / "dataset.json", {"ordered": data.ordered, **(about or {}), **core})


def _write_table(data, path, sha256):
    import pandas as pd

    columns = {
        "path": _guard(data.ids),
        "sha256": sha256,
        "label": data.labels,
        "group": _guard(data.groups),
        "split": data.split,
        "fold": data.folds,
    }
    # lines end with "\r\n": with "\n" alone, a "\r" in a text would not be quoted
    write_atomic(path, pd.DataFrame(columns).to_csv(index=False, lineterminator="\r\n"))


def _guard(texts):
    return None if texts is None else [guard(str(text)) for text in texts]


def read_about(folder):
    """What dataset.json says, a dict.

    Raises BmixError where it is missing, damaged or of another format.
    """
    path = Path(folder) / "dataset.json"
    about = _read(path, lambda path: json.loads(path.read_text(encoding="utf-8")))
    version = about.get("format") if isinstance(about, dict) else None
    require(version in (1, FORMAT), f"{path}: format must be 1 or {FORMAT}, got {version!r}")
    return about


def load_prepared(folder):
    """Read a prepared dataset, its images memory-mapped.

    Raises BmixError naming the file that does not fit. Images that were written to after the
    preparation are hashed first, see `verify_images`; images that were not cost a look at a clock.
    """
    folder = Path(folder)
    about = read_about(folder)
    images = _read(_locate(folder, about), _map_images)
    table = _read_table(folder / "table.csv")
    if list(images.shape) != about["shape"] or len(table) != len(images):
        raise BmixError(
            f"{folder}: dataset.json promises {about['shape']}, "
            f"found {images.shape} and {len(table)} rows"
        )
    if not _is_untouched(folder, about, images):
        verify_images(folder)
    if about["format"] >= 2:
        for name in ("path", "group"):
            table[name] = list(map(unguard, table[name]))
    return ImageSet(
        images=images,
        labels=table["label"].to_numpy(),
        class_names=tuple(about["class_names"]),
        folds=_get_column(table, "fold"),
        name=about["name"],
        source=about["source"],
        images_sha256=about["images_sha256"],
        ordered=about.get("ordered") is True,
        made_of=_find_pictures(folder, about),
        origin=about.get("origin", ""),
        **{field: _get_column(table, name, object) for name, field in TEXT_COLUMNS.items()},
    )


def verify_images(folder):
    """Raise BmixError unless images.npy holds the pixels that were prepared, by their sha256.

    Or features.npy its features.

    A gigabyte takes a second, or what the disk needs to read it. Right ones are trusted by
    `load_prepared` until they are written to.
    """
    folder = Path(folder)
    about = read_about(folder)
    path = _locate(folder, about)
    images = _read(path, _map_images)
    _require_whole(path, images)
    if hash_images(images) != about["images_sha256"]:
        raise BmixError(
            f"{path}: its pixels are not those that were prepared (sha256 differs): it was written "
            "to, or damaged, since. Put the file back, or prepare the images again"
        )
    with suppress(OSError):  # a folder that is only read: hashed again next time
        os.utime(folder / "dataset.json")


def _is_untouched(folder, about, images):
    """Whether images.npy is as long as it should be and no newer than dataset.json, the last."""
    path = _locate(folder, about)
    _require_whole(path, images)
    return path.stat().st_mtime_ns <= (folder / "dataset.json").stat().st_mtime_ns


def _require_whole(path, images):
    size = path.stat().st_size
    expected = images.offset + images.nbytes
    if size != expected:
        raise BmixError(f"{path}: must be {expected:,} bytes long by its header, found {size:,}")


def _read_table(path):
    import pandas as pd

    texts = dict.fromkeys(TEXT_COLUMNS, str)
    table = _read(path, lambda path: pd.read_csv(path, dtype=texts, keep_default_na=False))
    missing = [name for name in ("label", "group", "split") if name not in table]
    if missing:
        raise BmixError(f"{path}: no column {', '.join(missing)}, found {', '.join(table)}")
    return table


def _get_column(table, name, dtype=None):
    """The values (N,) of a column; None where it is missing or blank in every row."""
    if name not in table or (table[name] == "").all():
        return None
    return table[name].to_numpy(dtype)


def _name_file(has_features):
    return FEATURES if has_features else IMAGES


def _locate(folder, about):
    """The file of images, or of features, of a prepared dataset."""
    return folder / _name_file(about.get("kind") == "features")


def _find_pictures(folder, about):
    """The images that features were made of, memory-mapped; None where they are not any more.

    They lie in the prepared dataset whose path, from `folder`, dataset.json calls "pictures".
    """
    if not about.get("pictures"):
        return None
    place = folder / about["pictures"]
    try:
        is_theirs = read_about(place)["images_sha256"] == about["pictures_sha256"]
        pictures = _map_images(place / IMAGES)
    except (BmixError, OSError, ValueError, KeyError):
        return None
    return pictures if is_theirs and len(pictures) == about["shape"][0] else None


def _map_images(path):
    """The array of a file, memory-mapped; features (N, D) as images (N, 1, 1, D)."""
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    if path.name == FEATURES and array.ndim == 2:
        return array[:, None, None, :]
    return array


def _read(path, reader):
    """What `reader` makes of a file, or a BmixError that names the file."""
    special = name_special(path)
    if special:
        raise BmixError(f"{path}: cannot be read (it is {special})")
    try:
        return reader(path)
    except (OSError, ValueError, EOFError) as error:
        raise BmixError(f"{path}: cannot be read ({error})") from error
