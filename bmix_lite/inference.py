"""From images to probabilities, and where and how the arithmetic is done."""

import contextlib

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import nn

from bmix_lite.base.errors import BmixError, require


def predict(
    model: nn.Module,
    images: np.ndarray,
    rows: ArrayLike | None = None,
    *,
    device: str | torch.device | None = None,
    precision: str = "auto",
    threads: int = 1,
    batch_size: int = 256,
) -> np.ndarray:
    """Class probabilities (n, C) float32 of images (N, H, W, C) uint8, or of those in `rows`.

    Nothing is drawn, and each layer is left in the mode it was in. Raises BmixError without images.
    """
    device = choose_device(device)
    rows = np.arange(len(images)) if rows is None else np.asarray(rows)
    require(len(rows) > 0, "there are no images to predict")
    modes = {layer: layer.training for layer in model.modules()}  # layer by layer: some are frozen
    model.to(device).to(memory_format=choose_layout(device, images.shape)).eval()
    try:
        with torch.inference_mode(), use_threads(threads), autocast(device, precision):
            batches = (images[rows[at : at + batch_size]] for at in range(0, len(rows), batch_size))
            logits = torch.cat([model(to_tensor(batch, device)).float() for batch in batches])
    finally:
        for layer, training in modes.items():
            layer.training = training
    return logits.softmax(dim=1).cpu().numpy()


def count_outputs(model, images, rows, device):
    """Outputs of the model, tried on the images of `rows`. BmixError if it cannot read them."""
    try:
        return predict(model, images, rows, device=device).shape[1]
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        shape = " x ".join(map(str, images.shape[1:]))
        words = f"the model cannot read images of {shape} (height, width, channels)"
        raise BmixError(f"{words}: {str(error).splitlines()[0]}") from error


def choose_device(device=None):
    """The torch device asked for, or a GPU where there is one."""
    return torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))


def choose_layout(device, shape):
    """torch's memory format for the weights of a network on images (N, H, W, C).

    On a GPU channels last, unless the images are small. On a CPU the batches have it already (see
    `to_tensor` and `augment_pixels`), and weights that have it too gain nothing: 0.96 to 1.0 of the
    speed at 32 to 128 px.
    """
    large = device.type == "cuda" and min(shape[1:3]) >= 32
    return torch.channels_last if large else torch.preserve_format


def to_tensor(images, device):
    """uint8 (B, H, W, C), array or tensor, to float (B, C, H, W) in [0, 1]; memory order stays."""
    if isinstance(images, np.ndarray):
        images = torch.from_numpy(np.ascontiguousarray(images))
    return images.to(device).permute(0, 3, 1, 2).float().div_(255)


def hold_on_gpu(images, device):
    """All of `images` as a tensor on a GPU if they fill at most half of its free memory."""
    if device.type != "cuda":
        return None
    free = torch.cuda.mem_get_info(device)[0]
    return torch.tensor(images, device=device) if images.nbytes <= free / 2 else None


@contextlib.contextmanager
def use_threads(count):
    """A number of CPU threads for torch, put back afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextlib.contextmanager
def repeatable(threads):
    """A number of CPU threads, and cuDNN's repeatable kernels; both put back afterwards."""
    flags = torch.backends.cudnn.flags(deterministic=True, benchmark=False)
    with use_threads(threads), flags:
        yield


def autocast(device, precision):
    """bfloat16 where the recipe asks for it, or leaves it open and the GPU has it."""
    enabled = precision == "bf16"
    if precision == "auto" and device.type == "cuda":
        enabled = torch.cuda.is_bf16_supported()
    return torch.autocast(device.type, torch.bfloat16, enabled=enabled)
