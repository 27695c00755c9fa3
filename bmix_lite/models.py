"""Networks, from images (B, C, H, W) in [0, 1] to logits (B, num_classes), and their optimiser."""

import contextlib
import inspect
import os

import torch
from torch import nn

from bmix_lite.base.errors import BmixError, require_choice, require_integer
from bmix_lite.base.randomness import derive_seed
from bmix_lite.heads import set_head
from bmix_lite.inference import pinned
from bmix_lite.layers import HalfDropout, Normalise, RepeatGrey
from bmix_lite.pretrained import build_bit, build_lite0, build_torchvision
from bmix_lite.recipe import CHOICES

# mean and standard deviation that torchvision's pretrained weights expect
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
MOST_COLOURS = 3  # channels of an image; what has more are features


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

    net = build_torchvision(build, weights, MobileNet_V2_Weights.IMAGENET1K_V1, "classifier.1.")
    for layer in [net.features[0][0], net.features[2].conv[1][0]][: _count_halvings_to_drop(side)]:
        layer.stride = (1, 1)
    net.classifier[0] = nn.Identity()  # the authors of Balanced-MixUp took no dropout here
    net.classifier[1] = nn.Linear(net.last_channel, num_classes)
    return nn.Sequential(RepeatGrey(), Normalise(*IMAGENET), net)


def resnext50(num_classes, weights="", side=None):
    """torchvision's ResNeXt-50 32x4d (Xie et al., CVPR 2017), the large network of the paper."""
    from torchvision.models import ResNeXt50_32X4D_Weights, resnext50_32x4d

    net = build_torchvision(resnext50_32x4d, weights, ResNeXt50_32X4D_Weights.IMAGENET1K_V2, "fc.")
    drop = _count_halvings_to_drop(side)
    if drop > 0:
        net.conv1.stride = (1, 1)
    if drop > 1:
        net.maxpool = nn.Identity()
    net.fc = nn.Linear(net.fc.in_features, num_classes)
    return nn.Sequential(RepeatGrey(), Normalise(*IMAGENET), net)


def bit_m_r50x1(num_classes, weights="", side=None):
    """BiT-M-R50x1 (Kolesnikov et al., ECCV 2020), the large network of the authors' logs; by timm.

    weights: "imagenet" is ImageNet-21k, as the M stands for; a file may be a state dict or the
    publisher's .npz.
    """
    net = build_bit(weights)
    drop = _count_halvings_to_drop(side)
    if drop > 0:
        net.stem.conv.stride = (1, 1)
    if drop > 1:
        net.stem.pad = net.stem.pool = nn.Identity()
    net.reset_classifier(num_classes)
    for parameter in net.head.fc.parameters():  # zeros, as its publisher and the authors begin
        nn.init.zeros_(parameter)
    bit_normalise = Normalise([0.5] * 3, [0.5] * 3)  # as its publisher did
    return nn.Sequential(RepeatGrey(), bit_normalise, net)


def efficientnet_lite0(num_classes, weights="", side=None):
    """EfficientNet-Lite0 (Tan and Le, ICML 2019; TensorFlow, 2020), a laptop's network; by timm.

    weights: "imagenet" comes with a package, without a hub; a file is a state dict of timm's names
    """
    net = build_lite0(weights)
    for layer in [net.conv_stem, net.blocks[1][0].conv_dw][: _count_halvings_to_drop(side)]:
        layer.stride = (1, 1)
    net.reset_classifier(num_classes)
    # (x - 127) / 128 of x in 0..255, as its publisher did: less 0.498, over 0.502
    lite_normalise = Normalise([127 / 255] * 3, [128 / 255] * 3)
    return nn.Sequential(RepeatGrey(), lite_normalise, net)


def linear(num_classes, channels):
    """One layer on features, which are images of one pixel and many channels, half of them dropped.

    Dropout of 0.5 as for a head on any frozen network of a thousand features or more.
    """
    return nn.Sequential(nn.Flatten(), HalfDropout(), nn.Linear(channels, num_classes))


def mlp(num_classes, channels):
    """Two hidden layers of 64 for images of one pixel: features, or the points of `toys`.

    Of many channels half are dropped; of a point with two or three none can be spared.
    """
    drop = [HalfDropout()] if channels > MOST_COLOURS else []
    return nn.Sequential(
        Normalise([0.5] * channels, [0.25] * channels),
        nn.Flatten(),
        *drop,
        nn.Linear(channels, 64),
        nn.ReLU(),
        nn.Linear(64, 64),
        nn.ReLU(),
        nn.Linear(64, num_classes),
    )


# made for the kit: nothing to pretrain
HEADS = {"linear": linear, "mlp": mlp}
SMALL = {"small_cnn": small_cnn, **HEADS}
LARGE = {
    "mobilenet_v2": mobilenet_v2,
    "resnext50": resnext50,
    "bit_m_r50x1": bit_m_r50x1,
    "efficientnet_lite0": efficientnet_lite0,
}
MODELS = ("small_cnn", *LARGE, *HEADS)


def make_model(
    name: str,
    num_classes: int,
    channels: int,
    *,
    seed: int,
    weights: str = "",
    side: int | None = None,
    head: str = "default",
) -> nn.Module:
    """A network whose initial weights depend on (name, shape, seed) alone.

    weights : "" random, "imagenet" from the hub (needs a network once), or a file of such weights:
              a state dict, also within a checkpoint or with "module." before each name; the last
              layer may be of other classes, it is made anew
    side    : pixels of the images; below 128 a large network halves them less often, so that 4x4
              positions remain at its end
    head    : "default", the model's own last layer, or "cosine", see `heads.CosineLinear`
    torch's global generator is left as it was, and torch's settings change nothing. Raises
    BmixError for unknown names, unsupported channels and weights that do not fit.
    """
    require_choice("model", name, MODELS)
    require_choice("head", head, CHOICES["head"])
    num_classes = require_integer("num_classes", num_classes, 0)
    weights = os.fspath(weights)
    if num_classes < 2:
        raise BmixError(f"num_classes must be at least 2, got {num_classes}")
    if channels not in (1, 3) and name not in HEADS:
        raise BmixError(
            f"images must have 1 or 3 channels, got {channels}: {name} reads images, features are "
            f"read by {' and '.join(HEADS)}"
        )
    if name in HEADS and side not in (None, 1):
        raise BmixError(f"{name} reads features, not images of {side} pixels: embed them first")
    if weights and name not in LARGE:
        raise BmixError(f"{name} has no pretrained weights, got weights={weights!r}")
    with pinned(), seeded(derive_seed(seed, "weights")):
        if name in LARGE:
            return set_head(LARGE[name](num_classes, weights, side), head)
        return set_head(SMALL[name](num_classes, channels), head)


@contextlib.contextmanager
def seeded(seed, device="cpu"):
    """Seed torch's global generator, the only one that layers know, and restore it afterwards.

    That of the CPU and, where the device is a GPU, that of this GPU; no other is touched.
    """
    device = torch.device(device)
    is_gpu = device.type == "cuda"
    with torch.random.fork_rng([device] if is_gpu else []):
        torch.default_generator.manual_seed(seed)
        if is_gpu:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield


def _count_halvings_to_drop(side):
    """How many of a network's first two halvings, of five, must go to leave 4 x 4 positions."""
    if side is None or side >= 128:
        return 0
    return 1 if side >= 64 else 2


def make_optimizer(weights, recipe):
    """torch's AdamW, or SGD with Nesterov momentum, over `weights` as the recipe sets it."""
    if recipe.optimizer == "adamw":
        adamw = _plain(torch.optim.AdamW)
        return adamw(weights, lr=recipe.lr, weight_decay=recipe.weight_decay)
    sgd = _plain(torch.optim.SGD)
    return sgd(
        weights,
        recipe.lr,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        nesterov=recipe.momentum > 0,
    )


def _plain(optimizer):
    """The class without the wrappers that import torch._dynamo: 3 of 7 seconds of a short run."""
    names = ("add_param_group", "state_dict", "load_state_dict", "zero_grad", "step")
    methods = {name: inspect.unwrap(getattr(optimizer, name)) for name in names}
    methods["step"] = torch.no_grad()(methods["step"])  # what the wrapper of `step` is for
    return type(optimizer.__name__, (optimizer,), methods)
