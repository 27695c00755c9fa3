"""Figures of lesson 1: how imbalanced data are, and what that does to accuracy."""

import math

import plotly.graph_objects as go

from bmix_lite.distribution import imbalance_ratio, lorenz_curve
from bmix_lite.metrics import score_matrix
from bmix_lite.plots.theme import (
    BLUE,
    COLOURS,
    DASHES,
    GREY,
    MARKERS,
    as_text,
    make_figure,
    name_classes,
)

# {metric: its name in the figure}
SHOWN = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro F1",
    "mcc": "MCC",
    "kappa": "kappa (quadratic)",
}


def plot_class_counts(counts, class_names, title=""):
    """Images per class as bars on a log scale, the number beside each.

    counts (C,), the commonest first
    """
    rows = list(range(len(counts)))
    bars = go.Bar(
        x=list(counts),
        y=rows,
        orientation="h",
        marker={"color": BLUE},
        text=[f"{n:,}" for n in counts],
        textposition="outside",
        cliponaxis=False,
        hoverinfo="skip",
    )
    return make_figure(
        [bars],
        title=f"{as_text(title)}<br>imbalance ratio {imbalance_ratio(counts):,.1f} : 1",
        height=130 + 26 * max(5, len(counts)),
        showlegend=False,
        margin={"l": 10, "r": 60, "t": 70},
        xaxis={
            "title": "images (log scale)",
            "type": "log",
            "dtick": 1,
            "range": [0, math.log10(max(counts)) * 1.08 + 0.1],
        },
        yaxis={
            "tickvals": rows,
            "ticktext": name_classes(class_names),
            "autorange": "reversed",
            "automargin": True,
            "ticksuffix": " ",
        },
    )


def plot_lorenz(counts_by_name):
    """Share of the images against share of the classes, the rarest first.

    The diagonal is perfect balance.
    """
    line = {"color": GREY, "dash": "dash"}
    balanced = go.Scatter(x=[0, 1], y=[0, 1], mode="lines", name="balanced", line=line)
    figure = make_figure(
        [balanced], title="Share of the images that the rarest classes hold", height=440
    )
    for j, (name, counts) in enumerate(counts_by_name.items()):
        x, y = lorenz_curve(counts)
        figure.add_scatter(
            x=x,
            y=y,
            mode="lines+markers",
            name=as_text(name),
            line={"color": COLOURS[j % 5], "dash": DASHES[j % 5], "width": 2},
            marker={"symbol": MARKERS[j % 5], "size": 7},
        )
    figure.update_xaxes(title="share of the classes, rarest first", range=[0, 1.02])
    return figure.update_yaxes(title="share of the images", range=[0, 1.02])


def two_class_matrix(imbalance_ratio, recall_common, recall_rare):
    """Confusion matrix (2, 2) of a classifier on `imbalance_ratio` common images per rare one."""
    common = [imbalance_ratio * recall_common, imbalance_ratio * (1 - recall_common)]
    return [common, [1 - recall_rare, recall_rare]]


def plot_accuracy_trap(imbalance_ratio, recall_common, recall_rare):
    """One imagined classifier: where 1,000 images go, and what each metric says about it."""
    matrix = two_class_matrix(imbalance_ratio, recall_common, recall_rare)
    return make_figure(
        [_draw_thousand(matrix, imbalance_ratio + 1), _draw_metrics(score_matrix(matrix))],
        title="1,000 images, and what the metrics say",
        height=340,
        showlegend=False,
        xaxis={"domain": [0, 0.28], "title": "predicted"},
        yaxis={"title": "true", "autorange": "reversed"},
        xaxis2={
            "domain": [0.5, 1],
            "anchor": "y2",
            "range": [-0.35, 1.25],
            "title": "0 is guessing for MCC and kappa",
        },
        yaxis2={"anchor": "x2", "autorange": "reversed"},
    )


def _draw_thousand(matrix, total):
    """The matrix as a heat map of 1,000 images."""
    names = ["common", "rare"]
    counts = [[1000 * cell / total for cell in row] for row in matrix]
    return go.Heatmap(
        z=counts,
        x=names,
        y=names,
        text=[[f"{n:.0f}" for n in row] for row in counts],
        texttemplate="%{text}",
        colorscale="cividis",
        zmin=0,
        zmax=1000,
        showscale=False,
    )


def _draw_metrics(scores):
    """A bar per metric; accuracy, which hides the rare class, is grey."""
    values = [scores[name] for name in SHOWN]
    colours = [GREY if name == "accuracy" else BLUE for name in SHOWN]
    shapes = ["" if name == "accuracy" else "/" for name in SHOWN]
    return go.Bar(
        y=list(SHOWN.values()),
        x=values,
        xaxis="x2",
        yaxis="y2",
        orientation="h",
        text=["undefined" if math.isnan(value) else f"{value:.3f}" for value in values],
        textposition="outside",
        # the text's colour is named, for plotly finds none where each bar has its own
        outsidetextfont={"color": "#222222"},
        marker={"color": colours, "pattern": {"shape": shapes}},
    )
