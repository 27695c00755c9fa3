"""The processes that benchmarks/chaos.py starts, found and ended whatever happens, and what is seen of their runs."""

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

RESULTS = (*HASHED, "metrics.json", "model.pt", "notebook.ipynb")
MARK = "BMIX_CHAOS"  # in the environment of all processes started here, and of their kernels


class Stage:
    """Starts processes with a log each in `place`; `close` ends all of them and all that they started."""

    def __init__(self, place):
        self.place, self.token = Path(place), secrets.token_hex(8)
        self.started, self.logs = [], []
        self.place.mkdir(parents=True, exist_ok=True)

    def start(self, words, name):
        """A Popen of the command; its output is added to NAME.log."""
        env = os.environ | {MARK: self.token, "PYTHONPATH": str(Path(__file__).parents[1])}
        log = open(self.place / f"{name}.log", "a")  # noqa: SIM115
        self.logs.append(log)
        root = Path(__file__).parents[1]
        self.started.append(
            subprocess.Popen(words, stdout=log, stderr=subprocess.STDOUT, env=env, cwd=root)
        )
        return self.started[-1]

    def kernels(self):
        """All kernels that live and were started below here, whoever their parent is now."""
        return [process for process in self._marked() if is_kernel(process)]

    def kernels_of(self, parent):
        """The kernels below a process."""
        with suppress(psutil.Error):
            return [
                child
                for child in psutil.Process(parent.pid).children(recursive=True)
                if is_kernel(child)
            ]
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
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                if process.environ().get(MARK) == self.token:
                    found.append(process)
        return found


class Observer:
    """What is seen of an experiment from outside: which runs were complete, and whether they stayed so."""

    def __init__(self, stage, out):
        self.stage, self.out = stage, Path(out)
        self.whole, self.lost, self.owners = (
            {},
            {},
            {},
        )  # owners: {run id: worker}, in the order of their beginning
        self.orphaned, self._orphans, self._slowest = 0, [], 0.0

    def look(self, workers=()):
        """Note what is complete now, what is not any more, and which worker does which run."""
        fresh = {path.parent.name for path in self.out.glob("*/notebook.ipynb")} - self.whole.keys()
        for run_id in list_complete(self.out, fresh) if fresh else ():
            seen = (self._stat(run_id), self._hash(run_id))
            if all(seen):
                self.whole[run_id] = seen
        for run_id, (stat, hashes) in self.whole.items():
            if self._stat(run_id) != stat and (now := self._hash(run_id)) != hashes:
                self.lost.setdefault(
                    run_id, [name for name in RESULTS if not now or now[name] != hashes[name]]
                )
        for name in workers:
            for kernel in self.stage.kernels_of(workers[name]):
                run_id = run_of(kernel)
                if run_id and self.owners.get(run_id) != name:
                    self.owners.pop(
                        run_id, None
                    )  # it goes to the end: another worker has begun it anew
                    self.owners[run_id] = name
        self._note_gone()

    def running(self):
        """Run ids that a sweep has begun and not ended, as their folders tell."""
        found = set()
        for path in self.out.glob(f"*/{TASK}"):
            with suppress(OSError, BmixError):
                if "wall" not in read_json(path):
                    found.add(path.parent.name)
        return found

    def count_notebooks(self):
        return sum(1 for _ in self.out.glob("*/notebook.ipynb"))

    def note_orphans(self, kernels):
        """Kernels whose runner or worker was just killed."""
        self.orphaned += len(kernels)
        self._orphans += [(kernel, time.monotonic()) for kernel in kernels]

    def end_of_orphans(self, patience):
        """(seconds that the slowest took to go, kernels that are still there): of orphans and of any other kernel."""
        until = time.monotonic() + patience
        while time.monotonic() < until and (self._orphans or self.stage.kernels()):
            self._note_gone()
            time.sleep(0.1)
        return self._slowest, self.stage.kernels()

    def _note_gone(self):
        alive = []
        for kernel, since in self._orphans:
            gone = not kernel.is_running()
            with suppress(psutil.Error):
                gone = gone or kernel.status() == psutil.STATUS_ZOMBIE
            if not gone:
                alive.append((kernel, since))
            else:
                self._slowest = max(self._slowest, time.monotonic() - since)
        self._orphans = alive

    def _stat(self, run_id):
        with suppress(OSError):
            found = {name: (self.out / run_id / name).stat() for name in RESULTS}
            return {name: (stat.st_ino, stat.st_mtime_ns) for name, stat in found.items()}
        return None

    def _hash(self, run_id):
        with suppress(OSError):
            return {name: sha256_of(self.out / run_id / name) for name in RESULTS}
        return None


def is_kernel(process):
    with suppress(psutil.Error):
        return any("ipykernel_launcher" in word for word in process.cmdline())
    return False


def run_of(kernel):
    """The run whose lock a kernel holds, which it does from `open_run` to `save_run`; None before and after."""
    with suppress(psutil.Error):
        for file in kernel.open_files():
            if Path(file.path).parent.name == ".locks":
                return Path(file.path).name
    return None
