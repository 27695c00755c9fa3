"""Endoscopy of the gut: 10,662 labelled images of 23 classes, with the official five folds."""

import sys

from bmix_lite.data.known_counts import read_counts
from common.sources import File, Source, find_one, run

IMAGES = "https://datasets.simula.no/downloads/hyper-kvasir/hyper-kvasir-labeled-images.zip"
COMMIT = "49c0d0f915b57ac0b6cb18b49776ffa61c5512e3"
SPLITS = f"https://raw.githubusercontent.com/simula/hyper-kvasir/{COMMIT}/official_splits"
SOURCE = Source(
    name="hyper_kvasir",
    title="Hyper-Kvasir, endoscopy of the gut, the labelled images",
    page="https://datasets.simula.no/hyper-kvasir",
    licence="CC BY 4.0",
    citation="Borgli et al., Scientific Data 7, 283, 2020",
    disk="3.9 GB download, 3.9 GB unpacked, 0.5 GB prepared at 128 px",
    counts=read_counts("hyper_kvasir").as_dict(),
    files=(
        File(IMAGES, "labeled-images.zip"),
        File(
            f"{SPLITS}/5_fold_split.csv",
            "5_fold_split.csv",
            "0230b465bdf73c23e949c74e1d4d68c4905a758195ea6b69b10f32c71a3be426",
        ),
    ),
)


def locate(folder):
    return {
        "source": find_one(folder, "5_fold_split.csv"),
        "images": folder,
        "columns": {"path": "file-name", "label": "class-name", "fold": "split-index"},
        "search": True,
    }


if __name__ == "__main__":
    sys.exit(run(SOURCE, locate))
