"""One notebook executed by papermill, in a kernel that can be watched, stopped, and questioned."""

import contextlib
import functools
import os
import signal
import threading
import time
from pathlib import Path

from bmix_lite.base.files import write_atomic
from bmix_lite.base.ipynb import KERNEL, QUIET, read_notebook
from bmix_lite.sweeps.provisioner import make_provisioner

ENGINE = "bmix_lite"
PARTIAL = "notebook.partial.ipynb"
MARKER = "papermill-error-cell-tag"  # on the two cells that papermill adds where one failed
SAVE_EVERY = 1.0  # seconds
STARTUP = 120  # seconds that a kernel may take to start on a machine under load


class NoResult(Exception):
    """The notebook ended, but what it was run for is not there."""


class Watch:
    """What others may know of an execution while it runs, and how they stop it; thread-safe."""

    def __init__(self, timeout=None):
        self.timeout = timeout  # seconds
        self.started = time.monotonic()
        self.cell = 0  # the cell that runs, counted from 1 in the notebook as its author knows it
        self.cells = 0
        self.reached = 0  # as `cell`, with the cell that papermill adds for the parameters
        self.process = None  # the kernel's
        self.stopped = None  # why `stop` was called
        self.oom = False  # True if the system ended processes for lack of memory meanwhile
        self._lock = threading.Lock()

    def begin(self, process, cells):
        """A kernel is there for these cells; it is killed at once if `stop` came first."""
        with self._lock:
            self.process = process
            self.cells = _count(cells)
            if self.stopped:
                self._kill()

    def stop(self, reason):
        """Kill the kernel and its children. What it has saved stays, and no file is cut by it."""
        with self._lock:
            self.stopped = self.stopped or reason
            if self.process is not None:
                self._kill()

    def exit_code(self):
        """Of the kernel: negative for a signal, None if it is not known."""
        return None if self.process is None else self.process.poll()

    def _kill(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)  # a kernel leads its own session


def execute(
    notebook,
    output,
    parameters,
    *,
    watch=None,
    env=None,
    cwd=None,
    own="",
    check=None,
    server=None,
):
    """One papermill execution; `output` is replaced only once the notebook ran to its end.

    env: more environment variables for the kernel; cwd: its folder; own: a Python file to run first
    server: a ForkServer that starts the kernel, if it can
    check: called after the last cell, False raises NoResult
    What ran before an error stays beside `output` as notebook.partial.ipynb, in which cells that
    never ran are marked so. Raises what papermill raises.
    """
    import nbformat

    _register_engine()
    output = Path(output)
    watch = watch or Watch()
    partial = output.with_name(PARTIAL)
    output.parent.mkdir(parents=True, exist_ok=True)
    partial.unlink(missing_ok=True)  # never through a link, nor into an older one
    try:
        with _time_limit(watch):
            options = {"watch": watch, "env": env, "kernel_folder": cwd, "server": server}
            executed = _run_papermill(notebook, partial, parameters, own, options)
            if check is not None and not check():
                raise NoResult
    except BaseException:
        _mark_unrun(partial, watch.reached)
        raise
    executed.metadata.pop("widgets", None)  # one FigureWidget stores 5 MB of plotly.js
    write_atomic(output, nbformat.writes(executed))
    partial.unlink(missing_ok=True)


@contextlib.contextmanager
def _time_limit(watch):
    """Stop what is watched after its timeout."""
    if not watch.timeout:
        yield
        return
    timer = threading.Timer(watch.timeout, watch.stop, ["timed out"])
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _run_papermill(notebook, partial, parameters, own, options):
    """The executed notebook, which papermill writes to `partial` as it goes on.

    options: of our engine
    """
    import papermill

    kernel_arguments = list(QUIET)
    if own:
        kernel_arguments.append(f"--IPKernelApp.exec_files={own}")
    return papermill.execute_notebook(
        _escape(notebook),
        _escape(partial),
        parameters,
        engine_name=ENGINE,
        progress_bar=False,
        log_output=False,
        kernel_name=KERNEL,  # also for a notebook that names none
        language="python",
        extra_arguments=kernel_arguments,
        **options,
    )


def _escape(path):
    """A path as papermill wants it, which formats it."""
    return str(path).replace("{", "{{").replace("}", "}}")


def _mark_unrun(partial, reached):
    """Mark the cells that never ran, which papermill calls completed after a kill, and the failure.

    reached: how many cells began.
    """
    import nbformat

    if not partial.is_file():
        return
    # a disk that is full must not hide the error that brought us here
    with contextlib.suppress(OSError, ValueError):
        content = read_notebook(partial)
        content.metadata.setdefault("papermill", {})["exception"] = True
        cells = [cell for cell in content.cells if MARKER not in cell.metadata.get("tags", [])]
        for cell in cells[reached:]:
            cell.metadata.setdefault("papermill", {})["status"] = "pending"
        write_atomic(partial, nbformat.writes(content))


def _count(cells):
    return sum("injected-parameters" not in cell.metadata.get("tags", []) for cell in cells)


def _make_client_class():
    """papermill's client, which tells its `watch` of the kernel and of each cell that begins."""
    from papermill.clientwrap import PapermillNotebookClient

    class Client(PapermillNotebookClient):
        watch = None
        server = None

        def create_kernel_manager(self):
            manager = super().create_kernel_manager()
            if self.server is not None:
                manager.provisioner = make_provisioner(manager, self.server)
            return manager

        def papermill_execute_cells(self):
            self.watch.begin(self.km.provisioner.process, self.nb.cells)
            super().papermill_execute_cells()

        def execute_cell(self, cell, cell_index, *rest, **named):
            self.watch.reached = cell_index + 1
            self.watch.cell = _count(self.nb.cells[: cell_index + 1])
            return super().execute_cell(cell, cell_index, *rest, **named)

    return Client


def _save_seldom(manager):
    """Let papermill write the notebook once a second, not twice per cell, and at its end."""
    save = manager.save

    def save_now_and_then(**named):
        is_over = manager.end_time is not None
        if is_over or (manager.now() - manager.last_save_time).total_seconds() > SAVE_EVERY:
            save(**named)

    manager.save = save_now_and_then


@functools.cache
def _register_engine():
    """Make papermill know an engine that hands its kernel to the Watch; once, on first use."""
    import logging

    from papermill.engines import NBClientEngine, papermill_engines

    make_client = _make_client_class()
    log = logging.getLogger("bmix_lite.sweeps.kernels")
    log.setLevel(logging.CRITICAL)  # its errors are in the ending, in better words

    class Engine(NBClientEngine):
        @classmethod
        def execute_managed_notebook(
            cls, nb_man, kernel_name, *, watch, server, env, kernel_folder, extra_arguments, **_
        ):
            client = make_client(
                nb_man,
                kernel_name=kernel_name,
                extra_arguments=extra_arguments,
                startup_timeout=STARTUP,
                log=log,
                # nothing is left to do: a kernel asked politely takes 3 s to end after a training
                shutdown_kernel="immediate",
            )
            _save_seldom(nb_man)
            client.watch = watch
            client.server = server
            folder = {} if kernel_folder is None else {"cwd": str(kernel_folder)}
            client.execute(env=os.environ | (env or {}), **folder)

    papermill_engines.register(ENGINE, Engine)
