"""The machine that figures depend on, and the report of both; needs the standard library only."""

import contextlib
import datetime
import json
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def describe_machine():
    """What the numbers depend on."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return {
        "processor": _name_processor(),
        "cores": os.cpu_count(),
        "system": platform.system(),
        "load": load,
    }


def start_report(packages):
    """The head of a report: date, machine, Python, and the versions of these packages."""
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": describe_machine(),
        "python": platform.python_version(),
        "versions": {name: _find_version(name) for name in packages},
    }


def save_report(report, path=None):
    """Add the load at the end to the report, and write it where a path is given."""
    report = report | {"load at the end": os.getloadavg()}
    if path:
        path.write_text(json.dumps(report, indent=1, default=str) + "\n", encoding="utf-8")


def end_report(report, missed, path=None):
    """Save the report and say which limits were missed; the exit status."""
    save_report(report | {"missed": missed}, path)
    before = report["machine"]["load"]
    print(f"load: {before:.1f} at the start, {os.getloadavg()[0]:.1f} at the end")
    print("MISSED " + "; ".join(missed) if missed else "all limits kept")
    return bool(missed)


def _name_processor():
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":")[1].strip()
    return platform.processor() or platform.machine()


def _find_version(package):
    try:
        return version(package)
    except PackageNotFoundError:
        return None
