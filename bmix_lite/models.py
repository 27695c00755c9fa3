"""Networks. Every model takes images (B, C, H, W) in [0, 1] and returns logits (B, num_classes)."""

import contextlib
from pathlib import Path

import torch
from torch import nn

from bmix_lite.base.errors import BmixError, require, require_choice
from bmix_lite.base.randomness import derive_seed

IMAGENET = (
    (0.485, 0.456, 0.406),
    (0.229, 0.224, 0.225),
)  # torchvision's normalisation of its pretrained weights


class Normalise(nn.Module):
    """(x - mean) / std per channel, inside the model, so that a saved model is complete."""

    def __init__(self, mean, std):
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1))

    def forward(self, x):
        mean, std, last = self.mean, self.std, torch.channels_last
        if x.is_contiguous(
            memory_format=last
        ):  # repeated along a row they take a third of the time, to the same bits
            mean, std = (
                value.expand(-1, -1, 1, x.shape[3]).contiguous(memory_format=last)
                for value in (mean, std)
            )
        return (x - mean).div_(std)


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


def mobilenet_v2(num_classes, weights="", side=None):
    """torchvision's MobileNetV2 (Sandler et al., CVPR 2018), the small network of the paper."""
    from torchvision.models import MobileNet_V2_Weights
    from torchvision.models import mobilenet_v2 as build

    net = build(weights=MobileNet_V2_Weights.IMAGENET1K_V1 if weights == "imagenet" else None)
    _load_weights(net, weights)
    for layer in [net.features[0][0], net.features[2].conv[1][0]][: _count_halvings_to_drop(side)]:
        layer.stride = (1, 1)
    net.classifier[1] = nn.Linear(net.last_channel, num_classes)
    return nn.Sequential(RepeatGrey(), Normalise(*IMAGENET), net)


def resnext50(num_classes, weights="", side=None):
    """torchvision's ResNeXt-50 32x4d (Xie et al., CVPR 2017), a large network with the paper's cost."""
    from torchvision.models import ResNeXt50_32X4D_Weights, resnext50_32x4d

    net = resnext50_32x4d(
        weights=ResNeXt50_32X4D_Weights.IMAGENET1K_V2 if weights == "imagenet" else None
    )
    _load_weights(net, weights)
    drop = _count_halvings_to_drop(side)
    if drop > 0:
        net.conv1.stride = (1, 1)
    if drop > 1:
        net.maxpool = nn.Identity()
    net.fc = nn.Linear(net.fc.in_features, num_classes)
    return nn.Sequential(RepeatGrey(), Normalise(*IMAGENET), net)


def bit_m_r50x1(num_classes, weights="", side=None):
    """BiT-M-R50x1 (Kolesnikov et al., ECCV 2020), the large network that the authors' logs name; needs timm.

    weights: "imagenet" is ImageNet-21k, as the M stands for; a file may be a state dict or the publisher's .npz.
    """
    try:
        import timm
    except ImportError as error:
        raise BmixError("model 'bit_m_r50x1' needs timm: pip install bmix-lite[timm]") from error
    net = timm.create_model("resnetv2_50x1_bit.goog_in21k", pretrained=weights == "imagenet")
    _load_weights(net, weights)
    drop = _count_halvings_to_drop(side)
    if drop > 0:
        net.stem.conv.stride = (1, 1)
    if drop > 1:
        net.stem.pad = net.stem.pool = nn.Identity()
    net.reset_classifier(num_classes)
    return nn.Sequential(
        RepeatGrey(), Normalise([0.5] * 3, [0.5] * 3), net
    )  # BiT's own normalisation


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


SMALL = {"small_cnn": small_cnn, "mlp": mlp}  # made for the kit: nothing to pretrain
LARGE = {"mobilenet_v2": mobilenet_v2, "resnext50": resnext50, "bit_m_r50x1": bit_m_r50x1}
MODELS = ("small_cnn", *LARGE, "mlp")


def make_model(name, num_classes, channels, *, seed, weights="", side=None):
    """A network whose initial weights depend on (name, shape, seed) alone; the global generator is left as it was.

    weights: "" random, "imagenet" from the hub (needs a network once), or the path of a file of such weights
    side: pixels of the images; below 128 a large network halves them less often, so that 4x4 places remain at its end
    Raises BmixError for unknown names, unsupported channels and weights that do not fit.
    """
    require_choice("model", name, MODELS)
    require(num_classes >= 2, f"num_classes must be at least 2, got {num_classes}")
    require(
        channels in (1, 3) or name == "mlp", f"images must have 1 or 3 channels, got {channels}"
    )
    require(
        not weights or name in LARGE, f"{name} has no pretrained weights, got weights={weights!r}"
    )
    with seeded(derive_seed(seed, "weights")):
        return (
            LARGE[name](num_classes, weights, side)
            if name in LARGE
            else SMALL[name](num_classes, channels)
        )


@contextlib.contextmanager
def seeded(seed, device="cpu"):
    """Layers only know torch's global generator: seed it inside, put it back as it was afterwards."""
    device = torch.device(device)
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


def _count_halvings_to_drop(side):
    """Of the five halvings of a large network, how many of the first two must go for 4 x 4 places to remain."""
    return 0 if side is None else sum(side < limit for limit in (128, 64))


def _load_weights(net, path):
    """Weights from a file into a network of the file's own number of classes; nothing where `path` is no file's."""
    if path in ("", "imagenet"):
        return
    require(
        Path(path).is_file(),
        f"weights must be '', 'imagenet' or a file, and there is no file {path!r}",
    )
    try:
        if Path(path).suffix == ".npz":
            net.load_pretrained(path)
        else:
            net.load_state_dict(torch.load(path, weights_only=True))
    except Exception as error:
        raise BmixError(f"weights {path!r} do not fit the network: {error}") from error
