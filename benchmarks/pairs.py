"""Contenders timed in turn, medians of ratios, and promises: shared by the benchmarks of speed."""

import argparse
import os
import sys
import time
from pathlib import Path

import numpy as np
from machine import save_report, start_report

from bmix_lite.sweeps.tasks import kernel_environment

PACKAGES = (
    "torch",
    "torchvision",
    "numpy",
    "pillow",
    "timm",
    "imbalanced-learn",
    "pytorch-metric-learning",
)
NOISE = 1.15  # a limit is missed beyond this factor: the spread of such ratios on a shared machine


def keep_memory():
    """Start this program anew with the memory thresholds of sweeps, which act only at the start."""
    wanted = kernel_environment(1)  # without what is set already
    absent = {name: value for name, value in wanted.items() if name.startswith("MALLOC_")}
    if absent:
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | absent)


def time_in_turn(contenders, rounds, clock=time.perf_counter):
    """{name: seconds (rounds,)} of functions, each called once per round, none always first."""
    seconds = {name: [] for name in contenders}
    for turn in range(rounds):
        for name in rotate(list(contenders), turn):
            started = clock()
            contenders[name]()
            seconds[name].append(clock() - started)
    return {name: np.array(values) for name, values in seconds.items()}


def rotate(names, turn):
    """The names in the order of this turn: each comes first in its turn."""
    first = turn % len(names)
    return names[first:] + names[:first]


def median_ratio(seconds, name, reference):
    """The median over rounds of name's time by the reference's."""
    return float(np.median(seconds[name] / seconds[reference]))


def read_arguments(text):
    """--quick and --json, as all benchmarks take them; an ArgumentParser to add to."""
    parser = argparse.ArgumentParser(
        description=text, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer rounds and sizes")
    parser.add_argument("--json", type=Path, help="where all figures go")
    return parser


def finish(chosen, rows, promises):
    """Write the report, say which promises were missed by more than NOISE; the exit status.

    promises: {text: (value, limit)}; the value must be at least the limit where the text says
    "at least", else at most
    """
    missed = []
    for text, (value, limit) in promises.items():
        kept = value >= limit / NOISE if "at least" in text else value <= limit * NOISE
        print(f"{'kept  ' if kept else 'MISSED'} {text} {limit:g}: {value:.2f}")
        if not kept:
            missed.append(text)
    save_report(start_report(PACKAGES) | {"rows": rows, "missed": missed}, chosen.json)
    return bool(missed)
