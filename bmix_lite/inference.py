"""From images to probabilities, and where and how the arithmetic is done."""

import contextlib
import functools

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import nn

from bmix_lite.base.errors import BmixError, require, require_integer
from bmix_lite.base.numbers import from_torch


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

    Or of features (N, 1, 1, D) float32, such as an ImageSet made by `embed` holds.

    Nothing is drawn, and each layer is left in the mode it was in. Raises BmixError without images.
    """
    device = choose_device(device)
    rows = np.arange(len(images)) if rows is None else np.asarray(from_torch(rows))
    require(len(rows) > 0, "there are no images to predict")
    if str(images.dtype).removeprefix("torch.") != "uint8" and not are_features(images):
        raise BmixError(f"images must be uint8, 0 to 255, as in training, got {images.dtype}")
    modes = {layer: layer.training for layer in model.modules()}  # layer by layer: some are frozen
    with pinned():
        model.to(device).to(memory_format=choose_layout(device, images.shape)).eval()
    try:
        with pinned(threads), torch.inference_mode():
            batches = (images[rows[at : at + batch_size]] for at in range(0, len(rows), batch_size))
            with autocast(device, precision):
                logits = torch.cat([model(to_tensor(batch, device)).float() for batch in batches])
            return logits.softmax(dim=1).cpu().numpy()
    finally:
        for layer, training in modes.items():
            layer.training = training


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


def check_weights(model):
    """Raise BmixError for weights that training cannot change, or would not change in float32."""
    if not any(weights.requires_grad for weights in model.parameters()):
        raise BmixError("the model has no trainable parameter")
    for name, tensor in model.state_dict(keep_vars=True).items():
        if tensor.is_inference():
            words = "was made in torch.inference_mode and cannot be trained: make the model outside"
            raise BmixError(f"{name} of the model {words}")
        if tensor.is_floating_point() and tensor.dtype != torch.float32:
            words = f"must be float32, got {tensor.dtype}: call model.float() first"
            raise BmixError(f"{name} of the model {words}")


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
    """uint8 (B, H, W, C), array or tensor, to float (B, C, H, W) in [0, 1]; memory order stays.

    Features (B, 1, 1, D) float32 keep their values.
    """
    if isinstance(images, np.ndarray):
        images = torch.from_numpy(np.ascontiguousarray(images))
    moved = images.to(device).permute(0, 3, 1, 2)
    return moved if are_features(images) else moved.float().div_(255)


def are_features(images):
    """Whether an array or tensor holds features, (N, 1, 1, D) float32, instead of pixels."""
    is_float = str(images.dtype).removeprefix("torch.") == "float32"
    return is_float and tuple(images.shape[1:3]) == (1, 1)


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
    torch.set_num_threads(require_integer("threads", count, 1, 1024))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _list_flags():
    """(where, name, value) of the flags that change results: those that torch has of them.

    General precisions come before the special ones, which follow them unless set themselves.
    """
    cudnn = torch.backends.cudnn
    onednn = torch.backends.mkldnn
    cublas = torch.backends.cuda.matmul
    flags = [(where, "fp32_precision", "none") for where in (torch.backends, cudnn, onednn)]
    for name in ("conv", "rnn"):
        flags.append((getattr(cudnn, name, None), "fp32_precision", "tf32"))
        flags.append((getattr(onednn, name, None), "fp32_precision", "none"))
    for where in (cublas, getattr(onednn, "matmul", None)):
        flags.append((where, "fp32_precision", "ieee"))
    flags += [(cudnn, name, True) for name in ("allow_tf32", "enabled", "deterministic")]
    flags.append((cudnn, "benchmark", False))
    flags += [(onednn, "enabled", True), (onednn, "deterministic", False)]
    flags += [
        (cublas, "allow_fp16_reduced_precision_reduction", True),
        (cublas, "allow_bf16_reduced_precision_reduction", True),
        (cublas, "allow_fp16_accumulation", False),
    ]
    return [(where, name, value) for where, name, value in flags if _has(where, name)]


def _has(where, name):
    try:
        return hasattr(where, name)
    except RuntimeError:  # it is there, but torch refuses to say what it is: see `_ask`
        return True


@functools.cache
def _list_settings():
    """(function that reads it, function that writes it, its value in a run) of every setting."""
    settings = []
    for where, name, value in _list_flags():
        read = functools.partial(getattr, where, name)
        write = functools.partial(setattr, where, name)
        settings.append((read, write, value))
    for kind in ("cpu", "cuda"):
        read = functools.partial(torch.is_autocast_enabled, kind)
        write = functools.partial(torch.set_autocast_enabled, kind)
        settings.append((read, write, False))
    return [
        *settings,
        (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision, "highest"),
        (torch.get_default_dtype, torch.set_default_dtype, torch.float32),
        (torch.get_deterministic_debug_mode, torch.set_deterministic_debug_mode, 0),
        (torch.is_autocast_cache_enabled, torch.set_autocast_cache_enabled, True),
        (torch._C._get_nnpack_enabled, torch.backends.nnpack.set_flags, True),
        (_flushes_denormals, torch.set_flush_denormal, False),
        (np.getbufsize, np.setbufsize, 8192),
    ]


@contextlib.contextmanager
def pinned(threads=None):
    """The same arithmetic whatever an earlier cell has set; every setting is put back afterwards.

    Default dtype and device, gradient and inference mode, autocast, precision of float32 products,
    deterministic algorithms, cuDNN's and oneDNN's flags, subnormal numbers, NumPy's error state.
    threads: CPU threads of torch, or None for those that it has.
    """
    with contextlib.ExitStack() as stack:
        # not get_default_device: torch 2.6 raises after set_default_device(None)
        if torch.empty(0).device.type != "cpu":
            stack.enter_context(torch.device("cpu"))
        stack.enter_context(held(_list_settings()))
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        stack.enter_context(np.errstate(all="warn", under="ignore"))
        stack.enter_context(use_threads(torch.get_num_threads() if threads is None else threads))
        yield


@contextlib.contextmanager
def held(settings):
    """Each of (read, write, value) at its value; what differs afterwards is written back."""
    before = [(read, write, _ask(read)) for read, write, _ in settings]
    try:
        _write_differing(settings)
        yield
    finally:
        _write_differing(before)


def _write_differing(settings):
    for read, write, value in settings:
        if value is not None and _ask(read) != value:
            write(value)


def _ask(read):
    """What a setting is; None where torch refuses to say, as its old and new names disagree."""
    try:
        return read()
    except RuntimeError:
        return None


def _flushes_denormals():
    """Whether this thread takes the smallest numbers for 0; torch can set this, and not tell."""
    return (torch.full((1,), 1e-39, dtype=torch.float32, device="cpu") * 1).item() == 0


@contextlib.contextmanager
def autocast(device, precision):
    """bfloat16 where the recipe asks for it, or leaves it open and the GPU has it."""
    enabled = precision == "bf16"
    if precision == "auto" and device.type == "cuda":
        enabled = torch.cuda.is_bf16_supported()
    torch.clear_autocast_cache()  # inside another autocast torch would keep old weights in it
    with torch.autocast(device.type, torch.bfloat16, enabled=enabled):
        yield
    torch.clear_autocast_cache()
