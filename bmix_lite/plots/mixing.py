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
    draws, weight = int(np.sum(counts)), mean_lam(alpha)
    return {
        "mean": weight,
        "median": median_lam(alpha),
        "density": lam_density(GRID, alpha) if alpha > 0 else np.zeros_like(GRID),
        "base": (1 - weight) * expected_draws(counts, q, draws),
        "balanced": weight * expected_draws(counts, 0, draws),
        "shares": mixed_class_probabilities(counts, q, alpha),
    }


def plot_alpha_views(counts, alpha, q=1.0, class_names=None, drawn=None):
    """Three views of one alpha: the density of lam, the weight of one image in an epoch, the class shares.

    counts (C,); drawn (C,) or None: label mass of simulated epochs, as crosses in the third view
    """
    places = np.arange(len(counts))
    titles = (
        "weight lam of the balanced batch",
        "weight of one image in an epoch",
        "share of label mass per class",
    )
    specs = [[{}, {}], [{"colspan": 2}, None]]
    figure = make_panels(
        2, 2, specs=specs, subplot_titles=titles, vertical_spacing=0.17, horizontal_spacing=0.1
    )
    view = compute_alpha_view(counts, alpha, q)
    curve = go.Scatter(
        x=GRID, y=view["density"], mode="lines", line={"color": BLUE, "width": 3}, fill="tozeroy"
    )
    figure.add_trace(
        curve.update(fillcolor="rgba(0, 114, 178, 0.15)", showlegend=False, name="density"), 1, 1
    )
    marks = {
        "mean": (view["mean"], VERMILLION, "dash", 0.9),
        "median": (view["median"], GREEN, "dot", 0.65),
    }
    for name, (value, colour, dash, height) in marks.items():
        line = {"color": colour, "dash": dash, "width": 3}
        figure.add_scatter(
            x=[value] * 2, y=[0, DENSEST], mode="lines", line=line, name=name, showlegend=False
        )
        words = f"{name} {value:.3f}" if value >= 0.001 or value == 0 else f"{name} {value:.1e}"
        label = {
            "text": f" {words}",
            "showarrow": False,
            "font": {"color": BLACK},
            "bgcolor": "white",
        }
        figure.add_annotation(x=value, y=DENSEST * height, xanchor="left", **label, row=1, col=1)
    parts = {
        "base stream": (view["base"], BLUE, ""),
        "balanced stream": (view["balanced"], VERMILLION, "/"),
    }
    for name, (values, colour, pattern) in parts.items():
        marker = {"color": colour, "pattern": {"shape": pattern}}
        figure.add_bar(
            x=places, y=values, marker=marker, name=name, offsetgroup="weight", row=1, col=2
        )
    shares = {
        "the data": (class_probabilities(counts, 1), GREY, ""),
        "after mixing": (view["shares"], GREEN, "x"),
    }
    for name, (values, colour, pattern) in shares.items():
        marker = {"color": colour, "pattern": {"shape": pattern}}
        figure.add_bar(x=places, y=values, marker=marker, name=name, offsetgroup=name, row=2, col=1)
    found = [None] * len(places) if drawn is None else drawn
    figure.add_scatter(
        x=places + 0.2, y=found, mode="markers", marker=CROSS, name="drawn", row=2, col=1
    )
    line = {"color": BLACK, "dash": "dash", "width": 1.5}
    ends = [-0.5, len(places) - 0.5]
    figure.add_scatter(
        x=ends, y=[1 / len(places)] * 2, mode="lines", line=line, name="equal", row=2, col=1
    )
    dress(
        figure,
        title=f"alpha = {alpha:g}",
        height=600,
        barmode="stack",
        uirevision="alpha",
        legend_traceorder="normal",
    )
    figure.update_xaxes(zeroline=False, range=[0, 1], row=1, col=1)
    figure.update_yaxes(range=[0, DENSEST], row=1, col=1)
    names = class_names if class_names is not None else places
    figure.update_xaxes(
        tickvals=places, ticktext=[f"n={n}" for n in counts], zeroline=False, row=1, col=2
    )
    figure.update_yaxes(rangemode="tozero", row=1, col=2)
    figure.update_xaxes(
        tickvals=places, ticktext=name_classes(names, counts), zeroline=False, row=2, col=1
    )
    top = max(class_probabilities(counts, 1).max(), 1 / len(places)) * 1.1
    return figure.update_yaxes(range=[0, top], row=2, col=1)


def plot_class_shares(counts, q=1.0, alpha=0.2, class_names=None, drawn=None, highest=None):
    """Share of label mass per class: the data, the base stream with `q`, and after Balanced-MixUp.

    counts (C,); drawn (C,) or None: shares seen in a simulated epoch, as crosses; highest: top of the axis
    """
    names = name_classes(class_names if class_names is not None else range(len(counts)), counts)
    shares = {
        "data": (class_probabilities(counts, 1), GREY),
        f"base stream, q = {q:g}": (class_probabilities(counts, q), BLUE),
        f"after mixing, alpha = {alpha:g}": (
            mixed_class_probabilities(counts, q, alpha),
            VERMILLION,
        ),
    }
    places = np.arange(len(counts))
    width = 0.8 / len(shares)
    traces = [
        go.Bar(
            name=name, x=places, y=share, marker={"color": colour, "pattern": {"shape": pattern}}
        )
        for (name, (share, colour)), pattern in zip(shares.items(), PATTERNS, strict=False)
    ]
    even = {"name": "all classes equal", "x": [-0.5, len(counts) - 0.5], "y": [1 / len(counts)] * 2}
    traces.append(
        go.Scatter(**even, mode="lines", line={"color": GREEN, "dash": "dash", "width": 2})
    )
    if drawn is not None:
        over = go.Scatter(
            name="drawn in one epoch", x=places + width, y=drawn, mode="markers", marker=CROSS
        )
        traces.append(over)
    top = highest or max(share.max() for share, _ in shares.values()) * 1.1
    figure = make_figure(
        traces,
        title="Share of label mass per class",
        barmode="group",
        yaxis={"title": "share of label mass (0 to 1)", "range": [0, top]},
        xaxis={"tickvals": places, "ticktext": names, "zeroline": False},
    )
    return stand_names(figure, names)
