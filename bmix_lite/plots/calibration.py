"""Can the probabilities be believed? Reliability diagrams, one per method."""

import numpy as np
import plotly.graph_objects as go

from bmix_lite.comparison.predictions import read_probabilities, tabulate_calibration
from bmix_lite.metrics import BINS, bin_confidence
from bmix_lite.plots.predictions import DIAGONAL, SMALL, mean_and_range
from bmix_lite.plots.theme import COLOURS, MARKERS, as_text, dress, make_panels

DIAGRAMS_IN_ROW = 3
SMALLEST = 4  # pixels of the point of an almost empty bin
LARGEST = 16  # pixels of the point that holds all predictions
HOVER = "confidence %{x:.3f}<br>accuracy %{y:.3f}<br>predictions %{customdata}<extra></extra>"


def plot_reliability(predictions_by_method):
    """A reliability diagram per method: accuracy against mean confidence in 15 equal bins.

    Runs are pooled; the more predictions a bin holds, the larger its point, and bins without any
    are absent. Above each diagram the ECE of `tabulate_calibration`: mean and range over the runs,
    and what chance alone would give. Source: Guo et al., ICML 2017.
    """
    table = tabulate_calibration(predictions_by_method)
    rows = -(-len(table) // DIAGRAMS_IN_ROW)
    figure = make_panels(
        rows,
        DIAGRAMS_IN_ROW,
        subplot_titles=[_describe_errors(name, row) for name, row in table.iterrows()],
        shared_xaxes="all",
        shared_yaxes="all",
        horizontal_spacing=0.06,
        vertical_spacing=0.45 / rows,
    )
    for j, predictions in enumerate(predictions_by_method.values()):
        _draw_diagram(figure, predictions, j)
    _set_axes(figure, rows, len(table))
    return dress(
        figure,
        title="Reliability, and the expected calibration error (ECE): mean and range over runs",
        height=120 + 330 * rows,
        margin={"t": 120},
        showlegend=False,
    )


def _describe_errors(name, row):
    """The text above a diagram; row: one of `tabulate_calibration`."""
    errors = row.drop(["mean", "by chance"]).dropna()
    chance = f"by chance {row['by chance']:.3f}"
    return f"{as_text(name)}<br>ECE {mean_and_range(errors)}<br>{chance}"


def _draw_diagram(figure, predictions, j):
    """The diagonal and the points of method number j."""
    confidence, accuracy, n = _average_bins(predictions)
    size = SMALLEST + (LARGEST - SMALLEST) * np.sqrt(n / n.sum())
    points = go.Scatter(
        x=confidence,
        y=accuracy,
        mode="lines+markers",
        customdata=n,
        hovertemplate=HOVER,
        marker={"symbol": MARKERS[(j + j // 5) % 5], "size": size},
        line={"color": COLOURS[j % 5]},
    )
    row = j // DIAGRAMS_IN_ROW + 1
    column = j % DIAGRAMS_IN_ROW + 1
    diagonal = go.Scatter(**DIAGONAL, hoverinfo="skip")
    figure.add_traces([diagonal, points], rows=[row] * 2, cols=[column] * 2)
    figure.update_xaxes(title="confidence", showticklabels=True, row=row, col=column)


def _average_bins(predictions):
    """Mean confidence, accuracy and number of predictions in each bin that is not empty."""
    labels = predictions["label"].to_numpy()
    bins, confidence, right = bin_confidence(labels, read_probabilities(predictions))
    n = np.bincount(bins, minlength=BINS)
    filled = n > 0
    mean_confidence = np.bincount(bins, confidence, minlength=BINS)[filled] / n[filled]
    accuracy = np.bincount(bins, right, minlength=BINS)[filled] / n[filled]
    return mean_confidence, accuracy, n[filled]


def _set_axes(figure, rows, diagrams):
    """All axes from 0 to 1; those of panels without a diagram are hidden."""
    figure.update_annotations(**SMALL)
    for row in range(1, rows + 1):
        figure.update_yaxes(title="accuracy", row=row, col=1)
    figure.update_xaxes(range=[-0.03, 1.03], dtick=0.5)
    figure.update_yaxes(range=[-0.03, 1.03], dtick=0.5)
    for j in range(diagrams, rows * DIAGRAMS_IN_ROW):
        empty = {"row": rows, "col": j % DIAGRAMS_IN_ROW + 1}
        figure.update_xaxes(visible=False, **empty)
        figure.update_yaxes(visible=False, **empty)
