"""From run folders to tables: one row a run, means with intervals, confusion matrices and recalls by method."""

from collections import defaultdict
from pathlib import Path

import numpy as np
import pandas as pd

from bmix_lite.base.errors import BmixError, require, require_choice
from bmix_lite.comparison.intervals import metric_interval
from bmix_lite.runs.complete import read_wall
from bmix_lite.runs.ledger import read_ledger

NAMED = ("q", "mixing", "alpha", "loss")  # what the name of a method stands for
REPORTED = ("accuracy", "balanced_accuracy", "macro_f1", "mcc", "kappa", "kendall_tau", "macro_auc")


def name_run(run):
    """What a run is called in tables and figures: its method and, where it mixes, alpha and an unusual q."""
    recipe = run["recipe"]
    if run["method"] == "custom":
        return f"{recipe['mixing']} mixing, alpha {recipe['alpha']:g}, q {recipe['q']}, {recipe['loss']}"
    if recipe["mixing"] == "none":
        return run["method"]
    base = "" if recipe["q"] == 1 else f", q {recipe['q']}"
    return f"{run['method']}, alpha {recipe['alpha']:g}{base}"


def name_runs(runs):
    """The name of each run among these: where they differ in more than method, seed and fold, the name says how."""
    apart = [name for name in vary(runs) if name not in (*NAMED, "dataset", "fold", "seed")]
    return [
        ", ".join([name_run(run), *(f"{name} {run['recipe'][name]}" for name in apart)])
        for run in runs
    ]


def vary(runs):
    """Names of the recipe's fields in which the runs differ, in the order of the recipe."""
    return [
        name for name in runs[0]["recipe"] if len({repr(run["recipe"][name]) for run in runs}) > 1
    ]


def tabulate(runs, experiment):
    """One row a run, as in results.csv: what it was, val_... and test_... metrics, seconds of training."""
    seconds = {
        line["run_id"]: line.get("seconds")
        for line in read_ledger(experiment)
        if line["status"] == "complete"
    }
    fields, rows = ["q", "alpha", "loss", "fold", "seed"], []
    fields += [name for name in vary(runs) if name not in (*fields, "dataset")]
    for run in runs:
        recipe = run["recipe"]
        row = {
            "run_id": run["run_id"],
            "status": "complete",
            "dataset": recipe["dataset"],
            "method": run["method"],
        }
        row |= {name: recipe[name] for name in fields}
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
        mean, low, high = metric_interval(defined, metric)
        row = {"method": name, "runs": len(defined), "mean": mean, "low": low, "high": high}
        rows.append(
            row | {_place(run, runs): value for run, value in zip(group, values, strict=True)}
        )
    return pd.DataFrame(rows).set_index("method")


def group_runs(runs):
    """{name: runs} in the order in which the names come.

    Runs of one name differ in seed and fold only. Raises BmixError where they differ in their data,
    or where a fold and seed of one name stands twice: such runs must not be pooled.
    """
    require(
        len({run["recipe"]["dataset"] for run in runs}) == 1,
        "runs on different datasets cannot be compared",
    )
    _require_same_data(runs)
    groups = defaultdict(list)
    for name, run in zip(name_runs(runs), runs, strict=True):
        groups[name].append(run)
    for name, group in groups.items():
        places = [(run["recipe"]["fold"], run["recipe"]["seed"]) for run in group]
        twice = [
            f"fold {fold} seed {seed}"
            for fold, seed in set(places)
            if places.count((fold, seed)) > 1
        ]
        require(
            not twice,
            f"runs of {name!r} stand twice, made by different notebooks or versions: {', '.join(twice)}",
        )
    return dict(groups)


def _require_same_data(runs):
    """Raise BmixError where two runs on one fold have seen other images, labels or splits."""
    fingerprints = defaultdict(set)
    for run in runs:
        fingerprints[run["recipe"]["fold"]].add(run["fingerprint"])
    for fold, found in fingerprints.items():
        if len(found) > 1:
            words = "were made with other images, labels or splits, and cannot be compared"
            raise BmixError(f"runs on fold {fold} {words}")


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


def group_recalls(runs, split="test"):
    """{name: DataFrame, one row a run, of mean recall in each group of `group_sizes`}; NaN where there is none."""
    groups = group_sizes(runs[0]["train_counts"])
    recalls = {name: pd.DataFrame(values) for name, values in collect_recalls(runs, split).items()}
    return {
        name: pd.DataFrame(
            {words: table[classes].mean(axis=1) for words, classes in groups.items()}
        )
        for name, table in recalls.items()
    }


def collect_distances(runs, split="test"):
    """{name: DataFrame, one row a run, of the share of images predicted 0, 1, ... C-1 steps from the true class}.

    Every class with images counts alike, so that the share at 0 is balanced accuracy. For ordered classes.
    """
    columns = ["right", *(f"{step} off" for step in range(1, len(runs[0]["class_names"])))]
    return {
        name: pd.DataFrame(
            [_share_distances(run["metrics"][split]["confusion"]) for run in group], columns=columns
        )
        for name, group in group_runs(runs).items()
    }


def _share_distances(confusion):
    matrix = np.asarray(confusion, dtype=float)
    matrix = matrix / np.maximum(1, matrix.sum(axis=1, keepdims=True))
    true, predicted = np.indices(matrix.shape)
    shares = np.bincount(np.abs(true - predicted).ravel(), matrix.ravel())
    return shares / (matrix.sum(axis=1) > 0).sum()


def _place(run, runs):
    seed, folds = f"seed {run['recipe']['seed']}", {other["recipe"]["fold"] for other in runs}
    return seed if len(folds) == 1 else f"fold {run['recipe']['fold']} {seed}"


def group_sizes(counts):
    """Classes in up to three groups by size: {"3 rarest classes (1 to 3 images)": class numbers, ...}."""
    order, named, parts = np.argsort(counts, kind="stable"), {}, min(3, len(counts))
    words = ["rarest", "middle", "commonest"] if parts > 2 else ["rarest", "commonest"]
    for word, classes in zip(words, np.array_split(order, parts), strict=True):
        low, high = np.min(np.asarray(counts)[classes]), np.max(np.asarray(counts)[classes])
        named[f"{len(classes)} {word} classes ({low:,} to {high:,} images)"] = np.sort(classes)
    return named


def tabulate_recall(runs, groups, field):
    """One row a run: the recipe's `field`, and the mean recall on test of each group of classes (see `group_sizes`)."""
    rows = []
    for run in runs:
        recall = np.array(
            run["metrics"]["test"]["recall"], dtype=float
        )  # None, where a class has no image, is NaN
        means = {name: float(np.nanmean(recall[classes])) for name, classes in groups.items()}
        rows.append({field: run["recipe"][field]} | means)
    return pd.DataFrame(rows)


def measure_cost(runs, experiment):
    """Mean seconds of training and of the whole notebook, by method; the latter only of runs that a sweep made."""
    table = tabulate(runs, experiment).assign(name=name_runs(runs))
    table["notebook seconds"] = [read_wall(Path(experiment) / run["run_id"]) for run in runs]
    table["notebook seconds"] = table["notebook seconds"].astype(float)
    means = table.groupby("name", sort=False)[["seconds", "notebook seconds"]].mean()
    means.insert(0, "runs", table.groupby("name", sort=False).size())
    return means
