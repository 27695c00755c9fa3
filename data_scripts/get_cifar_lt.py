"""CIFAR-10 or CIFAR-100 made long-tailed, the usual benchmark of the field: 32x32 photographs of things.

The training images of class j are the first 5000 (or 500) * ratio**(-j / (C - 1)) of it (Cui et al., CVPR 2019, 5.1),
at most nine tenths of it: the last tenth of each class validates, so that a ratio of 100 becomes 90. The test images
are the official ones.
"""

import sys

import numpy as np

from bmix_lite.base.errors import BmixError, require
from bmix_lite.data.imageset import ImageSet
from bmix_lite.data.prepared import save_prepared
from common.sources import File, Source, bring_files, explain, find_one, make_parser

HOLD_OUT = (
    0.1  # of the images of a class, from the end, validate; the others are there for training
)
FILES = {  # sha256 of the archives whose md5 torchvision's own source gives
    10: (
        "cifar-10",
        "cifar-10-batches-py",
        "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
    ),
    100: (
        "cifar-100",
        "cifar-100-python",
        "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
    ),
}


def make_source(classes):
    name = FILES[classes][0]
    file = f"{name}-python.tar.gz"
    return Source(
        name=f"cifar{classes}_lt",
        title=f"CIFAR-{classes}-LT",
        page="https://www.cs.toronto.edu/~kriz/cifar.html",
        licence="none stated by the publisher",
        citation="Krizhevsky, Learning multiple layers of features from tiny images, 2009",
        disk="170 MB download, 180 MB unpacked, 83 MB prepared",
        counts={},
        files=(File(f"https://www.cs.toronto.edu/~kriz/{file}", file, FILES[classes][2]),),
    )


def make_long_tailed(train, test, ratio):
    """An ImageSet of two torchvision sets with `data`, `targets` and `classes`; ratio: largest over smallest class."""
    labels, number = np.asarray(train.targets), len(train.classes)
    most, rows, split = np.bincount(labels).min(), [], []
    for j in range(number):
        members = np.flatnonzero(labels == j)
        free = len(members) - round(HOLD_OUT * len(members))
        size, held = min(int(most * ratio ** (-j / (number - 1))), free), members[free:]
        rows += [*members[:size], *held]
        split += ["train"] * size + ["val"] * len(held)
    images = np.concatenate([train.data[rows], test.data])
    labels = np.concatenate([labels[rows], test.targets])
    split = np.array(split + ["test"] * len(test.targets))
    return ImageSet(
        images, labels, tuple(train.classes), split=split, name=f"cifar{number}_lt_{ratio:g}"
    )


def main(arguments=None):
    parser = make_parser(__doc__, None)
    parser.add_argument("--classes", type=int, choices=FILES, default=10)
    parser.add_argument(
        "--imbalance-ratio", type=float, default=100, help="largest over smallest class"
    )
    chosen = parser.parse_args(arguments)
    source, ratio = make_source(chosen.classes), chosen.imbalance_ratio
    chosen.out = chosen.out or f"data/{source.name}"

    def work():
        require(1 <= ratio <= 500, f"--imbalance-ratio must be 1 to 500, got {ratio:g}")
        root = find_one(bring_files(source, chosen), FILES[chosen.classes][1]).parent
        data = make_long_tailed(*read(chosen.classes, root), ratio)
        save_prepared(data, chosen.out, about=source.about())
        print("training images a class:", ", ".join(map(str, data.counts("train"))))
        print(f"{len(data.labels)} images prepared in {chosen.out}")

    return explain(source, work)


def read(classes, root):
    """(train, test) as torchvision reads them; it compares the md5 of each file before it unpickles it."""
    import torchvision

    kind = {10: torchvision.datasets.CIFAR10, 100: torchvision.datasets.CIFAR100}[classes]
    try:
        return [kind(root, train=train, download=False) for train in (True, False)]
    except RuntimeError as error:
        raise BmixError(f"{root}: {error}") from error


if __name__ == "__main__":
    sys.exit(main())
