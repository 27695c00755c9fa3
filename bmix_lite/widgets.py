"""Live controls around any figure function, redrawn in place; a static figure where no kernel runs."""

import html

import ipywidgets
import plotly.graph_objects as go

from bmix_lite.errors import require

PLOTLY_MIME = "application/vnd.plotly.v1+json"


class LiveFigure(ipywidgets.VBox):
    """Plotly figures that are redrawn in place. Saved without a kernel it still shows its first figure."""

    def __init__(self, figures, controls=(), name="LiveFigure"):
        self.figures = [go.FigureWidget(figure) for figure in figures]
        self._static = figures[0]  # not the live one: each of its traces gets a random uid
        self.message = ipywidgets.HTML()
        self._name = name
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
        return bundle | {"text/plain": self._name, PLOTLY_MIME: self._static.to_plotly_json()}


def _replacing(old, new):
    """The update that leaves nothing of `old`: what `new` does not have is set to None."""
    fresh = new.to_plotly_json()
    return dict.fromkeys(set(old.to_plotly_json()) - set(fresh)) | fresh


def explore(figure_functions, **arguments):
    """Show figure_function(**arguments), redrawn in place whenever a control moves.

    figure_functions: one function, or several that share the arguments; each returns a plotly Figure
    arguments: those that are ipywidgets become controls, all others pass through unchanged
    An error while drawing is shown below the figure, and the next move works again.
    """
    functions = figure_functions if isinstance(figure_functions, (list, tuple)) else [figure_functions]
    controls = {k: v for k, v in arguments.items() if isinstance(v, ipywidgets.ValueWidget)}
    require(bool(controls), "explore needs at least one ipywidget among its arguments")
    for name, control in controls.items():
        control.description = control.description or name
        control.style.description_width, control.layout.width = "initial", "30rem"

    def draw():
        values = arguments | {name: control.value for name, control in controls.items()}
        return [function(**values) for function in functions]

    settings = ", ".join(f"{name}={control.value!r}" for name, control in controls.items())
    live = LiveFigure(draw(), controls.values(), f"explore({functions[0].__name__}, {settings})")

    def redraw(_):
        try:
            live.redraw(draw())
            live.show_error(None)
        except Exception as error:  # any mistake in a figure function belongs to the reader, not to a log
            live.show_error(error)

    for control in controls.values():
        control.observe(redraw, names="value")
    return live
