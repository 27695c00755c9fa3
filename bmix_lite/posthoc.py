"""A finished run balanced: its probabilities corrected, its last layer rescaled or retrained."""

import copy
import math
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from bmix_lite.base.errors import BmixError, require, require_choice
from bmix_lite.base.numbers import from_torch
from bmix_lite.base.randomness import derive_seed
from bmix_lite.metrics import score
from bmix_lite.models import seeded
from bmix_lite.recipe import CHOICES
from bmix_lite.training import train

# 0 to 2; Menon et al., ICLR 2021, vary it likewise
TAUS = tuple(round(0.1 * step, 1) for step in range(21))
# Kang et al., ICLR 2020: after 90 epochs of the whole network on ImageNet-LT
RETRAINING_EPOCHS = 10


def adjust_probabilities(probabilities, counts, tau=1.0):
    """Logit adjustment after training: p_c / pi_c**tau, scaled to sum to 1.

    probabilities (n, C), such as `read_predictions` gives; counts (C,): training images per class,
    pi their shares. tau=0 changes nothing. Meant for a run trained on the data as they are: one
    whose sampling, mixing or loss has balanced the classes already would be corrected twice.
    Source: Menon et al., ICLR 2021, post-hoc. Raises BmixError for what is no probability.
    """
    probabilities = _checked_probabilities(probabilities)
    counts = np.asarray(from_torch(counts), dtype=float)
    fits = counts.shape == probabilities.shape[1:] and np.isfinite(counts).all()
    if not fits or counts.min(initial=1) < 1:
        rule = f"counts must be {probabilities.shape[1]} numbers of at least 1"
        raise BmixError(f"{rule}, got {counts.tolist()}")
    require(math.isfinite(tau), f"tau must be finite, got {tau!r}")
    with np.errstate(divide="ignore"):  # a probability of 0 stays 0
        logits = np.log(probabilities) - tau * np.log(counts / counts.sum())
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def choose_tau(labels, predict_with, taus=TAUS, metric="balanced_accuracy"):
    """(the tau whose probabilities score best, {tau: score}); of equally good ones the smallest.

    labels (n,) of the validation split: a tau chosen on test images would make their score no
    measure of anything.
    predict_with: function of tau that returns the probabilities (n, C) of the same images
    metric: one by which a recipe may choose an epoch; higher is better
    """
    require_choice("metric", metric, CHOICES["monitor"])
    taus = sorted(taus)
    require(len(taus) > 0, "taus must hold at least one value")
    scores = {tau: score(labels, predict_with(tau), [metric])[metric] for tau in taus}
    defined = {tau: value for tau, value in scores.items() if not math.isnan(value)}
    require(defined, f"{metric} is not defined on these validation images")
    return max(defined, key=defined.get), scores  # max takes the first of equals


def adjust_predictions(predictions, counts, taus=TAUS, metric="balanced_accuracy"):
    """(tau, {split: (labels, adjusted probabilities)}) of a run; tau is chosen on "val" alone.

    predictions: {"val": (labels (n,), probabilities (n, C)), "test": ...}, as `read_predictions`
    gives.
    """
    if "val" not in predictions:
        raise BmixError(f"tau is chosen on the split 'val', got {', '.join(predictions)}")
    val_labels, val_probabilities = predictions["val"]

    def adjust(tau):
        return adjust_probabilities(val_probabilities, counts, tau)

    tau, _ = choose_tau(val_labels, adjust, taus, metric)
    adjusted = {}
    for split, (labels, probabilities) in predictions.items():
        adjusted[split] = (labels, adjust_probabilities(probabilities, counts, tau))
    return tau, adjusted


def last_layer(model):
    """The layer that makes the logits: the last linear or convolutional one that `model` lists."""
    layers = [layer for layer in model.modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
    require(layers, "the model has no linear or convolutional layer that could be its classifier")
    return layers[-1]


def normalise_classifier(model, tau):
    """A copy of `model` with class weights w_c / |w_c|**tau (tau-norm, Kang et al., ICLR 2020).

    tau=0 is the model as it is, tau=1 gives every class a weight of length 1; choose it by
    `choose_tau`. The paper leaves the bias out, as negligible; it is kept here.
    """
    require(math.isfinite(tau), f"tau must be finite, got {tau!r}")
    changed = copy.deepcopy(model)
    weight = last_layer(changed).weight
    with torch.no_grad():
        smallest = torch.finfo(weight.dtype).tiny  # so that a weight of 0 stays 0
        lengths = weight.flatten(1).norm(dim=1).clamp_min(smallest)
        weight /= (lengths**tau).reshape(-1, *[1] * (weight.ndim - 1))
    return changed


def retrain_classifier(
    model, data, recipe, *, epochs=RETRAINING_EPOCHS, checkpoint=None, device=None, progress=False
):
    """cRT: train the last layer of `model` anew, in place, on class-balanced draws.

    Yields what `train` yields. recipe: that of the finished run, whose learning rate, schedule and
    seed are used; sampling is q=0, without mixing and with cross-entropy. All before the last layer
    stays as it was, in evaluation mode: BatchNorm keeps its statistics, dropout is off. Like
    `train` it can be interrupted; give it a checkpoint of its own. Once exhausted, `model` holds
    the epoch that scored best on "val". Source: Kang et al., ICLR 2020, cRT.
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
    _renew(layer, len(data.class_names), recipe.seed)
    kept = set(layer.parameters())
    frozen = [w for w in model.parameters() if w.requires_grad and w not in kept]
    settings = dict(checkpoint=checkpoint, device=device, progress=progress)
    try:
        for weight in frozen:
            weight.requires_grad_(False)
        yield from train(_LastLayerOnly(model, layer), data, recipe, **settings)
    finally:
        for weight in frozen:
            weight.requires_grad_(True)


def _renew(layer, classes, seed):
    """Initial weights for a layer: those of the CPU's generator on every device."""
    outputs = layer.weight.shape[0]
    if outputs != classes:
        raise BmixError(f"the last layer of the model must have {classes} outputs, got {outputs}")
    fresh = copy.deepcopy(layer).cpu()
    with seeded(derive_seed(seed, "classifier")):
        fresh.reset_parameters()
    layer.load_state_dict(fresh.state_dict())


def _checked_probabilities(probabilities):
    probabilities = np.asarray(from_torch(probabilities), dtype=float)
    require(probabilities.ndim == 2, f"probabilities must be (n, C), got {probabilities.shape}")
    in_range = np.isfinite(probabilities).all() and (probabilities >= 0).all()
    if not in_range or not (probabilities.sum(axis=1) > 0).all():
        raise BmixError(
            "probabilities must be finite, 0 or more, and above 0 for some class of each image"
        )
    return probabilities


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
