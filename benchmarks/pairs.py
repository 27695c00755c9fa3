"""Contenders timed in turn, medians of ratios, and what a report holds: shared by the benchmarks of speed."""

import argparse
import datetime
import json
import os
import platform
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
from machine import describe_machine

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
NOISE = 1.15  # a limit counts as missed beyond this factor: the spread of such ratios on a shared machine


def keep_memory():
    """Start this program anew with the C library's memory thresholds that sweeps set: they act at the start alone."""
    absent = {
        name: value for name, value in kernel_environment(1).items() if name.startswith("MALLOC_")
    }
    if absent:
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | absent)


def time_in_turn(contenders, rounds, clock=time.perf_counter):
    """{name: seconds (rounds,)} of functions without arguments, each called once a round, none always first."""
    names, seconds = list(contenders), {name: [] for name in contenders}
    for turn in range(rounds):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            started = clock()
            contenders[name]()
            seconds[name].append(clock() - started)
    return {name: np.array(values) for name, values in seconds.items()}


def median_ratio(seconds, name, reference):
    """The median over rounds of name's time by the reference's."""
    return float(np.median(seconds[name] / seconds[reference]))


def read_arguments(text):
    """--quick and --json, as all benchmarks of speed take them; an ArgumentParser to add to."""
    parser = argparse.ArgumentParser(
        description=text, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer rounds and sizes")
    parser.add_argument("--json", type=Path, help="where all figures go")
    return parser


def finish(chosen, rows, promises):
    """Write the report, say which promises were missed by more than NOISE, and return the exit status.

    promises: {text: (found, limit)}; found must be at least the limit where the text says "at least", else at most.
    """
    missed = []
    for text, (found, limit) in promises.items():
        kept = found >= limit / NOISE if "at least" in text else found <= limit * NOISE
        print(f"{'kept  ' if kept else 'MISSED'} {text} {limit:g}: {found:.2f}")
        missed += [] if kept else [text]
    report = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": describe_machine(),
    }
    report |= {"python": platform.python_version(), "versions": _versions(), "rows": rows}
    report |= {"load at the end": os.getloadavg(), "missed": missed}
    if chosen.json:
        chosen.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return bool(missed)


def _versions():
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found
