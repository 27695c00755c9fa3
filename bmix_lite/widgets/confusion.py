"""A confusion matrix whose counts can be dragged, while the metrics move; its script also lives in exported pages."""

import anywidget
import numpy as np
import traitlets

from bmix_lite.base.errors import require
from bmix_lite.base.files import read_static
from bmix_lite.metrics import score_matrix
from bmix_lite.plots.runs import plot_confusions
from bmix_lite.widgets.explore import StaticTwin

MOST_CLASSES = 23  # Hyper-Kvasir; more cells than that are too small to be hit at 800 pixels
MOST_IMAGES = 90_000_000  # a browser counts with floats, in which the square of more is not exact


class DraggableConfusion(StaticTwin, anywidget.AnyWidget):
    """Drag counts between cells of a matrix and watch accuracy, balanced accuracy, macro-F1, MCC and kappa move.

    matrix: (C, C) counts, rows are true classes, columns predicted; the page writes back what was dragged
    class_names: C names, 2 to 23. `start` keeps the first matrix: the ticks, and where "Start again" goes.
    Raises BmixError for anything else, also when `matrix` is assigned. Saved without a kernel it is a plotly figure.
    """

    _esm = read_static("confusion.js")
    _css = read_static("confusion.css")
    page_state = ("matrix", "class_names", "start")
    matrix = traitlets.Any().tag(sync=True)
    class_names = traitlets.List(traitlets.Unicode(), read_only=True).tag(sync=True)
    start = traitlets.List(read_only=True).tag(sync=True)

    def __init__(self, matrix, class_names):
        names = [str(name) for name in class_names]
        matrix = check_counts(matrix, len(names))
        self.set_trait("class_names", names)
        self.set_trait("start", matrix)
        super().__init__(matrix=matrix)

    @traitlets.validate("matrix")
    def _check_matrix(self, proposal):
        return check_counts(proposal["value"], len(self.class_names))

    def __repr__(self):
        return f"DraggableConfusion({len(self.class_names)} classes, {sum(map(sum, self.matrix))} images)"

    def score(self):
        """The metrics of the matrix as it stands, see `metrics.score_matrix`."""
        return score_matrix(self.matrix)

    def draw_twin(self):
        """The matrix as it stands, as a plotly Figure."""
        return plot_confusions({"": self.matrix}, self.class_names)


def check_counts(matrix, classes):
    """The matrix as lists of integers, or a BmixError that says what is wrong with it."""
    require(
        2 <= classes <= MOST_CLASSES,
        f"class_names must be 2 to {MOST_CLASSES} names, got {classes}",
    )
    try:
        counts = np.asarray(matrix)
    except ValueError:  # rows of different lengths
        counts = np.empty(0)
    shape = f"matrix must be square, {classes} x {classes} for these class_names, got shape {counts.shape}"
    require(counts.shape == (classes, classes), shape)
    number = np.issubdtype(counts.dtype, np.number) and not np.issubdtype(
        counts.dtype, np.complexfloating
    )
    require(number, f"matrix must hold whole numbers, got {counts.dtype}")
    for holds, rule in (
        (np.isfinite(counts) & (counts == np.floor(counts)), "whole numbers"),
        (counts >= 0, "counts of 0 or more"),
    ):
        bad = np.argwhere(~holds)[:1].tolist()
        for i, j in bad:
            require(False, f"matrix must hold {rule}, got {counts[i, j]} in row {i}, column {j}")
    total = counts.sum(dtype=float)
    require(
        total <= MOST_IMAGES,
        f"matrix must hold at most {MOST_IMAGES:,} images in all, got {total:,.0f}",
    )
    return counts.astype(int).tolist()
