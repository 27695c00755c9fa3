"""What lies behind a confusion matrix: the images of a cell, and curves without a threshold."""

import numpy as np
import plotly.graph_objects as go
from sklearn.metrics import auc, roc_curve

from bmix_lite.base.errors import require_choice, require_integer
from bmix_lite.comparison.predictions import read_probabilities, require_methods, split_runs
from bmix_lite.data.imageset import to_data_uri, to_picture
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

TILE, GAP, CAPTION, COLUMNS = (
    96,
    6,
    72,
    6,
)  # pixels of an image, between images, of the text below; images in a line
MOST_BYTES = 16_000  # of a cell's picture, as text: a page holds one for every cell
SMALL = {"font": {"size": 13}}  # of subtitles
DIAGONAL = {
    "x": [0, 1],
    "y": [0, 1],
    "mode": "lines",
    "line": {"color": GREY, "dash": "dash", "width": 1.5},
}
RATES = np.linspace(0, 1, 201)  # false positive rates at which ROC curves are averaged


def plot_cell_matrix(predictions_by_method, class_names, true, predicted, name=""):
    """Confusion matrix of one method's predictions, summed over its runs, with one cell outlined.

    predictions_by_method: as `collect_predictions` gives them; name: one of them
    true, predicted: class numbers, as on both axes (0..C-1)
    """
    require_choice("name", name, tuple(predictions_by_method))
    predictions = predictions_by_method[name]
    classes, names = len(class_names), name_classes(class_names)
    true, predicted = _require_classes(classes, true=true, predicted=predicted)
    cells = predictions["label"].to_numpy(), predictions["predicted"].to_numpy()
    counts, sums = confusion_matrix(*cells, classes), np.zeros((classes, classes))
    np.add.at(sums, cells, read_probabilities(predictions).max(axis=1))
    means = np.where(counts > 0, np.char.mod("%.2f", sums / np.maximum(counts, 1)), "none")
    hover = "true %{y}<br>predicted %{x}<br>%{z} predictions<br>mean probability of the predicted class: %{customdata}"
    style = {
        "colorscale": "cividis",
        "zmin": 0,
        "texttemplate": "%{text}",
        "hovertemplate": hover + "<extra></extra>",
    }
    words = {"text": np.where(counts > 0, counts.astype(str), ""), "customdata": means}
    heat = go.Heatmap(z=counts, x0=0, y0=0, **words, **style)
    box = {
        "type": "rect",
        "x0": predicted - 0.5,
        "x1": predicted + 0.5,
        "y0": true - 0.5,
        "y1": true + 0.5,
    }
    lines = {"color": "white", "width": 7}, {"color": VERMILLION, "width": 4}
    title = f"{as_text(name) if name else 'Confusion matrix'}: predictions of all its runs"
    axis = {
        "tickvals": list(range(classes)),
        "ticktext": names,
        "zeroline": False,
        "showgrid": False,
    }
    x, y = (
        {"title": "predicted", "range": [-0.55, classes - 0.45]},
        {"title": "true", "range": [classes - 0.45, -0.55]},
    )
    places = {
        "xaxis": axis | x,
        "yaxis": axis | y,
        "shapes": [box | {"line": line} for line in lines],
    }
    return make_figure(
        [heat],
        title=title,
        height=max(360, 190 + 32 * classes),
        margin={"l": 80, "b": 70},
        **places,
    )


def plot_cell(predictions_by_method, data, true, predicted, name="", limit=12):
    """The images of class `true` that were predicted as class `predicted`, most confident first.

    predictions_by_method: as `collect_predictions` gives them; name: one of them; data: their ImageSet. An image
    stands once, with means over the runs that put it there. Large images lose detail where they do not compress.
    """
    require_choice("name", name, tuple(predictions_by_method))
    predictions = predictions_by_method[name]
    true, predicted = _require_classes(len(data.class_names), true=true, predicted=predicted)
    require_integer("limit", limit, 1)
    inside = predictions[(predictions["label"] == true) & (predictions["predicted"] == predicted)]
    runs, height = predictions["seed"].nunique(), -(-limit // COLUMNS) * (TILE + CAPTION)
    cell = inside.groupby("index")[[f"p_{predicted}", f"p_{true}"]].mean()
    cell = cell.loc[:, ~cell.columns.duplicated()].sort_values(
        f"p_{predicted}", ascending=False, kind="stable"
    )
    times, shown = inside["index"].value_counts(), cell.index[:limit].to_numpy()
    captions = []
    for row, (sure, *right) in zip(shown, cell.to_numpy()[:limit], strict=True):
        lines = [f"predicted {sure:.2f}", *(f"true {share:.2f}" for share in right), f"row {row}"]
        captions.append("<br>".join(lines + [f"{times[row]} of {runs} runs"] * (runs > 1)))
    names = name_classes([clip(text, 27) for text in data.class_names])
    found = f"images {len(cell)}" + (
        f", predictions {len(inside)} in {runs} runs" if runs > 1 else ""
    )
    found += f", the {limit} most confident shown" if len(cell) > limit else ""
    place = np.arange(len(shown))
    x, y = (
        (place % COLUMNS) * (TILE + GAP) + TILE / 2,
        (place // COLUMNS) * (TILE + CAPTION) + TILE + 3,
    )
    text = {
        "text": captions,
        "mode": "text",
        "textposition": "bottom center",
        "textfont": {"size": 11},
    }
    traces = [go.Image(source=_draw_tiles(data.images[shown])), go.Scatter(x=x, y=y, **text)]
    title = f"True {names[true]}, predicted {names[predicted]}"
    axes = {"visible": False, "constrain": "domain"}
    x = axes | {"range": [0, COLUMNS * (TILE + GAP)], "constraintoward": "left"}
    y = axes | {"range": [height, 0], "constraintoward": "top", "scaleanchor": "x"}
    under = {"text": f"{as_text(name)}: {found}" if name else found} | SMALL
    layout = {
        "xaxis": x,
        "yaxis": y,
        "showlegend": False,
        "hovermode": False,
        "title_subtitle": under,
    }
    if cell.empty:
        none = {
            "x": 0,
            "y": 20,
            "text": "There is no such image.",
            "xanchor": "left",
            "showarrow": False,
        }
        layout["annotations"] = [none]
    margin = {"l": 15, "r": 15, "t": 80, "b": 10}
    return make_figure(traces, title=title, height=height + 90, margin=margin, **layout)


def plot_roc(predictions_by_method, class_names, which):
    """One-against-rest ROC curve of class number `which`: of each method the mean over runs at fixed false positives.

    Runs are not pooled: scores of different networks are not on one scale. Legend: mean AUC and its range over runs.
    """
    require_methods(predictions_by_method)
    (which,) = _require_classes(len(class_names), which=which)
    traces = [go.Scatter(name="chance: 0.500", **DIAGONAL)]
    for j, (name, predictions) in enumerate(predictions_by_method.items()):
        pairs = [(labels == which, scores[:, which]) for labels, scores in split_runs(predictions)]
        curves = [roc_curve(*pair)[:2] for pair in pairs if 0 < pair[0].sum() < len(pair[0])]
        mean = (
            np.mean([np.interp(RATES, *curve) for curve in curves], axis=0)
            if curves
            else RATES * np.nan
        )
        style = {
            "line": {"color": COLOURS[j % 5], "dash": DASHES[(j + j // 5) % 5], "width": 2},
            "mode": "lines",
        }
        style["name"] = f"{as_text(name)}: {mean_and_range([auc(*curve) for curve in curves])}"
        traces.append(go.Scatter(x=np.append(0, RATES), y=np.append(0, mean), **style))
    title = f"ROC curves of {name_classes(class_names)[which]} against the rest"
    figure = make_figure(
        traces, title=title, height=540, margin={"t": 80, "b": 150}, showlegend=True
    )
    figure.update_xaxes(
        title="false positive rate: share of the other images taken for it", range=[-0.01, 1.01]
    )
    figure.update_yaxes(title="true positive rate: share found", range=[-0.01, 1.01])
    if not np.isfinite([trace.y[-1] for trace in traces[1:]]).any():
        words = "No curve: the split has no image of this class, or no other."
        figure.add_annotation(x=0.5, y=0.5, text=words, showarrow=False, bgcolor="white")
    return figure.update_layout(
        title_subtitle={"text": "below: AUC, mean and range over runs"} | SMALL
    )


def _draw_tiles(images):
    """Images (K, H, W, C) as one picture, COLUMNS in a line with room for captions below; a data URI."""
    channels = images.shape[3]
    tiles = np.full(
        (-(-len(images) // COLUMNS) or 1, COLUMNS, TILE + CAPTION, TILE + GAP, channels),
        255,
        np.uint8,
    )
    for place, image in enumerate(images):
        tile = to_picture(image)
        tile.thumbnail((TILE, TILE))
        zoom = TILE // max(tile.size)
        pixels = (
            np.asarray(tile)
            .repeat(zoom, 0)
            .repeat(zoom, 1)
            .reshape(tile.height * zoom, tile.width * zoom, -1)
        )
        top, left = TILE - len(pixels), (TILE - pixels.shape[1]) // 2
        tiles[place // COLUMNS, place % COLUMNS, top:TILE, left : left + pixels.shape[1]] = pixels
    picture = to_picture(tiles.swapaxes(1, 2).reshape(-1, COLUMNS * (TILE + GAP), channels))
    uri, quality = to_data_uri(picture), 90
    while len(uri) > MOST_BYTES and quality > 5:
        quality = quality // 2
        uri = to_data_uri(picture, "JPEG", quality=quality)
    return uri


def mean_and_range(values):
    """A number of every run in words: "0.875 (0.750 to 1.000)"."""
    spread = f" ({min(values):.3f} to {max(values):.3f})" if len(values) > 1 else ""
    return f"{np.mean(values):.3f}{spread}" if len(values) else "not defined"


def _require_classes(classes, **numbers):
    """The class numbers as integers: a click or a slider may give 3.0."""
    for name, number in numbers.items():
        require_choice(name, number, range(classes))
    return [int(number) for number in numbers.values()]
