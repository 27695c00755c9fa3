"""Datasets by name: the built-in ones, and every prepared folder."""

import functools
from pathlib import Path

import numpy as np

from bmix_lite.base.errors import require, require_choice, require_integer
from bmix_lite.base.randomness import derive_seed
from bmix_lite.data.fundus.toy import fundus_toy
from bmix_lite.data.imageset import SPLITS, ImageSet
from bmix_lite.data.known_counts import KNOWN, read_counts
from bmix_lite.data.prepared import load_prepared
from bmix_lite.data.splits import assign_split


def load(name_or_path, *, fold=0):
    """A built-in dataset by name, or a prepared folder by path; `fold` chooses the split. Raises BmixError."""
    if name_or_path in BUILT_IN:
        return BUILT_IN[name_or_path](fold=fold)
    folder = Path(name_or_path)
    if not (folder / "dataset.json").is_file():
        require_choice("dataset", name_or_path, (*BUILT_IN, "a folder with dataset.json"))
    data = load_prepared(folder)
    complete = data.split is not None and set(data.split) == set(SPLITS)
    return data if complete and fold == 0 else assign_split(data, fold=fold)


def digits_lt(*, imbalance_ratio=100, fold=0):
    """scikit-learn's 1,797 real handwritten digits, 8x8 pixels, made long-tailed by exponential decay.

    test: 40 a class, the same for every `imbalance_ratio`; val: 34 a class; train: 100 of digit 0 down to
    100 / imbalance_ratio of digit 9 (n_j = 100 * ratio**(-j/9), Cui et al., CVPR 2019, section 5.1).
    `fold` draws another split. Pixels are scaled from 0..16 to 0..255.
    Source: Alpaydin and Kaynak, UCI, 1998, as shipped with scikit-learn (`load_digits`).
    """
    from sklearn.datasets import load_digits
    from sklearn.model_selection import StratifiedShuffleSplit

    require_integer("fold", fold, 0)
    require(
        1 <= imbalance_ratio <= 100,
        f"imbalance_ratio must lie in [1, 100], got {imbalance_ratio!r}",
    )
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


def load_labels(name, *, fold=0):
    """The real class counts of one of `KNOWN` as an ImageSet whose images are empty: for lessons, not for training."""
    known = read_counts(name)
    labels = np.repeat(np.arange(len(known.counts)), known.counts)
    images = np.zeros((len(labels), 0, 0, 3), np.uint8)
    data = ImageSet(images, labels, known.classes, name=f"{name}-labels", source=known.source)
    return assign_split(data, fold=fold)


BUILT_IN = {"digits_lt": digits_lt, "fundus_toy": fundus_toy}
BUILT_IN |= {f"{name}-labels": functools.partial(load_labels, name) for name in KNOWN}
