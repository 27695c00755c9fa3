"""What lies behind a confusion matrix: the images of a cell, and curves without a threshold."""

import numpy as np
import plotly.graph_objects as go
from sklearn.metrics import auc, roc_curve

from bmix_lite.base.errors import require_choice, require_integer
from bmix_lite.comparison.predictions import read_probabilities, require_methods, split_runs
from bmix_lite.metrics import confusion_matrix
from bmix_lite.plots.theme import (
    COLOURS,
    DASHES,
    GREY,
    VERMILLION,
    as_text,
    clip,
    make_figure,
    name_classes,
)
from bmix_lite.plots.tiles import draw_tiles, measure_tiles, place_captions

SMALL = {"font": {"size": 13}}  # of subtitles
DIAGONAL = {
    "x": [0, 1],
    "y": [0, 1],
    "mode": "lines",
    "line": {"color": GREY, "dash": "dash", "width": 1.5},
}
RATES = np.linspace(0, 1, 201)  # false positive rates at which ROC curves are averaged
CELL_HOVER = (
    "true %{y}<br>predicted %{x}<br>%{z} predictions<br>"
    "mean probability of the predicted class: %{customdata}<extra></extra>"
)


def plot_cell_matrix(predictions_by_method, class_names, true, predicted, name=""):
    """Confusion matrix of one method's predictions, summed over its runs, one cell outlined.

    predictions_by_method: as `collect_predictions` gives them; name: one of them
    true, predicted: class numbers, as on both axes (0..C-1)
    """
    require_choice("name", name, tuple(predictions_by_method))
    classes = len(class_names)
    true, predicted = _require_classes(classes, true=true, predicted=predicted)
    axis = {
        "tickvals": list(range(classes)),
        "ticktext": name_classes(class_names),
        "zeroline": False,
        "showgrid": False,
    }
    return make_figure(
        [_draw_counts(predictions_by_method[name], classes)],
        title=f"{as_text(name) if name else 'Confusion matrix'}: predictions of all its runs",
        height=max(360, 190 + 32 * classes),
        margin={"l": 80, "b": 70},
        xaxis=axis | {"title": "predicted", "range": [-0.55, classes - 0.45]},
        yaxis=axis | {"title": "true", "range": [classes - 0.45, -0.55]},
        shapes=_outline_cell(true, predicted),
    )


def _draw_counts(predictions, classes):
    """A heat map of counts; mean probabilities of the predicted class when hovered over."""
    labels = predictions["label"].to_numpy()
    predicted = predictions["predicted"].to_numpy()
    counts = confusion_matrix(labels, predicted, classes)
    sums = np.zeros((classes, classes))
    np.add.at(sums, (labels, predicted), read_probabilities(predictions).max(axis=1))
    means = np.char.mod("%.2f", sums / np.maximum(counts, 1))
    return go.Heatmap(
        z=counts,
        x0=0,
        y0=0,
        text=np.where(counts > 0, counts.astype(str), ""),
        customdata=np.where(counts > 0, means, "none"),
        colorscale="cividis",
        zmin=0,
        texttemplate="%{text}",
        hovertemplate=CELL_HOVER,
    )


def _outline_cell(true, predicted):
    """A box in white and, over it, in colour, so that it is seen on every colour."""
    box = {
        "type": "rect",
        "x0": predicted - 0.5,
        "x1": predicted + 0.5,
        "y0": true - 0.5,
        "y1": true + 0.5,
    }
    lines = [{"color": "white", "width": 7}, {"color": VERMILLION, "width": 4}]
    return [box | {"line": line} for line in lines]


def plot_cell(predictions_by_method, data, true, predicted, name="", limit=12):
    """The images of class `true` that were predicted as class `predicted`, most confident first.

    predictions_by_method: as `collect_predictions` gives them; name: one of them; data: their
    ImageSet; limit: how many are shown. An image stands once, with means over the runs that put it
    there. Large images lose detail where they do not compress.
    """
    require_choice("name", name, tuple(predictions_by_method))
    classes = len(data.class_names)
    true, predicted = _require_classes(classes, true=true, predicted=predicted)
    require_integer("limit", limit, 1)
    predictions = predictions_by_method[name]
    inside = predictions[(predictions["label"] == true) & (predictions["predicted"] == predicted)]
    runs = predictions["seed"].nunique()
    images = _average_images(inside, true, predicted)
    shown = images[:limit]
    summary = _summarise_cell(images, inside, runs, limit)
    subtitle = f"{as_text(name)}: {summary}" if name else summary
    names = name_classes([clip(text, 27) for text in data.class_names])
    width, height = measure_tiles(limit)
    return make_figure(
        [
            go.Image(source=draw_tiles(data.pictures[shown.index.to_numpy()])),
            _draw_captions(_caption_images(shown, inside, runs, true, predicted)),
        ],
        title=f"True {names[true]}, predicted {names[predicted]}",
        title_subtitle={"text": subtitle} | SMALL,
        height=height + 90,
        margin={"l": 15, "r": 15, "t": 80, "b": 10},
        showlegend=False,
        hovermode=False,
        **_place_cell(width, height, empty=images.empty),
    )


def _average_images(inside, true, predicted):
    """A row for each image of a cell: mean probabilities of both classes, most confident first."""
    columns = list(dict.fromkeys([f"p_{predicted}", f"p_{true}"]))
    means = inside.groupby("index")[columns].mean()
    return means.sort_values(f"p_{predicted}", ascending=False, kind="stable")


def _summarise_cell(images, inside, runs, limit):
    summary = f"images {len(images)}"
    if runs > 1:
        summary += f", predictions {len(inside)} in {runs} runs"
    if len(images) > limit:
        summary += f", the {limit} most confident shown"
    return summary


def _caption_images(images, inside, runs, true, predicted):
    """The text below each image; images: as of `_average_images`."""
    times = inside["index"].value_counts()
    captions = []
    for row, means in images.iterrows():
        lines = [f"predicted {means[f'p_{predicted}']:.2f}"]
        if true != predicted:
            lines.append(f"true {means[f'p_{true}']:.2f}")
        lines.append(f"row {row}")
        if runs > 1:
            lines.append(f"{times[row]} of {runs} runs")
        captions.append("<br>".join(lines))
    return captions


def _draw_captions(captions):
    x, y = place_captions(len(captions))
    style = {"textposition": "bottom center", "textfont": {"size": 11}}
    return go.Scatter(x=x, y=y, text=captions, mode="text", **style)


def _place_cell(width, height, empty):
    """Axes in pixels, and a note where there is no image."""
    axis = {"visible": False, "constrain": "domain"}
    layout = {
        "xaxis": axis | {"range": [0, width], "constraintoward": "left"},
        "yaxis": axis | {"range": [height, 0], "constraintoward": "top", "scaleanchor": "x"},
    }
    if empty:
        note = {"text": "There is no such image.", "xanchor": "left", "showarrow": False}
        layout["annotations"] = [note | {"x": 0, "y": 20}]
    return layout


def plot_roc(predictions_by_method, class_names, which):
    """ROC curve of class number `which` against the rest: per method the mean over its runs.

    The mean is taken at fixed false positive rates. Runs are not pooled: scores of different
    networks are not on one scale. Legend: mean AUC and its range over runs.
    """
    require_methods(predictions_by_method)
    (which,) = _require_classes(len(class_names), which=which)
    curves = [
        _draw_mean_curve(name, predictions, which, j)
        for j, (name, predictions) in enumerate(predictions_by_method.items())
    ]
    figure = make_figure(
        [go.Scatter(name="chance: 0.500", **DIAGONAL), *curves],
        title=f"ROC curves of {name_classes(class_names)[which]} against the rest",
        title_subtitle={"text": "below: AUC, mean and range over runs"} | SMALL,
        height=540,
        margin={"t": 80, "b": 150},
        showlegend=True,
    )
    false_positives = "false positive rate: share of the other images taken for it"
    figure.update_xaxes(title=false_positives, range=[-0.01, 1.01])
    figure.update_yaxes(title="true positive rate: share found", range=[-0.01, 1.01])
    if not np.isfinite([curve.y[-1] for curve in curves]).any():
        note = "No curve: the split has no image of this class, or no other."
        figure.add_annotation(x=0.5, y=0.5, text=note, showarrow=False, bgcolor="white")
    return figure


def _draw_mean_curve(name, predictions, which, j):
    """The mean curve of method number j; NaN where no run has both this class and another."""
    curves = []
    for labels, scores in split_runs(predictions):
        positive = labels == which
        if 0 < positive.sum() < len(positive):
            false_positives, true_positives, _ = roc_curve(positive, scores[:, which])
            curves.append((false_positives, true_positives))
    mean = np.full_like(RATES, np.nan)
    if curves:
        mean = np.mean([np.interp(RATES, *curve) for curve in curves], axis=0)
    return go.Scatter(
        x=np.append(0, RATES),
        y=np.append(0, mean),
        line={"color": COLOURS[j % 5], "dash": DASHES[(j + j // 5) % 5], "width": 2},
        mode="lines",
        name=f"{as_text(name)}: {mean_and_range([auc(*curve) for curve in curves])}",
    )


def mean_and_range(values):
    """A number of every run in words: "0.875 (0.750 to 1.000)"."""
    if not len(values):
        return "not defined"
    mean = f"{np.mean(values):.3f}"
    return f"{mean} ({min(values):.3f} to {max(values):.3f})" if len(values) > 1 else mean


def _require_classes(classes, **numbers):
    """The class numbers as integers: a click or a slider may give 3.0."""
    for name, number in numbers.items():
        require_choice(name, number, range(classes))
    return [int(number) for number in numbers.values()]
