"""Figures of a sweep: a metric against a swept parameter with every run, recall by class size, cost."""

import numpy as np

from bmix_lite.base.errors import require
from bmix_lite.comparison.intervals import metric_interval
from bmix_lite.plots.theme import COLOURS, DASHES, MARKERS, as_text, make_figure


def plot_against(table, field, metric):
    """A metric against a swept number: every run a dot, means joined, 95 % intervals over the runs as bars.

    table: one row a run with columns `field`, `metric` and "method", as `comparison.tabulate` gives them. A method
    with one value of `field` only, such as one that does not mix, is a level line. Raises BmixError if all are.
    """
    swept = {
        name: rows
        for name, rows in table.groupby("method", sort=False)
        if rows[field].nunique() > 1
    }
    level = {name: rows for name, rows in table.groupby("method", sort=False) if name not in swept}
    title = f"{metric.replace('_', ' ')} against {field}: every run, mean, 95 % interval"
    require(swept, f"{field} has one value in each method: there is nothing to draw against it")
    figure, places = (
        make_figure(title=title, height=430),
        sorted({x for rows in swept.values() for x in rows[field]}),
    )
    steps = np.diff(places)
    jitter = 0.03 * (min(steps) if len(steps) else 1)
    for j, (name, rows) in enumerate(swept.items()):
        colour, groups = COLOURS[j % 5], list(rows.groupby(field))
        shift = jitter * (2 * j - len(swept) + 1)
        x = [value + shift for value, _ in groups]
        mean, low, high = np.array(
            [metric_interval(group[metric].dropna(), metric) for _, group in groups]
        ).T
        bars = {
            "type": "data",
            "symmetric": False,
            "array": high - mean,
            "arrayminus": mean - low,
            "thickness": 1.5,
        }
        line = {"color": colour, "dash": DASHES[j % 5], "width": 2}
        marker = {"symbol": "line-ew-open", "size": 16, "color": colour, "line": {"width": 3}}
        style = {"mode": "lines+markers", "line": line, "marker": marker, "error_y": bars}
        figure.add_scatter(x=x, y=mean, name=f"{as_text(name)}, mean", **style)
        dots = {"symbol": MARKERS[j % 5], "size": 7, "color": colour, "opacity": 0.6}
        shown = {
            "x": rows[field] + shift + jitter,
            "y": rows[metric],
            "mode": "markers",
            "marker": dots,
        }
        figure.add_scatter(**shown, name=f"{as_text(name)}, runs", text=rows.get("run_id"))
    for j, (name, rows) in enumerate(level.items(), start=len(swept)):
        mean = float(rows[metric].mean())
        line = {"color": COLOURS[j % 5], "dash": DASHES[j % 5], "width": 2}
        x = [min(places) - 2 * jitter, max(places) + 2 * jitter]
        value = rows[field].iloc[0]
        words = f"{as_text(name)}{f' at {field} {value:g}' if value else ''}, mean of {len(rows)}"
        figure.add_scatter(x=x, y=[mean, mean], name=words, mode="lines", line=line)
    figure.update_xaxes(title=field, tickvals=places)
    return figure.update_layout(yaxis={"title": metric.replace("_", " ")}, margin={"b": 110})


def plot_size_sensitivity(table, field):
    """Recall of rare, middle and common classes against a swept number: every run a dot, means joined.

    table: one row a run; column `field`, and one column of mean recall for each group of classes.
    """
    groups = [name for name in table if name != field]
    figure = make_figure(title=f"recall against {field}, by size of the class", height=430)
    for j, name in enumerate(groups):
        means = table.groupby(field)[name].mean()
        style = {
            "line": {"color": COLOURS[j % 5], "dash": DASHES[j % 5], "width": 2},
            "mode": "lines",
        }
        figure.add_scatter(x=means.index, y=means, name=as_text(name), **style)
        dots = {"symbol": MARKERS[j % 5], "size": 8, "color": COLOURS[j % 5], "opacity": 0.6}
        figure.add_scatter(
            x=table[field], y=table[name], mode="markers", marker=dots, showlegend=False
        )
    figure.update_xaxes(title=field, tickvals=sorted(table[field].unique()))
    return figure.update_layout(
        yaxis={"title": "recall on test", "range": [-0.02, 1.02]}, margin={"b": 110}
    )
