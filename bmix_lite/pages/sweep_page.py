"""The page of a folder of runs: a section per dataset, then a list of all runs."""

import json
from collections import Counter, defaultdict

from bmix_lite.base.files import fill_static, read_static
from bmix_lite.comparison.datasets import describe_splits, name_datasets
from bmix_lite.comparison.estimates import MARGIN
from bmix_lite.comparison.intervals import metric_range
from bmix_lite.comparison.levels import bound_level
from bmix_lite.comparison.tables import collect_recalls, group_runs, summarise, vary
from bmix_lite.comparison.tuning import keep_tuned
from bmix_lite.comparison.verdicts import compare_sets, explain_tests
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
    tried = {}
    if tuned:
        for dataset, group in by_dataset.items():
            by_dataset[dataset], chosen = keep_tuned(group, metric)
            tried[dataset] = chosen["tried"].iloc[0]
    compared = compare_sets(by_dataset, metric=metric)
    sections = [
        {"tried": tried.get(dataset, 0)}
        | _describe_dataset(dataset, group, table, metric, number, compared[dataset])
        for number, (dataset, group) in enumerate(by_dataset.items())
    ]
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


def _describe_dataset(dataset, runs, table, metric, number, pairs):
    """What the page says of one dataset; number: of its section; pairs: of `compare_sets`."""
    table = table[table["run_id"].isin([run["run_id"] for run in runs])]
    summary = summarise(runs, metric)
    figures = _draw_dataset(runs, table, summary, metric)
    lowest, highest = metric_range(metric)
    levels = {
        name: bound_level(group, metric, images=True)[1] for name, group in group_runs(runs).items()
    }
    covers = _find_common([[interval["covers"] for interval in found] for found in levels.values()])
    return {
        "dataset": dataset,
        "splits": describe_splits(runs),
        "figures": [
            figure_html(json.loads(figure.to_json()), f"figure-{number}-{k}")
            for k, figure in enumerate(figures)
        ],
        "methods": [
            _describe_method(name, row, pairs, levels[name], covers)
            for name, row in summary.iterrows()
        ],
        "reference": summary.index[0],
        "covers": covers,
        "pairs_cover": _find_common([[words] for words in pairs["covers"].dropna()]),
        "margin": MARGIN,
        "cut": _find_cuts(levels.values(), (lowest, highest)),
        "widest": highest - lowest,
        "explained": explain_tests(pairs),
    }


def _find_common(lists):
    """The list that most methods have: it stands in the head of the table."""
    return list(Counter(map(tuple, lists)).most_common(1)[0][0]) if lists else []


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


def _describe_method(name, row, pairs, intervals, covers):
    """A method's mean with its intervals, and its row of `compare_pairs`; none for the reference.

    covers: what the head of the table says of the intervals; others say so themselves
    """
    same = [interval["covers"] for interval in intervals] == covers
    return {
        "name": name,
        "runs": int(row["runs"]),
        "mean": row["mean"],
        "intervals": [
            interval | {"note": "" if same else interval["covers"]} for interval in intervals
        ],
        "pair": pairs.loc[name] if name in pairs.index else None,
    }


def _find_cuts(levels, ends):
    """The ends of the metric's range, as text, at which an interval was cut."""
    bounds = {
        bound
        for intervals in levels
        for interval in intervals
        if interval["low"] < interval["high"]
        for bound in (interval["low"], interval["high"])
    }
    return [f"{end:g}" for end in ends if end in bounds]


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
