"""CIFAR-10 or CIFAR-100 made long-tailed, the usual benchmark of the field: photographs, 32x32.

Of class j the first 5000 (or 500) * ratio**(-j / (C - 1)) training images are kept (Cui et al.,
CVPR 2019, 5.1), at most nine tenths: the last tenth of each class is for validation, so that a
ratio of 100 becomes 90. The test images are the official ones.
"""

import sys

import numpy as np

from bmix_lite.base.errors import BmixError
from bmix_lite.data.imageset import ImageSet
from bmix_lite.data.prepared import save_prepared
from common.sources import File, Source, bring_files, explain, find_one, make_parser

HOLD_OUT = 0.1  # of the images of a class, taken from the end, for validation
PAGE = "https://www.cs.toronto.edu/~kriz"
FILES = {  # classes: (archive, folder in it, sha256 of the archive whose md5 torchvision gives)
    10: (
        "cifar-10-python.tar.gz",
        "cifar-10-batches-py",
        "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
    ),
    100: (
        "cifar-100-python.tar.gz",
        "cifar-100-python",
        "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
    ),
}


def make_source(classes):
    archive, _, sha256 = FILES[classes]
    return Source(
        name=f"cifar{classes}_lt",
        title=f"CIFAR-{classes}-LT",
        page=f"{PAGE}/cifar.html",
        licence="none stated by the publisher",
        citation="Krizhevsky, Learning multiple layers of features from tiny images, 2009",
        disk="170 MB download, 180 MB unpacked, 83 MB prepared",
        counts={},
        files=(File(f"{PAGE}/{archive}", archive, sha256),),
    )


def make_long_tailed(train, test, ratio):
    """An ImageSet of two torchvision sets with `data`, `targets` and `classes`.

    ratio: images of the largest class over those of the smallest
    """
    train_labels = np.asarray(train.targets)
    classes = len(train.classes)
    largest = np.bincount(train_labels).min()
    rows = []
    split = []
    for label in range(classes):
        members = np.flatnonzero(train_labels == label)
        available = len(members) - round(HOLD_OUT * len(members))
        size = min(int(largest * ratio ** (-label / (classes - 1))), available)
        held_out = members[available:]
        rows += [*members[:size], *held_out]
        split += ["train"] * size + ["val"] * len(held_out)
    return ImageSet(
        images=np.concatenate([train.data[rows], test.data]),
        labels=np.concatenate([train_labels[rows], test.targets]),
        class_names=tuple(train.classes),
        split=np.array(split + ["test"] * len(test.targets)),
        name=f"cifar{classes}_lt_{ratio:g}",
    )


def main(arguments=None):
    parser = make_parser(__doc__, None)
    parser.add_argument("--classes", type=int, choices=FILES, default=10)
    parser.add_argument(
        "--imbalance-ratio", type=float, default=100, help="largest over smallest class"
    )
    chosen = parser.parse_args(arguments)
    source = make_source(chosen.classes)
    chosen.out = chosen.out or f"data/{source.name}"

    def work():
        ratio = chosen.imbalance_ratio
        if not 1 <= ratio <= 500:
            raise BmixError(f"--imbalance-ratio must be 1 to 500, got {ratio:g}")
        root = find_one(bring_files(source, chosen), FILES[chosen.classes][1]).parent
        data = make_long_tailed(*read(chosen.classes, root), ratio)
        save_prepared(data, chosen.out, about=source.about())
        print("training images per class:", ", ".join(map(str, data.counts("train"))))
        print(f"{len(data.labels)} images prepared in {chosen.out}")

    return explain(source, work)


def read(classes, root):
    """(train, test) as torchvision reads them: it compares each file's md5 before unpickling."""
    import torchvision

    kind = {10: torchvision.datasets.CIFAR10, 100: torchvision.datasets.CIFAR100}[classes]
    try:
        return [kind(root, train=train, download=False) for train in (True, False)]
    except RuntimeError as error:
        raise BmixError(f"{root}: {error}") from error


if __name__ == "__main__":
    sys.exit(main())
