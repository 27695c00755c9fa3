"""A grid of parameters as papermill runs: checked first, resumed where interrupted, told truly in the ledger."""

import secrets
from collections import Counter
from concurrent.futures import FIRST_COMPLETED, CancelledError, wait

from bmix_lite.errors import BmixError, require
from bmix_lite.grids import expand_grid
from bmix_lite.locks import locked
from bmix_lite.plans import SWEEP, keep_plan, plan_runs
from bmix_lite.pools import Cluster, Threads
from bmix_lite.runs import list_complete
from bmix_lite.tasks import Ending
from bmix_lite.watching import Display

__all__ = ["Ending", "describe_endings", "expand_grid", "plan_runs", "run_grid"]


def run_grid(notebook, grid, out, *, jobs=2, timeout=None, retries=1, devices=(), scheduler=None, progress=True):
    """Run the notebook once for each parameter set; returns an Ending for each different run, in grid order.

    grid: dicts of parameters (see `grids`); out: the experiment's folder, used by one sweep at a time
    jobs: runs at a time on this machine, one for each of `devices` (GPU numbers) where these are given
    timeout: seconds a try of a run; retries: further tries of a run that was killed or timed out
    scheduler: address or Client of a running Dask cluster, which then does the work instead of this machine
    Complete runs are reused, interrupted ones go on from their checkpoint. A run that fails never stops the others.
    Raises BmixError before any kernel starts if a parameter is wrong or the folder is in use; Ctrl-C leaves all
    that is complete, and the same call goes on from there.
    """
    require(isinstance(jobs, int) and jobs >= 1, f"jobs must be an integer >= 1, got {jobs!r}")
    require(isinstance(retries, int) and retries >= 0, f"retries must be an integer >= 0, got {retries!r}")
    require(timeout is None or timeout > 0, f"timeout must be above 0 seconds, got {timeout!r}")
    plan = plan_runs(notebook, grid, out)
    with locked(plan.out / SWEEP / "lock", f"the experiment {plan.out}"):
        plan.complete = list_complete(plan.out, plan.tasks)  # again, now that no other sweep adds to it
        endings = {run_id: Ending(plan.out / run_id, "reused") for run_id in plan.complete}
        if plan.waiting:
            keep_plan(plan, notebook)
            pool = Cluster(scheduler) if scheduler is not None else Threads(jobs, devices)
            with Display(plan, endings, pool, progress) as display:
                _run(plan, endings, pool, display, timeout=timeout, retries=retries)
    return [endings[run_id] for run_id in plan.tasks]


def describe_endings(endings):
    """How many runs ended how, and each that has no result with the reason."""
    counts = Counter(ending.status for ending in endings)
    lines = [", ".join(f"{count} {status}" for status, count in counts.most_common())]
    lines += [f"{ending.folder.name}: {ending.status}: {ending.error}" for ending in endings if not ending.good]
    return "\n".join(lines)


def _run(plan, endings, pool, display, **options):
    sweep = secrets.token_hex(8)
    futures = {pool.submit(task, sweep, **options): task for task in plan.waiting}
    waiting = set(futures)
    try:
        while waiting:
            done, waiting = wait(waiting, timeout=display.pause, return_when=FIRST_COMPLETED)
            for future in done:
                endings[futures[future].folder.name] = _ending_of(future, futures[future])
            display.update([futures[future] for future in waiting])
        pool.close()
    except BaseException:  # Ctrl-C above all
        pool.stop()
        raise


def _ending_of(future, task):
    """The Ending that a future holds, or the one that its worker could not give."""
    try:
        return future.result()
    except CancelledError:
        return Ending(task.folder, "killed", "the cluster gave the task back: has its scheduler ended?")
    except BmixError:
        raise
    except Exception as error:  # Dask's KilledWorker, and whatever else a cluster can raise
        return Ending(task.folder, "killed", f"{type(error).__name__}: {error}".splitlines()[0])
