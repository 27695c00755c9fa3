import numpy as np
import pytest
import torch
from sklearn.metrics import recall_score
from torch import nn

from bmix_lite.base.errors import BmixError
from bmix_lite.course.boundary.regions import (
    predict_regions,
    sample_mixed,
    toy_recipe,
    train_boundary,
)
from bmix_lite.course.boundary.toys import GRID, make_toy
from bmix_lite.models import make_model
from bmix_lite.recipe import Recipe
from bmix_lite.training import predict, train
from examples import make_images

SHORT = dict(epochs=3)
ALL = [("instance", None), ("class_balanced", None), ("mixup", 0.4), ("balanced_mixup", 0.2)]


class Recorder(nn.Module):
    """A network that keeps what it is fed while it trains."""

    def __init__(self, classes):
        super().__init__()
        self.inner, self.fed = nn.Linear(2, classes), []

    def forward(self, x):
        if self.training:
            self.fed[-1].append(x[:, :, 0, 0].clone())
        return self.inner(x[:, :, 0, 0])


@pytest.fixture(scope="module")
def blobs():
    return make_toy("blobs", 30)


@pytest.mark.parametrize("lam_per", ["image", "batch"])
@pytest.mark.parametrize(("method", "alpha"), [*ALL, ("progressive", None)])
def test_the_sampled_points_are_what_training_feeds_the_network(blobs, method, alpha, lam_per):
    recipe = Recipe.make(
        method, alpha=alpha, epochs=3, seed=5, model="mlp", augment="none", lam_per=lam_per
    )
    model = Recorder(3)
    model.fed.append([])
    for record in train(model, blobs, recipe, device="cpu"):
        points, soft = sample_mixed(blobs, recipe, epoch=record["epoch"])
        assert np.array_equal(points, torch.cat(model.fed[-1]).numpy())
        assert soft.sum(axis=1) == pytest.approx(np.ones(len(points)), abs=1e-6)
        model.fed.append([])


def test_a_mixed_point_lies_on_the_line_between_points_of_the_classes_of_its_soft_label(blobs):
    points, soft = sample_mixed(blobs, toy_recipe("balanced_mixup", alpha=1), 60)
    known = [
        blobs.images[(blobs.labels == j) & (blobs.split == "train"), 0, 0] / 255 for j in range(3)
    ]
    two = np.flatnonzero((soft > 0).sum(axis=1) == 2)
    assert len(two) > 10
    for row in two:
        first, second = np.flatnonzero(soft[row])
        lines = soft[row, first] * known[first][:, None] + soft[row, second] * known[second][None]
        assert np.abs(lines - points[row]).sum(axis=2).min() < 1e-5


def test_points_of_a_recipe_that_does_not_mix_are_the_training_points_themselves(blobs):
    points, soft = sample_mixed(blobs, toy_recipe("instance"))
    known = blobs.images[blobs.rows("train"), 0, 0] / 255
    assert sorted(map(tuple, points.round(5))) == sorted(
        map(tuple, known.astype(np.float32).round(5))
    )
    assert soft.sum(axis=0).tolist() == blobs.counts().tolist()


def test_a_shorter_sample_is_the_beginning_of_a_longer_one(blobs):
    recipe = toy_recipe("mixup", alpha=0.3)
    short, long = sample_mixed(blobs, recipe, 50, epoch=2), sample_mixed(blobs, recipe, epoch=2)
    assert [len(part) for part in short] == [50, 50]
    assert len(long[0]) == blobs.counts().sum()
    assert all(np.array_equal(a, b[:50]) for a, b in zip(short, long, strict=True))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(size=0), r"size must lie in 1\.\.486, got 0"),
        (dict(size=487), r"size must lie in 1\.\.486, got 487"),
        (dict(epoch=0), r"epoch must lie in 1\.\.40, got 0"),
        (dict(epoch=41), r"epoch must lie in 1\.\.40, got 41"),
    ],
)
def test_points_that_cannot_be_sampled_are_refused(blobs, options, message):
    with pytest.raises(BmixError, match=message):
        sample_mixed(blobs, toy_recipe("instance"), **options)


def test_images_are_not_points():
    with pytest.raises(BmixError, match=r"images of a toy are \(n, 1, 1, 2\)"):
        sample_mixed(make_images(), toy_recipe("instance"))


def test_regions_are_predictions_at_the_places_of_the_grid():
    class Corner(nn.Module):
        def forward(self, x):
            x, y = x[:, 0, 0, 0], x[:, 1, 0, 0]
            return torch.stack([torch.full_like(x, 0.5), y, x * (y < 0.5)], dim=1)

    regions = predict_regions(Corner())
    steps = np.arange(GRID) / (GRID - 1)
    assert regions.shape == (GRID, GRID)
    assert regions.dtype == np.uint8
    expected = np.where(
        steps[:, None] > 0.5, 1, np.where((steps[None] > 0.5) & (steps[:, None] < 0.5), 2, 0)
    )
    assert np.array_equal(regions, expected)


def test_regions_and_recall_are_those_of_a_plain_training(blobs):
    recipe = toy_recipe("balanced_mixup", alpha=0.2, **SHORT)
    model = make_model("mlp", 3, 2, seed=0)
    rows, records = blobs.rows("test"), iter(train_boundary(blobs, recipe))
    for record in train(model, blobs, recipe, device="cpu"):
        ours = next(records)
        found = predict(model, blobs.images, rows, device="cpu").argmax(axis=1)
        assert ours["epoch"] == record["epoch"]
        assert ours["recall"] == pytest.approx(
            recall_score(blobs.labels[rows], found, average=None)
        )
        assert np.array_equal(ours["regions"], predict_regions(model))
    assert next(records, None) is None


@pytest.mark.parametrize(
    ("every", "kept"),
    [(1, [1, 2, 3, 4, 5]), (2, [2, 4, 5]), (9, [5]), ((1, 3), [1, 3, 5]), ((), [5])],
)
def test_the_epochs_asked_for_and_the_last_are_kept(every, kept):
    data = make_toy("rings", 100)
    assert [
        r["epoch"] for r in train_boundary(data, toy_recipe("instance", epochs=5), every)
    ] == kept


@pytest.mark.parametrize("every", [0, -1])
def test_an_impossible_step_is_refused(every):
    with pytest.raises(BmixError, match=rf"every must be at least 1, got {every}"):
        list(train_boundary(make_toy("rings", 100), toy_recipe("instance"), every))


@pytest.mark.parametrize(("method", "alpha"), ALL)
def test_the_recipe_of_a_toy_is_its_method_without_augmentation(method, alpha):
    recipe = toy_recipe(method, alpha=alpha, seed=3)
    assert (recipe.method, recipe.alpha, recipe.seed) == (method, alpha or 0, 3)
    assert (recipe.model, recipe.augment, recipe.lam_per) == ("mlp", "none", "image")
