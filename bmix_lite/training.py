"""Training as a generator: a notebook draws between epochs, a widget stops by not asking for more."""

import contextlib
import inspect
import math
import time

import numpy as np
import torch

from bmix_lite.base.errors import BmixError, require
from bmix_lite.base.randomness import derive_seed
from bmix_lite.batches import MixedBatches
from bmix_lite.checkpoints import load_checkpoint, note_progress, save_checkpoint
from bmix_lite.inference import autocast, choose_device, choose_layout, predict, use_threads
from bmix_lite.losses import make_loss
from bmix_lite.metrics import score
from bmix_lite.models import seeded
from bmix_lite.recipe import METHODS, Recipe
from bmix_lite.schedules import PLATEAU_METRIC, lr_at, mixed_metric, train_score

__all__ = ["METHODS", "Recipe", "choose_device", "predict", "train"]


def train(model, data, recipe, *, checkpoint=None, device=None, progress=False):
    """Train `model` in place on the "train" rows of an ImageSet; yield one record (dict) after each epoch.

    With `checkpoint` (a path) the state is saved after each epoch, and a later call goes on from there: it yields
    the old records again, then the new ones, and ends bit for bit where an uninterrupted run ends (same machine).
    Once exhausted, `model` holds the epoch that scored best on the "val" rows by `recipe.monitor`.
    Raises BmixError, before the first step, if model, data and recipe do not fit; and at the step whose loss is
    not finite (on a GPU up to 100 later, but naming it), with the last checkpoint untouched.
    """
    device = choose_device(device)
    model.to(device, memory_format=choose_layout(device, data.images.shape))
    _check_fit(model, data, recipe, device)
    run = _Epochs(model, data, recipe, device)
    identity = {"recipe": recipe.asdict(), "fingerprint": data.fingerprint}
    state = checkpoint and load_checkpoint(checkpoint)
    history, best = run.restore(state, identity, checkpoint) if state else ([], None)
    yield from map(dict, history)
    epochs = range(len(history) + 1, recipe.epochs + 1)
    for epoch in _with_progress(epochs, recipe, progress):
        started = time.perf_counter()
        lr = lr_at(recipe, epoch, history)
        if lr is None:  # the plateau schedule has come to its end
            break
        with _arithmetic(recipe):
            record = run.train_epoch(epoch, lr)
            run.validate(record)
        name = f"val_{recipe.monitor}"
        if best is None or record[name] > max(
            (r[name] for r in history if not math.isnan(r[name])), default=-math.inf
        ):
            best = {key: value.detach().cpu().clone() for key, value in model.state_dict().items()}
        history.append(record | {"seconds": time.perf_counter() - started})
        if checkpoint:
            state = {"model": model.state_dict(), "optimizer": run.optimizer.state_dict()}
            save_checkpoint(checkpoint, identity | state | {"best": best, "history": history})
            note_progress(checkpoint, recipe, history)
        yield dict(history[-1])
    model.load_state_dict(best)


class _Epochs:
    """What stays the same from epoch to epoch: the streams and the optimiser."""

    def __init__(self, model, data, recipe, device):
        self.model, self.data, self.recipe, self.device = model, data, recipe, device
        self.batches, self.val_rows = MixedBatches(data, recipe, device), data.rows("val")
        weights = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.optimizer, self.layout = (
            _make_optimizer(weights, recipe),
            choose_layout(device, data.images.shape),
        )
        self.look = (
            1 if device.type == "cpu" else 100
        )  # steps between looks at the loss, for which a GPU waits

    def train_epoch(self, epoch, lr):
        recipe, losses, sizes, answers = self.recipe, [], [], []
        loss_of = make_loss(
            recipe.loss, self.data.counts(), self.device, epoch=epoch, epochs=recipe.epochs
        )
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.model.train()
        with seeded(derive_seed(recipe.seed, "dropout", epoch), self.device):
            for step, (images, labels) in enumerate(self.batches.epoch(epoch), start=1):
                with autocast(self.device, recipe.precision):
                    logits = self.model(images.to(memory_format=self.layout))
                loss = loss_of(logits.float(), labels)
                losses.append(loss.detach())
                sizes.append(len(labels))
                if step % self.look == 0:
                    _require_finite(losses[-self.look :], f"epoch {epoch}", step, lr)
                self.optimizer.zero_grad(set_to_none=True)
                loss.backward()
                self.optimizer.step()
                if train_score(recipe) == "mixed":
                    answers.append(
                        (labels.argmax(dim=1).cpu(), logits.detach().float().softmax(dim=1).cpu())
                    )
        values = _require_finite(losses, f"epoch {epoch}", step, lr)
        mean = math.fsum(value * size for value, size in zip(values, sizes, strict=True)) / sum(
            sizes
        )
        record = {"epoch": epoch, "lr": lr, "train_loss": mean}
        if answers:
            mixed, probabilities = (
                torch.cat(parts).numpy() for parts in zip(*answers, strict=True)
            )
            record[mixed_metric(recipe)] = score(mixed, probabilities, [recipe.monitor])[
                recipe.monitor
            ]
        return record

    def validate(self, record):
        """Add scores on the whole validation split and, where the schedule asks, on the clean training images."""
        recipe, labels = self.recipe, self.data.labels
        shown = dict.fromkeys(["accuracy", "balanced_accuracy", recipe.monitor])
        probabilities = self.predict(self.val_rows)
        broken = f"after epoch {record['epoch']}, at lr {record['lr']:g}, the model predicts NaN: lower lr"
        require(bool(np.isfinite(probabilities).all()), broken)
        scores = score(labels[self.val_rows], probabilities, shown)
        picked = probabilities[np.arange(len(self.val_rows)), labels[self.val_rows]].astype(float)
        record |= {"val_loss": float(-np.log(np.maximum(picked, 1e-12)).mean())}
        record |= {f"val_{name}": scores[name] for name in shown}
        if train_score(recipe) == "clean":
            clean = score(
                self.batches.labels, self.predict(self.batches.rows), ["balanced_accuracy"]
            )
            record[PLATEAU_METRIC] = clean["balanced_accuracy"]

    def predict(self, rows):
        recipe = self.recipe
        settings = dict(device=self.device, precision=recipe.precision, threads=recipe.threads)
        return predict(self.model, self.data.images, rows, **settings)

    def restore(self, state, identity, path):
        """Put model and optimiser where the checkpoint left them; returns (history, best weights)."""
        theirs, ours = state["recipe"], identity["recipe"]
        ours = dict.fromkeys(theirs, "") | ours  # a field of an older version is empty unless used
        differing = [
            f"{k}: {theirs.get(k)!r} there, {ours[k]!r} here"
            for k in ours
            if theirs.get(k) != ours[k]
        ]
        require(not differing, f"{path} belongs to another run ({'; '.join(differing)})")
        same = state["fingerprint"] == identity["fingerprint"]
        require(
            same,
            f"{path} was made with other data than this {self.data.name!r}: fingerprints differ",
        )
        try:
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
        except (RuntimeError, ValueError, KeyError) as error:
            raise BmixError(
                f"{path} was made with another network than this one: {error}"
            ) from error
        return state["history"], state["best"]


def _require_finite(losses, epoch, step, lr):
    """The losses as numbers; `step` is that of the last one."""
    values = torch.stack(losses).tolist()
    for number, value in enumerate(values, start=step - len(values) + 1):
        if not math.isfinite(value):
            raise BmixError(f"loss is {value} in {epoch}, step {number}, at lr {lr:g}: lower lr")
    return values


def _check_fit(model, data, recipe, device):
    rows, classes = data.rows("train"), len(data.class_names)
    require(data.images.size > 0, f"dataset {data.name!r} holds labels only, no images to train on")
    require(
        len(rows) >= recipe.batch_size,
        f"batch_size must be at most {len(rows)} images, got {recipe.batch_size}",
    )
    require(
        len(data.rows("val")) > 0,
        f"dataset {data.name!r} has no 'val' rows to choose an epoch with",
    )
    require(
        any(p.requires_grad for p in model.parameters()), "the model has no trainable parameter"
    )
    try:
        found = predict(model, data.images, rows[:1], device=device).shape[1]
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        shape = " x ".join(map(str, data.images.shape[1:]))
        words = f"the model cannot read images of {shape} (height, width, channels)"
        raise BmixError(f"{words}: {str(error).splitlines()[0]}") from error
    require(
        found == classes, f"the model must have {classes} outputs, one for each class, got {found}"
    )


def _make_optimizer(weights, recipe):
    if recipe.optimizer == "adamw":
        return _plain(torch.optim.AdamW)(weights, lr=recipe.lr, weight_decay=recipe.weight_decay)
    nesterov = recipe.momentum > 0
    settings = {
        "momentum": recipe.momentum,
        "weight_decay": recipe.weight_decay,
        "nesterov": nesterov,
    }
    return _plain(torch.optim.SGD)(weights, recipe.lr, **settings)


def _plain(optimizer):
    """The class without the wrappers that import torch._dynamo: 3 of the 7 seconds of a run on digits_lt."""
    names = ("add_param_group", "state_dict", "load_state_dict", "zero_grad", "step")
    methods = {name: inspect.unwrap(getattr(optimizer, name)) for name in names}
    methods["step"] = torch.no_grad()(methods["step"])  # what the wrapper of `step` is for
    return type(optimizer.__name__, (optimizer,), methods)


@contextlib.contextmanager
def _arithmetic(recipe):
    """The recipe's number of threads, and cuDNN's repeatable kernels; both put back afterwards."""
    with (
        use_threads(recipe.threads),
        torch.backends.cudnn.flags(deterministic=True, benchmark=False),
    ):
        yield


def _with_progress(epochs, recipe, progress):
    from tqdm.auto import tqdm

    return tqdm(epochs, desc=recipe.method, unit="epoch", disable=not progress)
