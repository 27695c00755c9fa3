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
from bmix_lite.data.splits import assign_split
from bmix_lite.recipe import Recipe
from bmix_lite.runs import folder as runs
from bmix_lite.runs.complete import is_complete
from bmix_lite.runs.folder import make_run_id, open_run, save_run
from bmix_lite.runs.ledger import read_ledger
from bmix_lite.runs.reading import read_predictions, read_run
from examples import make_images
from runs.made_up import HISTORY, make_predictions, write_run

CHANGED = dict(
    dataset="cells",
    split=1,
    q=0.5,
    mixing="mixup",
    alpha=0.3,
    mix_probability=0.5,
    lam_per="image",
    base_draw="replacement",
    balanced_draw="deck",
    short_batch="drop",
    budget="images",
    loss="focal",
    weight_mean="images",
    posthoc="crt",
    model="mobilenet_v2",
    head="cosine",
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
    # min_lr needs the schedule, weight_mean the loss
    fields = dict(mixing="balanced", alpha=0.2, schedule="plateau", loss="weighted")
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
        "balanced_mixup", alpha=0.1, dataset="/somewhere/else/cells/", split=2, seed=3
    )
    assert make_run_id(recipe, "data").startswith("balanced_mixup-alpha0.1-cells-split2-seed3-")
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


def test_an_opened_run_notes_how_its_split_relates_to_the_others(tmp_path, data):
    for split in (0, 7):
        unsplit = replace(data, split=None)
        dealt = assign_split(unsplit, split=split)
        open_run(tmp_path / str(split), Recipe(split=split), dealt)
        about = json.loads((tmp_path / str(split) / "recipe.json").read_text())
        rest = len(dealt.rows("train")) + len(dealt.rows("val"))
        assert about["split_kind"] == "folds"
        assert (about["test_images"], about["rest_images"]) == (len(dealt.rows("test")), rest)
        assert about["recipe"]["split"] == split
    open_run(tmp_path / "own", Recipe(split=3), data)
    about = json.loads((tmp_path / "own" / "recipe.json").read_text())
    assert (about["split_kind"], about["test_images"], about["rest_images"]) == (None, None, None)


def test_a_recipe_of_another_split_than_that_of_the_data_is_refused(tmp_path, data):
    dealt = assign_split(replace(data, split=None), split=2)
    with pytest.raises(BmixError, match="recipe says split 0, the data are split 2: give both"):
        open_run(tmp_path / "run", Recipe(), dealt)
    assert not (tmp_path / "run").exists()


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
    assert len(values) == 18
    assert not any(map(math.isnan, values))


def test_predictions_name_the_patient_of_an_image_by_a_number_alone(tmp_path):
    data = make_images()
    names = np.array([f"Mrs {k // 2}" for k in range(len(data.labels))])
    data = replace(data, groups=names)
    write_run(tmp_path / "run", data)
    table = pd.read_csv(tmp_path / "run" / "predictions.csv")
    assert "Mrs" not in (tmp_path / "run" / "predictions.csv").read_text()
    of_rows = names[table["index"]]
    assert table["group"].groupby(of_rows).nunique().eq(1).all()
    assert table["group"].nunique() == len(set(of_rows))
