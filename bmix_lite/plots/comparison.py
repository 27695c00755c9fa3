"""Figures of comparisons: differences to a baseline, and metrics against a swept number."""

import numpy as np

from bmix_lite.base.errors import require
from bmix_lite.comparison.intervals import metric_interval
from bmix_lite.comparison.tables import group_runs
from bmix_lite.comparison.verdicts import compare_pairs, pair_up
from bmix_lite.plots.theme import COLOURS, DASHES, GREY, MARKERS, as_text, make_figure


def plot_differences(runs, reference=None, metric="balanced_accuracy", split="test"):
    """Each method less the reference: every pair a dot, the mean with its 95 % interval, and the verdict.

    runs, reference, metric, split: as of `verdicts.compare_pairs`, whose table this is. The grey bar reaches to the
    smallest true difference that so many pairs would mostly find (power 0.8).
    """
    table, groups = compare_pairs(runs, reference, metric, split), group_runs(runs)
    names, reference = list(groups), next(iter(groups)) if reference is None else reference
    words = f"{metric.replace('_', ' ')} on {split}"
    figure = make_figure(
        title=f"{words}: each method less {as_text(reference)}", height=170 + 80 * len(table)
    )
    ticks, reach = [], [0.01]
    for j, (name, row) in enumerate(table.iterrows()):
        gaps, _ = pair_up(groups[reference], groups[name], metric, split)
        colour, symbol = (marks[names.index(name) % 5] for marks in (COLOURS, MARKERS))
        bar = {
            "width": [0.8],
            "base": [-row["detectable"]],
            "x": [2 * row["detectable"]],
            "orientation": "h",
        }
        hover = f"smallest detectable difference {row['detectable']:.3f}<extra></extra>"
        look = {"color": "#EEEEEE", "line": {"color": GREY, "width": 1}}
        figure.add_bar(y=[j], **bar, marker=look, name="missed", hovertemplate=hover)
        dots = {"color": colour, "symbol": symbol, "size": 9}
        figure.add_scatter(
            x=gaps, y=[j + 0.18] * len(gaps), mode="markers", name=as_text(name), marker=dots
        )
        ends = {
            "array": [row["high"] - row["difference"]],
            "arrayminus": [row["difference"] - row["low"]],
        }
        ends |= {"type": "data", "symmetric": False, "color": colour, "thickness": 2.5, "width": 7}
        mean = {"color": colour, "size": 16, "symbol": "line-ns-open", "line": {"width": 3}}
        figure.add_scatter(
            x=[row["difference"]],
            y=[j - 0.18],
            mode="markers",
            name="mean",
            marker=mean,
            error_x=ends,
        )
        p = f", p = {row['p']:.2g}" if np.isfinite(row["p"]) else ""
        ticks.append(f"<b>{as_text(name)}</b><br>{row['verdict'].split('; ')[0].split(': ')[0]}{p}")
        reach += [*np.abs(gaps), *np.abs(row[["low", "high"]].dropna().astype(float))]
    if table.empty:
        figure.add_annotation(x=0, y=0, text="There is only one method.", showarrow=False)
    limit = 1.08 * max(reach)
    under = "dots: pairs; bar: mean and 95 % interval; grey: true differences that would mostly be missed"
    figure.update_xaxes(title=f"difference of {words}", range=[-limit, limit])
    axis = {
        "tickvals": list(range(len(table))),
        "ticktext": ticks,
        "range": [len(table) - 0.5, -0.5],
    }
    figure.update_yaxes(**axis, showgrid=False, zeroline=False)
    figure.add_vline(x=0, line={"color": GREY, "width": 1.5, "dash": "dash"})
    under = {"text": under, "font": {"size": 13}}
    return figure.update_layout(showlegend=False, title_subtitle=under, margin={"l": 230, "t": 80})


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
