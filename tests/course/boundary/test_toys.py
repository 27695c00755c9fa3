import numpy as np
import pytest
from sklearn.datasets import make_moons

from bmix_lite.base.errors import BmixError
from bmix_lite.base.randomness import derive_seed
from bmix_lite.course.boundary.toys import COMMON, GRID, KINDS, LEVELS, make_toy, to_points
from bmix_lite.distribution import imbalance_ratio


@pytest.mark.parametrize("kind", KINDS)
def test_a_toy_is_images_of_one_pixel_with_two_channels(kind):
    data = make_toy(kind, 10)
    assert data.images.shape == (len(data.labels), 1, 1, 2)
    assert data.images.dtype == np.uint8


@pytest.mark.parametrize(
    ("kind", "ratio", "counts"),
    [
        ("blobs", 1, [400, 400, 400]),
        ("blobs", 100, [400, 40, 4]),
        ("blobs", 16, [400, 100, 25]),
        ("moons", 30, [400, 13]),
        ("rings", 100, [400, 4]),
    ],
)
def test_classes_shrink_geometrically_from_400_points(kind, ratio, counts):
    data = make_toy(kind, ratio)
    assert data.counts().tolist() == counts
    assert imbalance_ratio(data.counts()) == pytest.approx(ratio, rel=0.03)
    assert set(data.counts("val").tolist()) == {100}
    assert set(data.counts("test").tolist()) == {500}


@pytest.mark.parametrize("kind", KINDS)
def test_a_higher_ratio_only_takes_training_points_away(kind):
    few, many = make_toy(kind, 100), make_toy(kind, 1)
    for split in ("val", "test"):
        assert np.array_equal(few.images[few.rows(split)], many.images[many.rows(split)])
        assert np.array_equal(few.labels[few.rows(split)], many.labels[many.rows(split)])
    for j, count in enumerate(few.counts()):
        kept, all_of_it = (
            d.images[d.rows("train")][d.labels[d.rows("train")] == j] for d in (few, many)
        )
        assert np.array_equal(kept, all_of_it[:count])


@pytest.mark.parametrize("kind", KINDS)
def test_the_seed_alone_decides_the_points(kind):
    first, again, other = (make_toy(kind, 10, seed=seed).fingerprint for seed in (3, 3, 4))
    assert first == again != other


@pytest.mark.parametrize("kind", KINDS)
def test_splits_do_not_share_their_points(kind):
    data = make_toy(kind, 1)
    train, test = (
        {tuple(p) for p in data.images[data.rows(split)][:100, 0, 0]} for split in ("train", "test")
    )
    assert (
        len(train & test) < 20
    )  # the plane has 65,536 places: a few points fall together by chance


def test_moons_are_scikit_learns_scaled_once_for_all():
    data = make_toy("moons", 1, seed=2)
    rows = data.rows("train")
    x, y = make_moons(
        (COMMON, COMMON), noise=0.2, random_state=derive_seed(2, "toy moons train") % 2**32
    )
    ours = to_points(data.images[rows])
    for j in (0, 1):
        expected = np.clip((x[y == j] - [0.5, 0.25]) / [3.8, 2.9] + 0.5, 0, 1)
        assert ours[data.labels[rows] == j] == pytest.approx(expected, abs=0.5 / LEVELS + 1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_hardly_a_point_lies_on_the_edge_of_the_square(kind):
    points = to_points(make_toy(kind, 1).images)
    on_edge = ((points == 0) | (points == 1)).any(axis=1)
    assert on_edge.mean() < 0.01


def test_points_are_pixels_over_255():
    images = np.array([[[[0, 255]]], [[[51, 102]]]], dtype=np.uint8)
    assert to_points(images).tolist() == [[0, 1], [0.2, 0.4]]


def test_the_places_of_the_grid_are_exact_pixel_values():
    steps = np.linspace(0, LEVELS, GRID)
    assert np.array_equal(steps, steps.round())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("moon", 10),
            r"kind must be one of blobs, moons, rings, got 'moon'; did you mean 'moons'\?",
        ),
        (("moons", 0.5), r"imbalance_ratio must lie in \[1, 100\], got 0\.5"),
        (("moons", 101), r"imbalance_ratio must lie in \[1, 100\], got 101"),
        (("moons", float("nan")), r"imbalance_ratio must lie in \[1, 100\], got nan"),
    ],
)
def test_toys_that_cannot_be_made_are_refused(arguments, message):
    with pytest.raises(BmixError, match=message):
        make_toy(*arguments)


def test_images_that_are_no_points_are_refused():
    with pytest.raises(
        BmixError, match=r"images of a toy are \(n, 1, 1, 2\), got shape \(5, 8, 8, 1\)"
    ):
        to_points(np.zeros((5, 8, 8, 1), np.uint8))
