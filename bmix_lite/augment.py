"""Random augmentation, each image with a draw of its own: on the batch's device, or by OpenCV."""

import contextlib
import itertools
import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from bmix_lite.base.errors import BmixError, require_choice
from bmix_lite.colour import jitter, jitter_pixels


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
    # (0.95, 1.2): one of scale in this range, x shift and rotation per image, instead of all three
    one_of_scales: tuple[float, ...] = ()
    sharp: bool = False  # nearest pixel, black outside; else bilinear, the edge repeated
    # factors of brightness, contrast and saturation, and the hue's shift in turns; random order
    jitter: tuple[float, ...] = ()


AUGMENTATIONS = {
    "none": Augmentation(),
    # where no direction is special: cells, skin, tissue
    "flips": Augmentation(flip_x=True, flip_y=True),
    # where up is up: digits, X-rays
    "upright": Augmentation(rotate=10, scale=0.1, shift=0.1),
    "medical": Augmentation(
        rotate=45, scale=0.1, shift=0.05, flip_x=True, flip_y=True, brightness=0.05, contrast=0.1
    ),
    # of Galdran et al., MICCAI 2021, as their released code has it
    "paper": Augmentation(
        rotate=45,
        scale=0.2,
        shift=0.05,
        flip_x=True,
        flip_y=True,
        one_of_scales=(0.95, 1.2),
        sharp=True,
        jitter=(0.25, 0.25, 0.25, 0.01),
    ),
}


# the side from which `augment_pixels` is the faster on a CPU: 1.2 to 1.5 times at 32 px, 1.4 to 2.9
# at 64 and 1.7 to 5.7 at 224, but 0.8 to 1 at 8 and 16
PIXELS_FROM = 32
LEVELS = np.arange(256, dtype=np.float32) / 255
ORDERS = np.array(list(itertools.permutations(range(4))))  # of the changes of colour


def augment(images, name, *, rng):
    """Augment images (B, C, H, W) float in [0, 1]; returns the same shape and range.

    name: a key of AUGMENTATIONS; rng: a numpy Generator, drawn from alike on every device.
    Geometry is one resampling, bilinear with the nearest edge pixel repeated outside the image, or
    as `Augmentation.sharp` says.
    """
    require_choice("augment", name, AUGMENTATIONS)
    if images.ndim != 4 or not images.is_floating_point():
        got = f"{tuple(images.shape)} {images.dtype}"
        raise BmixError(f"images must be (B, C, H, W) float, got {got}")
    chosen = AUGMENTATIONS[name]
    like = {"dtype": images.dtype, "device": images.device}
    numbers = rng.random((8, len(images)))
    draws = torch.as_tensor(numbers, **like)
    centred = 2 * draws - 1
    moves = centred[2:6]
    if chosen.one_of_scales:
        moves = torch.as_tensor(choose_move(chosen, numbers), **like)
    if chosen.flip_x:
        images = torch.where((draws[0] < 0.5)[:, None, None, None], images.flip(3), images)
    if chosen.flip_y:
        images = torch.where((draws[1] < 0.5)[:, None, None, None], images.flip(2), images)
    if chosen.rotate or chosen.scale or chosen.shift:
        images = _resample(images, chosen, *moves)
    if chosen.jitter:
        return jitter(images, *draw_jitter(chosen, numbers))
    if chosen.brightness or chosen.contrast:
        gain = (1 + chosen.contrast * centred[6])[:, None, None, None]
        lift = (chosen.brightness * centred[7])[:, None, None, None]
        mean = images.mean(dim=(1, 2, 3), keepdim=True)
        images = ((images - mean) * gain + mean + lift).clamp(0, 1)
    return images


def augment_pixels(images, name, *, rng):
    """`augment` of pixels (B, H, W, C) uint8, image by image on the CPU.

    Returns float32 (B, C, H, W) in [0, 1]. The same draws make the same images: flips to the bit,
    resampled ones but for rounding to 256 levels before the colour changes, and where a pixel of
    the sharp ones lies between two.
    """
    require_choice("augment", name, AUGMENTATIONS)
    chosen = AUGMENTATIONS[name]
    numbers = rng.random((8, len(images)))
    draws = numbers.astype(np.float32)
    centred = 2 * draws - 1
    moves = choose_move(chosen, numbers) if chosen.one_of_scales else centred[2:6]
    mirror = np.where((draws[:2] < 0.5) & [[chosen.flip_x], [chosen.flip_y]], -1, 1)
    coloured = np.empty(images.shape, np.float32)
    with _one_thread():
        moved = _warp(np.ascontiguousarray(images), chosen, mirror, *moves)
        if chosen.jitter:
            jitter_pixels(moved, *draw_jitter(chosen, numbers), out=coloured)
        else:
            for image, gain, lift, out in zip(moved, *centred[6:], coloured, strict=True):
                _colour(image, chosen, gain, lift, out)
    return torch.from_numpy(coloured).permute(0, 3, 1, 2)


def choose_move(chosen, numbers):
    """Rotation, scale, x and y shift of each image, (4, B) in half-widths: all but one are 0.

    numbers (8, B): uniform draws, of which the third is used: a third of [0, 1) for each of scale,
    x shift and rotation, and the place within it says how far.
    """
    which, place = np.divmod(3 * numbers[2], 1)
    low, high = chosen.one_of_scales
    scale = (low + (high - low) * place - 1) / chosen.scale
    moves = np.zeros((4, len(place)))
    for row, number, move in ((1, 0, scale), (2, 1, 2 * place - 1), (0, 2, 2 * place - 1)):
        moves[row] = np.where(which == number, move, 0)
    return moves


def draw_jitter(chosen, numbers):
    """Strengths (4, B) of `colour.CHANGES` and the order (B, 4) in which an image undergoes them.

    numbers (8, B): uniform draws, of which the last five are used.
    """
    widths = np.array(chosen.jitter)[:, None]
    middles = np.array([1, 1, 1, 0])[:, None]  # the hue's is added
    strengths = middles + widths * (2 * numbers[[7, 6, 3, 4]] - 1)
    return strengths, ORDERS[(len(ORDERS) * numbers[5]).astype(int)]


@contextlib.contextmanager
def _one_thread():
    """OpenCV on one thread: two take longer at 64 to 224 px, and parallel runs share the cores.

    Its faster code rounds otherwise than its plain one, so it is always taken.
    """
    import cv2

    threads = cv2.getNumThreads()
    optimized = cv2.useOptimized()
    ipp = cv2.ipp.useIPP()
    cv2.setNumThreads(1)
    cv2.setUseOptimized(True)
    try:
        yield
    finally:
        cv2.setUseOptimized(optimized)
        cv2.ipp.setUseIPP(ipp)  # which follows the line above
        cv2.setNumThreads(threads)


def _colour(image, chosen, gain, lift, out):
    """Contrast, brightness and the conversion to [0, 1] in one table of 256 levels."""
    import cv2

    table = LEVELS
    if chosen.brightness or chosen.contrast:
        mean = sum(cv2.mean(image)) / image.shape[2] / 255
        table = (LEVELS - mean) * (1 + chosen.contrast * gain) + mean + chosen.brightness * lift
        table = table.clip(0, 1).astype(np.float32)
    cv2.LUT(image, table, dst=out)


def _warp(images, chosen, mirror, *draws):
    import cv2

    moved = np.empty_like(images)
    height, width = images.shape[1:3]
    if chosen.rotate or chosen.scale or chosen.shift:
        method = cv2.INTER_NEAREST if chosen.sharp else cv2.INTER_LINEAR
        border = cv2.BORDER_CONSTANT if chosen.sharp else cv2.BORDER_REPLICATE
        how = {"flags": method | cv2.WARP_INVERSE_MAP, "borderMode": border}
        matrices = _find_sources(height, width, chosen, mirror, *draws)
        for image, matrix, out in zip(images, matrices, moved, strict=True):
            cv2.warpAffine(image, matrix, (width, height), dst=out, **how)
        return moved
    axes = {(-1, 1): 1, (1, -1): 0, (-1, -1): -1}
    for image, signs, out in zip(images, map(tuple, mirror.T), moved, strict=True):
        if signs in axes:
            cv2.flip(image, axes[signs], dst=out)
        else:
            np.copyto(out, image)
    return moved


def _find_sources(height, width, chosen, mirror, rotate, scale, shift_x, shift_y):
    """Matrices (B, 2, 3) from a pixel's (x, y) to the (x, y) whose content it gets, mirrored.

    The same geometry as `_resample`.
    """
    angle = rotate * math.radians(chosen.rotate)
    zoom = 1 / (1 + chosen.scale * scale)
    cos = zoom * np.cos(angle)
    sin = zoom * np.sin(angle)
    turn = np.array([[cos, -sin], [sin, cos]]) * mirror[:, None]  # (2, 2, B)
    centre = np.array([width - 1, height - 1]) / 2
    shift = chosen.shift * mirror * [width * shift_x, height * shift_y]
    offset = centre[:, None] - np.einsum("ijb,j->ib", turn, centre) + shift
    return np.concatenate([turn, offset[:, None]], axis=1).transpose(2, 0, 1)


def _resample(images, chosen, rotate, scale, shift_x, shift_y):
    angle = rotate * math.radians(chosen.rotate)
    zoom = 1 / (1 + chosen.scale * scale)
    height, width = images.shape[2:]
    cos = zoom * torch.cos(angle)
    sin = zoom * torch.sin(angle)
    shift = 2 * chosen.shift  # grid_sample measures from -1 to 1
    rows = [cos, -sin * height / width, shift * shift_x, sin * width / height, cos, shift * shift_y]
    matrix = torch.stack(rows, dim=1).view(-1, 2, 3)
    grid = F.affine_grid(matrix, images.shape, align_corners=False)
    if chosen.sharp:
        return F.grid_sample(images, grid, mode="nearest", align_corners=False)  # black outside
    # bilinear weights may sum to a rounding error more than 1
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False).clamp(0, 1)
