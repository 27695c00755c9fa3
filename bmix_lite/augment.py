"""Random augmentation of a batch, each image with its own draw, on the batch's device."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from bmix_lite.errors import require, require_choice


@dataclass(frozen=True)
class Augmentation:
    """Half-widths of uniform draws; shifts are fractions of the image, `flip` draws both axes."""

    rotate: float = 0.0  # degrees
    scale: float = 0.0  # 0.1: between 0.9 and 1.1
    shift: float = 0.0
    flip_x: bool = False
    flip_y: bool = False
    brightness: float = 0.0  # added, in units of the full range 0..1
    contrast: float = 0.0  # 0.1: factor between 0.9 and 1.1


AUGMENTATIONS = {
    "none": Augmentation(),
    "flips": Augmentation(flip_x=True, flip_y=True),  # where no direction is special: cells, skin, tissue
    "upright": Augmentation(rotate=10, scale=0.1, shift=0.1),  # where up is up: digits, X-rays
    "medical": Augmentation(rotate=45, scale=0.1, shift=0.05, flip_x=True, flip_y=True, brightness=0.05, contrast=0.1),
}


def augment(images, name, *, rng):
    """Augment images (B, C, H, W) float in [0, 1]; returns the same shape and range.

    name: a key of AUGMENTATIONS; rng: a numpy Generator, drawn from in the same way whatever the device.
    Geometry is one bilinear resampling; outside the image the nearest edge pixel is repeated.
    """
    require_choice("augment", name, AUGMENTATIONS)
    require(
        images.ndim == 4 and images.is_floating_point(),
        f"images must be (B, C, H, W) float, got {tuple(images.shape)} {images.dtype}",
    )
    chosen = AUGMENTATIONS[name]
    draws = torch.as_tensor(rng.random((8, len(images))), dtype=images.dtype, device=images.device)
    centred = 2 * draws - 1
    if chosen.flip_x:
        images = torch.where((draws[0] < 0.5)[:, None, None, None], images.flip(3), images)
    if chosen.flip_y:
        images = torch.where((draws[1] < 0.5)[:, None, None, None], images.flip(2), images)
    if chosen.rotate or chosen.scale or chosen.shift:
        images = _resample(images, chosen, *centred[2:6])
    if chosen.brightness or chosen.contrast:
        gain = (1 + chosen.contrast * centred[6])[:, None, None, None]
        lift = (chosen.brightness * centred[7])[:, None, None, None]
        mean = images.mean(dim=(1, 2, 3), keepdim=True)
        images = ((images - mean) * gain + mean + lift).clamp(0, 1)
    return images


def _resample(images, chosen, rotate, scale, shift_x, shift_y):
    angle = rotate * math.radians(chosen.rotate)
    zoom = 1 / (1 + chosen.scale * scale)
    height, width = images.shape[2:]
    cos, sin = zoom * torch.cos(angle), zoom * torch.sin(angle)
    shift = 2 * chosen.shift  # grid_sample measures from -1 to 1
    rows = [cos, -sin * height / width, shift * shift_x, sin * width / height, cos, shift * shift_y]
    matrix = torch.stack(rows, dim=1).view(-1, 2, 3)
    grid = F.affine_grid(matrix, images.shape, align_corners=False)
    # bilinear weights may sum to a rounding error more than 1
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False).clamp(0, 1)
