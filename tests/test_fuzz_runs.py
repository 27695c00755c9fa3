"""Random recipes and random earlier cells: one recipe, the same bits; two recipes, two folders.

By hand as many as wanted: BMIX_LITE_EXAMPLES=20000 python -m pytest tests/test_fuzz_runs.py
"""

import contextlib
import dataclasses
import functools
import itertools
import math
import os
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st

from bmix_lite.base.errors import BmixError
from bmix_lite.comparison.tables import group_runs, name_runs
from bmix_lite.data.imageset import ImageSet
from bmix_lite.inference import predict
from bmix_lite.methods import KNOWN_SHARES, WEIGHTED
from bmix_lite.recipe import CHOICES, Recipe
from bmix_lite.runs.folder import make_run_id, open_run
from bmix_lite.training import train
from examples import digest, make_images, make_net, without_seconds
from test_earlier_cells import CELLS

EXAMPLES = int(os.environ.get("BMIX_LITE_EXAMPLES", "200"))  # of each of the two tests
QUIETLY = [HealthCheck.too_slow, HealthCheck.data_too_large]
fuzz = settings(max_examples=EXAMPLES, suppress_health_check=QUIETLY, print_blob=True)

# fewer images than a batch of 32 are of no use, so that the batches are small
RATES = st.floats(1e-6, 0.5)
FIELDS = {
    "split": st.integers(0, 3),
    "q": st.one_of(st.floats(0, 1), st.sampled_from([0.0, 0.5, 1.0, "progressive", "effective"])),
    "mixing": st.sampled_from(CHOICES["mixing"]),
    "alpha": st.one_of(st.floats(0, 5), st.sampled_from([0.0, 0.1, 0.2, 1.0])),
    "mix_probability": st.one_of(st.floats(0.01, 1), st.just(1.0)),
    "lam_per": st.sampled_from(CHOICES["lam_per"]),
    "base_draw": st.sampled_from(CHOICES["base_draw"]),
    "balanced_draw": st.sampled_from(CHOICES["balanced_draw"]),
    "short_batch": st.sampled_from(CHOICES["short_batch"]),
    "budget": st.sampled_from(CHOICES["budget"]),
    "loss": st.sampled_from(CHOICES["loss"]),
    "weight_mean": st.sampled_from(CHOICES["weight_mean"]),
    "posthoc": st.sampled_from(["none"] * 6 + [*CHOICES["posthoc"]]),  # crt takes ten epochs
    "model": st.sampled_from(["mlp", "small_cnn"]),
    "head": st.sampled_from(CHOICES["head"]),
    "augment": st.sampled_from(CHOICES["augment"]),
    "epochs": st.integers(1, 2),
    "batch_size": st.integers(2, 12),
    "optimizer": st.sampled_from(CHOICES["optimizer"]),
    "lr": RATES,
    "momentum": st.floats(0, 0.99),
    "weight_decay": st.floats(0, 0.1),
    "schedule": st.sampled_from(CHOICES["schedule"]),
    "warmup_epochs": st.integers(0, 1),
    "min_lr": st.just(0.0),
    "monitor": st.sampled_from(CHOICES["monitor"]),
    "precision": st.sampled_from(CHOICES["precision"]),
    "threads": st.integers(1, 2),
    "seed": st.integers(0, 2**63 - 1),
}


@st.composite
def recipes(draw):
    """A recipe that the kit accepts; values that exclude each other are made to fit."""
    fields = draw(st.fixed_dictionaries(FIELDS))
    if fields["mixing"] == "none":
        fields |= {"alpha": 0.0, "mix_probability": 1.0}
    if fields["loss"] == "ldam_drw":
        fields["head"] = "cosine"
    if fields["loss"] not in WEIGHTED:
        fields["weight_mean"] = "classes"
    unknown = any(fields[name] not in known for name, known in KNOWN_SHARES.items())
    if {"logit_adjustment": unknown, "tau_norm": fields["head"] == "cosine"}.get(fields["posthoc"]):
        fields["posthoc"] = "crt"
    fields["warmup_epochs"] = min(fields["warmup_epochs"], fields["epochs"] - 1)
    return Recipe(**fields)


def test_every_field_is_drawn_or_cannot_be_without_files():
    names = {field.name for field in dataclasses.fields(Recipe)}
    assert names - FIELDS.keys() == {"dataset", "weights"}


@functools.cache
def make_data(model):
    """22 images to train on, of 8 pixels, or of one where the network takes points."""
    if model == "small_cnn":
        return make_images((12, 6, 4), held_out=(2, 2, 2))
    return with_one_pixel(make_images((12, 6, 4), channels=2, held_out=(2, 2, 2)))


def with_one_pixel(data):
    images = data.images[:, 2:3, 2:3].copy()
    return ImageSet(images, data.labels, data.class_names, split=data.split, name="points")


def run(recipe, folder, cells=(contextlib.nullcontext,)):
    """(history, weights, probabilities) of a run, or the words of its error, to the last bit.

    cells: contexts; the run is interrupted, and goes on in the next one, after each epoch.
    """
    data = make_data(recipe.model)
    path = Path(folder) / "checkpoint.pt"
    history = []
    for number, cell in enumerate(cells, start=1):
        last = number == len(cells)
        with cell():
            network = make_net(recipe, data)
            training = train(network, data, recipe, checkpoint=path, device="cpu")
            try:
                history = list(training if last else itertools.islice(training, number))
            except BmixError as error:  # a rate so high that the loss is not finite
                return str(error)
            found = predict(network, data.images, device="cpu", threads=recipe.threads)
    return repr(without_seconds(history)), digest(network), found.tobytes()


@contextlib.contextmanager
def entered(names):
    """Several earlier cells, one after the other."""
    with contextlib.ExitStack() as stack:
        for name in names:
            stack.enter_context(CELLS[name]())
        yield


def is_allowed(names):
    """torch itself refuses to enter inference mode and then set gradients, and the like."""
    devices = [name for name in names if "meta" in name]
    precisions = [name for name in names if "precision" in name or "tf32" in name]
    return len(devices) <= 1 and len(precisions) <= 1


CELL_LISTS = st.lists(st.sampled_from(sorted(CELLS)), max_size=5, unique=True).filter(is_allowed)


@fuzz
@given(recipes(), CELL_LISTS, CELL_LISTS)
def test_the_same_recipe_gives_the_same_bits_whatever_cells_ran_before(recipe, first, then):
    with tempfile.TemporaryDirectory() as folder:
        alone = run(recipe, folder)
    cells = [functools.partial(entered, names) for names in (first, then)][: recipe.epochs]
    with tempfile.TemporaryDirectory() as folder:
        assert run(recipe, folder, cells) == alone
    event("refused" if isinstance(alone, str) else "trained")


def nearby(value):
    """Values that differ from `value` as little as its type can."""
    if isinstance(value, float):
        return [math.nextafter(value, math.inf), value + 1e-7, value * (1 + 1e-7), value + 1]
    return [value + 1] if isinstance(value, int) else []


@st.composite
def pairs_of_recipes(draw):
    """Two recipes that differ in one field, as little as possible, or in any."""
    one = draw(recipes())
    if draw(st.booleans()):
        return one, draw(recipes())
    name = draw(st.sampled_from(sorted(FIELDS)))
    values = [*CHOICES.get(name, ()), *nearby(getattr(one, name)), draw(FIELDS[name])]
    try:
        return one, replace(one, **{name: draw(st.sampled_from(values))})
    except BmixError:
        assume(False)


def describe(recipe, fingerprint="data"):
    return {
        "run_id": make_run_id(recipe, fingerprint),
        "recipe": recipe.asdict(),
        "method": recipe.method,
        "fingerprint": fingerprint,
    }


def spell(value):
    """The same value as other libraries write it."""
    if isinstance(value, int):
        return st.sampled_from([value, np.int64(value), torch.tensor(value), np.array(value)])
    if isinstance(value, float):
        double = torch.tensor(value, dtype=torch.float64)
        return st.sampled_from([value, np.float64(value), double, np.array(value)])
    return st.sampled_from([value, np.str_(value)])


@fuzz
@given(pairs_of_recipes(), st.data())
def test_two_recipes_never_share_a_name_a_folder_or_a_row(pair, data):
    one, other = pair
    same = Recipe(**{name: data.draw(spell(value)) for name, value in one.asdict().items()})
    assert same == one
    assert make_run_id(same, "data") == make_run_id(one, "data")
    if one == other:
        return
    assert make_run_id(one, "data") != make_run_id(other, "data")
    assert make_run_id(one, "data") != make_run_id(one, "other data")
    runs = [describe(one), describe(other)]
    apart_in_repeats = replace(one, split=other.split, seed=other.seed) == other
    assert len(set(name_runs(runs))) == (1 if apart_in_repeats else 2)
    if one.split == other.split:
        assert sum(map(len, group_runs(runs).values())) == 2
    with tempfile.TemporaryDirectory() as folder:
        images = make_data(one.model)
        place = Path(folder) / make_run_id(one, images.fingerprint)
        open_run(place, one, images)
        with pytest.raises(BmixError, match="another run"):
            open_run(place, other, images)
        open_run(place, same, images)
