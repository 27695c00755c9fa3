"""Can the probabilities be believed? Reliability diagrams, a method each."""

import numpy as np
import plotly.graph_objects as go

from bmix_lite.comparison.predictions import read_probabilities, tabulate_calibration
from bmix_lite.metrics import BINS, bin_confidence
from bmix_lite.plots.predictions import DIAGONAL, SMALL, mean_and_range
from bmix_lite.plots.theme import COLOURS, MARKERS, as_text, dress, make_panels

COLUMNS = 3  # diagrams in a line
LARGEST = 16  # pixels of the point that holds all predictions


def plot_reliability(predictions_by_method):
    """A reliability diagram for each method: accuracy against mean confidence in 15 equal bins (Guo et al., ICML 2017).

    Runs are pooled; a point is the larger, the more predictions its bin holds, and bins without any are absent. Above
    each diagram the ECE of `tabulate_calibration`: mean and range over the runs, and what chance alone would give.
    """
    table = tabulate_calibration(predictions_by_method)
    lines = -(-len(table) // COLUMNS)
    titles = []
    for name, row in table.iterrows():
        errors = row.drop(["mean", "by chance"]).dropna()
        chance = f"by chance {row['by chance']:.3f}"
        titles.append(f"{as_text(name)}<br>ECE {mean_and_range(errors)}<br>{chance}")
    space = {"horizontal_spacing": 0.06, "vertical_spacing": 0.45 / lines}
    figure = make_panels(
        lines, COLUMNS, subplot_titles=titles, shared_xaxes="all", shared_yaxes="all", **space
    )
    for j, predictions in enumerate(predictions_by_method.values()):
        bins, *values = bin_confidence(
            predictions["label"].to_numpy(), read_probabilities(predictions)
        )
        n = np.bincount(bins, minlength=BINS)
        x, y = (np.bincount(bins, value, minlength=BINS)[n > 0] / n[n > 0] for value in values)
        size = 4 + (LARGEST - 4) * np.sqrt(n[n > 0] / n.sum())
        style = {
            "marker": {"symbol": MARKERS[(j + j // 5) % 5], "size": size},
            "line": {"color": COLOURS[j % 5]},
        }
        hover = (
            "confidence %{x:.3f}<br>accuracy %{y:.3f}<br>predictions %{customdata}<extra></extra>"
        )
        points = go.Scatter(
            x=x, y=y, mode="lines+markers", customdata=n[n > 0], hovertemplate=hover, **style
        )
        row, col = j // COLUMNS + 1, j % COLUMNS + 1
        figure.add_traces(
            [go.Scatter(**DIAGONAL, hoverinfo="skip"), points], rows=[row] * 2, cols=[col] * 2
        )
        figure.update_xaxes(title="confidence", showticklabels=True, row=row, col=col)
    figure.update_annotations(**SMALL)
    for line in range(lines):
        figure.update_yaxes(title="accuracy", row=line + 1, col=1)
    figure.update_xaxes(range=[-0.03, 1.03], dtick=0.5)
    figure.update_yaxes(range=[-0.03, 1.03], dtick=0.5)
    for j in range(len(table), lines * COLUMNS):
        figure.update_xaxes(visible=False, row=lines, col=j % COLUMNS + 1)
        figure.update_yaxes(visible=False, row=lines, col=j % COLUMNS + 1)
    title = "Reliability, and the expected calibration error (ECE): mean and range over runs"
    return dress(figure, title=title, height=120 + 330 * lines, margin={"t": 120}, showlegend=False)
