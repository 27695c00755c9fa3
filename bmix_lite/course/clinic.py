"""A stand-in for the files of a clinic: drawn retinas, a table of labels, and planted faults."""

from pathlib import Path

import numpy as np

from bmix_lite.base.errors import BmixError
from bmix_lite.base.files import write_atomic
from bmix_lite.base.randomness import stream
from bmix_lite.data.fundus.toy import draw_fundus
from bmix_lite.data.imageset import encode_picture, to_picture

EYES = {  # label: grade of `draw_fundus`, images
    "0 none": (0, 260),
    "1 severe": (3, 70),
    "2 proliferative": (4, 30),
}
SIDE = 96  # pixels: small lesions are still seen, and all photographs together take 2 MB
WEB_PAGE = b"<!DOCTYPE html><html><body>Please sign in.</body></html>"


def make_clinic(folder):
    """Write labels.csv (photo, grade, patient) and photos/ into `folder`; returns the table's path.

    360 drawn eyes of 180 patients, no photographs, and planted faults: a truncated file, a web page
    in place of one, a missing file, a copy under another name, two grades for one photograph, a
    blank grade, a blank patient, a photograph without a row. A finished folder is left as it is.
    Raises BmixError where `folder` holds another labels.csv.
    """
    labels = _draw_labels()
    common, *_ = EYES
    # where the faults are planted: rows of the common class, far apart
    cut, page, copied, doubted, *blank = np.flatnonzero(labels == common)[20::40].tolist()
    rows = _write_rows(labels, doubted, blank)
    text = "".join(f"{','.join(row)}\n" for row in [["photo", "grade", "patient"], *rows])
    table = Path(folder) / "labels.csv"
    if table.exists():
        if table.read_text(encoding="utf-8") != text:
            raise BmixError(
                f"{table} is not the table of this example: remove it, or choose another folder"
            )
        return table
    images = draw_fundus([EYES[label][0] for label in labels], SIDE)
    photos = {rows[k][0]: _encode(image) for k, image in enumerate(images)}
    photos["photos/copy of an eye.jpg"] = photos[rows[copied][0]]
    photos["photos/spare eye.jpg"] = _encode(images[0][:, ::-1])
    whole = photos[rows[cut][0]]
    photos[rows[cut][0]] = whole[: len(whole) // 2]
    photos[rows[page][0]] = WEB_PAGE
    (table.parent / "photos").mkdir(parents=True, exist_ok=True)
    for name, content in photos.items():
        (table.parent / name).write_bytes(content)
    write_atomic(table, text)  # last: where the table is, everything is
    return table


def _draw_labels():
    """The label of each eye; both eyes of a patient have the same."""
    labels = np.concatenate([[label] * (count // 2) for label, (_, count) in EYES.items()])
    return np.repeat(stream(0, "example clinic").permutation(labels), 2)


def _write_rows(labels, doubted, blank):
    """Rows [photo, grade, patient], with the faults that a table can have."""
    common, rarer, _ = EYES
    rows = [
        [f"photos/eye{row:03}.jpg", str(label), f"p{row // 2:03}"]
        for row, label in enumerate(labels)
    ]
    without_grade, without_patient = blank
    rows[without_grade][1] = ""
    rows[without_patient][2] = ""
    rows.append(["photos/eye900.jpg", common, "p900"])  # without a file
    rows.append(["photos/copy of an eye.jpg", common, "p901"])
    rows.append([rows[doubted][0], rarer, rows[doubted][2]])
    return rows


def _encode(image):
    return encode_picture(to_picture(image), "JPEG", quality=92)
