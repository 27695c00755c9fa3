"""What a folder of runs holds, in one table and one page: what was run, how it compares, what failed."""

import json
from collections import Counter, defaultdict
from pathlib import Path

import pandas as pd

from bmix_lite.base.errors import require
from bmix_lite.base.files import fill_static, read_static, write_atomic
from bmix_lite.comparison.datasets import find_other_data, name_datasets
from bmix_lite.comparison.intervals import metric_range
from bmix_lite.comparison.tables import collect_recalls, summarise, tabulate, vary
from bmix_lite.comparison.tuning import keep_tuned
from bmix_lite.comparison.verdicts import compare_pairs, explain_tests
from bmix_lite.pages.export import POLICY, draw_script, figure_html, plotly_script
from bmix_lite.plots.comparison import plot_against
from bmix_lite.plots.runs import plot_metric_dots, plot_recall_by_size
from bmix_lite.runs.complete import RESULT, read_note, why_incomplete
from bmix_lite.runs.ledger import now, read_endings
from bmix_lite.runs.reading import read_runs
from bmix_lite.sweeps.kernels import PARTIAL
from bmix_lite.sweeps.plans import FOLDER, LIVE, read_plan

CLASSES = 60  # more than that, and a figure of recall class by class shows nothing


def write_report(experiment, *, metric="balanced_accuracy", tuned=False):
    """Write results.csv (and .parquet where pyarrow is installed) and report.html into a folder of runs; their paths.

    tuned: the page compares each method's best setting alone, see `tuning.keep_tuned`; the table holds all runs.
    Raises BmixError if there is no complete run.
    """
    experiment = Path(experiment)
    require(experiment.is_dir(), f"there is no folder {experiment}")
    runs, apart = sort_runs(experiment)
    table = tabulate_all(runs, experiment)
    paths = [experiment / "results.csv", experiment / "report.html"]
    write_atomic(paths[0], table.to_csv(index=False))
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        pass
    else:
        mixed = [
            name
            for name in table
            if table[name].map(type).nunique() > 1 and table[name].dtype == object
        ]
        write_atomic(
            experiment / "results.parquet",
            table.astype(dict.fromkeys(mixed, str)).to_parquet(index=False),
        )
        paths.insert(1, experiment / "results.parquet")
    write_atomic(paths[-1], render(experiment, runs, apart, table, metric, tuned))
    return paths


def sort_runs(experiment):
    """(complete runs that may be compared, {reason: run ids} of those that may not be pooled with them).

    They belong together with the last sweep's notebook, package version and data; without a sweep, all of them do.
    """
    plan = read_plan(experiment)
    candidates = []
    apart = defaultdict(list)
    for run in read_runs(experiment):
        notebook = read_note(experiment / run["run_id"]).get("notebook")
        version = run["environment"]["bmix_lite"]
        if plan and notebook != plan["content"]:
            apart["made by another version of the notebook"].append(run["run_id"])
        elif plan and version != plan["bmix_lite"]:
            apart[f"made by version {version} of the package"].append(run["run_id"])
        else:
            candidates.append(run)
    others = find_other_data(candidates, plan.get("runs", {}))
    together = [run for run in candidates if run["run_id"] not in others]
    if others:
        reason = "made with other images or labels of that name"
        apart[reason] = [run["run_id"] for run in candidates if run["run_id"] in others]
    require(
        together, f"{experiment}: no complete run of the last sweep's notebook, version and data"
    )
    return together, dict(apart)


def tabulate_all(runs, experiment):
    """results.csv: one row a run, those that did not end well included, with status and error instead of metrics."""
    table, plan = tabulate(runs, experiment), read_plan(experiment).get("runs", {})
    endings = read_endings(experiment)
    known = set(table["run_id"])
    bad = [
        line
        for line in endings.values()
        if line["status"] != "complete" and line["run_id"] not in known
    ]
    rows = [
        {"run_id": line["run_id"], "status": line["status"], "error": line.get("error", "")}
        for line in bad
    ]
    known |= {line["run_id"] for line in bad}
    rows += _find_incomplete(experiment, plan, known, endings)
    for row in rows:
        given = {
            name: value for name, value in plan.get(row["run_id"], {}).items() if name in table
        }
        row |= given
    if rows:
        table = pd.concat([table, pd.DataFrame(rows)], ignore_index=True)
    return table


def _find_incomplete(experiment, plan, known, endings):
    """A row for each run not in `known` that is planned or has a result, and is not complete."""
    scored = [path.parent.name for path in sorted(experiment.glob(f"*/{RESULT}"))]
    rows = []
    for run_id in dict.fromkeys([*plan, *scored]):
        fault = "" if run_id in known else why_incomplete(experiment / run_id, endings)
        if fault and run_id in scored:
            rows.append({"run_id": run_id, "status": "incomplete", "error": fault})
        elif fault:
            rows.append({"run_id": run_id, "status": "not run", "error": ""})
    return rows


def render(experiment, runs, apart, table, metric, tuned=False):
    """The page: it holds all that it shows and asks no other machine for anything; names are escaped."""
    plan = read_plan(experiment)
    by_dataset = defaultdict(list)
    for name, run in zip(name_datasets(runs), runs, strict=True):
        by_dataset[name].append(run)
    sections = []
    for number, (dataset, group) in enumerate(by_dataset.items()):
        paths = {run["recipe"]["dataset"] for run in group}
        rows = table[table["dataset"].isin(paths)]
        sections.append(_section(dataset, group, rows, metric, number, tuned))
    rows = [_row(experiment, row, metric) for row in table.to_dict("records")]
    counts = Counter(row["status"] for row in rows)
    environments = {
        key: sorted({str(run["environment"].get(key)) for run in runs})
        for key in runs[0]["environment"]
    }
    return fill_static(
        "sweep.html",
        name=experiment.resolve().name,
        policy=POLICY,
        when=now(),
        plan=plan,
        parameters=_describe_grid(plan),
        counts=counts,
        sections=sections,
        rows=rows,
        bad=[row for row in rows if row["status"] != "complete"],
        apart=apart,
        metric=metric.replace("_", " "),
        environments=environments,
        head=plotly_script(),
        foot=draw_script(),
        style=read_static("table.css"),
    )


def _section(dataset, runs, table, metric, number, tuned):
    tried = 0
    if tuned:
        runs, chosen = keep_tuned(runs, metric)
        tried = chosen["tried"].iloc[0]
        table = table[table["run_id"].isin([run["run_id"] for run in runs])]
    summary, pairs = summarise(runs, metric), compare_pairs(runs, metric=metric)
    counts, classes = runs[0]["train_counts"], runs[0]["class_names"]
    figures = [plot_metric_dots(summary, f"{metric.replace('_', ' ')} on test")]
    swept = [
        name for name in vary(runs) if name not in ("fold", "seed", "q") and _is_swept(runs, name)
    ]
    figures += [
        plot_against(table[table["status"] == "complete"], name, f"test_{metric}") for name in swept
    ]
    if len(counts) <= CLASSES and len({run["fingerprint"] for run in runs}) == 1:
        figures.append(plot_recall_by_size(collect_recalls(runs), counts, classes))
    shown = [
        figure_html(json.loads(figure.to_json()), f"figure-{number}-{k}")
        for k, figure in enumerate(figures)
    ]
    methods = []
    for name, row in summary.iterrows():
        methods.append({"name": name, "runs": int(row["runs"]), **row[["mean", "low", "high"]]})
        methods[-1]["pair"] = pairs.loc[name] if name in pairs.index else None
    wide = summary[summary["low"] < summary["high"]]
    return {
        "dataset": dataset,
        "tried": tried,
        "figures": shown,
        "methods": methods,
        "reference": summary.index[0],
        "units": " and ".join(f"{name}s" for name in ("seed", "fold") if name in vary(runs))
        or "seeds",
        "cut": [
            f"{end:g}"
            for end in metric_range(metric)
            if (wide[["low", "high"]] == end).any(axis=None)
        ],
        "widest": metric_range(metric)[1] - metric_range(metric)[0],
        "explained": explain_tests(pairs),
    }


def _row(experiment, row, metric):
    notebook = f"{row['run_id']}/notebook.ipynb"
    partial = f"{row['run_id']}/{PARTIAL}"
    link = next((name for name in (notebook, partial) if (experiment / name).is_file()), None)
    error = row.get("error")
    return {
        "run_id": row["run_id"],
        "status": row["status"],
        "error": error if isinstance(error, str) else "",
        "link": link,
        "val": row.get(f"val_{metric}"),
        "test": row.get(f"test_{metric}"),
        "seconds": row.get("seconds"),
    }


def _describe_grid(plan):
    """{parameter: its values} of the last sweep's grid."""
    values = defaultdict(dict)
    for parameters in plan.get("runs", {}).values():
        for name, value in parameters.items():
            if name not in (FOLDER, LIVE):
                values[name][repr(value)] = value
    return {name: [str(value) for value in found.values()] for name, found in values.items()}


def _is_swept(runs, name):
    """True if the field is a number, and some method has several values of it."""
    values = defaultdict(set)
    for run in runs:
        values[run["method"]].add(run["recipe"][name])
    numbers = all(isinstance(value, (int, float)) for found in values.values() for value in found)
    return numbers and max(map(len, values.values())) > 1
