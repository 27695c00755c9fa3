"""A confusion matrix whose counts can be dragged while the metrics move, in exported pages too."""

import anywidget
import numpy as np
import traitlets

from bmix_lite.base.errors import BmixError
from bmix_lite.base.files import read_static
from bmix_lite.metrics import score_matrix
from bmix_lite.plots.runs import plot_confusions
from bmix_lite.widgets.explore import StaticTwin

MOST_CLASSES = 23  # Hyper-Kvasir; cells of more are too small to be hit at 800 pixels
MOST_IMAGES = 90_000_000  # a browser counts with floats, in which the square of more is not exact


class DraggableConfusion(StaticTwin, anywidget.AnyWidget):
    """Drag counts between cells of a matrix and watch the metrics move.

    They are accuracy, balanced accuracy, macro-F1, MCC and kappa.
    matrix: (C, C) counts, rows are true classes, columns predicted; the page writes back what was
    dragged; class_names: C names, 2 to 23. `start` keeps the first matrix: the ticks, and where
    "Start again" goes. Raises BmixError for anything else, also when `matrix` is assigned. Saved
    without a kernel it is a plotly figure.
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
        images = sum(map(sum, self.matrix))
        return f"DraggableConfusion({len(self.class_names)} classes, {images} images)"

    def score(self):
        """The metrics of the matrix as it stands, see `metrics.score_matrix`."""
        return score_matrix(self.matrix)

    def draw_twin(self):
        """The matrix as it stands, as a plotly Figure."""
        return plot_confusions({"": self.matrix}, self.class_names)


def check_counts(matrix, classes):
    """The matrix as lists of integers. Raises BmixError that says what is wrong with it."""
    if not 2 <= classes <= MOST_CLASSES:
        raise BmixError(f"class_names must be 2 to {MOST_CLASSES} names, got {classes}")
    counts = _as_square(matrix, classes)
    _check_cells(counts, np.isfinite(counts) & (counts == np.floor(counts)), "whole numbers")
    _check_cells(counts, counts >= 0, "counts of 0 or more")
    total = counts.sum(dtype=float)
    if total > MOST_IMAGES:
        raise BmixError(f"matrix must hold at most {MOST_IMAGES:,} images in all, got {total:,.0f}")
    return counts.astype(int).tolist()


def _as_square(matrix, classes):
    """The matrix as an array (C, C) of real numbers."""
    try:
        counts = np.asarray(matrix)
    except ValueError:  # rows of different lengths
        counts = np.empty(0)
    if counts.shape != (classes, classes):
        raise BmixError(
            f"matrix must be square, {classes} x {classes} for these class_names, "
            f"got shape {counts.shape}"
        )
    if not np.issubdtype(counts.dtype, np.number) or np.iscomplexobj(counts):
        raise BmixError(f"matrix must hold whole numbers, got {counts.dtype}")
    return counts


def _check_cells(counts, holds, rule):
    """Raise BmixError naming the first cell for which the rule does not hold."""
    broken = np.argwhere(~holds)
    if len(broken):
        i, j = broken[0]
        raise BmixError(f"matrix must hold {rule}, got {counts[i, j]} in row {i}, column {j}")
