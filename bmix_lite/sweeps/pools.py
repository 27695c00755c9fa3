"""Where the runs of a sweep are executed: by threads here, each with a kernel at a time, or by a Dask cluster."""

import functools
import os
import queue
import time
from concurrent.futures import ThreadPoolExecutor

from bmix_lite.base.errors import BmixError, require
from bmix_lite.base.files import read_json
from bmix_lite.runs.complete import TASK
from bmix_lite.sweeps.tasks import kernel_environment, run_task


class Threads:
    """`jobs` runs at a time on this machine; with `devices` instead one run at a time on each of them."""

    def __init__(self, jobs, devices=()):
        self.jobs = len(devices) or jobs
        self.watches = {}  # {run id: Watch} of what runs now
        self._pool, self._free, self._busy = (
            ThreadPoolExecutor(self.jobs),
            queue.SimpleQueue(),
            set(),
        )
        for device in devices or [None] * self.jobs:
            self._free.put(device)

    def submit(self, task, sweep, **options):
        """A concurrent Future of the task's Ending."""
        return self._pool.submit(self._run, task, sweep, **options)

    def running(self, tasks):
        """{run id: (seconds since its start, "cell 3 of 20")} of what runs now."""
        now = time.monotonic()
        watched = list(self.watches.items())
        return {
            run_id: (now - watch.started, f"cell {watch.cell} of {watch.cells}")
            for run_id, watch in watched
        }

    def stop(self):
        """Begin nothing more and kill what runs; returns once it has ended."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        while self._busy:
            for watch in list(self.watches.values()):
                watch.stop("interrupted")
            time.sleep(0.05)
        self._pool.shutdown()

    def close(self):
        """After the last run."""
        self._pool.shutdown()

    def _run(self, task, sweep, **options):
        self._busy.add(task.folder)
        device = self._free.get()
        try:
            return run_task(
                task,
                sweep,
                env=kernel_environment(self.jobs, device),
                watches=self.watches,
                **options,
            )
        finally:
            self._free.put(device)
            self._busy.discard(task.folder)


class Cluster:
    """A running Dask cluster, by its scheduler's address or a Client; all machines must see the folders alike."""

    def __init__(self, scheduler):
        try:
            from distributed import Client
        except ImportError as error:
            raise BmixError(
                "scheduler: Dask is not installed: pip install bmix-lite[cluster]"
            ) from error
        self._own = isinstance(scheduler, str)
        try:
            self.client = Client(scheduler, timeout="20s") if self._own else scheduler
        except (OSError, ValueError, TimeoutError) as error:
            raise BmixError(
                f"scheduler: no Dask scheduler answers at {scheduler!r} ({error})"
            ) from error
        require(
            hasattr(self.client, "get_executor"),
            f"scheduler must be an address or a Client, got {scheduler!r}",
        )
        self._pool = self.client.get_executor(pure=False)
        self._sweep = None

    @property
    def jobs(self):
        """Threads of all workers, at least 1."""
        return max(1, sum(self.client.nthreads().values()))

    def submit(self, task, sweep, **options):
        """A concurrent Future of the task's Ending; Dask gives a task of a lost worker to another one."""
        self._sweep = sweep
        return self._pool.submit(functools.partial(_run_there, task, sweep, **options))

    def running(self, tasks):
        """{run id: (seconds since its start, "")} of the tasks that some worker has begun, as their folders tell."""
        found, most = {}, self.jobs
        for task in tasks:
            try:
                noted, begun = read_json(task.folder / TASK), os.stat(task.folder / TASK).st_mtime
            except (OSError, BmixError):
                continue
            if noted.get("sweep") == self._sweep and "wall" not in noted:
                seconds = max(
                    0.0, time.time() - begun
                )  # by the clock of another machine it may lie ahead
                found[task.folder.name] = (
                    seconds,
                    f"try {noted['tries']}" if noted["tries"] > 1 else "",
                )
            if len(found) == most:
                break
        return found

    def stop(self):
        """Take back what no worker has begun; what one has begun it ends, and the next sweep finds it."""
        self._pool.shutdown(wait=False)
        self.close()

    def close(self):
        """Leave the cluster as it was found."""
        if self._own:
            self.client.close()


def _run_there(task, sweep, **options):
    from distributed import get_worker

    return run_task(task, sweep, env=kernel_environment(get_worker().state.nthreads), **options)
