"""What a frozen network makes of images: features, on which a head trains in seconds."""

import hashlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from bmix_lite.base.errors import BmixError, require_choice, require_integer
from bmix_lite.heads import last_layer
from bmix_lite.inference import choose_device, pinned, to_tensor, use_threads
from bmix_lite.layers import Normalise, RepeatGrey
from bmix_lite.models import HEADS, MODELS, make_model
from bmix_lite.pretrained import TIMM, build_by_name

# pixels of a side to which smaller images are enlarged: features of RetinaMNIST's 28 px know little
FEWEST = 128
# images at a time; on a CPU what stays in its caches: at 128 px 16 take half the time per image of
# 64 on two cores
BATCH = {"cpu": 16, "cuda": 256}
EMBEDDERS = tuple(name for name in MODELS if name not in HEADS)


class Embedder:
    """A network without its last layer, frozen: images (n, H, W, C) uint8 to features (n, D).

    net: from (B, C, H, W) in [0, 1] to (B, D); size: pixels of the shorter side at which it looks
    at images; sha256: of its name and weights. The same images in the same batches give the same
    bits on one machine.
    """

    def __init__(self, model, net, size):
        self.model = model
        self.net = net.eval()
        self.size = size
        self.device = choose_device()
        self.sha256 = _hash_network(model, net)
        with pinned():
            self.net.to(self.device).to(memory_format=torch.channels_last)

    def __call__(self, images, threads=None):
        """Features (n, D) float32. threads: of the CPU, None for those that torch takes.

        Each thread takes batches of its own. To share each batch is slower, and a hundred times so
        where other programs want the same cores; and bits would depend on the number of threads.
        Raises BmixError where the network cannot read the images, or makes numbers of them that are
        not finite.
        """
        size = BATCH.get(self.device.type, BATCH["cpu"])
        batches = [images[start : start + size] for start in range(0, len(images), size)]
        count = _count_threads(threads) if self.device.type == "cpu" else 1
        with pinned(1), ThreadPoolExecutor(count) as pool:
            features = np.concatenate(list(pool.map(self._embed, batches)))
        if not np.isfinite(features).all():
            raise BmixError(f"model {self.model!r} makes features that are not finite")
        return features

    def _embed(self, images):
        with use_threads(1), torch.inference_mode():  # both of this thread alone
            pixels = _resize(to_tensor(images, self.device), self.size)
            return self._read(pixels).cpu().numpy()

    def _read(self, pixels):
        try:
            return self.net(pixels).flatten(1)
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, AssertionError) as error:
            height, width = pixels.shape[2:]
            reason = str(error).splitlines()[0]
            words = f"model {self.model!r} cannot read images of {height} x {width} pixels"
            raise BmixError(f"{words}: {reason}") from error


def _count_threads(threads):
    """CPU threads: those asked for, or as many as torch takes."""
    return torch.get_num_threads() if threads is None else require_integer("threads", threads, 1)


def make_embedder(model, weights, shape, size=None):
    """An Embedder of a network of the kit, or of one of timm's by name, for images of a `shape`.

    model: a name of `models.MODELS` that reads images, or "timm/NAME"; weights: as `make_model`
      takes them, for timm's a file; shape: (H, W, C) of the images
    size: pixels of the shorter side at which the network looks at them; None: their own, at least
      128, or for timm's what the network was made for
    A network of the kit halves small images less often, see `make_model`. For example, with files
    from their publishers:
      DINOv2, Apache 2.0: "timm/vit_small_patch14_dinov2", "dinov2_vits14_pretrain.pth", size=224
      RETFound, fundus and OCT, CC BY-NC 4.0: "timm/vit_large_patch16_224.mae", its .pth
    Their names and sizes are tested with random weights. Raises BmixError.
    """
    height, width, channels = shape
    if size is not None:
        size = require_integer("size", size, 8, 4096)
    if model.startswith(TIMM):
        net = _make_by_name(model.removeprefix(TIMM), weights, size)
        return Embedder(model, net, size or net[-1].pretrained_cfg["input_size"][1])
    require_choice("model", model, (*EMBEDDERS, f"{TIMM}NAME"))
    size = size or max(min(height, width), FEWEST)
    net = make_model(model, 2, channels, seed=0, weights=weights, side=size)
    return Embedder(model, _behead(net), size)


def _make_by_name(name, weights, size):
    with pinned(), torch.random.fork_rng([]):
        torch.default_generator.manual_seed(0)
        net = build_by_name(name, weights, size)
    normalise = Normalise(net.pretrained_cfg["mean"], net.pretrained_cfg["std"])
    return nn.Sequential(RepeatGrey(), normalise, net)


def _behead(net):
    """The network without the layer that makes the logits."""
    last = last_layer(net)
    name = next(name for name, layer in net.named_modules() if layer is last)
    net.set_submodule(name, nn.Identity())
    return net


def _resize(images, size):
    """Images (B, C, H, W) with a shorter side of `size`, bilinear, smoothed where they shrink."""
    shape = np.array(images.shape[2:])
    if shape.min() == size:
        return images
    target = np.round(shape * size / shape.min()).astype(int).tolist()
    return F.interpolate(images, target, mode="bilinear", align_corners=False, antialias=True)


def _hash_network(model, net):
    """Hex sha256 of the name of a network and all its weights."""
    digest = hashlib.sha256(model.encode())
    for name, tensor in net.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
