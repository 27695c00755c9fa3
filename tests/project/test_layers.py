"""The house: one rule for imports, no circles, and torch in two places only."""

import ast
import json
import os
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import bmix_lite

PACKAGE = Path(bmix_lite.__file__).parent
# an import leads to the same room or to one further left; "core" is the files at the top
ROOMS = [
    *("base", "core", "data", "preparation", "runs", "sweeps", "comparison", "plots", "widgets"),
    *("pages", "course", "__main__"),
]
NUMPY_ONLY = ["distribution", "samplers", "paper", "recipe", "metrics", "schedules"]
NUMPY_ONLY += ["methods", "prevalence"]
WITH_TORCH = ["mixing", "losses", "augment", "models", "inference", "batches", "checkpoints"]
WITH_TORCH += ["heads", "epochs", "layers", "pretrained", "embedding", "pairs", "colour"]
CORE = [*NUMPY_ONLY, *WITH_TORCH, "training", "posthoc"]


def name_of(path):
    """The dotted name of a module's file, without the package: "runs.folder"."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


FILES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}
del FILES[""]  # the face


def room_of(name):
    first = name.split(".")[0]
    return first if first in ROOMS else "core"


MENTION_TORCH = {name for name in FILES if room_of(name) in ("core", "course")} - set(NUMPY_ONLY)
NO_TORCH = sorted(FILES.keys() - MENTION_TORCH)


def read_imports(name):
    """(modules of this package, all modules) that a module imports, also inside functions."""
    inside = set()
    everything = set()
    for node in ast.walk(ast.parse(FILES[name].read_text())):
        if isinstance(node, ast.Import):
            everything |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} has a relative import"
            everything.add(node.module)
            everything |= {f"{node.module}.{alias.name}" for alias in node.names}
    for module in everything:
        inside.add(module.removeprefix("bmix_lite.") if module.startswith("bmix_lite.") else "")
    return inside & FILES.keys(), everything


def run_python(script, *arguments):
    command = [sys.executable, "-c", script, *arguments]
    environment = os.environ | {"PYTHONPATH": str(PACKAGE.parent)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_package_shows_twenty_four_files_of_core_ten_rooms_and_nothing_else():
    shown = {path.name for path in PACKAGE.iterdir()} - {"__pycache__"}
    files = {f"{name}.py" for name in CORE} | {"__init__.py", "__main__.py", "py.typed"}
    assert shown == files | (set(ROOMS) - {"core", "__main__"}) | {"static"}
    assert len(CORE) == 24


@pytest.mark.parametrize("name", FILES)
def test_an_import_leads_to_the_same_room_or_further_left(name):
    allowed = ROOMS[: ROOMS.index(room_of(name)) + 1]
    assert not {other for other in read_imports(name)[0] if room_of(other) not in allowed}


def test_no_imports_go_in_circles():
    graph = {name: read_imports(name)[0] - {name} for name in FILES}
    assert list(TopologicalSorter(graph).static_order())  # raises CycleError, which names them


@pytest.mark.parametrize("name", NO_TORCH)
def test_only_core_and_course_name_torch(name):
    everything = read_imports(name)[1]
    assert not {module for module in everything if module.split(".")[0] in ("torch", "torchvision")}


IMPORT_ALL = """
import importlib, json, sys
loaded = {}
for name in sys.argv[1:]:
    importlib.import_module("bmix_lite." + name)
    loaded[name] = [module for module in ("torch", "torchvision") if module in sys.modules]
print(json.dumps(loaded))
"""


def test_no_module_that_may_not_name_torch_brings_it_in():
    names = [name for name in NO_TORCH if name != "__main__"]
    assert set(NUMPY_ONLY) <= set(names)
    assert run_python(IMPORT_ALL, *names) == {name: [] for name in names}


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
import sklearn.metrics  # imports rich where that is installed, which draws from `random`: not us
import torch
def states():
    numpy_state = str(np.random.get_state())
    return [torch.get_rng_state().tolist(), numpy_state, random.getstate(), torch.get_num_threads()]
before = states()
for name in sys.argv[1:]:
    importlib.import_module("bmix_lite." + name)
print(json.dumps(before == states()))
"""
    assert run_python(script, *(name for name in FILES if name != "__main__"))


@pytest.mark.parametrize("name", FILES)
def test_a_module_can_be_read_in_one_sitting(name):
    assert len(FILES[name].read_text().splitlines()) <= 250


def test_no_function_is_longer_than_forty_lines():
    long = []
    for name, path in FILES.items():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                length = node.end_lineno - node.lineno + 1
                long += [f"{name}.{node.name}: {length} lines"] * (length > 40)
    assert long == []


def test_the_readers_of_files_never_run_what_they_read():
    forbidden = {"eval", "exec", "os.system", "os.popen", "pickle.load", "pickle.loads"}
    forbidden |= {"yaml.load", "np.random.seed"}
    for name, path in FILES.items():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                assert ast.unparse(node.func) not in forbidden, name
                given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
                assert given.get("shell") != "True", name
                assert given.get("allow_pickle") != "True", name
