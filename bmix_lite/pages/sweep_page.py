"""The page of a folder of runs: a section per dataset, then a list of all runs."""

import json
from collections import Counter, defaultdict

from bmix_lite.base.files import fill_static, read_static
from bmix_lite.comparison.datasets import describe_splits, name_datasets
from bmix_lite.comparison.intervals import metric_range
from bmix_lite.comparison.tables import collect_recalls, summarise, vary
from bmix_lite.comparison.tuning import keep_tuned
from bmix_lite.comparison.verdicts import compare_pairs, explain_tests
from bmix_lite.pages.export import POLICY, draw_script, figure_html, plotly_script
from bmix_lite.plots.comparison import plot_against
from bmix_lite.plots.runs import plot_metric_dots, plot_recall_by_size
from bmix_lite.runs.ledger import now
from bmix_lite.sweeps.kernels import PARTIAL
from bmix_lite.sweeps.plans import FOLDER, LIVE, read_plan

MOST_CLASSES = 60  # a figure of recall class by class shows nothing if there are more


def render(experiment, runs, apart, table, metric, tuned=False):
    """The page as HTML: it asks no other machine for anything, and names are escaped.

    runs, apart: as of `sort_runs`; table: as of `tabulate_all`
    """
    plan = read_plan(experiment)
    by_dataset = defaultdict(list)
    for name, run in zip(name_datasets(runs), runs, strict=True):
        by_dataset[name].append(run)
    sections = []
    for number, (dataset, group) in enumerate(by_dataset.items()):
        paths = {run["recipe"]["dataset"] for run in group}
        its_rows = table[table["dataset"].isin(paths)]
        sections.append(_describe_dataset(dataset, group, its_rows, metric, number, tuned))
    rows = [_describe_run(experiment, row, metric) for row in table.to_dict("records")]
    return fill_static(
        "sweep.html",
        name=experiment.resolve().name,
        policy=POLICY,
        when=now(),
        plan=plan,
        parameters=_describe_grid(plan),
        counts=Counter(row["status"] for row in rows),
        sections=sections,
        rows=rows,
        bad=[row for row in rows if row["status"] != "complete"],
        apart=apart,
        metric=metric.replace("_", " "),
        environments=_collect_environments(runs),
        head=plotly_script(),
        foot=draw_script(),
        style=read_static("table.css"),
    )


def _describe_dataset(dataset, runs, table, metric, number, tuned):
    """What the page says of one dataset; number: of its section."""
    tried = 0
    if tuned:
        runs, chosen = keep_tuned(runs, metric)
        tried = chosen["tried"].iloc[0]
        table = table[table["run_id"].isin([run["run_id"] for run in runs])]
    summary = summarise(runs, metric)
    pairs = compare_pairs(runs, metric=metric)
    figures = _draw_dataset(runs, table, summary, metric)
    varied = [f"{name}s" for name in ("split", "seed") if name in vary(runs)]
    lowest, highest = metric_range(metric)
    return {
        "dataset": dataset,
        "tried": tried,
        "splits": describe_splits(runs),
        "figures": [
            figure_html(json.loads(figure.to_json()), f"figure-{number}-{k}")
            for k, figure in enumerate(figures)
        ],
        "methods": [_describe_method(name, row, pairs) for name, row in summary.iterrows()],
        "reference": summary.index[0],
        "units": " and ".join(varied) or "seeds",
        "cut": _find_cuts(summary, (lowest, highest)),
        "widest": highest - lowest,
        "explained": explain_tests(pairs),
    }


def _draw_dataset(runs, table, summary, metric):
    """Figures: all runs, the metric against each swept number, recall by class size."""
    figures = [plot_metric_dots(summary, f"{metric.replace('_', ' ')} on test")]
    complete = table[table["status"] == "complete"]
    for name in vary(runs):
        if name not in ("split", "seed", "q") and _is_swept(runs, name):
            figures.append(plot_against(complete, name, f"test_{metric}"))
    counts = runs[0]["train_counts"]
    one_split = len({run["fingerprint"] for run in runs}) == 1
    if len(counts) <= MOST_CLASSES and one_split:
        class_names = runs[0]["class_names"]
        figures.append(plot_recall_by_size(collect_recalls(runs), counts, class_names))
    return figures


def _is_swept(runs, name):
    """True if the field is a number, and some method has several values of it."""
    values_of = defaultdict(set)
    for run in runs:
        values_of[run["method"]].add(run["recipe"][name])
    everything = set().union(*values_of.values())
    if not all(isinstance(value, (int, float)) for value in everything):
        return False
    return any(len(values) > 1 for values in values_of.values())


def _describe_method(name, row, pairs):
    """A method's mean with its interval, and its row of `compare_pairs`; none for the reference."""
    return {
        "name": name,
        "runs": int(row["runs"]),
        **row[["mean", "low", "high"]],
        "pair": pairs.loc[name] if name in pairs.index else None,
    }


def _find_cuts(summary, ends):
    """The ends of the metric's range, as text, at which an interval was cut."""
    wide = summary.loc[summary["low"] < summary["high"], ["low", "high"]]
    return [f"{end:g}" for end in ends if (wide == end).any(axis=None)]


def _describe_run(experiment, row, metric):
    """A line of the list; row: one of results.csv."""
    notebooks = [f"{row['run_id']}/notebook.ipynb", f"{row['run_id']}/{PARTIAL}"]
    error = row.get("error")
    return {
        "run_id": row["run_id"],
        "status": row["status"],
        "error": error if isinstance(error, str) else "",
        "link": next((name for name in notebooks if (experiment / name).is_file()), None),
        "val": row.get(f"val_{metric}"),
        "test": row.get(f"test_{metric}"),
        "seconds": row.get("seconds"),
    }


def _describe_grid(plan):
    """{parameter: its values, as text} of the last sweep's grid."""
    values = defaultdict(dict)
    for parameters in plan.get("runs", {}).values():
        for name, value in parameters.items():
            if name not in (FOLDER, LIVE):
                values[name][repr(value)] = value
    return {name: list(map(str, distinct.values())) for name, distinct in values.items()}


def _collect_environments(runs):
    """{what: its values in all runs, as text}: versions, threads, device."""
    environments = [run["environment"] for run in runs]
    return {key: sorted({str(at.get(key)) for at in environments}) for key in environments[0]}
