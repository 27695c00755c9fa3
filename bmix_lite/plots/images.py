"""Figures of the lessons: class shares and mixed images. Numbers in, plotly Figure out; nothing is shown."""

import base64
import io

import numpy as np
import plotly.graph_objects as go

from bmix_lite.base.errors import require
from bmix_lite.distribution import class_probabilities, mixed_class_probabilities
from bmix_lite.plots.theme import (
    BLUE,
    CROSS,
    GREEN,
    GREY,
    PATTERNS,
    VERMILLION,
    as_text,
    make_figure,
    name_classes,
    stand_names,
)


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


def plot_mixed_strip(base, balanced, mixed, lams, captions, **layout):
    """Columns of images: base on top, balanced below, their mix at the bottom, lam and soft label underneath.

    base, balanced, mixed (K, H, W, C) uint8; lams (K,); captions: K texts, the soft labels; layout: plotly's
    """
    require(
        base.shape == balanced.shape == mixed.shape, "base, balanced and mixed must have one shape"
    )
    height, width = base.shape[1:3]
    mosaic = make_mosaic([base, balanced, mixed])
    step_x, step_y = width * _zoom(width) + _GAP, height * _zoom(width) + _GAP
    layout = {
        "title": "Mixed images: x = (1 - lam) · base + lam · balanced",
        "height": 430,
    } | layout
    layout["margin"] = {"l": 80, "r": 10, "t": 50, "b": 80} | layout.get("margin", {})
    notes, common = [], {"showarrow": False}
    for row, name in enumerate(("base", "balanced", "mixed")):
        notes.append(
            common | {"x": -6, "y": (row + 0.5) * step_y, "text": name, "xanchor": "right"}
        )
    for column, (lam, caption) in enumerate(zip(lams, captions, strict=True)):
        text = f"<b>lam {lam:.2f}</b><br>{as_text(caption).replace(chr(10), '<br>')}"
        place = {"x": (column + 0.5) * step_x, "y": 3 * step_y, "yanchor": "top"}
        notes.append(common | place | {"text": text, "font": {"size": 12}})
    return make_figure(
        [go.Image(source=to_data_uri(mosaic), hoverinfo="skip")],
        annotations=notes,
        xaxis={"visible": False},
        yaxis={"visible": False, "scaleanchor": "x", "constraintoward": "top"},
        **layout,
    )


_GAP = 6  # white pixels between the tiles of a mosaic


def make_mosaic(rows):
    """Image rows, each (K, H, W, C) uint8, as one picture, every image enlarged by whole pixels."""
    zoom = _zoom(rows[0].shape[2])
    tiles = [
        np.pad(
            np.repeat(np.repeat(row, zoom, 1), zoom, 2),
            ((0, 0), (0, _GAP), (0, _GAP), (0, 0)),
            constant_values=255,
        )
        for row in rows
    ]
    return np.concatenate([np.concatenate(list(row), axis=1) for row in tiles])


def to_data_uri(image):
    """One picture (H, W, 1 or 3) uint8 as a PNG that a page can hold."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _zoom(width):
    return max(1, 96 // width)
