"""Networks. Every model takes images (B, C, H, W) in [0, 1] and returns logits (B, num_classes)."""

import contextlib
from pathlib import Path

import torch
from torch import nn

from bmix_lite.errors import BmixError, require, require_choice
from bmix_lite.randomness import derive_seed

IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # torchvision's normalisation of its pretrained weights


class Normalise(nn.Module):
    """(x - mean) / std per channel, inside the model, so that a saved model is complete."""

    def __init__(self, mean, std):
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1))

    def forward(self, x):
        return (x - self.mean) / self.std


def small_cnn(num_classes, channels):
    """Three 3x3 convolutions with BatchNorm, 0.1 million weights, for images of 8 to 64 pixels."""

    def block(wide, wider):
        return [nn.Conv2d(wide, wider, 3, padding=1, bias=False), nn.BatchNorm2d(wider), nn.ReLU()]

    return nn.Sequential(
        Normalise([0.5] * channels, [0.25] * channels),
        *block(channels, 32),
        *block(32, 64),
        nn.MaxPool2d(2),
        *block(64, 128),
        nn.AdaptiveMaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(4 * 128, num_classes),
    )


def mobilenet_v2(num_classes, channels, weights=""):
    """torchvision's MobileNetV2 (Sandler et al., CVPR 2018), one of the two networks of the paper.

    weights: "" random, "imagenet" from the hub (needs a network once), or a path to a state dict for 1,000 classes.
    Grey images are repeated over the three channels.
    """
    from torchvision.models import MobileNet_V2_Weights
    from torchvision.models import mobilenet_v2 as build

    net = build(weights=MobileNet_V2_Weights.IMAGENET1K_V1 if weights == "imagenet" else None)
    if weights not in ("", "imagenet"):
        _load_weights(net, weights)
    net.classifier[1] = nn.Linear(net.last_channel, num_classes)
    return nn.Sequential(RepeatGrey(), Normalise(*IMAGENET), net)


class RepeatGrey(nn.Module):
    """One channel to three; three stay as they are."""

    def forward(self, x):
        return x.expand(-1, 3, -1, -1) if x.shape[1] == 1 else x


def mlp(num_classes, channels):
    """Two hidden layers of 64 for images of one pixel, such as the points of `toys`."""
    return nn.Sequential(
        Normalise([0.5] * channels, [0.25] * channels),
        nn.Flatten(),
        nn.Linear(channels, 64),
        nn.ReLU(),
        nn.Linear(64, 64),
        nn.ReLU(),
        nn.Linear(64, num_classes),
    )


MODELS = ("small_cnn", "mobilenet_v2", "mlp")


def make_model(name, num_classes, channels, *, seed, weights=""):
    """A network whose initial weights depend on (name, shape, seed) alone; the global generator is left as it was.

    Raises BmixError for unknown names, unsupported channels and weights that do not fit.
    """
    require_choice("model", name, MODELS)
    require(num_classes >= 2, f"num_classes must be at least 2, got {num_classes}")
    require(channels in (1, 3) or name == "mlp", f"images must have 1 or 3 channels, got {channels}")
    require(not weights or name == "mobilenet_v2", f"{name} has no pretrained weights, got weights={weights!r}")
    with seeded(derive_seed(seed, "weights")):
        if name != "mobilenet_v2":
            return {"small_cnn": small_cnn, "mlp": mlp}[name](num_classes, channels)
        return mobilenet_v2(num_classes, channels, weights)


@contextlib.contextmanager
def seeded(seed, device="cpu"):
    """Layers only know torch's global generator: seed it inside, put it back as it was afterwards."""
    device = torch.device(device)
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


def _load_weights(net, path):
    require(Path(path).is_file(), f"weights must be '', 'imagenet' or a file, and there is no file {path!r}")
    try:
        net.load_state_dict(torch.load(path, weights_only=True))
    except Exception as error:
        raise BmixError(f"weights {path!r} do not fit the network: {error}") from error
