"""Figures of images: a pair, a strip and a gallery of mixed ones."""

import numpy as np
import plotly.graph_objects as go

from bmix_lite.base.errors import BmixError, require_choice
from bmix_lite.data.imageset import to_data_uri, to_picture
from bmix_lite.plots.theme import BLUE, as_text, clip, make_figure, name_classes

_GAP = 6  # white pixels between the tiles of a mosaic


def plot_pair(data, first, second, lam):
    """One image of class `first` and one of class `second` mixed with weight lam; the soft label.

    data: an ImageSet; first, second: class numbers. Raises BmixError for what is not one of them,
    or a lam outside [0, 1].
    """
    classes = len(data.class_names)
    require_choice("first", first, tuple(range(classes)))
    require_choice("second", second, tuple(range(classes)))
    if not 0 <= lam <= 1:
        raise BmixError(f"lam must lie in [0, 1], got {lam!r}")
    base = _first_image(data, first)
    balanced = _first_image(data, second)
    mixed = np.round((1 - lam) * base.astype(float) + lam * balanced).astype(np.uint8)
    mosaic = make_mosaic([np.stack([base, balanced, mixed])])
    label = np.zeros(classes)
    label[first] += 1 - lam
    label[second] += lam
    return make_figure(
        [_draw_pixels(mosaic), _draw_label(label)],
        title="One pair of images: pixels and soft label",
        height=130 + max(220, 22 * classes),
        showlegend=False,
        uirevision="pair",
        annotations=_caption_pair(mosaic.shape[1] / 3, lam),
        **_place_pair(data.class_names),
    )


def _first_image(data, label):
    """The first training image of a class."""
    rows = data.rows("train")
    return data.pictures[rows[data.labels[rows] == label][0]]


def _draw_pixels(mosaic):
    return go.Image(source=to_data_uri(to_picture(mosaic)), hoverinfo="skip")


def _draw_label(label):
    """The soft label (C,) as bars, in axes of their own."""
    return go.Bar(
        x=label,
        y=np.arange(len(label)),
        xaxis="x2",
        yaxis="y2",
        orientation="h",
        marker={"color": BLUE, "pattern": {"shape": "/"}},
        cliponaxis=False,
        text=[f"{share:.2f}" if share else "" for share in label],
        textposition="outside",
    )


def _caption_pair(step, lam):
    """What each of the three images is, above it; step: pixels from one to the next."""
    captions = ("base", "balanced", f"mixed, lam {lam:.2f}")
    above = {"yanchor": "bottom", "showarrow": False, "y": -4}
    return [above | {"x": (k + 0.48) * step, "text": text} for k, text in enumerate(captions)]


def _place_pair(class_names):
    """The axes: images on the left, the label's bars on the right."""
    return {
        "xaxis": {"visible": False, "domain": [0, 0.52]},
        "yaxis": {"visible": False, "scaleanchor": "x", "constraintoward": "middle"},
        "xaxis2": {
            "domain": [0.68, 1],
            "anchor": "y2",
            "title": "soft label: share of the class",
            "range": [0, 1.12],
        },
        "yaxis2": {
            "tickvals": np.arange(len(class_names)),
            "ticktext": name_classes(class_names),
            "autorange": "reversed",
            "anchor": "x2",
            "automargin": True,
            "zeroline": False,
        },
    }


def plot_gallery(parts, class_names):
    """Mixed images and where they come from.

    Of both parents class and row, lam, and how often the balanced one was used.
    """
    return plot_mixed_strip(
        parts.base,
        parts.balanced,
        parts.mixed,
        parts.lam,
        [_caption_parents(parts, class_names, k) for k in range(len(parts.lam))],
        title="Mixed images with their parents",
        height=500,
        margin={"b": 130},
        uirevision="gallery",
    )


def _caption_parents(parts, class_names, k):
    lam = parts.lam[k]
    lines = [
        f"{1 - lam:.2f} {clip(class_names[parts.base_labels[k]], 15)}",
        f"row {parts.base_rows[k]}",
        f"{lam:.2f} {clip(class_names[parts.balanced_labels[k]], 15)}",
        f"row {parts.balanced_rows[k]}",
        f"used {parts.uses[k]} times",
    ]
    return "\n".join(lines)


def plot_mixed_strip(base, balanced, mixed, lams, captions, **layout):
    """Columns of images: base on top, balanced below, their mix at the bottom, then the captions.

    base, balanced, mixed (K, H, W, C) uint8; lams (K,); captions: K texts, the soft labels;
    layout: plotly's. Raises BmixError if the shapes differ.
    """
    if not base.shape == balanced.shape == mixed.shape:
        raise BmixError("base, balanced and mixed must have one shape")
    height, width = base.shape[1:3]
    step_x = width * _zoom(width) + _GAP
    step_y = height * _zoom(width) + _GAP
    notes = [*_name_rows(step_y), *_caption_columns(lams, captions, step_x, 3 * step_y)]
    defaults = {"title": "Mixed images: x = (1 - lam) · base + lam · balanced", "height": 430}
    margin = {"l": 80, "r": 10, "t": 50, "b": 80} | layout.get("margin", {})
    return make_figure(
        [_draw_pixels(make_mosaic([base, balanced, mixed]))],
        annotations=notes,
        xaxis={"visible": False},
        yaxis={"visible": False, "scaleanchor": "x", "constraintoward": "top"},
        **defaults | layout | {"margin": margin},
    )


def _name_rows(step):
    beside = {"showarrow": False, "x": -6, "xanchor": "right"}
    names = ("base", "balanced", "mixed")
    return [beside | {"y": (k + 0.5) * step, "text": name} for k, name in enumerate(names)]


def _caption_columns(lams, captions, step, bottom):
    below = {"showarrow": False, "y": bottom, "yanchor": "top", "font": {"size": 12}}
    notes = []
    for k, (lam, caption) in enumerate(zip(lams, captions, strict=True)):
        lines = as_text(caption).replace("\n", "<br>")
        notes.append(below | {"x": (k + 0.5) * step, "text": f"<b>lam {lam:.2f}</b><br>{lines}"})
    return notes


def make_mosaic(rows):
    """Image rows, each (K, H, W, C) uint8, as one picture, every image enlarged by whole pixels."""
    zoom = _zoom(rows[0].shape[2])
    enlarged = [row.repeat(zoom, axis=1).repeat(zoom, axis=2) for row in rows]
    gaps = ((0, 0), (0, _GAP), (0, _GAP), (0, 0))
    tiles = [np.pad(row, gaps, constant_values=255) for row in enlarged]
    return np.concatenate([np.concatenate(list(row), axis=1) for row in tiles])


def _zoom(width):
    return max(1, 96 // width)
