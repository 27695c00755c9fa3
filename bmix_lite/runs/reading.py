"""Complete runs read back: one, all of an experiment, their predictions; or copied to be kept."""

import json
import shutil
from pathlib import Path

from bmix_lite.base.errors import BmixError
from bmix_lite.base.files import append_line, read_json
from bmix_lite.recipe import METHODS
from bmix_lite.runs.complete import HASHED, RESULT, list_complete, why_incomplete
from bmix_lite.runs.identity import ABOUT
from bmix_lite.runs.ledger import read_ledger


def read_run(folder):
    """One complete run as a dict.

    Keys: run_id, folder, recipe, method, class_names, train_counts, metrics, history (a
    DataFrame), and whatever else recipe.json holds: split_kind, test_images and rest_images (of
    `SplitDesign`; None where it is not known). Raises BmixError with the reason if it is not
    complete.
    """
    folder = Path(folder)
    reason = why_incomplete(folder)
    if reason:
        raise BmixError(f"{folder} holds no complete run: {reason}")
    return _load_run(folder)


def read_runs(experiment, chosen=None):
    """An experiment's complete runs, all or those in `chosen` (run ids), each as `read_run` does.

    Sorted by method, alpha, split and seed. Raises BmixError if there is none.
    """
    runs = [_load_run(Path(experiment) / run_id) for run_id in list_complete(experiment, chosen)]
    if not runs:
        of_these = "" if chosen is None else " of those chosen"
        raise BmixError(f"{experiment} holds no complete run{of_these}")
    return sorted(runs, key=_order)


def read_predictions(folder):
    """{"val": (labels (n,), probabilities (n, C)), "test": ...} of a run."""
    import pandas as pd

    table = pd.read_csv(Path(folder) / "predictions.csv")
    columns = [name for name in table if name.startswith("p_")]
    groups = table.groupby("split", sort=False)
    return {split: (rows["label"].to_numpy(), rows[columns].to_numpy()) for split, rows in groups}


def copy_results(experiment, target, chosen=None):
    """Copy complete runs without weights and notebooks; returns their ids.

    chosen: as in `read_runs`. All that `target` held before is replaced.
    """
    experiment = Path(experiment)
    target = Path(target)
    if experiment.resolve() == target.resolve():
        raise BmixError(f"cannot copy {experiment} onto itself")
    run_ids = [run["run_id"] for run in read_runs(experiment, chosen)]
    shutil.rmtree(target, ignore_errors=True)
    for run_id in run_ids:
        (target / run_id).mkdir(parents=True)
        for name in (*HASHED, RESULT):
            shutil.copyfile(experiment / run_id / name, target / run_id / name)
    for line in read_ledger(experiment):
        if line["run_id"] in run_ids and line["status"] == "complete":
            append_line(target / "ledger.jsonl", json.dumps(line))
    return run_ids


def _load_run(folder):
    import pandas as pd

    run = read_json(folder / ABOUT)
    # before 0.2 a split was called a fold
    renamed = {"fold": "split"}
    run["recipe"] = {renamed.get(name, name): value for name, value in run["recipe"].items()}
    run["run_id"] = folder.name
    run["folder"] = str(folder)
    run["metrics"] = read_json(folder / RESULT)
    run["history"] = pd.read_csv(folder / "history.csv")
    return run


def _order(run):
    recipe = run["recipe"]
    methods = list(METHODS)
    rank = methods.index(run["method"]) if run["method"] in methods else len(methods)
    return (rank, recipe["alpha"], recipe["split"], recipe["seed"], run["run_id"])
