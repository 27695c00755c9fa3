"""One run of a sweep, tried until it has ended, and its ending told truly: what each thread or worker does."""

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bmix_lite.base.errors import require
from bmix_lite.base.files import write_json
from bmix_lite.runs.complete import (
    RESULT,
    TASK,
    holds_result,
    is_complete,
    read_note,
    refuse_other_run,
)
from bmix_lite.runs.ledger import append_ledger
from bmix_lite.sweeps.kernels import Watch, execute

RETRIED = (
    "killed",
    "out of memory",
    "timed out",
    "not started",
)  # a cell's own error would come again
STARTS = (
    3  # tries to start a kernel, beyond `retries`: four that start at once can draw one port twice
)
LONGEST = 2000  # characters of an error's text that the ledger keeps
MEMORY = ("MemoryError", "OutOfMemoryError", "can't allocate memory", "CUDA out of memory")


@dataclass(frozen=True)
class Task:
    """One run to do: `notebook`, a file that will not change, with `parameters`, its result into `folder`."""

    notebook: Path
    folder: Path
    parameters: dict
    cwd: str = ""
    own: str = ""  # a Python file that the kernel runs first


@dataclass(frozen=True)
class Ending:
    """How one run ended: status is "reused", or one of the ledger's; error in words."""

    folder: Path
    status: str
    error: str = ""

    @property
    def good(self):
        """True where a whole result lies in the folder."""
        return self.status in ("complete", "reused")


def run_task(task, sweep, *, timeout=None, retries=1, env=None, watches=None):
    """Execute a Task in a kernel of its own, again where it was killed or timed out; returns an Ending.

    sweep: a name for this sweep: a task whose process died more than `retries` times in it is given up, whoever
    runs it. timeout: seconds a try; env: for the kernel; watches: {run id: Watch}, kept up to date for others.
    A try goes on from the checkpoint of the one before. Raises nothing that a notebook can cause.
    """
    folder, watches, starts = task.folder, {} if watches is None else watches, 0
    noted = read_note(folder)
    tried = noted.get("tries", 0) if noted.get("sweep") == sweep else 0
    if is_complete(folder):
        return Ending(folder, "complete")  # done by a worker that was lost before it could say so
    status, error = "killed", f"given up: the process that ran it died {tried} times"
    if tried > retries:
        _tell(folder, status, error=error, tries=tried)
    while tried <= retries:
        tried += 1
        watch = Watch(timeout)
        status, error = "complete", ""
        watches[folder.name] = watch
        try:
            _try(task, watch, env, sweep, tried)
        except (
            Exception
        ) as problem:  # whatever a notebook or a disk can raise, the other runs go on
            status, error = _describe(problem, watch)
        finally:
            watches.pop(folder.name, None)
        if status == "not started" and (starts := starts + 1) < STARTS:
            tried -= 1
        if status != "complete":
            _tell(folder, status, error=error, tries=tried)
        if status not in RETRIED:
            break
    return Ending(folder, status, error)


def _try(task, watch, env, sweep, tried):
    require(not task.folder.is_symlink(), f"{task.folder} is a link: nothing is written through it")
    refuse_other_run(task.folder)  # nothing of it is touched
    started = time.monotonic()
    (task.folder / RESULT).unlink(
        missing_ok=True
    )  # an old result must not stand for that of this try
    _note(task, sweep, tried)
    killed = _count_oom_kills()
    notebook = task.folder / "notebook.ipynb"
    options = {"watch": watch, "env": env, "cwd": task.cwd or None, "own": task.own}
    try:
        execute(
            task.notebook,
            notebook,
            task.parameters,
            check=lambda: holds_result(task.folder),
            **options,
        )
    except Exception:
        watch.oom = _count_oom_kills() > killed
        raise
    _note(
        task, sweep, tried, wall=round(time.monotonic() - started, 1)
    )  # without it the run is not complete


def _describe(problem, watch):
    """(status, text) of what papermill, nbclient or the file system raised; the cell is counted from 1."""
    kind, code = type(problem).__name__, watch.exit_code()
    place = f"in cell {watch.cell} of {watch.cells}" if watch.cell else "before the first cell"
    if watch.stopped:
        after = f" after {watch.timeout:g} s" if watch.stopped == "timed out" else ""
        return watch.stopped, f"{watch.stopped} {place}{after}"
    if kind == "PapermillExecutionError":
        text = f"cell {watch.cell}: {problem.ename}: {problem.evalue}"[:LONGEST]
        return ("out of memory" if any(word in text for word in MEMORY) else "failed"), text
    if kind == "NoResult":
        return "no result", f"the notebook ended {place} without writing a whole result"
    if kind == "DeadKernelError" or (code is not None and code < 0):
        if watch.oom:
            return "out of memory", f"the system ended the kernel {place}: no memory was left"
        return "killed", f"the kernel died {place}" + (
            f", exit code {code}" if code is not None else ""
        )
    if (
        kind in ("RuntimeError", "TimeoutError")
        and "kernel" in str(problem).lower()
        and not watch.cell
    ):
        return "not started", f"the kernel did not start: {problem}".splitlines()[0]
    return "failed", f"{kind}: {problem}".splitlines()[0]


def _tell(folder, status, **details):
    with suppress(OSError):  # on a full disk: the sweep still tells
        append_ledger(folder.parent, folder.name, status, **details)


def _note(task, sweep, tries, **more):
    write_json(
        task.folder / TASK, {"notebook": task.notebook.stem, "sweep": sweep, "tries": tries} | more
    )


def _count_oom_kills(group="/sys/fs/cgroup/memory.events"):
    """How often the kernel of the system has killed a process of this group for want of memory; 0 if unknown."""
    with suppress(OSError, ValueError), open(group) as file:
        return sum(int(count) for name, count in map(str.split, file) if name == "oom_kill")
    return 0


def kernel_environment(jobs, device=None):
    """Variables that keep kernels side by side from fighting: cores shared out, and a GPU where `device` is one."""
    threads = str(max(1, (os.cpu_count() or 1) // jobs))
    env = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), threads)
    # glibc gives large blocks back at once and fetches them anew for each batch: not below 1 GiB. The same bits in
    # 0.6 to 0.7 of the processor time at 64 px, benchmarks/environment.py; other C libraries do not read these
    env |= dict.fromkeys(("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"), str(1 << 30))
    env = {name: value for name, value in env.items() if name not in os.environ}
    return env if device is None else env | {"CUDA_VISIBLE_DEVICES": str(device)}
