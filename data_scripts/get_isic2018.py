"""Skin lesions: the 10,015 dermatoscopic photographs of HAM10000, as in ISIC 2018, task 3."""

import sys

from bmix_lite.data.known_counts import read_counts
from common.sources import File, Source, find_one, run

IMAGES = "https://isic-challenge-data.s3.amazonaws.com/2018/ISIC2018_Task3_Training_Input.zip"
LABELS = "https://dataverse.harvard.edu/api/access/datafile/3172582"
CODES = {  # dx in the table of the publisher: Tschandl, Rosendahl and Kittler 2018, table 1
    "nv": "melanocytic nevus",
    "mel": "melanoma",
    "bkl": "benign keratosis",
    "bcc": "basal cell carcinoma",
    "akiec": "actinic keratosis",
    "vasc": "vascular lesion",
    "df": "dermatofibroma",
}
SOURCE = Source(
    name="isic2018",
    title="HAM10000 (ISIC 2018, task 3), lesions of the skin",
    page="https://doi.org/10.7910/DVN/DBW86T and https://challenge.isic-archive.com/data",
    licence="CC BY-NC 4.0",
    citation="Tschandl, Rosendahl and Kittler, Scientific Data 5, 180161, 2018",
    disk="2.6 GB download, 2.6 GB unpacked, 0.5 GB prepared at 128 px",
    counts=read_counts("ham10000").as_dict(),
    files=(
        File(IMAGES, "ISIC2018_Task3_Training_Input.zip"),
        File(LABELS, "HAM10000_metadata.tsv"),
    ),
    class_names=CODES,
)


def locate(folder):
    tables = [f"HAM10000_metadata.{ending}" for ending in ("csv", "tsv", "tab")]
    return {
        "source": find_one(folder, *tables),
        "images": folder,
        "columns": {"path": "image_id", "label": "dx", "group": "lesion_id"},
        "suffix": ".jpg",
        "search": True,
    }


if __name__ == "__main__":
    sys.exit(run(SOURCE, locate))
