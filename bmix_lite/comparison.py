"""From run folders to tables: one row a run, means with intervals, confusion matrices and recalls by method."""

from collections import defaultdict

import numpy as np
import pandas as pd

from bmix_lite.errors import require, require_choice
from bmix_lite.ledger import read_ledger
from bmix_lite.metrics import mean_interval

REPORTED = ("accuracy", "balanced_accuracy", "macro_f1", "mcc", "kappa", "kendall_tau", "macro_auc")


def name_run(run):
    """What a run is called in tables and figures: its method and, where it mixes, alpha and an unusual q."""
    recipe = run["recipe"]
    if recipe["mixing"] == "none":
        return run["method"]
    base = "" if recipe["q"] == 1 else f", q {recipe['q']}"
    return f"{run['method']}, alpha {recipe['alpha']:g}{base}"


def tabulate(runs, experiment):
    """One row a run, as in results.csv: what it was, val_... and test_... metrics, seconds of training."""
    seconds = {line["run_id"]: line.get("seconds") for line in read_ledger(experiment) if line["status"] == "complete"}
    rows = []
    for run in runs:
        recipe = run["recipe"]
        row = {"run_id": run["run_id"], "dataset": recipe["dataset"], "method": run["method"]}
        row |= {name: recipe[name] for name in ("q", "alpha", "loss", "seed")}
        for split in ("val", "test"):
            row |= {f"{split}_{name}": run["metrics"][split][name] for name in REPORTED}
        rows.append(row | {"seconds": seconds.get(run["run_id"])})
    return pd.DataFrame(rows)


def summarise(runs, metric="balanced_accuracy", split="test"):
    """One row for each method: number of runs, mean, 95 % interval over runs, and every run's value in seed order."""
    require_choice("metric", metric, REPORTED)
    rows = []
    for name, group in group_runs(runs).items():
        values = [run["metrics"][split][metric] for run in group]
        defined = [value for value in values if value is not None]
        mean, low, high = mean_interval(defined) if defined else [np.nan] * 3
        row = {"method": name, "runs": len(defined), "mean": mean, "low": low, "high": high}
        rows.append(row | {_place(run, runs): value for run, value in zip(group, values, strict=True)})
    return pd.DataFrame(rows).set_index("method")


def group_runs(runs):
    """{name: runs} in the order in which the names come.

    Raises BmixError where runs of one name differ in more than seed and fold, or runs in their dataset: such runs
    must not be pooled.
    """
    require(len({run["recipe"]["dataset"] for run in runs}) == 1, "runs on different datasets cannot be compared")
    groups = defaultdict(list)
    for run in runs:
        groups[name_run(run)].append(run)
    for name, group in groups.items():
        kept = [{k: v for k, v in run["recipe"].items() if k not in ("seed", "fold")} for run in group]
        differing = sorted(key for key in kept[0] if any(recipe[key] != kept[0][key] for recipe in kept))
        require(not differing, f"runs of {name!r} differ in {', '.join(differing)} and cannot be pooled")
        places = [(run["recipe"]["fold"], run["recipe"]["seed"]) for run in group]
        twice = [f"fold {fold} seed {seed}" for fold, seed in set(places) if places.count((fold, seed)) > 1]
        require(not twice, f"runs of {name!r} stand twice, made by different notebooks or versions: {', '.join(twice)}")
    return dict(groups)


def sum_confusions(runs, split="test"):
    """{name: confusion matrix (C, C) summed over its runs}, rows are true classes."""
    return {
        name: np.sum([run["metrics"][split]["confusion"] for run in group], axis=0)
        for name, group in group_runs(runs).items()
    }


def collect_recalls(runs, split="test"):
    """{name: recall (runs, C)}; NaN where a class has no image in the split."""
    return {
        name: np.array([run["metrics"][split]["recall"] for run in group], dtype=float)
        for name, group in group_runs(runs).items()
    }


def _place(run, runs):
    seed, folds = f"seed {run['recipe']['seed']}", {other["recipe"]["fold"] for other in runs}
    return seed if len(folds) == 1 else f"fold {run['recipe']['fold']} {seed}"
