"""The run folder: one run, complete or not, in plain files."""

import hashlib
import json
import math
import platform
import shutil
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from bmix_lite import __version__
from bmix_lite.base.errors import BmixError, require
from bmix_lite.base.files import (
    append_line,
    read_json,
    remove_leftovers,
    sha256_of,
    write_atomic,
    write_json,
)
from bmix_lite.base.locks import drop_lock, take_lock
from bmix_lite.recipe import METHODS
from bmix_lite.runs.complete import (
    HASHED,
    RESULT,
    claimed_id,
    describe_recipe,
    is_named_for,
    list_complete,
    refuse_other_run,
    why_incomplete,
)
from bmix_lite.runs.ledger import append_ledger, read_ledger

PATIENCE = 10  # seconds; the kernel of a sweep that was killed notices it and ends within about two
LOCKS = ".locks"  # in an experiment's folder, one file a run
PROGRESS = "checkpoint.json"  # goes with the checkpoint when the run is complete


def make_run_id(recipe, fingerprint, notebook=""):
    """Readable parameters, then a hash of everything that makes runs differ.

    recipe: a Recipe; fingerprint: of the dataset; notebook: hash of the notebook's content, "" without one.
    """
    identity = [recipe.asdict(), fingerprint, notebook, __version__]
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:10]
    return f"{describe_recipe(recipe.method, recipe.asdict())}-{digest}"


def open_run(folder, recipe, data, *, device="cpu"):
    """Create a run folder, or take up an interrupted one: writes recipe.json, refuses a folder of another run.

    A folder whose name is a run id must be that of this run. Until `save_run`, or its end, this
    process alone may write the run; another one that tries is refused.
    """
    folder = Path(folder)
    require(not folder.is_symlink(), f"{folder} is a link: nothing is written through it")
    take_lock(_lock_of(folder), f"the run {folder}", wait=PATIENCE)
    about = {"recipe": recipe.asdict(), "fingerprint": data.fingerprint, "method": recipe.method}
    about |= {"class_names": list(data.class_names), "train_counts": data.counts().tolist()}
    if not is_named_for(folder, about):
        readable = describe_recipe(recipe.method, recipe.asdict())
        raise BmixError(f"{folder} has the name of another run: this one is {readable}")
    if (folder / "recipe.json").exists():
        there = read_json(folder / "recipe.json")
        differing = [key for key in about if there.get(key) != about[key]]
        require(
            not differing, f"{folder} belongs to another run: its {', '.join(differing)} differ"
        )
        refuse_other_run(folder)
    else:
        about["run_id"] = claimed_id(folder)
        about["environment"] = describe_environment(device)
        write_json(folder / "recipe.json", about)
    remove_leftovers(folder)
    return folder


def save_run(folder, data, history, predictions):
    """Write the results of an opened run and mark it complete; returns its metrics.

    history: the records that `train` yielded; predictions: {"val": (n, C) array, "test": ...}.
    """
    import pandas as pd

    from bmix_lite.metrics import (  # brings in SciPy, whose import takes as long as planning a sweep
        METRICS,
        score,
    )

    folder = Path(folder)
    seconds = sum(record["seconds"] for record in history)
    table = pd.DataFrame(history).drop(
        columns="seconds"
    )  # equal runs leave equal files, whatever the clock said
    write_atomic(folder / "history.csv", table.to_csv(index=False))
    parts = [
        _prediction_table(data, split, probabilities)
        for split, probabilities in predictions.items()
    ]
    write_atomic(
        folder / "predictions.csv", pd.concat(parts).to_csv(index=False, float_format="%.6g")
    )
    read = read_predictions(folder)
    monitor = read_json(folder / "recipe.json")["recipe"]["monitor"]  # may be one of the user's own
    names = tuple(dict.fromkeys((*METRICS, monitor)))
    metrics = {split: score(*read[split], names, ordered=data.ordered) for split in predictions}
    names = [*HASHED, "model.pt"] if (folder / "model.pt").exists() else HASHED
    metrics["sha256"] = {name: sha256_of(folder / name) for name in names}
    write_json(folder / RESULT, _nan_to_none(metrics))
    for path in folder.glob("checkpoint.*"):
        path.unlink()
    append_ledger(folder.parent, folder.name, "complete", seconds=round(seconds, 3))
    drop_lock(_lock_of(folder))
    return metrics


def read_predictions(folder):
    """{"val": (labels (n,), probabilities (n, C)), "test": ...} of a run."""
    import pandas as pd

    table = pd.read_csv(Path(folder) / "predictions.csv")
    columns = [name for name in table if name.startswith("p_")]
    groups = table.groupby("split", sort=False)
    return {split: (rows["label"].to_numpy(), rows[columns].to_numpy()) for split, rows in groups}


def read_run(folder):
    """One complete run as a dict: run_id, recipe, method, class_names, train_counts, metrics, history (DataFrame)."""
    folder = Path(folder)
    fault = why_incomplete(folder)
    require(not fault, f"{folder} holds no complete run: {fault}")
    return _load_run(folder)


def read_progress(folder):
    """{"epoch", "epochs", "best"} of a run that is training, as it noted beside its checkpoint; {} if it has not."""
    with suppress(OSError, ValueError):
        seen = read_json(Path(folder) / PROGRESS)
        if isinstance(seen, dict) and {"epoch", "epochs", "best"} <= seen.keys():
            return seen
    return {}


def read_score(folder):
    """A complete run's score on validation, by the metric that its recipe monitors; None where there is none."""
    with suppress(
        OSError, ValueError, LookupError, TypeError
    ):  # also of a notebook that writes other files than ours
        monitor = read_json(Path(folder) / "recipe.json")["recipe"]["monitor"]
        score = read_json(Path(folder) / RESULT)["val"][monitor]
        return score if isinstance(score, (int, float)) else None
    return None


def read_runs(experiment, chosen=None):
    """Every complete run of an experiment, or those with a run id in `chosen`, sorted by method, alpha and seed.

    Raises BmixError if there is none.
    """
    runs = [_load_run(Path(experiment) / run_id) for run_id in list_complete(experiment, chosen)]
    require(
        bool(runs),
        f"{experiment} holds no complete run" + (" of those chosen" if chosen is not None else ""),
    )
    return sorted(runs, key=_order)


def copy_results(experiment, target, chosen=None):
    """Copy complete runs without weights and notebooks, as `read_runs` chooses them; replaces all of `target`."""
    experiment, target = Path(experiment), Path(target)
    require(experiment.resolve() != target.resolve(), f"cannot copy {experiment} onto itself")
    names = [run["run_id"] for run in read_runs(experiment, chosen)]
    shutil.rmtree(target, ignore_errors=True)
    for name in names:
        (target / name).mkdir(parents=True)
        for file in (*HASHED, RESULT):
            shutil.copyfile(experiment / name / file, target / name / file)
    for line in read_ledger(experiment):
        if line["run_id"] in names and line["status"] == "complete":
            append_line(target / "ledger.jsonl", json.dumps(line))
    return names


def describe_environment(device="cpu"):
    """Versions and machine, as far as they can change a run's last bits."""
    environment = {"bmix_lite": __version__, "python": platform.python_version()}
    for package in ("numpy", "torch", "torchvision", "scikit-learn", "pandas"):
        try:
            environment[package] = version(package)
        except PackageNotFoundError:
            environment[package] = None
    return environment | {
        "machine": platform.machine(),
        "system": platform.system(),
        "device": str(device),
    }


def _lock_of(folder):
    return folder.absolute().parent / LOCKS / folder.name


def _load_run(folder):
    import pandas as pd

    about = read_json(folder / "recipe.json")
    history, metrics = pd.read_csv(folder / "history.csv"), read_json(folder / RESULT)
    return about | {"run_id": folder.name, "metrics": metrics, "history": history}


def _order(run):
    recipe, methods = run["recipe"], list(METHODS)
    place = methods.index(run["method"]) if run["method"] in methods else len(methods)
    return (place, recipe["alpha"], recipe["fold"], recipe["seed"], run["run_id"])


def _prediction_table(data, split, probabilities):
    import pandas as pd

    rows = data.rows(split)
    table = pd.DataFrame(probabilities, columns=[f"p_{j}" for j in range(probabilities.shape[1])])
    table = table.astype("float32")
    table.insert(0, "label", data.labels[rows])
    table.insert(0, "index", rows)
    table.insert(0, "split", split)
    return table


def _nan_to_none(value):
    if isinstance(value, dict):
        return {key: _nan_to_none(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_nan_to_none(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
