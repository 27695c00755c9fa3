"""The cost of one image of Balanced-MixUp among many: whole epochs of batches from a file on disk.

python benchmarks/scale.py [--quick] [--json PATH]: 10,000, 100,000 and 1,000,000 images of 32 px in
one memory-mapped array (3 GB in the temporary folder). Whole epochs are drawn and mixed, nothing is
trained. With --quick up to 100,000 images, 15 s; else a minute.
Promised: one image among the most costs at most 1.25 times one among the fewest, with the file in
the system's cache, and the process holds at most 60 bytes per image (labels, splits, rows, indices
and a shuffle) and 3 MB. "Cold" is the cost of an image when the file is in no cache; it depends on
the disk.
"""

import os
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path

import numpy as np
import torch
from pairs import finish, read_arguments, time_in_turn

from bmix_lite.batches import MixedBatches
from bmix_lite.data.imageset import ImageSet
from bmix_lite.recipe import Recipe

SIDE = 32
CLASSES = 5
CHUNK = 10**4
FLAT = 1.25  # limit
MEMORY = 60  # limit, bytes per image
FIXED = 3e6  # bytes of what the samplers draw at a time, however many images there are


def write_images(path, count):
    """An array of noise as `prepare` writes it."""
    array = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(count, SIDE, SIDE, 3))
    rng = np.random.default_rng(0)
    for start in range(0, count, CHUNK):
        noise = rng.integers(0, 256, (CHUNK, SIDE, SIDE, 3), dtype=np.uint8)
        array[start : start + CHUNK] = noise
    array.flush()


def open_batches(path):
    """Balanced-MixUp of the images in a file, the last class 1 in 100."""
    images = np.load(path, mmap_mode="r")
    rows = np.arange(len(images))
    labels = np.where(rows % 100 == 99, CLASSES - 1, rows % (CLASSES - 1))
    data = ImageSet(images, labels, tuple("abcde"), split=np.repeat("train", len(images)))
    return MixedBatches(data, Recipe.make("balanced_mixup", augment="none", batch_size=256), "cpu")


def draw_epoch(batches):
    """All batches of an epoch, looked at."""
    for images, _ in batches.epoch(1):
        images[0, 0, 0, 0].item()


def forget(path):
    """Let the system drop a file from its cache."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def measure_held(path):
    """Bytes held in the middle of an epoch, as numpy counts them: the system's count jumps."""
    tracemalloc.start()
    epoch = open_batches(path).epoch(1)
    next(epoch)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return held


def measure_cold(path):
    """Seconds of an epoch whose file is in no cache."""
    batches = open_batches(path)
    forget(path)
    started = time.perf_counter()
    draw_epoch(batches)
    return time.perf_counter() - started


def measure(folder, counts):
    """A row per number of images."""
    paths = {count: folder / f"{count}.npy" for count in counts}
    for count, path in paths.items():
        write_images(path, count)
    draw_epoch(open_batches(paths[counts[0]]))  # torch's own first time
    rows = []
    for count, path in paths.items():
        held = measure_held(path)
        cold = measure_cold(path) / count * 1e6
        bytes_each = (held - FIXED) / count
        rows.append({"images": count, "cold us an image": cold, "bytes an image": bytes_each})
    batches_of = {count: open_batches(path) for count, path in paths.items()}
    epochs = {count: lambda b=batches: draw_epoch(b) for count, batches in batches_of.items()}
    warm = time_in_turn(epochs, 5)
    fewest = warm[counts[0]] / counts[0]
    for row in rows:
        each = warm[row["images"]] / row["images"]
        row["us an image"] = float(np.median(each)) * 1e6
        row["times the fewest"] = float(np.median(each / fewest))
        figures = [f"{name} {value:,.2f}".replace(".00", "") for name, value in row.items()]
        print(", ".join(figures), flush=True)
    return rows


def main():
    chosen = read_arguments(__doc__).parse_args()
    torch.set_num_threads(1)
    counts = (10**4, 10**5) if chosen.quick else (10**4, 10**5, 10**6)
    with tempfile.TemporaryDirectory() as place:
        rows = measure(Path(place), counts)
    most = f"{counts[-1]:,} images"
    over_fewest = f"{most}, cost of one over one of {counts[0]:,}, at most"
    promises = {
        over_fewest: (rows[-1]["times the fewest"], FLAT),
        f"{most}, bytes held for one, at most": (rows[-1]["bytes an image"], MEMORY),
    }
    return finish(chosen, rows, promises)


if __name__ == "__main__":
    sys.exit(main())
