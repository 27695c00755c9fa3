from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from bmix_lite.base.errors import BmixError
from bmix_lite.comparison.intervals import chance_calibration_error
from bmix_lite.comparison.predictions import collect_predictions, tabulate_calibration
from bmix_lite.comparison.tables import group_runs
from bmix_lite.metrics import expected_calibration_error
from bmix_lite.recipe import Recipe
from bmix_lite.runs.folder import open_run, save_run
from bmix_lite.runs.reading import read_predictions, read_runs
from examples import make_images
from plots.test_predictions import random_predictions, split


@pytest.fixture
def experiment(tmp_path):
    """Two seeds on the stripes whose probabilities are invented, and the stripes."""
    data = make_images()
    rng = np.random.default_rng(1)
    for seed in (0, 1):
        folder = open_run(tmp_path / f"run{seed}", Recipe(seed=seed), data)
        predictions = {
            name: rng.dirichlet(np.ones(3), len(data.rows(name))) for name in ("val", "test")
        }
        record = {"epoch": 1, "train_loss": 1.0, "seconds": 1.0}
        save_run(folder, data, [record], predictions)
    return tmp_path, data


@pytest.mark.parametrize("name", ["val", "test"])
def test_predictions_of_a_method_are_those_of_its_runs_one_row_for_each_image_and_seed(
    experiment, name
):
    folder, data = experiment
    (table,) = collect_predictions(folder, group_runs(read_runs(folder)), data, name).values()
    rows = data.rows(name)
    assert list(table) == ["seed", "index", "label", "predicted", "p_0", "p_1", "p_2"]
    assert table["seed"].tolist() == [0] * len(rows) + [1] * len(rows)
    assert table["index"].tolist() == [*rows, *rows]
    for seed, (labels, probabilities) in enumerate(split(table)):
        expected = read_predictions(folder / f"run{seed}")[name]
        assert labels.tolist() == expected[0].tolist() == data.labels[rows].tolist()
        assert (probabilities == expected[1]).all()
        assert (
            table[table["seed"] == seed]["predicted"].tolist()
            == expected[1].argmax(axis=1).tolist()
        )


def test_runs_on_other_images_are_refused_by_their_name(experiment):
    folder, data = experiment
    images = data.images.copy()
    images[0] += 1
    with pytest.raises(BmixError, match="run0 was made on 'digits_lt', split 0: other images"):
        collect_predictions(folder, group_runs(read_runs(folder)), replace(data, images=images))


@pytest.mark.parametrize(
    "change",
    [
        lambda table: table.assign(label=(table["label"] + 1) % 3),
        lambda table: table.assign(index=table["index"] + 1),
        lambda table: table.iloc[:-1],
        lambda table: pd.concat([table, table.tail(1)]),
        lambda table: table[table["split"] == "val"],
    ],
)
def test_predictions_that_are_not_those_of_the_split_are_refused(experiment, change):
    folder, data = experiment
    groups = group_runs(read_runs(folder))
    change(pd.read_csv(folder / "run1" / "predictions.csv")).to_csv(
        folder / "run1" / "predictions.csv", index=False
    )
    with pytest.raises(BmixError, match=r"run1.predictions.csv: its .* are not of the 15 images"):
        collect_predictions(folder, groups, data)


def test_the_order_of_the_rows_in_the_file_does_not_matter(experiment):
    folder, data = experiment
    groups = group_runs(read_runs(folder))
    (before,) = collect_predictions(folder, groups, data).values()
    path = folder / "run0" / "predictions.csv"
    pd.read_csv(path).iloc[::-1].to_csv(path, index=False)
    (after,) = collect_predictions(folder, groups, data).values()
    pd.testing.assert_frame_equal(before, after)


def test_the_table_has_every_run_s_error_and_the_mean_of_what_chance_gives():
    tables = {"one": random_predictions(3), "other": random_predictions(3, seeds=1)}
    table = tabulate_calibration(tables)
    runs = split(tables["one"])
    errors = [expected_calibration_error(*run) for run in runs]
    assert table.loc["one", ["seed 0", "seed 1", "seed 2"]].tolist() == pytest.approx(errors)
    assert table.loc["one", "mean"] == pytest.approx(np.mean(errors))
    chance = [chance_calibration_error(probabilities) for _, probabilities in runs]
    assert table.loc["one", "by chance"] == pytest.approx(np.mean(chance))
    assert table.loc["other", ["seed 1", "seed 2"]].isna().all()
