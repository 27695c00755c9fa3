"""From images to probabilities, and where and how the arithmetic is done."""

import contextlib

import numpy as np
import torch

from bmix_lite.base.errors import require


def predict(model, images, rows=None, *, device=None, precision="auto", threads=1, batch_size=256):
    """Class probabilities (n, C) float32 of images (N, H, W, C) uint8, or of those in `rows`; nothing is drawn."""
    device = choose_device(device)
    rows = np.arange(len(images)) if rows is None else np.asarray(rows)
    require(len(rows) > 0, "there are no images to predict")
    modes = {
        layer: layer.training for layer in model.modules()
    }  # each layer's own: some may be frozen
    model.to(device, memory_format=choose_layout(device, images.shape)).eval()
    try:
        with torch.inference_mode(), use_threads(threads), autocast(device, precision):
            batches = (images[rows[at : at + batch_size]] for at in range(0, len(rows), batch_size))
            logits = torch.cat([model(to_tensor(batch, device)).float() for batch in batches])
    finally:
        for layer, training in modes.items():
            layer.training = training
    return logits.softmax(dim=1).cpu().numpy()


def choose_device(device=None):
    """The torch device asked for, or a GPU where there is one."""
    return torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))


def choose_layout(device, shape):
    """torch's memory format for the weights of a network on images (N, H, W, C).

    On a GPU channels last, unless the images are small. On a CPU the batches have it already, see `to_tensor` and
    `augment_pixels`, and weights that have it too gain nothing (0.96 to 1.0 of the speed, 32 to 128 px).
    """
    large = device.type == "cuda" and min(shape[1:3]) >= 32
    return torch.channels_last if large else torch.preserve_format


def to_tensor(images, device):
    """uint8 (B, H, W, C), array or tensor, to float (B, C, H, W) in [0, 1]; the order in memory stays."""
    if isinstance(images, np.ndarray):
        images = torch.from_numpy(np.ascontiguousarray(images))
    return images.to(device).permute(0, 3, 1, 2).float().div_(255)


def hold_on_gpu(images, device):
    """All of `images` as a tensor on a GPU, where they fill at most half of its free memory; else None."""
    fits = device.type == "cuda" and images.nbytes <= torch.cuda.mem_get_info(device)[0] / 2
    return torch.tensor(images, device=device) if fits else None


@contextlib.contextmanager
def use_threads(count):
    """A number of CPU threads for torch, put back afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def autocast(device, precision):
    """bfloat16 where the recipe asks for it, or leaves it open and the GPU has it."""
    auto = precision == "auto" and device.type == "cuda" and torch.cuda.is_bf16_supported()
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16" or auto)
