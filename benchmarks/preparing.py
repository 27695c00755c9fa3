"""How quickly images become a prepared dataset, in how much memory, and how long a table takes.

python benchmarks/preparing.py [--quick] [--json PATH]: 6 minutes on two cores; exit status 1 where
a limit is missed. Limits: 1 GB for 20,000 images, no more for more images than their lists need;
5 s and 500 MB to check 100,000 rows.
The bound is Pillow alone, in as many processes: open, convert to RGB, resize.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from machine import end_report, start_report
from pairs import read_arguments
from PIL import Image

from bmix_lite.preparation.prepare import prepare

PACKAGES = ("numpy", "Pillow", "joblib", "pandas", "scikit-learn")
CASES = {  # name: (width, height, JPEG quality, pixels per side of the result)
    "512x512 to 64": (512, 512, 90, 64),
    "512x512 to 224": (512, 512, 90, 224),
    "640x480 to 64, as BCCD": (640, 480, 75, 64),
}
LIMIT = 1000  # MB for the larger number of images
ROWS_LIMIT = 500  # MB for the table
SECONDS_LIMIT = 5  # for the table
PER_IMAGE = 5  # kB of lists, hashes and small grey copies that one image more may cost

# what runs in a process of its own, whose peak is measured
PREPARE = """
from bmix_lite.preparation.prepare import prepare
prepare({root!r}, {out!r}, size=64, jobs={jobs}, progress=False)
"""
CHECK = """
import time
from bmix_lite.preparation import class_faults
from bmix_lite.preparation.image_faults import find_leaks
from bmix_lite.preparation.listing import list_table
from bmix_lite.preparation.part_faults import find_absences
import sklearn.model_selection
started = time.perf_counter()
images = list_table({table!r}, columns={{"group": "patient"}})
items = images.items
rows = list(range(len(items)))
faults = images.faults + class_faults.find_odd_labels(items) + find_leaks(items, rows)
faults += class_faults.find_class_faults(items, rows, images.labels)
faults += find_absences(items, rows, class_faults.order_classes(images.labels))
assert len(items) == {rows}, len(items)
print(time.perf_counter() - started)
"""


def make_photographs(folder, count, width, height, quality):
    """Smooth colours with fine grain, as in photographs, in two class folders; all differ."""
    grain = np.random.default_rng(0).normal(0, 6, (height, width, 3))
    for number in range(count):
        rng = np.random.default_rng(number)
        path = folder / str(number % 2) / f"{number:05}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        coarse = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8))
        smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), float)
        image = np.clip(smooth + np.roll(grain, number, axis=1), 0, 255).astype(np.uint8)
        Image.fromarray(image).save(path, quality=quality)
    return sorted(folder.glob("*/*.jpg"))


def time_bound(paths, size, jobs):
    """Images per second of Pillow and nothing else."""
    from joblib import Parallel, delayed

    started = time.perf_counter()
    parts = [paths[start : start + 32] for start in range(0, len(paths), 32)]
    Parallel(n_jobs=jobs)(delayed(decode_plainly)(part, size) for part in parts)
    return len(paths) / (time.perf_counter() - started)


def decode_plainly(paths, size):
    for path in paths:
        with Image.open(path) as image:
            image.convert("RGB").resize((size, size))


def time_prepare(root, out, size, jobs):
    """Images per second of the whole preparation: list, decode, hash, check, write, report."""
    started = time.perf_counter()
    data = prepare(root, out, size=size, jobs=jobs, progress=False)
    return len(data.labels) / (time.perf_counter() - started)


def compare_speed(count, rounds):
    """{case, jobs: images per second of both, and the median of the ratios}."""
    rows = {}
    for name, (width, height, quality, size) in CASES.items():
        with tempfile.TemporaryDirectory() as place:
            root = Path(place) / "photos"
            paths = make_photographs(root, count, width, height, quality)
            for jobs in (1, -1):
                pairs = []
                for turn in range(rounds + 1):
                    ours = time_prepare(root, Path(place) / f"{jobs} {turn}", size, jobs)
                    pairs.append((ours, time_bound(paths, size, jobs)))
                rows[f"{name}, jobs={jobs}"] = _compare(pairs[1:])  # the first one warms up
    return rows


def _compare(pairs):
    ours, bound = np.array(pairs).T
    return {
        "prepare": float(np.median(ours)),
        "bound": float(np.median(bound)),
        "ratio": float(np.median(ours / bound)),
        "all": pairs,
    }


def run_watched(script):
    """(output, seconds, MB) of a script: at most the peaks of all its processes together.

    VmHWM, not ru_maxrss, in which a child begins at its parent's peak.
    """
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-c", script]
    started = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    peaks = {}
    while child.poll() is None:
        peaks |= _read_peaks(child.pid)
        time.sleep(0.02)
    if child.returncode:
        raise SystemExit(f"preparing: a measured process failed with {child.returncode}")
    return child.stdout.read(), time.perf_counter() - started, sum(peaks.values())


def _read_peaks(pid):
    """{process: MB} of a process and of all that it started."""
    peaks = {}
    waiting = [pid]
    while waiting:
        pid = waiting.pop()
        try:
            status = Path(f"/proc/{pid}/status").read_text()
            waiting += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
            peaks[pid] = int(status.split("VmHWM:")[1].split()[0]) / 1000
        except (OSError, IndexError):  # it ended meanwhile
            continue
    return peaks


def measure_memory(counts, jobs):
    """{images: seconds and MB} of preparing small JPEGs, all in one folder, in this order."""
    rows = {}
    for count in counts:
        with tempfile.TemporaryDirectory() as place:
            root = Path(place) / "photos"
            make_photographs(root, count, 96, 96, 90)
            script = PREPARE.format(root=str(root), out=str(Path(place) / "out"), jobs=jobs)
            _, seconds, peak = run_watched(script)
        rows[count] = {"seconds": seconds, "MB": peak}
    return rows


def measure_table(rows):
    """{"seconds", "MB"} of checking a table, two images per patient: the best of three times."""
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


def report_speed(chosen):
    count, rounds = (200, 3) if chosen.quick else (600, 5)
    rows = compare_speed(count, rounds)
    print(f"{'images per second':<36} prepare   bound   ratio")
    for name, row in rows.items():
        numbers = f"{row['prepare']:7.0f} {row['bound']:7.0f} {row['ratio']:7.2f}"
        print(f"{name:<36} {numbers}", flush=True)
    return rows, []


def report_memory(chosen):
    small, large = (500, 2000) if chosen.quick else (5000, 20_000)
    memory = measure_memory((small, large), chosen.jobs)
    print(f"\n{f'peak memory, {chosen.jobs} processes':<36}      MB       s")
    for count, row in memory.items():
        print(f"{f'{count} images':<36} {row['MB']:7.0f} {row['seconds']:7.1f}", flush=True)
    growth = 1000 * (memory[large]["MB"] - memory[small]["MB"]) / (large - small)
    print(f"{'one image more, kB':<36} {growth:7.1f}")
    missed = []
    if memory[large]["MB"] > LIMIT:
        missed.append(f"{large} images: more than {LIMIT} MB")
    if growth > PER_IMAGE:
        missed.append(f"more than {PER_IMAGE} kB for each image more")
    return memory, missed


def report_table(chosen):
    table = measure_table(100_000)
    print(f"\n{'table of 100,000 rows':<36} {table['MB']:7.0f} {table['seconds']:7.1f}")
    missed = []
    if table["MB"] > ROWS_LIMIT:
        missed.append(f"table: more than {ROWS_LIMIT} MB")
    if table["seconds"] > SECONDS_LIMIT:
        missed.append(f"table: more than {SECONDS_LIMIT} s")
    return table, missed


PARTS = {  # name: function that measures, prints, and gives (figures, missed)
    "speed": report_speed,
    "memory": report_memory,
    "table": report_table,
}


def main():
    parser = read_arguments(__doc__)
    parser.add_argument("--only", choices=PARTS, action="append", help="one part")
    parser.add_argument(
        "--jobs", type=int, default=2, help="processes that prepare (default: %(default)s)"
    )
    chosen = parser.parse_args()
    report = start_report(PACKAGES)
    missed = []
    for part in chosen.only or PARTS:
        report[part], missed_here = PARTS[part](chosen)
        missed += missed_here
    return end_report(report, missed, chosen.json)


if __name__ == "__main__":
    sys.exit(main())
