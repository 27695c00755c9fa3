"""The drawn retinas: the same everywhere, true to the clinical scale, imbalanced as EyePACS."""

from dataclasses import replace

import numpy as np
import pytest

from bmix_lite.base.errors import BmixError
from bmix_lite.base.randomness import stream
from bmix_lite.data.fundus import toy as fundus
from bmix_lite.data.fundus.anatomy import place_eyes
from bmix_lite.data.fundus.lesions import BEADING, HAEMORRHAGES, draw_lesions
from bmix_lite.data.fundus.toy import EYES_AT_ONCE, GRADES, draw_fundus, fundus_toy
from bmix_lite.data.fundus.vessels import draw_vessels
from bmix_lite.data.imageset import SPLITS


@pytest.fixture(scope="module")
def toy():
    return fundus_toy(n=600)


@pytest.fixture(scope="module")
def eyes():
    return place_eyes(stream(0, "test eyes"), 64, 64)


def get_layers(eyes, grade):
    """Lesions of 64 eyes of one grade, layers (64, 64, 64) by name."""
    grades = np.full(64, grade)
    _, arcades = draw_vessels(stream(0, "test vessels"), eyes, BEADING[grades])
    return draw_lesions(stream(0, "test lesions"), eyes, grades, arcades)


def test_the_same_seed_draws_the_same_pixels_and_another_one_others():
    grades = [0, 1, 2, 3, 4]
    assert np.array_equal(draw_fundus(grades, 64, 7), draw_fundus(grades, 64, 7))
    assert (draw_fundus(grades, 64, 7) != draw_fundus(grades, 64, 8)).mean() > 0.5


def test_the_drawing_is_the_same_on_every_machine():
    found = draw_fundus([0, 1, 2, 3, 4]).mean(axis=(1, 2, 3))
    assert found == pytest.approx([66.164, 68.015, 72.166, 52.571, 70.845], abs=0.01)


def test_drawing_leaves_the_global_generator_alone():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    draw_fundus([3, 4])
    assert np.array_equal(before, np.random.get_state()[1])  # noqa: NPY002


def test_rows_that_follow_change_nothing_before_them():
    grades = np.arange(2 * EYES_AT_ONCE + 5) % 5
    whole = draw_fundus(grades)
    for count in (1, EYES_AT_ONCE - 1, EYES_AT_ONCE, EYES_AT_ONCE + 3):
        assert np.array_equal(draw_fundus(grades[:count]), whole[:count])


@pytest.mark.parametrize("size", [64, 160])
def test_the_grade_of_an_eye_changes_that_eye_only(size):
    for grade in (1, 2, 3, 4):
        grades = np.zeros(EYES_AT_ONCE, int)
        healthy = draw_fundus(grades, size)
        grades[5] = grade
        changed = (draw_fundus(grades, size) != healthy).any(axis=(1, 2, 3))
        assert np.flatnonzero(changed).tolist() == [5]


def test_one_eye_looks_alike_at_two_sizes():
    small = draw_fundus([0, 2, 3, 4], 64).astype(float)
    large = draw_fundus([0, 2, 3, 4], 128).astype(float)
    shrunk = large.reshape(4, 64, 2, 64, 2, 3).mean(axis=(2, 4))
    for one, other in zip(small, shrunk, strict=True):
        assert np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.97


@pytest.mark.parametrize("size", [64, 97, 224])
def test_images_are_square_and_of_the_size_asked_for(size):
    images = draw_fundus([0, 4, 2], size)
    assert images.shape == (3, size, size, 3)
    assert images.dtype == np.uint8


def test_a_fundus_is_orange_red_in_a_dark_frame():
    images = draw_fundus([0] * 40).astype(float)
    assert images[:, [0, 0, -1, -1], [0, -1, 0, -1]].max() == 0
    red, green, blue = images[:, 16:48, 16:48].mean(axis=(1, 2)).T
    assert (red > 1.5 * green).all()
    assert (green > 1.3 * blue).all()


def test_the_disc_is_nasal_so_right_in_right_eyes_and_left_in_left_eyes():
    green = draw_fundus([0] * 80)[..., 1].astype(float)
    columns = np.sort(green, axis=1)[:, -4:].mean(axis=1)  # (80, 64), the brightest pixels of each
    brightest = columns.argmax(axis=1)
    assert (brightest[0::2] > 36).all()
    assert (brightest[1::2] < 28).all()


def test_a_left_eye_is_a_mirrored_right_eye(eyes):
    mirrored = replace(eyes, side=-eyes.side, centre=eyes.centre * (-1, 1) + (63, 0))
    one, other = (
        draw_vessels(stream(0, "test"), each, np.zeros(64))[0] for each in (eyes, mirrored)
    )
    assert one.sum() > 0
    assert np.allclose(one, other[:, :, ::-1], atol=1e-5)


def test_eyes_without_retinopathy_have_no_lesion(monkeypatch):
    grades = np.repeat([0, 1, 2, 3, 4], 16)
    drawn = draw_fundus(grades)

    def draw_none(*arguments):
        return {name: np.zeros_like(layer) for name, layer in draw_lesions(*arguments).items()}

    monkeypatch.setattr(fundus, "draw_lesions", draw_none)
    marked = (drawn != draw_fundus(grades)).any(axis=(1, 2, 3))
    assert not marked[grades == 0].any()
    assert marked[grades > 0].all()


@pytest.mark.parametrize("size", [64, 160])
def test_lesions_grow_with_the_grade(size):
    healthy = draw_fundus([0] * 64, size).astype(int)
    areas = []
    for grade in range(5):
        away = np.abs(draw_fundus([grade] * 64, size).astype(int) - healthy).max(axis=-1)
        areas.append((away > 12).mean())
    assert areas[0] == 0
    assert 0 < areas[1] < areas[2] / 3
    assert areas[2] < 0.75 * areas[3]
    assert areas[3] < 0.9 * areas[4]


def test_each_grade_has_the_lesions_of_the_clinical_scale(eyes):
    found = {
        grade: {name for name, layer in get_layers(eyes, grade).items() if layer.any()}
        for grade in range(5)
    }
    nonproliferative = {"blood", "exudates", "cotton wool"}
    assert found == {
        0: set(),
        1: {"blood"},
        2: nonproliferative,
        3: nonproliferative,
        4: nonproliferative | {"new vessels"},
    }
    assert get_layers(eyes, 4)["new vessels"].any(axis=(1, 2)).all()


def test_severe_eyes_bleed_in_all_four_quadrants_and_moderate_ones_stay_below_the_rule(eyes):
    blood = get_layers(eyes, 3)["blood"]
    x, y = eyes.axes()
    for left in (True, False):
        for upper in (True, False):
            quadrant = ((x < 2.5) == left) & ((y < 0) == upper)
            assert (blood * quadrant).any(axis=(1, 2)).all()
    assert HAEMORRHAGES[2][1] <= 4 * 20  # the 4 of 4-2-1: more than 20 in each quadrant
    assert (BEADING > 0).tolist() == [False, False, False, True, True]  # the 2: beaded veins


def test_ink_is_kept_wherever_it_is_poured(eyes):
    x, y = stream(0, "test points").uniform(-3, 9, (2, 64))
    layer = eyes.pour(np.arange(64), x, y, 0.3)
    assert layer.sum(axis=(1, 2)) == pytest.approx(0.3 * eyes.scale**2, rel=1e-5)
    assert not eyes.pour(np.arange(64), x + 60, y, 0.3).any()


@pytest.mark.parametrize(
    ("n", "counts"),
    [
        (2000, [1470, 139, 301, 50, 40]),
        (35_126, [25_810, 2443, 5292, 873, 708]),
        (301, [215, 21, 45, 10, 10]),
        (100, [55, 10, 15, 10, 10]),
    ],
)
def test_classes_have_the_shares_of_eyepacs_and_ten_images_at_least(n, counts):
    assert fundus._count_grades(n).tolist() == counts


def test_the_toy_has_exactly_these_counts(toy):
    assert np.bincount(toy.labels).tolist() == fundus._count_grades(600).tolist()
    assert toy.class_names == GRADES
    assert "not photographs" in toy.source


def test_two_eyes_of_a_patient_have_like_grades(toy):
    right, left = toy.labels.reshape(-1, 2).T
    assert toy.groups[:4].tolist() == ["p0000", "p0000", "p0001", "p0001"]
    assert np.abs(right - left).max() == 1
    assert np.corrcoef(right, left)[0, 1] > 0.8
    assert 0 < (right > left).sum() < (right != left).sum()


def test_a_patient_is_in_one_part_and_every_grade_in_each_of_a_repeat_of_splits(toy):
    tested = np.zeros(600, int)
    for number in range(5, 10):
        data = fundus_toy(n=600, split=number)
        assert np.array_equal(data.images, toy.images)
        parts = [set(data.groups[data.rows(split)]) for split in SPLITS]
        assert sum(map(len, parts)) == len(set.union(*parts)) == 300
        assert all((data.counts(split) > 0).all() for split in SPLITS)
        tested[data.rows("test")] += 1
    assert (tested == 1).all()


def test_an_odd_number_leaves_one_eye_alone():
    data = fundus_toy(n=101)
    assert data.images.shape == (101, 64, 64, 3)
    assert np.count_nonzero(data.groups == data.groups[-1]) == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("split", value) for value in (-1, 0.0)),
        *(("n", value) for value in (99, 200.0)),
        *(("size", value) for value in (63, 225, True)),
        *(("seed", value) for value in (-1, "0")),
    ],
)
def test_bad_arguments_are_named(name, value):
    with pytest.raises(BmixError, match=f"{name} must be"):
        fundus_toy(**{name: value})


@pytest.mark.parametrize("grades", [[], [5], [-1], [0.5], [[0, 1]], ["mild"], [True]])
def test_bad_grades_are_named(grades):
    with pytest.raises(BmixError, match="grades must"):
        draw_fundus(grades)
