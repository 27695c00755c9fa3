import shutil

import pytest
import torch

from bmix_lite import distribution, losses, recipe
from bmix_lite.base.errors import BmixError
from bmix_lite.base.registry import run_own
from bmix_lite.runs.reading import read_runs
from bmix_lite.sweeps.sweep import describe_endings, expand_grid, plan_runs, run_grid
from conftest import ROOT

OWN = ROOT / "notebooks/own_method.py"
TRAIN = ROOT / "notebooks/05_train.ipynb"
GRID = expand_grid(method=["brier_cube_root"], epochs=[1])


@pytest.fixture(autouse=True)
def nothing_stays():
    """Names that a test adds are gone after it; the tables stay the objects that others hold."""
    tables = losses.LOSSES, distribution.SAMPLINGS, recipe.METHODS, recipe.CHOICES
    kept = [dict(table) for table in tables]
    yield
    for table, before in zip(tables, kept, strict=True):
        table.clear()
        table.update(before)


def test_the_example_adds_a_loss_a_base_stream_and_a_method():
    with pytest.raises(BmixError, match="method must be one of"):
        recipe.Recipe.make("brier_cube_root")
    assert run_own(OWN) == OWN.read_bytes()
    made = recipe.Recipe.make("brier_cube_root")
    assert (made.loss, made.q, made.method) == ("brier", "cube_root", "brier_cube_root")
    logits = torch.tensor([[0.0, 0.0], [50.0, 0.0]])
    targets = torch.tensor([[1.0, 0.0], [0.25, 0.75]])
    expected = ((0.5**2 + 0.5**2) + (0.75**2 + 0.75**2)) / 2
    assert losses.make_loss("brier", [3, 1])(logits, targets).item() == pytest.approx(expected)
    shares = distribution.sampling_probabilities([27, 8, 1], "cube_root", 1, 1)
    assert shares == pytest.approx([3 / 6, 2 / 6, 1 / 6])


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("x = 1\ny = 1 / 0\n", "own.py, line 2: ZeroDivisionError: division by zero"),
        ("def broken(:\n", "own.py, line 1: SyntaxError"),
        (
            "from bmix_lite.losses import register_loss\n\nregister_loss('focal', print)\n",
            "own.py, line 3: .*'focal'",
        ),
    ],
)
def test_a_file_that_fails_is_named_with_its_line(tmp_path, code, words):
    (tmp_path / "own.py").write_text(code)
    with pytest.raises(BmixError, match=words):
        run_own(tmp_path / "own.py")


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(BmixError, match=r"none\.py cannot be read: No such file"):
        plan_runs(TRAIN, GRID, tmp_path, own=tmp_path / "none.py")


def test_a_changed_file_makes_other_runs(tmp_path):
    shutil.copy(OWN, tmp_path / "own.py")
    ids = [
        set(plan_runs(TRAIN, GRID, tmp_path / "out", own=path).tasks)
        for path in (OWN, tmp_path / "own.py")
    ]
    assert ids[0] == ids[1]
    with (tmp_path / "own.py").open("a") as file:
        file.write("# another thought\n")
    assert not ids[0] & set(plan_runs(TRAIN, GRID, tmp_path / "out", own=tmp_path / "own.py").tasks)


def test_a_sweep_runs_the_method_as_the_file_was_when_it_began(tmp_path):
    own = tmp_path / "own.py"
    shutil.copy(OWN, own)
    endings = run_grid(TRAIN, GRID, tmp_path / "out", own=own, progress=False)
    assert [ending.status for ending in endings] == ["complete"], describe_endings(endings)
    (run,) = read_runs(tmp_path / "out")
    assert (run["method"], run["recipe"]["loss"], run["recipe"]["q"]) == (
        "brier_cube_root",
        "brier",
        "cube_root",
    )
    (kept,) = (tmp_path / "out/.sweep").glob("*.py")
    assert kept.read_bytes() == OWN.read_bytes()
