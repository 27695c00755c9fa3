"""A run that begins where a finished one ended: what `posthoc` changes is its last layer alone."""

import csv
from dataclasses import replace
from pathlib import Path

from bmix_lite.base.errors import BmixError
from bmix_lite.runs.complete import is_complete
from bmix_lite.runs.reading import read_run

WEIGHTS = "model.pt"


def parent_of(recipe):
    """The recipe of the run whose network a recipe's `posthoc` changes; None without one."""
    return replace(recipe, posthoc="none") if recipe.posthoc != "none" else None


def start_from(parent, folder, recipe, data):
    """Let the opened run in `folder` begin with the trained network of the run in `parent`.

    True if it does: `train` with folder/checkpoint.pt then has no epoch of the network to go
    through, and ends bit for bit as without. False where there is no such run ("" for `parent`, or
    one that is not complete, or kept without weights): the network is trained as usual.
    Raises BmixError for a run of another recipe or of other data.
    """
    parent = Path(parent) if parent else None
    if recipe.posthoc == "none" or parent is None or not (parent / WEIGHTS).exists():
        return False
    if not is_complete(parent):
        return False
    from bmix_lite.checkpoints import save_finished  # brings in torch

    run = read_run(parent)
    _require_parent(run, parent, recipe, data)
    history = _read_records(parent)
    if not _is_over(recipe, history):
        return False
    save_finished(Path(folder) / "checkpoint.pt", recipe, data, parent / WEIGHTS, history)
    return True


def _require_parent(run, parent, recipe, data):
    wanted = parent_of(recipe).asdict()
    found = run["recipe"]
    moved = ("dataset", "weights")  # where they lie may differ: what they are is compared below
    names = [name for name in wanted if name not in moved and found.get(name) != wanted[name]]
    if names:
        differing = [f"{name}: {found.get(name)!r} there, {wanted[name]!r} here" for name in names]
        raise BmixError(f"{parent} is no run to begin with ({'; '.join(differing)})")
    began_with = run.get("weights_sha256") or found["weights"]
    if run["fingerprint"] != data.fingerprint or began_with != recipe.identity()["weights"]:
        raise BmixError(f"{parent} is no run to begin with: it has other data or initial weights")


def _read_records(parent):
    """The history of a run as `train` yielded it, to the last bit; here it takes no time."""
    with open(parent / "history.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    records = []
    for row in rows:
        numbers = {name: float(text or "nan") for name, text in row.items()}
        records.append(numbers | {"epoch": int(row["epoch"]), "seconds": 0.0})
    return records


def _is_over(recipe, history):
    """Whether the training went to its end: a notebook may have stopped it earlier."""
    from bmix_lite.schedules import lr_at

    epochs = len(history)
    return epochs >= recipe.epochs or lr_at(recipe, epochs + 1, history) is None
