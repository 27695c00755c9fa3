"""A prepared dataset on disk: images.npy to be memory-mapped, table.csv, and dataset.json, written last."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from bmix_lite.base.errors import BmixError, require
from bmix_lite.base.files import guard, unguard, write_atomic, write_json
from bmix_lite.data.imageset import ImageSet, cut_blocks, hash_blocks

FORMAT = 2  # in 1 the texts of table.csv were not guarded against spreadsheets; such sets are read as they are
COLUMNS = {
    "path": "ids",
    "group": "groups",
    "split": "split",
}  # text in table.csv, and their fields


def save_prepared(data, folder, *, sha256=None, about=None):
    """Write an ImageSet as a prepared dataset; with dataset.json, which is written last, it is complete.

    sha256 (N,): of the source of each image; about: more entries for dataset.json, such as licence and citation
    """
    folder = Path(folder)
    (folder / "dataset.json").unlink(
        missing_ok=True
    )  # from here on the old set is not complete any more
    digest = write_images(folder / "images.npy", data.images.shape, cut_blocks(data.images))
    write_description(replace(data, images_sha256=digest), folder, sha256=sha256, about=about)


def write_images(path, shape, blocks):
    """Write blocks of uint8 images (n, H, W, C) as one .npy of `shape`, in little memory; returns their sha256."""
    temporary = path.with_name(f".{path.name}.tmp")
    path.parent.mkdir(parents=True, exist_ok=True)

    def write(file):
        for block in blocks:
            file.write(np.ascontiguousarray(block))
            yield block

    try:
        with open(temporary, "wb") as file:
            np.lib.format.write_array_header_1_0(
                file, {"descr": "|u1", "fortran_order": False, "shape": tuple(shape)}
            )
            digest = hash_blocks(shape, write(file))
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return digest


def write_description(data, folder, *, sha256=None, about=None):
    """Write table.csv and dataset.json beside an images.npy that is complete."""
    import pandas as pd

    columns = {
        "path": _guard(data.ids),
        "sha256": sha256,
        "label": data.labels,
        "group": _guard(data.groups),
    }
    columns |= {"split": data.split, "fold": data.folds}
    table = pd.DataFrame(columns).to_csv(
        index=False, lineterminator="\r\n"
    )  # with "\n" a "\r" would not be quoted
    write_atomic(folder / "table.csv", table)
    core = {
        "format": FORMAT,
        "name": data.name,
        "class_names": list(data.class_names),
        "source": data.source,
    }
    core |= {"shape": list(data.images.shape), "images_sha256": data.images_sha256}
    counts = np.bincount(data.labels, minlength=len(data.class_names)).tolist()
    core |= {
        "counts": dict(zip(data.class_names, counts, strict=True)),
        "fingerprint": data.fingerprint,
    }
    write_json(folder / "dataset.json", {"ordered": data.ordered} | (about or {}) | core)


def read_about(folder):
    """What dataset.json says, a dict. Raises BmixError where it is missing, damaged or of another format."""
    path = Path(folder) / "dataset.json"
    about = _read(path, lambda path: json.loads(path.read_text(encoding="utf-8")))
    found = about.get("format") if isinstance(about, dict) else None
    require(found in (1, FORMAT), f"{path}: format must be 1 or {FORMAT}, got {found!r}")
    return about


def load_prepared(folder):
    """Read a prepared dataset, its images memory-mapped. Raises BmixError naming the file that does not fit."""
    import pandas as pd

    folder = Path(folder)
    about = read_about(folder)
    images = _read(
        folder / "images.npy", lambda path: np.load(path, mmap_mode="r", allow_pickle=False)
    )
    text = dict.fromkeys(("path", "group", "split"), str)
    table = _read(
        folder / "table.csv", lambda path: pd.read_csv(path, dtype=text, keep_default_na=False)
    )
    missing = [name for name in ("label", "group", "split") if name not in table]
    require(
        not missing,
        f"{folder / 'table.csv'}: no column {', '.join(missing)}, found {', '.join(table)}",
    )
    if list(images.shape) != about["shape"] or len(table) != len(images):
        raise BmixError(
            f"{folder}: dataset.json promises {about['shape']}, found {images.shape} and {len(table)} rows"
        )
    if about["format"] >= 2:
        for name in ("path", "group"):
            table[name] = list(map(unguard, table[name]))
    given = {name for name in (*COLUMNS, "fold") if name in table and not (table[name] == "").all()}
    return ImageSet(
        images=images,
        labels=table["label"].to_numpy(),
        class_names=tuple(about["class_names"]),
        folds=table["fold"].to_numpy() if "fold" in given else None,
        name=about["name"],
        source=about["source"],
        images_sha256=about["images_sha256"],
        ordered=about.get("ordered") is True,
        **{field: table[name].to_numpy(object) for name, field in COLUMNS.items() if name in given},
    )


def _guard(texts):
    return None if texts is None else [guard(str(text)) for text in texts]


def _read(path, reader):
    """What `reader` makes of a file, or a BmixError that names the file."""
    try:
        return reader(path)
    except (OSError, ValueError, EOFError) as error:
        raise BmixError(f"{path}: cannot be read ({error})") from error
