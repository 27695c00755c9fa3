"""Figures of images: a pair, a strip and a gallery of mixed ones."""

import numpy as np
import plotly.graph_objects as go

from bmix_lite.base.errors import require, require_choice
from bmix_lite.data.imageset import to_data_uri, to_picture
from bmix_lite.plots.theme import BLUE, as_text, clip, make_figure, name_classes


def plot_pair(data, first, second, lam):
    """One image of class `first` and one of class `second` (numbers) mixed with weight lam, and the soft label."""
    classes = len(data.class_names)
    for name, value in (("first", first), ("second", second)):
        require_choice(name, value, tuple(range(classes)))
    require(0 <= lam <= 1, f"lam must lie in [0, 1], got {lam!r}")
    rows = data.rows("train")
    one, other = (data.images[rows[data.labels[rows] == label][0]] for label in (first, second))
    mixed = np.round((1 - lam) * one.astype(float) + lam * other).astype(np.uint8)
    mosaic = make_mosaic([np.stack([one, other, mixed])])
    pixels = go.Image(source=to_data_uri(to_picture(mosaic)), hoverinfo="skip")
    step, over = mosaic.shape[1] / 3, {"yanchor": "bottom", "showarrow": False, "y": -4}
    words = ("base", "balanced", f"mixed, lam {lam:.2f}")
    label = np.zeros(classes)
    label[first] += 1 - lam
    label[second] += lam
    look = {
        "orientation": "h",
        "marker": {"color": BLUE, "pattern": {"shape": "/"}},
        "cliponaxis": False,
    }
    look |= {
        "text": [f"{share:.2f}" if share else "" for share in label],
        "textposition": "outside",
    }
    ticks = {
        "tickvals": np.arange(classes),
        "ticktext": name_classes(data.class_names),
        "autorange": "reversed",
    }
    return make_figure(
        [pixels, go.Bar(x=label, y=np.arange(classes), xaxis="x2", yaxis="y2", **look)],
        title="One pair of images: pixels and soft label",
        height=130 + max(220, 22 * classes),
        showlegend=False,
        uirevision="pair",
        annotations=[over | {"x": (k + 0.48) * step, "text": text} for k, text in enumerate(words)],
        xaxis={"visible": False, "domain": [0, 0.52]},
        yaxis={"visible": False, "scaleanchor": "x", "constraintoward": "middle"},
        xaxis2={
            "domain": [0.68, 1],
            "anchor": "y2",
            "title": "soft label: share of the class",
            "range": [0, 1.12],
        },
        yaxis2=ticks | {"anchor": "x2", "automargin": True, "zeroline": False},
    )


def plot_gallery(parts, class_names):
    """Mixed images with provenance: both parents with class and row, lam, and how often the balanced one was used."""
    captions = []
    for k, lam in enumerate(parts.lam):
        base = clip(class_names[parts.base_labels[k]], 15)
        balanced = clip(class_names[parts.balanced_labels[k]], 15)
        lines = [f"{1 - lam:.2f} {base}", f"row {parts.base_rows[k]}"]
        lines += [f"{lam:.2f} {balanced}", f"row {parts.balanced_rows[k]}"]
        captions.append("\n".join([*lines, f"used {parts.uses[k]} times"]))
    layout = {
        "title": "Mixed images with their parents",
        "height": 500,
        "margin": {"b": 130},
        "uirevision": "gallery",
    }
    return plot_mixed_strip(parts.base, parts.balanced, parts.mixed, parts.lam, captions, **layout)


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
        [go.Image(source=to_data_uri(to_picture(mosaic)), hoverinfo="skip")],
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


def _zoom(width):
    return max(1, 96 // width)
