"""Figures of lesson 3 that join several views: alpha at work, one pair of images, a gallery with provenance."""

import numpy as np
import plotly.graph_objects as go

from bmix_lite.base.errors import require, require_choice
from bmix_lite.distribution import (
    class_probabilities,
    expected_draws,
    lam_density,
    mean_lam,
    median_lam,
    mixed_class_probabilities,
)
from bmix_lite.plots.images import make_mosaic, plot_mixed_strip, to_data_uri
from bmix_lite.plots.theme import (
    BLACK,
    BLUE,
    CROSS,
    GREEN,
    GREY,
    VERMILLION,
    dress,
    make_figure,
    make_panels,
    name_classes,
)

GRID = np.geomspace(1e-4, 1, 120)  # of lam: dense where the density is steep
DENSEST = 4  # top of the density's axis; the curve goes to infinity at lam = 0 for alpha < 1


def compute_alpha_view(counts, alpha, q, lams):
    """The numbers behind the three views of one alpha, by name; density at `lams`, 0 where alpha is 0."""
    draws, weight = int(np.sum(counts)), mean_lam(alpha)
    return {
        "mean": weight,
        "median": median_lam(alpha),
        "density": lam_density(lams, alpha) if alpha > 0 else np.zeros_like(lams),
        "base": (1 - weight) * expected_draws(counts, q, draws),
        "balanced": weight * expected_draws(counts, 0, draws),
        "shares": mixed_class_probabilities(counts, q, alpha),
    }


def plot_alpha_views(counts, alpha, q=1.0, class_names=None, drawn=None):
    """Three views of one alpha: the density of lam, the weight of one image in an epoch, the class shares.

    counts (C,); drawn (C,) or None: label mass of simulated epochs, as crosses in the third view
    """
    places = np.arange(len(counts))
    titles = (
        "weight lam of the balanced batch",
        "weight of one image in an epoch",
        "share of label mass per class",
    )
    specs = [[{}, {}], [{"colspan": 2}, None]]
    figure = make_panels(
        2, 2, specs=specs, subplot_titles=titles, vertical_spacing=0.17, horizontal_spacing=0.1
    )
    view = compute_alpha_view(counts, alpha, q, GRID)
    curve = go.Scatter(
        x=GRID, y=view["density"], mode="lines", line={"color": BLUE, "width": 3}, fill="tozeroy"
    )
    figure.add_trace(
        curve.update(fillcolor="rgba(0, 114, 178, 0.15)", showlegend=False, name="density"), 1, 1
    )
    marks = {
        "mean": (view["mean"], VERMILLION, "dash", 0.9),
        "median": (view["median"], GREEN, "dot", 0.65),
    }
    for name, (value, colour, dash, height) in marks.items():
        line = {"color": colour, "dash": dash, "width": 3}
        figure.add_scatter(
            x=[value] * 2, y=[0, DENSEST], mode="lines", line=line, name=name, showlegend=False
        )
        words = f"{name} {value:.3f}" if value >= 0.001 or value == 0 else f"{name} {value:.1e}"
        label = {
            "text": f" {words}",
            "showarrow": False,
            "font": {"color": BLACK},
            "bgcolor": "white",
        }
        figure.add_annotation(x=value, y=DENSEST * height, xanchor="left", **label, row=1, col=1)
    parts = {
        "base stream": (view["base"], BLUE, ""),
        "balanced stream": (view["balanced"], VERMILLION, "/"),
    }
    for name, (values, colour, pattern) in parts.items():
        marker = {"color": colour, "pattern": {"shape": pattern}}
        figure.add_bar(
            x=places, y=values, marker=marker, name=name, offsetgroup="weight", row=1, col=2
        )
    shares = {
        "the data": (class_probabilities(counts, 1), GREY, ""),
        "after mixing": (view["shares"], GREEN, "x"),
    }
    for name, (values, colour, pattern) in shares.items():
        marker = {"color": colour, "pattern": {"shape": pattern}}
        figure.add_bar(x=places, y=values, marker=marker, name=name, offsetgroup=name, row=2, col=1)
    found = [None] * len(places) if drawn is None else drawn
    figure.add_scatter(
        x=places + 0.2, y=found, mode="markers", marker=CROSS, name="drawn", row=2, col=1
    )
    line = {"color": BLACK, "dash": "dash", "width": 1.5}
    ends = [-0.5, len(places) - 0.5]
    figure.add_scatter(
        x=ends, y=[1 / len(places)] * 2, mode="lines", line=line, name="equal", row=2, col=1
    )
    dress(
        figure,
        title=f"alpha = {alpha:g}",
        height=600,
        barmode="stack",
        uirevision="alpha",
        legend_traceorder="normal",
    )
    figure.update_xaxes(zeroline=False, range=[0, 1], row=1, col=1)
    figure.update_yaxes(range=[0, DENSEST], row=1, col=1)
    names = class_names if class_names is not None else places
    figure.update_xaxes(
        tickvals=places, ticktext=[f"n={n}" for n in counts], zeroline=False, row=1, col=2
    )
    figure.update_yaxes(rangemode="tozero", row=1, col=2)
    figure.update_xaxes(
        tickvals=places, ticktext=name_classes(names, counts), zeroline=False, row=2, col=1
    )
    top = max(class_probabilities(counts, 1).max(), 1 / len(places)) * 1.1
    return figure.update_yaxes(range=[0, top], row=2, col=1)


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
    pixels = go.Image(source=to_data_uri(mosaic), hoverinfo="skip")
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
        lines = [
            f"{1 - lam:.2f} {_short(class_names[parts.base_labels[k]])}",
            f"row {parts.base_rows[k]}",
        ]
        lines += [
            f"{lam:.2f} {_short(class_names[parts.balanced_labels[k]])}",
            f"row {parts.balanced_rows[k]}",
        ]
        captions.append("\n".join([*lines, f"used {parts.uses[k]} times"]))
    layout = {
        "title": "Mixed images with their parents",
        "height": 500,
        "margin": {"b": 130},
        "uirevision": "gallery",
    }
    return plot_mixed_strip(parts.base, parts.balanced, parts.mixed, parts.lam, captions, **layout)


def _short(name):
    return name if len(str(name)) <= 14 else f"{str(name)[:12]}..."
