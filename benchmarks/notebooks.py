"""What a notebook costs before its first cell: imports, the start of a kernel, and papermill around it.

python benchmarks/notebooks.py [--quick] [--json PATH]. Promised: `import bmix_lite` at most 0.05 s beyond Python
itself, `import bmix_lite.plots.images` at most 0.6 s. With --quick 1 min. How quickly figures answer: benchmarks/latency.py.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from batch import keep_bytecode, time_parts, write_notebook
from pairs import finish, read_arguments

MODULES = {
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


def time_imports(rounds):
    """{module: (rounds, 2) seconds elapsed and of the processor} in processes of their own, in turn."""
    found = {name: [] for name in MODULES}
    for turn in range(rounds + 1):
        for name in MODULES:
            words = [sys.executable, "-c", IMPORT.format(name=name)]
            done = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True)
            found[name] += [[float(word) for word in done.stdout.split()]] * (
                turn > 0
            )  # the first writes the bytecode
    return {name: np.array(rows) for name, rows in found.items()}


def main():
    chosen = read_arguments(__doc__).parse_args()
    rows, promises, rounds = {}, {}, 3 if chosen.quick else 9
    with tempfile.TemporaryDirectory() as folder:
        keep_bytecode(Path(folder))
        for name, seconds in time_imports(rounds).items():
            elapsed, used = np.median(seconds, axis=0)
            rows[f"import {name}"] = {"s": float(elapsed), "s of the processor": float(used)}
            print(f"import {name:<20} {elapsed:6.3f} s, {used:6.3f} s of the processor", flush=True)
            if MODULES[name]:
                promises[f"import {name}, seconds of the processor, at most"] = (
                    float(used),
                    MODULES[name],
                )
        null = write_notebook(Path(folder) / "null.ipynb", "pass")
        turns = [time_parts(null, Path(folder) / f"turn {turn}") for turn in range(rounds)]
        rows["papermill, a notebook that does nothing"] = {
            part: float(np.median([turn[part] for turn in turns])) for part in PARTS
        }
        print("papermill, a notebook that does nothing: ", end="")
        print(
            ", ".join(
                f"{part} {rows['papermill, a notebook that does nothing'][part]:.2f} s"
                for part in PARTS
            )
        )
    return finish(chosen, rows, promises)


if __name__ == "__main__":
    sys.exit(main())
