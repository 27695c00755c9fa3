"""The classifier of a trained network, that is its last layer, rescaled or learnt anew (Kang et al., ICLR 2020)."""

import copy
import math
from dataclasses import replace

import torch
from torch import nn

from bmix_lite.base.errors import require
from bmix_lite.base.randomness import derive_seed
from bmix_lite.models import seeded
from bmix_lite.training import train

RETRAINING_EPOCHS = (
    10  # Kang et al., section 5.1: after 90 epochs of the whole network on ImageNet-LT
)


def last_layer(model):
    """The layer that makes the logits: the last linear or convolutional one that `model` lists."""
    layers = [layer for layer in model.modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
    require(layers, "the model has no linear or convolutional layer that could be its classifier")
    return layers[-1]


def normalise_classifier(model, tau):
    """A copy of `model` with class weights w_c / |w_c|**tau (Kang et al., ICLR 2020, equation 3).

    tau=0 is the model as it is, tau=1 gives every class a weight of length 1; choose it by `posthoc.choose_tau`. The
    paper leaves the bias out, as negligible; it is kept here.
    """
    require(math.isfinite(tau), f"tau must be finite, got {tau!r}")
    changed = copy.deepcopy(model)
    weight = last_layer(changed).weight
    with torch.no_grad():
        lengths = (
            weight.flatten(1).norm(dim=1).clamp_min(torch.finfo(weight.dtype).tiny)
        )  # a weight of 0 stays 0
        weight /= (lengths**tau).reshape(-1, *[1] * (weight.ndim - 1))
    return changed


def retrain_classifier(
    model, data, recipe, *, epochs=RETRAINING_EPOCHS, checkpoint=None, device=None, progress=False
):
    """cRT: train the last layer of `model` anew, in place, on class-balanced draws; yield what `train` yields.

    recipe: that of the finished run; its learning rate, schedule and seed are taken up, sampling is q=0, without mixing
    and with cross-entropy (Kang et al., ICLR 2020, section 4). All before the last layer stays as it was, in evaluation
    mode: BatchNorm keeps its statistics, dropout is off. Like `train` it can be interrupted; give it a checkpoint of
    its own. Once exhausted, `model` holds the epoch that scored best on "val".
    """
    recipe = replace(
        recipe,
        q=0.0,
        mixing="none",
        alpha=0.0,
        loss="cross_entropy",
        epochs=epochs,
        warmup_epochs=0,
    )
    layer = last_layer(model)
    outputs, classes = layer.weight.shape[0], len(data.class_names)
    require(
        outputs == classes,
        f"the last layer of the model must have {classes} outputs, got {outputs}",
    )
    fresh = copy.deepcopy(
        layer
    ).cpu()  # the weights of a seed are those of the CPU's generator on every device
    with seeded(derive_seed(recipe.seed, "classifier")):
        fresh.reset_parameters()
    layer.load_state_dict(fresh.state_dict())
    own = set(layer.parameters())
    frozen = [weight for weight in model.parameters() if weight.requires_grad and weight not in own]
    settings = dict(checkpoint=checkpoint, device=device, progress=progress)
    try:
        for weight in frozen:
            weight.requires_grad_(False)
        yield from train(_LastLayerOnly(model, layer), data, recipe, **settings)
    finally:
        for weight in frozen:
            weight.requires_grad_(True)


class _LastLayerOnly(nn.Module):
    """A model of which training mode reaches the last layer alone."""

    def __init__(self, model, layer):
        super().__init__()
        self.model = model
        self.last = (layer,)  # in a tuple: it would else be listed twice

    def forward(self, images):
        return self.model(images)

    def train(self, mode=True):
        super().train(mode)
        self.model.eval()
        self.last[0].train(mode)
        return self
