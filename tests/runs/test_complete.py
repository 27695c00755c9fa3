"""Whether a run is complete is decided once; sweep, report and lesson share the decision."""

import json
import shutil

import numpy as np
import papermill
import pytest
from nbformat.v4 import new_notebook

from bmix_lite.base.errors import BmixError
from bmix_lite.base.files import read_json, sha256_of, write_json
from bmix_lite.pages.sweep_report import sort_runs, tabulate_all, write_report
from bmix_lite.recipe import Recipe
from bmix_lite.runs import complete
from bmix_lite.runs.complete import TASK, holds_result, is_complete, list_complete, why_incomplete
from bmix_lite.runs.folder import make_run_id, open_run, save_run
from bmix_lite.runs.ledger import append_ledger, read_ledger
from bmix_lite.runs.reading import copy_results, read_run, read_runs
from bmix_lite.sweeps.sweep import plan_runs, run_grid
from conftest import ROOT
from examples import rename_run
from runs.made_up import write_run
from toy_sweeps import CELLS, contents, write_notebook

EXAMPLES = ROOT / "notebooks" / "example_runs"
OLD = "instance-digits_lt-fold0-seed0-3157339ae7"
SEEDS = (0, 1, 2)


def add_run(experiment, data, seed=0, name=None, **fields):
    """A complete run with made-up results, in a folder of its run id or of another name."""
    recipe = Recipe(dataset=data.name, seed=seed, **fields)
    folder = experiment / (name or make_run_id(recipe, data.fingerprint))
    open_run(folder, recipe, data)
    rng = np.random.default_rng(seed)
    rows = {split: len(data.rows(split)) for split in ("val", "test")}
    predictions = {split: rng.dirichlet(np.ones(3), rows[split]) for split in rows}
    save_run(folder, data, [{"epoch": 1, "lr": 0.1, "seconds": 1.0}], predictions)
    return folder


def replace_run(folder, other):
    """Copy another run's whole result into a run's folder."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(other, folder)


def read_ids(experiment):
    return {run["run_id"] for run in read_runs(experiment)}


def test_all_ways_to_ask_give_the_same_answer(tmp_path, data):
    folders = [add_run(tmp_path, data, seed) for seed in range(5)]
    append_ledger(tmp_path, folders[0].name, "failed", error="cell 9")
    write_json(folders[1] / TASK, {"notebook": "n", "sweep": "s", "tries": 1})
    (folders[2] / "history.csv").write_text("")
    replace_run(folders[3], folders[4])
    assert [why_incomplete(folder) for folder in folders] == [
        "it ended badly after its result: failed",
        "its notebook did not come to its end",
        "its result is damaged",
        "its result is that of another run",
        "",
    ]
    whole = {folders[4].name}
    names = [folder.name for folder in folders]
    assert list_complete(tmp_path) == list_complete(tmp_path, names) == read_ids(tmp_path) == whole
    assert {folder.name for folder in folders if is_complete(folder)} == whole
    assert set(copy_results(tmp_path, tmp_path.parent / "kept")) == whole
    assert [holds_result(folder) for folder in folders] == [True, True, False, False, True]


def test_a_later_bad_ending_counts_until_a_good_one_follows(tmp_path, data):
    folder = add_run(tmp_path, data)
    for status, fault in (("killed", "it ended badly after its result: killed"), ("complete", "")):
        append_ledger(tmp_path, folder.name, status)
        assert why_incomplete(folder) == fault
        assert is_complete(folder) == (not fault)


def test_a_run_that_is_not_complete_is_refused_with_the_reason(tmp_path, data):
    folder = add_run(tmp_path, data)
    append_ledger(tmp_path, folder.name, "timed out")
    with pytest.raises(
        BmixError, match="holds no complete run: it ended badly after its result: timed out"
    ):
        read_run(folder)
    with pytest.raises(BmixError, match="holds no complete run: it has no result"):
        read_run(tmp_path / "none")


def test_the_ledger_is_read_once_for_many_runs_and_not_at_all_where_no_run_has_a_result(
    tmp_path, data, monkeypatch
):
    names = [add_run(tmp_path, data, seed).name for seed in SEEDS]
    calls = []
    monkeypatch.setattr(complete, "read_endings", lambda path: calls.append(path) or {})
    assert list_complete(tmp_path, names) == set(names)
    assert len(calls) == 1
    assert list_complete(tmp_path, ["one", "two"]) == set()
    assert not is_complete(tmp_path / "one")
    assert len(calls) == 1


def test_a_folder_of_any_name_may_be_copied_renamed_and_read(tmp_path, data):
    """As lesson 5 writes it where `run_folder` is given; its name says nothing of what is in it."""
    one = add_run(tmp_path, data, name="one")
    shutil.copytree(one, tmp_path / "kept copy")
    add_run(tmp_path, data, seed=1).rename(tmp_path / "best of all")
    assert read_ids(tmp_path) == {"one", "kept copy", "best of all"}


def test_equal_runs_under_names_that_a_user_chose_leave_equal_files(tmp_path, data):
    one, two = (add_run(tmp_path, data, name=name) for name in ("one", "two"))
    assert [path.read_bytes() for path in sorted(one.iterdir())] == [
        path.read_bytes() for path in sorted(two.iterdir())
    ]


@pytest.mark.parametrize("fields", [{}, {"lr": 0.05}, {"epochs": 7}, {"seed": 3}, {"name": "one"}])
def test_a_whole_result_in_the_folder_of_another_run_is_not_that_run(tmp_path, data, fields):
    """Also where both share the readable part of their names, or come from another notebook."""
    recipe = Recipe(dataset=data.name)
    folder = tmp_path / make_run_id(recipe, data.fingerprint, "a notebook")
    replace_run(folder, add_run(tmp_path, data, **fields))
    assert why_incomplete(folder) == "its result is that of another run"
    before = contents(folder)
    with pytest.raises(BmixError, match="belongs to another run"):
        open_run(folder, recipe, data)
    assert contents(folder) == before


def test_a_folder_that_is_named_for_another_run_is_refused_before_anything_is_trained(
    tmp_path, data
):
    folder = tmp_path / make_run_id(Recipe(dataset=data.name, seed=1), data.fingerprint)
    with pytest.raises(
        BmixError, match="has the name of another run: this one is instance-stripes-split0-seed2"
    ):
        open_run(folder, Recipe(dataset=data.name, seed=2), data)
    assert not folder.exists()


def test_old_folders_that_do_not_note_their_run_id_are_read(tmp_path):
    assert "run_id" not in read_json(EXAMPLES / OLD / "recipe.json")
    assert len(read_runs(EXAMPLES)) == len(list(EXAMPLES.glob("*/recipe.json"))) == 25
    experiment = shutil.copytree(EXAMPLES, tmp_path / "runs")
    (experiment / OLD).rename(experiment / "by hand")
    assert len(read_runs(experiment)) == 25


@pytest.mark.parametrize("other", ["seed1", "fold1", "focal", "alpha"])
def test_an_old_folder_whose_name_contradicts_its_recipe_is_left_out(tmp_path, other):
    experiment = shutil.copytree(EXAMPLES, tmp_path / "runs")
    names = {
        "seed1": OLD.replace("seed0", "seed1"),
        "fold1": OLD.replace("fold0", "fold1"),
        "focal": OLD.replace("instance", "focal"),
        "alpha": OLD.replace("instance", "mixup-alpha0.2"),
    }
    (experiment / OLD).rename(experiment / names[other])
    assert len(read_runs(experiment)) == 24
    assert why_incomplete(experiment / names[other]) == "its result is that of another run"


def test_a_run_begun_before_ids_were_noted_goes_on(tmp_path, data):
    recipe = Recipe(dataset=data.name)
    folder = open_run(tmp_path / make_run_id(recipe, data.fingerprint), recipe, data)
    about = read_json(folder / "recipe.json")
    assert about.pop("run_id") == folder.name
    write_json(folder / "recipe.json", about)
    add_run(tmp_path, data)
    assert read_ids(tmp_path) == {folder.name}


@pytest.mark.parametrize(
    "content", ["{}", "[]", "3", "null", '{"recipe": 3, "method": "x"}', '{"recipe": {}}']
)
def test_what_another_program_wrote_as_recipe_claims_nothing(tmp_path, data, content):
    folder = add_run(tmp_path, data)
    (folder / "recipe.json").write_text(content)
    assert not is_complete(folder)
    metrics = read_json(folder / "metrics.json")
    metrics["sha256"]["recipe.json"] = sha256_of(folder / "recipe.json")
    write_json(folder / "metrics.json", metrics)
    assert is_complete(folder)


@pytest.fixture
def sweep(tmp_path, monkeypatch):
    """(notebook, grid, experiment, calls): a sweep whose notebooks are played without a kernel."""
    notebook = write_notebook(tmp_path / "runs.ipynb", *CELLS)
    out = tmp_path / "out"
    calls = []

    def execute_notebook(source, output, parameters, **_):
        calls.append(parameters["seed"])
        namespace = {"how": "", "method": "instance", "alpha": None, "lr": 0.01, "epochs": 1}
        exec(
            "\n".join([CELLS[0], CELLS[-2]]),
            namespace | {"dataset": "digits_lt", "split": 0} | parameters,
        )
        return new_notebook()

    monkeypatch.setattr(papermill, "execute_notebook", execute_notebook)
    grid = [{"seed": seed} for seed in SEEDS]
    endings = run_grid(notebook, grid, out, progress=False)
    assert [ending.status for ending in endings] == ["complete"] * len(SEEDS)
    calls.clear()
    return notebook, grid, out, calls


def test_a_run_that_died_between_result_and_last_cell_is_not_reported_but_run_again(sweep):
    notebook, grid, out, calls = sweep
    names = list(plan_runs(notebook, grid, out).tasks)
    note = read_json(out / names[1] / TASK)
    del note["wall"]  # its runner died as well: the ledger has the good line of the result alone
    write_json(out / names[1] / TASK, note)
    assert read_ids(out) == plan_runs(notebook, grid, out).complete == {names[0], names[2]}
    endings = run_grid(notebook, grid, out, progress=False)
    assert [ending.status for ending in endings] == ["reused", "complete", "reused"]
    assert calls == [1]
    assert read_ids(out) == plan_runs(notebook, grid, out).complete == set(names)


def test_a_copied_result_is_planned_again_refused_in_words_and_not_touched(sweep):
    notebook, grid, out, calls = sweep
    names = list(plan_runs(notebook, grid, out).tasks)
    replace_run(out / names[1], out / names[0])
    assert read_ids(out) == plan_runs(notebook, grid, out).complete == {names[0], names[2]}
    before = contents(out / names[1])
    ending = run_grid(notebook, grid, out, progress=False)[1]
    assert ending.status == "failed"
    assert (
        f"{out / names[1]} belongs to another run, instance-digits_lt-split0-seed0" in ending.error
    )
    assert "move it away, then run again" in ending.error
    assert contents(out / names[1]) == before
    assert calls == []
    (out / names[1]).rename(out.parent / "moved away")
    assert [ending.status for ending in run_grid(notebook, grid, out, progress=False)] == [
        "reused",
        "complete",
        "reused",
    ]
    assert calls == [1]
    assert read_ids(out) == set(names)


def test_a_run_whose_end_cannot_be_noted_is_not_told_to_be_complete(sweep, monkeypatch):
    notebook, _, out, _ = sweep

    def fill_disk(path, value):
        if "wall" in value:
            raise OSError(28, "No space left on device", str(path))
        write_json(path, value)

    monkeypatch.setattr("bmix_lite.sweeps.tasks.write_json", fill_disk)
    (ending,) = run_grid(notebook, [{"seed": 9}], out, progress=False)
    assert ending.status == "failed"
    assert "No space left on device" in ending.error
    assert not is_complete(ending.folder)
    assert read_ledger(out)[-1]["status"] == "failed"


def test_the_report_lists_what_is_incomplete_with_the_reason(tmp_path, data):
    folders = [add_run(tmp_path, data, seed) for seed in range(4)]
    replace_run(folders[1], folders[0])
    write_json(folders[2] / TASK, {"notebook": "n", "sweep": "s", "tries": 1})
    runs, apart = sort_runs(tmp_path)
    assert apart == {}
    table = tabulate_all(runs, tmp_path).set_index("run_id")
    assert table["status"].to_dict() == {
        folders[0].name: "complete",
        folders[1].name: "incomplete",
        folders[2].name: "incomplete",
        folders[3].name: "complete",
    }
    assert table.loc[folders[1].name, "error"] == "its result is that of another run"
    assert table.loc[folders[2].name, "error"] == "its notebook did not come to its end"
    page = write_report(tmp_path)[-1].read_text(encoding="utf-8")
    assert '<span class="bad">2 incomplete</span>' in page
    assert "its notebook did not come to its end" in page


def test_a_run_made_under_the_name_of_another_notebook_is_complete(tmp_path, data):
    folder = add_run(tmp_path, data)
    other = folder.with_name(folder.name[:-10] + "0123456789")
    shutil.copytree(folder, other)
    assert not is_complete(other)
    rename_run(other)
    assert is_complete(other)
    assert json.loads((other / "recipe.json").read_text())["run_id"] == other.name


WRITTEN = ("recipe.json", "history.csv", "predictions.csv", "metrics.json", "model.pt")


@pytest.mark.parametrize("name", WRITTEN[:4])
def test_a_run_without_one_of_its_files_is_not_complete(tmp_path, data, name):
    write_run(tmp_path, data)
    assert is_complete(tmp_path)
    (tmp_path / name).unlink()
    assert not is_complete(tmp_path)
    with pytest.raises(BmixError, match="holds no complete run"):
        read_run(tmp_path)


def test_a_model_may_be_deleted_to_save_room(tmp_path, data):
    write_run(tmp_path, data)
    (tmp_path / "model.pt").unlink()
    assert is_complete(tmp_path)


@pytest.mark.parametrize("name", WRITTEN)
@pytest.mark.parametrize("change", ["cut", "emptied"])
def test_a_run_with_a_cut_file_is_not_complete(tmp_path, data, name, change):
    write_run(tmp_path, data)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: len(content) // 2] if change == "cut" else b"")
    assert not is_complete(tmp_path)


@pytest.mark.parametrize(
    ("name", "there", "put"),
    [
        ("recipe.json", '"seed": 0', '"seed": 1'),
        ("history.csv", "0.7", "0.6"),
        ("predictions.csv", "val,", "test,"),
        ("model.pt", "weights", "weighta"),
    ],
)
def test_a_run_with_an_altered_file_is_not_complete(tmp_path, data, name, there, put):
    write_run(tmp_path, data)
    text = (tmp_path / name).read_text()
    assert there in text
    (tmp_path / name).write_text(text.replace(there, put, 1))
    assert not is_complete(tmp_path)


@pytest.mark.parametrize(
    "content", ["null", "[]", "3", '{"sha256": {}}', '{"sha256": null}', "{}", '"sha256"']
)
def test_a_metrics_file_of_another_shape_is_no_result(tmp_path, data, content):
    write_run(tmp_path, data)
    (tmp_path / "metrics.json").write_text(content)
    assert not is_complete(tmp_path)


def test_a_folder_that_is_not_there_is_not_complete(tmp_path):
    assert not is_complete(tmp_path / "nowhere")
