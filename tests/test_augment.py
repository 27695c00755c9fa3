import cv2
import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import ndimage

from bmix_lite.augment import (
    AUGMENTATIONS,
    PIXELS_FROM,
    Augmentation,
    _resample,
    augment,
    augment_pixels,
)
from bmix_lite.base.errors import BmixError
from bmix_lite.base.randomness import stream
from bmix_lite.batches import MixedBatches
from bmix_lite.data.imageset import ImageSet
from bmix_lite.inference import to_tensor
from bmix_lite.recipe import Recipe

CHANGING = [name for name in AUGMENTATIONS if name != "none"]


def make_batch(size=4, channels=1, height=8, width=8, seed=0):
    return torch.from_numpy(
        np.random.default_rng(seed).random((size, channels, height, width), dtype=np.float32)
    )


def repeated(size, low=0.0, high=1.0):
    """The same random image many times over, pixels between low and high."""
    return (make_batch(1) * (high - low) + low).expand(size, -1, -1, -1)


def test_none_is_the_identity():
    images = make_batch()
    assert augment(images, "none", rng=stream(0, "test")).equal(images)


def test_flips_show_each_of_the_four_mirror_images_equally_often():
    images, size = repeated(800), 800
    flipped = augment(images, "flips", rng=stream(0, "test"))
    mirrors = [images[0], images[0].flip(2), images[0].flip(1), images[0].flip(2).flip(1)]
    which = torch.stack([(flipped == mirror).flatten(1).all(dim=1) for mirror in mirrors])
    assert (which.sum(dim=0) == 1).all()
    # five standard errors of a binomial share of 1/4
    assert which.float().mean(dim=1).tolist() == pytest.approx(
        [0.25] * 4, abs=5 * (0.25 * 0.75 / size) ** 0.5
    )


@pytest.mark.parametrize("name", CHANGING)
def test_each_image_has_its_own_draw(name):
    shown = augment(repeated(40), name, rng=stream(0, "test"))
    different = torch.unique(shown.flatten(1), dim=0)
    assert len(different) == (4 if name == "flips" else 40)


@pytest.mark.parametrize("name", CHANGING)
def test_the_same_generator_state_gives_the_same_images(name):
    images = make_batch(8)
    first, again = (augment(images, name, rng=stream(0, "test", epoch=1)) for _ in range(2))
    assert first.equal(again)
    assert not first.equal(augment(images, name, rng=stream(0, "test", epoch=2)))
    assert not first.equal(augment(images, name, rng=stream(1, "test", epoch=1)))


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_every_augmentation_draws_as_many_numbers_so_that_later_batches_see_the_same_ones(name):
    rng, reference = stream(0, "test"), stream(0, "test")
    augment(make_batch(5), name, rng=rng)
    augment(make_batch(5), "none", rng=reference)
    assert rng.random() == reference.random()


@settings(max_examples=40)
@example("upright", 1, 1.0, 1)  # bilinear weights may sum to 1 + 2**-23
@given(
    st.sampled_from(CHANGING),
    st.integers(0, 2**32),
    st.sampled_from([0.0, 1.0, None]),
    st.sampled_from([1, 3]),
)
def test_pixels_stay_between_zero_and_one_and_the_shape_stays(name, seed, value, channels):
    images = (
        make_batch(6, channels, 7, 9, seed)
        if value is None
        else torch.full((6, channels, 7, 9), value)
    )
    shown = augment(images, name, rng=stream(seed, "test"))
    assert shown.shape == images.shape
    assert shown.dtype == images.dtype
    assert 0 <= shown.min() <= shown.max() <= 1


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_images_given_are_left_as_they_were(name):
    images = make_batch()
    before = images.clone()
    augment(images, name, rng=stream(0, "test"))
    assert images.equal(before)


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_double_precision_and_strided_images_are_augmented_alike(name):
    images = make_batch(6, 3)
    expected = augment(images, name, rng=stream(0, "test"))
    strided = images.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
    torch.testing.assert_close(augment(strided, name, rng=stream(0, "test")).contiguous(), expected)
    double = augment(images.double(), name, rng=stream(0, "test"))
    assert double.dtype == torch.float64
    torch.testing.assert_close(double.float(), expected, atol=1e-4, rtol=0)


def resample(images, chosen, rotate=0.0, scale=0.0, shift_x=0.0, shift_y=0.0):
    """The resampling with given draws in -1..1, the same for all images."""
    draws = [
        torch.full((len(images),), float(value)) for value in (rotate, scale, shift_x, shift_y)
    ]
    return _resample(images, chosen, *draws)


@pytest.mark.parametrize("turns", [-1, 1])
def test_a_quarter_turn_of_a_square_image_moves_its_pixels_exactly(turns):
    images = make_batch(2, 3)
    turned = resample(images, Augmentation(rotate=90), rotate=turns)
    torch.testing.assert_close(turned, torch.rot90(images, turns, dims=(2, 3)), atol=1e-5, rtol=0)


def test_half_a_turn_of_an_oblong_image_mirrors_both_axes():
    images = make_batch(2, 1, 6, 10)
    turned = resample(images, Augmentation(rotate=180), rotate=1)
    torch.testing.assert_close(turned, images.flip(2).flip(3), atol=1e-5, rtol=0)


@pytest.mark.parametrize(("axis", "along"), [(3, "shift_x"), (2, "shift_y")])
def test_a_shift_by_one_pixel_repeats_the_edge(axis, along):
    images = make_batch(2, 1, 8, 8)
    moved = resample(images, Augmentation(shift=1 / 8), **{along: 1})
    expected = torch.cat([images.narrow(axis, 1, 7), images.narrow(axis, 7, 1)], dim=axis)
    torch.testing.assert_close(moved, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("shape", [(9, 9), (6, 11)])
@pytest.mark.parametrize(
    ("degrees", "scale", "shift"),
    [(30, 0, 0), (-17, 0, 0), (0, 0.25, 0), (0, -0.25, 0), (0, 0, 0.2), (25, 0.1, 0.1)],
)
def test_geometry_is_that_of_scipy(degrees, scale, shift, shape):
    height, width = shape
    images = make_batch(1, 1, height, width)
    chosen = Augmentation(rotate=abs(degrees), scale=abs(scale), shift=shift)
    shown = resample(images, chosen, np.sign(degrees), np.sign(scale), shift_x=1, shift_y=-1)

    angle = np.radians(degrees)
    turn = np.array(
        [[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]
    )  # of (row, column)
    matrix, centre = turn / (1 + scale), (np.array(shape) - 1) / 2
    offset = centre - matrix @ centre + shift * np.array([-height, width])
    expected = ndimage.affine_transform(
        images[0, 0].double().numpy(), matrix, offset, order=1, mode="nearest"
    )
    np.testing.assert_allclose(shown[0, 0].numpy(), expected, atol=1e-5)


def test_a_positive_scale_enlarges():
    images = torch.zeros(1, 1, 16, 16)
    images[:, :, 6:10, 6:10] = 1
    grown, shrunk = (resample(images, Augmentation(scale=0.5), scale=way).sum() for way in (1, -1))
    assert grown.item() == pytest.approx(16 * 1.5**2, rel=0.05)
    assert shrunk.item() == pytest.approx(16 * 0.5**2, rel=0.05)


def changed_by(monkeypatch, images, **widths):
    monkeypatch.setitem(AUGMENTATIONS, "flips", Augmentation(**widths))
    return augment(images, "flips", rng=stream(0, "test"))


def test_brightness_adds_one_number_to_all_pixels_of_an_image(monkeypatch):
    images = repeated(500, 0.3, 0.7)
    added = (changed_by(monkeypatch, images, brightness=0.1) - images).flatten(1)
    assert added.std(dim=1).max() < 1e-6
    assert added.abs().max() <= 0.1 + 1e-6
    # a uniform draw fills the range: mean 0 and standard deviation width / sqrt(3)
    assert added[:, 0].mean().item() == pytest.approx(0, abs=5 * 0.1 / 3**0.5 / 500**0.5)
    assert added[:, 0].std().item() == pytest.approx(0.1 / 3**0.5, rel=0.1)


def test_contrast_stretches_pixels_about_the_mean_of_their_image(monkeypatch):
    images = repeated(500, 0.3, 0.7)
    shown = changed_by(monkeypatch, images, contrast=0.2).flatten(1)
    mean = images.flatten(1).mean(dim=1, keepdim=True)
    factors = (shown - mean) / (images.flatten(1) - mean)
    gain = factors.median(dim=1, keepdim=True).values
    torch.testing.assert_close(shown, mean + gain * (images.flatten(1) - mean), atol=1e-6, rtol=0)
    assert 0.8 - 1e-3 <= gain.min() < 0.82
    assert 1.18 < gain.max() <= 1.2 + 1e-3


def test_colour_and_mirroring_are_drawn_independently(monkeypatch):
    corner = torch.full((1000, 1, 8, 8), 0.4)
    corner[:, :, :4, :4] = 0.6
    shown = changed_by(monkeypatch, corner, brightness=0.1, contrast=0.1, flip_x=True, flip_y=True)
    right, below = (shown.argmax(dim=axis).flatten(1).amax(dim=1) > 0 for axis in (3, 2))
    lift, spread = shown.mean(dim=(1, 2, 3)), shown.std(dim=(1, 2, 3))
    correlations = np.corrcoef(torch.stack([right, below, lift, spread]).numpy())[
        np.triu_indices(4, 1)
    ]
    # five standard errors of the correlation of 1,000 independent pairs
    assert np.abs(correlations).max() < 5 / 1000**0.5


@pytest.mark.parametrize(
    ("images", "found"),
    [
        (torch.zeros(2, 1, 8, 8, dtype=torch.uint8), "uint8"),
        (torch.zeros(1, 8, 8), "1, 8, 8"),
    ],
)
def test_images_of_another_kind_are_refused(images, found):
    with pytest.raises(BmixError, match=rf"images must be \(B, C, H, W\) float, got.*{found}"):
        augment(images, "none", rng=stream(0, "test"))


def test_an_unknown_augmentation_is_refused_with_the_names_there_are():
    with pytest.raises(
        BmixError,
        match=r"augment must be one of none, flips, upright, medical, paper, got 'flip'.*'flips'",
    ):
        augment(make_batch(), "flip", rng=stream(0, "test"))


def make_pixels(size=6, height=40, width=40, channels=3, seed=0):
    return np.random.default_rng(seed).integers(
        0, 256, (size, height, width, channels), dtype=np.uint8
    )


@settings(max_examples=40)
@given(
    name=st.sampled_from(sorted(AUGMENTATIONS)),
    sides=st.tuples(st.integers(5, 60), st.integers(5, 60)),
    channels=st.sampled_from([1, 3]),
    seed=st.integers(0, 2**32),
)
def test_pixels_augmented_one_by_one_are_those_of_the_batch_within_their_rounding(
    name, sides, channels, seed
):
    pixels = make_pixels(6, *sides, channels, seed)
    expected = augment(to_tensor(pixels, "cpu"), name, rng=stream(seed, "test"))
    found = augment_pixels(pixels, name, rng=stream(seed, "test"))
    assert found.shape == expected.shape
    assert found.dtype == torch.float32
    # half a level, stretched by contrast; places of noise differ by the rounding of float32
    limit = 0.5 * (1 + AUGMENTATIONS[name].contrast) / 255 + 2e-4
    assert (found - expected).abs().max().item() <= (0 if name in ("none", "flips") else limit)


def test_pixels_take_as_many_draws_as_a_batch_and_stay_as_they_were():
    pixels, rng, reference = make_pixels(), stream(0, "test"), stream(0, "test")
    before = pixels.copy()
    pixels.flags.writeable = False
    augment_pixels(pixels, "medical", rng=rng)
    augment(make_batch(6), "none", rng=reference)
    assert rng.random() == reference.random()
    assert np.array_equal(pixels, before)


def test_pixels_may_be_strided():
    pixels = make_pixels()
    found = augment_pixels(pixels[:, ::-1, :, ::-1], "medical", rng=stream(0, "test"))
    expected = augment_pixels(pixels[:, ::-1, :, ::-1].copy(), "medical", rng=stream(0, "test"))
    assert found.equal(expected)


def test_opencv_has_as_many_threads_afterwards_as_before():
    before = cv2.getNumThreads()
    try:
        cv2.setNumThreads(3)
        augment_pixels(make_pixels(), "medical", rng=stream(0, "test"))
        with pytest.raises(BmixError, match="augment must be one of"):
            augment_pixels(make_pixels(), "flip", rng=stream(0, "test"))
        assert cv2.getNumThreads() == 3
    finally:
        cv2.setNumThreads(before)


@pytest.mark.parametrize(("side", "by_pixels"), [(PIXELS_FROM - 1, False), (PIXELS_FROM, True)])
def test_training_augments_small_images_as_a_batch_and_others_one_by_one(side, by_pixels):
    recipe = Recipe(augment="medical", batch_size=16)
    data = ImageSet(
        make_pixels(40, side, 50), np.arange(40) % 2, ("a", "b"), split=np.repeat("train", 40)
    )
    images, _ = next(MixedBatches(data, recipe, torch.device("cpu")).epoch(1))
    pixels = data.images[next(iter(MixedBatches(data, recipe, torch.device("cpu")).base))]
    alone = augment_pixels(pixels, "medical", rng=stream(0, "augment base", 1))
    together = augment(to_tensor(pixels, "cpu"), "medical", rng=stream(0, "augment base", 1))
    assert not alone.equal(together)
    assert images.equal(alone if by_pixels else together)
