"""The files around the package agree with each other."""

import re
import subprocess
import sys
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement

from conftest import ROOT

CONDA_NAMES = {"pytorch": "torch", "opencv": "opencv-python-headless"}
PIP_ONLY = {"latex2mathml"}  # pip installs it through `-e .`


def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_environment_and_pyproject_list_the_same_packages_and_ranges():
    listed = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    assert {"pip": ["-e ."]} in listed
    conda = [Requirement(line) for line in listed if isinstance(line, str) and line != "pip"]
    conda = {CONDA_NAMES.get(item.name, item.name): str(item.specifier) for item in conda}
    assert conda.pop("python") == project()["requires-python"]
    wanted = {
        item.name: str(item.specifier) for item in map(Requirement, project()["dependencies"])
    }
    assert conda == {name: versions for name, versions in wanted.items() if name not in PIP_ONLY}


def test_the_card_packages_are_there():
    names = {Requirement(line).name for line in project()["dependencies"]}
    card = "jupyterlab torch torchvision ipywidgets plotly pandas scikit-learn papermill nbval"
    assert set(card.split()) <= names


def test_constraints_pin_every_dependency_exactly_and_within_its_range():
    lines = (ROOT / "constraints.txt").read_text().split()
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line) for line in lines)
    pins = dict(line.lower().split("==") for line in lines)
    extras = project()["optional-dependencies"]
    # the frameworks of make integrations share what is pinned, and are new each time themselves
    pinned = [extra for name, extra in extras.items() if name != "integrations"]
    wanted = sum(pinned, project()["dependencies"])
    for item in map(Requirement, wanted):
        assert item.specifier.contains(pins[item.name]), item


@pytest.mark.prose
def test_every_make_target_that_the_readme_names_exists():
    makefile, readme = (ROOT / "Makefile").read_text(), (ROOT / "README.md").read_text()
    named = set(
        re.findall(r"make ([a-z]+)\b", "\n".join(re.findall(r"`[^`]*`|^make .*", readme, re.M)))
    )
    assert {"demo", "test", "lab"} <= named
    assert named <= set(re.findall(r"^([a-z]+):", makefile, re.M))


def test_jupyterlab_listens_on_this_machine_only_and_keeps_its_token():
    makefile = (ROOT / "Makefile").read_text()
    assert "--ip=127.0.0.1" in makefile
    assert not re.search(r"token=|allow_origin|allow-root", makefile)


def test_no_source_evaluates_text_or_unpickles():
    danger = (
        r"\b(eval|exec|os\.system)\(|shell=True|yaml\.load\(|weights_only=False|allow_pickle=True"
    )
    command = [
        "git",
        "grep",
        "-nE",
        danger,
        "--",
        "bmix_lite",
        "notebooks",
        "data_scripts",
        "benchmarks",
    ]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert found.returncode in (0, 1), found.stderr
    assert [line for line in found.stdout.splitlines() if ".eval()" not in line] == []


def check_readme(text, tmp_path):
    """What .ci/readme.py says of a README."""
    (tmp_path / "README.md").write_text(text)
    command = [sys.executable, ROOT / ".ci/readme.py", tmp_path / "README.md"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == bool(done.stderr)
    return done.stderr.splitlines()


@pytest.mark.prose
def test_a_false_a_new_and_a_lost_number_in_the_readme_are_found(tmp_path):
    text = (ROOT / "README.md").read_text()
    for true, false in {
        "| `digits_lt` | 990 |": "| `digits_lt` | 991 |",
        "(230 runs": "(229 runs",
        "with five seeds on real digits": "with four seeds on real digits",
        "## Cite": "It is 3.5 times faster, in 20 minutes.\n\n## Cite",  # no command is beside it
    }.items():
        text = text.replace(true, false)
    faults = check_readme(text + "\n" * 20, tmp_path)
    said = [
        fault.removeprefix("the README does not say: ")
        for fault in faults
        if "does not say" in fault
    ]
    assert said == [
        "(230 runs",
        "compares five methods with five seeds on real digits",
        "| `digits_lt` | 990 | 10 | 100 |",
    ]
    numbers = [fault.split("number ")[1] for fault in faults if "nothing gives" in fault]
    assert numbers == ["'229'", "'991'", "'10'", "'100'", "'3.5'", "'20'"]
    assert faults[-1].endswith("lines, more than 135")


@pytest.mark.prose
def test_the_map_in_the_readme_shows_a_picture_of_every_lesson():
    shown = re.findall(
        r'<img src="(notebooks/pictures/\w+\.png)"', (ROOT / "README.md").read_text()
    )
    lessons = [path.stem for path in sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))]
    assert shown == [f"notebooks/pictures/{name}.png" for name in lessons]
    assert all((ROOT / path).stat().st_size < 30_000 for path in shown)


@pytest.mark.prose
def test_the_readme_tells_of_every_dataset_what_it_costs_and_how_it_is_got():
    readme = (ROOT / "README.md").read_text()
    lines = [
        line
        for line in readme.splitlines()
        if line.startswith("| ") and ("built in" in line or "/get_" in line)
    ]
    table = [line.strip("| ").split(" | ") for line in lines]
    header = (
        next(line for line in readme.splitlines() if line.startswith("| dataset |"))
        .strip("| ")
        .split(" | ")
    )
    assert header == [
        "dataset",
        "images",
        "classes",
        "imbalance ratio",
        "licence",
        "minutes",
        "disk",
        "command",
    ]
    assert all(len(row) == len(header) and all(map(str.strip, row)) for row in table)
    named = {re.search(r"get_\w+", row[-1])[0] for row in table if "get_" in row[-1]}
    logs = {"get_published_runs"}  # no dataset
    assert named == {path.stem for path in (ROOT / "data_scripts").glob("get_*.py")} - logs
