"""One notebook executed by papermill in a kernel that can be watched, stopped, and asked how it ended."""

import contextlib
import functools
import os
import signal
import threading
import time
from pathlib import Path

from bmix_lite.base.files import write_atomic
from bmix_lite.base.ipynb import KERNEL, QUIET, read_notebook

ENGINE = "bmix_lite"
PARTIAL = "notebook.partial.ipynb"
MARKER = "papermill-error-cell-tag"  # on the two cells that papermill adds to a notebook in which one failed
STARTUP = 120  # seconds that a kernel may take to start on a machine under load


class NoResult(Exception):
    """The notebook ended, but what it was run for is not there."""


class Watch:
    """What others may know of an execution while it runs, and how they stop it; safe between threads."""

    def __init__(self, timeout=None):
        self.timeout, self.started = timeout, time.monotonic()
        self.cell = self.cells = (
            0  # the cell that runs, counted from 1 in the notebook as its author knows it
        )
        self.reached = 0  # the same, with the cell that papermill adds for the parameters
        self.process, self.stopped = None, None  # stopped: why `stop` was called
        self.oom = False  # True where the system ended processes for want of memory meanwhile
        self._lock = threading.Lock()

    def begin(self, process, cells):
        """A kernel is there for these cells; it is killed at once where `stop` came first."""
        with self._lock:
            self.process, self.cells = process, _count(cells)
            if self.stopped:
                self._kill()

    def stop(self, reason):
        """Kill the kernel and its children. What it has saved stays, and no file can be cut by it."""
        with self._lock:
            self.stopped = self.stopped or reason
            if self.process is not None:
                self._kill()

    def exit_code(self):
        """Of the kernel: negative for a signal, None if it is not known."""
        return None if self.process is None else self.process.poll()

    def _kill(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)  # a kernel leads a session of its own


def execute(notebook, output, parameters, *, watch=None, env=None, cwd=None, own="", check=None):
    """One papermill execution; `output` is replaced only once the notebook ran to its end.

    env: more environment variables for the kernel; cwd: its folder; own: a Python file that it runs first
    check: called after the last cell, False raises NoResult
    What ran before an error stays beside `output` as notebook.partial.ipynb, in which cells that never ran are marked
    so. Raises what papermill raises.
    """
    import nbformat
    import papermill

    _register()
    output, watch = Path(output), watch or Watch()
    partial = output.with_name(PARTIAL)
    output.parent.mkdir(parents=True, exist_ok=True)
    partial.unlink(missing_ok=True)  # never through a link, nor into an older one
    settings = {
        "engine_name": ENGINE,
        "progress_bar": False,
        "log_output": False,
        "extra_arguments": list(QUIET),
    }
    settings["extra_arguments"] += [f"--IPKernelApp.exec_files={own}"] * bool(own)
    settings |= {"kernel_name": KERNEL, "language": "python"}  # also for a notebook that names none
    timer = threading.Timer(watch.timeout, watch.stop, ["timed out"]) if watch.timeout else None
    try:
        if timer:
            timer.start()
        paths = [
            str(path).replace("{", "{{").replace("}", "}}") for path in (notebook, partial)
        ]  # it formats them
        done = papermill.execute_notebook(
            *paths, parameters, watch=watch, env=env, kernel_folder=cwd, **settings
        )
        if check is not None and not check():
            raise NoResult
    except BaseException:
        _mark_unrun(partial, watch.reached)
        raise
    finally:
        if timer:
            timer.cancel()
    done.metadata.pop("widgets", None)  # one FigureWidget stores 5 MB of plotly.js
    write_atomic(output, nbformat.writes(done))
    partial.unlink(missing_ok=True)


def _mark_unrun(partial, reached):
    """papermill calls all cells completed after a kill: mark those that never ran, and the notebook as failed."""
    import nbformat

    if not partial.is_file():
        return
    try:
        content = read_notebook(partial)
        content.metadata.setdefault("papermill", {})["exception"] = True
        cells = [cell for cell in content.cells if MARKER not in cell.metadata.get("tags", [])]
        for cell in cells[reached:]:
            cell.metadata.setdefault("papermill", {})["status"] = "pending"
        write_atomic(partial, nbformat.writes(content))
    except (
        OSError,
        ValueError,
    ):  # a disk that is full must not hide the error that brought us here
        return


def _count(cells):
    return sum("injected-parameters" not in cell.metadata.get("tags", []) for cell in cells)


@functools.cache
def _register():
    """Make papermill know an engine that hands its kernel to the Watch; once, on first use."""
    import logging

    from papermill.clientwrap import PapermillNotebookClient
    from papermill.engines import NBClientEngine, papermill_engines

    log = logging.getLogger("bmix_lite.sweeps.kernels")
    log.setLevel(
        logging.CRITICAL
    )  # what it would print of an error is in the ending, in better words

    class Client(PapermillNotebookClient):
        watch = None

        def papermill_execute_cells(self):
            self.watch.begin(self.km.provisioner.process, self.nb.cells)
            super().papermill_execute_cells()

        def execute_cell(self, cell, cell_index, *rest, **named):
            self.watch.reached = cell_index + 1
            self.watch.cell = _count(self.nb.cells[: cell_index + 1])
            return super().execute_cell(cell, cell_index, *rest, **named)

    class Engine(NBClientEngine):
        @classmethod
        def execute_managed_notebook(
            cls, nb_man, kernel_name, *, watch, env, kernel_folder, extra_arguments, **_
        ):
            options = {"extra_arguments": extra_arguments, "startup_timeout": STARTUP, "log": log}
            # nothing is left to do: a kernel that is asked politely takes 3 s to end, after a training
            options["shutdown_kernel"] = "immediate"
            client = Client(nb_man, kernel_name=kernel_name, **options)
            client.watch = watch
            folder = {} if kernel_folder is None else {"cwd": str(kernel_folder)}
            client.execute(env=os.environ | (env or {}), **folder)

    papermill_engines.register(ENGINE, Engine)
