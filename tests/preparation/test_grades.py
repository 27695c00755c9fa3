"""Grades in another order are noticed, and kappa is not computed: field input 08."""

import numpy as np
import pytest

from bmix_lite.base.errors import BmixError
from bmix_lite.data.datasets import load
from bmix_lite.data.prepared import read_about
from bmix_lite.metrics import confusion_matrix, score_matrix
from bmix_lite.preparation.grades import find_grades, rank_grade
from bmix_lite.preparation.prepare import prepare
from bmix_lite.preparation.report import read_report
from clinic import draw

QUIET = dict(progress=False, jobs=1, size=8)
APTOS = ["No_DR", "Mild", "Moderate", "Severe", "Proliferate_DR"]


@pytest.fixture
def eyes(tmp_path):
    number = 0
    for label in APTOS:
        for _ in range(6):
            number += 1
            path = tmp_path / "eyes" / label / f"{number:012x}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            draw(number).save(path)
    return tmp_path / "eyes"


def test_class_folders_of_grades_are_a_warning_that_says_what_to_write(eyes, tmp_path):
    data = prepare(eyes, tmp_path / "a", **QUIET)
    assert not data.ordered
    [fault] = [f for f in read_report(tmp_path / "a").faults if f["kind"] == "grades"]
    assert fault["where"] == "Mild, Moderate, No_DR, Proliferate_DR, Severe"
    assert f"class_names={APTOS}, ordered=True" in fault["found"]
    assert fault["level"] == "warning"


def test_an_order_and_ordered_make_grades_of_folders(eyes, tmp_path):
    data = prepare(eyes, tmp_path / "a", class_names=APTOS, ordered=True, **QUIET)
    assert data.class_names == tuple(APTOS)
    assert data.ordered
    assert load(tmp_path / "a", split=1).ordered
    assert read_about(tmp_path / "a")["ordered"] is True
    assert "grades" not in read_report(tmp_path / "a").counts()
    truth = data.labels
    guess = np.clip(truth + np.random.default_rng(1).integers(-1, 2, len(truth)), 0, 4)
    assert score_matrix(confusion_matrix(truth, guess, 5))["kappa"] > 0.75


def test_ordered_words_without_an_order_are_refused_before_any_image_is_opened(eyes, tmp_path):
    with pytest.raises(BmixError, match="ordered=True, but the labels are words: 'Mild'"):
        prepare(eyes, tmp_path / "a", ordered=True, **QUIET)
    assert not (tmp_path / "a").exists()
    with pytest.raises(BmixError, match="ordered must be True, False or None, got 'yes'"):
        prepare(eyes, tmp_path / "a", ordered="yes", **QUIET)


@pytest.mark.parametrize(
    "names",
    [
        ["none", "mild", "severe"],
        ["low", "medium", "high"],
        ["grade 1", "grade 2", "grade 10"],
        ["Stage I", "Stage II", "Stage III", "Stage IV"],
        ["KL0", "KL1", "KL2"],
        ["T1", "T2", "T3"],
        ["I", "II", "III"],
        ["normal", "early_glaucoma", "advanced_glaucoma"],
        ["NoDR", "MildDR", "SevereDR"],
    ],
)
def test_names_of_grades_are_noticed_in_any_order(names):
    mixed = [names[-1], *names[:-1]]
    [fault] = find_grades(mixed, None)
    assert f"class_names={names}" in fault.found
    [fault] = find_grades(mixed, True)
    assert "in another order" in fault.found
    assert find_grades(names, True) == find_grades(names[::-1], True) == []
    assert find_grades(mixed, False) == []


def test_grades_whose_order_is_numbered_or_given_are_left_alone():
    assert find_grades(["0 none", "1 severe", "2 proliferative"], None) == []
    assert find_grades(["mild", "moderate", "severe"], None, is_given=True) == []
    assert len(find_grades(["mild", "moderate", "severe"], None)) == 1
    assert len(find_grades(["severe", "mild", "moderate"], None, is_given=True)) == 1


@pytest.mark.parametrize(
    "names",
    [
        ["benign", "malignant", "normal"],
        ["low", "high"],
        ["RBC", "WBC", "Platelets"],
        ["class 0", "class 1", "class 2"],
        ["femur left", "femur right", "heart"],
        ["normal", "abnormal", "artefact"],
        ["digit 0", "digit 1", "digit 2"],
        ["0", "1", "2"],
    ],
)
def test_other_names_are_no_grades(names):
    assert find_grades(names, None) == []


def test_the_step_of_a_grade_is_read_from_its_words():
    assert [rank_grade(name) for name in APTOS] == [0, 2, 3, 4, 5]
    assert rank_grade("very mild") < rank_grade("mild") < rank_grade("very severe")
    assert rank_grade("cat") is None


def test_arrays_and_boxes_take_an_order_of_names_too(tmp_path):
    arrays = {}
    for seed, part in enumerate(("train", "val", "test")):
        rng = np.random.default_rng(seed)
        arrays[f"{part}_images"] = rng.integers(0, 256, (15, 8, 8, 3), dtype=np.uint8)
        arrays[f"{part}_labels"] = np.arange(15)[:, None] % 3
    np.savez(tmp_path / "set.npz", **arrays)
    names = ["none", "mild", "severe"]
    options = dict(class_names=names, ordered=True, progress=False, jobs=1)
    data = prepare(tmp_path / "set.npz", tmp_path / "a", **options)
    assert (data.class_names, data.ordered) == (tuple(names), True)
    assert data.labels.tolist() == [row % 3 for row in range(45)]
    (tmp_path / "voc/Annotations").mkdir(parents=True)
    (tmp_path / "voc/JPEGImages").mkdir()
    box = "<bndbox><xmin>9</xmin><ymin>9</ymin><xmax>40</xmax><ymax>40</ymax></bndbox>"
    for number in range(18):
        draw(number, 64).save(tmp_path / f"voc/JPEGImages/{number}.jpg", "PNG")
        thing = f"<object><name>{names[number % 3]}</name>{box}</object>"
        text = f"<annotation><filename>{number}.jpg</filename>{thing}</annotation>"
        (tmp_path / f"voc/Annotations/{number}.xml").write_text(text)
    data = prepare(tmp_path / "voc", tmp_path / "b", size=8, **options)
    assert (data.class_names, data.ordered) == (tuple(names), True)
