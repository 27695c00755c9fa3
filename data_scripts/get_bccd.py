"""Blood cells: crops of red cells, white cells and platelets from 364 photographs of smears."""

import sys

from common.sources import File, Source, find_one, run

ARCHIVE = "https://github.com/Shenggan/BCCD_Dataset/archive/refs/heads/master.zip"
COUNTS = {"RBC": 4155, "WBC": 372, "Platelets": 361}  # of the repository's 364 annotation files
SOURCE = Source(
    name="bccd",
    title="BCCD, blood cells in smears",
    page="https://github.com/Shenggan/BCCD_Dataset",
    licence="MIT",
    citation="Shenggan Cheng, BCCD Dataset, 2017",
    disk="10 MB download, 15 MB prepared at 32 px",
    counts=COUNTS,
    files=(File(ARCHIVE, "bccd.zip"),),
    class_names={name: name for name in COUNTS},
    options={"size": 32, "fit": "stretch"},
)


def locate(folder):
    return {"source": find_one(folder, "Annotations").parent}


if __name__ == "__main__":
    sys.exit(run(SOURCE, locate))
