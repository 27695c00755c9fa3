"""The stored predictions of runs as tables, method by method, and their calibration."""

from pathlib import Path

import numpy as np
import pandas as pd

from bmix_lite.base.errors import BmixError, require
from bmix_lite.comparison.intervals import chance_calibration_error
from bmix_lite.metrics import expected_calibration_error


def collect_predictions(experiment, groups, data, split="test"):
    """{name: DataFrame} of all predictions of its runs, one row per image and seed.

    experiment: the folder of the runs; groups: {name: runs} as `comparison.group_runs` gives them;
    data: their ImageSet.
    Columns: seed, index (row of `data`), label, predicted (the most probable class), group (a
    number) where the data have groups, p_0 ... p_(C-1).
    Raises BmixError where a run was made on other data, or its predictions are not of the split.
    """
    rows = data.rows(split)
    tables = {}
    for name, runs in groups.items():
        tables[name] = [_read_run(experiment, run, data, split, rows) for run in runs]
    return {name: pd.concat(of_runs, ignore_index=True) for name, of_runs in tables.items()}


def _read_run(experiment, run, data, split, rows):
    recipe = run["recipe"]
    if run["fingerprint"] != data.fingerprint:
        raise BmixError(
            f"{run['run_id']} was made on {recipe['dataset']!r}, split {recipe['split']}: "
            "other images, labels or split than data has"
        )
    path = Path(experiment) / run["run_id"] / "predictions.csv"
    table = pd.read_csv(path)
    table = table[table["split"] == split].sort_values("index", ignore_index=True)
    table = table.drop(columns="split")
    same_rows = np.array_equal(table["index"], rows)
    if not same_rows or not np.array_equal(table["label"], data.labels[rows]):
        raise BmixError(
            f"{path}: its {len(table)} {split} predictions "
            f"are not of the {len(rows)} images of data"
        )
    table.insert(0, "seed", recipe["seed"])
    table.insert(3, "predicted", read_probabilities(table).argmax(axis=1))
    return table


def read_probabilities(predictions):
    """Probabilities (n, C) of a DataFrame of `collect_predictions`."""
    return predictions[[name for name in predictions if name.startswith("p_")]].to_numpy()


def split_runs(predictions):
    """(labels (n,), probabilities (n, C)) of each run."""
    labels = predictions["label"].to_numpy()
    seeds = predictions["seed"].to_numpy()
    probabilities = read_probabilities(predictions)
    return [(labels[seeds == seed], probabilities[seeds == seed]) for seed in np.unique(seeds)]


def tabulate_calibration(predictions_by_method):
    """One row per method: the mean ECE of its runs, the same "by chance", the ECE of each seed.

    By chance: what a network that is right as often as it says would have on so many images, see
    `intervals.chance_calibration_error`. Only the excess over that speaks against the
    probabilities.
    """
    require_methods(predictions_by_method)
    rows = {}
    for name, predictions in predictions_by_method.items():
        runs = split_runs(predictions)
        columns = [f"seed {seed}" for seed in np.unique(predictions["seed"])]
        errors = [expected_calibration_error(*run) for run in runs]
        by_chance = [chance_calibration_error(probabilities) for _, probabilities in runs]
        summary = {"mean": np.mean(errors), "by chance": np.mean(by_chance)}
        rows[name] = summary | dict(zip(columns, errors, strict=True))
    return pd.DataFrame(rows).T.rename_axis("method")


def require_methods(predictions_by_method):
    """Raise BmixError where there is nothing to tabulate or draw."""
    require(len(predictions_by_method) >= 1, "predictions_by_method needs at least one method")
