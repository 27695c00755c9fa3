"""Figures of runs: learning curves, metrics of every seed, confusion matrices, recall against class size."""

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


def plot_history(history, monitor="balanced_accuracy"):
    """Learning curves of one run. history: the records that `train` yields, or their DataFrame; may be empty."""
    table = pd.DataFrame(history)
    columns = {"train_loss": "training loss (mixed labels)", "val_loss": "validation loss"}
    columns |= {f"val_{monitor}": f"validation {monitor.replace('_', ' ')}"}
    figure = make_panels(rows=1, cols=2, subplot_titles=("loss", monitor.replace("_", " ")))
    for j, (column, name) in enumerate(columns.items()):
        y = table.get(column, [])
        x = table["epoch"] if column in table else []
        line = {"color": COLOURS[j], "dash": DASHES[j], "width": 2}
        figure.add_scatter(
            x=x, y=y, name=name, mode="lines", line=line, row=1, col=1 if "loss" in column else 2
        )
    figure = dress(figure, height=340)
    figure.update_xaxes(title="epoch", rangemode="tozero")
    return figure.update_yaxes(rangemode="tozero", row=1, col=1)


def plot_metric_dots(summary, metric):
    """Every run as a dot, mean and 95 % interval above. summary: as `comparison.summarise` gives it."""
    figure = make_figure(
        title=f"{metric}: every run, mean and 95 % interval over runs",
        height=120 + 60 * len(summary),
    )
    runs = [column for column in summary if column not in ("runs", "mean", "low", "high")]
    for j, (name, row) in enumerate(summary.iterrows()):
        colour, symbol = COLOURS[j % 5], MARKERS[j % 5]
        dots = {"color": colour, "size": 9, "symbol": symbol}
        figure.add_scatter(
            x=row[runs], y=[j + 0.15] * len(runs), mode="markers", name=name, text=runs, marker=dots
        )
        reach = {
            "type": "data",
            "symmetric": False,
            "array": [row["high"] - row["mean"]],
            "color": colour,
        }
        reach["arrayminus"] = [row["mean"] - row["low"]]
        bar = {"color": colour, "size": 14, "symbol": "line-ns-open", "line": {"width": 3}}
        figure.add_scatter(
            x=[row["mean"]], y=[j - 0.15], mode="markers", name="mean", marker=bar, error_x=reach
        )
    names = [f"{name} (n={n})" for name, n in summary["runs"].items()]
    ticks = {"tickvals": list(range(len(names))), "ticktext": names, "zeroline": False}
    figure.update_yaxes(range=[len(names) - 0.5, -0.5], **ticks)
    return figure.update_layout(showlegend=False, xaxis={"title": metric}, margin={"l": 210})


def plot_confusions(matrices, class_names, *, normalise=False):
    """Confusion matrices side by side. matrices: {name: (C, C)}, rows true, columns predicted.

    normalise: each row as fractions of its class (the diagonal is recall) instead of counts
    """
    names = name_classes(class_names)
    titles = [as_text(name) if name else "" for name in matrices]
    figure = make_panels(
        cols=len(matrices), subplot_titles=titles, shared_yaxes=True, horizontal_spacing=0.05
    )
    for j, matrix in enumerate(matrices.values()):
        shown = _by_row(matrix) if normalise else np.asarray(matrix, dtype=float)
        text = _label_cells(shown, "{:.2f}" if normalise else "{:.0f}")
        top = 1.0 if normalise else float(max(np.max(m) for m in matrices.values()))
        heat = go.Heatmap(
            z=shown, x=names, y=names, text=text, colorscale="cividis", zmin=0, zmax=top
        )
        heat.update(texttemplate="%{text}")
        figure.add_trace(
            heat.update(showscale=j == len(matrices) - 1, hovertemplate=_HOVER), row=1, col=j + 1
        )
    what = "fraction of the true class" if normalise else "number of images"
    return _dress_matrices(figure, f"Confusion matrices: {what}", len(class_names))


def plot_confusion_pair(matrices, class_names, first, second, normalise=True):
    """Two of the matrices side by side, as `plot_confusions` draws them; the same one twice is shown once."""
    _require_names(matrices, first=first, second=second)
    return plot_confusions(
        {name: matrices[name] for name in (first, second)}, class_names, normalise=normalise
    )


def plot_confusion_difference(matrices, class_names, first, second):
    """Second matrix minus first, row-normalised: blue where the second has more, vermillion where it has fewer."""
    _require_names(matrices, first=first, second=second)
    difference = _by_row(matrices[second]) - _by_row(matrices[first])
    axis = name_classes(class_names)
    colours = [[0, COLOURS[1]], [0.5, "#FFFFFF"], [1, COLOURS[0]]]
    reach = max(0.01, np.nanmax(np.abs(difference)))
    text = _label_cells(difference, "{:+.2f}")
    heat = go.Heatmap(
        z=difference, x=axis, y=axis, text=text, texttemplate="%{text}", colorscale=colours
    )
    heat.update(hovertemplate=_HOVER)
    figure = make_figure([heat.update(zmin=-reach, zmax=reach)])
    title = f"{as_text(second)} minus {as_text(first)}: fraction of the true class"
    return _dress_matrices(figure, title, len(class_names))


def plot_recall_by_size(recalls, counts, class_names):
    """Recall of each class against its number of training images. recalls: {name: (runs, C) array}."""
    figure = make_figure(
        title="Recall against class size: mean over runs, bars from lowest to highest run",
        height=420,
    )
    for j, (name, values) in enumerate(recalls.items()):
        values = np.atleast_2d(np.asarray(values, dtype=float))
        mean, low, high = (_over_runs(reduce, values) for reduce in (np.mean, np.min, np.max))
        shift = 1.03 ** (
            j - (len(recalls) - 1) / 2
        )  # side by side, so that the bars do not cover each other
        error = {"type": "data", "symmetric": False, "array": high - mean, "arrayminus": mean - low}
        style = {"marker": {"symbol": MARKERS[j % 5], "size": 9, "color": COLOURS[j % 5]}}
        style |= {
            "line": {"color": COLOURS[j % 5], "dash": DASHES[j % 5], "width": 1.5},
            "mode": "lines+markers",
        }
        x = np.asarray(counts) * shift
        figure.add_scatter(
            x=x,
            y=mean,
            name=name,
            error_y=error | {"thickness": 1},
            text=name_classes(class_names),
            **style,
        )
    ticks = [digit * 10**power for power in range(7) for digit in (1, 2, 5)]
    figure.update_xaxes(
        title="training images of the class (log scale)", type="log", tickvals=ticks
    )
    return figure.update_layout(yaxis={"title": "recall on test", "range": [-0.02, 1.02]})


def plot_in_groups(tables, *, title, y):
    """Methods side by side in each group: every run a dot, the mean a bar.

    tables: {name: DataFrame, a row for each run and a column for each group}; y: what the axis says
    """
    room = 80 + 22 * -(-len(tables) // 3)  # for the legend
    figure = make_figure(title=title, height=320 + room, margin={"b": room})
    step, groups = 0.8 / len(tables), list(next(iter(tables.values())))
    for j, (name, table) in enumerate(tables.items()):
        places = np.arange(len(groups)) + step * (j - (len(tables) - 1) / 2)
        colour, symbol = COLOURS[j % 5], MARKERS[(j + j // 5) % 5]
        dots = {"mode": "markers", "marker": {"symbol": symbol, "size": 8, "color": colour}}
        figure.add_scatter(
            x=np.tile(places, len(table)), y=table.to_numpy().ravel(), name=as_text(name), **dots
        )
        bar = {"symbol": "line-ew-open", "size": 18, "color": colour, "line": {"width": 3}}
        mean = {
            "y": table.mean().to_numpy(),
            "name": f"{as_text(name)}, mean",
            "marker": bar,
            "mode": "markers",
        }
        figure.add_scatter(x=places, **mean, showlegend=False)
    texts = [as_text(group).replace(" (", "<br>(") for group in groups]
    figure.update_xaxes(
        tickvals=list(range(len(groups))),
        ticktext=texts,
        tickangle=0,
        showgrid=False,
        zeroline=False,
    )
    figure.update_xaxes(range=[-0.5, len(groups) - 0.5])
    return figure.update_layout(yaxis={"title": y, "zeroline": False}, showlegend=True)


_HOVER = "true %{y}<br>predicted %{x}<br>%{z}<extra></extra>"


def _require_names(found, **names):
    for argument, name in names.items():
        require_choice(argument, name, tuple(found))


def _over_runs(reduce, values):
    """A class's mean, minimum or maximum over the runs that have an image of it; NaN where none has."""
    return np.array(
        [
            reduce(column[~np.isnan(column)]) if not np.isnan(column).all() else np.nan
            for column in values.T
        ]
    )


def _by_row(matrix):
    matrix = np.asarray(matrix, dtype=float)
    totals = matrix.sum(axis=1, keepdims=True)
    return np.divide(matrix, totals, out=np.full_like(matrix, np.nan), where=totals > 0)


def _label_cells(matrix, form):
    """The numbers printed in the cells; cells that round to zero stay empty, so that the others are seen."""
    zeros = {form.format(0.0), form.format(-0.0)}
    return [
        ["" if form.format(value) in zeros else form.format(value) for value in row]
        for row in matrix
    ]


def _dress_matrices(figure, title, classes):
    figure.update_xaxes(title="predicted", type="category", showgrid=False)
    figure.update_yaxes(type="category", autorange="reversed", showgrid=False)
    figure.layout.yaxis.title = "true"
    return dress(
        figure, title=title, height=max(360, 190 + 32 * classes), margin={"l": 80, "t": 80}
    )
