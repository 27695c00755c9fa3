"""A sweep whose kernels, runner and Dask workers are killed again and again, beside a calm one.

python benchmarks/chaos.py [--quick] [--seed N] [--json PATH] [--keep FOLDER]: 60 runs of 05_train,
three times over, killed with SIGKILL. Promised: no complete run is ever lost, all end complete with
the same bytes, every ending is told truly within 5 s, no kernel outlives its runner or worker by
more than 10 s, and a new Dask worker takes its share.
Linux and macOS. With --quick 11 minutes on two cores under a load of 9.
"""

import contextlib
import random
import sys
import tempfile
import time
from pathlib import Path

from execution import PACKAGES, TRAIN, clean_up_when_ended, keep_bytecode
from machine import end_report, start_report
from pairs import read_arguments
from promises import TOLD, judge, read_table, share_out
from stage import Observer, Stage, run_of

from bmix_lite.base.files import read_json
from bmix_lite.runs.ledger import read_ledger

METHODS = "method=instance,class_balanced,balanced_mixup"
# what a killed kernel may be called, the second only before its first cell
BAD = ("killed", "not started")
RESTARTS = 40


def sweep(out, seeds, epochs):
    """The command of a sweep."""
    grid = ["--grid", METHODS, "--grid", f"seed=0:{seeds}", "--grid", f"epochs={epochs}"]
    command = [sys.executable, "-m", "bmix_lite", "sweep", str(TRAIN), "--out", str(out)]
    return [*command, "--jobs", "2", *grid]


def kill_kernel(stage, observer, runner, rng):
    """Kill a kernel of the runner and wait for what the ledger says of it; None without kernels."""
    kernels = sorted(stage.kernels_of(runner), key=lambda kernel: kernel.pid)
    if not kernels:
        return None
    kernel = rng.choice(kernels)
    lines_before = len(read_ledger(observer.out))
    run_id = run_of(kernel)
    running = observer.running()
    notebooks_before = observer.count_notebooks()
    kernel.kill()
    killed_at = time.monotonic()
    kill = {"what": "kernel", "run": run_id, "at": killed_at}
    while time.monotonic() < killed_at + 2 * TOLD:
        observer.look()
        for line in read_ledger(observer.out)[lines_before:]:
            if line["status"] != "complete":
                right = is_told_truly(line, run_id, running)
                seconds = time.monotonic() - killed_at
                return kill | {"line": line, "right": right, "seconds": seconds}
        time.sleep(0.05)
    # it may have had nothing left to do but to end
    spared = run_id is None and observer.count_notebooks() > notebooks_before
    return kill | {"line": None, "right": spared, "seconds": None}


def is_told_truly(line, run_id, running):
    """Does a line of the ledger tell that this run's kernel was killed?

    run_id: None where the kernel had not yet begun a run; then any of `running` may be meant
    """
    error = line["error"]
    if run_id:
        known = line["run_id"] == run_id and line["status"] == "killed"
    else:
        known = line["run_id"] in running and line["status"] in BAD
    early = "before the first cell" in error or "did not start" in error
    return known and ("exit code -9" in error or early)


def disturb(stage, out, settings, kills, gap, rng, limit):
    """The sweep in `out` while kernels and runner are killed, started anew until it ends well.

    kills: (of kernels, of the runner); gap: mean seconds between them; limit: seconds in all
    """
    until = time.monotonic() + limit
    plan = ["kernel"] * kills[0] + ["runner"] * kills[1]
    rng.shuffle(plan)
    observer = Observer(stage, out)
    codes = []
    kills_made = []
    runner = stage.start(sweep(out, *settings), "disturbed")
    due = time.monotonic() + rng.uniform(0, 2 * gap)
    while time.monotonic() < until:
        observer.look()
        if runner.poll() is not None:
            codes.append(runner.returncode)
            if runner.returncode == 0 or len(codes) > RESTARTS:
                break
            runner = stage.start(sweep(out, *settings), "disturbed")
        if plan and time.monotonic() > due:
            kill_next = kill_runner if plan[-1] == "runner" else kill_kernel
            kill = kill_next(stage, observer, runner, rng)
            if kill is None:  # no kernel yet
                continue
            kills_made.append(kill)
            plan.pop()
            due = time.monotonic() + rng.uniform(0, 2 * gap)
        time.sleep(0.1)
    return observer, {"exit codes": codes, "kills": kills_made, "not made": len(plan)}


def kill_runner(stage, observer, runner, rng):
    runner.kill()
    runner.wait(timeout=30)
    observer.note_orphans(stage.kernels())
    time.sleep(rng.choice([0, 3]))  # the next comes before or after the kernels have noticed
    return {"what": "runner", "right": True}


def start_scheduler(stage, until):
    """Start a Dask scheduler on this machine; its address."""
    file = stage.place / "scheduler.json"
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1"]
    command += ["--port", "0", "--scheduler-file", str(file), "--no-dashboard", "--no-show"]
    stage.start(command, "scheduler")
    while not file.exists() and time.monotonic() < until:
        time.sleep(0.1)
    return read_json(file)["address"]


def start_worker(stage, address, name):
    command = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--name", name]
    command += ["--nthreads", "1", "--no-nanny", "--no-dashboard", "--memory-limit", "0"]
    command += ["--host", "127.0.0.1", "--local-directory", str(stage.place / "dask")]
    return stage.start(command, name)


def lose_workers(stage, out, settings, kills, gap, rng, limit):
    """The sweep on a local Dask cluster; `kills` times a worker of two is killed and replaced."""
    until = time.monotonic() + limit
    address = start_scheduler(stage, until)
    workers = {name: start_worker(stage, address, name) for name in ("worker 1", "worker 2")}
    observer = Observer(stage, out)
    codes = []
    kills_made = []
    command = [*sweep(out, *settings), "--scheduler", address]
    runner = stage.start(command, "on a cluster")
    due = time.monotonic() + gap
    while time.monotonic() < until:
        observer.look(workers)
        if runner.poll() is not None:
            codes.append(runner.returncode)
            if runner.returncode == 0 or len(codes) > 3:
                break
            runner = stage.start(command, "on a cluster")
        wanted = len(kills_made) < kills and time.monotonic() > due
        if wanted and len(workers) == 2 and observer.count_notebooks():
            kill = kill_worker(stage, observer, workers, rng)
            if kill is None:
                continue
            kills_made.append(kill)
            time.sleep(rng.uniform(0, 2))
            newest = f"worker {2 + len(kills_made)}"
            workers[newest] = start_worker(stage, address, newest)
            due = time.monotonic() + gap * rng.uniform(0.5, 1.5)
        time.sleep(0.1)
    outcome = {"exit codes": codes, "kills": kills_made, "not made": kills - len(kills_made)}
    return observer, outcome | share_out(observer.owners, f"worker {2 + len(kills_made)}")


def kill_worker(stage, observer, workers, rng):
    """Kill a worker that has a kernel, never the first one; None where it has none."""
    name = rng.choice([name for name in workers if name != "worker 1"])
    kernels = stage.kernels_of(workers[name])
    if not kernels:
        return None
    run_ids = [run_of(kernel) for kernel in kernels]
    orphans = stage.kernels_of(workers[name])
    workers[name].kill()
    workers.pop(name).wait(timeout=30)
    observer.note_orphans(orphans)
    return {"what": name, "run": run_ids, "right": True}


def run_chaos(place, quick, seed):
    """All three sweeps; yields (name, figures, broken promises)."""
    rng = random.Random(seed)
    settings = (4, 5) if quick else (20, 8)  # seeds per method, epochs
    kills = (5, 2) if quick else (24, 6)
    losses = 1 if quick else 3
    with contextlib.closing(Stage(place)) as stage:
        started = time.monotonic()
        runner = stage.start(sweep(place / "calm", *settings), "calm")
        if runner.wait(timeout=7200):
            raise SystemExit(f"chaos: the undisturbed sweep failed, see {place / 'calm.log'}")
        calm = time.monotonic() - started
        table = read_table(place / "calm")
        print(f"undisturbed: {len(table)} runs in {calm:.0f} s", flush=True)
        yield "undisturbed", {"runs": len(table), "seconds": calm}, []
        limit = 20 * calm + 300
        gap = 0.7 * calm / sum(kills)
        seen = disturb(stage, place / "disturbed", settings, kills, gap, rng, limit)
        yield "disturbed", *judge("kernels and runner killed", *seen, table)
        gap = calm / (2 + 2 * losses)
        seen = lose_workers(stage, place / "cluster", settings, losses, gap, rng, limit)
        yield "cluster", *judge("Dask workers killed", *seen, table)


def main():
    parser = read_arguments(__doc__)
    parser.add_argument(
        "--seed", type=int, default=0, help="of the moments of the kills (default: %(default)s)"
    )
    parser.add_argument("--keep", type=Path, help="an empty folder in which runs and logs stay")
    chosen = parser.parse_args()
    clean_up_when_ended()
    report = start_report((*PACKAGES, "distributed")) | {"seed": chosen.seed}
    missed = []
    with tempfile.TemporaryDirectory() as place:
        keep_bytecode(Path(place))
        folder = chosen.keep.resolve() if chosen.keep else Path(place)
        for name, figures, broken_rules in run_chaos(folder, chosen.quick, chosen.seed):
            report[name] = figures
            missed += broken_rules
    return end_report(report, missed, chosen.json)


if __name__ == "__main__":
    sys.exit(main())
