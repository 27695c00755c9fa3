"""Whether a run is complete, and whether a folder holds its own run: decided here alone."""

import hashlib
import json
import os
import re
from contextlib import suppress
from pathlib import Path

from bmix_lite.base.errors import BmixError
from bmix_lite.base.files import read_json, sha256_of
from bmix_lite.runs.ledger import read_endings

ABOUT = "recipe.json"
HASHED = (ABOUT, "history.csv", "predictions.csv")
RESULT = "metrics.json"  # written last, with the hashes of the others
TASK = "task.json"  # a sweep's note of the run: what was asked for, by which sweep, how often
RUN_ID = re.compile(r".+-fold\d+-seed\d+-[0-9a-f]{10}")  # as `runs.make_run_id` writes it


def why_incomplete(folder, endings=None):
    """Why a run is not complete, in words, or "" where it is: what sweep, report and lesson go by.

    A run is complete if its folder holds a whole result of its own, the ledger tells of no later
    bad ending, and its notebook, if a sweep ran it, came to its end: what the cells after the
    result check is not known before.
    endings: what `read_endings` says of the experiment, where many runs are asked for.
    """
    folder = Path(folder).absolute()
    if not (folder / RESULT).exists():
        return "it has no result"
    if endings is None:
        endings = read_endings(folder.parent)
    return _judge(folder, endings.get(folder.name))


def is_complete(folder):
    """True for a complete run, see `why_incomplete`."""
    return not why_incomplete(folder)


def list_complete(experiment, run_ids=None):
    """The set of an experiment's complete runs, all or those in `run_ids`; see `why_incomplete`."""
    experiment = Path(experiment)
    if run_ids is None:
        run_ids = [path.parent.name for path in experiment.glob(f"*/{ABOUT}")]
    scored = [run_id for run_id in run_ids if os.path.exists(f"{experiment}/{run_id}/{RESULT}")]
    endings = read_endings(experiment) if scored else {}  # long: read once, and only if it matters
    return {run_id for run_id in scored if not _judge(experiment / run_id, endings.get(run_id))}


def holds_result(folder):
    """True if the folder holds a whole result of its own run; its notebook may still fail."""
    return not _check_result(Path(folder))


def refuse_other_run(folder):
    """Raise BmixError if the folder holds another run than the one for which it is named."""
    try:
        about = read_json(Path(folder) / ABOUT)
    except (OSError, ValueError):  # none there, or half of one: nothing of another run
        return
    if not is_named_for(folder, about):
        other = about.get("run_id") or _describe(about)
        raise BmixError(f"{folder} belongs to another run, {other}: move it away, then run again")


def is_named_for(folder, about):
    """Whether a recipe.json, as a dict, is that of the run for which its folder is named.

    A name that a user chose claims nothing, and so does what another program wrote. Runs of earlier
    versions did not note their run id: there the readable part of the name has to do.
    """
    run_id, readable = claimed_id(folder), _describe(about)
    if run_id is None or readable is None:
        return True
    return about.get("run_id", run_id) == run_id and run_id.rsplit("-", 1)[0] == readable


def claimed_id(folder):
    """The folder's name if it is a run id, else None."""
    name = os.path.basename(os.path.abspath(folder))
    return name if RUN_ID.fullmatch(name) else None


def describe_recipe(method, recipe):
    """The readable part of a run id, "mixup-alpha0.2-cells-fold0-seed3". recipe: its fields."""
    alpha = f"-alpha{recipe['alpha']:g}" if recipe["mixing"] != "none" else ""
    dataset = re.sub(r"[^\w-]+", "_", Path(recipe["dataset"]).name)[:60]
    return f"{method}{alpha}-{dataset}-fold{recipe['fold']}-seed{recipe['seed']}"


def read_note(folder):
    """A sweep's note of a run: notebook, sweep, tries and, once its notebook ended, wall; or {}."""
    try:
        with open(f"{folder}/{TASK}", encoding="utf-8") as file:
            return dict(json.load(file))
    except (OSError, ValueError, TypeError):
        return {}


def read_wall(folder):
    """Seconds that the notebook of a complete run took, or None."""
    return read_note(folder).get("wall")


def _judge(folder, ending):
    """Why a run that has a result is not complete. ending: its last line in the ledger, or None."""
    if ending is not None and ending["status"] != "complete":
        return f"it ended badly after its result: {ending['status']}"
    note = read_note(folder)
    if note and "wall" not in note:
        return "its notebook did not come to its end"
    return _check_result(folder)


def _check_result(folder):
    """What is wrong with the result in a folder, or ""; model.pt may be deleted to save room."""
    with suppress(OSError, LookupError, TypeError, ValueError):  # the last: also broken JSON
        content = (folder / ABOUT).read_bytes()
        if not is_named_for(folder, json.loads(content)):
            return "its result is that of another run"
        hashes = dict(read_json(folder / RESULT)["sha256"])
        read = {ABOUT: hashlib.sha256(content).hexdigest()}
        for name in {*HASHED, *hashes} - {ABOUT}:
            if name in HASHED or (folder / name).exists():
                read[name] = sha256_of(folder / name)
        if all(hashes[name] == digest for name, digest in read.items()):
            return ""
    return "its result is damaged"


def _describe(about):
    """The readable part of the run id of a recipe.json; None where another program wrote it."""
    with suppress(LookupError, TypeError, ValueError):
        return describe_recipe(about["method"], about["recipe"])
    return None
