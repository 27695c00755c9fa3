"""A notebook executed and timed by parts: shared by the benchmarks of sweeps and of notebooks."""

import datetime
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat

from bmix_lite.sweeps.kernels import execute
from bmix_lite.sweeps.tasks import kernel_environment

ROOT = Path(__file__).parents[1]
TRAIN = ROOT / "notebooks" / "05_train.ipynb"
PACKAGES = ("papermill", "nbclient", "jupyter-client", "ipykernel", "torch", "numpy", "pandas")


def keep_bytecode(folder):
    """Let the processes to come keep their bytecode in `folder`, as Python does by default.

    Without it each kernel compiles 1,400 modules anew, 4 of the 7 s of the imports of 05_train.
    """
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = str(folder / "bytecode")


def clean_up_when_ended():
    """Let SIGTERM end this program as an exception does, so that what it started goes, too."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def write_notebook(path, *sources):
    """A notebook with a parameters cell for its folder, and these cells."""
    cells = [nbformat.v4.new_code_cell(source) for source in ('run_folder = ""', *sources)]
    cells[0].metadata["tags"] = ["parameters"]
    path.write_text(nbformat.writes(nbformat.v4.new_notebook(cells=cells)))
    return path


def start_python(*arguments):
    """The output of Python with these arguments; ends this program if it failed."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT)
    if done.returncode:
        output = done.stderr[-2000:]
        raise SystemExit(f"a measured process failed with {done.returncode}: {output}")
    return done.stdout


def time_parts(notebook, folder, **parameters):
    """{part: seconds} of one execution, from what papermill notes of each cell."""
    began = time.time()
    parameters = {"run_folder": str(folder)} | parameters
    execute(notebook, folder / "notebook.ipynb", parameters, env=kernel_environment(1), cwd=ROOT)
    ended = time.time()
    cells = nbformat.read(folder / "notebook.ipynb", as_version=4).cells
    cells = [cell for cell in cells if cell.cell_type == "code"]
    starts = [read_time(cell.metadata.papermill["start_time"]) for cell in cells]
    ends = [read_time(cell.metadata.papermill["end_time"]) for cell in cells]
    in_cells = [end - start for start, end in zip(starts, ends, strict=True)]
    imports = sum(
        seconds
        for cell, seconds in zip(cells, in_cells, strict=True)
        if cell.source.startswith("from pathlib")
    )
    return {
        "kernel start": starts[0] - began,
        "imports": imports,
        "other cells": sum(in_cells) - imports,
        "between cells": ends[-1] - starts[0] - sum(in_cells),
        "kernel end, saving": ended - ends[-1],
        "whole": ended - began,
        "beyond its cells": ended - began - sum(in_cells),
    }


def read_time(text):
    return datetime.datetime.fromisoformat(text).timestamp()
