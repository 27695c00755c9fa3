import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import bmix_lite

PACKAGE = Path(bmix_lite.__file__).parent
NAMES = sorted(path.stem for path in PACKAGE.glob("*.py") if path.stem != "__init__")

# from the bottom up; a module imports only from lines above its own, or from its left
ORDER = [
    "errors",
    "files",
    "locks",
    "ledger",
    "ipynb",
    "randomness",
    "registry",
    "distribution",
    "known_counts",
    "metrics",
    "intervals",
    "paired",
    "defects",
    "recipe",
    "grids",
    "samplers",
    "imageset",
    "splits",
    "prepared",
    "fundus_anatomy",
    "fundus_lesions",
    "fundus",
    "example_clinic",
    "datasets",
    "toys",
    "decode",
    "faults",
    "label_table",
    "places",
    "listing",
    "boxes",
    "chunks",
    "npz",
    "checks",
    "classes",
    "report",
    "prepare",
    "addresses",
    "archives",
    "download",
    "sources",
    "simulate",
    "answers",
    "exercises_mixing",
    "exercises_runs",
    "exercises_audit",
    "hints",
    "exercises",
    "mixing",
    "losses",
    "augment",
    "models",
    "inference",
    "batches",
    "schedules",
    "checkpoints",
    "training",
    "posthoc",
    "boundary",
    "run_predictions",
    "theme",
    "plots",
    "imbalance_plots",
    "mixing_plots",
    "sampling_plots",
    "run_plots",
    "published",
    "prediction_plots",
    "calibration_plots",
    "boundary_plots",
    "defect_plots",
    "frames",
    "widgets",
    "player",
    "alpha_widget",
    "confusion_widget",
    "runs",
    "export",
    "website",
    "refresh",
    "student",
    "kernels",
    "tasks",
    "parameters",
    "plans",
    "pools",
    "watching",
    "batch",
    "comparison",
    "verdicts",
    "tuning",
    "verdict_plots",
    "sweep_report",
    "demo",
    "__main__",
]
TORCH = {
    "mixing",
    "losses",
    "augment",
    "models",
    "inference",
    "batches",
    "checkpoints",
    "training",
    "posthoc",
}
TORCH |= {"boundary"}
NO_TORCH = [name for name in NAMES if name not in TORCH]


def read_imports(name):
    """(modules of this package, all modules) that a module imports anywhere, also inside functions."""
    inside, everything = set(), set()
    for node in ast.walk(ast.parse((PACKAGE / f"{name}.py").read_text())):
        if isinstance(node, ast.Import):
            everything |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            everything.add(node.module)
            if node.module == "bmix_lite":
                inside |= {alias.name for alias in node.names} & set(NAMES)
    inside |= {module.split(".")[1] for module in everything if module.startswith("bmix_lite.")}
    return inside, everything


def run_python(script, *arguments):
    command, environment = (
        [sys.executable, "-c", script, *arguments],
        os.environ | {"PYTHONPATH": str(PACKAGE.parent)},
    )
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_every_module_has_its_place_in_the_order():
    assert set(NAMES) <= set(ORDER), (
        "give the new module a place in ORDER, below all that it imports"
    )


@pytest.mark.parametrize("name", NAMES)
def test_imports_go_downward_only(name):
    below = ORDER[: ORDER.index(name)]
    upward = read_imports(name)[0] - set(below)
    assert not upward


@pytest.mark.parametrize("name", NO_TORCH)
def test_only_the_torch_layer_mentions_torch(name):
    inside, everything = read_imports(name)
    assert not {module for module in everything if module.split(".")[0] in ("torch", "torchvision")}
    assert name == "__main__" or not inside & TORCH


IMPORT_ALL = """
import importlib, json, sys
loaded = {}
for name in sys.argv[1:]:
    importlib.import_module("bmix_lite." + name)
    loaded[name] = [module for module in ("torch", "torchvision") if module in sys.modules]
print(json.dumps(loaded))
"""


def test_no_module_but_those_of_the_torch_layer_brings_in_torch():
    arrays = [*ORDER[: ORDER.index("prepare")], "schedules"]
    assert set(arrays) <= set(NO_TORCH)
    others = [name for name in NO_TORCH if name not in (*arrays, "__main__")]
    loaded = run_python(IMPORT_ALL, *arrays, *others)
    assert loaded == {name: [] for name in (*arrays, *others)}


def test_the_closed_forms_need_numpy_alone():
    script = """
import json, sys
import bmix_lite.distribution, bmix_lite.samplers
print(json.dumps(sorted({"torch", "scipy", "sklearn", "pandas", "plotly"} & set(sys.modules))))
"""
    assert run_python(script) == []


def test_importing_the_package_costs_nothing():
    script = """
import json, sys, time
before = set(sys.modules)
started = time.perf_counter()
import bmix_lite
seconds = time.perf_counter() - started
print(json.dumps([seconds, sorted(set(sys.modules) - before)]))
"""
    seconds, modules = zip(*(run_python(script) for _ in range(5)), strict=True)
    assert min(seconds) < 0.1
    assert modules[0] == ["bmix_lite"]


def test_importing_everything_leaves_the_generators_and_threads_alone():
    script = """
import importlib, json, random, sys
import numpy as np
import sklearn.metrics  # it imports rich where that is installed, which draws from `random`: not our doing
import torch
def states():
    return [torch.get_rng_state().tolist(), str(np.random.get_state()), random.getstate(), torch.get_num_threads()]
before = states()
for name in sys.argv[1:]:
    importlib.import_module("bmix_lite." + name)
print(json.dumps(before == states()))
"""
    assert run_python(script, *(name for name in NAMES if name != "__main__"))


@pytest.mark.parametrize("name", NAMES)
def test_a_module_can_be_read_in_one_sitting(name):
    assert len((PACKAGE / f"{name}.py").read_text().splitlines()) <= 220


def test_the_readers_of_files_never_run_what_they_read():
    forbidden = {
        "eval",
        "exec",
        "os.system",
        "os.popen",
        "pickle.load",
        "pickle.loads",
        "yaml.load",
        "np.random.seed",
    }
    for name in NAMES:
        for node in ast.walk(ast.parse((PACKAGE / f"{name}.py").read_text())):
            if isinstance(node, ast.Call):
                assert ast.unparse(node.func) not in forbidden, name
                given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
                assert given.get("shell") != "True", name
                assert given.get("allow_pickle") != "True", name
