"""Whether variables in a kernel's environment make training quicker, and leave its results as they are.

python benchmarks/environment.py [--quick] [--json PATH]: exit status 1 if a bit differs.
The trained part alone is timed, by the seconds of the ledger; `own` is what `tasks.kernel_environment` gives.
"""

import argparse
import datetime
import json
import os
import platform
import signal
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import numpy as np
from batch import PACKAGES, ROOT, TRAIN, keep_bytecode, time_parts
from latency import describe_machine

from bmix_lite.base.files import read_json
from bmix_lite.runs.ledger import read_endings
from bmix_lite.sweeps.kernels import execute
from bmix_lite.sweeps.tasks import kernel_environment

MALLOC = dict.fromkeys(
    ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"), str(2**30)
)  # memory is kept, not returned
CONTENDERS = {"malloc": MALLOC, "two OpenMP threads": {"OMP_NUM_THREADS": "2"}}


def compare_environments(place, settings, rounds):
    """{dataset: {contender: median of the ratios of the seconds of training to the kit's own}, same bits or not}."""
    found = {}
    for dataset, epochs in settings.items():
        rows, hashes = {name: [] for name in ("own", *CONTENDERS)}, set()
        for turn in range(rounds):
            names = list(rows)
            for name in names[turn % 3 :] + names[: turn % 3]:  # none always comes first
                folder = place / dataset / f"{turn} {name}"
                parameters = {
                    "run_folder": str(folder),
                    "live": False,
                    "dataset": dataset,
                    "epochs": epochs,
                }
                env = kernel_environment(2) | CONTENDERS.get(name, {})
                execute(TRAIN, folder / "notebook.ipynb", parameters, env=env, cwd=ROOT)
                rows[name].append(read_endings(folder.parent)[folder.name]["seconds"])
                saved = read_json(folder / "metrics.json")["sha256"]
                hashes.add(
                    tuple(saved[file] for file in ("history.csv", "predictions.csv", "model.pt"))
                )
        own = np.array(rows["own"])
        ratios = {name: float(np.median(np.array(rows[name]) / own)) for name in CONTENDERS}
        found[dataset] = {
            "own": float(np.median(own)),
            "ratios": ratios,
            "same": len(hashes) == 1,
            "all": rows,
        }
    return found


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer rounds, shorter training")
    parser.add_argument("--json", type=Path, help="where all figures go")
    chosen = parser.parse_args()
    signal.signal(
        signal.SIGTERM, lambda *_: sys.exit(143)
    )  # so that what was written is cleared away
    report = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": describe_machine(),
    }
    report |= {
        "python": platform.python_version(),
        "versions": {name: version(name) for name in PACKAGES},
    }
    settings = (
        {"digits_lt": 10, "fundus_toy": 1} if chosen.quick else {"digits_lt": 60, "fundus_toy": 5}
    )
    with tempfile.TemporaryDirectory() as place:
        keep_bytecode(Path(place))
        time_parts(TRAIN, Path(place) / "warm", live=False, epochs=1)  # writes it
        found = compare_environments(Path(place), settings, 3 if chosen.quick else 7)
    for dataset, row in found.items():
        words = ", ".join(f"{name} {ratio:.2f}" for name, ratio in row["ratios"].items())
        same = "same bits" if row["same"] else "OTHER BITS"
        print(f"{dataset}: {row['own']:.1f} s; times that, {words}; {same}", flush=True)
    missed = [f"{dataset}: other bits" for dataset, row in found.items() if not row["same"]]
    report |= {
        "settings": settings,
        "found": found,
        "load at the end": os.getloadavg(),
        "missed": missed,
    }
    if chosen.json:
        chosen.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print("\n" + ("MISSED " + "; ".join(missed) if missed else "all limits kept"))
    return bool(missed)


if __name__ == "__main__":
    sys.exit(main())
