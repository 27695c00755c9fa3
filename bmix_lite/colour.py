"""Random changes of brightness, contrast, saturation and hue: of a batch, or image by image.

Each is that of torchvision's ColorJitter, but in floats: nothing is rounded to 256 levels.
"""

import numpy as np
import torch

GREY = (0.299, 0.587, 0.114)  # of red, green and blue, ITU-R BT.601


def jitter(images, strengths, orders):
    """Images (B, C, H, W) in [0, 1] after the four CHANGES, each image in an order of its own.

    strengths (4, B): factors of brightness, contrast and saturation, and the hue's shift in turns
    orders (B, 4): numbers of CHANGES. Saturation and hue leave images that are not of 3 channels.
    """
    images = images.clone()
    like = {"dtype": images.dtype, "device": images.device}
    for turn in orders.T:
        for number, change in enumerate(CHANGES):
            rows = np.flatnonzero(turn == number)
            if len(rows) == 0 or (number >= 2 and images.shape[1] != 3):
                continue
            strength = torch.as_tensor(strengths[number, rows], **like).view(-1, 1, 1, 1)
            chosen = torch.as_tensor(rows, device=images.device)
            images[chosen] = change(images[chosen], strength).clamp(0, 1)
    return images


def _brighten(images, factor):
    return images * factor


def _stretch_contrast(images, factor):
    mean = _to_grey(images).mean(dim=(1, 2, 3), keepdim=True)
    return mean + factor * (images - mean)


def _saturate(images, factor):
    grey = _to_grey(images)
    return grey + factor * (images - grey)


def _turn_hue(images, turns):
    """The hue moved along the circle of HSV; value and saturation stay.

    A channel is value - chroma * clip(min(k, 4 - k), 0, 1), k = (offset + 6 hue) mod 6.
    """
    value = images.amax(dim=1, keepdim=True)
    chroma = value - images.amin(dim=1, keepdim=True)
    red, green, blue = images.split(1, dim=1)
    safe = torch.where(chroma > 0, chroma, 1)
    of_red = (green - blue) / safe
    of_green = 2 + (blue - red) / safe
    of_blue = 4 + (red - green) / safe
    sixths = torch.where(value == red, of_red, torch.where(value == green, of_green, of_blue))
    offsets = torch.tensor([5, 3, 1], dtype=images.dtype, device=images.device).view(1, 3, 1, 1)
    k = torch.remainder(offsets + sixths + 6 * turns, 6)
    return value - chroma * torch.minimum(k, 4 - k).clamp(0, 1)


def _to_grey(images):
    if images.shape[1] != 3:
        return images.mean(dim=1, keepdim=True)
    weights = torch.tensor(GREY, dtype=images.dtype, device=images.device).view(1, 3, 1, 1)
    return (images * weights).sum(dim=1, keepdim=True)


CHANGES = (_brighten, _stretch_contrast, _saturate, _turn_hue)


def jitter_pixels(pixels, strengths, orders, *, out):
    """`jitter` of pixels (B, H, W, C) uint8 by OpenCV, into `out`, the same shape in float32."""
    for image, strength, order, made in zip(pixels, strengths.T, orders, out, strict=True):
        np.multiply(image, np.float32(1 / 255), out=made)
        for number in order:
            if number < 2 or made.shape[2] == 3:
                PIXEL_CHANGES[number](made, float(strength[number]))


def _brighten_pixels(image, factor):
    np.multiply(image, np.float32(factor), out=image)
    np.minimum(image, 1, out=image)


def _stretch_pixels(image, factor):
    import cv2

    means = cv2.mean(image)[: image.shape[2]]
    mean = np.dot(means, GREY) if len(means) == 3 else np.mean(means)
    image -= np.float32(mean)
    image *= np.float32(factor)
    image += np.float32(mean)
    np.clip(image, 0, 1, out=image)


def _saturate_pixels(image, factor):
    import cv2

    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    cv2.addWeighted(image, factor, grey, 1 - factor, 0, dst=image)
    np.clip(image, 0, 1, out=image)


def _turn_pixels(image, turns):
    import cv2

    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
    hsv[..., 0] += np.float32(360 * (turns % 1))  # OpenCV wraps hues above 360, not below 0
    cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB, dst=image)
    np.clip(image, 0, 1, out=image)


PIXEL_CHANGES = (_brighten_pixels, _stretch_pixels, _saturate_pixels, _turn_pixels)
