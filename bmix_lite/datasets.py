"""Datasets as arrays: `ImageSet`, the built-in `digits_lt`, prepared folders, and splits that keep groups together."""

import functools
import hashlib
import io
import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bmix_lite.distribution import count_classes
from bmix_lite.errors import BmixError, require, require_choice
from bmix_lite.files import write_atomic, write_json
from bmix_lite.randomness import derive_seed

SPLITS = ("train", "val", "test")
FORMAT = 1


@dataclass(frozen=True)
class ImageSet:
    """Images with labels, and how they are split.

    images (N, H, W, C) uint8, in memory or memory-mapped; labels (N,) integers 0..C-1; class_names, C texts
    groups (N,) or None: patient, lesion, slide: never apart in a split; split (N,) of "train", "val", "test"
    """

    images: np.ndarray
    labels: np.ndarray
    class_names: tuple
    groups: np.ndarray | None = None
    split: np.ndarray | None = None
    name: str = "unnamed"
    source: str = ""
    images_sha256: str = ""  # of the pixels, where it is known from their preparation

    def __post_init__(self):
        images, n = self.images, len(self.labels)
        require(images.dtype == np.uint8, f"images must be uint8, got {images.dtype}")
        require(images.ndim == 4, f"images must be (N, H, W, C), got shape {images.shape}")
        require(len(images) == n, f"images and labels differ in length: {len(images)} and {n}")
        count_classes(self.labels, len(self.class_names))
        object.__setattr__(self, "labels", np.asarray(self.labels, dtype=np.int64))
        object.__setattr__(self, "class_names", tuple(map(str, self.class_names)))
        for field in ("groups", "split"):
            value = getattr(self, field)
            require(value is None or len(value) == n, f"{field} must have {n} entries, one for each image")
        if self.split is not None:
            unknown = sorted(set(np.unique(self.split).tolist()) - set(SPLITS))
            require(not unknown, f"split must be one of {SPLITS}, got {unknown}")
            absent = set(range(len(self.class_names))) - set(self.labels[self.rows("train")].tolist())
            names = [self.class_names[j] for j in sorted(absent)]
            require(not absent, f"every class needs at least one training image, {names} have none")

    def rows(self, split):
        """Row numbers of one split, (n,)."""
        require_choice("split", split, SPLITS)
        require(self.split is not None, f"dataset {self.name!r} has no split yet: see assign_split")
        return np.flatnonzero(np.asarray(self.split) == split)

    def counts(self, split="train"):
        """Images per class in one split, (C,)."""
        return np.bincount(self.labels[self.rows(split)], minlength=len(self.class_names))

    @functools.cached_property
    def fingerprint(self):
        """Hash of everything that training sees: pixels, labels, names, groups and split."""
        digest = hashlib.sha256((self.images_sha256 or hash_images(self.images)).encode())
        digest.update(self.labels.tobytes())
        for texts in (self.class_names, self.groups, self.split):
            digest.update(json.dumps(None if texts is None else [str(text) for text in texts]).encode())
        return digest.hexdigest()


def hash_images(images):
    """sha256 of shape and pixels, read a thousand images at a time."""
    digest = hashlib.sha256(repr(images.shape).encode())
    for at in range(0, len(images), 1024):
        digest.update(np.ascontiguousarray(images[at : at + 1024]))
    return digest.hexdigest()


def load(name_or_path, *, fold=0):
    """A built-in dataset by name, or a prepared folder by path; `fold` chooses the split. Raises BmixError."""
    if name_or_path in BUILT_IN:
        return BUILT_IN[name_or_path](fold=fold)
    folder = Path(name_or_path)
    if not (folder / "dataset.json").is_file():
        require_choice("dataset", name_or_path, (*BUILT_IN, "a folder with dataset.json"))
    data = load_prepared(folder)
    return data if data.split is not None and fold == 0 else assign_split(data, fold=fold)


def digits_lt(*, imbalance_ratio=100, fold=0):
    """scikit-learn's 1,797 real handwritten digits, 8x8 pixels, made long-tailed by exponential decay.

    test: 40 a class, the same for every `imbalance_ratio`; val: 34 a class; train: 100 of digit 0 down to
    100 / imbalance_ratio of digit 9 (n_j = 100 * ratio**(-j/9), Cui et al., CVPR 2019, section 5.1).
    `fold` draws another split. Pixels are scaled from 0..16 to 0..255.
    Source: Alpaydin and Kaynak, UCI, 1998, as shipped with scikit-learn (`load_digits`).
    """
    from sklearn.datasets import load_digits
    from sklearn.model_selection import StratifiedShuffleSplit

    require(isinstance(fold, int) and fold >= 0, f"fold must be an integer >= 0, got {fold!r}")
    require(1 <= imbalance_ratio <= 100, f"imbalance_ratio must lie in [1, 100], got {imbalance_ratio!r}")
    digits = load_digits()
    labels = digits.target.astype(np.int64)
    rng = np.random.RandomState(derive_seed(fold, "digits_lt split") % 2**32)
    cut = StratifiedShuffleSplit(1, train_size=1000, test_size=797, random_state=rng)
    # a stratified shuffle of all images: the first ones of a class are a random draw of it
    order = np.concatenate(next(cut.split(labels[:, None], labels)))
    chosen, split = [], []
    sizes = np.maximum(1, np.round(100.0 * imbalance_ratio ** (-np.arange(10) / 9))).astype(int)
    for j, size in enumerate(sizes):
        members = order[labels[order] == j]
        parts = {"test": members[:40], "val": members[40:74], "train": members[74 : 74 + size]}
        chosen += [row for part in parts.values() for row in part]
        split += [name for name, part in parts.items() for _ in part]
    rows = np.array(chosen)
    return ImageSet(
        images=np.round(digits.images[rows, :, :, None] * (255 / 16)).astype(np.uint8),
        labels=labels[rows],
        class_names=tuple(f"digit {j}" for j in range(10)),
        split=np.array(split),
        name="digits_lt",
        source="scikit-learn load_digits (UCI, Alpaydin and Kaynak 1998)",
    )


BUILT_IN = {"digits_lt": digits_lt}


def assign_split(data, *, fold=0, folds=5, seed=0):
    """The same ImageSet with a stratified split: fold `fold` is test, the next one val, the others train.

    Images that share a group stay together. A "test" split that the data came with is kept, and the fold is val.
    """
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    require(isinstance(fold, int) and 0 <= fold < folds, f"fold must lie in 0..{folds - 1}, got {fold!r}")
    kept = np.zeros(len(data.labels), bool) if data.split is None else np.asarray(data.split) == "test"
    rows = np.flatnonzero(~kept)
    labels, groups = data.labels[rows], None if data.groups is None else np.asarray(data.groups)[rows]
    counts = count_classes(labels, len(data.class_names))
    small = [f"{data.class_names[j]!r} ({n})" for j, n in enumerate(counts) if n < folds]
    require(not small, f"each class needs at least {folds} images for {folds} folds, too few in {', '.join(small)}")
    alone = len(labels) if groups is None else len(set(groups.tolist()))
    require(alone >= folds, f"there must be at least {folds} groups for {folds} folds, got {alone}")
    splitter = (StratifiedKFold if groups is None else StratifiedGroupKFold)(
        folds, shuffle=True, random_state=derive_seed(seed, "folds") % 2**32
    )
    parts = [part for _, part in splitter.split(labels[:, None], labels, groups)]
    split = np.full(len(data.labels), "train", dtype="<U5")
    split[kept] = "test"
    split[rows[parts[fold]]] = "val" if kept.any() else "test"
    if not kept.any():
        split[rows[parts[(fold + 1) % folds]]] = "val"
    return replace(data, split=split)


def save_prepared(data, folder):
    """Write an ImageSet as a prepared dataset: images.npy, table.csv and, last, dataset.json."""
    import pandas as pd

    folder = Path(folder)
    data = replace(data, images_sha256=data.images_sha256 or hash_images(data.images))  # hashed once
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(data.images))
    write_atomic(folder / "images.npy", buffer.getvalue())
    table = pd.DataFrame({"label": data.labels, "group": data.groups, "split": data.split})
    write_atomic(folder / "table.csv", table.to_csv(index=False))
    about = {"format": FORMAT, "name": data.name, "class_names": list(data.class_names), "source": data.source}
    about |= {"shape": list(data.images.shape), "images_sha256": data.images_sha256}
    write_json(folder / "dataset.json", about | {"fingerprint": data.fingerprint})


def load_prepared(folder):
    """Read a prepared dataset, its images memory-mapped. Raises BmixError naming the file that does not fit."""
    import pandas as pd

    folder = Path(folder)
    about = _read(folder / "dataset.json", lambda path: json.loads(path.read_text(encoding="utf-8")))
    found = about.get("format")
    require(found == FORMAT, f"{folder / 'dataset.json'}: format must be {FORMAT}, got {found!r}")
    images = _read(folder / "images.npy", lambda path: np.load(path, mmap_mode="r", allow_pickle=False))
    text = {"group": str, "split": str}
    table = _read(folder / "table.csv", lambda path: pd.read_csv(path, dtype=text, keep_default_na=False))
    missing = [name for name in ("label", *text) if name not in table]
    require(not missing, f"{folder / 'table.csv'}: no column {', '.join(missing)}, found {', '.join(table)}")
    if list(images.shape) != about["shape"] or len(table) != len(images):
        raise BmixError(f"{folder}: dataset.json promises {about['shape']}, found {images.shape} and {len(table)} rows")
    columns = {name: None if (table[name] == "").all() else table[name].to_numpy(object) for name in text}
    return ImageSet(
        images=images,
        labels=table["label"].to_numpy(),
        class_names=tuple(about["class_names"]),
        groups=columns["group"],
        split=columns["split"],
        name=about["name"],
        source=about["source"],
        images_sha256=about["images_sha256"],
    )


def _read(path, reader):
    """What `reader` makes of a file, or a BmixError that names the file."""
    try:
        return reader(path)
    except (OSError, ValueError, EOFError) as error:
        raise BmixError(f"{path}: cannot be read ({error})") from error
