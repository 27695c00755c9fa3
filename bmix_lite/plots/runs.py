"""Figures of runs: learning curves, metrics per run, confusion matrices, recall by class size."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from bmix_lite.base.errors import require_choice
from bmix_lite.plots.theme import (
    COLOURS,
    DASHES,
    MARKERS,
    as_text,
    dress,
    make_figure,
    make_panels,
    name_classes,
)

SUMMARY = ("runs", "mean", "low", "high", "covers")  # columns that are no run
HOVER = "true %{y}<br>predicted %{x}<br>%{z}<extra></extra>"  # over a cell of a matrix


def plot_history(history, monitor="balanced_accuracy"):
    """Learning curves of one run.

    history: the records that `train` yields, or their DataFrame; may be empty
    """
    table = pd.DataFrame(history)
    metric = monitor.replace("_", " ")
    curves = {
        "train_loss": ("training loss (mixed labels)", 1),
        "val_loss": ("validation loss", 1),
        f"val_{monitor}": (f"validation {metric}", 2),
    }
    figure = make_panels(rows=1, cols=2, subplot_titles=("loss", metric))
    for j, (column, (name, panel)) in enumerate(curves.items()):
        known = column in table
        figure.add_scatter(
            x=table["epoch"] if known else [],
            y=table[column] if known else [],
            name=name,
            mode="lines",
            line={"color": COLOURS[j], "dash": DASHES[j], "width": 2},
            row=1,
            col=panel,
        )
    dress(figure, height=340)
    figure.update_xaxes(title="epoch", rangemode="tozero")
    return figure.update_yaxes(rangemode="tozero", row=1, col=1)


def plot_metric_dots(summary, metric):
    """Every run as a dot, mean and 95 % interval above. summary: as of `comparison.summarise`."""
    figure = make_figure(
        title=f"{metric}: every run, mean, 95 % interval ({'; '.join(summary['covers'].unique())})",
        height=120 + 60 * len(summary),
    )
    runs = [column for column in summary if column not in SUMMARY]
    for j, (name, row) in enumerate(summary.iterrows()):
        figure.add_scatter(
            x=row[runs],
            y=[j + 0.15] * len(runs),
            mode="markers",
            name=name,
            text=runs,
            marker={"color": COLOURS[j % 5], "size": 9, "symbol": MARKERS[j % 5]},
        )
        _draw_interval(figure, row, j)
    names = [f"{name} (n={n})" for name, n in summary["runs"].items()]
    ticks = {"tickvals": list(range(len(names))), "ticktext": names, "zeroline": False}
    figure.update_yaxes(range=[len(names) - 0.5, -0.5], **ticks)
    return figure.update_layout(showlegend=False, xaxis={"title": metric}, margin={"l": 210})


def _draw_interval(figure, row, j):
    """Mean and interval of method number j, above its dots."""
    colour = COLOURS[j % 5]
    interval = {
        "type": "data",
        "symmetric": False,
        "array": [row["high"] - row["mean"]],
        "arrayminus": [row["mean"] - row["low"]],
        "color": colour,
    }
    bar = {"color": colour, "size": 14, "symbol": "line-ns-open", "line": {"width": 3}}
    figure.add_scatter(
        x=[row["mean"]], y=[j - 0.15], mode="markers", name="mean", marker=bar, error_x=interval
    )


def plot_confusions(matrices, class_names, *, normalise=False):
    """Confusion matrices side by side. matrices: {name: (C, C)}, rows true, columns predicted.

    normalise: each row as fractions of its class (the diagonal is recall) instead of counts
    """
    names = name_classes(class_names)
    figure = make_panels(
        cols=len(matrices),
        subplot_titles=[as_text(name) if name else "" for name in matrices],
        shared_yaxes=True,
        horizontal_spacing=0.05,
    )
    top = 1.0 if normalise else float(max(np.max(matrix) for matrix in matrices.values()))
    for column, matrix in enumerate(matrices.values(), start=1):
        cells = _divide_rows(matrix) if normalise else np.asarray(matrix, dtype=float)
        heat = _draw_cells(cells, names, "{:.2f}" if normalise else "{:.0f}")
        heat.update(colorscale="cividis", zmin=0, zmax=top, showscale=column == len(matrices))
        figure.add_trace(heat, row=1, col=column)
    unit = "fraction of the true class" if normalise else "number of images"
    return _dress_matrices(figure, f"Confusion matrices: {unit}", len(class_names))


def plot_confusion_pair(matrices, class_names, first, second, normalise=True):
    """Two of the matrices side by side, as of `plot_confusions`; the same one twice shows once."""
    require_choice("first", first, tuple(matrices))
    require_choice("second", second, tuple(matrices))
    pair = {name: matrices[name] for name in (first, second)}
    return plot_confusions(pair, class_names, normalise=normalise)


def plot_confusion_difference(matrices, class_names, first, second):
    """Second matrix minus first, both as fractions of the true class.

    Blue where the second has more, vermillion where it has fewer.
    """
    require_choice("first", first, tuple(matrices))
    require_choice("second", second, tuple(matrices))
    difference = _divide_rows(matrices[second]) - _divide_rows(matrices[first])
    reach = max(0.01, np.nanmax(np.abs(difference)))
    heat = _draw_cells(difference, name_classes(class_names), "{:+.2f}")
    colours = [[0, COLOURS[1]], [0.5, "#FFFFFF"], [1, COLOURS[0]]]
    heat.update(colorscale=colours, zmin=-reach, zmax=reach)
    title = f"{as_text(second)} minus {as_text(first)}: fraction of the true class"
    return _dress_matrices(make_figure([heat]), title, len(class_names))


def _divide_rows(matrix):
    """Each row divided by its sum; NaN where that is 0."""
    matrix = np.asarray(matrix, dtype=float)
    totals = matrix.sum(axis=1, keepdims=True)
    return np.divide(matrix, totals, out=np.full_like(matrix, np.nan), where=totals > 0)


def _draw_cells(cells, names, form):
    """A heat map that prints each number, except those that round to 0: the others stand out."""
    zeros = {form.format(0.0), form.format(-0.0)}
    numbers = [[form.format(value) for value in row] for row in cells]
    text = [["" if number in zeros else number for number in row] for row in numbers]
    return go.Heatmap(
        z=cells, x=names, y=names, text=text, texttemplate="%{text}", hovertemplate=HOVER
    )


def _dress_matrices(figure, title, classes):
    figure.update_xaxes(title="predicted", type="category", showgrid=False)
    figure.update_yaxes(type="category", autorange="reversed", showgrid=False)
    figure.layout.yaxis.title = "true"
    height = max(360, 190 + 32 * classes)
    return dress(figure, title=title, height=height, margin={"l": 80, "t": 80})


def plot_recall_by_size(recalls, counts, class_names):
    """Recall of each class against its number of training images.

    recalls: {name: (runs, C) array}; counts (C,)
    """
    figure = make_figure(
        title="Recall against class size: mean over runs, bars from lowest to highest run",
        height=420,
    )
    names = name_classes(class_names)
    for j, (name, recall) in enumerate(recalls.items()):
        # side by side, so that the bars do not cover each other
        shift = 1.03 ** (j - (len(recalls) - 1) / 2)
        _draw_recall(figure, name, recall, np.asarray(counts) * shift, names, j)
    figure.update_xaxes(
        title="training images of the class (log scale)",
        type="log",
        tickvals=[digit * 10**power for power in range(7) for digit in (1, 2, 5)],
    )
    return figure.update_layout(yaxis={"title": "recall on test", "range": [-0.02, 1.02]})


def _draw_recall(figure, name, recall, x, class_names, j):
    """Mean over runs and reach from lowest to highest run, of method number j."""
    recall = np.atleast_2d(np.asarray(recall, dtype=float))
    mean, low, high = (_over_runs(reduce, recall) for reduce in (np.mean, np.min, np.max))
    figure.add_scatter(
        x=x,
        y=mean,
        name=name,
        error_y={
            "type": "data",
            "symmetric": False,
            "array": high - mean,
            "arrayminus": mean - low,
            "thickness": 1,
        },
        text=class_names,
        marker={"symbol": MARKERS[j % 5], "size": 9, "color": COLOURS[j % 5]},
        line={"color": COLOURS[j % 5], "dash": DASHES[j % 5], "width": 1.5},
        mode="lines+markers",
    )


def _over_runs(reduce, values):
    """Each class's mean, minimum or maximum over the runs that have an image of it, else NaN."""
    known = [column[~np.isnan(column)] for column in values.T]
    return np.array([reduce(column) if len(column) else np.nan for column in known])


def plot_in_groups(tables, *, title, y):
    """Methods side by side in each group: every run a dot, the mean a bar.

    tables: {name: DataFrame, a row for each run and a column for each group}; y: the axis title
    """
    legend_room = 80 + 22 * -(-len(tables) // 3)
    figure = make_figure(title=title, height=320 + legend_room, margin={"b": legend_room})
    groups = list(next(iter(tables.values())))
    step = 0.8 / len(tables)
    for j, (name, table) in enumerate(tables.items()):
        positions = np.arange(len(groups)) + step * (j - (len(tables) - 1) / 2)
        _draw_groups(figure, as_text(name), table, positions, j)
    figure.update_xaxes(
        tickvals=list(range(len(groups))),
        ticktext=[as_text(group).replace(" (", "<br>(") for group in groups],
        tickangle=0,
        showgrid=False,
        zeroline=False,
        range=[-0.5, len(groups) - 0.5],
    )
    return figure.update_layout(yaxis={"title": y, "zeroline": False}, showlegend=True)


def _draw_groups(figure, name, table, positions, j):
    """Dots and means of method number j."""
    colour = COLOURS[j % 5]
    dots = {"symbol": MARKERS[(j + j // 5) % 5], "size": 8, "color": colour}
    bar = {"symbol": "line-ew-open", "size": 18, "color": colour, "line": {"width": 3}}
    x = np.tile(positions, len(table))
    y = table.to_numpy().ravel()
    figure.add_scatter(x=x, y=y, name=name, mode="markers", marker=dots)
    figure.add_scatter(
        x=positions,
        y=table.mean().to_numpy(),
        name=f"{name}, mean",
        marker=bar,
        mode="markers",
        showlegend=False,
    )
