"""Threads here; and a real Dask cluster on this machine, whose workers and scheduler are killed."""

import builtins
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest

from bmix_lite.base.errors import BmixError
from bmix_lite.base.files import write_json
from bmix_lite.runs.complete import TASK
from bmix_lite.runs.reading import read_runs
from bmix_lite.sweeps import pools
from bmix_lite.sweeps.kernels import Watch
from bmix_lite.sweeps.pools import Cluster, Threads
from bmix_lite.sweeps.sweep import run_grid
from bmix_lite.sweeps.tasks import Ending, Task
from conftest import miss
from toy_sweeps import PATIENCE, is_alive, kernels, results, statuses, wait_until, write_light

TASK_ONE = Task(Path("kept.ipynb"), Path("out/one"), {})


def make_tasks(number):
    return [replace(TASK_ONE, folder=Path(f"out/{place}")) for place in range(number)]


def test_each_device_has_one_run_at_a_time_and_all_are_used(monkeypatch):
    barrier, seen, busy = threading.Barrier(3), [], []

    def run_task(task, sweep, *, env, watches, **options):
        device = env["CUDA_VISIBLE_DEVICES"]
        assert device not in busy
        busy.append(device)
        barrier.wait(PATIENCE)  # breaks unless three run at a time
        seen.append(device)
        busy.remove(device)
        return Ending(task.folder, "complete")

    monkeypatch.setattr(pools, "run_task", run_task)
    pool = Threads(1, ("0", "2", "5"))
    assert pool.jobs == 3
    futures = [pool.submit(task, "sweep") for task in make_tasks(6)]
    assert all(future.result(PATIENCE).good for future in futures)
    pool.close()
    assert sorted(seen) == ["0", "0", "2", "2", "5", "5"]


def test_a_device_comes_back_from_a_run_that_broke(monkeypatch):
    monkeypatch.setattr(pools, "run_task", lambda *_, **__: 1 / 0)
    pool = Threads(1, ("7",))
    for task in make_tasks(3):
        with pytest.raises(ZeroDivisionError):
            pool.submit(task, "sweep").result(PATIENCE)
    pool.close()


def test_what_runs_is_told_with_its_cell(monkeypatch):
    gate, pool = threading.Event(), Threads(2)

    def run_task(task, sweep, *, watches, **_):
        watches[task.folder.name] = watch = Watch()
        watch.cell, watch.cells = 3, 20
        gate.wait(PATIENCE)
        watches.pop(task.folder.name)

    monkeypatch.setattr(pools, "run_task", run_task)
    futures = [pool.submit(task, "sweep") for task in make_tasks(3)]
    running = wait_until(lambda: len(pool.running([])) == 2 and pool.running([]))
    assert {run_id: cell for run_id, (_, cell) in running.items()} == {
        "0": "cell 3 of 20",
        "1": "cell 3 of 20",
    }
    assert all(0 <= seconds < PATIENCE for seconds, _ in running.values())
    gate.set()
    assert [future.result(PATIENCE) for future in futures] == [None] * 3
    assert pool.running([]) == {}
    pool.close()


def test_stopping_kills_what_runs_also_between_two_tries_and_begins_nothing_more(monkeypatch):
    begun, pool = [], Threads(1)

    def run_task(task, sweep, *, watches, **_):
        begun.append(task.folder.name)
        watches[task.folder.name] = Watch()  # a try that ends by itself just before the stop ...
        watches.pop(task.folder.name)
        time.sleep(0.2)
        watches[task.folder.name] = watch = Watch()  # ... and the next one
        wait_until(lambda: watch.stopped)
        watches.pop(task.folder.name)
        return watch.stopped

    monkeypatch.setattr(pools, "run_task", run_task)
    futures = [pool.submit(task, "sweep") for task in make_tasks(3)]
    wait_until(lambda: begun)
    pool.stop()
    assert futures[0].result(0) == "interrupted"
    assert all(future.cancelled() for future in futures[1:])
    assert begun == ["0"]


def test_dask_that_is_not_installed_is_told_with_what_to_install(monkeypatch):
    load = builtins.__import__

    def refuse(name, *rest):
        if name.split(".")[0] == "distributed":
            raise ImportError(name)
        return load(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(
        BmixError, match=r"scheduler: Dask is not installed: pip install bmix-lite\[cluster\]"
    ):
        Cluster("tcp://127.0.0.1:1")


@pytest.mark.parametrize("scheduler", ["nonsense://there", "", "no host:at all"])
def test_an_address_where_no_scheduler_answers_is_refused(scheduler):
    with pytest.raises(BmixError, match="scheduler: "):
        Cluster(scheduler)


def test_what_is_no_client_is_refused():
    with pytest.raises(BmixError, match="scheduler must be an address or a Client, got 5"):
        Cluster(5)


class NoClient:
    """As much of a Dask client as `Cluster` asks for."""

    def __init__(self, threads):
        self.threads = threads

    def nthreads(self):
        return self.threads

    def get_executor(self, pure):
        return ThreadPoolExecutor(1)


def test_a_cluster_tells_from_the_folders_what_runs_and_no_clock_makes_it_negative(tmp_path):
    pool = Cluster(NoClient({"a": 2, "b": 1}))
    assert pool.jobs == 3
    assert Cluster(NoClient({})).jobs == 1
    pool._sweep = "this"
    tasks = [replace(TASK_ONE, folder=tmp_path / str(number)) for number in range(8)]
    noted = [
        {"sweep": "this", "tries": 1},
        {"sweep": "other", "tries": 1},
        {"sweep": "this", "tries": 1, "wall": 3.0},
    ]
    noted += [
        {"sweep": "this", "tries": 2},
        None,
        {"sweep": "this", "tries": 1},
        {"sweep": "this", "tries": 1},
    ]
    for task, note in zip(tasks, noted, strict=False):
        if note:
            write_json(task.folder / TASK, note)
    os.utime(tasks[0].folder / TASK, (4_000_000_000, 4_000_000_000))
    running = pool.running(tasks)
    assert {run_id: text for run_id, (_, text) in running.items()} == {
        "0": "",
        "3": "try 2",
        "5": "",
    }  # jobs is 3
    assert running["0"][0] == 0


class Dask:
    """A scheduler and workers as processes of this machine."""

    def __init__(self, folder):
        self.file, self.processes = folder / "scheduler.json", []
        self.scheduler = self.start("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-show")
        self.address = wait_until(self._address, "the scheduler has started")

    def start(self, kind, *arguments):
        command = [
            sys.executable,
            "-m",
            f"distributed.cli.dask_{kind}",
            "--scheduler-file",
            str(self.file),
        ]
        with (self.file.parent / f"{len(self.processes)}-{kind}.log").open("w") as log:
            options = {"stdout": log, "stderr": subprocess.STDOUT, "start_new_session": True}
            process = subprocess.Popen([*command, "--no-dashboard", *arguments], **options)
        self.processes.append(process)
        return process

    def worker(self, *arguments):
        return self.start("worker", "--nthreads", "1", "--host", "127.0.0.1", *arguments)

    def wait_for_workers(self, count):
        """Until the scheduler knows them, else a sweep may give all of its runs to the first."""
        from distributed import Client

        with Client(self.address, timeout=f"{PATIENCE}s") as client:
            try:
                client.wait_for_workers(count, timeout=PATIENCE)
            except TimeoutError as error:
                raise AssertionError(self.read_logs()) from error

    def read_logs(self):
        """The ends of what scheduler and workers have written."""
        logs = sorted(self.file.parent.glob("*.log"))
        return "\n".join(f"{path.name}: {path.read_text()[-2000:]}" for path in logs)

    def _address(self):
        with contextlib.suppress(OSError, ValueError):
            return json.loads(self.file.read_text())["address"]

    def close(self):
        for process in self.processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture(scope="module")
def dask(tmp_path_factory):
    if find_spec("distributed") is None:
        miss("Dask is not installed")
    cluster = Dask(tmp_path_factory.mktemp("dask"))
    yield cluster
    cluster.close()


@pytest.fixture(scope="module")
def notebook(tmp_path_factory):
    return write_light(tmp_path_factory.mktemp("cluster"))


class Sweep(threading.Thread):
    """run_grid in a thread of its own; `endings` waits for it."""

    def __init__(self, *arguments, **options):
        super().__init__(daemon=True)
        self.call = lambda: run_grid(*arguments, progress=False, **options)
        self.outcome = []  # the endings, or an error
        self.start()

    def run(self):
        try:
            self.outcome = self.call()
        except BaseException as error:
            self.outcome = error

    def wait_until(self, holds, what):
        """Wait for a condition; a sweep that ends first is told at once, with its outcome."""
        wait_until(lambda: holds() or not self.is_alive(), what)
        assert holds(), f"the sweep ended before {what}: {self.outcome}"

    def endings(self, seconds=PATIENCE):
        self.join(seconds)
        assert not self.is_alive(), f"the sweep did not end within {seconds} s"
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome


@pytest.fixture(scope="module")
def shared_out(dask, notebook):
    """(experiment, endings, pid of the killed worker) of a grid that two workers did."""
    out = notebook.parent / "shared"
    gate = notebook.parent / "gate"
    lost = dask.worker("--no-nanny")
    kept = dask.worker("--nanny")
    dask.wait_for_workers(2)
    grid = [{"how": "wait", "gate": str(gate), "seed": seed} for seed in range(4)]
    sweep = Sweep(notebook, grid, out, scheduler=dask.address)
    try:
        sweep.wait_until(
            lambda: len({parent for _, parent in kernels(out)}) == 2,
            "both workers have begun a run",
        )
    except AssertionError as late:
        begun = f"kernels and workers: {kernels(out)}, {lost.pid}, {kept.pid}"
        raise AssertionError(f"{late}\n{begun}\n{dask.read_logs()}") from late
    (orphan,) = [pid for pid, parent in kernels(out) if parent == lost.pid]
    lost.kill()
    lost.wait()
    wait_until(lambda: not is_alive(orphan), "the kernel of the lost worker has ended, too", 10)
    gate.touch()
    endings = sweep.endings()
    assert kept.poll() is None
    return out, endings, lost.pid


def test_two_workers_share_a_grid_and_a_lost_one_costs_only_what_it_was_doing(shared_out):
    out, endings, lost = shared_out
    assert [ending.status for ending in endings] == ["complete"] * 4
    assert statuses(out) == {ending.folder.name: "complete" for ending in endings}
    parents = [parent for _, parent in kernels(out)]
    assert parents.count(lost) == 1
    assert len(parents) == 5


def test_the_table_of_a_cluster_is_that_of_threads(shared_out, notebook, tmp_path):
    out, _, _ = shared_out
    grid = [
        {"how": "wait", "gate": str(notebook.parent / "gate"), "seed": seed} for seed in range(4)
    ]
    run_grid(notebook, grid, tmp_path, jobs=2, progress=False)
    assert results(read_runs(out)) == results(read_runs(tmp_path))


def test_a_task_that_kills_its_worker_each_time_is_given_up_and_the_others_finish(
    shared_out, dask, notebook, tmp_path
):
    grid = [{"how": "poison"}, {"how": "", "seed": 1}, {"how": "", "seed": 2}]
    poison, *others = Sweep(notebook, grid, tmp_path, scheduler=dask.address, retries=1).endings()
    assert (poison.status, poison.error) == (
        "killed",
        "given up: the process that ran it died 2 times",
    )
    assert [ending.status for ending in others] == ["complete"] * 2
    assert statuses(tmp_path) == {ending.folder.name: ending.status for ending in (poison, *others)}
    assert len(kernels(tmp_path, poison.folder.name)) == 2


def test_a_scheduler_that_dies_costs_nothing_that_is_finished_and_nobody_waits(
    shared_out, dask, notebook, tmp_path
):
    gate = tmp_path / "gate"
    grid = [
        {"how": "", "seed": 1},
        {"how": "wait", "gate": str(gate)},
        {"how": "wait", "gate": str(gate), "seed": 1},
    ]
    sweep = Sweep(notebook, grid, tmp_path / "out", scheduler=dask.address)
    out = tmp_path / "out"
    sweep.wait_until(lambda: "complete" in statuses(out).values(), "one run is complete")
    sweep.wait_until(lambda: len(kernels(out)) == 2, "the next one has begun")
    dask.scheduler.kill()
    dask.scheduler.wait()
    good, *others = sweep.endings(60)
    assert good.status == "complete"
    assert {ending.status for ending in others} == {"killed"}
    assert all("scheduler" in ending.error for ending in others)
    assert statuses(tmp_path / "out") == {
        ending.folder.name: ending.status for ending in (good, *others)
    }
    gate.touch()
    again = run_grid(notebook, grid, tmp_path / "out", progress=False)
    assert [ending.status for ending in again] == ["reused", "complete", "complete"]
