import colorsys

import numpy as np
import pytest
import torch
from torchvision.transforms import functional as torchvision

from bmix_lite.colour import CHANGES, jitter, jitter_pixels

# torchvision's four changes of float images, in the order of CHANGES
ORACLES = (
    torchvision.adjust_brightness,
    torchvision.adjust_contrast,
    torchvision.adjust_saturation,
    torchvision.adjust_hue,
)
STRENGTHS = np.array([1.2, 0.8, 1.25, -0.01])
SIZE = 24  # as many orders as there are


def make_pixels(channels=3, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (SIZE, 9, 7, channels), dtype=np.uint8)
    pixels[:, :2] = pixels[:, :2, :, :1]  # grey rows have no hue
    return pixels


def to_batch(pixels):
    return torch.from_numpy(pixels / np.float32(255)).permute(0, 3, 1, 2)


def draw(seed=0):
    """Strengths (4, B) and orders (B, 4), drawn anew."""
    rng = np.random.default_rng(seed)
    widths = np.array([[0.25], [0.25], [0.25], [0.01]])
    strengths = [[1], [1], [1], [0]] + widths * rng.uniform(-1, 1, (4, SIZE))
    return strengths, np.array([rng.permutation(4) for _ in range(SIZE)])


@pytest.mark.parametrize("number", range(4))
def test_each_change_is_that_of_torchvision(number):
    images = to_batch(make_pixels())
    strength = float(STRENGTHS[number])
    changed = CHANGES[number](images, torch.full((SIZE, 1, 1, 1), strength)).clamp(0, 1)
    expected = ORACLES[number](images, strength)
    # its tensors weigh red by 0.2989, its Pillow images by 0.299
    torch.testing.assert_close(changed, expected, atol=5e-5, rtol=0)


@pytest.mark.parametrize("turns", [-0.4, -0.01, 0.01, 0.3])
def test_the_hue_turns_as_the_standard_library_says(turns):
    images = to_batch(make_pixels())[:1]
    turned = CHANGES[3](images, torch.full((1, 1, 1, 1), turns))
    for pixel, found in zip(images[0].flatten(1).T, turned[0].flatten(1).T, strict=True):
        hue, saturation, value = colorsys.rgb_to_hsv(*pixel.double().tolist())
        expected = colorsys.hsv_to_rgb((hue + turns) % 1, saturation, value)
        assert found.tolist() == pytest.approx(expected, abs=1e-5)


def test_each_image_has_its_strengths_and_its_order():
    pixels = make_pixels()
    strengths, orders = draw()
    found = jitter(to_batch(pixels), strengths, orders)
    for image, strength, order, shown in zip(
        to_batch(pixels), strengths.T, orders, found, strict=True
    ):
        for number in order:
            image = ORACLES[number](image, float(strength[number]))
        torch.testing.assert_close(shown, image, atol=1e-4, rtol=0)


@pytest.mark.parametrize("channels", [1, 3])
def test_pixels_one_by_one_become_those_of_the_batch(channels):
    pixels = make_pixels(channels)
    strengths, orders = draw()
    expected = jitter(to_batch(pixels), strengths, orders)
    found = np.empty(pixels.shape, np.float32)
    jitter_pixels(pixels, strengths, orders, out=found)
    np.testing.assert_allclose(found, expected.permute(0, 2, 3, 1).numpy(), atol=1e-5)


def test_saturation_and_hue_leave_grey_images():
    images = to_batch(make_pixels(channels=1))
    strengths = np.tile([[1.0], [1.0], [0.5], [0.3]], SIZE)
    assert jitter(images, strengths, draw()[1]).sub(images).abs().max() < 1e-6


def test_a_strength_of_one_and_a_hue_of_zero_change_nothing_and_the_given_images_stay():
    images = to_batch(make_pixels())
    before = images.clone()
    unchanged = jitter(images, np.tile([[1.0], [1.0], [1.0], [0.0]], SIZE), draw()[1])
    torch.testing.assert_close(unchanged, images, atol=1e-6, rtol=0)
    jitter(images, *draw())
    assert images.equal(before)
