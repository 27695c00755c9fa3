"""Blood cells: crops of red cells, white cells and platelets from 364 photographs of smears."""

import sys

from common.sources import File, Source, find_one, run

SOURCE = Source(
    name="bccd",
    title="BCCD, blood cells in smears",
    page="https://github.com/Shenggan/BCCD_Dataset",
    licence="MIT",
    citation="Shenggan Cheng, BCCD Dataset, 2017",
    disk="10 MB download, 15 MB prepared at 32 px",
    counts={
        "RBC": 4155,
        "WBC": 372,
        "Platelets": 361,
    },  # counted in the 364 annotation files of the repository
    files=(
        File("https://github.com/Shenggan/BCCD_Dataset/archive/refs/heads/master.zip", "bccd.zip"),
    ),
    class_names={name: name for name in ("RBC", "WBC", "Platelets")},
    options={"size": 32, "fit": "stretch"},
)


def locate(folder):
    return {"source": find_one(folder, "Annotations").parent}


if __name__ == "__main__":
    sys.exit(run(SOURCE, locate))
