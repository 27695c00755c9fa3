"""Heads on features: images of one pixel and many channels, for all that trains on images."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from bmix_lite.base.errors import BmixError
from bmix_lite.batches import NEEDS_PLACES, MixedBatches
from bmix_lite.data.imageset import ImageSet
from bmix_lite.heads import normalise_classifier
from bmix_lite.layers import HalfDropout
from bmix_lite.metrics import score
from bmix_lite.models import make_model, seeded
from bmix_lite.posthoc import choose_tau
from bmix_lite.recipe import METHODS, ON_FEATURES, Recipe
from bmix_lite.sweeps.grids import read_grid_file
from bmix_lite.training import predict, retrain_classifier, train
from conftest import ROOT
from examples import COUNTS, digest, without_seconds

CHANNELS = 100  # not a multiple of 64
FIELDS = dict(epochs=4, batch_size=16, lr=0.03)


def make_features(noise=0.3):
    """Rows around a point for each class; 61 train, 15 in val and in test."""
    rng = np.random.default_rng(0)
    sizes = [COUNTS, (5, 5, 5), (5, 5, 5)]
    labels = np.concatenate([np.repeat([0, 1, 2], size) for size in sizes])
    split = np.repeat(["train", "val", "test"], [sum(size) for size in sizes])
    centres = rng.random((3, CHANNELS))
    features = centres[labels] + noise * rng.standard_normal((len(labels), CHANNELS))
    images = features.astype(np.float32)[:, None, None, :]
    return ImageSet(images, labels, ("a", "b", "c"), split=split, name="rows")


def make_head(recipe, seed=0):
    return make_model(recipe.model, 3, CHANNELS, seed=seed, side=1, head=recipe.head)


def train_head(recipe, data, **options):
    model = make_head(recipe)
    return model, list(train(model, data, recipe, device="cpu", **options))


def test_a_set_of_features_says_what_it_is_and_nothing_else_passes_as_features():
    data = make_features()
    assert data.has_features
    assert "91 images as 100 features" in repr(data)
    for wrong in (data.images.astype(float), np.zeros((91, 2, 1, 5), np.float32)):
        with pytest.raises(BmixError, match="images must be uint8, got float"):
            replace(data, images=wrong)
    with pytest.raises(BmixError, match="made_of must have 91 images, got 3"):
        replace(data, made_of=np.zeros((3, 2, 2, 1), np.uint8))


def test_the_origin_of_features_is_part_of_what_they_are():
    data = make_features()
    others = [replace(data, origin="a network"), replace(data, origin="another")]
    assert len({one.fingerprint for one in (data, *others)}) == 3


def test_figures_show_the_images_that_features_were_made_of():
    data = make_features()
    with pytest.raises(BmixError, match="'rows' holds features, and the images"):
        _ = data.pictures
    pictures = np.zeros((91, 2, 2, 1), np.uint8)
    assert replace(data, made_of=pictures).pictures is pictures


@pytest.mark.parametrize("method", list(METHODS))
@pytest.mark.parametrize("model", ["linear", "mlp"])
def test_every_method_trains_a_head(model, method):
    recipe = Recipe.on_features("rows", method, model=model, **FIELDS | {"epochs": 20})
    data = make_features(noise=0.1)
    if recipe.mixing in NEEDS_PLACES:
        with pytest.raises(BmixError, match="cuts a box out of an image"):
            train_head(recipe, data)
        return
    trained, history = train_head(recipe, data)
    rows = data.rows("test")
    probabilities = predict(trained, data.images, rows, device="cpu")
    assert len(history) == (30 if recipe.posthoc == "crt" else 20)  # its ten come on top
    scores = score(data.labels[rows], probabilities, ["balanced_accuracy"])
    assert scores["balanced_accuracy"] == 1.0


def test_features_are_mixed_as_they_are_without_a_change_of_scale():
    data = make_features()
    recipe = Recipe.on_features("rows", "balanced_mixup", alpha=0.5, **FIELDS)
    plain = Recipe.on_features("rows", "instance", **FIELDS)
    (mixed, soft), *_ = MixedBatches(data, recipe, "cpu").epoch(1)
    (base, hard), *_ = MixedBatches(data, plain, "cpu").epoch(1)
    assert mixed.shape == (16, CHANNELS, 1, 1)
    rows = data.images[data.rows("train")].reshape(-1, CHANNELS)
    assert (base.flatten(1).numpy()[:, None] == rows).all(axis=2).any(axis=1).all()
    # lam is what is left of the base label, or all of it where both labels are one
    lam = 1 - (soft * hard).sum(dim=1).min()
    others = ((mixed - (1 - lam) * base) / lam).flatten(1).numpy()
    distance = np.abs(others[:, None] - rows).max(axis=2).min(axis=1)
    assert distance.max() < 1e-4


def test_augmented_features_are_refused_with_what_to_use():
    recipe = Recipe(model="linear", **FIELDS)
    with pytest.raises(BmixError, match=r"augment must be 'none' .* Recipe.on_features says so"):
        train_head(recipe, make_features())


def test_networks_and_data_that_do_not_fit_are_named():
    with pytest.raises(BmixError, match="got 100: small_cnn reads images, features are read by"):
        make_model("small_cnn", 3, CHANNELS, seed=0)
    with pytest.raises(BmixError, match="linear reads features, not images of 28 pixels"):
        make_model("linear", 3, 1, seed=0, side=28)


def test_a_head_interrupted_after_each_epoch_has_the_history_of_an_uninterrupted_one(tmp_path):
    recipe = Recipe.on_features("rows", "balanced_mixup", **FIELDS)
    data = make_features()
    whole, history = train_head(recipe, data)
    for done in range(1, 5):
        model = make_head(recipe)
        epochs = train(model, data, recipe, checkpoint=tmp_path / "c.pt", device="cpu")
        records = [next(epochs) for _ in range(done)]
        epochs.close()
    model = make_head(recipe)
    records = list(train(model, data, recipe, checkpoint=tmp_path / "c.pt", device="cpu"))
    assert without_seconds(records) == without_seconds(history)
    assert digest(model) == digest(whole)


def test_the_head_of_a_finished_run_is_rescaled_and_retrained():
    data = make_features(noise=0.1)
    recipe = Recipe.on_features("rows", "instance", **FIELDS)
    model, _ = train_head(recipe, data)
    val = data.rows("val")

    def predict_with(tau):
        return predict(normalise_classifier(model, tau), data.images, val, device="cpu")

    assert choose_tau(data.labels[val], predict_with)[1][1.0] == 1.0
    before = model[-1].weight.detach().clone()
    list(retrain_classifier(model, data, recipe, epochs=2, device="cpu"))
    assert not before.equal(model[-1].weight)


def test_dropout_of_a_half_keeps_each_value_doubled_or_not_at_all():
    layer = HalfDropout()
    x = torch.rand(300, CHANNELS) + 1
    with seeded(0):
        dropped = layer(x)
    with seeded(0):
        assert dropped.equal(layer(x))
    kept = dropped != 0
    assert dropped[kept].equal(2 * x[kept])
    assert abs(kept.float().mean() - 0.5) < 5 * 0.5 / np.sqrt(kept.numel())
    # neighbours, in a row and in a column, and values of one byte are dropped independently
    signs = 2.0 * kept.float() - 1
    for other in (signs.roll(1, 0), signs.roll(1, 1), signs.roll(7, 1)):
        assert abs((signs * other).mean()) < 5 / np.sqrt(kept.numel())
    assert layer.eval()(x) is x
    assert not layer.state_dict()


def test_the_linear_head_is_one_layer_whose_gradient_is_that_of_the_kept_features():
    model = make_model("linear", 3, CHANNELS, seed=0)
    x = torch.rand(5, CHANNELS, 1, 1)
    expected = x.flatten(1).numpy() @ model[-1].weight.detach().numpy().T
    expected += model[-1].bias.detach().numpy()
    assert model.eval()(x).detach().numpy() == pytest.approx(expected, abs=1e-6)


def test_a_recipe_on_features_is_one_call_and_its_fields_can_be_set():
    recipe = Recipe.on_features("data/cells-net", "mixup", lr=0.01, seed=3)
    assert (recipe.model, recipe.augment, recipe.optimizer) == ("linear", "none", "adamw")
    assert (recipe.method, recipe.lr, recipe.seed) == ("mixup", 0.01, 3)
    assert Recipe.on_features("f").method == "balanced_mixup"


def test_the_grid_of_heads_is_the_recipe_on_features_with_every_method():
    grid = read_grid_file(ROOT / "notebooks/heads.yaml", {})
    for row in grid:
        assert row.items() >= ON_FEATURES.items()
    left_out = {"logit_adjusted"}
    left_out |= {name for name, row in METHODS.items() if row.get("mixing") in NEEDS_PLACES}
    assert {row["method"] for row in grid} == METHODS.keys() - left_out
