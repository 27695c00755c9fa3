"""The stored predictions of runs as tables, method by method, and their calibration."""

from pathlib import Path

import numpy as np
import pandas as pd

from bmix_lite.base.errors import require
from bmix_lite.comparison.intervals import chance_calibration_error
from bmix_lite.metrics import expected_calibration_error


def collect_predictions(experiment, groups, data, split="test"):
    """{name: DataFrame} of all predictions of its runs, one row for each image and seed.

    experiment: the folder of the runs; groups: {name: runs} as `comparison.group_runs` gives them; data: their ImageSet
    Columns: seed, index (row of `data`), label, predicted (the most probable class), p_0 ... p_(C-1).
    Raises BmixError where a run was made on other data, or its predictions are not those of the split.
    """
    rows, pooled = data.rows(split), {}
    for name, runs in groups.items():
        pooled[name] = []
        for run in runs:
            path, recipe = Path(experiment) / run["run_id"] / "predictions.csv", run["recipe"]
            made_on = f"{recipe['dataset']!r}, fold {recipe['fold']}: other images, labels or split than data has"
            require(
                run["fingerprint"] == data.fingerprint, f"{run['run_id']} was made on {made_on}"
            )
            table = pd.read_csv(path)
            table = (
                table[table["split"] == split]
                .sort_values("index", ignore_index=True)
                .drop(columns="split")
            )
            same = np.array_equal(table["index"], rows) and np.array_equal(
                table["label"], data.labels[rows]
            )
            require(
                same,
                f"{path}: its {len(table)} {split} predictions are not of the {len(rows)} images of data",
            )
            table.insert(0, "seed", recipe["seed"])
            table.insert(3, "predicted", read_probabilities(table).argmax(axis=1))
            pooled[name].append(table)
    return {name: pd.concat(tables, ignore_index=True) for name, tables in pooled.items()}


def read_probabilities(predictions):
    """Probabilities (n, C) of a DataFrame of `collect_predictions`."""
    return predictions[[name for name in predictions if name.startswith("p_")]].to_numpy()


def split_runs(predictions):
    """(labels (n,), probabilities (n, C)) of each run."""
    labels, seeds = predictions["label"].to_numpy(), predictions["seed"].to_numpy()
    values = read_probabilities(predictions)
    return [(labels[seeds == seed], values[seeds == seed]) for seed in np.unique(seeds)]


def tabulate_calibration(predictions_by_method):
    """One row for each method: mean ECE of its runs, the same "by chance", and every run's ECE in seed order.

    By chance: what a network that is right as often as it says would have on so many images, see
    `intervals.chance_calibration_error`. Only what an ECE has above that speaks against the probabilities.
    """
    require_methods(predictions_by_method)
    rows = {}
    for name, predictions in predictions_by_method.items():
        runs, seeds = split_runs(predictions), np.unique(predictions["seed"])
        errors = [expected_calibration_error(*run) for run in runs]
        chance = np.mean([chance_calibration_error(probabilities) for _, probabilities in runs])
        rows[name] = {"mean": np.mean(errors), "by chance": chance}
        rows[name] |= {f"seed {seed}": error for seed, error in zip(seeds, errors, strict=True)}
    return pd.DataFrame(rows).T.rename_axis("method")


def require_methods(predictions_by_method):
    """Raise BmixError where there is nothing to tabulate or draw."""
    require(len(predictions_by_method) >= 1, "predictions_by_method needs at least one method")
