"""A small synthetic dataset, and runs on it that take a fraction of a second."""

import hashlib

import numpy as np
import torch

from bmix_lite.base.files import read_json, sha256_of, write_json
from bmix_lite.checkpoints import save_model
from bmix_lite.data.imageset import ImageSet
from bmix_lite.models import make_model
from bmix_lite.recipe import Recipe
from bmix_lite.runs.folder import open_run, save_run
from bmix_lite.training import predict, train

torch.set_num_threads(1)

COUNTS = (40, 15, 6)
QUICK = dict(epochs=3, batch_size=16)


def make_images(counts=COUNTS, *, side=8, channels=1, held_out=(5, 5, 5), seed=0, ordered=False):
    """Noise with a brighter row whose height is the class; `held_out` per class in val and test."""
    rng = np.random.default_rng(seed)
    sizes = {"train": counts, "val": held_out, "test": held_out}
    labels = np.concatenate([np.repeat(np.arange(len(n)), n) for n in sizes.values()])
    images = rng.integers(0, 140, (len(labels), side, side, channels))
    images[np.arange(len(labels)), 2 * labels] += 60
    split = np.repeat(list(sizes), [sum(n) for n in sizes.values()])
    names = tuple(f"class {j}" for j in range(len(counts)))
    about = {"name": "stripes", "ordered": ordered}
    return ImageSet(images.astype(np.uint8), labels, names, split=split, **about)


def make_net(recipe, data):
    classes, channels = len(data.class_names), data.images.shape[3]
    return make_model(recipe.model, classes, channels, seed=recipe.seed, head=recipe.head)


def run(recipe=None, data=None, model=None, **options):
    """(model, history) of a whole run on the CPU."""
    recipe, data = recipe or Recipe(**QUICK), data or make_images()
    model = model or make_net(recipe, data)
    return model, list(train(model, data, recipe, device="cpu", **options))


def run_in_folder(folder, recipe, data, model=None):
    """One run as a notebook does it: train with checkpoints, then write model and results."""
    open_run(folder, recipe, data)
    model, history = run(recipe, data, model, checkpoint=folder / "checkpoint.pt")
    save_model(model, folder / "model.pt")
    predictions = {
        split: predict(model, data.images, data.rows(split), device="cpu")
        for split in ("val", "test")
    }
    return save_run(folder, data, history, predictions)


def rename_run(folder):
    """Make what lies in a folder the whole result of the run for which the folder is named."""
    write_json(folder / "recipe.json", read_json(folder / "recipe.json") | {"run_id": folder.name})
    metrics = read_json(folder / "metrics.json")
    metrics["sha256"]["recipe.json"] = sha256_of(folder / "recipe.json")
    write_json(folder / "metrics.json", metrics)


def without_seconds(history):
    return [
        {name: value for name, value in record.items() if name != "seconds"} for record in history
    ]


def digest(model):
    """One text for all weights and buffers of a model, to the last bit."""
    tensors = model.state_dict() if isinstance(model, torch.nn.Module) else model
    content = hashlib.sha256()
    for name, tensor in tensors.items():
        content.update(name.encode() + tensor.cpu().contiguous().numpy().tobytes())
    return content.hexdigest()


def file_contents(folder, *, leave_out=()):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name not in leave_out}
