"""A finished network balanced: its probabilities corrected, its last layer rescaled or renewed.

`training.train` does it where a recipe says so by `posthoc`; for a run that is finished already,
the functions here do it by hand.
"""

import copy
import math

import numpy as np
import torch
from scipy.special import softmax
from torch import nn

from bmix_lite.base.errors import BmixError, require, require_choice
from bmix_lite.base.randomness import derive_seed
from bmix_lite.heads import last_layer, measure_weights, normalise_classifier, shift_logits
from bmix_lite.inference import predict
from bmix_lite.metrics import score
from bmix_lite.models import seeded
from bmix_lite.prevalence import adjust_probabilities, trained_shares
from bmix_lite.recipe import CHOICES

# 0 to 2; Menon et al., ICLR 2021, vary it likewise
TAUS = tuple(round(0.1 * step, 1) for step in range(21))


def rebalance(model, data, recipe, device):
    """What `recipe.posthoc` does to a trained `model` without training, in place.

    "logit_adjustment" takes log pi_c from the logits, pi (C,) being the class shares that the
    network was trained on (`trained_shares`): Menon et al., ICLR 2021, with tau = 1. "tau_norm"
    divides the class weights by |w_c|**tau, tau chosen on "val" by the recipe's monitor.
    """
    if recipe.posthoc == "logit_adjustment":
        shift_logits(model, -np.log(trained_shares(recipe, data.counts())))
    if recipe.posthoc == "tau_norm":
        tau, _ = choose_norm(model, data, recipe, device=device)
        model.load_state_dict(normalise_classifier(model, tau).state_dict())


def choose_norm(model, data, recipe, taus=TAUS, *, device=None):
    """(the tau of `normalise_classifier` that scores best on "val", {tau: score}).

    The images go through the network once. By the recipe's monitor and with its arithmetic.
    """
    rows = data.rows("val")
    layer = last_layer(model)
    logits = _answer(model, layer, data.images, rows, recipe, device)
    bias = 0 if layer.bias is None else layer.bias.detach().double().cpu().numpy()
    lengths = measure_weights(layer.weight.detach()).double().cpu().numpy()

    def predict_with(tau):
        return softmax((logits - bias) / lengths**tau + bias, axis=1)

    return choose_tau(data.labels[rows], predict_with, taus, recipe.monitor)


def _answer(model, layer, images, rows, recipe, device):
    """Logits (n, C) in double precision. BmixError if the last layer does not make them."""
    seen = []
    hook = layer.register_forward_hook(lambda *call: seen.append(call[2].float().cpu()))
    arithmetic = {"precision": recipe.precision, "threads": recipe.threads}
    try:
        probabilities = predict(model, images, rows, device=device, **arithmetic)
    finally:
        hook.remove()
    logits = torch.cat(seen).flatten(1)
    made = logits.softmax(dim=1).numpy()
    if made.shape != probabilities.shape or not np.allclose(made, probabilities, atol=1e-4):
        raise BmixError(
            "the model's last linear or convolutional layer does not make its logits: "
            "tau-normalisation rescales those of the layer that does"
        )
    return logits.double().numpy()


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


def renew(layer, classes, seed):
    """Initial weights for a layer: those of the CPU's generator on every device."""
    outputs = layer.weight.shape[0]
    if outputs != classes:
        raise BmixError(f"the last layer of the model must have {classes} outputs, got {outputs}")
    fresh = copy.deepcopy(layer).cpu()
    with seeded(derive_seed(seed, "classifier")):
        fresh.reset_parameters()
    layer.load_state_dict(fresh.state_dict())


class LastLayerOnly(nn.Module):
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
