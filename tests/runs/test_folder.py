import csv
import dataclasses
import json
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sk

from bmix_lite.base.errors import BmixError
from bmix_lite.base.files import sha256_of
from bmix_lite.comparison.tables import tabulate
from bmix_lite.recipe import METHODS, Recipe
from bmix_lite.runs import folder as runs
from bmix_lite.runs.complete import is_complete
from bmix_lite.runs.folder import (
    copy_results,
    make_run_id,
    open_run,
    read_ledger,
    read_predictions,
    read_run,
    read_runs,
    save_run,
)
from examples import make_images

HISTORY = [
    {"epoch": 1, "lr": 0.1, "train_loss": 1.1, "val_accuracy": 0.1 + 0.2, "seconds": 2.5},
    {"epoch": 2, "lr": 1 / 3, "train_loss": 0.7, "val_accuracy": float("nan"), "seconds": 1.25},
]


@pytest.fixture(scope="module")
def data():
    return make_images()


def make_predictions(data, seed=0):
    rng = np.random.default_rng(seed)
    return {
        split: rng.dirichlet(np.ones(len(data.class_names)), len(data.rows(split))).astype(
            np.float32
        )
        for split in ("val", "test")
    }


def write_run(folder, data, recipe=None, seed=0):
    """A complete run with made-up results."""
    open_run(folder, recipe or Recipe(), data)
    (folder / "model.pt").write_bytes(b"weights")
    return save_run(folder, data, HISTORY, make_predictions(data, seed))


CHANGED = dict(
    dataset="cells",
    fold=1,
    q=0.5,
    mixing="mixup",
    alpha=0.3,
    lam_per="image",
    balanced_draw="deck",
    budget="images",
    loss="focal",
    model="mobilenet_v2",
    weights="imagenet",
    augment="none",
    epochs=3,
    batch_size=8,
    optimizer="adamw",
    lr=0.07,
    momentum=0.5,
    weight_decay=0.0,
    schedule="constant",
    warmup_epochs=1,
    min_lr=1e-4,
    monitor="mcc",
    precision="fp32",
    threads=2,
    seed=1,
)


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Recipe)])
def test_every_field_of_the_recipe_changes_the_run_id(name):
    fields = dict(mixing="balanced", alpha=0.2, schedule="plateau")  # min_lr needs it
    recipe = Recipe(**fields)
    assert make_run_id(recipe, "data") == make_run_id(Recipe(**fields), "data")
    assert make_run_id(replace(recipe, **{name: CHANGED[name]}), "data") != make_run_id(
        recipe, "data"
    )


def test_data_notebook_and_version_change_the_run_id(monkeypatch):
    ids = [
        make_run_id(Recipe(), *where)
        for where in (("data",), ("other",), ("data", "notebook"), ("data", "later"))
    ]
    monkeypatch.setattr(runs, "__version__", "0.0.0")
    assert len({*ids, make_run_id(Recipe(), "data")}) == 5


def test_a_run_id_can_be_read_and_is_a_plain_name():
    recipe = Recipe.make(
        "balanced_mixup", alpha=0.1, dataset="/somewhere/else/cells/", fold=2, seed=3
    )
    assert make_run_id(recipe, "data").startswith("balanced_mixup-alpha0.1-cells-fold2-seed3-")
    hostile = make_run_id(Recipe(dataset="../../x"), "data")
    assert "/" not in hostile
    assert hostile.startswith("instance-x-")


def test_an_opened_run_says_what_it_is(tmp_path, data):
    recipe = Recipe.make("balanced_mixup", seed=3)
    open_run(tmp_path / "run", recipe, data, device="cuda:1")
    about = json.loads((tmp_path / "run" / "recipe.json").read_text())
    assert Recipe(**about["recipe"]) == recipe
    assert about["fingerprint"] == data.fingerprint
    assert about["method"] == "balanced_mixup"
    assert about["class_names"] == ["class 0", "class 1", "class 2"]
    assert about["train_counts"] == [40, 15, 6]
    assert about["environment"]["device"] == "cuda:1"
    assert about["environment"]["numpy"] == np.__version__


def test_opening_a_run_again_changes_nothing_but_cleans_up(tmp_path, data):
    open_run(tmp_path, Recipe(), data)
    before = (tmp_path / "recipe.json").read_bytes(), (tmp_path / "recipe.json").stat().st_mtime_ns
    (tmp_path / ".history.csv.0123abcd.tmp").write_text("half a")
    open_run(tmp_path, Recipe(), data, device="cuda")
    assert [path.name for path in tmp_path.iterdir()] == ["recipe.json"]
    assert (
        (tmp_path / "recipe.json").read_bytes(),
        (tmp_path / "recipe.json").stat().st_mtime_ns,
    ) == before


def test_a_folder_of_another_run_is_refused_and_left_alone(tmp_path, data):
    open_run(tmp_path, Recipe(), data)
    before = (tmp_path / "recipe.json").read_bytes()
    with pytest.raises(BmixError, match=r"belongs to another run: its recipe differ"):
        open_run(tmp_path, Recipe(seed=1), data)
    with pytest.raises(BmixError, match=r"belongs to another run: its recipe, method differ"):
        open_run(tmp_path, Recipe(loss="focal"), data)
    with pytest.raises(BmixError, match=r"belongs to another run: its fingerprint differ"):
        open_run(tmp_path, Recipe(), make_images(seed=1))
    with pytest.raises(
        BmixError,
        match=r"belongs to another run: its fingerprint, class_names, train_counts differ",
    ):
        open_run(tmp_path, Recipe(), make_images((40, 15, 6, 5), held_out=(5, 5, 5, 5)))
    assert (tmp_path / "recipe.json").read_bytes() == before


def test_a_recipe_file_that_is_cut_is_refused_by_name(tmp_path, data):
    open_run(tmp_path, Recipe(), data)
    content = (tmp_path / "recipe.json").read_text()
    (tmp_path / "recipe.json").write_text(content[:50])
    with pytest.raises(BmixError, match=r"recipe\.json: not valid JSON"):
        open_run(tmp_path, Recipe(), data)


def test_a_saved_run_is_complete_and_reads_back(tmp_path, data):
    folder = tmp_path / "run"
    open_run(folder, Recipe(), data)
    assert not is_complete(folder)
    predictions = make_predictions(data)
    save_run(folder, data, HISTORY, predictions)
    assert is_complete(folder)
    read = read_predictions(folder)
    assert list(read) == ["val", "test"]
    for split, (labels, probabilities) in read.items():
        np.testing.assert_array_equal(labels, data.labels[data.rows(split)])
        np.testing.assert_allclose(probabilities, predictions[split], rtol=5e-6)  # six digits
    table = pd.read_csv(folder / "predictions.csv")
    assert table["index"].tolist() == [*data.rows("val"), *data.rows("test")]
    with open(folder / "history.csv", newline="") as file:
        history = [
            {name: float(text or "nan") for name, text in row.items()}
            for row in csv.DictReader(file)
        ]
    assert repr(history) == repr(
        [{name: float(record[name]) for name in list(record)[:-1]} for record in HISTORY]
    )


def test_metrics_are_those_of_the_predictions_in_the_folder(tmp_path):
    metrics = write_run(tmp_path / "run", make_images(ordered=True))
    assert metrics == read_run(tmp_path / "run")["metrics"]
    for split, (labels, probabilities) in read_predictions(tmp_path / "run").items():
        expected = sk.balanced_accuracy_score(labels, probabilities.argmax(axis=1))
        assert metrics[split]["balanced_accuracy"] == pytest.approx(expected)
        assert (
            metrics[split]["confusion"]
            == sk.confusion_matrix(labels, probabilities.argmax(axis=1)).tolist()
        )


def test_saving_a_run_removes_its_checkpoints_and_nothing_else(tmp_path, data):
    folder = tmp_path / "run"
    open_run(folder, Recipe(), data)
    for name in (
        "checkpoint.pt",
        "checkpoint.previous",
        "checkpoint.new",
        "model.pt",
        "notebook.ipynb",
    ):
        (folder / name).write_text(name)
    save_run(folder, data, HISTORY, make_predictions(data))
    left = {
        "recipe.json",
        "history.csv",
        "predictions.csv",
        "metrics.json",
        "model.pt",
        "notebook.ipynb",
    }
    assert {path.name for path in folder.iterdir()} == left


def refuse_constants(name):
    raise AssertionError(f"{name} is no JSON")


def test_metrics_that_are_not_defined_become_null(tmp_path):
    data = make_images(held_out=(4, 0, 0))
    open_run(tmp_path / "run", Recipe(), data)
    certain = np.tile(np.float32([1, 0, 0]), (4, 1))
    save_run(tmp_path / "run", data, HISTORY, {"val": certain, "test": certain})
    text = (tmp_path / "run" / "metrics.json").read_text()
    metrics = json.loads(text, parse_constant=refuse_constants)
    assert [metrics["test"][name] for name in ("mcc", "kappa", "macro_auc")] == [None] * 3
    assert metrics["test"]["recall"] == [1, None, None]
    assert metrics["test"]["accuracy"] == 1
    assert any("mcc is undefined" in note for note in metrics["test"]["notes"])


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


@pytest.fixture
def experiment(tmp_path, data):
    """Three complete runs, one interrupted, one damaged."""
    for place, recipe in enumerate(
        [
            Recipe.make("balanced_mixup", alpha=0.2),
            Recipe.make("balanced_mixup", alpha=0.1, seed=1),
            Recipe.make("instance", seed=2),
        ]
    ):
        write_run(tmp_path / f"run {place}", data, recipe, seed=place)
    open_run(tmp_path / "interrupted", Recipe(seed=7), data)
    write_run(tmp_path / "damaged", data, Recipe(seed=8))
    (tmp_path / "damaged" / "history.csv").write_text("epoch\n")
    return tmp_path


def test_read_runs_finds_the_complete_runs_in_the_order_of_methods_and_alpha(experiment):
    found = read_runs(experiment)
    assert [run["run_id"] for run in found] == ["run 2", "run 1", "run 0"]
    assert [run["method"] for run in found] == ["instance", "balanced_mixup", "balanced_mixup"]
    assert found[0]["class_names"] == ["class 0", "class 1", "class 2"]
    assert found[0]["history"]["epoch"].tolist() == [1, 2]


def test_methods_come_in_the_order_of_their_table(tmp_path, data):
    for name in reversed(METHODS):
        write_run(tmp_path / name, data, Recipe.make(name))
    assert [run["method"] for run in read_runs(tmp_path)] == list(METHODS)


def test_an_experiment_without_a_complete_run_is_refused(tmp_path, data):
    open_run(tmp_path / "interrupted", Recipe(), data)
    with pytest.raises(BmixError, match="holds no complete run"):
        read_runs(tmp_path)


def test_the_table_has_one_row_a_run_and_the_columns_promised(experiment):
    table = tabulate(read_runs(experiment), experiment)
    names = [
        "accuracy",
        "balanced_accuracy",
        "macro_f1",
        "mcc",
        "kappa",
        "kendall_tau",
        "macro_auc",
    ]
    about = [
        "run_id",
        "status",
        "dataset",
        "method",
        "q",
        "alpha",
        "loss",
        "fold",
        "seed",
        "mixing",
    ]  # what varies last
    assert list(table) == [
        *about,
        *(f"{split}_{name}" for split in ("val", "test") for name in names),
        "seconds",
    ]
    assert set(table["status"]) == {"complete"}
    assert table["run_id"].tolist() == ["run 2", "run 1", "run 0"]
    assert table["alpha"].tolist() == [0, 0.1, 0.2]
    assert table["seed"].tolist() == [2, 1, 0]
    assert table["seconds"].tolist() == [3.75] * 3
    labels, probabilities = read_predictions(experiment / "run 1")["test"]
    expected = sk.matthews_corrcoef(labels, probabilities.argmax(axis=1))
    assert table["test_mcc"][1] == pytest.approx(expected)


def test_a_finished_run_has_one_line_in_the_ledger(tmp_path, data):
    write_run(tmp_path / "run", data)
    (line,) = read_ledger(tmp_path)
    assert line["run_id"] == "run"
    assert line["status"] == "complete"
    assert line["seconds"] == 3.75
    assert line["when"].endswith("+00:00")


def test_the_hashes_of_a_run_are_those_of_its_files(tmp_path, data):
    metrics = write_run(tmp_path / "run", data)
    assert {"history.csv", "predictions.csv"} <= set(metrics["sha256"])
    for name, digest in metrics["sha256"].items():
        assert sha256_of(tmp_path / "run" / name) == digest


def test_kappa_is_not_computed_where_the_classes_have_no_order(tmp_path, data):
    write_run(tmp_path / "run", data)
    test = read_run(tmp_path / "run")["metrics"]["test"]
    assert test["kappa"] is None
    assert test["kendall_tau"] is None
    assert test["mcc"] is not None
    assert "kappa is undefined: the data do not say that their classes are grades" in test["notes"]


def test_metrics_hold_no_nan_where_all_is_defined(tmp_path):
    metrics = write_run(tmp_path / "run", make_images(ordered=True))
    values = [
        value
        for split in ("val", "test")
        for value in metrics[split].values()
        if isinstance(value, float)
    ]
    assert len(values) == 16
    assert not any(map(math.isnan, values))


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
