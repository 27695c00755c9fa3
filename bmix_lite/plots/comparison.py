"""What a comparison comes to, in one figure: differences to a baseline, pair by pair, with the verdicts in words."""

import numpy as np

from bmix_lite.comparison.tables import group_runs
from bmix_lite.comparison.verdicts import compare_pairs, pair_up
from bmix_lite.plots.theme import COLOURS, GREY, MARKERS, as_text, make_figure


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
