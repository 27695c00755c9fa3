"""Alpha at work in three linked views, drawn by the page itself, as fast as the slider moves.

Python computes the closed forms for every step of the slider, once; static/alpha.js draws them.
"""

import anywidget
import numpy as np
import traitlets

from bmix_lite.base.errors import BmixError
from bmix_lite.base.files import read_static
from bmix_lite.distribution import class_probabilities
from bmix_lite.plots.mixing import DENSEST, GRID, compute_alpha_view, plot_alpha_views
from bmix_lite.plots.theme import BLACK, BLUE, GREEN, GREY, VERMILLION
from bmix_lite.widgets.explore import StaticTwin

ALPHAS = np.round(np.arange(0.05, 2.001, 0.05), 2)
COLOURS = {"blue": BLUE, "vermillion": VERMILLION, "green": GREEN, "grey": GREY, "black": BLACK}


class AlphaExplorer(StaticTwin, anywidget.AnyWidget):
    """One slider, three views: density of lam, weight of one image in an epoch, class shares.

    counts (C,); q of the base stream; draw(alpha) -> (C,) or None: label mass of simulated epochs,
    shown as crosses. `alpha` follows the slider, which has the steps of ALPHAS. Without a kernel it
    is `plot_alpha_views`, and in an exported page it is as alive as here. Raises BmixError for an
    alpha outside the slider.
    """

    _esm = read_static("alpha.js")
    _css = read_static("alpha.css")
    page_state = ("alpha", "alphas", "views", "fixed")
    alpha = traitlets.Float().tag(sync=True)
    alphas = traitlets.List(read_only=True).tag(sync=True)
    views = traitlets.List(read_only=True).tag(sync=True)
    fixed = traitlets.Dict(read_only=True).tag(sync=True)

    def __init__(self, counts, alpha=0.2, q=1.0, class_names=None, draw=None):
        if not 0 < alpha <= ALPHAS[-1]:
            raise BmixError(f"alpha must lie in (0, {ALPHAS[-1]:g}], got {alpha!r}")
        steps = sorted({*ALPHAS.tolist(), float(alpha)})
        names = class_names if class_names is not None else range(len(counts))
        names = [str(name) for name in names]
        self._settings = {"counts": counts, "q": q, "class_names": names}
        self._draw = draw or (lambda alpha: None)
        self.set_trait("alphas", steps)
        self.set_trait("views", [compute_view(counts, q, step, self._draw(step)) for step in steps])
        self.set_trait("fixed", _describe_data(names, counts))
        super().__init__(alpha=float(alpha))

    def __repr__(self):
        return f"AlphaExplorer(alpha={self.alpha:g})"

    def draw_twin(self):
        """The same three views as a plotly Figure."""
        return plot_alpha_views(alpha=self.alpha, drawn=self._draw(self.alpha), **self._settings)


def _describe_data(names, counts):
    """What the views show at every alpha."""
    return {
        "names": names,
        "counts": [int(n) for n in counts],
        "colours": COLOURS,
        "densest": DENSEST,
        "lams": _round(GRID),
        "data": _round(class_probabilities(counts, 1)),
    }


def compute_view(counts, q, alpha, drawn=None):
    """What the three views show at one alpha, as plain rounded lists."""
    view = compute_alpha_view(counts, alpha, q)
    numbers = {name: float(f"{view.pop(name):.4g}") for name in ("mean", "median")}
    lists = {name: _round(values) for name, values in view.items()}
    return numbers | lists | {"drawn": None if drawn is None else _round(drawn)}


def _round(values):
    return [float(f"{value:.6g}") for value in np.asarray(values, dtype=float)]
