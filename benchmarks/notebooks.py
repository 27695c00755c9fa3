"""What a notebook costs before its first cell: imports, the start of a kernel, papermill around it.

python benchmarks/notebooks.py [--quick] [--json PATH]. Promised: `import bmix_lite` at most 0.05 s
beyond Python itself, `import bmix_lite.plots.images` at most 0.6 s. With --quick 1 min. How quickly
figures answer: benchmarks/latency.py.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from execution import keep_bytecode, time_parts, write_notebook
from pairs import finish, read_arguments

MODULES = {  # module: limit, s of the processor
    "bmix_lite": 0.05,
    "bmix_lite.plots.images": 0.6,
    "bmix_lite.widgets.explore": None,
    "bmix_lite.training": None,
}
IMPORT = """
import time
elapsed, used = time.perf_counter(), time.process_time()
import {name}
print(time.perf_counter() - elapsed, time.process_time() - used)
"""
PARTS = ("kernel start", "whole", "beyond its cells")
NULL = "papermill, a notebook that does nothing"


def time_imports(rounds):
    """{module: (rounds, 2) seconds elapsed and of the processor}, each in its own process."""
    seconds = {name: [] for name in MODULES}
    for turn in range(rounds + 1):
        for name in MODULES:
            command = [sys.executable, "-c", IMPORT.format(name=name)]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            if turn > 0:  # the first writes the bytecode
                seconds[name].append([float(number) for number in done.stdout.split()])
    return {name: np.array(rows) for name, rows in seconds.items()}


def main():
    chosen = read_arguments(__doc__).parse_args()
    rounds = 3 if chosen.quick else 9
    rows = {}
    promises = {}
    with tempfile.TemporaryDirectory() as folder:
        keep_bytecode(Path(folder))
        for name, seconds in time_imports(rounds).items():
            elapsed, used = np.median(seconds, axis=0).tolist()
            rows[f"import {name}"] = {"s": elapsed, "s of the processor": used}
            print(f"import {name:<20} {elapsed:6.3f} s, {used:6.3f} s of the processor", flush=True)
            if MODULES[name]:
                promise = f"import {name}, seconds of the processor, at most"
                promises[promise] = (used, MODULES[name])
        null = write_notebook(Path(folder) / "null.ipynb", "pass")
        turns = [time_parts(null, Path(folder) / f"turn {turn}") for turn in range(rounds)]
    rows[NULL] = {part: float(np.median([turn[part] for turn in turns])) for part in PARTS}
    print(f"{NULL}: {', '.join(f'{part} {rows[NULL][part]:.2f} s' for part in PARTS)}")
    return finish(chosen, rows, promises)


if __name__ == "__main__":
    sys.exit(main())
