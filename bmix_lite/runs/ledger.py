"""The ledger of an experiment: one fsynced line for each ending of a run, in the order in which they came."""

import json
from datetime import UTC, datetime
from pathlib import Path

from bmix_lite.base.errors import require_choice
from bmix_lite.base.files import append_line

ENDINGS = (
    "complete",
    "failed",
    "timed out",
    "killed",
    "out of memory",
    "no result",
    "not started",
    "interrupted",
)


def append_ledger(experiment, run_id, status, **details):
    """One fsynced line in the experiment's ledger for one ending of a run."""
    require_choice("status", status, ENDINGS)
    line = {"run_id": run_id, "status": status, "when": now()} | details
    append_line(Path(experiment) / "ledger.jsonl", json.dumps(line))


def read_ledger(experiment):
    """The ledger's lines as dicts, oldest first; a line cut short by a crash is left out."""
    path = Path(experiment) / "ledger.jsonl"
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n") if path.exists() else []
    return [
        line
        for line in map(_parse, lines)
        if isinstance(line, dict) and "run_id" in line and "status" in line
    ]


def read_endings(experiment):
    """{run id: the last line that the ledger has of it}."""
    return {line["run_id"]: line for line in read_ledger(experiment)}


def now():
    """The time, in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _parse(line):
    try:
        return json.loads(line)
    except ValueError:
        return None
