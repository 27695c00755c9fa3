"""Blood cells: crops of red cells, white cells and platelets from 364 photographs of smears.

python data_scripts/get_bccd.py
The publisher's split is kept, 205 smears to train on, 87 to validate and 72 to test: fold 0 is as
it came, folds 1 to 4 validate on other parts of train. A comparison over other test images needs
--deal.
"""

import argparse
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


def locate(folder, deal):
    listing = {"source": find_one(folder, "Annotations").parent}
    if deal:
        listing["leave_out"] = "ImageSets"
    return listing


def main(arguments=None):
    parser = argparse.ArgumentParser(
        description=__doc__, epilog="And --from, --out, --size, --jobs, --strict as in the others."
    )
    parser.add_argument("--deal", action="store_true", help="deal all smears to five folds")
    chosen, rest = parser.parse_known_args(arguments)
    return run(SOURCE, lambda folder: locate(folder, chosen.deal), arguments=rest)


if __name__ == "__main__":
    sys.exit(main())
