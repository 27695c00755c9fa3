import errno
import json
import os
from dataclasses import replace

import nbformat
import numpy as np
import papermill
import pytest

from bmix_lite.base.errors import BmixError
from bmix_lite.base.files import sha256_of, write_atomic, write_json
from bmix_lite.data.datasets import digits_lt
from bmix_lite.data.prepared import save_prepared
from bmix_lite.runs.complete import TASK
from bmix_lite.sweeps.grids import expand_grid, read_assignments
from bmix_lite.sweeps.parameters import read_parameters
from bmix_lite.sweeps.plans import SWEEP, keep_plan, plan_runs, read_plan, say_seconds
from bmix_lite.sweeps.sweep import run_grid
from toy_sweeps import CELLS, PARAMETERS, contents, write_notebook

OTHERS = '\nsteps = 3\nscale = 1.5\nnote = ""\nsteady = False\nlevels = [1, 2]\nanything = None'


@pytest.fixture(scope="module")
def notebook(tmp_path_factory):
    return write_notebook(
        tmp_path_factory.mktemp("plans") / "runs.ipynb", *CELLS, parameters=[PARAMETERS + OTHERS]
    )


@pytest.fixture
def no_kernel(monkeypatch):
    monkeypatch.setattr(
        papermill, "execute_notebook", lambda *_, **__: pytest.fail("a kernel was started")
    )


def make_complete(plan, run_id, **noted):
    """A whole result without a kernel."""
    folder = plan.out / run_id
    write_json(folder / "recipe.json", {})
    for name in ("history.csv", "predictions.csv"):
        write_atomic(folder / name, name)
    hashes = {
        name: sha256_of(folder / name) for name in ("recipe.json", "history.csv", "predictions.csv")
    }
    write_json(folder / "metrics.json", {"sha256": hashes})
    write_json(folder / TASK, noted)


def test_a_notebook_without_a_cell_of_parameters_is_refused(tmp_path, no_kernel):
    path = write_notebook(tmp_path / "one.ipynb", "alpha = 1", parameters=())
    with pytest.raises(BmixError, match=r"one\.ipynb needs one cell tagged 'parameters', found 0"):
        run_grid(path, [{}], tmp_path / "out")


def test_two_cells_of_parameters_are_refused_and_both_named(tmp_path, no_kernel):
    path = write_notebook(tmp_path / "one.ipynb", "alpha = 1", parameters=(PARAMETERS, "seed = 1"))
    with pytest.raises(
        BmixError, match=r"one\.ipynb needs one cell tagged 'parameters', found 2\D+\d+\D+\d+"
    ):
        run_grid(path, [{}], tmp_path / "out")


@pytest.mark.parametrize("content", [None, "", "half", "[]", '{"cells": 3, "nbformat": 4}'])
def test_what_is_no_notebook_is_refused_by_name(tmp_path, notebook, no_kernel, content):
    path = tmp_path / "one.ipynb"
    if content is not None:
        path.write_text(notebook.read_text()[:400] if content == "half" else content)
    with pytest.raises(BmixError, match=r"one\.ipynb"):
        run_grid(path, [{}], tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("missing", ["run_folder", "method"])
def test_a_notebook_that_cannot_be_told_what_to_run_and_where_is_refused(
    tmp_path, no_kernel, missing
):
    kept = "\n".join(line for line in PARAMETERS.splitlines() if not line.startswith(missing))
    with pytest.raises(BmixError, match=rf"one\.ipynb has no parameter '{missing}'"):
        run_grid(write_notebook(tmp_path / "one.ipynb", parameters=[kept]), [{}], tmp_path / "out")


MIXUP = {"method": "mixup"}
REFUSED = [
    # a name that the notebook does not have
    ({"alhpa": 0.5}, r"got 'alhpa'; did you mean 'alpha'\?"),
    ({"Alpha": 0.5}, r"got 'Alpha'; did you mean 'alpha'\?"),
    ({"ALPHA": 0.5}, "a parameter of 05_train.ipynb must be one of .*got 'ALPHA'"),
    ({"alpha ": 0.5}, r"got 'alpha '; did you mean 'alpha'\?"),
    ({"n_epochs": 3}, r"got 'n_epochs'; did you mean 'epochs'\?"),
    ({"epoch": 3}, r"got 'epoch'; did you mean 'epochs'\?"),
    ({"sed": 3}, r"got 'sed'; did you mean 'seed'\?"),
    ({"Seed": 3}, r"got 'Seed'; did you mean 'seed'\?"),
    ({"methd": "mixup"}, r"got 'methd'; did you mean 'method'\?"),
    ({"batchsize": 8}, r"got 'batchsize'; did you mean 'batch_size'\?"),
    ({"learning_rate": 0.1}, "got 'learning_rate'"),
    ({"lam-per": "batch"}, r"got 'lam-per'; did you mean 'lam_per'\?"),
    ({"": 1}, "got ''"),
    ({3: 1}, "got 3"),
    ({"run_folder": "elsewhere"}, "run_folder cannot be given"),
    # a value of another type
    (MIXUP | {"alpha": "0.5"}, r"alpha must be of type float, got '0\.5' \(str\)"),
    (MIXUP | {"alpha": True}, r"alpha must be of type float, got True \(bool\)"),
    (MIXUP | {"alpha": [0.1, 0.2]}, r"alpha must be of type float, got \[0\.1, 0\.2\] \(list\)"),
    (MIXUP | {"alpha": 1j}, "alpha must be of type float, got 1j"),
    ({"epochs": "three"}, r"epochs must be of type int, got 'three' \(str\)"),
    ({"epochs": 3.0}, r"epochs must be of type int, got 3\.0 \(float\)"),
    ({"epochs": True}, "epochs must be of type int, got True"),
    ({"seed": "0"}, "seed must be of type int, got '0'"),
    ({"seed": None}, r"seed cannot be None in 05_train\.ipynb, where it is 0 by default"),
    ({"seed": 0.5}, r"seed must be of type int, got 0\.5"),
    ({"split": "1"}, "split must be of type int, got '1'"),
    ({"lr": "0.1"}, r"lr must be of type float, got '0\.1'"),
    ({"lr": {"lr": 0.1}}, "lr must be of type float, got {"),
    ({"dataset": 7}, r"dataset must be of type str, got 7 \(int\)"),
    ({"model": None}, "model cannot be None in .*'small_cnn'"),
    ({"live": "yes"}, "live must be True or False, got 'yes'"),
    ({"method": ["mixup"]}, r"method must be one of .*got \['mixup'\]"),
    # a value out of range
    ({"lr": float("nan")}, "lr must be finite, got nan"),
    ({"lr": 0}, r"lr must be above 0, got 0"),
    (MIXUP | {"alpha": float("inf")}, "alpha must be finite, got inf"),
    (MIXUP | {"alpha": float("nan")}, "alpha must be finite, got nan"),
    (MIXUP | {"alpha": -0.2}, r"alpha must be a finite number >= 0, got -0\.2"),
    ({"method": "instance", "alpha": 0.2}, "alpha must be 0 where mixing is 'none'"),
    (
        {"method": "balancedmixup"},
        r"method must be one of instance, .* did you mean 'balanced_mixup'\?",
    ),
    ({"method": ""}, "method must be one of instance"),
    ({"split": -1}, "split must be at least 0, got -1"),
    ({"epochs": 0}, "epochs must be at least 1, got 0"),
    ({"batch_size": 1}, "batch_size must be at least 2, got 1"),
    ({"momentum": 1.0}, r"momentum must be below 1, got 1\.0"),
    ({"q": 1.5}, r"q must lie in \[0, 1\] or be one of progressive, .*, got 1\.5"),
    ({"q": "progresive"}, r"q must lie in .*got 'progresive'; did you mean 'progressive'\?"),
    (
        {"optimizer": "adam"},
        r"optimizer must be one of sgd, adamw, got 'adam'; did you mean 'adamw'\?",
    ),
    ({"dataset": "digit_lt"}, r"dataset must be one of digits_lt, .*did you mean 'digits_lt'\?"),
]


@pytest.mark.parametrize(("parameters", "words"), REFUSED)
def test_a_bad_parameter_stops_the_whole_grid_before_any_kernel_starts(
    tmp_path, root, no_kernel, parameters, words
):
    with pytest.raises(BmixError, match=words):
        run_grid(root / "notebooks" / "05_train.ipynb", [{"seed": 1}, parameters], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_at_least_forty_misspelt_or_mistyped_parameters_are_refused():
    assert len(REFUSED) >= 40


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"steps": "3"}, r"steps must be of type int, as in runs\.ipynb, got '3' \(str\)"),
        ({"steps": 3.0}, r"steps must be of type int, as in runs\.ipynb, got 3\.0"),
        ({"steps": True}, r"steps must be of type int, as in runs\.ipynb, got True"),
        ({"scale": "1.5"}, "scale must be of type float"),
        ({"scale": float("nan")}, "scale must be plain.*got nan"),
        ({"note": 3}, "note must be of type str"),
        ({"steady": 1}, "steady must be of type bool"),
        ({"levels": (1, 2)}, "levels must be of type list"),
        ({"levels": [{1, 2}]}, "levels must be plain"),
        ({"anything": object()}, "anything must be plain"),
        ({"anything": np.arange(3)}, "anything must be plain"),
    ],
)
def test_parameters_of_the_notebook_alone_have_the_type_of_their_default(
    tmp_path, notebook, parameters, words
):
    with pytest.raises(BmixError, match=words):
        plan_runs(notebook, [parameters], tmp_path)


def test_parameters_of_the_notebook_alone_make_another_run(tmp_path, notebook):
    grid = [
        {},
        {"steps": 4},
        {"scale": 2},
        {"note": "a"},
        {"levels": [3]},
        {"anything": {"a": [1, "b"]}},
    ]
    assert len(plan_runs(notebook, grid, tmp_path).tasks) == len(grid)


@pytest.mark.parametrize(
    "grid", [[], "seed", ["seed"], {"seed": [1]}, [None], expand_grid(seed=[])]
)
def test_what_is_no_grid_is_refused(tmp_path, notebook, grid):
    with pytest.raises(
        BmixError, match="a grid is a list of one or more dicts, as expand_grid makes it, got"
    ):
        plan_runs(notebook, grid, tmp_path)


def test_a_grid_may_be_a_generator(tmp_path, notebook):
    assert len(plan_runs(notebook, ({"seed": seed} for seed in range(3)), tmp_path).tasks) == 3


def test_a_split_beyond_the_folds_that_data_came_with_stops_before_any_kernel(
    tmp_path, notebook, no_kernel
):
    data = digits_lt(imbalance_ratio=5)
    folds = np.arange(len(data.labels)) % 4
    save_prepared(replace(data, split=None, folds=folds), tmp_path / "digits")
    grid = [{"dataset": str(tmp_path / "digits"), "split": split} for split in range(5)]
    with pytest.raises(BmixError, match=r"came with 4 folds .*split must lie in 0\.\.3, got 4"):
        run_grid(notebook, grid, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert len(plan_runs(notebook, grid[:4], tmp_path / "out").tasks) == 4


@pytest.mark.parametrize(
    ("name", "words", "reason"),
    [
        ("", "out must be a folder, got an empty text", type(None)),
        (" ", "out must be a folder, got an empty text", type(None)),
        ("x" * 300, f"out must be a folder, got .*{os.strerror(errno.ENAMETOOLONG)}", OSError),
        (
            "a\0b",
            r"out must be a folder, got 'a\\x00b': \w+",
            ValueError,
        ),  # in words that each Python chooses
        ("file", r"out must be a folder, .*file is a file", type(None)),
        (
            "file/inside",
            rf"out must be a folder, got '.*: \[Errno {errno.ENOTDIR}\]",
            NotADirectoryError,
        ),
    ],
)
def test_an_output_folder_that_cannot_be_one_is_refused_before_any_kernel(
    tmp_path, notebook, no_kernel, monkeypatch, name, words, reason
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(BmixError, match=words) as caught:
        run_grid(notebook, [{}], name)
    assert isinstance(caught.value.__cause__, reason)
    assert os.listdir(tmp_path) == ["file"]
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("link", [SWEEP, ".locks"])
def test_a_link_in_the_output_folder_is_not_written_through(tmp_path, notebook, no_kernel, link):
    (tmp_path / "outside").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / link).symlink_to(tmp_path / "outside")
    with pytest.raises(BmixError, match="is a link: nothing is written through it"):
        run_grid(notebook, [{}], tmp_path / "out")
    assert os.listdir(tmp_path / "outside") == []


def test_a_dataset_of_an_ugly_name_gives_a_folder_inside_the_output(tmp_path, notebook):
    for place in (tmp_path / ("x" * 200), tmp_path / "..hidden <b> {method}"):
        save_prepared(digits_lt(), place)
        plan = plan_runs(notebook, [{"dataset": str(place)}], tmp_path / "out")
        (task,) = plan.tasks.values()
        assert task.folder.parent == tmp_path / "out"
        assert len(task.folder.name) < 120
        assert not set(task.folder.name) & set("/<>{} ")


def test_the_same_run_listed_twice_in_whatever_words_is_planned_once_and_said(tmp_path, notebook):
    grid = [
        {"method": "mixup"},
        {"method": "mixup", "alpha": 0.2},
        {"method": "mixup", "alpha": 0.2, "seed": 0},
    ]
    plan = plan_runs(notebook, grid, tmp_path)
    assert (len(plan.tasks), plan.repeated) == (1, 2)
    assert "2 runs of the grid stand in it again and are done once" in plan.describe(1)
    assert len(plan_runs(notebook, [*grid, {"seed": 1}], tmp_path).tasks) == 2


def test_a_run_is_told_its_folder_and_to_draw_nothing_and_its_name_says_what_it_is(
    tmp_path, notebook
):
    ((run_id, task),) = plan_runs(
        notebook, [{"method": "mixup", "seed": 3}], tmp_path
    ).tasks.items()
    assert task.parameters == {
        "method": "mixup",
        "seed": 3,
        "live": False,
        "run_folder": str(task.folder),
    }
    assert task.folder == tmp_path.resolve() / run_id
    assert run_id.startswith("mixup-alpha0.2-digits_lt-split0-seed3-")
    assert task.cwd == os.getcwd()


def test_the_run_id_is_stable_and_changes_with_every_parameter_and_with_the_notebook(
    tmp_path, notebook
):
    grid = [{}, {"lr": 0.02}, {"epochs": 2}, {"split": 1}, {"seed": 1}, {"method": "focal"}]
    planned = set(plan_runs(notebook, grid, tmp_path).tasks)
    assert len(planned) == len(grid)
    assert planned == set(plan_runs(notebook, grid, tmp_path).tasks)
    edited = write_notebook(
        tmp_path / "edited.ipynb", *CELLS, "# more", parameters=[PARAMETERS + OTHERS]
    )
    assert not planned & set(plan_runs(edited, grid, tmp_path).tasks)
    changed = write_notebook(
        tmp_path / "changed.ipynb", *CELLS, parameters=[PARAMETERS.replace("1e-2", "1e-3") + OTHERS]
    )
    # another default is another run
    assert not planned & set(plan_runs(changed, grid, tmp_path).tasks)


def test_outputs_and_metadata_of_the_notebook_change_no_run(tmp_path, notebook):
    content = nbformat.read(notebook, as_version=4)
    content.cells[2].outputs = [nbformat.v4.new_output("stream", text="seen")]
    content.metadata = {}
    nbformat.write(content, tmp_path / "run.ipynb")
    assert list(plan_runs(tmp_path / "run.ipynb", [{}], tmp_path).tasks) == list(
        plan_runs(notebook, [{}], tmp_path).tasks
    )


def test_another_version_of_the_package_or_of_the_data_makes_another_run(
    tmp_path, notebook, monkeypatch
):
    grid, place = [{"dataset": str(tmp_path / "digits")}], tmp_path / "digits"
    save_prepared(digits_lt(), place)
    first = set(plan_runs(notebook, grid, tmp_path / "out").tasks)
    monkeypatch.setattr("bmix_lite.runs.folder.__version__", "0.0.0")
    second = set(plan_runs(notebook, grid, tmp_path / "out").tasks)
    monkeypatch.undo()
    save_prepared(digits_lt(imbalance_ratio=5), tmp_path / "other")
    for path in (tmp_path / "other").iterdir():
        path.replace(place / path.name)
    third = set(plan_runs(notebook, grid, tmp_path / "out").tasks)
    assert len(first | second | third) == 3


def test_the_plan_says_in_words_what_will_be_done_and_how_long_it_may_take(tmp_path, notebook):
    grid = expand_grid(method=["mixup"], alpha=[0.1, 0.2], seed=range(15))
    plan = plan_runs(notebook, grid, tmp_path)
    assert "30 runs of runs.ipynb: 0 complete, 30 to do" in plan.describe(2)
    assert "unknown until a run has finished" in plan.describe(2)
    assert plan.estimate(2) is None
    ids = list(plan.tasks)
    make_complete(plan, ids[0], wall=10.0)
    make_complete(plan, ids[7], wall=20.0)
    plan = plan_runs(notebook, grid, tmp_path)
    assert plan.complete == {ids[0], ids[7]}
    assert [task.folder.name for task in plan.waiting] == [
        name for name in ids if name not in plan.complete
    ]
    assert plan.estimate(2) == pytest.approx(15 * 28 / 2)
    words = plan.describe(2, most=4).splitlines()
    assert words[:2] == [
        "30 runs of runs.ipynb: 2 complete, 28 to do",
        "time with 2 at a time: about 4 min",
    ]
    assert [line.split()[1:] for line in words[2:6]] == [
        ["mixup", "0.1", "0", "complete"],
        ["mixup", "0.1", "1", "to", "do"],
        ["mixup", "0.1", "2", "to", "do"],
        ["mixup", "0.1", "3", "to", "do"],
    ]
    assert words[6:] == ["... and 26 more"]


def test_planning_writes_nothing(tmp_path, notebook):
    plan_runs(notebook, [{}], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_a_sweep_will_do_is_kept_with_the_notebook_as_it_is_now(tmp_path, notebook):
    plan = plan_runs(notebook, [{"seed": 1}], tmp_path)
    keep_plan(plan)
    assert plan.notebook.parent == tmp_path / SWEEP
    assert read_parameters(plan.notebook) == read_parameters(notebook)
    kept = read_plan(tmp_path)
    assert kept["content"] == plan.content
    assert kept["runs"] == {run_id: task.parameters for run_id, task in plan.tasks.items()}
    before = contents(tmp_path)
    keep_plan(plan)
    assert contents(tmp_path) == before
    assert read_plan(tmp_path / "elsewhere") == {}


def test_a_notebook_edited_while_its_runs_are_planned_is_refused(tmp_path):
    path = write_notebook(tmp_path / "one.ipynb", *CELLS)
    plan = plan_runs(path, [{}], tmp_path / "out")
    write_notebook(path, *CELLS, "# edited")
    with pytest.raises(BmixError, match=r"one\.ipynb was changed while its runs were planned"):
        keep_plan(plan)
    assert list((tmp_path / "out" / SWEEP).glob("*.ipynb")) == []
    assert not (tmp_path / "out" / SWEEP / "plan.json").exists()


def test_an_old_format_and_a_missing_kernelspec_are_read(tmp_path):
    content = json.loads(write_notebook(tmp_path / "new.ipynb", kernelspec=None).read_text())
    assert "kernelspec" not in content["metadata"]
    assert read_parameters(tmp_path / "new.ipynb")[0]["lr"] == 0.01
    cell = {
        "cell_type": "code",
        "collapsed": False,
        "input": "alpha = 1",
        "language": "python",
        "outputs": [],
    }
    cell |= {"metadata": {"tags": ["parameters"]}, "prompt_number": 1}
    old = {"metadata": {"name": ""}, "nbformat": 3, "nbformat_minor": 0}
    write_json(tmp_path / "old.ipynb", old | {"worksheets": [{"cells": [cell], "metadata": {}}]})
    assert read_parameters(tmp_path / "old.ipynb")[0] == {"alpha": 1}


def test_words_of_the_command_line_and_values_of_python_plan_the_same_runs(tmp_path, notebook):
    defaults, _ = read_parameters(notebook)
    words = read_assignments(
        ["method=mixup", "alpha=0.1,0.2", "seed=0:3", "steps=3", "scale=1.5"], defaults
    )
    values = expand_grid(method=["mixup"], alpha=[0.1, 0.2], seed=range(3))
    assert list(plan_runs(notebook, words, tmp_path).tasks) == list(
        plan_runs(notebook, values, tmp_path).tasks
    )


@pytest.fixture(scope="module")
def with_parents(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parents")
    parameters = PARAMETERS + '\nparent_folder = ""'
    return write_notebook(folder / "runs.ipynb", *CELLS, parameters=[parameters])


def test_a_run_with_posthoc_comes_last_and_is_told_where_the_one_to_begin_with_lies(
    tmp_path, with_parents
):
    grid = expand_grid(method=["tau_norm", "instance", "crt"], seed=range(2))
    plan = plan_runs(with_parents, grid, tmp_path)
    waiting = [task.parameters for task in plan.waiting]
    assert [row["method"] for row in waiting] == ["instance"] * 2 + ["tau_norm"] * 2 + ["crt"] * 2
    assert [row["seed"] for row in waiting] == [0, 1] * 3
    instances = [row["run_folder"] for row in waiting[:2]]
    assert [row.get("parent_folder") for row in waiting] == [None, None, *instances * 2]
    assert "parent_folder" not in " ".join(map(" ".join, plan.table()))
    others = plan_runs(with_parents, [grid[0] | {"lr": 0.1}], tmp_path).waiting
    assert others[0].parameters["parent_folder"] not in instances  # of the same recipe else


def test_a_notebook_that_knows_no_run_to_begin_with_is_told_none(tmp_path, notebook):
    (task,) = plan_runs(notebook, [{"method": "crt"}], tmp_path).waiting
    assert "parent_folder" not in task.parameters


def test_the_run_to_begin_with_cannot_be_given_to_a_sweep(tmp_path, with_parents):
    with pytest.raises(BmixError, match="parent_folder cannot be given: each run has its own"):
        plan_runs(with_parents, [{"method": "crt", "parent_folder": "here"}], tmp_path)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (89, "89 s"), (90, "2 min"), (3600, "60 min"), (5400, "1.5 h")],
)
def test_lengths_of_time_are_said_for_people(seconds, words):
    assert say_seconds(seconds) == words
