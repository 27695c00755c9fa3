"""Training as a generator: a notebook draws between epochs, a widget just stops asking for more."""

import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from bmix_lite import checkpoints
from bmix_lite.base.errors import BmixError, require
from bmix_lite.base.randomness import derive_seed
from bmix_lite.batches import MixedBatches, TrainingImages
from bmix_lite.inference import (
    autocast,
    check_weights,
    choose_device,
    choose_layout,
    count_outputs,
    pinned,
    predict,
)
from bmix_lite.losses import make_loss
from bmix_lite.metrics import NEED_ORDER, score
from bmix_lite.models import make_optimizer, seeded
from bmix_lite.recipe import METHODS, Recipe
from bmix_lite.schedules import lr_at, mixed_metric, train_score

__all__ = ["METHODS", "Recipe", "choose_device", "make_optimizer", "predict", "train"]

STEPS_BETWEEN_LOOKS = 100  # at the loss on a GPU, which has to wait for each look


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
    been interrupted. Once exhausted, `model` holds the epoch with the best validation score.
    Raises BmixError if model, data and recipe do not fit, and at the step whose loss is not finite
    (on a GPU up to 100 later, but naming it), with the last checkpoint untouched.
    """
    device = choose_device(device)
    with pinned(recipe.threads):  # not over a `yield`: the caller's cell has its own settings
        check_weights(model)
        model.to(device).to(memory_format=choose_layout(device, data.images.shape))
        _check_fit(model, data, recipe, device)
        run = _Epochs(model, data, recipe, device)
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


class _Epochs:
    """A training between two epochs: streams, optimiser, records and the best weights so far."""

    def __init__(self, model, data, recipe, device):
        self.model = model
        self.data = data
        self.recipe = recipe
        self.device = device
        self.batches = MixedBatches(data, recipe, device)
        self.val_rows = data.rows("val")
        self.layout = choose_layout(device, data.images.shape)
        trainable = [weights for weights in model.parameters() if weights.requires_grad]
        self.optimizer = make_optimizer(trainable, recipe)
        self.look_every = 1 if device.type == "cpu" else STEPS_BETWEEN_LOOKS
        self.history = []
        self.best = None

    def go_through(self, epoch, lr):
        """Train one epoch, score it, keep the best; returns its record."""
        started = time.perf_counter()
        record = self.train_epoch(epoch, lr)
        self.validate(record)
        self.keep_if_best(record)
        record["seconds"] = time.perf_counter() - started
        self.history.append(record)
        return record

    def train_epoch(self, epoch, lr):
        """One epoch of steps; returns its record."""
        recipe = self.recipe
        counts = self.data.counts()
        loss_of = make_loss(recipe.loss, counts, self.device, epoch=epoch, epochs=recipe.epochs)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        losses = []
        sizes = []
        answers = []
        self.model.train()
        with seeded(derive_seed(recipe.seed, "dropout", epoch), self.device):
            for step, (images, labels) in enumerate(self.batches.epoch(epoch), start=1):
                with autocast(self.device, recipe.precision):
                    logits = self.model(images.to(memory_format=self.layout))
                loss = loss_of(logits.float(), labels)
                losses.append(loss.detach())
                sizes.append(len(labels))
                if step % self.look_every == 0:
                    _require_finite(losses[-self.look_every :], epoch, step, lr)
                self.optimizer.zero_grad(set_to_none=True)
                loss.backward()
                self.optimizer.step()
                if train_score(recipe) == "mixed":
                    answers.append((labels, logits.detach()))
        values = _require_finite(losses, epoch, step, lr)
        total = math.fsum(value * size for value, size in zip(values, sizes, strict=True))
        record = {"epoch": epoch, "lr": lr, "train_loss": total / sum(sizes)}
        if answers:
            record[mixed_metric(recipe)] = _score_answers(answers, recipe.monitor)
        return record

    def validate(self, record):
        """Add scores on all validation images and, if the schedule asks, on training images."""
        labels = self.data.labels[self.val_rows]
        probabilities = self.predict(self.val_rows)
        if not np.isfinite(probabilities).all():
            when = f"after epoch {record['epoch']}, at lr {record['lr']:g}"
            raise BmixError(f"{when}, the model predicts NaN: lower lr")
        names = dict.fromkeys(["accuracy", "balanced_accuracy", self.recipe.monitor])
        scores = score(labels, probabilities, names)
        of_true_class = probabilities[np.arange(len(labels)), labels].astype(float)
        record["val_loss"] = float(-np.log(np.maximum(of_true_class, 1e-12)).mean())
        for name in names:
            record[f"val_{name}"] = scores[name]
        if train_score(self.recipe) == "clean":
            clean = self.predict(self.batches.rows)
            names = dict.fromkeys(["balanced_accuracy", self.recipe.monitor])
            scores = score(self.batches.labels, clean, names)
            for name in names:
                record[f"train_{name}"] = scores[name]

    def predict(self, rows):
        """Probabilities (n, C) of rows, with the recipe's arithmetic."""
        settings = {"precision": self.recipe.precision, "threads": self.recipe.threads}
        return predict(self.model, self.data.images, rows, device=self.device, **settings)

    def keep_if_best(self, record):
        """Copy the weights if the record has the best validation score so far, or is the first."""
        name = f"val_{self.recipe.monitor}"
        earlier = [past[name] for past in self.history if not math.isnan(past[name])]
        if self.best is None or record[name] > max(earlier, default=-math.inf):
            weights = self.model.state_dict()
            self.best = {key: value.detach().cpu().clone() for key, value in weights.items()}

    def save(self, path):
        """Write the checkpoint, and beside it how far the training is."""
        state = {
            "recipe": self.recipe.asdict(),
            "weights": self.recipe.identity()["weights"],
            "fingerprint": self.data.fingerprint,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "best": self.best,
            "history": self.history,
        }
        checkpoints.save_checkpoint(path, state)
        checkpoints.note_progress(path, self.recipe, self.history)

    def resume(self, path):
        """Go back to where the checkpoint at `path`, if there is one, left the training."""
        state = checkpoints.load_checkpoint(path)
        if state is None:
            return
        checkpoints.require_same_run(state, self.recipe, self.data, path)
        try:
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
        except (RuntimeError, ValueError, KeyError) as error:
            raise BmixError(f"{path} was made with another network than this: {error}") from error
        self.history = state["history"]
        self.best = state["best"]


def _require_finite(losses, epoch, last_step, lr):
    """The losses as numbers; BmixError names the first step of these whose loss is not finite."""
    values = torch.stack(losses).tolist()
    for step, value in enumerate(values, start=last_step - len(values) + 1):
        if not math.isfinite(value):
            raise BmixError(
                f"loss is {value} in epoch {epoch}, step {step}, at lr {lr:g}: lower lr"
            )
    return values


def _score_answers(answers, metric):
    """The metric of what the network answered to mixed images while it learned."""
    labels = [soft.argmax(dim=1).cpu() for soft, _ in answers]
    probabilities = [logits.float().softmax(dim=1).cpu() for _, logits in answers]
    return score(torch.cat(labels).numpy(), torch.cat(probabilities).numpy(), [metric])[metric]


def _check_fit(model, data, recipe, device):
    require(data.images.size > 0, f"dataset {data.name!r} holds labels only, no images to train on")
    rows = data.rows("train")
    if len(rows) < recipe.batch_size:
        raise BmixError(f"batch_size must be at most {len(rows)} images, got {recipe.batch_size}")
    for part, use in {"val": "to choose an epoch with", "test": "to report a score on"}.items():
        if len(data.rows(part)) == 0:
            raise BmixError(f"dataset {data.name!r} has no {part!r} rows {use}")
    if recipe.monitor in NEED_ORDER and not data.ordered:
        words = f'monitor={recipe.monitor!r} needs grades, and {data.name!r} is not "ordered"'
        raise BmixError(f"{words}: prepare it with ordered=True and class_names in their order")
    classes = len(data.class_names)
    outputs = count_outputs(model, data.images, rows[:1], device)
    if outputs != classes:
        raise BmixError(f"the model must have {classes} outputs, one for each class, got {outputs}")


def _with_progress(epochs, recipe, progress):
    from tqdm.auto import tqdm

    return tqdm(epochs, desc=recipe.method, unit="epoch", disable=not progress)
