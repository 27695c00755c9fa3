"""Sperm under the microscope: 1,540 grey images of 64 pixels, four yes/no labels, official split.

python data_scripts/get_mhsma.py tail
Twelve images of train and validation are nearly those of validation and test: they are left out,
1,528 of 1,540 remain; --strict stops at them instead.
Its licence is CC BY-NC-SA 4.0: for non-commercial use only, and what is made of it and passed on
must be under the same licence.
"""

import argparse
import sys

from common.sources import File, Source, find_one, run

COMMIT = "7b1a965aa438fd166197cacc591c45513842b044"
IMAGES = 1540
ABNORMAL = {"acrosome": 454, "head": 418, "vacuole": 239, "tail": 69}  # README of the repository


def make_source(label):
    return Source(
        name=f"mhsma_{label}",
        title=f"MHSMA, human sperm, {label} normal or abnormal",
        page="https://github.com/soroushj/mhsma-dataset",
        licence="CC BY-NC-SA 4.0: non-commercial use only, share alike",
        citation="Javadi and Mirroshandel, Computers in Biology and Medicine 109, 182-194, 2019",
        disk="about 30 MB download, 31 MB unpacked, 6 MB prepared",
        counts={"normal": IMAGES - ABNORMAL[label], "abnormal": ABNORMAL[label]},
        files=(
            File(
                f"https://github.com/soroushj/mhsma-dataset/archive/{COMMIT}.zip",
                "mhsma.zip",
            ),
        ),
        class_names={"0": "normal", "1": "abnormal"},
    )


def locate(folder, label):
    names = {"images": "x_64_{}.npy", "labels": f"y_{label}_{{}}.npy"}
    return {"source": find_one(folder, "x_64_train.npy").parent, "arrays": names}


def main(arguments=None):
    parser = argparse.ArgumentParser(
        description=__doc__, epilog="And --from, --out, --strict as in the others."
    )
    parser.add_argument("label", choices=ABNORMAL)
    chosen, rest = parser.parse_known_args(arguments)
    source = make_source(chosen.label)
    return run(source, lambda folder: locate(folder, chosen.label), arguments=rest)


if __name__ == "__main__":
    sys.exit(main())
