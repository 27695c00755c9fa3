"""What a folder of runs holds, as a table and a page: what ran, how it compares, what failed."""

from collections import defaultdict
from pathlib import Path

import pandas as pd

from bmix_lite.base.errors import BmixError
from bmix_lite.base.files import write_atomic
from bmix_lite.comparison.datasets import find_other_data
from bmix_lite.comparison.tables import tabulate
from bmix_lite.pages.sweep_page import render
from bmix_lite.runs.complete import RESULT, read_note, why_incomplete
from bmix_lite.runs.ledger import read_endings
from bmix_lite.runs.reading import read_runs
from bmix_lite.sweeps.plans import read_plan


def write_report(experiment, *, metric="balanced_accuracy", tuned=False):
    """Write the table and the page of a folder of runs into it; returns their paths.

    They are results.csv, results.parquet where pyarrow is installed, and report.html.
    tuned: the page compares each method's best setting alone, see `tuning.keep_tuned`; the table
    holds all runs. Raises BmixError if there is no complete run.
    """
    experiment = Path(experiment)
    if not experiment.is_dir():
        raise BmixError(f"there is no folder {experiment}")
    runs, apart = sort_runs(experiment)
    table = tabulate_all(runs, experiment)
    paths = _write_table(table, experiment)
    page = experiment / "report.html"
    write_atomic(page, render(experiment, runs, apart, table, metric, tuned))
    return [*paths, page]


def _write_table(table, experiment):
    csv = experiment / "results.csv"
    write_atomic(csv, table.to_csv(index=False))
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        return [csv]
    parquet = experiment / "results.parquet"
    # a column of parquet has one type
    mixed = [name for name in table if _has_several_types(table[name])]
    one_type = table.astype(dict.fromkeys(mixed, str))
    write_atomic(parquet, one_type.to_parquet(index=False))
    return [csv, parquet]


def _has_several_types(column):
    return column.dtype == object and column.map(type).nunique() > 1


def sort_runs(experiment):
    """(complete runs that may be compared, {reason: run ids} of those not to be pooled with them).

    They belong together with the last sweep's notebook, package version and data; without a sweep,
    all of them do. Raises BmixError if none may be compared.
    """
    plan = read_plan(experiment)
    candidates = []
    apart = defaultdict(list)
    for run in read_runs(experiment):
        reason = _why_apart(run, experiment, plan)
        if reason:
            apart[reason].append(run["run_id"])
        else:
            candidates.append(run)
    others = find_other_data(candidates, plan.get("runs", {}))
    together = [run for run in candidates if run["run_id"] not in others]
    if others:
        reason = "made with other images or labels of that name"
        apart[reason] = [run["run_id"] for run in candidates if run["run_id"] in others]
    if not together:
        raise BmixError(
            f"{experiment}: no complete run of the last sweep's notebook, version and data"
        )
    return together, dict(apart)


def _why_apart(run, experiment, plan):
    """Why a run is not one of the plan's notebook and version; None if it is."""
    version = run["environment"]["bmix_lite"]
    notebook = read_note(experiment / run["run_id"]).get("notebook")
    if plan and notebook != plan["content"]:
        return "made by another version of the notebook"
    if plan and version != plan["bmix_lite"]:
        return f"made by version {version} of the package"
    return None


def tabulate_all(runs, experiment):
    """results.csv: one row per run.

    Runs that did not end well are included, with status and error instead of metrics.
    """
    table = tabulate(runs, experiment)
    planned = read_plan(experiment).get("runs", {})
    endings = read_endings(experiment)
    known = set(table["run_id"])
    rows = [
        {"run_id": line["run_id"], "status": line["status"], "error": line.get("error", "")}
        for line in endings.values()
        if line["status"] != "complete" and line["run_id"] not in known
    ]
    known.update(row["run_id"] for row in rows)
    rows += _find_incomplete(experiment, planned, known, endings)
    for row in rows:
        parameters = planned.get(row["run_id"], {})
        row.update((name, value) for name, value in parameters.items() if name in table)
    if rows:
        table = pd.concat([table, pd.DataFrame(rows)], ignore_index=True)
    return table


def _find_incomplete(experiment, planned, known, endings):
    """A row for each run not in `known` that is planned or has a result, and is not complete."""
    scored = [path.parent.name for path in sorted(experiment.glob(f"*/{RESULT}"))]
    rows = []
    for run_id in dict.fromkeys([*planned, *scored]):
        if run_id in known:
            continue
        fault = why_incomplete(experiment / run_id, endings)
        if fault and run_id in scored:
            rows.append({"run_id": run_id, "status": "incomplete", "error": fault})
        elif fault:
            rows.append({"run_id": run_id, "status": "not run", "error": ""})
    return rows
