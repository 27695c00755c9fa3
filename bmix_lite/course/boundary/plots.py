"""Figures of the toys: decision regions side by side, recalls per seed, mixed points."""

import numpy as np

from bmix_lite.base.errors import BmixError
from bmix_lite.course.boundary.points import PALE, draw_points, list_roles, outline_points, scatter
from bmix_lite.course.boundary.toys import LEVELS
from bmix_lite.plots.theme import COLOURS, MARKERS, VERMILLION, as_text, make_figure

METHODS = {  # method: (title, whether alpha belongs to it); the panels, in reading order
    "instance": ("instance-balanced", False),
    "class_balanced": ("class-balanced", False),
    "mixup": ("MixUp", True),
    "balanced_mixup": ("Balanced-MixUp", True),
}
# share of the rare class: from pale to dark, so that it also reads without colour
BLEND = [[0, "#C6DAE8"], [0.25, "#F2B27C"], [0.6, VERMILLION], [1, "#6E2A00"]]
# from one panel's corner to the next, with room for titles of two lines
_RIGHT = LEVELS + 18
_DOWN = LEVELS + 52


def plot_playground(kind, imbalance_ratio, alpha, epoch, playground):
    """Decision regions of the four methods on a toy, titled with test recall of the rare class."""
    panels = []
    for method, (name, mixes) in METHODS.items():
        setting = kind, imbalance_ratio, method, alpha, epoch
        rare_recall = playground.recall(*setting)[:, -1]
        alpha_text = f"alpha {alpha:g}, " if mixes else ""
        text = f"<b>{name}</b><br>{alpha_text}rare recall {rare_recall.mean():.2f}"
        panels.append((text, playground.regions(*setting)))
    title = (
        f"A toy, {kind} {imbalance_ratio:g} : 1, epoch {epoch}:"
        f" regions of seed 0, recall over {len(rare_recall)} seeds"
    )
    return plot_boundaries(playground.data(kind, imbalance_ratio), panels, title)


def plot_playground_recalls(kind, imbalance_ratio, alpha, epoch, playground):
    """Test recall per class and method of the stored trainings, a dot per seed."""
    recalls = {}
    for method, (name, mixes) in METHODS.items():
        label = f"{name}, alpha {alpha:g}" if mixes else name
        recalls[label] = playground.recall(kind, imbalance_ratio, method, alpha, epoch)
    title = f"A toy, {kind} {imbalance_ratio:g} : 1, after epoch {epoch}: test recall, every seed"
    return plot_recalls(recalls, playground.about["class_names"][kind], title)


def plot_boundaries(data, panels, title=""):
    """Decision regions two by two, under the training points of a toy; axes are pixel values.

    panels: one to four pairs (title, regions (G, G) of class numbers [y, x]); a title is HTML,
    so put names through `theme.as_text` first
    All panels share one pair of axes: a redraw takes a third of the time of four pairs.
    """
    if not 1 <= len(panels) <= 4:
        raise BmixError(f"there are 1 to 4 panels, got {len(panels)}")
    corners = [(k % 2 * _RIGHT, -(k // 2) * _DOWN) for k in range(len(panels))]
    role_of = np.array(list_roles(len(data.class_names)), np.uint8)
    traces = []
    titles = []
    for corner, (text, regions) in zip(corners, panels, strict=True):
        traces.append(_draw_regions(role_of[regions], corner))
        titles.append(_write_title(text, corner))
    traces += draw_points(data, corners)
    right = corners[min(1, len(panels) - 1)][0] + LEVELS + 4
    bottom = corners[-1][1] - 4
    axis = {"visible": False, "constrain": "domain"}
    return make_figure(
        traces,
        title=title,
        height=730 if len(panels) > 2 else 420,
        margin={"l": 10, "r": 10, "t": 50, "b": 50},
        annotations=titles,
        uirevision="toy",
        xaxis={**axis, "range": [-4, right]},
        yaxis={**axis, "range": [bottom, LEVELS + 48], "scaleanchor": "x"},
    )


def plot_recalls(recalls, class_names, title=""):
    """Recall per class and, last, their mean: a dot per seed, a bar at the mean of the seeds.

    recalls: {method: (seeds, C)}, at most five methods
    """
    if not 1 <= len(recalls) <= len(COLOURS):
        raise BmixError(f"there are 1 to {len(COLOURS)} methods, got {len(recalls)}")
    columns = np.arange(len(class_names) + 1)
    step = 0.8 / len(recalls)
    traces = []
    for k, (method, recall) in enumerate(recalls.items()):
        x = columns + (k - (len(recalls) - 1) / 2) * step
        traces += _draw_recall(np.asarray(recall, dtype=float), x, k, as_text(method))
    x_axis = {
        "tickvals": columns,
        "ticktext": [*map(as_text, class_names), "mean of the classes<br>(balanced accuracy)"],
        "range": [-0.5, len(columns) - 0.5],
        "showgrid": False,
        "zeroline": False,
    }
    y_axis = {"title": "recall on test (0 to 1)", "range": [-0.03, 1.03]}
    return make_figure(traces, title=title, uirevision="toy recalls", xaxis=x_axis, yaxis=y_axis)


def plot_mixed_points(data, points, soft_labels, title="Where the mixed points fall"):
    """Points that training sees, coloured by their share of the rare class, over a toy's own.

    points (n, 2) in [0, 1] and soft_labels (n, C): of `regions.sample_mixed`
    """
    shares = np.asarray(soft_labels)[:, -1]
    if len(points) != len(shares):
        raise BmixError(f"points and soft_labels differ in length: {len(points)} and {len(shares)}")
    order = np.argsort(shares, kind="stable")  # the rare ones on top
    x, y = np.asarray(points)[order].T
    marker = {
        "size": 5.5,
        "color": shares[order],
        "colorscale": BLEND,
        "cmin": 0,
        "cmax": 1,
        "colorbar": {"title": {"text": "share of<br>the rare<br>class"}, "thickness": 14},
    }
    mixed = scatter(x, y, marker, name="mixed, as training sees them")
    axis = {
        "range": [0, 1],
        "showticklabels": False,
        "zeroline": False,
        "ticks": "",
        "constrain": "domain",
    }
    return make_figure(
        [*outline_points(data), mixed],
        title=title,
        height=520,
        uirevision="mixed points",
        xaxis=axis,
        yaxis={**axis, "scaleanchor": "x"},
    )


def _draw_regions(roles, corner):
    """A heat map of roles (G, G), its first point at a corner."""
    step = LEVELS / (len(roles) - 1)
    return {
        "type": "heatmap",
        "z": roles,
        "colorscale": PALE,
        "showscale": False,
        "hoverinfo": "skip",
        "x0": corner[0],
        "dx": step,
        "y0": corner[1],
        "dy": step,
        "zmin": -0.5,
        "zmax": 2.5,
    }


def _write_title(text, corner):
    """The title above the panel that stands at a corner."""
    return {
        "showarrow": False,
        "yanchor": "bottom",
        "font": {"size": 13},
        "x": corner[0] + LEVELS / 2,
        "y": corner[1] + LEVELS + 6,
        "text": text,
    }


def _draw_recall(recall, x, k, name):
    """Dots and bars of the method number k: recall (seeds, C), x (C + 1,)."""
    values = np.column_stack([recall, recall.mean(axis=1)])  # balanced accuracy is the mean recall
    dot = {"color": COLOURS[k], "symbol": MARKERS[k], "size": 8, "opacity": 0.75}
    bar = {"symbol": "line-ew", "size": 26, "line": {"color": COLOURS[k], "width": 3}}
    return [
        scatter(np.tile(x, len(values)), values.ravel(), dot, name=name),
        scatter(x, values.mean(axis=0), bar, name=f"{name}, mean", showlegend=False),
    ]
