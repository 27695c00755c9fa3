"""Images per class of public medical datasets: their imbalance can be studied without download."""

from dataclasses import dataclass

import numpy as np

from bmix_lite.base.errors import require_choice


@dataclass(frozen=True)
class LabelCounts:
    """Class names and images per class, (C,), the commonest first, and where they come from."""

    title: str
    classes: tuple
    counts: np.ndarray
    source: str

    def as_dict(self):
        """{class: images}."""
        return dict(zip(self.classes, self.counts.tolist(), strict=True))


def read_counts(name):
    """The label counts of one of `KNOWN`, e.g. read_counts("ham10000").

    Raises BmixError for another name.
    """
    require_choice("name", name, KNOWN)
    title, source, table = _TABLES[name]
    pairs = [_read_entry(entry) for entry in table.split(",")]
    pairs.sort(key=lambda pair: -pair[1])
    classes, counts = zip(*pairs, strict=True)
    return LabelCounts(title, classes, np.array(counts), source)


def _read_entry(entry):
    label, count = entry.rsplit(" ", 1)
    return label.strip(), int(count)


# counted in the publishers' label files: trainLabels.csv, HAM10000_metadata.csv, 5_fold_split.csv
_TABLES = {
    "eyepacs": (
        "EyePACS, diabetic retinopathy in the eye",
        "Kaggle, Diabetic Retinopathy Detection, 2015: the 35,126 labelled photographs",
        "no retinopathy 25810, mild 2443, moderate 5292, severe 873, proliferative 708",
    ),
    "ham10000": (
        "HAM10000, lesions of the skin",
        "Tschandl, Rosendahl and Kittler, Scientific Data 5, 2018: 10,015 photographs",
        "melanocytic nevus 6705, melanoma 1113, benign keratosis 1099, basal cell carcinoma 514, "
        "actinic keratosis 327, vascular lesion 142, dermatofibroma 115",
    ),
    "hyper_kvasir": (
        "Hyper-Kvasir, endoscopy of the gut",
        "Borgli et al., Scientific Data 7, 2020: the 10,662 labelled images",
        "bbps-2-3 1148, polyp 1028, normal-cecum 1009, dyed-lifted-polyps 1002, "
        "normal-pylorus 999, dyed-resection-margins 989, normal-z-line 932, "
        "retroflex-stomach 764, bbps-0-1 646, ulcerative-colitis-grade-2 443, "
        "oesophagitis-a 403, retroflex-rectum 391, oesophagitis-b-d 260, "
        "ulcerative-colitis-grade-1 201, ulcerative-colitis-grade-3 133, impacted-stool 131, "
        "short-segment-barretts 53, barretts 41, ulcerative-colitis-grade-0-1 35, "
        "ulcerative-colitis-grade-2-3 28, ulcerative-colitis-grade-1-2 11, ileum 9, "
        "hemorroids 6",
    ),
}
KNOWN = tuple(_TABLES)
