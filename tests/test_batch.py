import json
import os
import time

import nbformat
import papermill
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from bmix_lite.batch import expand_grid, plan_runs, run_grid
from bmix_lite.datasets import digits_lt
from bmix_lite.errors import BmixError
from bmix_lite.kernels import execute
from bmix_lite.ledger import read_ledger
from bmix_lite.plans import read_parameters
from bmix_lite.prepared import save_prepared
from bmix_lite.runs import is_complete, read_run

KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}
PARAMETERS = """dataset = "digits_lt"  # a comment
fold = 0
method = "instance"
alpha = None
lr = 1e-2
epochs = 1
seed = 0
live = True
run_folder = "" """
ENDINGS = (
    "import os, sys, time\nfrom pathlib import Path\nPath(run_folder).with_suffix('.pid').write_text(str(os.getpid()))",
    "if seed == 1: 1 / 0",
    "if seed == 2: sys.exit(0)",
    "if seed == 3: os.kill(os.getpid(), 9)",
    "if seed == 4: time.sleep(60)",
)
TRAINS = """import numpy as np
from bmix_lite.datasets import load
from bmix_lite.recipe import Recipe
from bmix_lite.runs import open_run, save_run
data = load(dataset)
open_run(run_folder, Recipe.make(method, epochs=epochs, seed=seed), data)
truth = {split: np.eye(10)[data.labels[data.rows(split)]] for split in ("val", "test")}
save_run(run_folder, data, [{"epoch": 1, "seconds": 1.5, "live": live}], truth)"""
SHOWS = "from ipywidgets import IntSlider\nIntSlider(3)"


def write(path, *sources, parameters=(PARAMETERS,)):
    tagged = [new_code_cell(source, metadata={"tags": ["parameters"]}) for source in parameters]
    cells = [new_markdown_cell("# Runs"), *tagged, *map(new_code_cell, sources)]
    nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": KERNEL}), path)
    return path


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def notebook(tmp_path_factory):
    return write(tmp_path_factory.mktemp("batch") / "runs.ipynb", *ENDINGS, TRAINS, SHOWS)


@pytest.fixture(scope="module")
def ended(notebook):
    """(experiment, endings): one run that completes, and one for each way in which a run can end badly."""
    out = notebook.parent / "out"
    endings = run_grid(notebook, expand_grid(seed=[0, 1, 2, 3]), out, jobs=2, progress=False)
    endings += run_grid(notebook, [{"seed": 4}], out, timeout=2, progress=False)
    return out, endings


@pytest.fixture
def no_kernel(monkeypatch):
    monkeypatch.setattr(papermill, "execute_notebook", lambda *_, **__: pytest.fail("a kernel was started"))


def test_a_grid_holds_every_combination_the_last_name_changing_fastest():
    assert expand_grid(alpha=[0.1, 0.2], seed=range(2)) == [
        {"alpha": 0.1, "seed": 0},
        {"alpha": 0.1, "seed": 1},
        {"alpha": 0.2, "seed": 0},
        {"alpha": 0.2, "seed": 1},
    ]
    assert expand_grid() == [{}]
    assert expand_grid(alpha=[]) == []


def test_parameters_are_the_literals_of_the_tagged_cell(notebook):
    parameters, content = read_parameters(notebook)
    assert parameters == {
        "dataset": "digits_lt", "fold": 0, "method": "instance", "alpha": None, "lr": 0.01, "epochs": 1, "seed": 0,
        "live": True, "run_folder": "",
    }  # fmt: skip
    assert len(content) == 64


@pytest.mark.parametrize(
    ("line", "value"), [("x = -0.5", -0.5), ("x = [1, 'a']", [1, "a"]), ("x = {'a': None}", {"a": None})]
)
def test_negative_numbers_and_lists_are_literals(tmp_path, line, value):
    assert read_parameters(write(tmp_path / "one.ipynb", parameters=[line]))[0] == {"x": value}


@pytest.mark.parametrize(
    "line", ["x = 1 / 10", "x = y", "import os", "x += 1", "x.y = 1", "x, y = 1, 2", "x = y = 1", "x = ", "x = f(1)"]
)
def test_a_parameters_cell_with_anything_but_literals_is_refused_with_its_line(tmp_path, line):
    path = write(tmp_path / "one.ipynb", parameters=[f"alpha = 1\n{line}"])
    with pytest.raises(BmixError, match=r"one\.ipynb: the 'parameters' cell may only hold name = literal, line 2"):
        read_parameters(path)


def test_a_notebook_without_a_cell_of_parameters_is_refused(tmp_path, no_kernel):
    path = write(tmp_path / "one.ipynb", "alpha = 1", parameters=())
    with pytest.raises(BmixError, match=r"one\.ipynb needs one cell tagged 'parameters', found 0"):
        run_grid(path, [{}], tmp_path / "out")


def test_two_cells_of_parameters_are_refused_and_both_named(tmp_path, no_kernel):
    path = write(tmp_path / "one.ipynb", "alpha = 1", parameters=(PARAMETERS, "seed = 1"))
    with pytest.raises(BmixError, match=r"one\.ipynb needs one cell tagged 'parameters', found 2\D+\d+\D+\d+"):
        run_grid(path, [{}], tmp_path / "out")


@pytest.mark.parametrize("content", [None, "", "half"])
def test_what_is_no_notebook_is_refused_by_name(tmp_path, notebook, no_kernel, content):
    path = tmp_path / "one.ipynb"
    if content is not None:
        path.write_text(content and notebook.read_text()[:400])
    with pytest.raises(BmixError, match=r"one\.ipynb"):
        run_grid(path, [{}], tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("missing", ["run_folder", "method"])
def test_a_notebook_that_cannot_be_told_what_to_run_and_where_is_refused(tmp_path, no_kernel, missing):
    kept = "\n".join(line for line in PARAMETERS.splitlines() if not line.startswith(missing))
    with pytest.raises(BmixError, match=rf"one\.ipynb has no parameter '{missing}'"):
        run_grid(write(tmp_path / "one.ipynb", parameters=[kept]), [{}], tmp_path / "out")


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"alhpa": 0.5}, r"got 'alhpa'; did you mean 'alpha'\?"),
        ({"Alpha": 0.5}, r"got 'Alpha'; did you mean 'alpha'\?"),
        ({"method": "mixup", "alpha": "0.5"}, r"alpha must be of type float, got '0\.5' \(str\)"),
        ({"epochs": "three"}, r"epochs must be of type int, got 'three' \(str\)"),
        ({"lr": float("nan")}, "lr must be finite, got nan"),
        ({"method": "mixup", "alpha": float("inf")}, "alpha must be finite, got inf"),
        ({"method": "mixup", "alpha": -0.2}, r"alpha must be a finite number >= 0, got -0\.2"),
        ({"method": "balancedmixup"}, r"method must be one of instance, .* did you mean 'balanced_mixup'\?"),
        ({"fold": -1}, "fold must be at least 0, got -1"),
        ({"dataset": "digit_lt"}, r"dataset must be one of digits_lt, .*did you mean 'digits_lt'\?"),
        ({"alpha": 0.2}, "alpha must be 0 where mixing is 'none'"),
    ],
)
def test_a_bad_parameter_stops_the_whole_grid_before_any_kernel_starts(
    tmp_path, notebook, no_kernel, parameters, words
):
    with pytest.raises(BmixError, match=words):
        run_grid(notebook, [{"seed": 1}, parameters], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_fold_beyond_the_last_is_refused_with_the_range(tmp_path, notebook, no_kernel):
    data = digits_lt(imbalance_ratio=5)
    save_prepared(data, tmp_path / "digits")
    with pytest.raises(BmixError, match=r"fold must lie in 0\.\.4, got 5"):
        run_grid(notebook, [{"dataset": str(tmp_path / "digits"), "fold": 5}], tmp_path / "out")


@pytest.mark.parametrize("jobs", [0, -1])
def test_a_number_of_jobs_below_one_is_refused(tmp_path, notebook, no_kernel, jobs):
    with pytest.raises(BmixError, match=rf"jobs must be .*got {jobs}"):
        run_grid(notebook, [{}], tmp_path / "out", jobs=jobs)


def test_the_same_run_listed_twice_in_whatever_words_is_planned_once(tmp_path, notebook):
    grid = [{"method": "mixup"}, {"method": "mixup", "alpha": 0.2}, {"method": "mixup", "alpha": 0.2, "seed": 0}]
    assert len(plan_runs(notebook, grid, tmp_path)) == 1
    assert len(plan_runs(notebook, [*grid, {"seed": 1}], tmp_path)) == 2


def test_a_run_is_told_its_folder_and_to_draw_nothing_and_its_name_says_what_it_is(tmp_path, notebook):
    ((folder, parameters),) = plan_runs(notebook, [{"method": "mixup", "seed": 3}], tmp_path).items()
    assert parameters == {"method": "mixup", "seed": 3, "live": False, "run_folder": str(folder)}
    assert folder.parent == tmp_path.resolve()
    assert folder.name.startswith("mixup-alpha0.2-digits_lt-fold0-seed3-")


def test_the_run_id_is_stable_and_changes_with_every_parameter_and_with_the_notebook(tmp_path, notebook):
    grid = [{}, {"lr": 0.02}, {"epochs": 2}, {"fold": 1}, {"seed": 1}, {"method": "focal"}]
    plan = plan_runs(notebook, grid, tmp_path)
    assert len(plan) == len(grid)
    assert list(plan) == list(plan_runs(notebook, grid, tmp_path))
    edited = write(tmp_path / "edited.ipynb", *ENDINGS, TRAINS + "\n")
    assert not set(plan) & set(plan_runs(edited, grid, tmp_path))


def test_a_run_that_ends_well_is_complete_and_keeps_its_notebook(ended):
    _, (good, *_) = ended
    assert (good.status, good.error) == ("complete", "")
    assert read_run(good.folder)["metrics"]["test"]["accuracy"] == 1
    assert read_run(good.folder)["history"]["live"].tolist() == [False]
    executed = nbformat.read(good.folder / "notebook.ipynb", as_version=4)
    assert "widgets" not in executed.metadata
    assert [cell.execution_count for cell in executed.cells[1:]] == list(range(1, len(executed.cells)))
    assert not list(good.folder.glob("*.partial.ipynb"))


def test_every_bad_ending_is_told_truly_and_stops_no_other_run(ended):
    out, endings = ended
    expected = [
        ("complete", ""),
        ("failed", "cell 4: ZeroDivisionError: division by zero"),
        ("failed", ""),
        ("killed", "DeadKernelError: Kernel died"),
        ("timed out", "CellTimeoutError"),
    ]
    assert [ending.status for ending in endings] == [status for status, _ in expected]
    assert all(words in ending.error for ending, (_, words) in zip(endings, expected, strict=True))
    assert all(ending.error for ending in endings[1:])
    ledger = {line["run_id"]: line for line in read_ledger(out)}
    assert len(ledger) == len(read_ledger(out)) == 5
    for ending in endings:
        assert ledger[ending.folder.name]["status"] == ending.status
        assert ledger[ending.folder.name].get("error", "") == ending.error
        assert is_complete(ending.folder) == (ending.status == "complete")


def test_no_kernel_outlives_its_run(ended):
    out, _ = ended
    pids = [int(path.read_text()) for path in out.glob("*.pid")]
    assert len(pids) == 5
    started = time.monotonic()
    while any(map(is_alive, pids)) and time.monotonic() - started < 5:
        time.sleep(0.1)
    assert not any(map(is_alive, pids))


def test_a_failed_run_leaves_what_it_printed_but_no_notebook_that_looks_done(ended):
    _, endings = ended
    for ending in endings[1:]:
        assert not (ending.folder / "notebook.ipynb").exists() or ending.status == "failed"
    failed = nbformat.read(endings[1].folder / "notebook.partial.ipynb", as_version=4)
    assert "ZeroDivisionError" in json.dumps(failed)


def test_a_finished_grid_starts_no_kernel_and_changes_no_file(ended, notebook, no_kernel):
    out, (good, *_) = ended
    before = contents(out)
    (again,) = run_grid(notebook, [{"seed": 0}], out, progress=False)
    assert (again.folder, again.status) == (good.folder, "reused")
    assert contents(out) == before


def test_a_result_whose_files_were_changed_is_not_reused(ended, notebook, monkeypatch, tmp_path):
    _, (good, *_) = ended
    copy = tmp_path / good.folder.name
    copy.mkdir()
    for path in good.folder.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    assert is_complete(copy)
    (copy / "predictions.csv").write_text("")
    started = []
    monkeypatch.setattr(papermill, "execute_notebook", lambda *_, **__: started.append(1) or new_notebook())
    (ending,) = run_grid(notebook, [{"seed": 0}], tmp_path, progress=False)
    assert started == [1]
    assert ending.status == "failed"


def test_endings_come_in_grid_order_and_runs_are_shared_among_the_jobs(tmp_path, notebook, monkeypatch):
    running, most = [], []

    def execute_notebook(source, output, parameters, **_):
        running.append(parameters["seed"])
        most.append(len(running))
        time.sleep(0.05 * (4 - parameters["seed"]))
        running.remove(parameters["seed"])
        raise RuntimeError(f"seed {parameters['seed']}\nmore")

    monkeypatch.setattr(papermill, "execute_notebook", execute_notebook)
    endings = run_grid(notebook, expand_grid(seed=range(4)), tmp_path, jobs=3, progress=False)
    assert [ending.error for ending in endings] == [f"RuntimeError: seed {seed}" for seed in range(4)]
    assert max(most) == 3


def test_after_ctrl_c_no_further_run_begins(tmp_path, notebook, monkeypatch):
    started = []

    def execute_notebook(*_, **__):
        started.append(1)
        if len(started) == 1:
            raise KeyboardInterrupt
        time.sleep(0.3)
        raise RuntimeError

    monkeypatch.setattr(papermill, "execute_notebook", execute_notebook)
    with pytest.raises(KeyboardInterrupt):
        run_grid(notebook, expand_grid(seed=range(10)), tmp_path, jobs=1, progress=False)
    assert len(started) <= 2


def test_a_notebook_that_fails_leaves_the_earlier_output_as_it_was(tmp_path, notebook, monkeypatch):
    output = tmp_path / "out.ipynb"
    output.write_text("earlier")
    monkeypatch.setattr(papermill, "execute_notebook", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        execute(notebook, output, {})
    assert output.read_text() == "earlier"
