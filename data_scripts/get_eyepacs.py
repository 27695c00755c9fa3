"""Diabetic retinopathy: the 35,126 graded photographs of the eye from Kaggle's competition of 2015.

Kaggle gives them to everyone who has an account, has accepted the rules and has a token:
`pip install kaggle`, then see `page`.
"""

import shutil
import subprocess
import sys
from pathlib import Path

from bmix_lite.base.errors import BmixError
from bmix_lite.data.known_counts import read_counts
from common.archives import extract
from common.sources import Source, find_one, run

COMPETITION = "diabetic-retinopathy-detection"
PAGE = f"https://www.kaggle.com/competitions/{COMPETITION}"
PARTS = [f"train.zip.00{number}" for number in range(1, 6)]
GRADES = ("no retinopathy", "mild", "moderate", "severe", "proliferative")
SOURCE = Source(
    name="eyepacs",
    title="EyePACS, diabetic retinopathy in the eye",
    page=f"{PAGE}/data",
    licence=f"the rules of the competition, {PAGE}/rules: research, no passing on",
    citation="EyePACS and Kaggle, Diabetic Retinopathy Detection, 2015",
    disk="33 GB download, 33 GB joined, 33 GB unpacked, 1.7 GB prepared at 128 px",
    counts=read_counts("eyepacs").as_dict(),
    class_names={str(grade): name for grade, name in enumerate(GRADES)},
    ordered=True,
)


def fetch(folder):
    """Download the parts with Kaggle's own client, then join and unpack them."""
    client = shutil.which("kaggle")
    if client is None:
        raise BmixError(
            f"Kaggle's client is not installed: pip install kaggle, and give it a token, see {PAGE}"
        )
    folder.mkdir(parents=True, exist_ok=True)
    for name in [*PARTS, "trainLabels.csv.zip"]:
        if not (folder / name).exists():
            _fetch_one(client, name, folder)
    extract(folder / "trainLabels.csv.zip", folder / "labels")
    if not (folder / "train").exists():
        extract(join(folder), folder / "train", total=60_000_000_000)


def _fetch_one(client, name, folder):
    where = ["-c", COMPETITION, "-f", name, "-p", str(folder)]
    command = [client, "competitions", "download", *where]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode or not (folder / name).exists():
        output = (done.stdout + done.stderr).strip()[-300:]
        raise BmixError(
            f"Kaggle did not give {name} ({output}): open {PAGE}/rules in a browser, sign in,"
            " accept the rules, and check that the token is valid (kaggle.com, Settings, API)"
        )


def join(folder):
    """The one zip that the parts are cut from."""
    whole = Path(folder) / "train.zip"
    partial = Path(folder) / ".train.zip.part"
    if not whole.exists():
        with open(partial, "wb") as file:
            for name in PARTS:
                with open(folder / name, "rb") as part:
                    shutil.copyfileobj(part, file, 1 << 24)
        partial.replace(whole)
    return whole


def locate(folder):
    return {
        "source": find_one(folder, "trainLabels.csv"),
        "images": folder,
        "columns": {"path": "image", "label": "level"},
        "suffix": ".jpeg",
        "search": True,
        "group_from": r"(\d+)_(?:left|right)",  # the number is the patient's
    }


if __name__ == "__main__":
    sys.exit(run(SOURCE, locate, fetch=fetch))
