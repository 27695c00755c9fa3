"""Is a run complete? Decided here and nowhere else: a sweep, a report and a lesson all ask this.

A run is complete if five things hold; `why_incomplete` names the first that does not:

1. its folder holds metrics.json, the result, which is written last;
2. the ledger tells of no bad ending after it: killed, failed, timed out, ...;
3. its notebook, if a sweep ran it, came to its end: the cells after the result may check it;
4. the result is that of the run for which the folder is named;
5. every file of it has the hash that metrics.json notes.
"""

import json
import os
from pathlib import Path

from bmix_lite.base.files import read_json, sha256_of
from bmix_lite.runs.identity import ABOUT, is_named_for
from bmix_lite.runs.ledger import read_endings

HASHED = (ABOUT, "history.csv", "predictions.csv")
RESULT = "metrics.json"  # written last, with the hashes of the others
TASK = "task.json"  # a sweep's note of the run: what was asked for, by which sweep, how often


def is_complete(folder):
    """True for a complete run."""
    return not why_incomplete(folder)


def why_incomplete(folder, endings=None):
    """Why a run is not complete, in words, or "" where it is.

    endings: what `read_endings` says of the experiment, if many runs are asked for.
    """
    folder = Path(folder).absolute()
    if not (folder / RESULT).exists():
        return "it has no result"
    if endings is None:
        endings = read_endings(folder.parent)
    return _check_run(folder, endings.get(folder.name))


def list_complete(experiment, run_ids=None):
    """The set of an experiment's complete runs: all of them, or those in `run_ids`."""
    experiment = Path(experiment)
    if run_ids is None:
        run_ids = [path.parent.name for path in experiment.glob(f"*/{ABOUT}")]
    scored = [run_id for run_id in run_ids if os.path.exists(f"{experiment}/{run_id}/{RESULT}")]
    endings = read_endings(experiment) if scored else {}  # long: read once, and only if it matters
    return {run_id for run_id in scored if not _check_run(experiment / run_id, endings.get(run_id))}


def holds_result(folder):
    """True if the folder holds a whole result of its own run; its notebook may still fail."""
    return not _check_result(Path(folder))


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


def _check_run(folder, ending):
    """Points 2 to 5: the reason, or "". ending: the run's last line in the ledger, or None."""
    return _check_ending(ending) or _check_notebook(folder) or _check_result(folder)


def _check_ending(ending):
    if ending is not None and ending["status"] != "complete":
        return f"it ended badly after its result: {ending['status']}"
    return ""


def _check_notebook(folder):
    note = read_note(folder)
    if note and "wall" not in note:
        return "its notebook did not come to its end"
    return ""


def _check_result(folder):
    """Points 4 and 5. What cannot be read, or holds something else than ours, is damaged."""
    try:
        about = json.loads((folder / ABOUT).read_bytes())
        if not is_named_for(folder, about):
            return "its result is that of another run"
        if _has_noted_hashes(folder):
            return ""
    except (OSError, LookupError, TypeError, ValueError):
        pass
    return "its result is damaged"


def _has_noted_hashes(folder):
    """Whether no file was altered; those besides HASHED may be deleted to save room: model.pt."""
    noted = dict(read_json(folder / RESULT)["sha256"])
    others = [name for name in noted if name not in HASHED and (folder / name).exists()]
    return all(noted[name] == sha256_of(folder / name) for name in (*HASHED, *others))
