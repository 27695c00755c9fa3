"""Class-balanced epochs drawn: bmix_lite's index stream against torch's and other samplers.

python benchmarks/samplers.py [--quick] [--json PATH]: time per draw and to the first batch, bytes
per image. The others are those of the extra `bench` that are installed: pip install -e ".[bench]".
Promised: at least 8 times WeightedRandomSampler's draws per second at n = 1e6 and 10 times at 1e7,
100 times sooner to the first batch, at most 5 bytes per image, and 1e8 images, where
WeightedRandomSampler refuses. With --quick 1 min.
"""

import contextlib
import sys
import time

import numpy as np
import torch
from pairs import finish, median_ratio, read_arguments, time_in_turn
from torch.utils.data import WeightedRandomSampler

from bmix_lite.samplers import balanced_stream

BATCH = 32
OURS = "bmix_lite"
TORCH = "WeightedRandomSampler"
METRIC = "MPerClassSampler"
LIST = "ImbalancedDatasetSampler"
OVER = "RandomOverSampler"
# images, classes: beyond these a peer takes minutes, as it permutes a class for each few draws,
# or copies arrays for each class
MOST = {TORCH: (2**24, 1000), METRIC: (10**5, 1000), LIST: (10**6, 1000), OVER: (10**7, 23)}
LIMITS = {10**6: 8, 10**7: 10}  # images: times as many draws per second as WeightedRandomSampler
SOONER = 100  # limit: times sooner to the first batch
BYTES = 5  # limit, per image


def make_labels(n, classes):
    """Labels (n,) of classes that shrink geometrically to a hundredth; every class is present."""
    shares = 0.01 ** (np.arange(classes) / (classes - 1))
    counts = np.maximum(1, (shares / shares.sum() * n).astype(int))
    labels = np.repeat(np.arange(classes), counts)[:n]
    rest = np.zeros(n - len(labels), int)
    return np.random.default_rng(0).permutation(np.concatenate([labels, rest]))


def make_samplers(labels):
    """{name: function that makes an iterable of one epoch's indices}, of what is installed."""
    counts = np.bincount(labels)

    def make_weighted():
        weights = torch.as_tensor(1 / counts)[torch.as_tensor(labels)]
        return WeightedRandomSampler(weights, len(labels))

    makers = {OURS: lambda: balanced_stream(labels, seed=0), TORCH: make_weighted}
    with contextlib.suppress(ImportError):
        from pytorch_metric_learning.samplers import MPerClassSampler

        # 8 of each class: with five classes fewer would not fill a batch
        makers[METRIC] = lambda: MPerClassSampler(
            labels, m=8, batch_size=BATCH, length_before_new_iter=len(labels)
        )
    with contextlib.suppress(ImportError):
        from torchsampler import ImbalancedDatasetSampler

        makers[LIST] = lambda: ImbalancedDatasetSampler(range(len(labels)), labels=labels)
    with contextlib.suppress(ImportError):
        from imblearn.over_sampling import RandomOverSampler

        makers[OVER] = lambda: Oversampled(RandomOverSampler(random_state=0), labels)
    return makers


class Oversampled:
    """imbalanced-learn's sampler: every image, and rare ones again until classes are equal."""

    def __init__(self, sampler, labels):
        self.sampler = sampler
        self.labels = labels
        self.rows = np.arange(len(labels))[:, None]

    def batches(self, epoch, batch_size):
        self.sampler.fit_resample(self.rows, self.labels)
        yield self.sampler.sample_indices_


def draw_epoch(sampler):
    """All of one epoch; the number of its indices."""
    if hasattr(sampler, "batches"):
        return sum(len(batch) for batch in sampler.batches(1, BATCH))
    return sum(1 for _ in sampler)


def take_first(sampler):
    """One batch."""
    if hasattr(sampler, "batches"):
        return next(sampler.batches(1, BATCH))
    indices = iter(sampler)
    return [next(indices) for _ in range(BATCH)]


def count_held_bytes(value):
    """Bytes of the arrays, tensors and lists that a sampler holds from epoch to epoch."""
    if hasattr(value, "nbytes"):
        return value.nbytes
    if isinstance(value, list):
        return sys.getsizeof(value) + sum(sys.getsizeof(entry) for entry in value)
    if isinstance(value, dict):
        return sum(map(count_held_bytes, value.values()))
    if hasattr(value, "__dict__"):
        return sum(map(count_held_bytes, vars(value).values()))
    return 0


def measure(n, classes, rounds):
    """A row: per sampler, once it is made, time per draw and to the first batch, and bytes."""
    labels = make_labels(n, classes)
    samplers = {}
    for name, make in make_samplers(labels).items():
        most_images, most_classes = MOST.get(name, (n, classes))
        if n <= most_images and classes <= most_classes:
            samplers[name] = make()
    draws = {name: draw_epoch(sampler) for name, sampler in samplers.items()}
    epochs = _time(draw_epoch, samplers, rounds)
    firsts = _time(take_first, samplers, rounds)
    each = {name: epochs[name] / draws[name] for name in samplers}
    row = {"n": n, "classes": classes}
    for name, sampler in samplers.items():
        row[name] = {
            "ns a draw": float(np.median(each[name])) * 1e9,
            "ms to first": float(np.median(firsts[name])) * 1e3,
            "times ours": median_ratio(each, name, OURS),
            "first, times ours": median_ratio(firsts, name, OURS),
            "bytes": count_held_bytes(getattr(sampler, "sampler", sampler)) / n,
        }
    return row


def _time(function, samplers, rounds):
    calls = {name: lambda s=sampler: function(s) for name, sampler in samplers.items()}
    return time_in_turn(calls, rounds)


def show(row):
    for name in (OURS, *MOST):
        if name in row:
            figures = row[name]
            text = f"{figures['ns a draw']:10.0f} {figures['ms to first']:12.2f}"
            text += f" {figures['times ours']:11.1f} {figures['first, times ours']:8.0f}"
            text += f" {figures['bytes']:6.1f}"
            print(f"{row['n']:12,} {row['classes']:8} {name:<24} {text}", flush=True)


def list_promises(rows):
    promises = {"bytes an image, at most": (max(row[OURS]["bytes"] for row in rows), BYTES)}
    for size, limit in LIMITS.items():
        peers = [row[TORCH] for row in rows if row["n"] == size]
        if peers:
            draws = min(peer["times ours"] for peer in peers)
            first = min(peer["first, times ours"] for peer in peers)
            promises[f"draws a second at n = {size:,}, at least"] = (draws, limit)
            promises[f"sooner to the first batch at n = {size:,}, at least"] = (first, SOONER)
    return promises


def main():
    chosen = read_arguments(__doc__).parse_args()
    sizes = [(10**5, 23), (10**6, 5)]
    if not chosen.quick:
        sizes = [(n, c) for n in (10**5, 10**6, 10**7) for c in (5, 23, 1000)] + [(10**8, 5)]
    heads = f"{'ns a draw':>10} {'ms to first':>12} {'times ours':>11} {'first':>8} {'bytes':>6}"
    print(f"{'n':>12} {'classes':>8} {'sampler':<24} {heads}")
    rows = []
    for n, classes in sizes:
        started = time.perf_counter()
        row = measure(n, classes, rounds=3 if n >= 10**7 else 5)
        row["seconds"] = time.perf_counter() - started
        rows.append(row)
        show(row)
    for name in MOST:
        if not any(name in row for row in rows):
            print(f"{name}: not installed, left out")
    return finish(chosen, rows, list_promises(rows))


if __name__ == "__main__":
    sys.exit(main())
