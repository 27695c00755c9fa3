"""Red blood cells: crops of 13 types about the points that mark them in 623 photographs of smears.

Type 12, elliptocyte, was added later from other slides: a network may recognise the slide. Type 10
holds what is in no class. Without these two there are 11 classes, ratio 20.
"""

import sys

from common.sources import File, Source, find_one, run

COMMIT = "fa130f48135d79bbd69f8e540b533511017d6896"
TYPES = (  # README of the repository, types 0 to 12
    "normal",
    "macrocyte",
    "microcyte",
    "spherocyte",
    "target cell",
    "stomatocyte",
    "ovalocyte",
    "teardrop",
    "burr cell",
    "schistocyte",
    "uncategorised",
    "hypochromia",
    "elliptocyte",
)
# counted in the label files of the repository, and of 365 photographs drawn from it
ALL = (6330, 689, 461, 3449, 2753, 1996, 2140, 307, 785, 897, 184, 1063, 1052)
DRAWN = (3883, 416, 263, 1871, 1673, 1078, 1235, 195, 376, 522, 88, 614, 571)
SOURCE = Source(
    name="chula_rbc12",
    title="Chula RBC-12, red blood cells in smears of thalassemia patients",
    page="https://github.com/Chula-PIC-Lab/Chula-RBC-12-Dataset",
    licence="MIT",
    citation="Naruenatthanaset et al., Red Blood Cell Segmentation with Overlapping Cell "
    "Separation and Classification on Imbalanced Dataset, arXiv 2012.01321",
    disk="about 0.2 GB download, 0.2 GB unpacked, 0.2 GB prepared at 48 px",
    counts=dict(zip(TYPES, ALL, strict=True)),
    excerpts={"365 of the 623 photographs": dict(zip(TYPES, DRAWN, strict=True))},
    files=(
        File(
            f"https://github.com/Chula-PIC-Lab/Chula-RBC-12-Dataset/archive/{COMMIT}.zip",
            "chula_rbc12.zip",
        ),
    ),
    class_names={str(number): name for number, name in enumerate(TYPES)},
    options={"size": 48},
)


def locate(folder):
    root = find_one(folder, "Label").parent
    return {"source": root / "Dataset", "points": root / "Label"}


if __name__ == "__main__":
    sys.exit(run(SOURCE, locate))
