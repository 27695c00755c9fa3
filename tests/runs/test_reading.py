import pytest
from sklearn import metrics as sk

from bmix_lite.base.errors import BmixError
from bmix_lite.base.files import read_json, sha256_of, write_json
from bmix_lite.comparison.tables import tabulate
from bmix_lite.data.designs import NOTES
from bmix_lite.recipe import METHODS, Recipe
from bmix_lite.runs.complete import is_complete
from bmix_lite.runs.folder import make_run_id, open_run
from bmix_lite.runs.ledger import read_ledger
from bmix_lite.runs.reading import copy_results, read_predictions, read_runs
from runs.made_up import write_run


@pytest.fixture
def experiment(tmp_path, data):
    """Three complete runs, one interrupted, one damaged."""
    recipes = [
        Recipe.make("balanced_mixup", alpha=0.2),
        Recipe.make("balanced_mixup", alpha=0.1, seed=1),
        Recipe.make("instance", seed=2),
    ]
    for number, recipe in enumerate(recipes):
        write_run(tmp_path / f"run {number}", data, recipe, seed=number)
    open_run(tmp_path / "interrupted", Recipe(seed=7), data)
    write_run(tmp_path / "damaged", data, Recipe(seed=8))
    (tmp_path / "damaged" / "history.csv").write_text("epoch\n")
    return tmp_path


def test_read_runs_finds_the_complete_runs_in_the_order_of_methods_and_alpha(experiment):
    runs = read_runs(experiment)
    assert [run["run_id"] for run in runs] == ["run 2", "run 1", "run 0"]
    assert [run["method"] for run in runs] == ["instance", "balanced_mixup", "balanced_mixup"]
    assert runs[0]["class_names"] == ["class 0", "class 1", "class 2"]
    assert runs[0]["history"]["epoch"].tolist() == [1, 2]


def test_methods_come_in_the_order_of_their_table(tmp_path, data):
    for name in reversed(METHODS):
        write_run(tmp_path / name, data, Recipe.make(name))
    assert [run["method"] for run in read_runs(tmp_path)] == list(METHODS)


def test_an_experiment_without_a_complete_run_is_refused(tmp_path, data):
    open_run(tmp_path / "interrupted", Recipe(), data)
    with pytest.raises(BmixError, match="holds no complete run"):
        read_runs(tmp_path)


def test_a_run_that_was_made_when_a_split_was_called_a_fold_is_read(tmp_path, data):
    recipe = Recipe.make("mixup", split=3, seed=1)
    folder = tmp_path / make_run_id(recipe, data.fingerprint)
    write_run(folder, data, recipe)
    about = read_json(folder / "recipe.json")
    fields = {{"split": "fold"}.get(name, name): value for name, value in about["recipe"].items()}
    old = {name: value for name, value in about.items() if name not in NOTES}
    old_id = folder.name.replace("-split3-", "-fold3-")
    write_json(folder / "recipe.json", old | {"recipe": fields, "run_id": old_id})
    metrics = read_json(folder / "metrics.json")
    metrics["sha256"]["recipe.json"] = sha256_of(folder / "recipe.json")
    write_json(folder / "metrics.json", metrics)
    (tmp_path / "ledger.jsonl").unlink()
    folder.rename(tmp_path / old_id)
    [run] = read_runs(tmp_path)
    assert Recipe(**run["recipe"]) == recipe
    table = tabulate([run], tmp_path)
    assert table[["run_id", "split", "seed"]].values.tolist() == [[old_id, 3, 1]]
    assert table[[*NOTES]].isna().all(axis=None)


def test_the_table_has_one_row_per_run_and_the_columns_promised(experiment):
    table = tabulate(read_runs(experiment), experiment)
    about = ["run_id", "status", "dataset", "method", "q", "alpha", "loss", "split", "seed"]
    varying = ["mixing"]
    noted = ["split_kind", "test_images", "rest_images"]
    names = [
        "accuracy",
        "balanced_accuracy",
        "macro_f1",
        "mcc",
        "kappa",
        "kendall_tau",
        "macro_auc",
    ]
    scores = [f"{split}_{name}" for split in ("val", "test") for name in names]
    assert list(table) == [*about, *varying, *noted, *scores, "seconds"]
    assert set(table["status"]) == {"complete"}
    assert table["run_id"].tolist() == ["run 2", "run 1", "run 0"]
    assert table["alpha"].tolist() == [0, 0.1, 0.2]
    assert table["seed"].tolist() == [2, 1, 0]
    assert table["seconds"].tolist() == [3.75] * 3
    labels, probabilities = read_predictions(experiment / "run 1")["test"]
    expected = sk.matthews_corrcoef(labels, probabilities.argmax(axis=1))
    assert table["test_mcc"][1] == pytest.approx(expected)


def test_kept_are_the_chosen_runs_without_weights_and_nothing_is_lost_where_none_is(tmp_path, data):
    for name in ("one", "two"):
        write_run(tmp_path / "runs" / name, data)
    copy_results(tmp_path / "runs", tmp_path / "kept", ["two"])
    assert [run["run_id"] for run in read_runs(tmp_path / "kept")] == ["two"]
    assert not (tmp_path / "kept/two/model.pt").exists()
    assert [line["run_id"] for line in read_ledger(tmp_path / "kept")] == ["two"]
    with pytest.raises(BmixError, match="no complete run of those chosen"):
        copy_results(tmp_path / "runs", tmp_path / "kept", ["three"])
    assert is_complete(tmp_path / "kept/two")
