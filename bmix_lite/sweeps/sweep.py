"""A grid of parameters as papermill runs: checked first, resumed where interrupted.

How each run ended is told truly in the ledger; whether it is complete, `runs.complete` decides.
"""

import re
import secrets
import signal
import threading
from collections import Counter
from concurrent.futures import FIRST_COMPLETED, CancelledError, wait
from contextlib import contextmanager, suppress
from pathlib import Path

from bmix_lite.base.errors import BmixError, require_integer
from bmix_lite.base.limits import require_files
from bmix_lite.base.locks import locked
from bmix_lite.data.prepared import verify_images
from bmix_lite.runs.complete import is_complete, list_complete
from bmix_lite.runs.ledger import append_ledger
from bmix_lite.sweeps.grids import expand_grid
from bmix_lite.sweeps.plans import SWEEP, keep_plan, plan_runs
from bmix_lite.sweeps.pools import Cluster, Threads
from bmix_lite.sweeps.progress import Display
from bmix_lite.sweeps.tasks import Ending

DEVICE = r"\d+|(GPU|MIG)-[\w-]+"  # as nvidia-smi -L lists them
MOST_JOBS = 1024  # kernels side by side on one machine
__all__ = [
    "Ending",
    "describe_endings",
    "expand_grid",
    "find_beside",
    "plan_runs",
    "run_grid",
    "run_plan",
]


def find_beside(name, notebook):
    """The file `name`, or the one of that name beside `notebook`: cells may run elsewhere."""
    path = Path(name)
    return path if path.exists() else Path(notebook).with_name(path.name)


def run_grid(notebook, grid, out, *, own=None, **options):
    """Run the notebook once per set of parameters; returns an Ending per run, in grid order.

    grid: dicts of parameters (see `grids`); a run that stands in it twice is done once
    out: the experiment's folder, used by one sweep at a time
    own: a Python file that adds your own methods, run before each notebook (see `plan_runs`)
    options: see `run_plan`. Raises BmixError before any kernel starts if a parameter is wrong or
    the folder is in use.
    """
    return run_plan(plan_runs(notebook, grid, out, own=own), **options)


def run_plan(
    plan,
    *,
    jobs=2,
    timeout=None,
    retries=1,
    devices=(),
    scheduler=None,
    progress=True,
    fork=True,
):
    """Run what `plan_runs` planned; returns an Ending per run, in the plan's order.

    jobs: runs at a time on this machine; devices: GPU numbers, each then takes one run at a time
    timeout: seconds per try; retries: further tries of a run that was killed or timed out
    scheduler: address or Client of a Dask cluster, which then does the work, not this machine
    fork: on Linux, kernels begin as copies of a process that has imported all; False: each anew
    Prepared images are hashed once before any kernel starts: BmixError if they were written to.
    Complete runs are reused, interrupted ones go on from their checkpoint, and a run that fails
    never stops the others. After Ctrl-C the same call goes on from there.
    """
    _check_options(jobs, timeout, retries, devices)
    if not plan.waiting:  # nothing will be written, and who only reads needs no lock
        return [Ending(task.folder, "reused") for task in plan.tasks.values()]
    with locked(plan.out / SWEEP / "lock", f"the experiment {plan.out}"):
        # asked again, now that no other sweep adds to it
        plan.complete = list_complete(plan.out, plan.tasks)
        endings = {run_id: Ending(plan.out / run_id, "reused") for run_id in plan.complete}
        if plan.waiting:
            for folder in plan.prepared:
                verify_images(folder)
            _keep_plan(plan)
            if scheduler is None:
                require_files(min(len(devices) or jobs, len(plan.waiting)))
            where = {"jobs": jobs, "devices": devices, "scheduler": scheduler, "fork": fork}
            pool = _open_pool(plan, **where)
            with Display(plan, endings, pool, progress) as display:
                _run(plan, endings, pool, display, timeout=timeout, retries=retries)
    return [endings[run_id] for run_id in plan.tasks]


def _open_pool(plan, jobs, devices, scheduler, fork):
    if scheduler is not None:
        return Cluster(scheduler, fork)
    is_worth_it = len(plan.waiting) > 1  # a server's imports take as long as one kernel's
    return Threads(jobs, devices, plan.waiting[0].notebook if fork and is_worth_it else None)


def describe_endings(endings):
    """How many runs ended how, and each that is not complete with the reason."""
    counts = Counter(ending.status for ending in endings)
    lines = [", ".join(f"{count} {status}" for status, count in counts.most_common())]
    for ending in endings:
        if not ending.good:
            lines.append(f"{ending.folder.name}: {ending.status}: {ending.error}")
    return "\n".join(lines)


def _check_options(jobs, timeout, retries, devices):
    require_integer("jobs", jobs, 1)
    if jobs > MOST_JOBS:
        raise BmixError(f"jobs must be at most {MOST_JOBS}, got {jobs}")
    require_integer("retries", retries, 0)
    if timeout is not None and not _is_waitable(timeout):
        raise BmixError(f"timeout must be above 0 seconds, got {timeout!r}")
    for device in devices:  # CUDA would hide all GPUs on a name that it does not know
        if not re.fullmatch(DEVICE, str(device)):
            raise BmixError(f"devices must be GPU numbers such as 0,1, got {device!r}")


def _is_waitable(seconds):
    return isinstance(seconds, (int, float)) and 0 < seconds < threading.TIMEOUT_MAX


def _keep_plan(plan):
    try:
        keep_plan(plan)
    except OSError as error:
        raise BmixError(f"nothing can be written to {plan.out}: {error}") from error


def _run(plan, endings, pool, display, **options):
    sweep = secrets.token_hex(8)
    task_of = {pool.submit(task, sweep, **options): task for task in plan.waiting}
    waiting = set(task_of)
    try:
        while waiting:
            done, waiting = wait(waiting, timeout=display.pause, return_when=FIRST_COMPLETED)
            for future in done:
                task = task_of[future]
                endings[task.folder.name] = _ending_of(future, task)
            display.update([task_of[future] for future in waiting])
        pool.close()
    except BaseException:  # Ctrl-C above all
        with _patient():
            pool.stop()
        raise


@contextmanager
def _patient():
    """Ignore a second Ctrl-C, which would leave kernels behind while they are being stopped.

    SIGTERM still ends all at once.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _ending_of(future, task):
    """The Ending that a future holds, or the one that its worker could not give."""
    try:
        return future.result()
    except CancelledError:
        status = "killed"
        error = "the cluster gave the task back: has its scheduler ended?"
    except Exception as problem:  # Dask's KilledWorker, and whatever else a cluster can raise
        kind = type(problem).__name__
        status = "killed" if kind == "KilledWorker" else "failed"
        error = f"{kind}: {problem}".splitlines()[0]
    if is_complete(task.folder):  # its worker went on alone
        return Ending(task.folder, "complete")
    with suppress(OSError):
        append_ledger(task.folder.parent, task.folder.name, status, error=error)
    return Ending(task.folder, status, error)
