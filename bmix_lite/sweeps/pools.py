"""Where the runs of a sweep are executed: by threads here, a kernel each, or by a Dask cluster."""

import functools
import os
import queue
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from bmix_lite.base.cluster import connect
from bmix_lite.base.errors import BmixError
from bmix_lite.base.files import read_json
from bmix_lite.runs.complete import TASK
from bmix_lite.sweeps.forkserver import start_server
from bmix_lite.sweeps.tasks import kernel_environment, run_task


class Threads:
    """`jobs` runs at a time on this machine; with `devices`, one run at a time on each of them.

    notebook: what a ForkServer imports for, None where each kernel is to import for itself
    """

    def __init__(self, jobs, devices=(), notebook=None):
        self.jobs = len(devices) or jobs
        self._server = notebook and start_server(notebook, kernel_environment(self.jobs))
        self.watches = {}  # {run id: Watch} of what runs now
        self._pool = ThreadPoolExecutor(self.jobs)
        self._busy = set()  # folders of the runs that have begun
        self._free = queue.SimpleQueue()  # devices that nobody uses
        for device in devices or [None] * self.jobs:
            self._free.put(device)

    def submit(self, task, sweep, **options):
        """A concurrent Future of the task's Ending."""
        return self._pool.submit(self._run, task, sweep, **options)

    def running(self, tasks):
        """{run id: (seconds since its start, "cell 3 of 20")} of what runs now."""
        now = time.monotonic()
        return {
            run_id: (now - watch.started, f"cell {watch.cell} of {watch.cells}")
            for run_id, watch in list(self.watches.items())
        }

    def stop(self):
        """Begin nothing more and kill what runs; returns once it has ended."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        while self._busy:
            for watch in list(self.watches.values()):
                watch.stop("interrupted")
            time.sleep(0.05)
        self.close()

    def close(self):
        """After the last run."""
        self._pool.shutdown()
        if self._server:
            self._server.close()

    def _run(self, task, sweep, **options):
        self._busy.add(task.folder)
        device = self._free.get()
        try:
            env = kernel_environment(self.jobs, device)
            options |= {"watches": self.watches, "server": self._server}
            return run_task(task, sweep, env=env, **options)
        finally:
            self._free.put(device)
            self._busy.discard(task.folder)


class Cluster:
    """A running Dask cluster, by its scheduler's address or a Client.

    All its machines must see the folders alike.
    """

    def __init__(self, scheduler, fork=True):
        self._fork = fork
        self.client, self._is_ours = connect(scheduler)
        self._pool = self.client.get_executor(pure=False)
        self._sweep = None  # its name, once it has begun

    @property
    def jobs(self):
        """Threads of all workers, at least 1."""
        return max(1, sum(self.client.nthreads().values()))

    def submit(self, task, sweep, **options):
        """A concurrent Future of the task's Ending; Dask gives a lost worker's task to another."""
        self._sweep = sweep
        options["fork"] = self._fork
        return self._pool.submit(functools.partial(_run_there, task, sweep, **options))

    def running(self, tasks):
        """{run id: (seconds since its start, "" or "try 2")} of what some worker has begun.

        As the folders of the tasks tell.
        """
        jobs = self.jobs  # asks the scheduler
        running = {}
        for task in tasks:
            begun = _read_begun(task, self._sweep)
            if begun is not None:
                running[task.folder.name] = begun
            if len(running) == jobs:
                break
        return running

    def stop(self):
        """Take back what no worker has begun; the rest ends there, and the next sweep finds it."""
        self._pool.shutdown(wait=False)
        self.close()

    def close(self):
        """Leave the cluster as it was found."""
        if self._is_ours:
            self.client.close()


def _read_begun(task, sweep):
    """(seconds since its start, "" or "try 2") of a task that runs in this sweep; else None."""
    path = task.folder / TASK
    try:
        note = read_json(path)
        begun = os.stat(path).st_mtime
    except (OSError, BmixError):
        return None
    if note.get("sweep") != sweep or "wall" in note:
        return None
    seconds = max(0.0, time.time() - begun)  # another machine's clock may be ahead
    return seconds, f"try {note['tries']}" if note["tries"] > 1 else ""


def _run_there(task, sweep, fork, **options):
    from distributed import get_worker

    env = kernel_environment(get_worker().state.nthreads)
    with _renewing:
        server = _keep_server(sweep, task.notebook, env) if fork else None
    return run_task(task, sweep, env=env, server=server, **options)


_renewing = threading.Lock()
_kept = {}  # {sweep: ForkServer} of this worker: of the last sweep alone, code may change between


def _keep_server(sweep, notebook, env):
    if sweep not in _kept:
        for server in _kept.values():
            if server:
                server.retire()
        _kept.clear()
        _kept[sweep] = start_server(notebook, env)
    return _kept[sweep]
