"""Notebooks whose runs take a second and end as they are told to, and sweeps as real processes."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from bmix_lite.data.prepared import save_prepared
from bmix_lite.runs.ledger import read_endings
from tiny import make

KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}
PATIENCE = 180  # seconds that a test waits for what must come, on a machine of whatever speed
PARAMETERS = """dataset = "digits_lt"  # a comment
split = 0
method = "instance"
alpha = None
lr = 1e-2
epochs = 1
seed = 0
live = True
how = ""
gate = ""
run_folder = "" """

# one cell each, so that its number tells which way was taken: the first of them is cell 3
STARTS = """import os, sys, time
from pathlib import Path
folder = Path(run_folder)
import psutil
parent = psutil.Process().parent()
is_forked = "bmix_lite.sweeps.forks" in parent.cmdline()
driver = parent.ppid() if is_forked else parent.pid
with open(folder.parent / f"{folder.name}.pids", "a") as file:
    file.write(f"{os.getpid()} {driver}\\n")"""
WAYS = {
    "error": "1 / 0",
    "exit": "sys.exit(0)",
    "kill": "os.kill(os.getpid(), 9)",
    "os._exit": "os._exit(3)",
    "sleep": "time.sleep(200)",
    "memory": """import resource
    resource.setrlimit(resource.RLIMIT_AS, (1 << 33, 1 << 33))
    bytearray(1 << 34)""",
    "poison": "os.kill(driver, 9)\n    time.sleep(200)",
    "once": """marker = folder.parent / f"{folder.name}.once"
    marker.exists() or (marker.touch(), os.kill(os.getpid(), 9))""",
    "fill": """(folder / "big").write_bytes(bytes(1 << 23))""",
    "wait": """(folder.parent / f"{folder.name}.waits").touch()
    while not Path(gate).exists():
        time.sleep(0.02)""",
}
# a whole result without numpy and pandas, whose import takes longer than all the rest
WRITES = """from bmix_lite.base.files import sha256_of, write_atomic, write_json
from bmix_lite.runs.ledger import append_ledger
from bmix_lite.recipe import Recipe
fields = {"dataset": dataset, "split": split, "alpha": alpha, "lr": lr, "epochs": epochs}
recipe = Recipe.make(method, **fields, seed=seed)
write_json(folder / "recipe.json", {"recipe": recipe.asdict(), "method": recipe.method})
write_atomic(folder / "history.csv", f"epoch,val_accuracy\\n1,{1 / (seed + 3)}\\n")
write_atomic(folder / "predictions.csv", "split,index,label,p_0,p_1\\nval,0,1,0.25,0.75\\n")
scores = {"balanced_accuracy": 1 / (seed + 2)}
names = ("recipe.json", "history.csv", "predictions.csv")
hashes = {name: sha256_of(folder / name) for name in names}
write_json(folder / "metrics.json", {"val": scores, "test": scores, "sha256": hashes})
append_ledger(folder.parent, folder.name, "complete", seconds=1.0)"""
DAMAGES = """if how == "damage":
    (folder / "predictions.csv").write_text("")
if how == "late":
    raise RuntimeError("after the result")"""
CELLS = (STARTS, *(f"if how == {how!r}:\n    {way}" for how, way in WAYS.items()), WRITES, DAMAGES)
LAST = 5 + len(WAYS)  # heading, parameters, STARTS, one per way, WRITES, DAMAGES
CELL = {how: number for number, how in enumerate(WAYS, start=4)}
CELL |= {"damage": LAST, "late": LAST}

# the command line without the report, which takes longer than the sweeps of these tests
COMMAND = """import sys, types
no_report = types.SimpleNamespace(write_report=lambda *_, **__: ["report.html"])
sys.modules["bmix_lite.pages.sweep_report"] = no_report
from bmix_lite.__main__ import main
sys.exit(main())"""


def write_notebook(path, *sources, parameters=(PARAMETERS,), kernelspec=KERNEL):
    """A notebook of a heading, the tagged cells of `parameters`, and one code cell per source."""
    tagged = [new_code_cell(source, metadata={"tags": ["parameters"]}) for source in parameters]
    cells = [new_markdown_cell("# Runs"), *tagged, *map(new_code_cell, sources)]
    metadata = {"kernelspec": kernelspec} if kernelspec else {}
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(new_notebook(cells=cells, metadata=metadata), path)
    return path


def write_light(folder):
    """A notebook of CELLS with a prepared dataset: to plan its runs needs no scikit-learn."""
    save_prepared(make((0, 1) * 6, split=["train", "val", "test"] * 4), folder / "cells")
    parameters = PARAMETERS.replace("digits_lt", f"{folder}/cells")
    return write_notebook(folder / "runs.ipynb", *CELLS, parameters=[parameters])


def start_sweep(notebook, out, *arguments, report=False, **popen):
    """`python -m bmix_lite sweep` as a process that leads a group of its own."""
    command = ["-m", "bmix_lite"] if report else ["-c", COMMAND]
    command = [sys.executable, *command, "sweep", str(notebook), "--out", str(out), *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, **pipes | {"start_new_session": True} | popen)


def end(process, seconds=PATIENCE):
    """(exit status, stdout, stderr) once the process has ended; it is killed where it does not."""
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired as late:
        kill_group(process)
        raise AssertionError(
            f"it did not end within {seconds} s: {late.stdout}\n{late.stderr}"
        ) from None
    return process.returncode, out, err


def sweep(notebook, out, *arguments, **options):
    return end(start_sweep(notebook, out, *arguments, **options))


def wait_until(holds, what="", seconds=PATIENCE):
    """Wait for a condition; returns its value."""
    ends = time.monotonic() + seconds
    while not (value := holds()):
        assert time.monotonic() < ends, f"not within {seconds} s: {what or holds}"
        time.sleep(0.01)
    return value


def kernels(out, run="*"):
    """(pid, pid of the parent) of every kernel that began a run of the experiment, in order."""
    paths = sorted(Path(out).glob(f"{run}.pids"))
    lines = [line for path in paths for line in path.read_text().splitlines()]
    return [tuple(map(int, line.split())) for line in lines]


def is_alive(pid):
    """True unless the process has ended; one that is not waited for yet has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def kill_group(process):
    """kill -9 of a process and all of its group, as a terminal or a cluster does it."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()  # where it leads no group
    process.wait()  # not communicate: kernels hold the pipes until they notice
    for pipe in filter(None, (process.stdout, process.stderr)):
        pipe.close()


def contents(folder):
    return {path: path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


def statuses(out):
    """{run id: status} as the ledger tells."""
    return {run_id: line["status"] for run_id, line in read_endings(out).items()}


def results(runs):
    """What `read_runs` found as one text, to the last bit."""
    rows = [run | {"history": run["history"].to_csv(index=False)} for run in runs]
    for row in rows:
        row.pop("environment", None)
        row.pop("folder")
    return json.dumps(rows, sort_keys=True)
