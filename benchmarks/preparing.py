"""How quickly images become a prepared dataset, in how much memory, and how long a large table takes to check.

python benchmarks/preparing.py [--quick] [--json PATH]: 6 minutes on two cores; exit status 1 where a limit is missed.
Limits: 1 GB for 20,000 images, no more for more images than their lists need; 5 s and 500 MB for 100,000 rows.
The bound is Pillow alone, in as many processes: open, convert to RGB, resize.
"""

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
from latency import describe_machine
from PIL import Image

from bmix_lite.preparation.prepare import prepare

PACKAGES = ("numpy", "Pillow", "joblib", "pandas", "scikit-learn")
CASES = {  # name: (width, height, JPEG quality, pixels of a side of the result)
    "512x512 to 64": (512, 512, 90, 64),
    "512x512 to 224": (512, 512, 90, 224),
    "640x480 to 64, as BCCD": (640, 480, 75, 64),
}
LIMIT, ROWS_LIMIT, SECONDS_LIMIT = 1000, 500, 5  # MB, MB, s
PER_IMAGE = 5  # kB of lists, hashes and small grey copies that one image more may cost

# what runs in a process of its own, whose peak is measured
PREPARE = "from bmix_lite.preparation.prepare import prepare; prepare({root!r}, {out!r}, size=64, jobs={jobs}, progress=False)"
CHECK = """
import time
from bmix_lite.preparation.image_faults import find_leaks
from bmix_lite.preparation.class_faults import find_class_faults, find_odd_labels, order_classes
from bmix_lite.preparation.part_faults import find_absences
from bmix_lite.preparation.listing import list_table
import sklearn.model_selection
started = time.perf_counter()
images = list_table({table!r}, columns={{"group": "patient"}})
items, rows = images.items, list(range(len(images.items)))
faults = images.faults + find_odd_labels(items) + find_leaks(items, rows)
faults += find_class_faults(items, rows, images.labels)
faults += find_absences(items, rows, order_classes(images.labels))
assert len(items) == {rows}, len(items)
print(time.perf_counter() - started)
"""


def make_photographs(folder, count, width, height, quality):
    """Smooth colours with fine grain, as a photograph has them, in two class folders; all of them differ."""
    grain = np.random.default_rng(0).normal(0, 6, (height, width, 3))
    for number in range(count):
        rng, path = np.random.default_rng(number), folder / str(number % 2) / f"{number:05}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        coarse = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8))
        smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), float)
        image = np.clip(smooth + np.roll(grain, number, axis=1), 0, 255).astype(np.uint8)
        Image.fromarray(image).save(path, quality=quality)
    return sorted(folder.glob("*/*.jpg"))


def time_bound(paths, size, jobs):
    """Images a second of Pillow and nothing else."""
    from joblib import Parallel, delayed

    started = time.perf_counter()
    parts = [paths[at : at + 32] for at in range(0, len(paths), 32)]
    Parallel(n_jobs=jobs)(delayed(decode_plainly)(part, size) for part in parts)
    return len(paths) / (time.perf_counter() - started)


def decode_plainly(paths, size):
    for path in paths:
        with Image.open(path) as image:
            image.convert("RGB").resize((size, size))


def time_prepare(root, out, size, jobs):
    """Images a second of the whole preparation: lists, decodes, hashes, checks, writes, reports."""
    started = time.perf_counter()
    data = prepare(root, out, size=size, jobs=jobs, progress=False)
    return len(data.labels) / (time.perf_counter() - started)


def compare_speed(count, rounds):
    """{case, jobs: images a second of both, and the median of the ratios}; one round before is not counted."""
    found = {}
    for name, (width, height, quality, size) in CASES.items():
        with tempfile.TemporaryDirectory() as place:
            root = Path(place) / "photos"
            paths = make_photographs(root, count, width, height, quality)
            for jobs in (1, -1):
                pairs = [
                    (
                        time_prepare(root, Path(place) / f"{jobs} {turn}", size, jobs),
                        time_bound(paths, size, jobs),
                    )
                    for turn in range(rounds + 1)
                ][1:]
                ours, bound = np.array(pairs).T
                row = {"prepare": float(np.median(ours)), "bound": float(np.median(bound))}
                found[f"{name}, jobs={jobs}"] = row | {
                    "ratio": float(np.median(ours / bound)),
                    "all": pairs,
                }
    return found


def run_watched(script):
    """(what it prints, seconds, MB): the sum of the peaks of the process and of all that it started, or a bit more.

    VmHWM, not ru_maxrss, in which a child begins at its parent's peak.
    """
    started, peaks = time.perf_counter(), {}
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    child = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=environment
    )
    while child.poll() is None:
        waiting = [child.pid]
        while waiting:
            pid = waiting.pop()
            try:
                status = Path(f"/proc/{pid}/status").read_text()
                waiting += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
                peaks[pid] = int(status.split("VmHWM:")[1].split()[0]) / 1000
            except (OSError, IndexError):  # it ended meanwhile
                continue
        time.sleep(0.02)
    if child.returncode:
        raise SystemExit(f"preparing: a measured process failed with {child.returncode}")
    return child.stdout.read(), time.perf_counter() - started, sum(peaks.values())


def measure_memory(counts, jobs):
    """{images: seconds and MB} of preparing small JPEGs, all in one folder, with the smaller set first."""
    found = {}
    for count in counts:
        with tempfile.TemporaryDirectory() as place:
            make_photographs(Path(place) / "photos", count, 96, 96, 90)
            script = PREPARE.format(
                root=str(Path(place) / "photos"), out=str(Path(place) / "out"), jobs=jobs
            )
            _, seconds, peak = run_watched(script)
        found[count] = {"seconds": seconds, "MB": peak}
    return found


def measure_table(rows):
    """{"seconds", "MB"} of checking a table whose files are all there, two of a patient: the best of three times."""
    with tempfile.TemporaryDirectory() as place:
        lines = ["path,label,patient"]
        for number in range(rows):
            name = f"{number % 100}/{number}.png"
            if number < 100:
                (Path(place) / name).parent.mkdir()
            (Path(place) / name).touch()
            lines.append(f"{name},{min(4, number % 11)},p{number // 2}")
        table = Path(place) / "labels.csv"
        table.write_text("\n".join(lines) + "\n")
        runs = [run_watched(CHECK.format(table=str(table), rows=rows)) for _ in range(3)]
    return {
        "rows": rows,
        "seconds": min(float(printed) for printed, _, _ in runs),
        "MB": max(peak for *_, peak in runs),
    }


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--quick", action="store_true", help="fewer images and rounds; the table stays as long"
    )
    parser.add_argument(
        "--only", choices=["speed", "memory", "table"], action="append", help="one part"
    )
    parser.add_argument(
        "--jobs",
        type=int,
        default=2,
        help="processes where memory is measured (default: %(default)s)",
    )
    parser.add_argument("--json", type=Path, help="where all figures go")
    chosen = parser.parse_args()
    parts, missed = chosen.only or ["speed", "memory", "table"], []
    report = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": describe_machine(),
    }
    report |= {
        "python": platform.python_version(),
        "versions": {name: version(name) for name in PACKAGES},
    }
    if "speed" in parts:
        report["speed"] = compare_speed(*((200, 3) if chosen.quick else (600, 5)))
        print(f"{'images a second':<36} prepare   bound   ratio")
        for name, row in report["speed"].items():
            print(
                f"{name:<36} {row['prepare']:7.0f} {row['bound']:7.0f} {row['ratio']:7.2f}",
                flush=True,
            )
    if "memory" in parts:
        small, large = (500, 2000) if chosen.quick else (5000, 20_000)
        report["memory"] = memory = measure_memory((small, large), chosen.jobs)
        print(f"\n{f'peak memory, {chosen.jobs} processes':<36}      MB       s")
        for count, row in memory.items():
            print(f"{f'{count} images':<36} {row['MB']:7.0f} {row['seconds']:7.1f}", flush=True)
        growth = 1000 * (memory[large]["MB"] - memory[small]["MB"]) / (large - small)
        print(f"{'one image more, kB':<36} {growth:7.1f}")
        missed += [f"{large} images: more than {LIMIT} MB"] * (memory[large]["MB"] > LIMIT)
        missed += [f"more than {PER_IMAGE} kB for each image more"] * (growth > PER_IMAGE)
    if "table" in parts:
        report["table"] = table = measure_table(100_000)
        print(f"\n{'table of 100,000 rows':<36} {table['MB']:7.0f} {table['seconds']:7.1f}")
        missed += [f"table: more than {ROWS_LIMIT} MB"] * (table["MB"] > ROWS_LIMIT)
        missed += [f"table: more than {SECONDS_LIMIT} s"] * (table["seconds"] > SECONDS_LIMIT)
    if chosen.json:
        chosen.json.write_text(
            json.dumps(report | {"missed": missed}, indent=1) + "\n", encoding="utf-8"
        )
    print("\n" + ("MISSED " + "; ".join(missed) if missed else "all limits kept"))
    return bool(missed)


if __name__ == "__main__":
    sys.exit(main())
