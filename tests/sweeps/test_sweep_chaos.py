"""Sweeps whose kernels and runners are killed, frozen and starved: nothing complete is lost."""

import os
import random
import resource
import signal
import subprocess
import time

import pandas as pd
import pytest

from bmix_lite.base.errors import BmixError
from bmix_lite.runs.complete import is_complete, list_complete
from bmix_lite.runs.reading import read_runs
from bmix_lite.sweeps.plans import SWEEP
from bmix_lite.sweeps.progress import read_progress
from bmix_lite.sweeps.sweep import expand_grid, plan_runs, run_grid
from conftest import miss
from toy_sweeps import (
    contents,
    end,
    is_alive,
    kernels,
    kill_group,
    results,
    start_sweep,
    statuses,
    sweep,
    wait_until,
    write_light,
    write_notebook,
)

SEEDS = 5


@pytest.fixture(scope="module")
def notebook(tmp_path_factory):
    return write_light(tmp_path_factory.mktemp("chaos"))


@pytest.fixture(scope="module")
def undisturbed(notebook):
    """(results, files) of a grid that nobody disturbed."""
    out = notebook.parent / "undisturbed"
    endings = run_grid(notebook, expand_grid(seed=range(SEEDS)), out, jobs=4, progress=False)
    assert [ending.status for ending in endings] == ["complete"] * SEEDS
    return results(read_runs(out)), out


def gone(out):
    wait_until(lambda: not any(is_alive(pid) for pid, _ in kernels(out)), "no kernel is left", 20)


@pytest.mark.parametrize("tries", [2, pytest.param(6, marks=pytest.mark.nightly)])
def test_a_runner_killed_at_random_moments_loses_nothing_and_the_table_is_the_undisturbed_one(
    notebook, undisturbed, tmp_path, tries
):
    rng, done, kills = random.Random(0), {}, 0
    grid = expand_grid(seed=range(SEEDS))
    for _ in range(tries):
        already = len(kernels(tmp_path))
        process = start_sweep(notebook, tmp_path, "--grid", f"seed=0:{SEEDS}")
        wait_until(
            lambda n=already, p=process: len(kernels(tmp_path)) > n or p.poll() is not None,
            "a kernel begins",
        )
        time.sleep(rng.uniform(0, 0.7))
        kills += process.poll() is None
        kill_group(process)
        complete = list_complete(tmp_path, plan_runs(notebook, grid, tmp_path).tasks)
        assert set(done) <= complete
        assert all(contents(tmp_path / run_id) == files for run_id, files in done.items())
        gone(tmp_path)
        done = {run_id: contents(tmp_path / run_id) for run_id in complete}
        if len(complete) == SEEDS:
            break
    assert kills > 0
    endings = run_grid(notebook, grid, tmp_path, progress=False)
    assert all(ending.good for ending in endings)
    assert sum(ending.status == "reused" for ending in endings) >= len(done)
    assert results(read_runs(tmp_path)) == undisturbed[0]
    assert len(kernels(tmp_path)) <= SEEDS + 2 * kills


@pytest.mark.parametrize("signals", [(signal.SIGTERM,), (signal.SIGINT, signal.SIGINT)])
def test_a_runner_that_is_asked_to_end_stops_its_kernels_and_says_how_to_go_on(
    notebook, tmp_path, signals
):
    gate, out = tmp_path / "gate", tmp_path / "out"
    process = start_sweep(
        notebook, out, "--grid", "how=wait", "--grid", f"gate={gate}", "--grid", "seed=0:2"
    )
    wait_until(lambda: len(kernels(out)) == 2, "both runs have begun")
    for number in signals:
        # as a terminal does it: kernels are in sessions of their own
        os.killpg(process.pid, number)
        time.sleep(0.1)
    code, _, err = end(process)
    assert code == 130
    assert err.strip() == "stopped. What is complete is kept; the same command goes on from there."
    assert list(statuses(out).values()) == ["interrupted"] * 2
    gone(out)
    gate.touch()
    grid = [{"how": "wait", "gate": str(gate), "seed": seed} for seed in range(2)]
    assert [ending.status for ending in run_grid(notebook, grid, out, progress=False)] == [
        "complete"
    ] * 2


def test_a_frozen_runner_keeps_its_folder_and_goes_on_when_it_is_thawed(notebook, tmp_path):
    gate, out = tmp_path / "gate", tmp_path / "out"
    process = start_sweep(notebook, out, "--grid", "how=wait", "--grid", f"gate={gate}")
    ((kernel, parent),) = wait_until(lambda: kernels(out), "the run has begun")
    assert parent == process.pid
    for pid in (process.pid, kernel):
        os.kill(pid, signal.SIGSTOP)
    for _ in range(2):
        with pytest.raises(
            BmixError, match=rf"the experiment {out} is in use by process {process.pid} on "
        ):
            run_grid(notebook, [{"how": "wait", "gate": str(gate)}], out)
    gate.touch()
    for pid in (kernel, process.pid):
        os.kill(pid, signal.SIGCONT)
    code, printed, _ = end(process)
    assert code == 0
    assert "1 complete" in printed
    assert len(kernels(out)) == 1


def test_a_runner_killed_with_a_lock_in_hand_blocks_nobody(notebook, tmp_path, monkeypatch):
    gate, out = tmp_path / "gate", tmp_path / "out"
    process = start_sweep(notebook, out, "--grid", "how=wait", "--grid", f"gate={gate}")
    wait_until(lambda: kernels(out), "the run has begun")
    kill_group(process)
    assert (out / SWEEP / "lock").read_text().startswith(f"process {process.pid} ")
    gate.touch()
    (ending,) = run_grid(notebook, [{"how": "wait", "gate": str(gate)}], out, progress=False)
    assert ending.status == "complete"
    gone(out)


def test_kernels_that_start_together_do_not_clash(notebook, undisturbed, tmp_path):
    endings = run_grid(notebook, expand_grid(seed=range(8)), tmp_path, jobs=4, progress=False)
    assert [ending.status for ending in endings] == ["complete"] * 8
    assert len({pid for pid, _ in kernels(tmp_path)}) == len(kernels(tmp_path)) == 8


def mount(*arguments):
    if (
        os.geteuid() != 0
        or subprocess.run(["mount", *map(str, arguments)], capture_output=True).returncode
    ):
        miss("this machine lets nobody mount a small disk")


@pytest.fixture
def disk(tmp_path):
    """A folder that is a disk of 1 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount("-t", "tmpfs", "-o", "size=1m", "bmix", folder)
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_disk_that_fills_up_is_told_harms_nothing_that_is_complete_and_can_be_gone_on_from(
    notebook, disk
):
    good, full = run_grid(notebook, [{"seed": 1}, {"how": "fill"}], disk, jobs=1, progress=False)
    assert (good.status, full.status) == ("complete", "failed")
    assert "No space left on device" in full.error
    before = contents(good.folder)
    with pytest.raises(
        BmixError,
        match=rf"nothing can be written to {disk}: .*No space left on device, \S+ MB needed",
    ):
        run_grid(notebook, [{"how": "fill"}], disk, progress=False)
    assert contents(good.folder) == before
    assert not is_complete(full.folder)
    mount("-o", "remount,size=64m", disk)
    endings = run_grid(notebook, [{"seed": 1}, {"how": "fill"}], disk, jobs=1, progress=False)
    assert [ending.status for ending in endings] == ["reused", "complete"]
    assert contents(good.folder) == before


def test_a_disk_that_becomes_read_only_is_told_and_can_be_gone_on_from(notebook, tmp_path):
    gate, out = tmp_path / "gate", tmp_path / "out"
    grid = [{"how": "wait", "gate": str(gate)}]
    (task,) = plan_runs(notebook, grid, out).tasks.values()
    task.folder.mkdir(parents=True)
    mount("-t", "tmpfs", "-o", "size=4m", "bmix", task.folder)
    try:
        process = start_sweep(notebook, out, "--grid", "how=wait", "--grid", f"gate={gate}")
        wait_until(lambda: kernels(out), "the run has begun")
        wait_until(
            lambda: not subprocess.run(["mount", "-o", "remount,ro", task.folder]).returncode,
            "no file is open",
        )
        gate.touch()
        code, printed, err = end(process)
        assert (code, err) == (1, "")
        assert "Read-only file system" in printed.splitlines()[-1]
        assert list(statuses(out).values()) == ["failed"]
        mount("-o", "remount,rw", task.folder)
        (ending,) = run_grid(notebook, grid, out, progress=False)
        assert ending.status == "complete"
    finally:
        subprocess.run(["umount", "--lazy", task.folder], check=True)


def test_a_folder_on_a_read_only_disk_is_refused_before_any_kernel(notebook, disk):
    mount("-o", "remount,ro", disk)
    with pytest.raises(BmixError, match=r"its lock cannot be written \(.*Read-only file system"):
        run_grid(notebook, [{}], disk / "out")


def test_few_open_files_no_home_and_a_full_temporary_folder_are_borne_or_told(
    notebook, tmp_path, disk
):
    """Each is either borne, or the ending says in words what is missing."""
    with pytest.raises(OSError, match="No space left"):
        (disk / "big").write_bytes(bytes(1 << 21))
    few = {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))}
    cases = {
        "few": (few, "Too many open files"),
        "home": ({"env": os.environ | {"HOME": "/dev/null/home"}}, "/dev/null/home"),
        "temporary": (
            {"env": os.environ | {"TMPDIR": str(disk)}},
            "No space left|No usable temporary directory",
        ),
    }
    running = {
        name: start_sweep(notebook, tmp_path / name, **options)
        for name, (options, _) in cases.items()
    }
    for name, process in running.items():
        code, printed, err = end(process)
        words = cases[name][1].split("|")
        assert code == 0 or any(word in printed + err for word in words), (name, code, printed, err)
        assert "Traceback" not in err


TRAINING = """from pathlib import Path
from bmix_lite.checkpoints import save_model
from bmix_lite.data.datasets import load
from bmix_lite.models import make_model
from bmix_lite.runs.folder import open_run, save_run
from bmix_lite.training import Recipe, predict, train
fields = {"dataset": dataset, "split": split, "alpha": alpha, "lr": lr, "epochs": epochs}
recipe = Recipe.make(method, **fields, seed=seed)
data, folder = load(recipe.dataset, split=recipe.split), Path(run_folder)
network = make_model(recipe.model, len(data.class_names), data.images.shape[3], seed=recipe.seed)
open_run(folder, recipe, data)"""
EPOCHS = """import os, time
with open(folder.parent / f"{folder.name}.pids", "a") as file:
    file.write(f"{os.getpid()} {os.getppid()}\\n")
history = []
for record in train(network, data, recipe, checkpoint=folder / "checkpoint.pt"):
    history.append(record)
    while record["epoch"] == epochs - 1 and not Path(gate).exists():  # whoever kills is in time
        time.sleep(0.02)"""
SAVES = """rows = {split: data.rows(split) for split in ("val", "test")}
predictions = {split: predict(network, data.images, rows[split]) for split in rows}
save_model(network, folder / "model.pt")
save_run(folder, data, history, predictions)"""


def test_a_training_whose_kernel_and_runner_are_killed_ends_bit_for_bit_as_an_undisturbed_one(
    tmp_path,
):
    notebook = write_notebook(tmp_path / "train.ipynb", TRAINING, EPOCHS, SAVES)
    gate, rng = tmp_path / "gate", random.Random(0)
    words = ["method=balanced_mixup", "alpha=0.2", "epochs=8", f"gate={gate}"]
    grid = [{"method": "balanced_mixup", "alpha": 0.2, "epochs": 8, "gate": str(gate)}]
    (task,) = plan_runs(notebook, grid, tmp_path / "killed").tasks.values()

    def epoch():
        return read_progress(task.folder).get("epoch", 0)

    given = [part for word in words for part in ("--grid", word)]
    process = start_sweep(notebook, tmp_path / "killed", *given)
    wait_until(lambda: epoch() >= 2, "two epochs")
    time.sleep(rng.uniform(0, 0.3))
    ((first, _),) = kernels(tmp_path / "killed")
    os.kill(first, signal.SIGKILL)
    reached = epoch()
    wait_until(
        lambda: len(kernels(tmp_path / "killed")) == 2 and epoch() > reached,
        "the second try goes on",
    )
    time.sleep(rng.uniform(0, 0.3))
    kill_group(process)
    gate.touch()
    code, printed, err = sweep(notebook, tmp_path / "killed", *given, report=True)
    assert (code, err) == (0, "")
    assert "1 complete" in printed
    assert (tmp_path / "killed" / "report.html").exists()
    assert len(kernels(tmp_path / "killed")) == 3
    (whole,) = run_grid(notebook, grid, tmp_path / "whole", progress=False)
    for name in ("model.pt", "history.csv", "predictions.csv", "metrics.json"):
        if name == "metrics.json":  # recipe.json, hashed there, is equal, too: same machine
            assert (task.folder / "recipe.json").read_bytes() == (
                whole.folder / "recipe.json"
            ).read_bytes()
        assert (task.folder / name).read_bytes() == (whole.folder / name).read_bytes(), name
    assert pd.read_csv(whole.folder / "history.csv")["epoch"].tolist() == list(range(1, 9))
    assert not list(task.folder.glob("checkpoint*"))
    assert list(statuses(tmp_path / "killed").values()) == ["complete"]


def test_a_kernel_that_is_killed_as_soon_as_it_is_there_is_given_up_after_its_tries(
    notebook, tmp_path
):
    process = start_sweep(notebook, tmp_path, "--grid", "how=sleep", "--retries", "2")
    killed = set()

    def kill_new():
        for pid, _ in kernels(tmp_path):
            if pid not in killed:
                killed.add(pid)
                os.kill(pid, signal.SIGKILL)
        return process.poll() is not None

    wait_until(kill_new, "the runner gives up")
    code, printed, _ = end(process)
    assert code == 1
    assert len(killed) == 3
    assert "killed: the kernel died in cell" in printed.splitlines()[-1]
    assert "exit code -9" in printed.splitlines()[-1]
    assert (tmp_path / "ledger.jsonl").read_text().count('"killed"') == 3
