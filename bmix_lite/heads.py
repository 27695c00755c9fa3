"""The last layer of a network: found, made of cosines, rescaled, shifted."""

import copy
import math

import torch
import torch.nn.functional as F
from torch import nn

from bmix_lite.base.errors import BmixError, require

SCALE = 30  # of the cosines: Cao et al., NeurIPS 2019, in their code


class CosineLinear(nn.Linear):
    """Logits 30 cos(features, class weight): features and weights at length 1, no bias to learn.

    (B, in_features, ...) of one position to (B, out_features), in float32 under autocast too: a
    cosine in bfloat16 would be off by a tenth after the scale. The bias stays 0 in training; logit
    adjustment afterwards sets it. Source: the head of LDAM in the code of Cao et al., NeurIPS 2019.
    """

    def __init__(self, in_features, out_features):
        super().__init__(in_features, out_features)
        self.bias.requires_grad_(False)

    def reset_parameters(self):
        """Directions drawn evenly from all, at length 1.

        The length is no part of the logits, but steps are shorter the longer the weights are.
        """
        with torch.no_grad():
            nn.init.normal_(self.weight)
            self.weight.copy_(F.normalize(self.weight))
            nn.init.zeros_(self.bias)

    def forward(self, x):
        with torch.autocast(x.device.type, enabled=False):
            cosines = F.linear(F.normalize(x.flatten(1).float()), F.normalize(self.weight))
            return SCALE * cosines + self.bias


def last_layer(model):
    """The layer that makes the logits: the last linear or convolutional one that `model` lists."""
    return model.get_submodule(_find_last(model))


def set_head(model, head):
    """`model` with the last layer that a recipe's `head` names; the new one is drawn here."""
    if head != "cosine":
        return model
    place = _find_last(model)
    classes, features = model.get_submodule(place).weight.shape[:2]
    model.set_submodule(place, CosineLinear(features, classes))
    return model


def check_head(model, head):
    """Raise BmixError where a recipe asks for cosines and the last layer makes none."""
    if head == "cosine" and not isinstance(last_layer(model), CosineLinear):
        raise BmixError(
            "head='cosine' needs a last layer CosineLinear: make_model(..., head=recipe.head) "
            "makes it, and a model of your own takes it from bmix_lite.heads"
        )


def normalise_classifier(model, tau):
    """A copy of `model` with class weights w_c / |w_c|**tau (tau-norm, Kang et al., ICLR 2020).

    tau=0 is the model as it is, tau=1 gives every class a weight of length 1; choose it by
    `choose_tau`. The paper leaves the bias out, as negligible; it is kept here.
    """
    require(math.isfinite(tau), f"tau must be finite, got {tau!r}")
    changed = copy.deepcopy(model)
    weight = last_layer(changed).weight
    with torch.no_grad():
        weight /= (measure_weights(weight) ** tau).reshape(-1, *[1] * (weight.ndim - 1))
    return changed


def measure_weights(weight):
    """Lengths (C,) of the class weights; of a weight of 0 the smallest number, so that it stays."""
    return weight.flatten(1).norm(dim=1).clamp_min(torch.finfo(weight.dtype).tiny)


def shift_logits(model, shift):
    """Add `shift` (C,) to the logits of `model`, in place: to the bias of its last layer."""
    layer = last_layer(model)
    weight = layer.weight
    shift = torch.as_tensor(shift, dtype=weight.dtype, device=weight.device)
    with torch.no_grad():
        if layer.bias is None:
            layer.bias = nn.Parameter(torch.zeros_like(shift))
        layer.bias += shift


def _find_last(model):
    """The name of the last layer within the model, "" where it is the model itself."""
    kinds = nn.Linear | nn.Conv2d
    names = [name for name, layer in model.named_modules() if isinstance(layer, kinds)]
    require(names, "the model has no linear or convolutional layer that could be its classifier")
    return names[-1]
