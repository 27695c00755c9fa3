"""Figures of the toys: decision regions side by side, recalls of every seed, and where mixed points fall."""

import functools
import json
from pathlib import Path

import numpy as np

from bmix_lite.base.errors import BmixError, require, require_choice
from bmix_lite.course.boundary.toys import GRID, LEVELS, PLAYGROUND_FORMAT, make_toy, to_points
from bmix_lite.plots.theme import (
    BLUE,
    COLOURS,
    GREEN,
    GREY,
    MARKERS,
    VERMILLION,
    as_text,
    make_figure,
)

METHODS = {  # method: (title, whether alpha belongs to it); the panels, in reading order
    "instance": ("instance-balanced", False),
    "class_balanced": ("class-balanced", False),
    "mixup": ("MixUp", True),
    "balanced_mixup": ("Balanced-MixUp", True),
}
# class by role, so that "rare" looks the same with two and with three classes: colour, pale colour, marker, size
ROLES = (
    (BLUE, "#D3E6F2", "circle", 4.5),
    (GREEN, "#A9DDCB", "square", 6),
    (VERMILLION, "#F3BF96", "diamond", 9),
)
PALE = [
    [k / 3 + shift, ROLES[k][1]] for k in range(3) for shift in (0, 1 / 3)
]  # steps, no blend between classes
# share of the rare class: from pale to dark, so that it also reads without colour
BLEND = [[0, "#C6DAE8"], [0.25, "#F2B27C"], [0.6, VERMILLION], [1, "#6E2A00"]]
_RIGHT, _DOWN = (
    LEVELS + 18,
    LEVELS + 52,
)  # from one panel's corner to the next, with room for titles of two lines
STALE = "make it again: python -m bmix_lite playground --out"


class Playground:
    """Stored trainings of toys: `regions`, `recall` and `data` by kind, ratio, method, alpha and epoch."""

    def __init__(self, path, about, arrays):
        self.path, self.about, self.arrays = path, about, arrays
        self.kinds, self.ratios, self.epochs = (
            tuple(about["class_names"]),
            about["ratios"],
            about["epochs"],
        )
        self.rows = [tuple(row) for row in about["rows"]]
        self.alphas = sorted({alpha for _, alpha in self.rows if alpha > 0})
        self.data = functools.cache(self._data)

    def regions(self, kind, imbalance_ratio, method, alpha, epoch):
        """Predicted class (GRID, GRID) uint8 of the network of seed 0, [row of y, column of x]."""
        return self._look_up("regions", kind, imbalance_ratio, method, alpha, epoch)

    def recall(self, kind, imbalance_ratio, method, alpha, epoch):
        """Test recall (seeds, C)."""
        return self._look_up("recall", kind, imbalance_ratio, method, alpha, epoch)

    def _data(self, kind, imbalance_ratio):
        """The toy that seed 0 was trained on. Raises BmixError where this package draws other points."""
        require_choice("kind", kind, self.kinds)
        require_choice("imbalance_ratio", imbalance_ratio, self.ratios)
        data = make_toy(kind, imbalance_ratio)
        same = (
            data.fingerprint == self.about["fingerprints"][kind][self.ratios.index(imbalance_ratio)]
        )
        require(
            same,
            f"{self.path} was made with other points than toy {kind!r} has now; {STALE} {self.path}",
        )
        return data

    def _look_up(self, what, kind, imbalance_ratio, method, alpha, epoch):
        require_choice("kind", kind, self.kinds)
        require_choice("imbalance_ratio", imbalance_ratio, self.ratios)
        require_choice("method", method, tuple(dict.fromkeys(name for name, _ in self.rows)))
        require_choice("epoch", epoch, self.epochs)
        alphas = [at for name, at in self.rows if name == method]
        if alphas == [0]:
            alpha = 0
        require_choice("alpha", alpha, alphas)
        place = (
            self.ratios.index(imbalance_ratio),
            self.rows.index((method, alpha)),
            self.epochs.index(epoch),
        )
        return self.arrays[f"{kind} {what}"][place]


def read_playground(path):
    """The `Playground` that `boundary.make_playground` stored. Raises BmixError for a file that is not one."""
    require(Path(path).is_file(), f"there is no stored playground {str(path)!r}; {STALE} {path}")
    try:
        with np.load(path, allow_pickle=False) as stored:
            about = json.loads(str(stored["about"]))
            arrays = {name: stored[name] for name in stored.files if name != "about"}
        found = about["format"]
        shape = len(about["ratios"]), len(about["rows"]), len(about["epochs"])
        fits = all(
            arrays[f"{kind} regions"].shape == (*shape, GRID, GRID)
            and arrays[f"{kind} recall"].shape == (*shape, about["seeds"], len(names))
            for kind, names in about["class_names"].items()
        )
    except Exception as error:  # zip, zlib, JSON: a damaged file can raise anything
        words = (
            f"{path} is not a stored playground: {type(error).__name__}: {error}; {STALE} {path}"
        )
        raise BmixError(words) from error
    require(
        found == PLAYGROUND_FORMAT,
        f"{path} has format {found}, not {PLAYGROUND_FORMAT}; {STALE} {path}",
    )
    require(
        fits,
        f"{path} is not a stored playground: its arrays do not fit its settings; {STALE} {path}",
    )
    return Playground(str(path), about, arrays)


def plot_playground(kind, imbalance_ratio, alpha, epoch, playground):
    """Decision regions of the four methods on a toy after an epoch, with test recall of the rare class."""
    panels = []
    for method, (name, mixes) in METHODS.items():
        at = kind, imbalance_ratio, method, alpha, epoch
        rare = playground.recall(*at)[:, -1]
        words = f"alpha {alpha:g}, " if mixes else ""
        panels.append(
            (f"<b>{name}</b><br>{words}rare recall {rare.mean():.2f}", playground.regions(*at))
        )
    title = f"A toy, {kind} {imbalance_ratio:g} : 1, epoch {epoch}: regions of seed 0, recall over {len(rare)} seeds"
    return plot_boundaries(playground.data(kind, imbalance_ratio), panels, title)


def plot_playground_recalls(kind, imbalance_ratio, alpha, epoch, playground):
    """Test recall per class and method of the stored trainings, a dot for each seed."""
    names = playground.about["class_names"][kind]
    recalls = {
        f"{name}, alpha {alpha:g}" if mixes else name: playground.recall(
            kind, imbalance_ratio, method, alpha, epoch
        )
        for method, (name, mixes) in METHODS.items()
    }
    title = f"A toy, {kind} {imbalance_ratio:g} : 1, after epoch {epoch}: test recall, every seed"
    return plot_recalls(recalls, names, title)


def plot_boundaries(data, panels, title=""):
    """Decision regions two by two, under the training points of a toy. Axes are pixel values, 0..255.

    panels: (title, regions (G, G) integers of class, [y, x]), one to four; a title is HTML: `theme.as_text` names first
    All panels share one pair of axes, next to each other: a redraw takes a third of the time of four pairs.
    """
    require(1 <= len(panels) <= 4, f"there are 1 to 4 panels, got {len(panels)}")
    corners = [(k % 2 * _RIGHT, -(k // 2) * _DOWN) for k in range(len(panels))]
    looks, points = np.array(_roles(len(data.class_names)), np.uint8), _split_points(data)
    label, labels, traces = {"showarrow": False, "yanchor": "bottom", "font": {"size": 13}}, [], []
    for (x, y), (text, regions) in zip(corners, panels, strict=True):
        labels.append(label | {"x": x + LEVELS / 2, "y": y + LEVELS + 6, "text": text})
        step = LEVELS / (len(regions) - 1)
        places = {"x0": x, "dx": step, "y0": y, "dy": step, "zmin": -0.5, "zmax": 2.5}
        heat = {
            "type": "heatmap",
            "z": looks[regions],
            "colorscale": PALE,
            "showscale": False,
            "hoverinfo": "skip",
        }
        traces.append(heat | places)
    for role, (colour, _, symbol, size) in enumerate(ROLES):
        name, at = points.get(role, ("", np.empty((0, 2), int)))
        x, y = np.concatenate([at + corner for corner in corners]).T
        marker = {
            "color": colour,
            "symbol": symbol,
            "size": size,
            "line": {"color": "white", "width": 0.7},
        }
        shown = {"name": name, "showlegend": role in points, "hoverinfo": "skip"}
        traces.append(
            {"type": "scatter", "mode": "markers", "x": x, "y": y, "marker": marker} | shown
        )
    right, low = corners[min(1, len(panels) - 1)][0] + LEVELS + 4, corners[-1][1] - 4
    side = {"visible": False, "constrain": "domain"}
    return make_figure(
        traces,
        title=title,
        height=110 + (620 if len(panels) > 2 else 310),
        margin={"l": 10, "r": 10, "t": 50, "b": 50},
        annotations=labels,
        uirevision="toy",
        xaxis=side | {"range": [-4, right]},
        yaxis=side | {"range": [low, LEVELS + 48], "scaleanchor": "x"},
    )


def plot_recalls(recalls, class_names, title=""):
    """Recall per class and, last, their mean: a dot for each seed, a bar at the mean of the seeds.

    recalls: {method: (seeds, C)}, at most five methods
    """
    require(
        1 <= len(recalls) <= len(COLOURS),
        f"there are 1 to {len(COLOURS)} methods, got {len(recalls)}",
    )
    places, step = np.arange(len(class_names) + 1), 0.8 / len(recalls)
    traces = []
    for k, (method, found) in enumerate(recalls.items()):
        found = np.asarray(found, dtype=float)
        values = np.column_stack(
            [found, found.mean(axis=1)]
        )  # (seeds, C + 1): balanced accuracy is the mean recall
        x = places + (k - (len(recalls) - 1) / 2) * step
        marker = {"color": COLOURS[k], "symbol": MARKERS[k], "size": 8, "opacity": 0.75}
        dots = {
            "x": np.tile(x, len(values)),
            "y": values.ravel(),
            "marker": marker,
            "name": as_text(method),
        }
        mean = {"symbol": "line-ew", "size": 26, "line": {"color": COLOURS[k], "width": 3}}
        bars = {
            "x": x,
            "y": values.mean(axis=0),
            "marker": mean,
            "name": f"{as_text(method)}, mean",
        }
        traces += [
            {"type": "scatter", "mode": "markers"} | dots,
            {"type": "scatter", "mode": "markers"} | bars,
        ]
        traces[-1] |= {"showlegend": False}
    names = [*map(as_text, class_names), "mean of the classes<br>(balanced accuracy)"]
    x = {
        "tickvals": places,
        "ticktext": names,
        "range": [-0.5, len(places) - 0.5],
        "showgrid": False,
    }
    y = {"title": "recall on test (0 to 1)", "range": [-0.03, 1.03]}
    return make_figure(
        traces, title=title, uirevision="toy recalls", xaxis=x | {"zeroline": False}, yaxis=y
    )


def plot_mixed_points(data, points, soft_labels, title="Where the mixed points fall"):
    """Points that training sees, coloured by their share of the rare class, over the pale training points of a toy.

    points (n, 2) in [0, 1] and soft_labels (n, C): of `boundary.sample_mixed`
    """
    shares = np.asarray(soft_labels)[:, -1]
    require(
        len(points) == len(shares),
        f"points and soft_labels differ in length: {len(points)} and {len(shares)}",
    )
    order = np.argsort(shares, kind="stable")  # the rare ones on top
    known = _split_points(data)
    traces = []
    for role, (_, _, symbol, size) in enumerate(ROLES):
        name, at = known.get(role, ("", np.empty((0, 2))))
        x, y = at.T / LEVELS
        marker = {"color": "rgba(255,255,255,0)", "symbol": symbol, "size": size + 3}
        marker["line"] = {"color": GREY, "width": 1.5 if role == 2 else 0.6}
        shown = {"name": f"training: {name}", "showlegend": role in known}
        traces.append(
            {"type": "scatter", "mode": "markers", "x": x, "y": y, "marker": marker, **shown}
        )
    bar = {"title": {"text": "share of<br>the rare<br>class"}, "thickness": 14}
    scale = {"color": shares[order], "colorscale": BLEND, "cmin": 0, "cmax": 1, "colorbar": bar}
    x, y = np.asarray(points)[order].T
    traces.append(
        {"type": "scatter", "mode": "markers", "x": x, "y": y, "marker": {"size": 5.5} | scale}
    )
    traces[-1] |= {"name": "mixed, as training sees them"}
    side = {
        "range": [0, 1],
        "showticklabels": False,
        "zeroline": False,
        "ticks": "",
        "constrain": "domain",
    }
    sides = {"xaxis": side, "yaxis": side | {"scaleanchor": "x"}}
    return make_figure(traces, title=title, height=520, uirevision="mixed points", **sides)


def _roles(classes):
    """Which of common, middle, rare (0, 1, 2) each class plays."""
    require(classes in (2, 3), f"a toy has 2 or 3 classes, got {classes}")
    return (0, 2) if classes == 2 else (0, 1, 2)


def _split_points(data):
    """{role: (name with n, pixel values (n, 2))} of the training points of each class."""
    rows = data.rows("train")
    to_points(data.images[:1])  # only its check that these are points
    points, labels = data.images[rows, 0, 0].astype(int), data.labels[rows]
    found = {}
    for j, role in enumerate(_roles(len(data.class_names))):
        at = points[labels == j]
        found[role] = f"{as_text(data.class_names[j])} (n={len(at)})", at
    return found
