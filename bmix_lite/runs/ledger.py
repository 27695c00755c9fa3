"""The ledger of an experiment: one fsynced line per ending of a run, in the order they came."""

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
    """Add one fsynced line to the experiment's ledger: how a run ended."""
    require_choice("status", status, ENDINGS)
    line = {"run_id": run_id, "status": status, "when": now()} | details
    append_line(Path(experiment) / "ledger.jsonl", json.dumps(line))


def read_ledger(experiment):
    """The ledger's lines as dicts, oldest first; a line cut short by a crash is left out."""
    path = Path(experiment) / "ledger.jsonl"
    if not path.exists():
        return []
    texts = path.read_text(encoding="utf-8", errors="replace").split("\n")
    return [line for line in map(_parse, texts) if line is not None]


def read_endings(experiment):
    """{run id: the ledger's last line about it}."""
    return {line["run_id"]: line for line in read_ledger(experiment)}


def now():
    """The time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _parse(text):
    """A line as a dict, or None for what is no ending."""
    try:
        line = json.loads(text)
    except ValueError:
        return None
    is_ending = isinstance(line, dict) and "run_id" in line and "status" in line
    return line if is_ending else None
