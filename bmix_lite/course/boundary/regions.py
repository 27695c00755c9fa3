"""Decision regions of small networks on a toy in the plane, while they train."""

import numpy as np
import torch

from bmix_lite.base.errors import BmixError, require
from bmix_lite.batches import MixedBatches
from bmix_lite.course.boundary.toys import GRID, LEVELS, to_points
from bmix_lite.inference import predict
from bmix_lite.metrics import score
from bmix_lite.models import make_model
from bmix_lite.recipe import Recipe
from bmix_lite.training import train

LAST_EPOCH = 40


def toy_recipe(method, *, alpha=None, epochs=LAST_EPOCH, seed=0):
    """The Recipe for a toy; lam is drawn per point, so that one epoch shows its whole distribution.

    One lam per batch, as the authors draw it, moves each of an epoch's 13 or so batches as a block;
    on validation both scored the same (mean 0.820 and 0.819 in trials with two seeds).
    lr: of 0.02 to 0.4, with batches of 32, the lowest within 0.002 of the best mean validation
    score over methods, toys and ratios in these trials.
    """
    settings = dict(model="mlp", augment="none", lam_per="image", batch_size=32, lr=0.2)
    return Recipe.make(method, alpha=alpha, epochs=epochs, seed=seed, dataset="toy", **settings)


def train_boundary(data, recipe, every=1):
    """Train an mlp on a toy; yield {"epoch", "regions", "recall"} of chosen epochs and the last.

    every: 2 chooses each second epoch; (1, 5, 20) names the epochs
    regions (GRID, GRID) uint8: predicted class on a regular grid, [row of y, column of x]
    recall (C,): test recall of each class
    """
    chosen_epochs = {*_choose_epochs(every, recipe.epochs), recipe.epochs}
    rows = data.rows("test")
    if not len(rows):
        raise BmixError(f"dataset {data.name!r} has no 'test' rows")
    classes, channels = len(data.class_names), data.images.shape[3]
    model = make_model(recipe.model, classes, channels, seed=recipe.seed, head=recipe.head)
    for record in train(model, data, recipe, device="cpu"):
        if record["epoch"] in chosen_epochs:
            probabilities = predict(model, data.images, rows, device="cpu", batch_size=len(rows))
            yield {
                "epoch": record["epoch"],
                "regions": predict_regions(model),
                "recall": np.array(score(data.labels[rows], probabilities, [])["recall"]),
            }


def predict_regions(model):
    """The class that a model predicts on a regular grid of [0, 1]², (GRID, GRID) uint8, [y, x]."""
    steps = np.linspace(0, LEVELS, GRID).round().astype(np.uint8)
    x, y = np.meshgrid(steps, steps)
    images = np.stack([x.ravel(), y.ravel()], axis=1)[:, None, None, :]
    probabilities = predict(model, images, device="cpu", batch_size=len(images))
    return probabilities.argmax(axis=1).astype(np.uint8).reshape(GRID, GRID)


def sample_mixed(data, recipe, size=None, epoch=1):
    """The first `size` points that training feeds the network in one epoch, in that order.

    size: None for all of the epoch
    Returns points (n, 2) in [0, 1] and soft labels (n, C); also for recipes that do not mix.
    """
    largest = int(data.counts().sum())
    if size is None:
        size = largest
    require(1 <= size <= largest, f"size must lie in 1..{largest}, got {size!r}")
    require(1 <= epoch <= recipe.epochs, f"epoch must lie in 1..{recipe.epochs}, got {epoch!r}")
    to_points(data.images[:1])  # only for its check that these are points
    batches = MixedBatches(data, recipe, torch.device("cpu"))
    images, labels = zip(*batches.epoch(epoch), strict=True)
    points = torch.cat(images)[:size, :, 0, 0]
    return points.numpy(), torch.cat(labels)[:size].numpy()


def _choose_epochs(every, epochs):
    if not isinstance(every, int):
        return every
    if every < 1:
        raise BmixError(f"every must be at least 1, got {every!r}")
    return range(every, epochs + 1, every)
