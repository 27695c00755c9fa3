"""What a sweep costs beyond its notebooks: a run by parts, two jobs, plans, ledgers, kernel starts.

python benchmarks/batch.py [--quick] [--json PATH]: exit status 1 where a limit is missed. Best on
an idle machine. Limits: two jobs take 0.6 of the time of one; a plan of 1,000 runs 3 s; a ledger
of 10,000 runs 2 s; no failed start.
"""

import resource
import shutil
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from execution import (
    PACKAGES,
    TRAIN,
    clean_up_when_ended,
    keep_bytecode,
    start_python,
    time_parts,
    write_notebook,
)
from machine import end_report, start_report
from pairs import read_arguments

from bmix_lite.base.files import read_json
from bmix_lite.runs.complete import TASK, list_complete
from bmix_lite.runs.ledger import append_ledger, read_endings, read_ledger
from bmix_lite.sweeps.tasks import Task, kernel_environment, run_task

RATIO = 0.6  # limit: of one job's time
BEYOND = 1.0  # limit, s: what a run costs beyond its training, with two jobs
PLAN = 3.0  # limit, s
LEDGER = 2.0  # limit, s

GRID = """
import time
from bmix_lite.sweeps.sweep import expand_grid, run_grid
started = time.perf_counter()
grid = expand_grid(method=["balanced_mixup"], seed=range({runs}), epochs=[{epochs}])
options = {{"jobs": {jobs}, "fork": {fork}, "progress": False}}
endings = run_grid({notebook!r}, grid, {out!r}, **options)
print(time.perf_counter() - started, sum(ending.status == "complete" for ending in endings))
"""
# a run that is complete by its files, and of which all time is overhead
SHAM = """
import hashlib, json, pathlib
folder, hashes = pathlib.Path(run_folder), {}
for name in ("recipe.json", "history.csv", "predictions.csv"):
    (folder / name).write_text("1")
    hashes[name] = hashlib.sha256(b"1").hexdigest()
(folder / "metrics.json").write_text(json.dumps({"sha256": hashes}))
"""


def measure_overhead(folder, rounds):
    """{notebook: {part: median seconds}}, interleaved."""
    null = write_notebook(folder / "null.ipynb", "pass")
    rows = {"null": [], "05_train": []}
    for turn in range(rounds):
        rows["null"].append(time_parts(null, folder / f"null {turn}"))
        rows["05_train"].append(time_parts(TRAIN, folder / f"train {turn}", live=False, epochs=5))
    return {
        name: {part: float(np.median([turn[part] for turn in turns])) for part in turns[0]}
        for name, turns in rows.items()
    }


def compare_jobs(folder, runs, epochs, rounds):
    """{1, 2: seconds of each grid, "ratio": of the medians}; in turn, each in its own process."""
    seconds = {1: [], 2: []}
    for turn in range(rounds):
        for jobs in seconds:
            out = str(folder / f"grid {turn} {jobs}")
            names = {"runs": runs, "epochs": epochs, "out": out, "jobs": jobs, "fork": True}
            script = GRID.format(notebook=str(TRAIN), **names)
            elapsed, complete = start_python("-c", script).split()
            if int(complete) != runs:
                raise SystemExit(f"batch: only {complete} of {runs} runs are complete in {out}")
            seconds[jobs].append(float(elapsed))
    ratio = float(np.median(seconds[2]) / np.median(seconds[1]))
    return seconds | {"runs": runs, "epochs": epochs, "ratio": ratio}


def compare_starts(folder, runs, epochs, rounds):
    """{True, False: (seconds of a run beyond its training, seconds of the sweep)}, medians.

    Kernels forked or started anew, in turn; two jobs.
    """
    beyond = {True: [], False: []}
    walls = {True: [], False: []}
    for turn in range(rounds):
        for fork in beyond:
            out = folder / f"starts {turn} {fork}"
            script = GRID.format(
                runs=runs, epochs=epochs, notebook=str(TRAIN), out=str(out), jobs=2, fork=fork
            )
            walls[fork].append(float(start_python("-c", script).split()[0]))
            trained = {line["run_id"]: line["seconds"] for line in read_ledger(out)}
            for run_id in list_complete(out):
                whole = read_json(out / run_id / TASK)["wall"]
                beyond[fork].append(whole - trained[run_id])
    return {fork: (np.median(beyond[fork]), np.median(walls[fork])) for fork in beyond}


def report_warm(folder, quick):
    runs, epochs = (6, 10) if quick else (20, 60)
    figures = compare_starts(folder, runs, epochs, rounds=2 if quick else 3)
    print(f"\n{runs} runs of {epochs} epochs, two at a time: beyond its training a run costs")
    for fork, (beyond, wall) in figures.items():
        how = "forked" if fork else "started anew"
        print(f"  {how:<13} {beyond:5.2f} s, the sweep {wall:5.1f} s", flush=True)
    missed = [f"beyond training: more than {BEYOND:g} s"] if figures[True][0] > BEYOND else []
    return {str(fork): values for fork, values in figures.items()}, missed


def measure_plan(folder, rounds):
    """{"wall", "cpu": median seconds} of the command that prints a plan of 1,000 runs."""
    command = ["-m", "bmix_lite", "sweep", str(TRAIN), "--grid", "method=instance,balanced_mixup"]
    command += ["--grid", "seed=0:500", "--out", str(folder / "plan"), "--dry-run"]
    walls = []
    processor_times = []
    for _ in range(rounds):
        used = _time_children()
        started = time.perf_counter()
        plan = start_python(*command)
        walls.append(time.perf_counter() - started)
        processor_times.append(_time_children() - used)
        if not plan.startswith("1000 runs"):
            raise SystemExit(f"batch: the plan is another one: {plan[:200]}")
    return {"wall": float(np.median(walls)), "cpu": float(np.median(processor_times))}


def _time_children():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def measure_ledger(folder, rounds):
    """{reader: median seconds}: of a ledger of 10,000 runs, and of checking 1,000 complete runs."""
    many = folder / "many"
    names = _write_ledger(folder / "one" / "first", many)
    readers = {
        "read_ledger": (lambda: read_ledger(many), 11_000),
        "read_endings": (lambda: read_endings(many), 10_000),
        "list_complete": (lambda: list_complete(many, names[:1000]), 1000),
    }
    seconds = {name: [] for name in readers}
    for _ in range(rounds):
        for name, (read, expected) in readers.items():
            started = time.perf_counter()
            count = len(read())
            seconds[name].append(time.perf_counter() - started)
            if count != expected:
                raise SystemExit(f"batch: {name} gave {count}, expected {expected}")
    return {name: float(np.median(values)) for name, values in seconds.items()}


def _write_ledger(first, many):
    """10,000 runs in the ledger of `many`, one in ten failed once, 1,000 complete; the run ids."""
    time_parts(TRAIN, first, live=False, epochs=2)
    error = (
        "cell 12: RuntimeError: The size of tensor a (32) must match the size of tensor b (16)"
        " at dimension 0"
    )
    append_ledger(many, "0", "failed", error=error, tries=1)
    append_ledger(many, "0", "complete", seconds=12.345)
    failed, complete = (many / "ledger.jsonl").read_text().splitlines()
    run_ids = [f"{first.name}-seed{number}-{number:010x}" for number in range(10_000)]
    lines = []
    for number, run_id in enumerate(run_ids):
        if number % 10 == 0:
            lines.append(failed.replace('"0"', f'"{run_id}"'))
        lines.append(complete.replace('"0"', f'"{run_id}"'))
        if number < 1000:
            shutil.copytree(first, many / run_id)
    (many / "ledger.jsonl").write_text("\n".join(lines) + "\n")
    return run_ids


def measure_starts(folder, rounds, together=4):
    """{"runs", "failed", "retried", "seconds", "errors"} of kernels started `together` at once."""
    sham = write_notebook(folder / "sham.ipynb", SHAM)
    out = folder / "starts"
    barrier = threading.Barrier(together)

    def start(name):
        barrier.wait(timeout=600)
        task = Task(sham, out / name, {"run_folder": str(out / name)})
        return run_task(task, "starts", env=kernel_environment(4))

    endings = []
    started = time.perf_counter()
    with ThreadPoolExecutor(together) as pool:
        for turn in range(rounds):
            endings += pool.map(start, [f"{turn} {number}" for number in range(together)])
    seconds = time.perf_counter() - started
    bad_endings = len(read_ledger(out))  # a sham run writes no line itself
    errors = [ending.error for ending in endings if not ending.good]
    return {
        "runs": len(endings),
        "failed": len(errors),
        "retried": bad_endings - len(errors),
        "seconds": seconds,
        "errors": errors,
    }


def report_overhead(folder, quick):
    figures = measure_overhead(folder, 2 if quick else 5)
    print(f"{'one run, s':<24} " + " ".join(f"{name:>9}" for name in figures))
    for part in figures["null"]:
        numbers = " ".join(f"{parts[part]:9.2f}" for parts in figures.values())
        print(f"{part:<24} {numbers}", flush=True)
    return figures, []


def report_plan(folder, quick):
    figures = measure_plan(folder, 3 if quick else 7)
    wall = figures["wall"]
    print(f"\nplan of 1,000 runs: {wall:.2f} s, {figures['cpu']:.2f} s of processor time")
    return figures, [f"plan: more than {PLAN:g} s"] if wall > PLAN else []


def report_ledger(folder, quick):
    figures = measure_ledger(folder, 3 if quick else 7)
    seconds = ", ".join(f"{name} {value:.3f} s" for name, value in figures.items())
    print(f"\nledger of 10,000 runs, 1,000 complete runs: {seconds}", flush=True)
    slowest = max(figures["read_ledger"], figures["read_endings"])
    return figures, [f"ledger: more than {LEDGER:g} s"] if slowest > LEDGER else []


def report_starts(folder, quick):
    figures = measure_starts(folder, 5 if quick else 25)
    failed = figures["failed"]
    outcome = f"{failed} failed, {figures['retried']} retried, {figures['seconds']:.0f} s"
    print(f"\n4 kernels at once, {figures['runs']} runs: {outcome}", flush=True)
    return figures, [f"{failed} kernels did not start"] if failed else []


def report_grid(folder, quick):
    runs, epochs = (6, 10) if quick else (20, 60)
    figures = compare_jobs(folder, runs, epochs, rounds=2)
    seconds = ", ".join(f"{jobs} at a time {np.median(figures[jobs]):.0f} s" for jobs in (1, 2))
    print(f"\n{runs} runs: {seconds}, ratio {figures['ratio']:.2f}", flush=True)
    too_slow = figures["ratio"] > RATIO
    return figures, [f"two jobs: more than {RATIO:g} of the time of one"] if too_slow else []


PARTS = {  # name: function of (folder, quick) that measures, prints, and gives (figures, missed)
    "overhead": report_overhead,
    "warm": report_warm,
    "plan": report_plan,
    "ledger": report_ledger,
    "starts": report_starts,
    "grid": report_grid,
}


def main():
    parser = read_arguments(__doc__)
    parser.add_argument("--only", choices=PARTS, action="append", help="one part")
    chosen = parser.parse_args()
    clean_up_when_ended()
    report = start_report(PACKAGES)
    missed = []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        keep_bytecode(folder)
        time_parts(TRAIN, folder / "warm", live=False, epochs=1)  # writes it, imports papermill
        warm_plan = ("--out", str(folder / "plan"), "--dry-run")
        start_python("-m", "bmix_lite", "sweep", str(TRAIN), *warm_plan)
        for part in chosen.only or PARTS:
            report[part], missed_here = PARTS[part](folder, chosen.quick)
            missed += missed_here
    return end_report(report, missed, chosen.json)


if __name__ == "__main__":
    sys.exit(main())
