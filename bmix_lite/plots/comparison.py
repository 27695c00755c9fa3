"""Figures of comparisons: differences to a baseline, and metrics against a swept number."""

import numpy as np

from bmix_lite.base.errors import BmixError
from bmix_lite.comparison.levels import bound_column
from bmix_lite.comparison.pairing import pair_up
from bmix_lite.comparison.tables import group_runs
from bmix_lite.comparison.verdicts import compare_pairs
from bmix_lite.plots.theme import COLOURS, DASHES, GREY, MARKERS, as_text, make_figure

MISSED = "grey: true differences that are mostly missed, light ones perhaps"
DARK, LIGHT = "#DDDDDD", "#F4F4F4"


def plot_differences(runs, reference=None, metric="balanced_accuracy", split="test"):
    """Each method less the reference: every pair a dot, mean, 95 % interval, and the verdict.

    runs, reference, metric, split: as of `verdicts.compare_pairs`, whose table this is. The grey
    bars reach to the ends of what the smallest true difference may be that so many pairs would
    mostly find (power 0.8).
    """
    table = compare_pairs(runs, reference, metric, split)
    groups = group_runs(runs)
    names = list(groups)
    reference = names[0] if reference is None else reference
    measure = f"{metric.replace('_', ' ')} on {split}"
    figure = make_figure(
        title=f"{measure}: each method less {as_text(reference)}", height=190 + 80 * len(table)
    )
    furthest = 0.01
    for j, (name, row) in enumerate(table.iterrows()):
        gaps = pair_up(groups[reference], groups[name], metric, split).gaps
        _draw_detectable(figure, row, j)
        _draw_pairs(figure, name, row, gaps, j, names.index(name))
        ends = row[["low", "high"]].dropna().astype(float)
        furthest = max([furthest, *np.abs(gaps), *np.abs(ends)])
    if table.empty:
        figure.add_annotation(x=0, y=0, text="There is only one method.", showarrow=False)
    limit = 1.08 * furthest
    figure.update_xaxes(title=f"difference of {measure}", range=[-limit, limit])
    figure.update_yaxes(
        tickvals=list(range(len(table))),
        ticktext=[_label_pair(name, row) for name, row in table.iterrows()],
        range=[len(table) - 0.5, -0.5],
        showgrid=False,
        zeroline=False,
    )
    figure.add_vline(x=0, line={"color": GREY, "width": 1.5, "dash": "dash"})
    legend = {"text": _explain_marks(table), "font": {"size": 13}}
    layout = {"showlegend": False, "barmode": "overlay", "margin": {"l": 230, "t": 100}}
    return figure.update_layout(title_subtitle=legend, **layout)


def _explain_marks(table):
    """What dots, bars and grey mean, and what the intervals cover."""
    units = " or ".join(sorted(set(table["unit"])))
    covers = "; ".join(dict.fromkeys(table["covers"].dropna()))
    return f"dots: {units}; bar: mean and 95 % interval ({covers});<br>{MISSED}"


def _draw_detectable(figure, row, y):
    """The grey bars of true differences too small for so many pairs: perhaps, and surely."""
    low, high = row["detectable_low"], row["detectable_high"]
    for reach, colour in ((high, LIGHT), (low, DARK)):
        figure.add_bar(
            y=[y],
            width=[0.8],
            base=[-reach],
            x=[2 * reach],
            orientation="h",
            marker={"color": colour, "line": {"color": GREY, "width": 0.5}},
            name="missed",
            hovertemplate=f"smallest detectable difference {low:.3f} to {high:.3f}<extra></extra>",
        )


def _draw_pairs(figure, name, row, gaps, y, number):
    """Every pair as a dot below y, mean and interval above; number: of the method's colour."""
    colour = COLOURS[number % 5]
    figure.add_scatter(
        x=gaps,
        y=[y + 0.18] * len(gaps),
        mode="markers",
        name=as_text(name),
        marker={"color": colour, "symbol": MARKERS[number % 5], "size": 9},
    )
    figure.add_scatter(
        x=[row["difference"]],
        y=[y - 0.18],
        mode="markers",
        name="mean",
        marker={"color": colour, "size": 16, "symbol": "line-ns-open", "line": {"width": 3}},
        error_x={
            "array": [row["high"] - row["difference"]],
            "arrayminus": [row["difference"] - row["low"]],
            "type": "data",
            "symmetric": False,
            "color": colour,
            "thickness": 2.5,
            "width": 7,
        },
    )


def _label_pair(name, row):
    """The method with the first words of its verdict, and p where there is one."""
    verdict = row["verdict"].split("; ")[0].split(": ")[0]
    p = f", p = {row['p']:.2g}" if np.isfinite(row["p"]) else ""
    return f"<b>{as_text(name)}</b><br>{verdict}{p}"


def plot_against(table, field, metric):
    """A metric against a swept number: every run a dot, means joined, 95 % intervals as bars.

    table: one row per run with columns `field`, `metric`, "method" and those of its split, as of
    `comparison.tabulate`; what the intervals cover stands below the title.
    A method with one value of `field` only, such as one that does not mix, is a level line. Raises
    BmixError if all are.
    """
    methods = dict(list(table.groupby("method", sort=False)))
    swept = {name: rows for name, rows in methods.items() if rows[field].nunique() > 1}
    level = {name: rows for name, rows in methods.items() if name not in swept}
    if not swept:
        raise BmixError(
            f"{field} has one value in each method: there is nothing to draw against it"
        )
    measure = metric.replace("_", " ")
    figure = make_figure(title=f"{measure} against {field}", height=450, margin={"t": 80})
    values = sorted({value for rows in swept.values() for value in rows[field]})
    jitter = 0.03 * min(np.diff(values), default=1)
    covers = {}
    for j, (name, rows) in enumerate(swept.items()):
        shift = jitter * (2 * j - len(swept) + 1)
        covers |= _draw_swept_means(figure, name, rows, field, metric, shift, j)
        _draw_swept_runs(figure, name, rows, rows[field] + shift + jitter, metric, j)
    ends = [values[0] - 2 * jitter, values[-1] + 2 * jitter]
    for j, (name, rows) in enumerate(level.items(), start=len(swept)):
        _draw_level(figure, name, rows, field, metric, ends, j)
    figure.update_xaxes(title=field, tickvals=values)
    legend = f"every run, mean, 95 % interval ({'; '.join(covers)})"
    subtitle = {"text": legend, "font": {"size": 13}}
    layout = {"yaxis": {"title": measure}, "margin": {"b": 110, "t": 80}}
    return figure.update_layout(title_subtitle=subtitle, **layout)


def _draw_swept_means(figure, name, rows, field, metric, shift, j):
    """Means of method number j, joined, with their intervals; {what these cover: True}."""
    groups = dict(list(rows.groupby(field)))
    found = [bound_column(group, metric) for group in groups.values()]
    mean, low, high = np.array([interval[:3] for interval in found]).T
    colour = COLOURS[j % 5]
    figure.add_scatter(
        x=[value + shift for value in groups],
        y=mean,
        name=f"{as_text(name)}, mean",
        mode="lines+markers",
        line={"color": colour, "dash": DASHES[j % 5], "width": 2},
        marker={"symbol": "line-ew-open", "size": 16, "color": colour, "line": {"width": 3}},
        error_y={
            "type": "data",
            "symmetric": False,
            "array": high - mean,
            "arrayminus": mean - low,
            "thickness": 1.5,
        },
    )
    return {interval[3]: True for interval in found}


def _draw_swept_runs(figure, name, rows, x, metric, j):
    figure.add_scatter(
        x=x,
        y=rows[metric],
        mode="markers",
        marker={"symbol": MARKERS[j % 5], "size": 7, "color": COLOURS[j % 5], "opacity": 0.6},
        name=f"{as_text(name)}, runs",
        text=rows.get("run_id"),
    )


def _draw_level(figure, name, rows, field, metric, ends, j):
    """A line over the whole width at the mean of a method with one value of `field`."""
    mean = float(rows[metric].mean())
    value = rows[field].iloc[0]
    setting = f" at {field} {value:g}" if value else ""
    figure.add_scatter(
        x=ends,
        y=[mean, mean],
        name=f"{as_text(name)}{setting}, mean of {len(rows)}",
        mode="lines",
        line={"color": COLOURS[j % 5], "dash": DASHES[j % 5], "width": 2},
    )


def plot_size_sensitivity(table, field):
    """Recall of rare, middle and common classes against a swept number: dots, means joined.

    table: one row per run; column `field`, and one of mean recall for each group of classes
    """
    figure = make_figure(title=f"recall against {field}, by size of the class", height=430)
    groups = [name for name in table if name != field]
    for j, name in enumerate(groups):
        colour = COLOURS[j % 5]
        means = table.groupby(field)[name].mean()
        line = {"color": colour, "dash": DASHES[j % 5], "width": 2}
        figure.add_scatter(x=means.index, y=means, name=as_text(name), mode="lines", line=line)
        dots = {"symbol": MARKERS[j % 5], "size": 8, "color": colour, "opacity": 0.6}
        figure.add_scatter(
            x=table[field], y=table[name], mode="markers", marker=dots, showlegend=False
        )
    figure.update_xaxes(title=field, tickvals=sorted(table[field].unique()))
    axis = {"title": "recall on test", "range": [-0.02, 1.02]}
    return figure.update_layout(yaxis=axis, margin={"b": 110})
