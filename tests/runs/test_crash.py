"""kill -9 in every stage: the files end up the same, and code that forgets is found out."""

import hashlib
import multiprocessing
import os
import random
import signal
import time
from collections import Counter
from dataclasses import replace
from itertools import count
from threading import Timer

import numpy as np
import pandas as pd
import pytest
import torch

import examples
from bmix_lite import batches, checkpoints, samplers
from bmix_lite.base.errors import BmixError
from bmix_lite.checkpoints import HEADER, load_checkpoint, save_checkpoint
from bmix_lite.recipe import Recipe
from bmix_lite.runs.complete import is_complete

# imports once, so that a process starts in milliseconds
SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(
    ["pytest", "torch._dynamo", "bmix_lite.training", "bmix_lite.runs.folder"]
)

STAGES = [
    "starting",
    "training step",
    "validating",
    "writing checkpoint",
    "between epochs",
    "saving results",
]
RESULTS = ("model.pt", "history.csv", "metrics.json", "predictions.csv")
RECIPE = Recipe(epochs=6, batch_size=16, lr=0.1, mixing="balanced", alpha=0.2, schedule="constant")
KILLS = 40


def make_images():
    """Held-out labels are wrong on purpose: whatever is learned, an early epoch stays the best."""
    data = examples.make_images()
    return replace(data, labels=np.where(data.split == "train", data.labels, (data.labels + 1) % 3))


def train_in_folder(folder, stage, mutant, aim=None):
    """The process that is killed: one run to its end, from where it was; `stage` says how far.

    aim: it kills itself a moment after it reaches this stage with two checkpoints on disk; None:
    others kill it.
    """
    if mutant:
        MUTANTS[mutant]()
    seen = []

    def mark(name):
        stage.value = STAGES.index(name)
        seen.append(name)
        if name == aim and seen.count("between epochs") >= 2:
            Timer(random.uniform(0, 0.002), os.kill, (os.getpid(), signal.SIGKILL)).start()

    def save(path, state, save=checkpoints.save_checkpoint):
        mark("writing checkpoint")
        save(path, state)
        mark("between epochs")

    def save_model(model, path, save=examples.save_model):
        watch.remove()
        mark("saving results")
        save(model, path)

    checkpoints.save_checkpoint = save
    examples.save_model = save_model
    if is_complete(folder):
        return
    data = make_images()
    model = examples.make_net(RECIPE, data)
    watch = model.register_forward_pre_hook(
        lambda net, _: mark("training step" if net.training else "validating")
    )
    examples.run_in_folder(folder, RECIPE, data, model)


def forget_the_optimiser(load=checkpoints.load_checkpoint):
    def load_without(path):
        state = load(path)
        return state and state | {"optimizer": state["optimizer"] | {"state": {}}}

    checkpoints.load_checkpoint = load_without


def share_one_generator_for_all_epochs():
    generator = np.random.default_rng(0)
    batches.stream = samplers.stream = lambda seed, purpose, epoch=0: generator


def write_checkpoints_in_place():
    """As on a disk that takes 0.2 s per file: a kill finds it half written on any machine."""

    def save_in_place(path, state):
        body = checkpoints._to_bytes(state)
        content = HEADER + hashlib.sha256(body).hexdigest().encode() + b"\n" + body
        with open(path, "wb", buffering=0) as file:
            for part in (content[:-1000], content[-1000:]):
                file.write(part)
                os.fsync(file.fileno())
                time.sleep(0.1)

    checkpoints.save_checkpoint = save_in_place


def forget_the_best_model(load=checkpoints.load_checkpoint):
    def load_without(path):
        state = load(path)
        return state and state | {"best": state["model"]}

    checkpoints.load_checkpoint = load_without


MUTANTS = {
    mutate.__name__: mutate
    for mutate in (
        forget_the_optimiser,
        share_one_generator_for_all_epochs,
        write_checkpoints_in_place,
        forget_the_best_model,
    )
}


def start(work, *arguments):
    process = SERVER.Process(target=work, args=arguments, daemon=True)
    process.start()
    return process


def wait_for(process, holds, seconds=30.0):
    """Wait until `holds()`, the process ends or time is up."""
    ends = time.perf_counter() + seconds
    while process.exitcode is None and not holds() and time.perf_counter() < ends:
        time.sleep(0.0002)


def read_results(folder):
    return {name: (folder / name).read_bytes() for name in RESULTS}


def finish(folder, mutant=None):
    """Let a run go on to its end; returns the seconds from its first step."""
    stage = SERVER.RawValue("i", 0)
    process = start(train_in_folder, folder, stage, mutant)
    wait_for(process, lambda: stage.value > 0)
    started = time.perf_counter()
    process.join(60)
    assert process.exitcode == 0
    return time.perf_counter() - started


def kill_once(folder, rng, seconds, aim=None, mutant=None):
    """Start a run and kill it, at a random moment or just after the stage `aim` is reached.

    Returns (exit code, stage).
    """
    stage = SERVER.RawValue("i", 0)
    process = start(train_in_folder, folder, stage, mutant)
    wait_for(process, lambda: stage.value > 0)
    if aim is None:  # the later half is reached by going on
        wait_for(process, lambda: False, rng.uniform(0, 0.5 * seconds))
    else:
        if aim != STAGES[-1]:
            wait_for(process, lambda: False, rng.uniform(0, 0.5 * seconds))
        wait_for(process, lambda: stage.value == STAGES.index(aim))
        wait_for(process, lambda: False, rng.uniform(0, 0.004))
    process.kill()
    process.join()
    return process.exitcode, STAGES[stage.value]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of a run that nobody killed."""
    folder = tmp_path_factory.mktemp("whole")
    finish(folder)
    return folder


@pytest.mark.parametrize("stage", STAGES[1:])
def test_a_run_killed_in_each_stage_ends_with_the_same_files(tmp_path, whole, stage):
    process = start(train_in_folder, tmp_path, SERVER.RawValue("i", 0), None, stage)
    process.join(60)
    assert process.exitcode == -9
    finish(tmp_path)
    assert read_results(tmp_path) == read_results(whole)


@pytest.mark.nightly
def test_a_run_killed_at_random_moments_ends_with_the_same_files(tmp_path, record_property):
    rng = random.Random(0)
    landed = []
    seconds = finish(tmp_path / "whole")
    expected = read_results(tmp_path / "whole")
    aims = [None, "writing checkpoint", None, "between epochs", None, None, "saving results", None]
    for number in count():
        folder = tmp_path / f"killed {number}"
        code = -9
        while code == -9 and len(landed) < KILLS:
            code, stage = kill_once(folder, rng, seconds, aims[len(landed) % len(aims)])
            assert code in (0, -9)
            if code == -9:
                landed.append(stage)
        if code == -9:
            finish(folder)
        assert read_results(folder) == expected
        if len(landed) == KILLS:
            break
    tally = Counter(landed)
    record_property("kills", dict(tally))
    print(f"{KILLS} kills in {number + 1} runs of {seconds:.2f} s: {dict(tally)}")
    assert {"training step", "writing checkpoint", "saving results"} <= set(tally)


@pytest.mark.parametrize("mutant", MUTANTS)
def test_the_same_kills_find_out_code_that_forgets(tmp_path, mutant):
    rng = random.Random(0)
    seconds = finish(tmp_path / "whole", mutant)
    expected = read_results(tmp_path / "whole")
    finish(tmp_path / "again", mutant)
    assert read_results(tmp_path / "again") == expected  # it is the kill that shows the fault
    scores = pd.read_csv(tmp_path / "whole" / "history.csv")["val_balanced_accuracy"]
    assert scores.argmax() < len(scores) / 2
    for number in range(KILLS // 2):
        folder = tmp_path / f"killed {number}"
        if mutant == "write_checkpoints_in_place":
            start(
                train_in_folder, folder, SERVER.RawValue("i", 0), mutant, "writing checkpoint"
            ).join(60)
        else:
            kill_once(folder, rng, seconds, mutant=mutant)
        process = start(train_in_folder, folder, SERVER.RawValue("i", 0), mutant)
        process.join(60)
        if process.exitcode != 0 or read_results(folder) != expected:
            return
    pytest.fail(f"{KILLS // 2} kills did not show the fault")


def save_for_ever(path, saved, mutant):
    if mutant:
        MUTANTS[mutant]()
    for number in count(saved.value + 1):
        state = {"number": number, "weights": torch.full((4_000_000,), float(number))}  # 16 MB
        (checkpoints.save_checkpoint if mutant else save_checkpoint)(path, state)
        saved.value = number


def find_loss(path, rng, kills, mutant=None):
    """Kill a writer of 16 MB checkpoints again and again; says how a state was lost, or None."""
    saved = SERVER.RawValue("i", 0)
    for _ in range(kills):
        process, known = start(save_for_ever, path, saved, mutant), saved.value
        wait_for(process, lambda known=known: saved.value > known)
        process.join(rng.uniform(0, 0.3))  # it makes and writes the next one
        process.kill()
        process.join()
        try:
            state = load_checkpoint(path) or {"number": 0, "weights": torch.zeros(1)}
        except BmixError as error:
            return str(error)
        if state["number"] not in (saved.value, saved.value + 1):
            return f"{state['number']} was loaded, {saved.value} had been saved"
        assert state["weights"].unique().tolist() == [state["number"]]
        assert {file.suffix for file in path.parent.iterdir()} <= {".pt", ".previous", ".new"}
        saved.value = state["number"]
    return None if saved.value > kills / 2 else f"only {saved.value} states were saved"


@pytest.mark.parametrize("kills", [6, pytest.param(40, marks=pytest.mark.nightly)])
def test_a_writer_killed_while_it_writes_leaves_the_last_or_the_next_checkpoint(tmp_path, kills):
    assert find_loss(tmp_path / "checkpoint.pt", random.Random(0), kills) is None


def test_the_same_kills_find_out_a_writer_that_is_not_atomic(tmp_path):
    mutant = "write_checkpoints_in_place"
    loss = find_loss(tmp_path / "checkpoint.pt", random.Random(0), 20, mutant)
    assert "damaged" in loss or "not a checkpoint" in loss
