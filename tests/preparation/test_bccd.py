"""Real medical images: blood cells cut from smears, split by smear, told apart by a network."""

import os
import subprocess
import sys

import numpy as np
import pytest

from bmix_lite.data.datasets import load
from bmix_lite.data.prepared import read_about, save_prepared
from bmix_lite.data.splits import assign_split
from bmix_lite.metrics import score
from bmix_lite.models import make_model
from bmix_lite.preparation.report import read_report
from bmix_lite.training import Recipe, predict, train
from conftest import ROOT
from tiny import choose

SMEARS = 120  # a third of all: with four epochs enough for a network to learn


@pytest.fixture(scope="module")
def cells(shared, tmp_path_factory):
    """(folder, what the script printed when it was called for the second time)."""
    folder = tmp_path_factory.mktemp("bccd") / "bccd"
    script = ROOT / "data_scripts/get_bccd.py"
    command = [sys.executable, script, "--from", shared / "data/bccd", "--out", folder]
    for _ in range(2):
        done = subprocess.run(command, capture_output=True, text=True, env=os.environ)
        assert done.returncode == 0, done.stderr
    return folder, done.stdout


def test_the_real_smears_hold_the_counts_that_are_known(cells):
    folder, printed = cells
    data = load(folder, split=1)
    assert "licence  MIT" in printed
    assert "4886 of 4888 images prepared" in printed
    assert read_about(folder)["licence"] == "MIT"
    assert read_report(folder).counts()["box"] == 2
    assert data.images.shape == (4886, 32, 32, 3)
    assert data.class_names == ("RBC", "WBC", "Platelets")
    assert np.bincount(data.labels).tolist() == [4155 - 2, 372, 361]
    assert len(set(data.groups)) == 364


def test_no_smear_lies_on_both_sides_and_all_folds_test_on_the_smears_of_the_publisher(cells):
    for fold in range(5):
        data = load(cells[0], split=fold)
        sides = [set(data.groups[data.rows(part)]) for part in ("train", "val", "test")]
        smears = 364 if fold == 0 else 364 - 87  # whose validation is set aside
        assert sum(map(len, sides)) == len(set.union(*sides)) == smears
        assert len(sides[2]) == 72
        if fold == 0:
            assert list(map(len, sides)) == [205, 87, 72]


@pytest.mark.parametrize("smears", [SMEARS, pytest.param(364, marks=pytest.mark.nightly)])
def test_a_small_network_learns_to_tell_blood_cells_of_unseen_smears(cells, tmp_path, smears):
    images = load(cells[0], split=0)
    some = choose(images, np.isin(images.groups, np.unique(images.groups)[:smears]))
    save_prepared(assign_split(some), tmp_path / "bccd")
    data = load(str(tmp_path / "bccd"))
    recipe = Recipe.make(
        "balanced_mixup", dataset=str(tmp_path / "bccd"), epochs=4, batch_size=64, augment="flips"
    )
    network = make_model("small_cnn", 3, 3, seed=0)
    list(train(network, data, recipe))
    rows = data.rows("test")
    scores = score(data.labels[rows], predict(network, data.images, rows))
    assert scores["balanced_accuracy"] >= 0.95
