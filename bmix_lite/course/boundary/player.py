"""A button that trains while you watch: redraw, take the next record, redraw."""

import asyncio

import ipywidgets

from bmix_lite.base.errors import require
from bmix_lite.widgets.explore import LiveFigure, label_control


class TrainingPlayer(LiveFigure):
    """Controls, "Train" and "Stop"; `await run()` is what "Train" starts.

    start(**values): returns an iterator of records, for the values of the controls
    draw(record): returns the figure of one record
    first: the figure shown before anything was trained
    """

    def __init__(self, start, draw, first, **controls):
        require(callable(start) and callable(draw), "start and draw must be functions")
        self._start = start
        self._draw_record = draw
        self.inputs = controls
        self.train_button = ipywidgets.Button(description="Train", icon="play")
        self.stop_button = ipywidgets.Button(description="Stop", icon="stop", disabled=True)
        for name, control in controls.items():
            label_control(name, control)
        buttons = ipywidgets.HBox([*controls.values(), self.train_button, self.stop_button])
        super().__init__([first], [buttons], "TrainingPlayer()")
        self.add_class("training-player")
        self._running = False
        self._task = None
        self.train_button.on_click(self._begin)
        self.stop_button.on_click(self._end)

    async def run(self):
        """Train and redraw after each record, until the end or "Stop"; an error is shown."""
        self._set_running(True)
        try:
            values = {name: control.value for name, control in self.inputs.items()}
            for record in self._start(**values):
                self.redraw([self._draw_record(record)])
                await asyncio.sleep(0.01)  # lets the kernel hear "Stop" and the page draw
                if not self._running:
                    break
            self.show_error(None)
        except Exception as error:  # as in explore: the reader sees it, and can press again
            self.show_error(error)
        finally:
            self._set_running(False)

    def _begin(self, _):
        self._task = asyncio.ensure_future(self.run())  # kept, as the loop holds tasks only weakly

    def _end(self, _):
        self._running = False

    def _set_running(self, running):
        self._running = running
        self.train_button.disabled = running
        self.stop_button.disabled = not running
