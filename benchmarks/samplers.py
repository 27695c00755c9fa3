"""Class-balanced epochs drawn: bmix_lite's index stream against torch's WeightedRandomSampler and what else is here.

python benchmarks/samplers.py [--quick] [--json PATH]: draws a second, time to the first batch, bytes an image.
Promised: at least 8 times WeightedRandomSampler's draws a second at n = 1e6 and 10 times at 1e7, 100 times sooner to
the first batch, at most 5 bytes an image, and 1e8 images, where WeightedRandomSampler refuses. With --quick 20 s.
"""

import sys
import time

import numpy as np
import torch
from pairs import finish, median_ratio, read_arguments, time_in_turn
from torch.utils.data import WeightedRandomSampler

from bmix_lite.samplers import balanced_stream

BATCH = 32
OURS, TORCH, METRIC = "bmix_lite", "WeightedRandomSampler", "MPerClassSampler"


def make_labels(n, classes):
    """Class sizes fall geometrically to a hundredth, as in long-tailed benchmarks; every class is present."""
    shares = 0.01 ** (np.arange(classes) / (classes - 1))
    counts = np.maximum(1, (shares / shares.sum() * n).astype(int))
    labels = np.repeat(np.arange(classes), counts)[:n]
    return np.random.default_rng(0).permutation(np.concatenate([labels, np.zeros(n - len(labels), int)]))


def make_samplers(labels):
    """{name: function that makes an iterable of one epoch's indices}; peers that are not installed are left out."""
    counts = np.bincount(labels)

    def weighted():
        return WeightedRandomSampler(torch.as_tensor(1 / counts)[torch.as_tensor(labels)], len(labels))

    found = {OURS: lambda: balanced_stream(labels, seed=0), TORCH: weighted}
    try:
        from pytorch_metric_learning.samplers import MPerClassSampler

        found[METRIC] = lambda: MPerClassSampler(labels, m=4, batch_size=BATCH, length_before_new_iter=len(labels))
    except ImportError:
        print(f"{METRIC}: not installed, left out")
    return found


def draw_epoch(sampler):
    """All of one epoch."""
    if hasattr(sampler, "indices"):
        return sum(len(batch) for batch in sampler.batches(1, BATCH))
    return sum(1 for _ in sampler)


def take_first(sampler):
    """One batch."""
    if hasattr(sampler, "batches"):
        return next(sampler.batches(1, BATCH))
    indices = iter(sampler)
    return [next(indices) for _ in range(BATCH)]


def measure(n, classes, rounds):
    """A row: for each sampler nanoseconds a draw and milliseconds to the first batch, from a sampler that is made."""
    labels = make_labels(n, classes)
    made = {name: make() for name, make in make_samplers(labels).items() if n <= 2**24 or name == OURS}
    epochs = time_in_turn({name: lambda s=sampler: draw_epoch(s) for name, sampler in made.items()}, rounds)
    firsts = time_in_turn({name: lambda s=sampler: take_first(s) for name, sampler in made.items()}, rounds)
    stream = made[OURS]
    row = {"n": n, "classes": classes, "bytes an image": stream.by_class.nbytes / n}
    for name in made:
        row[name] = {
            "ns a draw": float(np.median(epochs[name])) / n * 1e9,
            "ms to first": float(np.median(firsts[name])) * 1e3,
        }
        row[name] |= {
            "times ours": median_ratio(epochs, name, OURS),
            "first, times ours": median_ratio(firsts, name, OURS),
        }
    return row


def main():
    chosen = read_arguments(__doc__).parse_args()
    sizes = [(10**6, 5)] if chosen.quick else [(n, c) for n in (10**5, 10**6, 10**7) for c in (5, 23, 1000)]
    rows = []
    heads = f"{'ns a draw':>10} {'ms to first':>12} {'times ours':>11} {'first':>8}"
    print(f"{'n':>12} {'classes':>8} {'sampler':<22} {heads}")
    for n, classes in [*sizes, *([] if chosen.quick else [(10**8, 5)])]:
        started = time.perf_counter()
        rows.append(measure(n, classes, rounds=3 if n >= 10**7 else 5))
        for name in set(rows[-1]) - {"n", "classes", "bytes an image"}:
            found = rows[-1][name]
            words = f"{found['ns a draw']:10.0f} {found['ms to first']:12.2f} {found['times ours']:11.1f}"
            print(f"{n:12,} {classes:8} {name:<22} {words} {found['first, times ours']:8.0f}", flush=True)
        rows[-1]["seconds"] = time.perf_counter() - started
    promises = {"bytes an image, at most": (max(row["bytes an image"] for row in rows), 5)}
    for size, limit in ((10**6, 8), (10**7, 10)):
        found = [row[TORCH] for row in rows if row["n"] == size]
        if found:
            promises[f"draws a second at n = {size:,}, at least"] = (min(row["times ours"] for row in found), limit)
            promises[f"sooner to the first batch at n = {size:,}, at least"] = (
                min(row["first, times ours"] for row in found),
                100,
            )
    return finish(chosen, rows, promises)


if __name__ == "__main__":
    sys.exit(main())
