"""A stand-in for the files of a clinic: drawn retinas, a table of labels, and faults as real folders have them."""

from pathlib import Path

import numpy as np

from bmix_lite.base.errors import require
from bmix_lite.base.files import write_atomic
from bmix_lite.base.randomness import stream
from bmix_lite.data.fundus.toy import draw_fundus
from bmix_lite.data.imageset import encode_picture, to_picture

EYES = {
    "0 none": (0, 260),
    "1 severe": (3, 70),
    "2 proliferative": (4, 30),
}  # label: grade of `draw_fundus`, images
SIDE = 96  # pixels: small lesions are still seen, and all photographs together take 2 MB


def make_clinic(folder):
    """Write labels.csv (photo, grade, patient) and photos/ into `folder`; returns the path of the table. A toy.

    360 drawn eyes of 180 patients, no photographs, and planted faults: a file that was cut, a web page instead of one,
    a file that is missing, a copy under another name, two grades for one photograph, a grade and a patient left blank,
    a photograph without a row. What is there already is kept. Raises BmixError where another labels.csv is there.
    """
    table = Path(folder) / "labels.csv"
    labels = np.concatenate([[label] * (count // 2) for label, (_, count) in EYES.items()])
    labels = np.repeat(
        stream(0, "example clinic").permutation(labels), 2
    )  # both eyes of a patient are alike
    rows = [
        [f"photos/eye{row:03}.jpg", str(label), f"p{row // 2:03}"]
        for row, label in enumerate(labels)
    ]
    common, rarer = list(EYES)[:2]
    cut, page, copied, doubted, blank, nobody = np.flatnonzero(labels == common)[20::40].tolist()
    rows[blank][1] = rows[nobody][2] = ""
    rows.append(["photos/eye900.jpg", common, "p900"])  # without a file
    rows.append(["photos/copy of an eye.jpg", common, "p901"])
    rows.append([rows[doubted][0], rarer, rows[doubted][2]])
    text = "".join(f"{','.join(row)}\n" for row in [["photo", "grade", "patient"], *rows])
    if table.exists():
        found = table.read_text(encoding="utf-8")
        require(
            found == text,
            f"{table} is not the table of this example: remove it, or choose another folder",
        )
        return table
    images = draw_fundus([EYES[label][0] for label in labels], SIDE)
    files = [_encode(image) for image in images]
    kept = files[copied]
    files[cut] = files[cut][: len(files[cut]) // 2]
    files[page] = b"<!DOCTYPE html><html><body>Please sign in.</body></html>"
    named = dict(zip((row[0] for row in rows), files, strict=False))
    named |= {
        "photos/copy of an eye.jpg": kept,
        "photos/spare eye.jpg": _encode(images[0][:, ::-1]),
    }
    (table.parent / "photos").mkdir(parents=True, exist_ok=True)
    for name, content in named.items():
        (table.parent / name).write_bytes(content)
    write_atomic(table, text)  # last: where it is, all is
    return table


def _encode(image):
    return encode_picture(to_picture(image), "JPEG", quality=92)
