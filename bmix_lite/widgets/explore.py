"""Live controls around any figure function; a static figure where no kernel runs."""

import contextlib
import html
import inspect
import os

import ipywidgets
import plotly.graph_objects as go
import traitlets

from bmix_lite.base.errors import BmixError, require_choice
from bmix_lite.base.files import read_static
from bmix_lite.widgets.controls import describe_control, label_control
from bmix_lite.widgets.frames import FRAMES_MIME, pack_frames

PLOTLY_MIME = "application/vnd.plotly.v1+json"
# a widget's own script and state, alive in pages too
MODULE_MIME = "application/vnd.bmix-lite.module+json"
# set while a notebook runs to become a page: explorers store what they can show
PRECOMPUTE = "BMIX_LITE_PRECOMPUTE"
CONFIG = {"responsive": True, "displaylogo": False}  # responsive: as wide as there is room
EXPLORER_WIDTH = "30rem"  # of a control


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
    """plotly's live figure, as wide as there is room; all in a page share a copy of its script."""

    _script = traitlets.Unicode(str(go.FigureWidget._esm)).tag(sync=True)
    _esm = read_static("figure.js")


class LiveFigure(ipywidgets.VBox):
    """Plotly figures that are redrawn in place; the first is also shown without a kernel."""

    def __init__(self, figures, controls=(), name="LiveFigure", pack=None):
        self.figures = [Figure(figure) for figure in figures]
        for figure in self.figures:
            figure._config = figure._config | CONFIG
        self._static = figures[0]  # not the live one: each of its traces gets a random uid
        self.message = ipywidgets.HTML()
        self._name = name
        self._pack = pack
        super().__init__([*controls, *self.figures, self.message])

    def redraw(self, figures):
        """Replace the content of each figure, in one message to the page per figure."""
        self._static = figures[0]
        for live, fresh in zip(self.figures, figures, strict=True):
            with live.batch_update():
                _replace_traces(live, fresh)
                live.layout.update(_replacing(live.layout, fresh.layout), overwrite=True)

    def show_error(self, error):
        """Tell the reader what went wrong, as text; None clears it."""
        if error is None:
            self.message.value = ""
            return
        text = html.escape(f"{type(error).__name__}: {error}")
        self.message.value = f"<p role='alert'><b>Not drawn.</b> {text}</p>"

    def _repr_mimebundle_(self, **keywords):
        # beside the live view a static one: notebooks are also read where no kernel runs
        bundle = super()._repr_mimebundle_(**keywords)
        bundle["text/plain"] = self._name
        bundle[PLOTLY_MIME] = self._static.to_plotly_json()
        if self._pack and os.environ.get(PRECOMPUTE):
            bundle[FRAMES_MIME] = self._pack_or_explain()
        return bundle

    def _pack_or_explain(self):
        """The frames, or why there are none: a page then shows that below the static figure."""
        try:
            return self._pack()
        except BmixError as error:
            return {"error": str(error)}


def _replace_traces(live, fresh):
    """Update the traces in place where their number and types are the same."""
    if [trace.type for trace in live.data] == [trace.type for trace in fresh.data]:
        for old, new in zip(live.data, fresh.data, strict=True):
            old.update(_replacing(old, new) | {"uid": old.uid}, overwrite=True)
    else:
        live.data = []
        live.add_traces(list(fresh.data))


def _replacing(old, new):
    """The update that makes `old` like `new`, except its width: what `new` lacks is set to None."""
    content = new.to_plotly_json()
    missing = set(old.to_plotly_json()) - set(content) - {"width", "autosize"}
    return dict.fromkeys(missing) | content


class StaticTwin:
    """A widget with its own script, alive in pages too; drawn by plotly where no kernel runs.

    Beside anywidget.AnyWidget; needs `draw_twin()`, and `page_state`: the names of the traits that
    its script reads.
    """

    def _repr_mimebundle_(self, **keywords):
        bundle, metadata = super()._repr_mimebundle_(**keywords)
        bundle["text/plain"] = repr(self)
        bundle[PLOTLY_MIME] = self.draw_twin().to_plotly_json()
        if os.environ.get(PRECOMPUTE):
            state = {name: getattr(self, name) for name in self.page_state}
            bundle[MODULE_MIME] = {"esm": str(self._esm), "css": str(self._css), "state": state}
        return bundle, metadata


def explore(figure_functions, *, picks=None, **arguments):
    """Show figure_function(**arguments), redrawn in place whenever a control moves.

    figure_functions: one function, or several that share the arguments, each given those that it
                      names; a plotly Figure each
    arguments: those that are ipywidgets become controls, all others pass through unchanged
    picks: {"x": argument, "y": argument}: a click on the first figure sets these controls to where
           it hit
    An error while drawing is shown below the figure, and the next move works again. In an exported
    page the same figures answer to the same controls without a kernel (`frames`). Raises BmixError
    if there is no control, or an argument or pick that is not used.
    """
    several = isinstance(figure_functions, (list, tuple))
    functions = figure_functions if several else [figure_functions]
    controls = _find_controls(arguments)
    picks = picks or {}
    calls = [(function, _names_taken(function, arguments)) for function in functions]
    _check_used(arguments, calls)
    _check_picks(picks, controls)

    def draw(values):
        given = arguments | dict(zip(controls, values, strict=True))
        return [function(**{name: given[name] for name in names}) for function, names in calls]

    def pack():
        described = [describe_control(control) for control in controls.values()]
        order = list(controls)
        return pack_frames(draw, described, {axis: order.index(picks[axis]) for axis in picks})

    shown = [_lay_out_control(name, control) for name, control in controls.items()]
    call = _describe_call(functions[0], controls)
    live = LiveFigure(draw(_read_values(controls)), shown, call, pack)
    _redraw_on_change(live, draw, controls)
    if picks:
        _follow_clicks(live.figures[0], {axis: controls[name] for axis, name in picks.items()})
    return live


def _find_controls(arguments):
    """{argument: widget} of those that a reader can move."""
    controls = {
        name: value
        for name, value in arguments.items()
        if isinstance(value, ipywidgets.ValueWidget)
    }
    if not controls:
        raise BmixError("explore needs at least one ipywidget among its arguments")
    return controls


def _names_taken(function, arguments):
    """The arguments that a figure function names; all, if it takes any."""
    parameters = inspect.signature(function).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return list(arguments)
    return [parameter.name for parameter in parameters if parameter.name in arguments]


def _check_used(arguments, calls):
    used = {name for _, names in calls for name in names}
    for name in arguments:
        if name not in used:
            raise BmixError(f"no figure function takes an argument {name!r}")


def _check_picks(picks, controls):
    for axis, name in picks.items():
        require_choice("an axis of picks", axis, ("x", "y"))
        require_choice("a control of picks", name, tuple(controls))


def _read_values(controls):
    return [control.value for control in controls.values()]


def _describe_call(function, controls):
    settings = ", ".join(f"{name}={control.value!r}" for name, control in controls.items())
    return f"explore({function.__name__}, {settings})"


def _lay_out_control(name, control):
    """The control with its label; a player gets a slider beside it, which shows where it is."""
    label_control(name, control)
    if not isinstance(control, ipywidgets.Play):
        control.layout.width = EXPLORER_WIDTH
        return control
    same = ("value", "min", "max", "step", "description")
    slider = ipywidgets.IntSlider(**{key: getattr(control, key) for key in same})
    ipywidgets.link((control, "value"), (slider, "value"))
    label_control(name, slider)
    slider.layout.width = EXPLORER_WIDTH
    return ipywidgets.HBox([control, slider])


def _redraw_on_change(live, draw, controls):
    def redraw(_):
        try:
            live.redraw(draw(_read_values(controls)))
            live.show_error(None)
        # any mistake in a figure function belongs to the reader, not to a log
        except Exception as error:
            live.show_error(error)

    for control in controls.values():
        control.observe(redraw, names="value")


def _follow_clicks(figure, controls):
    """A click sets the controls, {"x" or "y": widget}, to the point that it hits."""

    def follow(_, points, __):
        for axis, control in controls.items():
            hit = points.xs if axis == "x" else points.ys
            if len(hit):
                control.value = hit[0]

    for trace in figure.data:
        trace.on_click(follow)
