"""The processes that benchmarks/chaos.py starts, and what is seen of their runs."""

import os
import secrets
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import psutil

from bmix_lite.base.errors import BmixError
from bmix_lite.base.files import read_json, sha256_of
from bmix_lite.runs.complete import HASHED, TASK, list_complete

ROOT = Path(__file__).parents[1]
RESULTS = (*HASHED, "metrics.json", "model.pt", "notebook.ipynb")
MARK = "BMIX_CHAOS"  # in the environment of all processes started here, and of their kernels


class Stage:
    """Starts processes with a log each in `place`; `close` ends them and all that they started."""

    def __init__(self, place):
        self.place = Path(place)
        self.token = secrets.token_hex(8)
        self.started = []
        self.logs = []
        self.place.mkdir(parents=True, exist_ok=True)

    def start(self, command, name):
        """A Popen of the command; its output is added to NAME.log."""
        env = os.environ | {MARK: self.token, "PYTHONPATH": str(ROOT)}
        log = open(self.place / f"{name}.log", "a")  # noqa: SIM115
        self.logs.append(log)
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=env, cwd=ROOT)
        self.started.append(process)
        return process

    def kernels(self):
        """All live kernels that were started below here, whoever their parent is now."""
        return [process for process in self._marked() if is_kernel(process)]

    def kernels_of(self, parent):
        """The kernels below a process."""
        with suppress(psutil.Error):
            children = psutil.Process(parent.pid).children(recursive=True)
            return [child for child in children if is_kernel(child)]
        return []

    def close(self):
        for process in self._marked():
            with suppress(psutil.Error):
                process.kill()
        for process in self.started:
            process.kill()
            process.wait(timeout=30)
        for log in self.logs:
            log.close()

    def _marked(self):
        marked = []
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                if process.environ().get(MARK) == self.token:
                    marked.append(process)
        return marked


class Observer:
    """What is seen of a sweep from outside: which runs were complete, and whether they stayed so.

    complete: {run id: (stats, hashes) of its results}; lost: {run id: files that changed or went}
    owners: {run id: worker}, in the order in which the runs began
    """

    def __init__(self, stage, out):
        self.stage = stage
        self.out = Path(out)
        self.complete = {}
        self.lost = {}
        self.owners = {}
        self.orphaned = 0
        self._orphans = []
        self._slowest = 0.0

    def look(self, workers=()):
        """Note what is complete now, what no longer is, and which worker does which run."""
        self._note_complete()
        self._note_lost()
        for name in workers:
            self._note_owner(name, workers[name])
        self._note_gone()

    def running(self):
        """Run ids that a sweep has begun and not ended, as their folders tell."""
        run_ids = set()
        for path in self.out.glob(f"*/{TASK}"):
            with suppress(OSError, BmixError):
                if "wall" not in read_json(path):
                    run_ids.add(path.parent.name)
        return run_ids

    def count_notebooks(self):
        return sum(1 for _ in self.out.glob("*/notebook.ipynb"))

    def note_orphans(self, kernels):
        """Kernels whose runner or worker was just killed."""
        self.orphaned += len(kernels)
        self._orphans += [(kernel, time.monotonic()) for kernel in kernels]

    def end_of_orphans(self, patience):
        """(seconds until the slowest orphan was gone, kernels that are still there)."""
        until = time.monotonic() + patience
        while time.monotonic() < until and (self._orphans or self.stage.kernels()):
            self._note_gone()
            time.sleep(0.1)
        return self._slowest, self.stage.kernels()

    def _note_complete(self):
        run_ids = {path.parent.name for path in self.out.glob("*/notebook.ipynb")}
        fresh = run_ids - self.complete.keys()
        if not fresh:
            return
        for run_id in list_complete(self.out, fresh):
            stats = self._stat(run_id)
            hashes = self._hash(run_id)
            if stats and hashes:
                self.complete[run_id] = (stats, hashes)

    def _note_lost(self):
        for run_id, (stats, hashes) in self.complete.items():
            if self._stat(run_id) == stats:
                continue
            now = self._hash(run_id)
            if now != hashes:
                changed = [name for name in RESULTS if not now or now[name] != hashes[name]]
                self.lost.setdefault(run_id, changed)

    def _note_owner(self, name, worker):
        for kernel in self.stage.kernels_of(worker):
            run_id = run_of(kernel)
            if run_id and self.owners.get(run_id) != name:
                self.owners.pop(run_id, None)  # to the end: another worker has begun it anew
                self.owners[run_id] = name

    def _note_gone(self):
        alive = []
        for kernel, since in self._orphans:
            if is_gone(kernel):
                self._slowest = max(self._slowest, time.monotonic() - since)
            else:
                alive.append((kernel, since))
        self._orphans = alive

    def _stat(self, run_id):
        with suppress(OSError):
            stats = {name: (self.out / run_id / name).stat() for name in RESULTS}
            return {name: (stat.st_ino, stat.st_mtime_ns) for name, stat in stats.items()}
        return None

    def _hash(self, run_id):
        with suppress(OSError):
            return {name: sha256_of(self.out / run_id / name) for name in RESULTS}
        return None


def is_kernel(process):
    with suppress(psutil.Error):
        return any("ipykernel_launcher" in word for word in process.cmdline())
    return False


def is_gone(process):
    if not process.is_running():
        return True
    with suppress(psutil.Error):
        return process.status() == psutil.STATUS_ZOMBIE
    return False


def run_of(kernel):
    """The run whose lock a kernel holds, from `open_run` to `save_run`; None before and after."""
    with suppress(psutil.Error):
        for file in kernel.open_files():
            if Path(file.path).parent.name == ".locks":
                return Path(file.path).name
    return None
