"""Class-balanced epochs drawn: bmix_lite's index stream against torch's WeightedRandomSampler and other samplers.

python benchmarks/samplers.py [--quick] [--json PATH]: draws a second, time to the first batch, bytes an image. The
others are those of the extra `bench` that are installed: pip install -e ".[bench]".
Promised: at least 8 times WeightedRandomSampler's draws a second at n = 1e6 and 10 times at 1e7, 100 times sooner to
the first batch, at most 5 bytes an image, and 1e8 images, where WeightedRandomSampler refuses. With --quick 1 min.
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
OURS, TORCH = "bmix_lite", "WeightedRandomSampler"
METRIC, LIST, OVER = "MPerClassSampler", "ImbalancedDatasetSampler", "RandomOverSampler"
# beyond these a peer takes minutes: permutations of a class for each few draws, arrays copied for each class
MOST = {TORCH: (2**24, 1000), METRIC: (10**5, 1000), LIST: (10**6, 1000), OVER: (10**7, 23)}


def make_labels(n, classes):
    """Class sizes fall geometrically to a hundredth, as in long-tailed benchmarks; every class is present."""
    shares = 0.01 ** (np.arange(classes) / (classes - 1))
    counts = np.maximum(1, (shares / shares.sum() * n).astype(int))
    labels = np.repeat(np.arange(classes), counts)[:n]
    return np.random.default_rng(0).permutation(
        np.concatenate([labels, np.zeros(n - len(labels), int)])
    )


def make_samplers(labels):
    """{name: function that makes an iterable of one epoch's indices}; peers that are not installed are left out."""
    counts = np.bincount(labels)

    def weighted():
        return WeightedRandomSampler(
            torch.as_tensor(1 / counts)[torch.as_tensor(labels)], len(labels)
        )

    found = {OURS: lambda: balanced_stream(labels, seed=0), TORCH: weighted}
    with contextlib.suppress(ImportError):
        from pytorch_metric_learning.samplers import MPerClassSampler

        # 8 of each class: with five classes fewer would not fill a batch
        found[METRIC] = lambda: MPerClassSampler(
            labels, m=8, batch_size=BATCH, length_before_new_iter=len(labels)
        )
    with contextlib.suppress(ImportError):
        from torchsampler import ImbalancedDatasetSampler

        found[LIST] = lambda: ImbalancedDatasetSampler(range(len(labels)), labels=labels)
    with contextlib.suppress(ImportError):
        from imblearn.over_sampling import RandomOverSampler

        found[OVER] = lambda: Oversampled(RandomOverSampler(random_state=0), labels)
    return found


class Oversampled:
    """imbalanced-learn's sampler: every image, and those of rarer classes again until all classes are equal."""

    def __init__(self, sampler, labels):
        self.sampler, self.labels, self.rows = sampler, labels, np.arange(len(labels))[:, None]

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


def held_bytes(value):
    """Bytes of the arrays, tensors and lists that a sampler holds from epoch to epoch."""
    if hasattr(value, "nbytes"):
        return value.nbytes
    if isinstance(value, list):
        return sys.getsizeof(value) + sum(sys.getsizeof(entry) for entry in value)
    parts = (
        value.values()
        if isinstance(value, dict)
        else vars(value).values()
        if hasattr(value, "__dict__")
        else ()
    )
    return sum(map(held_bytes, parts))


def measure(n, classes, rounds):
    """A row: for each sampler nanoseconds a draw, milliseconds to the first batch and bytes, once it is made."""
    labels, made = make_labels(n, classes), {}
    for name, make in make_samplers(labels).items():
        most = MOST.get(name, (n, classes))
        if n <= most[0] and classes <= most[1]:
            made[name] = make()
    draws = {name: draw_epoch(sampler) for name, sampler in made.items()}
    epochs = time_in_turn(
        {name: lambda s=sampler: draw_epoch(s) for name, sampler in made.items()}, rounds
    )
    firsts = time_in_turn(
        {name: lambda s=sampler: take_first(s) for name, sampler in made.items()}, rounds
    )
    each = {name: epochs[name] / draws[name] for name in made}
    row = {"n": n, "classes": classes}
    for name, sampler in made.items():
        row[name] = {
            "ns a draw": float(np.median(each[name])) * 1e9,
            "ms to first": float(np.median(firsts[name])) * 1e3,
            "times ours": median_ratio(each, name, OURS),
            "first, times ours": median_ratio(firsts, name, OURS),
            "bytes": held_bytes(getattr(sampler, "sampler", sampler)) / n,
        }
    return row


def main():
    chosen = read_arguments(__doc__).parse_args()
    sizes, rows = [(10**5, 23), (10**6, 5)], []
    if not chosen.quick:
        sizes = [(n, c) for n in (10**5, 10**6, 10**7) for c in (5, 23, 1000)] + [(10**8, 5)]
    heads = f"{'ns a draw':>10} {'ms to first':>12} {'times ours':>11} {'first':>8} {'bytes':>6}"
    print(f"{'n':>12} {'classes':>8} {'sampler':<24} {heads}")
    for n, classes in sizes:
        started = time.perf_counter()
        rows.append(measure(n, classes, rounds=3 if n >= 10**7 else 5))
        for name in [name for name in (OURS, *MOST) if name in rows[-1]]:
            found = rows[-1][name]
            words = f"{found['ns a draw']:10.0f} {found['ms to first']:12.2f} {found['times ours']:11.1f} "
            words += f"{found['first, times ours']:8.0f} {found['bytes']:6.1f}"
            print(f"{n:12,} {classes:8} {name:<24} {words}", flush=True)
        rows[-1]["seconds"] = time.perf_counter() - started
    for name in MOST:
        if not any(name in row for row in rows):
            print(f"{name}: not installed, left out")
    promises = {"bytes an image, at most": (max(row[OURS]["bytes"] for row in rows), 5)}
    for size, limit in ((10**6, 8), (10**7, 10)):
        found = [row[TORCH] for row in rows if row["n"] == size]
        if found:
            promises[f"draws a second at n = {size:,}, at least"] = (
                min(row["times ours"] for row in found),
                limit,
            )
            promises[f"sooner to the first batch at n = {size:,}, at least"] = (
                min(row["first, times ours"] for row in found),
                100,
            )
    return finish(chosen, rows, promises)


if __name__ == "__main__":
    sys.exit(main())
