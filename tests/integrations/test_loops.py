"""The three lines in the loops of other frameworks: each draws new epochs, and what it should."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest
import scipy.stats

from bmix_lite import mixed_class_probabilities
from conftest import miss

from .loops import COUNTS, EPOCHS, LABELS, PAIRS

PROGRAM = [str(__file__).replace("test_loops", "loops")]
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
CASES = [
    ("plain", 1),
    ("plain", 2),
    ("lightning", 1),
    ("lightning", 2),
    ("accelerate", 1),
    ("accelerate", 2),
    ("transformers", 1),
    ("transformers", 2),
    ("fastai", 1),
    ("skorch", 1),
    ("monai", 1),
]
IN_CI = ("plain", "lightning", "accelerate")  # the others are part of `make integrations`


def run(framework, processes, out):
    """What each rank drew: [(base, balanced, label mass) per step]."""
    torchrun = TORCHRUN if processes > 1 and framework != "lightning" else []
    command = [sys.executable, *torchrun, *PROGRAM, framework, str(out), str(processes)]
    calm = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | calm, cwd=out)
    assert done.returncode == 0, done.stderr[-3000:]
    files = sorted(out.glob("?.json"))
    assert len(files) == processes
    return [json.loads(file.read_text()) for file in files]


@pytest.mark.parametrize(("framework", "processes"), CASES)
def test_each_epoch_is_new_and_whole_and_holds_the_label_mass_of_the_closed_form(
    framework, processes, tmp_path
):
    if framework != "plain" and find_spec(framework) is None:
        if framework in IN_CI:
            miss(f"{framework} is not installed")
        pytest.skip(f"{framework} is not installed: make integrations")
    ranks = run(framework, processes, tmp_path)
    steps = len(LABELS) // (PAIRS * processes)
    assert [len(rank) for rank in ranks] == [steps * EPOCHS] * processes
    epochs = []
    for epoch in range(EPOCHS):
        ours = [rank[epoch * steps : (epoch + 1) * steps] for rank in ranks]
        base = [number for rank in ours for drawn, _, _ in rank for number in drawn]
        assert sorted(base) == list(range(len(LABELS)))  # so ranks share none
        epochs.append(base)
    assert len(set(map(tuple, epochs))) == EPOCHS
    balanced = [number for rank in ranks for _, drawn, _ in rank for number in drawn]
    assert scipy.stats.chisquare(np.bincount(LABELS[balanced])).pvalue > 1e-3
    mass = np.array([labels for rank in ranks for _, _, labels in rank]) / PAIRS
    z = mass.mean(0) - mixed_class_probabilities(COUNTS, 1.0, 0.2)
    z /= mass.std(0, ddof=1) / np.sqrt(len(mass))
    assert np.abs(z).max() < 3.5
