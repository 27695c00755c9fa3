import json
import os
import signal
import threading
import time

import nbformat
import papermill
import pytest
from nbformat.v4 import new_notebook

from bmix_lite.base.errors import BmixError
from bmix_lite.runs.complete import TASK, holds_result, is_complete, list_complete
from bmix_lite.runs.ledger import read_endings, read_ledger
from bmix_lite.runs.reading import read_runs
from bmix_lite.sweeps import kernels as kernels_module
from bmix_lite.sweeps import tasks
from bmix_lite.sweeps.kernels import PARTIAL
from bmix_lite.sweeps.sweep import describe_endings, expand_grid, plan_runs, run_grid
from bmix_lite.sweeps.tasks import Ending
from toy_sweeps import (
    CELL,
    CELLS,
    LAST,
    contents,
    is_alive,
    kernels,
    statuses,
    sweep,
    wait_until,
    write_light,
    write_notebook,
)

TEN = (
    "reused",
    "complete",
    "error",
    "exit",
    "kill",
    "os._exit",
    "sleep",
    "memory",
    "damage",
    "wait",
)
EXPECTED = {
    "reused": ("complete", None),
    "complete": ("complete", None),
    "error": ("failed", f"cell {CELL['error']}: ZeroDivisionError: division by zero"),
    "exit": (
        "no result",
        f"the notebook ended in cell {CELL['exit']} of {LAST} without writing a whole result",
    ),
    "kill": ("killed", f"the kernel died in cell {CELL['kill']} of {LAST}, exit code -9"),
    "os._exit": ("killed", f"the kernel died in cell {CELL['os._exit']} of {LAST}, exit code 3"),
    "sleep": ("timed out", f"timed out in cell {CELL['sleep']} of {LAST} after 1000 s"),
    "memory": ("out of memory", f"cell {CELL['memory']}: MemoryError: "),
    "damage": (
        "no result",
        f"the notebook ended in cell {LAST} of {LAST} without writing a whole result",
    ),
    "wait": ("interrupted", f"interrupted in cell {CELL['wait']} of {LAST}"),
}


@pytest.fixture(scope="module")
def notebook(tmp_path_factory):
    return write_light(tmp_path_factory.mktemp("batch"))


@pytest.fixture(scope="module")
def grid(notebook):
    return [
        {"how": how, "seed": seed, "gate": str(notebook.parent / "gate")}
        for seed, how in enumerate(TEN)
    ]


@pytest.fixture(scope="module")
def ten(notebook, grid):
    """Ten endings in one grid.

    (experiment, {how: folder}, endings of the first call, what the second printed).
    """
    out = notebook.parent / "out"
    first = run_grid(notebook, grid[:1], out, jobs=1, progress=False)
    folders = dict(
        zip(
            TEN,
            (task.folder for task in plan_runs(notebook, grid, out).tasks.values()),
            strict=True,
        )
    )

    class Early(threading.Timer):
        """A time limit that is up when its notebook sleeps, on a machine of whatever speed."""

        def run(self):
            watch = self.function.__self__
            while not self.finished.wait(0.02):
                pids = [pid for pid, _ in kernels(out, folders["sleep"].name)]
                if watch.cell == CELL["sleep"] and watch.process.pid in pids:
                    return self.function(*self.args)

    def interrupt():
        told = {folders[how].name: status for how, (status, _) in EXPECTED.items() if how != "wait"}
        try:
            wait_until(
                lambda: statuses(out) == told and (out / f"{folders['wait'].name}.waits").exists()
            )
        finally:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernels_module.threading, "Timer", Early)
        thread = threading.Thread(target=interrupt)
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            run_grid(notebook, grid, out, jobs=3, timeout=1000, retries=0)
        thread.join()
    return out, folders, first


@pytest.fixture
def no_kernel(monkeypatch):
    monkeypatch.setattr(
        papermill, "execute_notebook", lambda *_, **__: pytest.fail("a kernel was started")
    )


def test_ten_endings_of_one_grid_are_each_told_truly_in_the_ledger(ten):
    out, folders, _ = ten
    lines = read_endings(out)
    found = {
        how: (lines[folder.name]["status"], lines[folder.name].get("error"))
        for how, folder in folders.items()
    }
    assert found == EXPECTED
    assert list_complete(out, lines) == {folders["reused"].name, folders["complete"].name}
    for folder in folders.values():
        assert is_complete(folder) == (folder in (folders["reused"], folders["complete"]))


def test_each_run_had_one_kernel_and_none_outlives_the_sweep(ten):
    out, folders, _ = ten
    assert {
        how: len(kernels(out, folder.name)) for how, folder in folders.items()
    } == dict.fromkeys(TEN, 1)
    pids = [pid for pid, _ in kernels(out)]
    assert len(set(pids)) == len(TEN)
    wait_until(lambda: not any(map(is_alive, pids)), "all kernels are gone", 5)


def test_no_run_that_did_not_end_well_leaves_a_notebook_that_looks_done(ten):
    _, folders, _ = ten
    for how, folder in folders.items():
        assert (folder / "notebook.ipynb").exists() == (how in ("reused", "complete"))
        assert (folder / PARTIAL).exists() == (how not in ("reused", "complete"))
    partial = json.dumps(nbformat.read(folders["error"] / PARTIAL, as_version=4))
    assert "ZeroDivisionError" in partial


def test_only_runs_that_ended_well_are_read(ten):
    out, folders, _ = ten
    assert {run["run_id"] for run in read_runs(out)} == {
        folders["reused"].name,
        folders["complete"].name,
    }


def test_a_run_that_ended_well_is_told_its_parameters_and_notes_its_time(ten):
    _, folders, (ending,) = ten
    assert ending == Ending(folders["reused"], "complete")
    executed = nbformat.read(ending.folder / "notebook.ipynb", as_version=4)
    assert [cell.execution_count for cell in executed.cells[1:]] == list(
        range(1, len(executed.cells))
    )
    noted = json.loads((ending.folder / TASK).read_text())
    assert (noted["tries"], noted["wall"] > 0) == (1, True)


def test_what_was_interrupted_goes_on_and_what_is_complete_is_reused(ten, notebook, grid):
    out, folders, _ = ten
    before = contents(folders["complete"])
    (notebook.parent / "gate").touch()
    endings = run_grid(notebook, [grid[0], grid[1], grid[-1]], out, progress=False)
    assert [ending.status for ending in endings] == ["reused", "reused", "complete"]
    assert [ending.folder for ending in endings] == [
        folders[how] for how in ("reused", "complete", "wait")
    ]
    assert contents(folders["complete"]) == before
    assert statuses(out)[folders["wait"].name] == "complete"


@pytest.fixture(scope="module")
def finished(notebook, ten):
    """(experiment, grid) of two runs that are complete."""
    return ten[0], [
        {"how": how, "seed": seed, "gate": str(notebook.parent / "gate")}
        for seed, how in enumerate(TEN[:2])
    ]


@pytest.mark.parametrize("when", [None, 0, 4_000_000_000])
def test_a_finished_grid_starts_no_kernel_and_changes_no_file_whatever_the_clock_says(
    finished, notebook, no_kernel, when
):
    out, grid = finished
    if when is not None:
        for path in contents(out):
            os.utime(path, (when, when))
    before = contents(out)
    endings = run_grid(notebook, grid, out)
    assert [ending.status for ending in endings] == ["reused", "reused"]
    assert contents(out) == before


def test_another_default_makes_other_runs_and_leaves_the_old_ones_alone(
    finished, notebook, tmp_path
):
    out, grid = finished
    content = notebook.read_text()
    assert "lr = 1e-2" in content
    (tmp_path / "edited.ipynb").write_text(content.replace("lr = 1e-2", "lr = 1e-3"))
    plan = plan_runs(tmp_path / "edited.ipynb", grid, out)
    assert (len(plan.waiting), plan.complete) == (2, set())
    assert not set(plan.tasks) & {path.name for path in out.iterdir()}


def test_a_result_whose_files_were_changed_is_not_reused(finished, notebook, monkeypatch, tmp_path):
    out, grid = finished
    name = next(iter(plan_runs(notebook, grid, out).tasks))
    copy = tmp_path / name
    copy.mkdir()
    for path in (out / name).iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    assert is_complete(copy)
    (copy / "predictions.csv").write_text("")
    started = []
    monkeypatch.setattr(
        papermill, "execute_notebook", lambda *_, **__: started.append(1) or new_notebook()
    )
    (ending,) = run_grid(notebook, grid[:1], tmp_path, progress=False)
    assert started == [1]
    assert ending.status == "no result"


def test_a_run_whose_last_cell_failed_after_the_result_is_not_complete(notebook, tmp_path):
    (ending,) = run_grid(notebook, [{"how": "late"}], tmp_path, progress=False)
    assert (ending.status, ending.error) == (
        "failed",
        f"cell {LAST}: RuntimeError: after the result",
    )
    assert holds_result(ending.folder)
    assert not is_complete(ending.folder)
    assert plan_runs(notebook, [{"how": "late"}], tmp_path).complete == set()


def test_a_killed_run_is_tried_again_and_the_rest_of_the_grid_never_waits_for_it(
    notebook, tmp_path
):
    once, kill = run_grid(
        notebook, [{"how": "once"}, {"how": "kill"}], tmp_path, retries=1, progress=False
    )
    assert once.status == "complete"
    assert (kill.status, kill.error) == EXPECTED["kill"]
    assert [len(kernels(tmp_path, ending.folder.name)) for ending in (once, kill)] == [2, 2]
    lines = [(line["run_id"], line["status"], line.get("tries")) for line in read_ledger(tmp_path)]
    of = {
        ending: [line[1:] for line in lines if line[0] == ending.folder.name]
        for ending in (once, kill)
    }
    assert of == {once: [("killed", 1), ("complete", None)], kill: [("killed", 1), ("killed", 2)]}


def test_a_runner_that_believes_papermill_would_fail_these_tests(notebook, tmp_path, monkeypatch):
    monkeypatch.setattr(
        tasks, "execute", lambda *given, check, **options: kernels_module.execute(*given, **options)
    )
    (ending,) = run_grid(notebook, [{"how": "exit"}], tmp_path, progress=False)
    assert ending.status == "complete" != EXPECTED["exit"][0]


def test_runs_that_still_wait_are_those_of_the_notebook_as_it_was_when_the_sweep_began(
    tmp_path, monkeypatch
):
    notebook, seen = write_notebook(tmp_path / "one.ipynb", *CELLS), []

    def execute_notebook(source, *_, **__):
        seen.append(nbformat.read(source, as_version=4).cells[-1].source)
        write_notebook(notebook, "an edit")
        raise RuntimeError

    monkeypatch.setattr(papermill, "execute_notebook", execute_notebook)
    run_grid(notebook, expand_grid(seed=range(3)), tmp_path / "out", jobs=1, progress=False)
    assert seen == [CELLS[-1]] * 3


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"jobs": 0}, "jobs must be an integer >= 1, got 0"),
        ({"jobs": -1}, "jobs must be an integer >= 1, got -1"),
        ({"jobs": 1.5}, r"jobs must be an integer >= 1, got 1\.5"),
        ({"retries": -1}, "retries must be an integer >= 0, got -1"),
        ({"retries": "2"}, "retries must be an integer >= 0, got '2'"),
        ({"timeout": 0}, "timeout must be above 0 seconds, got 0"),
        ({"timeout": "5"}, "timeout must be above 0 seconds, got '5'"),
        ({"timeout": float("nan")}, "timeout must be above 0 seconds, got nan"),
        ({"timeout": float("inf")}, "timeout must be above 0 seconds, got inf"),
        ({"devices": ("cuda:0",)}, r"devices must be GPU numbers such as 0,1, got 'cuda:0'"),
        ({"devices": (0, -1)}, "devices must be GPU numbers such as 0,1, got -1"),
    ],
)
def test_options_that_make_no_sense_are_refused(tmp_path, notebook, no_kernel, options, words):
    with pytest.raises(BmixError, match=words):
        run_grid(notebook, [{}], tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_endings_come_in_grid_order_and_runs_are_shared_among_the_jobs(
    tmp_path, notebook, monkeypatch
):
    barrier, most, running = threading.Barrier(3), [], []

    def execute_notebook(source, output, parameters, **_):
        seed = parameters["seed"]
        running.append(seed)
        most.append(len(running))
        if seed < 3:
            barrier.wait(60)  # three at a time, or it breaks
        running.remove(seed)
        raise RuntimeError(f"seed {seed}\nmore")

    monkeypatch.setattr(papermill, "execute_notebook", execute_notebook)
    endings = run_grid(notebook, expand_grid(seed=range(6)), tmp_path, jobs=3, progress=False)
    assert [ending.error for ending in endings] == [
        f"RuntimeError: seed {seed}" for seed in range(6)
    ]
    assert max(most) == 3


def test_a_hundred_failing_runs_of_two_hundred_are_listed_and_harm_no_other(
    tmp_path, notebook, monkeypatch
):
    def execute_notebook(source, output, parameters, **_):
        if parameters["seed"] % 2:
            raise RuntimeError(f"seed {parameters['seed']}")
        namespace = {
            "run_folder": parameters["run_folder"],
            "how": "",
            "method": "instance",
            "alpha": None,
        }
        namespace |= {"dataset": f"{notebook.parent}/cells", "split": 0, "lr": 0.1, "epochs": 1}
        namespace["seed"] = parameters["seed"]
        exec("\n".join([CELLS[0], CELLS[-2]]), namespace)
        return new_notebook()

    monkeypatch.setattr(papermill, "execute_notebook", execute_notebook)
    monkeypatch.setattr(os, "fsync", lambda _: None)  # 1,000 of them take a minute on a slow disk
    endings = run_grid(notebook, expand_grid(seed=range(200)), tmp_path, jobs=2, progress=False)
    words = describe_endings(endings).splitlines()
    assert words[0] in ("100 complete, 100 failed", "100 failed, 100 complete")
    assert [line.split(": ", 1)[1] for line in words[1:]] == [
        f"failed: RuntimeError: seed {seed}" for seed in range(1, 200, 2)
    ]
    assert all(is_complete(ending.folder) for ending in endings[::2])


def test_after_ctrl_c_no_further_run_begins_and_a_second_one_leaves_no_kernel_behind(
    tmp_path, notebook, monkeypatch
):
    started = []

    def execute_notebook(*_, watch, **__):
        started.append(1)
        os.kill(os.getpid(), signal.SIGINT)
        wait_until(lambda: watch.stopped)
        os.kill(os.getpid(), signal.SIGINT)  # the impatient one: run_grid still waits for the end
        time.sleep(0.3)
        raise RuntimeError

    monkeypatch.setattr(papermill, "execute_notebook", execute_notebook)
    with pytest.raises(KeyboardInterrupt):
        run_grid(notebook, expand_grid(seed=range(10)), tmp_path, jobs=1, progress=False)
    assert [line["status"] for line in read_ledger(tmp_path)] == ["interrupted"]
    assert len(started) == 1


def test_a_second_sweep_of_one_folder_is_refused_in_words_that_name_the_first(
    tmp_path, notebook, monkeypatch
):
    calls = []

    def execute_notebook(*_, **__):
        calls.append(1)
        assert len(calls) == 1, "two sweeps have begun"
        run_grid(notebook, [{"seed": 1}], tmp_path, progress=False)

    monkeypatch.setattr(papermill, "execute_notebook", execute_notebook)
    (ending,) = run_grid(notebook, [{}], tmp_path, progress=False)
    assert ending.status == "failed"
    assert f"the experiment {tmp_path} is in use by process {os.getpid()} " in ending.error


@pytest.mark.parametrize("flags", [(), ("--dry-run",)])
def test_the_command_prints_the_plan_and_ends_with_the_truth(tmp_path, notebook, flags):
    """One run that completes, one whose cell fails; the dry run starts nothing."""
    code, out, err = sweep(
        notebook, tmp_path / "out", "--grid", "how=complete,error", "--grid", "seed=0:1", *flags
    )
    assert err == ""
    assert "2 runs of runs.ipynb: 0 complete, 2 to do" in out
    assert "time with 2 at a time: unknown until a run has finished" in out
    if flags:
        assert code == 0
        assert not (tmp_path / "out").exists()
        return
    assert code == 1
    assert sorted(statuses(tmp_path / "out").values()) == ["complete", "failed"]
    *_, counts, bad, report = out.splitlines()
    assert report == "report.html"
    assert counts in ("1 complete, 1 failed", "1 failed, 1 complete")
    assert bad.endswith(f"failed: {EXPECTED['error'][1]}")
    assert len(out.splitlines()) < 14  # plan 4, endings 2, summaries 2, table 2, report 1: no flood


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--grid", "alhpa=0.5"], "must be one of .*got 'alhpa'; did you mean 'alpha'?"),
        (["--grid", "seed"], "a grid is written NAME=VALUE,VALUE or NAME=FIRST:END, got 'seed'"),
        (["--grid", "seed=0:3", "--grid-file", "grid.yaml"], "given twice: seed"),
        (["--grid-file", "none.yaml"], "none.yaml: cannot be read"),
        (["--jobs", "0"], "jobs must be an integer >= 1, got 0"),
        (["--scheduler", "nonsense"], "no Dask scheduler answers at 'nonsense'"),
    ],
)
def test_the_command_refuses_in_one_line_what_cannot_be_run(
    tmp_path, notebook, no_kernel, monkeypatch, capsys, words, message
):
    from bmix_lite.__main__ import main

    monkeypatch.chdir(tmp_path)
    (tmp_path / "grid.yaml").write_text("product: {seed: 0:3}")
    before = signal.getsignal(signal.SIGTERM)
    try:
        assert main(["sweep", str(notebook), "--out", str(tmp_path / "out"), *words]) == 2
    finally:
        signal.signal(signal.SIGTERM, before)
    printed = capsys.readouterr()
    assert printed.err.startswith("bmix_lite sweep: ")
    assert len(printed.err.splitlines()) == 1
    assert not message.strip("?") or all(
        part in printed.err for part in message.strip("?").split(".*")
    )


def test_a_report_that_cannot_be_written_is_told_and_the_runs_are_kept(
    tmp_path, notebook, monkeypatch, capsys
):
    from bmix_lite import __main__
    from bmix_lite.pages import sweep_command
    from bmix_lite.sweeps import sweep as batch

    ending = Ending(tmp_path / "run", "complete")
    monkeypatch.setattr(batch, "run_grid", lambda *_, **__: [ending])

    def full(_):
        raise OSError(28, "No space left on device", "report.html")

    monkeypatch.setattr(sweep_command, "_write_report", full)
    before = signal.getsignal(signal.SIGTERM)
    try:
        assert __main__.main(["sweep", str(notebook), "--out", str(tmp_path)]) == 1
    finally:
        signal.signal(signal.SIGTERM, before)
    assert (
        "the runs are kept, their report could not be written: [Errno 28]"
        in capsys.readouterr().err
    )
