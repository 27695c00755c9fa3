import csv
from collections import Counter

import pytest

from bmix_lite.base.errors import BmixError
from bmix_lite.data.known_counts import KNOWN, read_counts

EYEPACS = {"0": "no retinopathy", "1": "mild", "2": "moderate", "3": "severe", "4": "proliferative"}
HAM10000 = {
    "nv": "melanocytic nevus",
    "mel": "melanoma",
    "bkl": "benign keratosis",
    "bcc": "basal cell carcinoma",
}
HAM10000 |= {"akiec": "actinic keratosis", "vasc": "vascular lesion", "df": "dermatofibroma"}


@pytest.mark.parametrize(
    ("name", "file", "column", "names", "delimiter"),
    [
        ("eyepacs", "eyepacs/trainLabels.csv", "level", EYEPACS, ","),
        ("ham10000", "ham10000/HAM10000_metadata.csv", "dx", HAM10000, ","),
        ("hyper_kvasir", "hyper_kvasir/5_fold_split.csv", "class-name", None, ";"),
    ],
)
def test_the_counts_are_those_of_the_publishers_label_files(
    shared, name, file, column, names, delimiter
):
    with open(shared / "data" / file, newline="") as table:
        found = Counter(row[column] for row in csv.DictReader(table, delimiter=delimiter))
    known = read_counts(name)
    expected = {names[label] if names else label: count for label, count in found.items()}
    assert dict(zip(known.classes, known.counts.tolist(), strict=True)) == expected


@pytest.mark.parametrize("name", KNOWN)
def test_classes_come_from_the_commonest_to_the_rarest_with_their_source(name):
    known = read_counts(name)
    assert known.counts.tolist() == sorted(known.counts.tolist(), reverse=True)
    assert len(set(known.classes)) == len(known.classes) == len(known.counts)
    assert f"{known.counts.sum():,}" in known.source


def test_an_unknown_dataset_is_refused_with_the_nearest_name():
    with pytest.raises(BmixError, match="did you mean 'ham10000'"):
        read_counts("ham1000")
