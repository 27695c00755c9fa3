"""From run folders to tables: one row per run; means, confusion matrices and recalls by method."""

from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pandas as pd

from bmix_lite.base.errors import BmixError, require_choice
from bmix_lite.comparison.datasets import require_same_data
from bmix_lite.comparison.levels import bound_level
from bmix_lite.data.designs import NOTES
from bmix_lite.recipe import METHODS, Recipe
from bmix_lite.runs.complete import read_wall
from bmix_lite.runs.ledger import read_ledger

NAMED = ("q", "mixing", "alpha", "loss")  # what the name of a method stands for
BY_METHOD = ("head", "posthoc", "mix_probability")  # it also stands for its row's value of these
TABULATED = ("q", "alpha", "loss", "split", "seed")  # fields of the recipe in every table
REPORTED = ("accuracy", "balanced_accuracy", "macro_f1", "mcc", "kappa", "kendall_tau", "macro_auc")


def name_run(run):
    """What a run is called in tables and figures: its method, alpha if it mixes, an unusual q."""
    recipe = run["recipe"]
    alpha = f"alpha {say_number(recipe['alpha'])}"
    if run["method"] == "custom":
        return f"{recipe['mixing']} mixing, {alpha}, q {recipe['q']}, {recipe['loss']}"
    if recipe["mixing"] == "none":
        return run["method"]
    base = "" if recipe["q"] == 1 else f", q {recipe['q']}"
    return f"{run['method']}, {alpha}{base}"


def name_runs(runs):
    """The name of each run; it says how they differ in more than method, split and seed."""
    apart = [name for name in vary(runs) if name not in (*NAMED, "dataset", "split", "seed")]
    names = []
    for run in runs:
        told = [f"{name} {read_field(run, name)}" for name in apart if not _is_of_method(run, name)]
        names.append(", ".join([name_run(run), *told]))
    return names


def _is_of_method(run, name):
    """Whether a field has the value that the run's method gives it."""
    if name not in BY_METHOD:
        return False
    usual = getattr(Recipe, name)  # the default
    return read_field(run, name) == METHODS.get(run["method"], {}).get(name, usual)


def vary(runs):
    """Names of the recipe's fields in which the runs differ, in the order of the recipe."""
    names = runs[0]["recipe"]
    return [name for name in names if len({repr(read_field(run, name)) for run in runs}) > 1]


def read_field(run, name):
    """A field of the run's recipe; a file of weights by its name and content, wherever it lay."""
    value = run["recipe"].get(name, "")
    if name == "weights" and "weights_sha256" in run:
        return f"{Path(value).name} ({run['weights_sha256'][:8]})"
    return value


def say_number(value):
    """A number as short as it can be without becoming another one: 0.2, 1, 0.3333333333333333."""
    short = f"{value:g}"
    return short if float(short) == value else repr(value)


def tabulate(runs, experiment):
    """One row per run, as in results.csv.

    What it was, its split, val_... and test_... metrics, seconds of training.
    """
    seconds = {}
    for line in read_ledger(experiment):
        if line["status"] == "complete":
            seconds[line["run_id"]] = line.get("seconds")
    varying = [name for name in vary(runs) if name not in (*TABULATED, "dataset")]
    rows = []
    for run in runs:
        recipe = run["recipe"]
        row = {
            "run_id": run["run_id"],
            "status": "complete",
            "dataset": recipe["dataset"],
            "method": run["method"],
        }
        row |= {name: recipe[name] for name in (*TABULATED, *varying)}
        row |= {name: run.get(name) for name in NOTES}  # none in runs before 0.2
        for split in ("val", "test"):
            row |= {f"{split}_{name}": run["metrics"][split][name] for name in REPORTED}
        row["seconds"] = seconds.get(run["run_id"])
        rows.append(row)
    return pd.DataFrame(rows)


def summarise(runs, metric="balanced_accuracy", split="test"):
    """One row per method: number of runs, mean, 95 % interval, each run's value.

    covers: what the interval speaks of, in words: see `levels.bound_level`
    """
    require_choice("metric", metric, REPORTED)
    many_splits = len({run["recipe"]["split"] for run in runs}) > 1
    rows = []
    for name, group in group_runs(runs).items():
        values = [run["metrics"][split][metric] for run in group]
        defined = [value for value in values if value is not None]
        mean, intervals = bound_level(group, metric, split)
        row = {"method": name, "runs": len(defined), "mean": mean} | intervals[0]
        for run, value in zip(group, values, strict=True):
            row[_name_repeat(run, many_splits)] = value
        rows.append(row)
    return pd.DataFrame(rows).set_index("method")


def group_runs(runs):
    """{name: runs} in the order in which the names come.

    Runs of one name differ in split and seed only. Raises BmixError where they differ in their
    data, or where a split and seed of one name stand twice: such runs must not be pooled.
    """
    require_same_data(runs)
    groups = defaultdict(list)
    for name, run in zip(name_runs(runs), runs, strict=True):
        groups[name].append(run)
    for name, group in groups.items():
        repeats = Counter((run["recipe"]["split"], run["recipe"]["seed"]) for run in group)
        twice = [f"split {split} seed {seed}" for (split, seed), n in repeats.items() if n > 1]
        if twice:
            raise BmixError(
                f"runs of {name!r} stand twice, made by different notebooks or versions: "
                f"{', '.join(twice)}"
            )
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


def group_recalls(runs, split="test"):
    """{name: DataFrame, one row per run, of mean recall in each group of `group_sizes`}.

    NaN where no class of the group has an image in the split.
    """
    groups = group_sizes(runs[0]["train_counts"])
    tables = {}
    for name, recalls in collect_recalls(runs, split).items():
        table = pd.DataFrame(recalls)
        means = {size: table[classes].mean(axis=1) for size, classes in groups.items()}
        tables[name] = pd.DataFrame(means)
    return tables


def collect_distances(runs, split="test"):
    """{name: DataFrame, one row per run}: the share of images predicted 0, 1, ... C-1 classes off.

    Every class with images counts alike, so that the share at 0 is balanced accuracy. For ordered
    classes.
    """
    columns = ["right", *(f"{step} off" for step in range(1, len(runs[0]["class_names"])))]
    tables = {}
    for name, group in group_runs(runs).items():
        shares = [_share_distances(run["metrics"][split]["confusion"]) for run in group]
        tables[name] = pd.DataFrame(shares, columns=columns)
    return tables


def group_sizes(counts):
    """Classes in up to three groups by size: {"3 rarest classes (1 to 3 images)": (n,), ...}."""
    counts = np.asarray(counts)
    parts = min(3, len(counts))
    ranks = ("rarest", "middle", "commonest") if parts > 2 else ("rarest", "commonest")
    by_size = np.array_split(np.argsort(counts, kind="stable"), parts)
    groups = {}
    for rank, classes in zip(ranks, by_size, strict=True):
        low = np.min(counts[classes])
        high = np.max(counts[classes])
        name = f"{len(classes)} {rank} classes ({low:,} to {high:,} images)"
        groups[name] = np.sort(classes)
    return groups


def tabulate_recall(runs, groups, field):
    """One row per run: its `field`, and the mean test recall of each group of `group_sizes`."""
    rows = []
    for run in runs:
        recall = np.array(run["metrics"]["test"]["recall"], dtype=float)  # None becomes NaN
        means = {name: float(np.nanmean(recall[classes])) for name, classes in groups.items()}
        rows.append({field: run["recipe"][field]} | means)
    return pd.DataFrame(rows)


def measure_cost(runs, experiment):
    """Mean seconds of training and of the whole notebook, by method.

    The latter only of runs that a sweep made.
    """
    table = tabulate(runs, experiment).assign(name=name_runs(runs))
    walls = [read_wall(Path(experiment) / run["run_id"]) for run in runs]
    table["notebook seconds"] = np.array(walls, dtype=float)
    by_name = table.groupby("name", sort=False)
    means = by_name[["seconds", "notebook seconds"]].mean()
    means.insert(0, "runs", by_name.size())
    return means


def _share_distances(confusion):
    matrix = np.asarray(confusion, dtype=float)
    matrix = matrix / np.maximum(1, matrix.sum(axis=1, keepdims=True))
    true, predicted = np.indices(matrix.shape)
    shares = np.bincount(np.abs(true - predicted).ravel(), matrix.ravel())
    return shares / (matrix.sum(axis=1) > 0).sum()


def _name_repeat(run, many_splits):
    """The column of a run's value: "seed 3", or "split 1 seed 3" where there are several splits."""
    recipe = run["recipe"]
    split = f"split {recipe['split']} " if many_splits else ""
    return f"{split}seed {recipe['seed']}"
