"""Figures of what mixing does to numbers: alpha at work, and the classes before and after."""

import numpy as np
import plotly.graph_objects as go

from bmix_lite.distribution import (
    class_probabilities,
    expected_draws,
    lam_density,
    mean_lam,
    median_lam,
    mixed_class_probabilities,
)
from bmix_lite.plots.theme import (
    BLACK,
    BLUE,
    CROSS,
    GREEN,
    GREY,
    PATTERNS,
    VERMILLION,
    dress,
    make_figure,
    make_panels,
    name_classes,
    stand_names,
)

GRID = np.geomspace(1e-4, 1, 120)  # of lam: dense where the density is steep
DENSEST = 4  # top of the density's axis; the curve goes to infinity at lam = 0 for alpha < 1


def compute_alpha_view(counts, alpha, q):
    """The numbers behind the three views of one alpha; density at GRID, 0 where alpha is 0."""
    draws = int(np.sum(counts))
    weight = mean_lam(alpha)
    return {
        "mean": weight,
        "median": median_lam(alpha),
        "density": lam_density(GRID, alpha) if alpha > 0 else np.zeros_like(GRID),
        "base": (1 - weight) * expected_draws(counts, q, draws),
        "balanced": weight * expected_draws(counts, 0, draws),
        "shares": mixed_class_probabilities(counts, q, alpha),
    }


def plot_alpha_views(counts, alpha, q=1.0, class_names=None, drawn=None):
    """Three views of one alpha: density of lam, weight of one image in an epoch, class shares.

    counts (C,); drawn (C,) or None: label mass of simulated epochs, as crosses in the third view
    """
    view = compute_alpha_view(counts, alpha, q)
    figure = make_panels(
        2,
        2,
        specs=[[{}, {}], [{"colspan": 2}, None]],
        subplot_titles=(
            "weight lam of the balanced batch",
            "weight of one image in an epoch",
            "share of label mass per class",
        ),
        vertical_spacing=0.17,
        horizontal_spacing=0.1,
    )
    _draw_density(figure, view)
    _draw_weights(figure, view)
    _draw_shares(figure, view, counts, drawn)
    dress(
        figure,
        title=f"alpha = {alpha:g}",
        height=600,
        barmode="stack",
        uirevision="alpha",
        legend_traceorder="normal",
    )
    return _set_alpha_axes(figure, counts, class_names)


def _draw_density(figure, view):
    """First view: the density of lam, its mean and its median."""
    curve = go.Scatter(
        x=GRID,
        y=view["density"],
        mode="lines",
        line={"color": BLUE, "width": 3},
        fill="tozeroy",
        fillcolor="rgba(0, 114, 178, 0.15)",
        showlegend=False,
        name="density",
    )
    figure.add_trace(curve, row=1, col=1)
    _mark_lam(figure, "mean", view["mean"], {"color": VERMILLION, "dash": "dash"}, 0.9)
    _mark_lam(figure, "median", view["median"], {"color": GREEN, "dash": "dot"}, 0.65)


def _mark_lam(figure, name, value, line, height):
    """A vertical line at one lam, with its value beside it; height: a share of the axis."""
    figure.add_scatter(
        x=[value] * 2,
        y=[0, DENSEST],
        mode="lines",
        line=line | {"width": 3},
        name=name,
        showlegend=False,
    )
    number = f"{value:.3f}" if value >= 0.001 or value == 0 else f"{value:.1e}"
    figure.add_annotation(
        x=value,
        y=DENSEST * height,
        xanchor="left",
        text=f" {name} {number}",
        showarrow=False,
        font={"color": BLACK},
        bgcolor="white",
        row=1,
        col=1,
    )


def _draw_weights(figure, view):
    """Second view: what both streams add to one image's weight, stacked."""
    streams = {
        "base stream": (view["base"], BLUE, ""),
        "balanced stream": (view["balanced"], VERMILLION, "/"),
    }
    for name, (weights, colour, pattern) in streams.items():
        figure.add_bar(
            x=np.arange(len(weights)),
            y=weights,
            marker={"color": colour, "pattern": {"shape": pattern}},
            name=name,
            offsetgroup="weight",
            row=1,
            col=2,
        )


def _draw_shares(figure, view, counts, drawn):
    """Third view: the classes before and after mixing, as drawn, and if all were equal."""
    classes = len(counts)
    positions = np.arange(classes)
    bars = {
        "the data": (class_probabilities(counts, 1), GREY, ""),
        "after mixing": (view["shares"], GREEN, "x"),
    }
    for name, (shares, colour, pattern) in bars.items():
        marker = {"color": colour, "pattern": {"shape": pattern}}
        figure.add_bar(
            x=positions, y=shares, marker=marker, name=name, offsetgroup=name, row=2, col=1
        )
    # always there: a redraw keeps the number of traces
    crosses = [None] * classes if drawn is None else drawn
    figure.add_scatter(
        x=positions + 0.2, y=crosses, mode="markers", marker=CROSS, name="drawn", row=2, col=1
    )
    ends = [-0.5, classes - 0.5]
    line = {"color": BLACK, "dash": "dash", "width": 1.5}
    figure.add_scatter(
        x=ends, y=[1 / classes] * 2, mode="lines", line=line, name="equal", row=2, col=1
    )


def _set_alpha_axes(figure, counts, class_names):
    """The axes of the three views; they depend on the data alone and stay when alpha moves."""
    positions = np.arange(len(counts))
    names = name_classes(class_names if class_names is not None else positions, counts)
    sizes = [f"n={n}" for n in counts]
    highest = max(class_probabilities(counts, 1).max(), 1 / len(counts))
    figure.update_xaxes(zeroline=False, range=[0, 1], row=1, col=1)
    figure.update_yaxes(range=[0, DENSEST], row=1, col=1)
    figure.update_xaxes(tickvals=positions, ticktext=sizes, zeroline=False, row=1, col=2)
    figure.update_yaxes(rangemode="tozero", row=1, col=2)
    figure.update_xaxes(tickvals=positions, ticktext=names, zeroline=False, row=2, col=1)
    return figure.update_yaxes(range=[0, highest * 1.1], row=2, col=1)


def plot_class_shares(counts, q=1.0, alpha=0.2, class_names=None, drawn=None, highest=None):
    """Share of label mass per class: the data, the base stream with `q`, after Balanced-MixUp.

    counts (C,); drawn (C,) or None: shares seen in a simulated epoch, as crosses; highest: top of
    the axis
    """
    names = name_classes(class_names if class_names is not None else range(len(counts)), counts)
    positions = np.arange(len(counts))
    bars = _draw_share_bars(counts, q, alpha)
    traces = [*bars, _draw_equal(len(counts))]
    if drawn is not None:
        crosses = {"x": positions + 0.8 / len(bars), "y": drawn, "marker": CROSS}
        traces.append(go.Scatter(name="drawn in one epoch", mode="markers", **crosses))
    top = highest or max(bar.y.max() for bar in bars) * 1.1
    figure = make_figure(
        traces,
        title="Share of label mass per class",
        barmode="group",
        yaxis={"title": "share of label mass (0 to 1)", "range": [0, top]},
        xaxis={"tickvals": positions, "ticktext": names, "zeroline": False},
    )
    return stand_names(figure, names)


def _draw_share_bars(counts, q, alpha):
    """Three groups of bars: the data, the base stream, after mixing."""
    mixed = mixed_class_probabilities(counts, q, alpha)
    groups = {
        "data": (class_probabilities(counts, 1), GREY),
        f"base stream, q = {q:g}": (class_probabilities(counts, q), BLUE),
        f"after mixing, alpha = {alpha:g}": (mixed, VERMILLION),
    }
    bars = []
    for (name, (shares, colour)), pattern in zip(groups.items(), PATTERNS, strict=False):
        marker = {"color": colour, "pattern": {"shape": pattern}}
        bars.append(go.Bar(name=name, x=np.arange(len(counts)), y=shares, marker=marker))
    return bars


def _draw_equal(classes):
    """A line at the share that each class would have if all were equal."""
    return go.Scatter(
        name="all classes equal",
        x=[-0.5, classes - 0.5],
        y=[1 / classes] * 2,
        mode="lines",
        line={"color": GREEN, "dash": "dash", "width": 2},
    )
