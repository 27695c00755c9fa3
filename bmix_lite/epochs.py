"""A training between two epochs: one epoch of steps, its scores, the best weights, a checkpoint."""

import math
import time

import numpy as np
import torch

from bmix_lite import checkpoints
from bmix_lite.base.errors import BmixError
from bmix_lite.base.randomness import derive_seed
from bmix_lite.batches import MixedBatches
from bmix_lite.inference import autocast, choose_layout, predict
from bmix_lite.losses import make_loss
from bmix_lite.metrics import score
from bmix_lite.models import make_optimizer, seeded
from bmix_lite.schedules import mixed_metric, train_score

STEPS_BETWEEN_LOOKS = 100  # at the loss on a GPU, which has to wait for each look


class Epochs:
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
        when = {"epoch": epoch, "epochs": recipe.epochs, "weight_mean": recipe.weight_mean}
        loss_of = make_loss(recipe.loss, counts, self.device, **when)
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
        state = checkpoints.describe_run(self.recipe, self.data) | {
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
            if state["optimizer"] is not None:  # of a finished run, which takes no more steps
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
