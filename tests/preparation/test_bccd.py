"""Real medical images: blood cells cut from smears, split by smear, told apart by a network."""

import pytest

from bmix_lite.data.datasets import load
from bmix_lite.data.prepared import save_prepared
from bmix_lite.data.splits import assign_split
from bmix_lite.metrics import score
from bmix_lite.models import make_model
from bmix_lite.preparation.prepare import prepare
from bmix_lite.preparation.report import read_report
from bmix_lite.training import Recipe, predict, train

CELLS = ("RBC", "WBC", "Platelets")


@pytest.fixture(scope="module")
def cells(shared, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bccd") / "cells"
    names = {name: name for name in CELLS}
    options = dict(size=32, fit="stretch", class_names=names, on_bad="skip", jobs=1, progress=False)
    images = prepare(shared / "data/bccd", folder, **options)
    return images, read_report(folder).counts()["box"]


def test_the_real_smears_hold_the_counts_that_are_known(cells):
    images, degenerate = cells
    assert len(set(images.groups)) == 364
    assert degenerate == 2
    assert len(images.labels) == 4155 + 372 + 361 - 2


def test_no_smear_lies_on_both_sides_of_a_split(cells):
    images, _ = cells
    for fold in range(5):
        split = assign_split(images, fold=fold)
        sides = [set(images.groups[split.rows(part)]) for part in ("train", "val", "test")]
        assert sum(map(len, sides)) == len(set.union(*sides)) == 364


def test_a_small_network_learns_to_tell_blood_cells_of_unseen_smears(cells, tmp_path):
    save_prepared(assign_split(cells[0]), tmp_path / "bccd")
    data = load(str(tmp_path / "bccd"))
    recipe = Recipe.make(
        "balanced_mixup", dataset=str(tmp_path / "bccd"), epochs=4, batch_size=64, augment="flips"
    )
    network = make_model("small_cnn", 3, 3, seed=0)
    list(train(network, data, recipe))
    rows = data.rows("test")
    scores = score(data.labels[rows], predict(network, data.images, rows))
    assert scores["balanced_accuracy"] >= 0.95
