"""Datasets by name: the built-in ones, and every prepared folder."""

import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np

from bmix_lite.base.errors import BmixError, require_choice, require_integer
from bmix_lite.base.randomness import derive_seed
from bmix_lite.data.designs import DRAWS, SplitDesign
from bmix_lite.data.fundus.toy import fundus_toy
from bmix_lite.data.imageset import ImageSet
from bmix_lite.data.known_counts import KNOWN, read_counts
from bmix_lite.data.prepared import load_prepared
from bmix_lite.data.splits import assign_split, require_classes

TESTED = 40  # images per class in the test part of `digits_lt`
VALIDATED = 34  # in its validation part
MOST = 100  # training images of digit 0


def load(name_or_path: str | Path, *, split: int = 0) -> ImageSet:
    """A built-in dataset by name, or a prepared folder by path, in one of its splits.

    split: any number from 0, but with the folds that data came with one of these: see
    `assign_split`. Raises BmixError, also where a prepared folder is damaged, or where a part that
    is dealt in this split lacks a class.
    """
    if name_or_path in BUILT_IN:
        return BUILT_IN[name_or_path](split=split)
    folder = Path(name_or_path)
    if not (folder / "dataset.json").is_file():
        require_choice("dataset", name_or_path, (*BUILT_IN, "a folder with dataset.json"))
    given = load_prepared(folder)
    data = assign_split(given, split=split)
    require_classes(data, given, f"{folder}, split {split}")
    return data


def digits_lt(*, imbalance_ratio=100, split=0):
    """scikit-learn's 1,797 real handwritten digits, 8x8 pixels, made long-tailed.

    test: 40 per class, the same for every `imbalance_ratio`; val: 34 per class; train: 100 of
    digit 0 down to 100 / imbalance_ratio of digit 9 by exponential decay,
    n_j = 100 * ratio**(-j/9) (Cui et al., CVPR 2019, long-tailed CIFAR).
    Another `split`, any number from 0, draws anew. Pixels are scaled from 0..16 to 0..255.
    Source: Alpaydin and Kaynak, UCI, 1998, as shipped with scikit-learn (`load_digits`).
    """
    from sklearn.datasets import load_digits

    split = require_integer("split", split, 0)
    if not 1 <= imbalance_ratio <= 100:
        raise BmixError(f"imbalance_ratio must lie in [1, 100], got {imbalance_ratio!r}")
    digits = load_digits()
    labels = digits.target.astype(np.int64)
    rows, parts = _draw_digits(labels, imbalance_ratio, split)
    tested = int(np.sum(parts == "test"))
    return ImageSet(
        images=np.round(digits.images[rows, :, :, None] * (255 / 16)).astype(np.uint8),
        labels=labels[rows],
        class_names=tuple(f"digit {j}" for j in range(10)),
        split=parts,
        name="digits_lt",
        source="scikit-learn load_digits (UCI, Alpaydin and Kaynak 1998)",
        design=SplitDesign(DRAWS, split, tested, len(labels) - tested),
    )


def _draw_digits(labels, imbalance_ratio, split):
    """Rows (n,) of the digits that are used, and the part of each (n,)."""
    order = _shuffle_digits(labels, split)
    sizes = np.round(MOST * float(imbalance_ratio) ** (-np.arange(10) / 9)).astype(int)
    rows = []
    parts = []
    for j, size in enumerate(np.maximum(1, sizes)):
        members = order[labels[order] == j]
        test, val, others = np.split(members, [TESTED, TESTED + VALIDATED])
        for name, part in (("test", test), ("val", val), ("train", others[:size])):
            rows.extend(part)
            parts.extend([name] * len(part))
    return np.array(rows), np.array(parts)


def _shuffle_digits(labels, split):
    """A stratified shuffle of all rows (N,): the first ones of a class are a random draw of it."""
    from sklearn.model_selection import StratifiedShuffleSplit

    rng = np.random.RandomState(derive_seed(split, "digits_lt split") % 2**32)
    splitter = StratifiedShuffleSplit(1, train_size=1000, test_size=797, random_state=rng)
    return np.concatenate(next(splitter.split(labels[:, None], labels)))


def load_labels(name, *, split=0):
    """The real class counts of one of `KNOWN` as an ImageSet of empty images: for lessons only."""
    known = read_counts(name)
    labels = np.repeat(np.arange(len(known.counts)), known.counts)
    images = np.zeros((len(labels), 0, 0, 3), np.uint8)
    data = ImageSet(images, labels, known.classes, name=f"{name}-labels", source=known.source)
    return assign_split(data, split=split)


BUILT_IN: dict[str, Callable[..., ImageSet]] = {
    "digits_lt": digits_lt,
    "fundus_toy": fundus_toy,
    **{f"{name}-labels": functools.partial(load_labels, name) for name in KNOWN},
}
