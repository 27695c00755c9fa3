"""Do variables in a kernel's environment make training quicker, and leave its results as they are?

python benchmarks/environment.py [--quick] [--json PATH]: exit status 1 if a bit differs.
Only training is timed, by the seconds in the ledger; "own" is what `kernel_environment` gives.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
from execution import PACKAGES, ROOT, TRAIN, clean_up_when_ended, keep_bytecode, time_parts
from machine import end_report, start_report
from pairs import read_arguments, rotate

from bmix_lite.base.files import read_json
from bmix_lite.runs.ledger import read_endings
from bmix_lite.sweeps.kernels import execute
from bmix_lite.sweeps.tasks import kernel_environment

# memory is kept, not returned
MALLOC = dict.fromkeys(("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"), str(2**30))
CONTENDERS = {"malloc": MALLOC, "two OpenMP threads": {"OMP_NUM_THREADS": "2"}}
RESULTS = ("history.csv", "predictions.csv", "model.pt")


def compare_environments(place, dataset, epochs, rounds):
    """{"own": median seconds, "ratios": {contender: times that}, "same": bits, "all": seconds}."""
    seconds = {name: [] for name in ("own", *CONTENDERS)}
    hashes = set()
    for turn in range(rounds):
        for name in rotate(list(seconds), turn):
            folder = place / dataset / f"{turn} {name}"
            taken, results = train_once(folder, dataset, epochs, CONTENDERS.get(name, {}))
            seconds[name].append(taken)
            hashes.add(results)
    own = np.array(seconds["own"])
    return {
        "own": float(np.median(own)),
        "ratios": {name: float(np.median(seconds[name] / own)) for name in CONTENDERS},
        "same": len(hashes) == 1,
        "all": seconds,
    }


def train_once(folder, dataset, epochs, variables):
    """(seconds of training, hashes of RESULTS) of one run with these environment variables."""
    parameters = dict(run_folder=str(folder), live=False, dataset=dataset, epochs=epochs)
    env = kernel_environment(2) | variables
    execute(TRAIN, folder / "notebook.ipynb", parameters, env=env, cwd=ROOT)
    saved = read_json(folder / "metrics.json")["sha256"]
    seconds = read_endings(folder.parent)[folder.name]["seconds"]
    return seconds, tuple(saved[file] for file in RESULTS)


def main():
    chosen = read_arguments(__doc__).parse_args()
    clean_up_when_ended()
    settings = {"digits_lt": 60, "fundus_toy": 5}
    if chosen.quick:
        settings = {"digits_lt": 10, "fundus_toy": 1}
    report = start_report(PACKAGES) | {"settings": settings, "found": {}}
    missed = []
    with tempfile.TemporaryDirectory() as place:
        keep_bytecode(Path(place))
        time_parts(TRAIN, Path(place) / "warm", live=False, epochs=1)  # writes it
        for dataset, epochs in settings.items():
            rounds = 3 if chosen.quick else 7
            row = compare_environments(Path(place), dataset, epochs, rounds)
            report["found"][dataset] = row
            ratios = ", ".join(f"{name} {ratio:.2f}" for name, ratio in row["ratios"].items())
            same = "same bits" if row["same"] else "OTHER BITS"
            print(f"{dataset}: {row['own']:.1f} s; times that, {ratios}; {same}", flush=True)
            if not row["same"]:
                missed.append(f"{dataset}: other bits")
    return end_report(report, missed, chosen.json)


if __name__ == "__main__":
    sys.exit(main())
