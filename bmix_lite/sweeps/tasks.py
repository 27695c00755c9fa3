"""One run of a sweep, tried until it has ended: what each thread or worker does.

Whether a run is complete is decided in `runs.complete`.
"""

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bmix_lite.base.errors import BmixError
from bmix_lite.base.files import write_json
from bmix_lite.runs.complete import RESULT, TASK, holds_result, is_complete, read_note
from bmix_lite.runs.identity import refuse_other_run
from bmix_lite.runs.ledger import append_ledger
from bmix_lite.sweeps.kernels import Watch, execute

# a cell's own error is not among these: it would come again
RETRIED = ("killed", "out of memory", "timed out", "not started")
STARTS = 3  # starts of a kernel besides `retries`: of four at once, two can draw the same port
LONGEST = 2000  # characters of an error's text that the ledger keeps
MEMORY = ("MemoryError", "OutOfMemoryError", "can't allocate memory", "CUDA out of memory")


@dataclass(frozen=True)
class Task:
    """One run to do: execute `notebook`, a file that will not change, with `parameters`."""

    notebook: Path
    folder: Path  # where its result goes
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
        """True if the run is complete."""
        return self.status in ("complete", "reused")


def run_task(task, sweep, *, timeout=None, retries=1, env=None, watches=None, server=None):
    """Execute a Task in its own kernel, again if it was killed or timed out; returns an Ending.

    sweep: this sweep's name; a task whose process died more than `retries` times in it is given up
    timeout: seconds per try; env: variables for the kernel; server: a ForkServer for it, or None
    watches: {run id: Watch} of what runs now, kept up to date for others
    Each try goes on from the checkpoint of the last. Raises nothing that a notebook can cause.
    """
    folder = task.folder
    watches = {} if watches is None else watches
    if is_complete(folder):  # done by a worker that was lost before it could say so
        return Ending(folder, "complete")
    tries = _count_tries(folder, sweep)
    if tries > retries:
        error = f"given up: the process that ran it died {tries} times"
        _tell(folder, "killed", error=error, tries=tries)
        return Ending(folder, "killed", error)
    starts = 0
    while tries <= retries:
        tries += 1
        watch = Watch(timeout)
        watches[folder.name] = watch
        try:
            status, error = _try(task, watch, {"env": env, "server": server}, sweep, tries)
        finally:
            watches.pop(folder.name, None)
        if status == "not started":
            starts += 1
            if starts < STARTS:
                tries -= 1
        if status != "complete":
            _tell(folder, status, error=error, tries=tries)
        if status not in RETRIED:
            break
    return Ending(folder, status, error)


def kernel_environment(jobs, device=None):
    """Environment variables for one of `jobs` kernels side by side: cores shared out, and the GPU.

    device: number of a GPU, or None for whatever is there. Variables that are set stay as they are.
    """
    threads = str(max(1, (os.cpu_count() or 1) // jobs))
    env = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), threads)
    # glibc gives large blocks back at once and fetches them anew for each batch: not below 1 GiB.
    # The same bits in 0.6 to 0.7 of the processor time at 64 px, benchmarks/environment.py; other
    # C libraries do not read these
    env |= dict.fromkeys(("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"), str(1 << 30))
    env = {name: value for name, value in env.items() if name not in os.environ}
    if device is not None:
        env["CUDA_VISIBLE_DEVICES"] = str(device)
    return env


def _count_tries(folder, sweep):
    note = read_note(folder)
    return note.get("tries", 0) if note.get("sweep") == sweep else 0


def _try(task, watch, kernel, sweep, tries):
    """(status, error) of one try."""
    try:
        _execute(task, watch, kernel, sweep, tries)
    except Exception as problem:  # of a notebook or a disk: the other runs go on
        return _describe(problem, watch)
    return "complete", ""


def _execute(task, watch, kernel, sweep, tries):
    if task.folder.is_symlink():
        raise BmixError(f"{task.folder} is a link: nothing is written through it")
    refuse_other_run(task.folder)  # nothing of it is touched
    started = time.monotonic()
    (task.folder / RESULT).unlink(missing_ok=True)  # an old result must not stand for this try's
    _note(task, sweep, tries)
    killed = _count_oom_kills()
    try:
        execute(
            task.notebook,
            task.folder / "notebook.ipynb",
            task.parameters,
            watch=watch,
            cwd=task.cwd or None,
            own=task.own,
            check=lambda: holds_result(task.folder),
            **kernel,
        )
    except Exception:
        watch.oom = _count_oom_kills() > killed
        raise
    wall = round(time.monotonic() - started, 1)
    _note(task, sweep, tries, wall=wall)  # without it the run is not complete


def _describe(problem, watch):
    """(status, error) for what papermill, nbclient or the file system raised."""
    kind = type(problem).__name__
    where = f"in cell {watch.cell} of {watch.cells}" if watch.cell else "before the first cell"
    if watch.stopped:
        after = f" after {watch.timeout:g} s" if watch.stopped == "timed out" else ""
        return watch.stopped, f"{watch.stopped} {where}{after}"
    if kind == "PapermillExecutionError":
        error = f"cell {watch.cell}: {problem.ename}: {problem.evalue}"[:LONGEST]
        return "out of memory" if any(word in error for word in MEMORY) else "failed", error
    if kind == "NoResult":
        return "no result", f"the notebook ended {where} without writing a whole result"
    if kind == "DeadKernelError" or (watch.exit_code() or 0) < 0:
        return _describe_death(watch, where)
    could_not_start = kind in ("RuntimeError", "TimeoutError") and "kernel" in str(problem).lower()
    if could_not_start and not watch.cell:
        return "not started", f"the kernel did not start: {problem}".splitlines()[0]
    return "failed", f"{kind}: {problem}".splitlines()[0]


def _describe_death(watch, where):
    if watch.oom:
        return "out of memory", f"the system ended the kernel {where}: no memory was left"
    code = watch.exit_code()
    with_code = "" if code is None else f", exit code {code}"
    return "killed", f"the kernel died {where}{with_code}"


def _tell(folder, status, **details):
    with suppress(OSError):  # on a full disk: the sweep still tells
        append_ledger(folder.parent, folder.name, status, **details)


def _note(task, sweep, tries, **more):
    note = {"notebook": task.notebook.stem, "sweep": sweep, "tries": tries}
    write_json(task.folder / TASK, note | more)


def _count_oom_kills(group="/sys/fs/cgroup/memory.events"):
    """How many processes of this group the system has killed for lack of memory; 0 if unknown."""
    with suppress(OSError, ValueError), open(group) as file:
        return sum(int(count) for name, count in map(str.split, file) if name == "oom_kill")
    return 0
