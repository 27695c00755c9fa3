"""Every command that README, guides, lessons and files print works as printed, from a clone's root.

Field report 09: papermill #316, #268. Cheap ones are run, the longer ones with less to do, and what
needs a network, a cluster or an hour goes through the program's own parser. A command for which
there is no rule below fails: whoever prints a new one says here how it is tried.
"""

import argparse
import contextlib
import io
import json
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import nbformat
import numpy as np
import pytest

import bmix_lite.__main__
from bmix_lite.base.errors import BmixError
from bmix_lite.data.imageset import ImageSet
from bmix_lite.data.prepared import save_prepared
from bmix_lite.recipe import Recipe
from bmix_lite.runs.complete import is_complete
from bmix_lite.runs.folder import place_run
from bmix_lite.sweeps.parameters import read_parameters
from clinic import make_folder
from conftest import ROOT, without_trainings

PROGRAMS = r"(?:python|papermill|torchrun|dask|make|pip|conda|bash)"
IN_TEXT = re.compile(rf"`({PROGRAMS} [^`\n]+)`|^[ #]*({PROGRAMS} [\w./-].*)$", re.M)
PROSE = ("papermill warns", "make demo, make test", "python WORDS", "python -O")
BEYOND = re.compile(
    r"\s+#.*|\[--.*|[:.] [A-Z0-9].*|[:,] (?:exit|the|draws|a table|then) .*|\.\.\.$"
)


def read_texts():
    """(name, text) of whatever prints commands for people."""
    for path in (*ROOT.glob("*.md"), *ROOT.glob("notebooks/*.md")):
        yield path.name, path.read_text()
    for path in sorted(ROOT.glob("notebooks/*.ipynb")):
        cells = json.loads(path.read_text())["cells"]
        for cell in cells:
            if cell["cell_type"] == "markdown":
                yield path.name, "".join(cell["source"])
    for pattern in ("notebooks/*.py", "notebooks/*.yaml", "benchmarks/*.py", "data_scripts/*.py"):
        for path in sorted(ROOT.glob(pattern)):
            yield path.name, path.read_text()


def find_commands():
    """{command: where it is printed}; lines that go on after a backslash are one."""
    commands = {}
    for name, text in read_texts():
        text = re.sub(r"\\+\n[\s#]*", "", text)
        for match in IN_TEXT.finditer(text):
            printed = match[1] or match[2]
            if printed.startswith(PROSE):
                continue
            for command in printed.split(" & "):
                command = BEYOND.sub("", command).strip(" &")
                if command:
                    commands.setdefault(command, name)
    return commands


COMMANDS = find_commands()


class Parsed(Exception):
    """The program's own parser has accepted the command."""


def check_by_parser(monkeypatch, start):
    """Run a program up to the moment when its parser has read the command line."""
    parse = argparse.ArgumentParser.parse_args

    def stop(*arguments, **options):
        parse(*arguments, **options)
        raise Parsed

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", stop)
    with pytest.raises(Parsed):
        start()


def start_here(clone, *words, seconds=500):
    """A command in the clone; the programs are those of this environment."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        words, cwd=clone, env=environment, capture_output=True, text=True, timeout=seconds
    )
    assert done.returncode == 0, f"{shlex.join(map(str, words))}\n{done.stderr[-3000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """What a clone holds, in a folder of its own; build and whatever else is made stays there."""
    folder = tmp_path_factory.mktemp("above") / "bmix-lite"
    folder.mkdir()
    linked = ("bmix_lite", "data_scripts", "benchmarks", ".ci", "tests")
    for name in (*linked, "Makefile", "pyproject.toml", "constraints.txt", "README.md"):
        (folder / name).symlink_to(ROOT / name)
    shutil.copytree(ROOT / "notebooks", folder / "notebooks")
    write_clinic(folder)
    save_prepared(make_features(), folder / "data/bccd-efficientnet_lite0")  # as `embed` names it
    return folder


def make_features():
    """Sixty images of two classes as eight features each."""
    numbers = np.random.default_rng(0).normal(size=(60, 1, 1, 8)).astype(np.float32)
    return ImageSet(numbers, np.arange(60) % 2, ("a", "b"))


def write_clinic(folder):
    """The photographs and the table of lesson 9.5: labels.csv with image, grade and patient."""
    make_folder(folder / "by_class", (30, 20, 20))
    photos = folder / "photos"
    photos.mkdir()
    lines = ["image,grade,patient"]
    for number, path in enumerate(sorted((folder / "by_class").rglob("*.png"))):
        shutil.move(path, photos / f"{number}.png")
        lines.append(f"{number}.png,{path.parent.name},p{number // 2}")
    shutil.rmtree(folder / "by_class")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")


def check_make(clone, words, monkeypatch):
    """The target exists, and what it would call is accepted by the command line."""
    recipe = start_here(clone, "make", "--dry-run", *words[1:])
    for line in re.sub(r"\\\n\s*", "", recipe).splitlines():
        called = re.search(r"-m bmix_lite (.*)", line.split(" && ")[-1])
        if called and "--help" not in line:
            arguments = shlex.split(called[1])
            with monkeypatch.context() as patch:
                check_by_parser(patch, lambda words=arguments: bmix_lite.__main__.main(words))


def check_kit(clone, words, monkeypatch):
    """A sweep is planned; of the others the arguments are read, and their notebooks are there."""
    arguments = words[3:]
    for path in (word for word in arguments if word.endswith((".ipynb", ".py", ".yaml"))):
        assert "NN_name" in path or (clone / path).is_file(), path
    if arguments[0] != "sweep":
        check_by_parser(monkeypatch, lambda: bmix_lite.__main__.main(arguments))
        return
    more = [] if "--out" in arguments else ["--out", "build/printed"]
    if "--dry-run" not in arguments:
        more.append("--dry-run")
    monkeypatch.chdir(clone)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        assert bmix_lite.__main__.main([*arguments, *more]) == 0
    assert "runs of 05_train.ipynb" in printed.getvalue()


def check_papermill(clone, words, monkeypatch):
    """Run with one epoch; nothing may be written beside the clone.

    Lesson 9 as far as its trainings: test_pages does them, with paths from its folder, too.
    """
    from papermill.__main__ import papermill

    papermill.make_context("papermill", list(words[1:]))
    if "handed_in" in words[1]:
        return  # a student's file
    names = [words[k + 1] for k, word in enumerate(words) if word == "-p"]
    known, _ = read_parameters(clone / words[1])
    assert set(names) <= known.keys()
    less = ["-p", "epochs", "1"]
    if "seeds" in known:
        path = clone / words[1]  # a copy
        nbformat.write(without_trainings(nbformat.read(path, as_version=4)), path)
    start_here(clone, *words, *less, "--no-progress-bar")
    assert [path.name for path in clone.parent.iterdir()] == [clone.name]


def check_torchrun(clone, words, monkeypatch):
    """What test_distributed runs with fewer epochs, with a recipe that there is."""
    assert words[:3] == ["torchrun", "--nproc-per-node=2", "notebooks/distributed.py"]
    method, *fields = words[3:] or ["balanced_mixup"]
    assert Recipe.make(method, **dict(field.split("=") for field in fields)).method == method


def check_dask(clone, words, monkeypatch):
    listed = start_here(clone, "dask", words[1], "--help")
    for option in (word for word in words if word.startswith("--")):
        assert option in listed


def check_script(clone, words, monkeypatch):
    """The script's own parser takes the arguments."""
    monkeypatch.chdir(clone)
    monkeypatch.setattr(sys, "argv", words[1:])
    monkeypatch.syspath_prepend((clone / words[1]).resolve().parent)
    check_by_parser(monkeypatch, lambda: runpy.run_path(words[1], run_name="__main__"))


def check_options(clone, words, monkeypatch):
    """A script that reads its options by hand has them in its text."""
    text = (ROOT / words[1]).read_text()
    assert all(word in text for word in words if word.startswith("--"))


def check_pip(clone, words, monkeypatch):
    extras = re.findall(r"\[(\w+)\]", " ".join(words))
    offered = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(extras) <= offered["optional-dependencies"].keys()


def check_file(clone, words, monkeypatch):
    assert (ROOT / words[-1]).is_file()


def check_cluster(clone, words, monkeypatch):
    """`here` is run by tests/sweeps/test_pools.py, in other words; the others need a cluster."""
    starts = runpy.run_path(ROOT / words[1], run_name="read")["STARTS"]
    assert {"here", "slurm", "kubernetes"} == set(starts)


RULES = {
    r"make ": check_make,
    r"python -m bmix_lite ": check_kit,
    r"papermill ": check_papermill,
    r"torchrun ": check_torchrun,
    r"dask ": check_dask,
    r"python notebooks/cluster\.py": check_cluster,
    r"python (data_scripts|benchmarks)/\w+\.py": check_script,
    r"python \.ci/\w+\.py": check_options,
    r"pip install ": check_pip,
    r"(bash|conda env create -f) ": check_file,
}


@pytest.mark.parametrize("command", COMMANDS, ids=lambda text: re.sub(r"[^\w-]+", " ", text)[:70])
@pytest.mark.usefixtures("own_names", "own_signals")
def test_a_printed_command_works_from_the_root_of_a_clone(command, clone, monkeypatch):
    check = next((RULES[rule] for rule in RULES if re.match(rule, command)), None)
    assert check, f"{COMMANDS[command]} prints `{command}`, and no rule says how it is tried"
    check(clone, shlex.split(command), monkeypatch)


def test_the_commands_of_which_people_complained_are_among_them():
    printed = "\n".join(COMMANDS)
    assert "papermill notebooks/05_train.ipynb out.ipynb -p method balanced_mixup" in printed
    assert "papermill notebooks/09_your_data.ipynb out.ipynb -p source labels.csv" in printed
    assert "torchrun --nproc-per-node=2 notebooks/distributed.py" in printed
    assert len(COMMANDS) > 40


@pytest.mark.parametrize("command", ["", "demo", "sweep", "report", "html", "refresh", "keep"])
def test_the_help_of_a_command_can_be_read(command, capsys):
    with pytest.raises(SystemExit) as ended:
        bmix_lite.__main__.main([*filter(None, [command]), "--help"])
    assert ended.value.code == 0
    assert "usage: python -m bmix_lite" in capsys.readouterr().out


def test_every_extra_that_an_error_names_exists():
    offered = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = set()
    for path in (ROOT / "bmix_lite").rglob("*.py"):
        named |= set(re.findall(r"pip install bmix-lite\[(\w+)\]", path.read_text()))
    assert named
    assert named <= offered["optional-dependencies"].keys()


def test_a_run_by_hand_goes_into_the_clone_from_wherever_it_is_started(
    clone, tmp_path, monkeypatch
):
    (clone / "notebooks" / "deep").mkdir(exist_ok=True)
    for folder in (clone, clone / "notebooks", clone / "notebooks" / "deep", clone / "photos"):
        monkeypatch.chdir(folder)
        assert place_run("run") == clone / "build" / "runs" / "by_hand" / "run"
    monkeypatch.chdir(tmp_path)
    assert place_run("run") == tmp_path / "build" / "runs" / "by_hand" / "run"


def test_the_run_of_the_readme_s_papermill_lies_in_the_clone(clone, monkeypatch):
    command = next(command for command in COMMANDS if command.startswith("papermill notebooks/05"))
    runs = clone / "build" / "runs" / "by_hand"
    if not runs.is_dir():  # the test of the command itself was not chosen
        check_papermill(clone, shlex.split(command), monkeypatch)
    (run,) = runs.glob("balanced_mixup-alpha0.1-digits_lt-split0-seed3-*")
    assert is_complete(run)


def test_distributed_refuses_a_field_that_is_none():
    with pytest.raises(BmixError, match="'epoch' is not a field of Recipe; did you mean 'epochs'"):
        Recipe.make("balanced_mixup", epoch=1)
