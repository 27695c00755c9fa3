"""Live controls around any figure function, redrawn in place; a static figure where no kernel runs."""

import contextlib
import html
import inspect
import os

import ipywidgets
import plotly.graph_objects as go
import traitlets

from bmix_lite.base.errors import BmixError, require, require_choice
from bmix_lite.base.files import read_static
from bmix_lite.widgets.frames import FRAMES_MIME, pack_frames

PLOTLY_MIME = "application/vnd.plotly.v1+json"
MODULE_MIME = (
    "application/vnd.bmix-lite.module+json"  # a widget's own script and state, alive in pages too
)
PRECOMPUTE = "BMIX_LITE_PRECOMPUTE"  # set while a notebook runs to become a page: explorers store what they can show
CONFIG = {
    "responsive": True,
    "displaylogo": False,
}  # responsive: a live figure follows the width of its place


@contextlib.contextmanager
def precomputing():
    """Kernels started inside store what their explorers can show, for a page."""
    before = os.environ.get(PRECOMPUTE)
    os.environ[PRECOMPUTE] = "1"
    try:
        yield
    finally:
        os.environ.pop(PRECOMPUTE)
        if before is not None:
            os.environ[PRECOMPUTE] = before


class Figure(go.FigureWidget):
    """plotly's live figure, as wide as its place; all those of a page share one copy of its script."""

    _script = traitlets.Unicode(str(go.FigureWidget._esm)).tag(sync=True)
    _esm = read_static("figure.js")


class LiveFigure(ipywidgets.VBox):
    """Plotly figures that are redrawn in place. Saved without a kernel it still shows its first figure."""

    def __init__(self, figures, controls=(), name="LiveFigure", pack=None):
        self.figures = [Figure(figure) for figure in figures]
        for figure in self.figures:
            figure._config = figure._config | CONFIG
        self._static = figures[0]  # not the live one: each of its traces gets a random uid
        self.message = ipywidgets.HTML()
        self._name, self._pack = name, pack
        super().__init__([*controls, *self.figures, self.message])

    def redraw(self, figures):
        """Put the content of new figures in place of the old; one message to the page for each figure."""
        self._static = figures[0]
        for shown, fresh in zip(self.figures, figures, strict=True):
            with shown.batch_update():
                if [trace.type for trace in shown.data] == [trace.type for trace in fresh.data]:
                    for old, new in zip(shown.data, fresh.data, strict=True):
                        old.update(_replacing(old, new) | {"uid": old.uid}, overwrite=True)
                else:
                    shown.data = []
                    shown.add_traces(list(fresh.data))
                shown.layout.update(_replacing(shown.layout, fresh.layout), overwrite=True)

    def show_error(self, error):
        """Tell the reader what went wrong, as text; None clears it."""
        words = "" if error is None else html.escape(f"{type(error).__name__}: {error}")
        self.message.value = words and f"<p role='alert'><b>Not drawn.</b> {words}</p>"

    def _repr_mimebundle_(self, **keywords):
        # beside the live view a static one: notebooks are also read where no kernel runs
        bundle = super()._repr_mimebundle_(**keywords)
        bundle |= {"text/plain": self._name, PLOTLY_MIME: self._static.to_plotly_json()}
        if self._pack and os.environ.get(PRECOMPUTE):
            try:
                bundle[FRAMES_MIME] = self._pack()
            except (
                BmixError
            ) as error:  # the page then shows the static figure, and why nothing moves
                bundle[FRAMES_MIME] = {"error": str(error)}
        return bundle


def _replacing(old, new):
    """The update that leaves nothing of `old` but the page's own width: what `new` does not have is set to None."""
    fresh = new.to_plotly_json()
    return dict.fromkeys(set(old.to_plotly_json()) - set(fresh) - {"width", "autosize"}) | fresh


class StaticTwin:
    """A widget with a script of its own, drawn by plotly where no kernel runs; alive in pages by the same script.

    Beside anywidget.AnyWidget; needs `draw_twin()`, and `page_state`: the names of the traits that its script reads.
    """

    def _repr_mimebundle_(self, **keywords):
        bundle, about = super()._repr_mimebundle_(**keywords)
        bundle |= {"text/plain": repr(self), PLOTLY_MIME: self.draw_twin().to_plotly_json()}
        if os.environ.get(PRECOMPUTE):
            state = {name: getattr(self, name) for name in self.page_state}
            bundle[MODULE_MIME] = {"esm": str(self._esm), "css": str(self._css), "state": state}
        return bundle, about


def explore(figure_functions, *, picks=None, **arguments):
    """Show figure_function(**arguments), redrawn in place whenever a control moves.

    figure_functions: one function, or several that share the arguments, each given those that it names; a plotly
                      Figure each
    arguments: those that are ipywidgets become controls, all others pass through unchanged
    picks: {"x": argument, "y": argument}: a click on the first figure sets these controls to where it hit
    An error while drawing is shown below the figure, and the next move works again. In an exported page the same
    figures answer to the same controls without a kernel (`frames`).
    """
    functions = (
        figure_functions if isinstance(figure_functions, (list, tuple)) else [figure_functions]
    )
    controls = {
        name: value
        for name, value in arguments.items()
        if isinstance(value, ipywidgets.ValueWidget)
    }
    require(bool(controls), "explore needs at least one ipywidget among its arguments")
    calls = [(function, _names_taken(function, arguments)) for function in functions]
    for name in arguments:
        used = any(name in names for _, names in calls)
        require(used, f"no figure function takes an argument {name!r}")
    for axis, name in (picks or {}).items():
        require_choice("an axis of picks", axis, ("x", "y"))
        require_choice("a control of picks", name, tuple(controls))

    def draw(values):
        given = arguments | dict(zip(controls, values, strict=True))
        return [function(**{name: given[name] for name in names}) for function, names in calls]

    def pack():
        chosen = [describe_control(control) for control in controls.values()]
        return pack_frames(
            draw, chosen, {axis: list(controls).index(name) for axis, name in (picks or {}).items()}
        )

    now = [control.value for control in controls.values()]
    settings = ", ".join(f"{name}={value!r}" for name, value in zip(controls, now, strict=True))
    shown = [_dress_control(name, control) for name, control in controls.items()]
    live = LiveFigure(draw(now), shown, f"explore({functions[0].__name__}, {settings})", pack)

    def redraw(_):
        try:
            live.redraw(draw([control.value for control in controls.values()]))
            live.show_error(None)
        except (
            Exception
        ) as error:  # any mistake in a figure function belongs to the reader, not to a log
            live.show_error(error)

    for control in controls.values():
        control.observe(redraw, names="value")
    if picks:
        _follow_clicks(live.figures[0], {axis: controls[name] for axis, name in picks.items()})
    return live


def describe_control(control):
    """A control as a page needs it: kind, label, values, their texts, and the number of the one shown first."""
    label, value = control.description, control.value
    if hasattr(control, "options"):
        pairs = [item if isinstance(item, tuple) else (str(item), item) for item in control.options]
        kind = "range" if isinstance(control, ipywidgets.SelectionSlider) else "select"
        values, texts = [item for _, item in pairs], [text for text, _ in pairs]
    elif isinstance(value, bool):
        kind, values, texts = "check", [False, True], ["off", "on"]
    elif hasattr(control, "min") and hasattr(control, "step"):
        kind = "play" if isinstance(control, ipywidgets.Play) else "range"
        steps = int((control.max - control.min) / control.step + 1e-6) + 1
        values = [round(control.min + k * control.step, 10) for k in range(steps)]
        values = [control.base**power for power in values] if hasattr(control, "base") else values
        values[min(range(steps), key=lambda k: abs(values[k] - value))] = value
        texts = [f"{item:.4g}" for item in values]
    else:
        raise BmixError(f"a page has no control for {label!r}, a {type(control).__name__}")
    start = next((k for k, item in enumerate(values) if item == value), 0)
    about = {"kind": kind, "label": label, "values": values, "texts": texts, "start": start}
    return about | ({"interval": control.interval} if kind == "play" else {})


def _names_taken(function, arguments):
    """The arguments that a figure function names; all, if it takes any."""
    parameters = inspect.signature(function).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return list(arguments)
    return [parameter.name for parameter in parameters if parameter.name in arguments]


def label_control(name, control):
    """Name a control that has no words of its own, and give them the room they need."""
    control.description = control.description or name
    control.style.description_width = "initial"


def _dress_control(name, control):
    """The control with its label; a player gets a slider beside it, which shows where it is."""
    label_control(name, control)
    shown = control
    if isinstance(control, ipywidgets.Play):
        reach = {
            key: getattr(control, key) for key in ("value", "min", "max", "step", "description")
        }
        slider = ipywidgets.IntSlider(**reach)
        ipywidgets.link((control, "value"), (slider, "value"))
        shown = ipywidgets.HBox([control, slider])
        control = slider
        label_control(name, control)
    control.layout.width = "30rem"
    return shown


def _follow_clicks(figure, controls):
    def follow(_, points, __):
        for axis, control in controls.items():
            found = (points.xs if axis == "x" else points.ys)[:1]
            for value in found:
                control.value = value

    for trace in figure.data:
        trace.on_click(follow)
