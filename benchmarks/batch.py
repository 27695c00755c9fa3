"""What a sweep costs beyond its notebooks: a run by parts, two jobs against one, plans, ledgers, kernel starts.

python benchmarks/batch.py [--quick] [--json PATH]: exit status 1 where a limit is missed. Best on an idle machine.
Limits: two jobs take 0.6 of the time of one; a plan of 1,000 runs 3 s; a ledger of 10,000 runs 2 s; no failed start.
"""

import argparse
import datetime
import json
import os
import platform
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

import nbformat
import numpy as np
from latency import describe_machine

from bmix_lite.runs.complete import list_complete
from bmix_lite.runs.ledger import append_ledger, read_endings, read_ledger
from bmix_lite.sweeps.kernels import execute
from bmix_lite.sweeps.tasks import Task, kernel_environment, run_task

ROOT = Path(__file__).parents[1]
TRAIN = ROOT / "notebooks" / "05_train.ipynb"
PACKAGES = ("papermill", "nbclient", "jupyter-client", "ipykernel", "torch", "numpy", "pandas")
RATIO, PLAN, LEDGER = 0.6, 3.0, 2.0  # limits: of one job's time, s, s
PARTS = ("overhead", "plan", "ledger", "starts", "grid")

GRID = """
import time
from bmix_lite.sweeps.sweep import expand_grid, run_grid
started = time.perf_counter()
grid = expand_grid(method=["balanced_mixup"], seed=range({runs}), epochs=[{epochs}])
endings = run_grid({notebook!r}, grid, {out!r}, jobs={jobs}, progress=False)
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


def keep_bytecode(place):
    """Let the processes to come keep their bytecode, as Python does unless told otherwise; it lies in `place`.

    Without it each kernel compiles 1,400 modules anew, which took 4 of the 7 s of the imports of 05_train.
    """
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = str(place / "bytecode")


def write_notebook(path, *sources):
    """A notebook with a parameters cell for its folder, and these cells."""
    cells = [nbformat.v4.new_code_cell(source) for source in ('run_folder = ""', *sources)]
    cells[0].metadata["tags"] = ["parameters"]
    path.write_text(nbformat.writes(nbformat.v4.new_notebook(cells=cells)))
    return path


def start_python(*words):
    """The finished process of `python WORDS`, its output as text; ends this program if it failed."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, env=environment, cwd=ROOT
    )
    if done.returncode:
        raise SystemExit(
            f"batch: a measured process failed with {done.returncode}: {done.stderr[-2000:]}"
        )
    return done


def time_parts(notebook, folder, **parameters):
    """{part: seconds} of one execution, from what papermill notes of each cell."""
    began = time.time()
    parameters = {"run_folder": str(folder)} | parameters
    execute(notebook, folder / "notebook.ipynb", parameters, env=kernel_environment(1), cwd=ROOT)
    whole, cells = time.time() - began, nbformat.read(folder / "notebook.ipynb", as_version=4).cells
    cells = [cell for cell in cells if cell.cell_type == "code"]
    spans = [
        [read_time(cell.metadata.papermill[edge]) for edge in ("start_time", "end_time")]
        for cell in cells
    ]
    own = [end - start for start, end in spans]
    imports = sum(
        took
        for cell, took in zip(cells, own, strict=True)
        if cell.source.startswith("from pathlib")
    )
    rows = {
        "kernel start": spans[0][0] - began,
        "imports": imports,
        "other cells": sum(own) - imports,
    }
    rows["between cells"] = spans[-1][1] - spans[0][0] - sum(own)
    rows["kernel end, saving"] = began + whole - spans[-1][1]
    return rows | {"whole": whole, "beyond its cells": whole - sum(own)}


def read_time(text):
    return datetime.datetime.fromisoformat(text).timestamp()


def measure_overhead(place, rounds):
    """{notebook: {part: median seconds}}, interleaved."""
    null, rows = write_notebook(place / "null.ipynb", "pass"), {"null": [], "05_train": []}
    for turn in range(rounds):
        rows["null"].append(time_parts(null, place / f"null {turn}"))
        rows["05_train"].append(time_parts(TRAIN, place / f"train {turn}", live=False, epochs=5))
    return {
        name: {part: float(np.median([row[part] for row in found])) for part in found[0]}
        for name, found in rows.items()
    }


def compare_jobs(place, runs, epochs, rounds):
    """{"1", "2": seconds of each grid, "ratio": of the medians}; A B A B, each in a process of its own."""
    found = {1: [], 2: []}
    for turn in range(rounds):
        for jobs in found:
            out = str(place / f"grid {turn} {jobs}")
            script = GRID.format(runs=runs, epochs=epochs, notebook=str(TRAIN), out=out, jobs=jobs)
            seconds, complete = start_python("-c", script).stdout.split()
            if int(complete) != runs:
                raise SystemExit(f"batch: only {complete} of {runs} runs are complete in {out}")
            found[jobs].append(float(seconds))
    return found | {
        "runs": runs,
        "epochs": epochs,
        "ratio": float(np.median(found[2]) / np.median(found[1])),
    }


def measure_plan(place, rounds):
    """{"wall", "cpu": median seconds} of the command that checks and prints a plan of 1,000 runs."""
    words = ["-m", "bmix_lite", "sweep", str(TRAIN), "--grid", "method=instance,balanced_mixup"]
    words += ["--grid", "seed=0:500", "--out", str(place / "plan"), "--dry-run"]
    rows = []
    for _ in range(rounds):
        before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        printed = start_python(*words).stdout
        wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
        if not printed.startswith("1000 runs"):
            raise SystemExit(f"batch: the plan is another one: {printed[:200]}")
        rows.append((wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime))
    return dict(zip(("wall", "cpu"), np.median(rows, axis=0).tolist(), strict=True))


def measure_ledger(place, rounds):
    """Median seconds of reading a ledger of 10,000 runs, one in ten failed once, and of checking 1,000 whole runs."""
    first, many = place / "one" / "first", place / "many"
    time_parts(TRAIN, first, live=False, epochs=2)
    error = "cell 12: RuntimeError: The size of tensor a (32) must match the size of tensor b (16) at dimension 0"
    append_ledger(many, "0", "failed", error=error, tries=1)
    append_ledger(many, "0", "complete", seconds=12.345)
    failed, complete = (many / "ledger.jsonl").read_text().splitlines()
    lines, names = [], [f"{first.name}-seed{number}-{number:010x}" for number in range(10_000)]
    for number, name in enumerate(names):
        lines += [
            line.replace('"0"', f'"{name}"') for line in [failed] * (number % 10 == 0) + [complete]
        ]
        if number < 1000:
            shutil.copytree(first, many / name)
    (many / "ledger.jsonl").write_text("\n".join(lines) + "\n")
    rows = []
    for _ in range(rounds):
        moments = [time.perf_counter()]
        counts = [len(read_ledger(many)), moments.append(time.perf_counter())][0]
        endings = [len(read_endings(many)), moments.append(time.perf_counter())][0]
        whole = [len(list_complete(many, names[:1000])), moments.append(time.perf_counter())][0]
        if (counts, endings, whole) != (11_000, 10_000, 1000):
            raise SystemExit(f"batch: read {counts} lines, {endings} endings, {whole} whole runs")
        rows.append(np.diff(moments))
    return dict(
        zip(
            ("read_ledger", "read_endings", "list_complete"),
            np.median(rows, axis=0).tolist(),
            strict=True,
        )
    )


def measure_starts(place, rounds, together=4):
    """{"runs", "failed", "retried", "seconds"}: kernels that start in the same moment, `together` of them."""
    sham, out, barrier = (
        write_notebook(place / "sham.ipynb", SHAM),
        place / "starts",
        threading.Barrier(together),
    )

    def start(name):
        barrier.wait(timeout=600)
        return run_task(
            Task(sham, out / name, {"run_folder": str(out / name)}),
            "starts",
            env=kernel_environment(4),
        )

    endings, started = [], time.perf_counter()
    with ThreadPoolExecutor(together) as pool:
        for turn in range(rounds):
            endings += pool.map(start, [f"{turn} {number}" for number in range(together)])
    seconds = time.perf_counter() - started
    told = [
        line["status"] for line in read_ledger(out)
    ]  # a sham run writes no line itself: only bad endings stand here
    failed = [ending.error for ending in endings if not ending.good]
    return {
        "runs": len(endings),
        "failed": len(failed),
        "retried": len(told) - len(failed),
        "seconds": seconds,
    } | {"errors": failed}


def run_parts(parts, place, quick, missed):
    """Each part measured and printed: yields (name, figures), and adds to `missed`."""
    if "overhead" in parts:
        found = measure_overhead(place, 2 if quick else 5)
        print(f"{'one run, s':<24} " + " ".join(f"{name:>9}" for name in found))
        for part in found["null"]:
            print(
                f"{part:<24} " + " ".join(f"{row[part]:9.2f}" for row in found.values()), flush=True
            )
        yield "overhead", found
    if "plan" in parts:
        found = measure_plan(place, 3 if quick else 7)
        print(
            f"\nplan of 1,000 runs: {found['wall']:.2f} s, {found['cpu']:.2f} s of processor time",
            flush=True,
        )
        missed += [f"plan: more than {PLAN:g} s"] * (found["wall"] > PLAN)
        yield "plan", found
    if "ledger" in parts:
        found = measure_ledger(place, 3 if quick else 7)
        print(
            "\nledger of 10,000 runs, 1,000 whole runs: "
            + ", ".join(f"{k} {v:.3f} s" for k, v in found.items())
        )
        missed += [f"ledger: more than {LEDGER:g} s"] * (
            max(found["read_ledger"], found["read_endings"]) > LEDGER
        )
        yield "ledger", found
    if "starts" in parts:
        found = measure_starts(place, 5 if quick else 25)
        words = f"{found['failed']} failed, {found['retried']} retried, {found['seconds']:.0f} s"
        print(f"\n4 kernels at once, {found['runs']} runs: {words}", flush=True)
        missed += [f"{found['failed']} kernels did not start"] * bool(found["failed"])
        yield "starts", found
    if "grid" in parts:
        found = compare_jobs(place, *((6, 10, 2) if quick else (20, 60, 2)))
        seconds = ", ".join(f"{jobs} at a time {np.median(found[jobs]):.0f} s" for jobs in (1, 2))
        print(f"\n{found['runs']} runs: {seconds}, ratio {found['ratio']:.2f}", flush=True)
        missed += [f"two jobs: more than {RATIO:g} of the time of one"] * (found["ratio"] > RATIO)
        yield "grid", found


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer rounds, shorter training")
    parser.add_argument("--only", choices=PARTS, action="append", help="one part")
    parser.add_argument("--json", type=Path, help="where all figures go")
    chosen, missed = parser.parse_args(), []
    signal.signal(
        signal.SIGTERM, lambda *_: sys.exit(143)
    )  # so that what was started and written is cleared away
    report = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": describe_machine(),
    }
    report |= {
        "python": platform.python_version(),
        "versions": {name: version(name) for name in PACKAGES},
    }
    with tempfile.TemporaryDirectory() as place:
        keep_bytecode(Path(place))
        time_parts(
            TRAIN, Path(place) / "warm", live=False, epochs=1
        )  # writes it, and imports papermill here
        start_python(
            "-m", "bmix_lite", "sweep", str(TRAIN), "--out", str(Path(place) / "plan"), "--dry-run"
        )
        report |= run_parts(chosen.only or PARTS, Path(place), chosen.quick, missed)
    report["load at the end"] = os.getloadavg()
    print(
        f"\nload: {report['machine']['load']:.1f} at the start, {os.getloadavg()[0]:.1f} at the end"
    )
    if chosen.json:
        chosen.json.write_text(
            json.dumps(report | {"missed": missed}, indent=1) + "\n", encoding="utf-8"
        )
    print("MISSED " + "; ".join(missed) if missed else "all limits kept")
    return bool(missed)


if __name__ == "__main__":
    sys.exit(main())
