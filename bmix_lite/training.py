"""Training as a generator: a notebook draws between epochs, a widget just stops asking for more."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bmix_lite.base.errors import BmixError, require
from bmix_lite.base.parts import require_rows
from bmix_lite.batches import NEEDS_PLACES, TrainingImages
from bmix_lite.epochs import Epochs
from bmix_lite.heads import check_head, last_layer
from bmix_lite.inference import (
    are_features,
    check_weights,
    choose_device,
    choose_layout,
    count_outputs,
    pinned,
    predict,
)
from bmix_lite.metrics import NEED_ORDER
from bmix_lite.models import make_optimizer
from bmix_lite.posthoc import LastLayerOnly, rebalance, renew
from bmix_lite.recipe import METHODS, Recipe
from bmix_lite.schedules import lr_at

__all__ = [
    "METHODS",
    "Recipe",
    "choose_device",
    "make_optimizer",
    "predict",
    "retrain_classifier",
    "train",
]

# Kang et al., ICLR 2020: after 90 epochs of the whole network on ImageNet-LT
RETRAINING_EPOCHS = 10


def train(
    model: nn.Module,
    data: TrainingImages,
    recipe: Recipe,
    *,
    checkpoint: str | Path | None = None,
    device: str | torch.device | None = None,
    progress: bool = False,
) -> Iterator[dict[str, Any]]:
    """Train `model` in place on the "train" rows of an ImageSet; yield one record per epoch.

    With `checkpoint` (a path) the state is saved after each epoch, and a later call goes on from
    there: it yields the old records again, then the new ones, and ends bit for bit as if it had not
    been interrupted. Once exhausted, `model` holds the epoch with the best validation score, after
    what `recipe.posthoc` does to its last layer: "logit_adjustment" and "tau_norm" train nothing
    (see `posthoc.rebalance`), the epochs of "crt" (`retrain_classifier`) follow the others.
    Raises BmixError if model, data and recipe do not fit, and at the step whose loss is not finite
    (on a GPU up to 100 later, but naming it), with the last checkpoint untouched.
    """
    device = choose_device(device)
    settings = {"device": device, "progress": progress}
    epochs = 0
    for record in _train_network(model, data, recipe, checkpoint, **settings):
        epochs = record["epoch"]
        yield record
    if recipe.posthoc == "crt":
        place = Path(checkpoint).with_suffix(".classifier.pt") if checkpoint else None
        for record in retrain_classifier(model, data, recipe, checkpoint=place, **settings):
            yield record | {"epoch": epochs + record["epoch"]}
    else:
        with pinned(recipe.threads):
            rebalance(model, data, recipe, device)


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
    recipe = replace(recipe, **CLASSIFIER_ONLY, epochs=epochs)
    layer = last_layer(model)
    renew(layer, len(data.class_names), recipe.seed)
    kept = set(layer.parameters())
    frozen = [w for w in model.parameters() if w.requires_grad and w not in kept]
    settings = dict(device=choose_device(device), progress=progress)
    try:
        for weight in frozen:
            weight.requires_grad_(False)
        yield from _train_network(LastLayerOnly(model, layer), data, recipe, checkpoint, **settings)
    finally:
        for weight in frozen:
            weight.requires_grad_(True)


CLASSIFIER_ONLY = dict(
    q=0.0,
    mixing="none",
    alpha=0.0,
    mix_probability=1.0,
    loss="cross_entropy",
    weight_mean="classes",
    posthoc="none",
    warmup_epochs=0,
)


def _train_network(model, data, recipe, checkpoint, *, device, progress):
    """`train` without what `recipe.posthoc` does afterwards."""
    with pinned(recipe.threads):  # not over a `yield`: the caller's cell has its own settings
        check_weights(model)
        model.to(device).to(memory_format=choose_layout(device, data.images.shape))
        _check_fit(model, data, recipe, device)
        run = Epochs(model, data, recipe, device)
        if checkpoint:
            run.resume(checkpoint)
    yield from map(dict, run.history)
    epochs = range(len(run.history) + 1, recipe.epochs + 1)
    for epoch in _with_progress(epochs, recipe, progress):
        lr = lr_at(recipe, epoch, run.history)
        if lr is None:  # the plateau schedule has come to its end
            break
        with pinned(recipe.threads):
            record = run.go_through(epoch, lr)
            if checkpoint:
                run.save(checkpoint)
        yield dict(record)
    with pinned(recipe.threads):
        model.load_state_dict(run.best)


def _check_fit(model, data, recipe, device):
    check_head(model, recipe.head)
    require(data.images.size > 0, f"dataset {data.name!r} holds labels only, no images to train on")
    rows = data.rows("train")
    if len(rows) < recipe.batch_size:
        raise BmixError(f"batch_size must be at most {len(rows)} images, got {recipe.batch_size}")
    require_rows(data)
    if recipe.monitor in NEED_ORDER and not getattr(data, "ordered", False):
        words = f'monitor={recipe.monitor!r} needs grades, and {data.name!r} is not "ordered"'
        raise BmixError(f"{words}: prepare it with ordered=True and class_names in their order")
    if are_features(data.images):
        _check_features(data, recipe)
    classes = len(data.class_names)
    outputs = count_outputs(model, data.images, rows[:1], device)
    if outputs != classes:
        raise BmixError(f"the model must have {classes} outputs, one for each class, got {outputs}")


def _check_features(data, recipe):
    if recipe.augment != "none":
        raise BmixError(
            f"augment must be 'none' on features, got {recipe.augment!r}: the images of "
            f"{data.name!r} went through the network once, as they are; Recipe.on_features says so"
        )
    if recipe.mixing in NEEDS_PLACES:
        raise BmixError(
            f"mixing {recipe.mixing!r} cuts a box out of an image: the features of {data.name!r} "
            "have no places"
        )


def _with_progress(epochs, recipe, progress):
    from tqdm.auto import tqdm

    return tqdm(epochs, desc=recipe.method, unit="epoch", disable=not progress)
