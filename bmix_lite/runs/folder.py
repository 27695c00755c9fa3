"""The run folder is written here: opened with its recipe, filled with the results of the run."""

import hashlib
import json
import math
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from bmix_lite import __version__
from bmix_lite.base.errors import BmixError
from bmix_lite.base.files import read_json, remove_leftovers, sha256_of, write_atomic, write_json
from bmix_lite.base.locks import drop_lock, take_lock
from bmix_lite.base.sameness import hash_weights
from bmix_lite.data.designs import NOTES, describe_split, note_split
from bmix_lite.runs.complete import HASHED, RESULT
from bmix_lite.runs.identity import (
    ABOUT,
    claimed_id,
    describe_recipe,
    hash_content,
    is_named_for,
    refuse_other_run,
)
from bmix_lite.runs.ledger import append_ledger
from bmix_lite.runs.reading import read_predictions

PATIENCE = 10  # seconds; the kernel of a sweep that was killed notices it and ends within about two
LESSON = "05_train.ipynb"  # the notebook of a run, in the folder `notebooks` of the repository
LOCKS = ".locks"  # in an experiment's folder, one file per run


def make_run_id(recipe, fingerprint, notebook=""):
    """Readable parameters, then a hash of everything that makes runs differ.

    recipe: a Recipe; fingerprint: of the dataset; notebook: hash of its content, "" without one.
    Where data and weights lie makes no difference: the same run has the same id on every machine.
    """
    identity = [recipe.identity(), fingerprint, notebook, __version__]
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:10]
    return f"{describe_recipe(recipe.method, recipe.asdict())}-{digest}"


def place_run(run_id):
    """The folder of a run that is started by hand: build/runs/by_hand/<run id> of the clone.

    The clone is the one whose notebooks, or in which, one stands; without one, the folder one is
    in.
    """
    here = Path.cwd()
    if (here / LESSON).is_file():
        home = here.parent
    else:
        clones = (folder for folder in (here, *here.parents) if _is_clone(folder))
        home = next(clones, here)
    return home / "build" / "runs" / "by_hand" / run_id


def _is_clone(folder):
    """Whether a folder is one of this repository, by the lesson that makes runs."""
    return (folder / "notebooks" / LESSON).is_file()


def open_run(folder, recipe, data, *, device="cpu"):
    """Create a run folder with its recipe.json, or go on in that of an interrupted run.

    A folder whose name is a run id must be that of this run. Until `save_run`, or its end, this
    process alone may write the run. Raises BmixError if another process has it, or if the folder
    holds another run.
    """
    folder = Path(folder)
    if folder.is_symlink():
        raise BmixError(f"{folder} is a link: nothing is written through it")
    take_lock(_lock_of(folder), f"the run {folder}", wait=PATIENCE)
    about = _describe_run(recipe, data)
    if not is_named_for(folder, about):
        readable = describe_recipe(recipe.method, recipe.asdict())
        raise BmixError(f"{folder} has the name of another run: this one is {readable}")
    if (folder / ABOUT).exists():
        _refuse_differing(folder, about)
        refuse_other_run(folder)
    else:
        about["run_id"] = claimed_id(folder)
        about["environment"] = describe_environment(device)
        write_json(folder / ABOUT, about)
    remove_leftovers(folder)
    return folder


def save_run(folder, data, history, predictions):
    """Write the results of an opened run, which completes it; returns its metrics.

    history: the records that `train` yielded; predictions: {"val": (n, C) array, "test": ...}.
    """
    # brings in SciPy, which takes as long as planning a sweep
    from bmix_lite.metrics import METRICS, score

    folder = Path(folder)
    _write_history(folder, history)
    _write_predictions(folder, data, predictions)
    written = read_predictions(folder)
    monitor = read_json(folder / "recipe.json")["recipe"]["monitor"]  # may be the user's own
    names = tuple(dict.fromkeys((*METRICS, monitor)))
    metrics = {split: score(*written[split], names, ordered=data.ordered) for split in predictions}
    metrics["sha256"] = _hash_results(folder)
    write_json(folder / RESULT, _nan_to_none(metrics))
    for path in folder.glob("checkpoint.*"):
        path.unlink()
    seconds = sum(record["seconds"] for record in history)
    append_ledger(folder.parent, folder.name, "complete", seconds=round(seconds, 3))
    drop_lock(_lock_of(folder))
    return metrics


def describe_environment(device="cpu"):
    """Versions and machine, as far as they can change a run's last bits."""
    environment = {"bmix_lite": __version__, "python": platform.python_version()}
    for package in ("numpy", "torch", "torchvision", "scikit-learn", "pandas"):
        try:
            environment[package] = version(package)
        except PackageNotFoundError:
            environment[package] = None
    environment["machine"] = platform.machine()
    environment["system"] = platform.system()
    environment["device"] = str(device)
    return environment


def _lock_of(folder):
    return folder.absolute().parent / LOCKS / folder.name


def _describe_run(recipe, data):
    about = {
        "recipe": recipe.asdict(),
        "fingerprint": data.fingerprint,
        "method": recipe.method,
        "class_names": list(data.class_names),
        "train_counts": data.counts().tolist(),
    }
    about |= _note_split(recipe, data)
    content = hash_content(data)
    if content is not None:
        about["content"] = content
    weights = hash_weights(recipe.weights)
    if weights is not None:
        about["weights_sha256"] = weights
    return about


def _note_split(recipe, data):
    """What a comparison must know of the run's split: see `SplitDesign`. Raises BmixError."""
    if data.design is not None and data.design.index != recipe.split:
        raise BmixError(
            f"the recipe says split {recipe.split}, the data are split {data.design.index}: "
            "give both the same"
        )
    return note_split(describe_split(data, recipe.split))


def _refuse_differing(folder, about):
    """Raise BmixError if the folder's recipe.json is not that of this run.

    Where the data and a file of weights lie may differ, if they are the same.
    """
    there = read_json(folder / ABOUT)
    recipe = dict(there.get("recipe", {}))
    if there.get("fingerprint") == about["fingerprint"]:
        recipe["dataset"] = about["recipe"]["dataset"]
    if "weights_sha256" in about and there.get("weights_sha256") == about["weights_sha256"]:
        recipe["weights"] = about["recipe"]["weights"]
    there = {"content": about.get("content"), **there, "recipe": recipe}  # not noted before 0.2
    told = [key for key in about if key not in NOTES]  # those follow from the fingerprint
    differing = [key for key in told if there.get(key) != about[key]]
    if differing:
        raise BmixError(f"{folder} belongs to another run: its {', '.join(differing)} differ")


def _write_history(folder, history):
    import pandas as pd

    table = pd.DataFrame(history)
    table = table.drop(columns="seconds")  # equal runs leave equal files, whatever the clock said
    write_atomic(folder / "history.csv", table.to_csv(index=False))


def _write_predictions(folder, data, predictions):
    import pandas as pd

    tables = [
        _tabulate_predictions(data, split, probabilities)
        for split, probabilities in predictions.items()
    ]
    text = pd.concat(tables).to_csv(index=False, float_format="%.6g")
    write_atomic(folder / "predictions.csv", text)


def _tabulate_predictions(data, split, probabilities):
    import pandas as pd

    rows = data.rows(split)
    table = pd.DataFrame(probabilities, columns=[f"p_{j}" for j in range(probabilities.shape[1])])
    table = table.astype("float32")
    if data.groups is not None:
        # a number, so that no name of a patient leaves the dataset
        numbers, _ = pd.factorize(data.groups, sort=True)
        table.insert(0, "group", numbers[rows])
    table.insert(0, "label", data.labels[rows])
    table.insert(0, "index", rows)
    table.insert(0, "split", split)
    return table


def _hash_results(folder):
    names = list(HASHED)
    if (folder / "model.pt").exists():
        names.append("model.pt")
    return {name: sha256_of(folder / name) for name in names}


def _nan_to_none(value):
    if isinstance(value, dict):
        return {key: _nan_to_none(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_nan_to_none(item) for item in value]
    if isinstance(value, float) and math.isnan(value):
        return None
    return value
