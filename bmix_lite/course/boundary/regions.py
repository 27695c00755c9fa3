"""Decision regions of small networks on a toy in the plane, while they train; and the stored playground of many."""

import functools
import io
import json
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import torch

from bmix_lite import __version__
from bmix_lite.base.errors import require
from bmix_lite.base.files import write_atomic
from bmix_lite.batches import MixedBatches
from bmix_lite.course.boundary.toys import (
    GRID,
    KINDS,
    LEVELS,
    PLAYGROUND_FORMAT,
    make_toy,
    to_points,
)
from bmix_lite.inference import predict
from bmix_lite.metrics import score
from bmix_lite.models import make_model
from bmix_lite.recipe import Recipe
from bmix_lite.training import train

RATIOS = (1, 10, 30, 100)
ALPHAS = (0.05, 0.1, 0.2, 0.4, 1.0)
EPOCHS = (1, 2, 5, 10, 20, 40)  # kept of the stored trainings
SEEDS = 5
ROWS = (
    ("instance", 0.0),
    ("class_balanced", 0.0),
    *((m, a) for m in ("mixup", "balanced_mixup") for a in ALPHAS),
)


def toy_recipe(method, *, alpha=None, epochs=EPOCHS[-1], seed=0):
    """The Recipe for a toy. lam is drawn for each point, so that one epoch shows its whole distribution.

    One lam per batch, as the authors draw it, moves each of an epoch's 13 or so batches as a block; on validation both
    scored the same (mean 0.820 and 0.819 in trials with two seeds). lr: the lowest within 0.002 of the best mean
    validation score over methods, toys and ratios in these trials, of 0.02 to 0.4 with batches of 32.
    """
    settings = dict(
        dataset="toy", model="mlp", augment="none", lam_per="image", batch_size=32, lr=0.2
    )
    return Recipe.make(method, alpha=alpha, epochs=epochs, seed=seed, **settings)


def train_boundary(data, recipe, every=1):
    """Train an mlp on a toy; yield {"epoch", "regions", "recall"} of every `every`-th epoch and the last.

    every: a number of epochs, or the epochs themselves; regions (GRID, GRID) uint8: predicted class at regular places,
    [row of y, column of x]; recall (C,): share of each class's test points that are found
    """
    epochs = (
        range(every, recipe.epochs + 1, every) if isinstance(every, int) and every > 0 else every
    )
    require(not isinstance(epochs, int), f"every must be at least 1, got {every!r}")
    kept, rows = {*epochs, recipe.epochs}, data.rows("test")
    require(len(rows) > 0, f"dataset {data.name!r} has no 'test' rows")
    model = make_model(recipe.model, len(data.class_names), data.images.shape[3], seed=recipe.seed)
    for record in train(model, data, recipe, device="cpu"):
        if record["epoch"] in kept:
            probabilities = predict(model, data.images, rows, device="cpu", batch_size=len(rows))
            yield {
                "epoch": record["epoch"],
                "regions": predict_regions(model),
                "recall": np.array(score(data.labels[rows], probabilities, [])["recall"]),
            }


def predict_regions(model):
    """The class that a model predicts at regular places of [0, 1] x [0, 1], (GRID, GRID) uint8, [y, x]."""
    steps = np.linspace(0, LEVELS, GRID).round().astype(np.uint8)
    x, y = np.meshgrid(steps, steps)
    images = np.stack([x.ravel(), y.ravel()], axis=1)[:, None, None, :]
    found = predict(model, images, device="cpu", batch_size=len(images)).argmax(axis=1)
    return found.astype(np.uint8).reshape(GRID, GRID)


def sample_mixed(data, recipe, size=None, epoch=1):
    """The first `size` points (all, unless told) that training feeds the network in one epoch, in training's order.

    Returns points (n, 2) in [0, 1] and their soft labels (n, C); also for recipes that do not mix.
    """
    most = int(data.counts().sum())
    size = most if size is None else size
    require(1 <= size <= most, f"size must lie in 1..{most}, got {size!r}")
    require(1 <= epoch <= recipe.epochs, f"epoch must lie in 1..{recipe.epochs}, got {epoch!r}")
    to_points(data.images[:1])
    images, labels = zip(*MixedBatches(data, recipe, torch.device("cpu")).epoch(epoch), strict=True)
    return torch.cat(images)[:size, :, 0, 0].numpy(), torch.cat(labels)[:size].numpy()


def make_playground(
    path,
    *,
    kinds=KINDS,
    ratios=RATIOS,
    rows=ROWS,
    epochs=EPOCHS,
    seeds=SEEDS,
    jobs=2,
    progress=True,
):
    """Train every kind, ratio, row (method, alpha) and seed; store what `boundary_plots.read_playground` reads.

    Each seed has its own points, initial weights and batches. Kept are all recalls, and the regions of seed 0.
    A few minutes on two cores; the same file, bit for bit, every time on one machine.
    """
    from tqdm.auto import tqdm

    settings = [
        (k, r, row, seed) for k in kinds for r in ratios for row in rows for seed in range(seeds)
    ]
    shape = len(ratios), len(rows), len(epochs)
    classes = {kind: make_toy(kind, 1).class_names for kind in kinds}
    arrays = {f"{kind} regions": np.zeros((*shape, GRID, GRID), np.uint8) for kind in kinds}
    arrays |= {
        f"{kind} recall": np.zeros((*shape, seeds, len(classes[kind])), np.float32)
        for kind in kinds
    }
    # one thread a process from the start: changing the number in every epoch costs more than the training
    pool = ProcessPoolExecutor(
        jobs, get_context("spawn"), initializer=torch.set_num_threads, initargs=(1,)
    )
    with pool:
        train_one = functools.partial(_train_one, tuple(epochs))
        trained = (
            pool.map(train_one, settings, chunksize=4) if jobs > 1 else map(train_one, settings)
        )
        bar = tqdm(
            zip(settings, trained, strict=True),
            total=len(settings),
            unit="training",
            disable=not progress,
        )
        for (kind, ratio, row, seed), records in bar:
            at = ratios.index(ratio), rows.index(row)
            arrays[f"{kind} recall"][at][:, seed] = [record["recall"] for record in records]
            if seed == 0:
                arrays[f"{kind} regions"][at] = [record["regions"] for record in records]
    about = {
        "format": PLAYGROUND_FORMAT,
        "version": __version__,
        "recipe": toy_recipe("instance", epochs=epochs[-1]).asdict(),
        "ratios": list(ratios),
        "rows": [list(row) for row in rows],
        "epochs": list(epochs),
        "seeds": seeds,
        "class_names": classes,
        "fingerprints": {
            kind: [make_toy(kind, ratio).fingerprint for ratio in ratios] for kind in kinds
        },
    }
    buffer = io.BytesIO()
    np.savez_compressed(buffer, about=np.array(json.dumps(about)), **arrays)
    write_atomic(path, buffer.getvalue())


def _train_one(epochs, setting):
    kind, ratio, (method, alpha), seed = setting
    mixes = method in ("mixup", "balanced_mixup")
    recipe = toy_recipe(method, alpha=alpha if mixes else None, epochs=epochs[-1], seed=seed)
    return list(train_boundary(make_toy(kind, ratio, seed=seed), recipe, epochs))
