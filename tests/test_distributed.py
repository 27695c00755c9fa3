"""Several processes train one network: no image lost or doubled, sampled as by one process."""

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bmix_lite.batches import MixedBatches
from bmix_lite.data.datasets import load
from bmix_lite.data.imageset import ImageSet
from bmix_lite.recipe import Recipe
from conftest import ROOT

CPU = torch.device("cpu")


def numbered(images):
    """A dataset of grey images that are their own number."""
    labels = np.sort(np.arange(images) % 7 % 3)
    pixels = np.arange(images, dtype=np.uint8).reshape(-1, 1, 1, 1)
    return ImageSet(
        pixels, labels, ("a", "b", "c"), split=np.full(images, "train"), name="numbered"
    )


def shares_of(data, recipe, world_size, epoch=1):
    """[step][process] of (images, labels)."""
    ranks = [
        list(MixedBatches(data, recipe, CPU, rank, world_size).epoch(epoch))
        for rank in range(world_size)
    ]
    assert len({len(batches) for batches in ranks}) == 1, "some process would wait for ever"
    return list(zip(*ranks, strict=True))


@pytest.mark.parametrize("images", [64, 65, 67, 79])
@pytest.mark.parametrize("world_size", [2, 3])
def test_no_image_of_a_base_epoch_is_lost_or_doubled(images, world_size):
    recipe = Recipe(batch_size=5, augment="none")
    steps = shares_of(numbered(images), recipe, world_size)
    seen = torch.cat([x for step in steps for x, _ in step]).flatten().mul(255).round().int()
    assert sorted(seen.tolist()) == list(range(images))


@pytest.mark.parametrize(
    "fields", [{"q": 0.0}, {"mixing": "balanced", "alpha": 0.3}, {"q": 0.5}], ids=str
)
def test_the_shares_of_a_step_are_the_batch_of_one_process_with_all_images(fields):
    recipe = Recipe(batch_size=8, augment="none", **fields)
    data = numbered(120)
    whole = list(MixedBatches(data, replace(recipe, batch_size=24), CPU).epoch(2))
    steps = shares_of(data, recipe, 3, epoch=2)
    assert len(whole) == len(steps)
    for one, shares in zip(whole, steps, strict=True):
        for rank, share in enumerate(shares):
            for theirs, ours in zip(one, share, strict=True):
                assert ours.equal(theirs[rank::3])


def test_processes_augment_and_draw_a_lam_for_each_image_by_themselves():
    recipe = Recipe(batch_size=8, mixing="balanced", alpha=0.5, lam_per="image", augment="none")
    data = replace(numbered(64), images=np.zeros((64, 1, 1, 1), np.uint8))
    (first, second), *_ = shares_of(data, recipe, 2)
    weights = [labels.max(dim=1).values for _, labels in (first, second)]
    assert not weights[0].equal(weights[1])
    ramp = np.broadcast_to(np.arange(0, 240, 30, dtype=np.uint8)[:, None, None], (64, 8, 8, 1))
    (first, second), *_ = shares_of(
        replace(data, images=ramp), Recipe(batch_size=8, augment="flips"), 2
    )
    assert not first[0].equal(second[0])


def test_torchrun_trains_one_network_on_two_processes(tmp_path):
    program = Path(sys.executable).with_name("torchrun")  # as the file itself and README print it
    command = [program, "--standalone", "--nproc-per-node=2"]
    command += ["notebooks/distributed.py", "balanced_mixup", "epochs=6", "batch_size=16"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    result = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 0, result.stderr[-2000:]
    steps = -(-len(load("digits_lt").rows("train")) // 32)
    for rank in range(2):
        assert (
            f"process {rank} of 2: {steps} steps per epoch, the same weights as all"
            in result.stdout
        )
    scores = [
        float(value)
        for value in re.findall(r"epoch \d: val_balanced_accuracy (\d\.\d+)", result.stdout)
    ]
    assert len(scores) == 6
    assert scores[-1] > 0.2  # ten classes by chance: 0.1
