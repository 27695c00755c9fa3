"""The committed notebooks: executed, clean, readable without a kernel.

test_pages runs them by papermill.
"""

import os
import re
import subprocess
import sys

import nbformat
import papermill
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from bmix_lite.base.ipynb import QUIET, run_notebook
from bmix_lite.recipe import Recipe
from bmix_lite.sweeps.parameters import read_parameters
from bmix_lite.widgets.explore import PLOTLY_MIME
from clinic import make_folder
from conftest import ROOT, only_one, printed, share_runs, without_trainings

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
IGNORED_CELLS = 2  # in one notebook, at most: cells whose output cannot repeat

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


@pytest.fixture
def notebook(path):
    return nbformat.read(path, as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def tags(cell):
    return cell.metadata.get("tags", [])


def test_there_are_notebooks():
    assert [path.name[:2] for path in NOTEBOOKS] == [f"{number:02}" for number in range(12)]


@each_notebook
def test_every_code_cell_was_executed_in_order_without_error(notebook):
    nbformat.validate(notebook)
    cells = code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert not [
        output for cell in cells for output in cell.outputs if output.output_type == "error"
    ]


@each_notebook
def test_every_figure_cell_holds_a_figure_a_picture_and_a_caption_below(notebook):
    cells = notebook.cells
    figures = [k for k, cell in enumerate(cells) if "figure" in tags(cell)]
    assert figures
    for k in figures:
        data = cells[k].outputs[-1].data
        assert PLOTLY_MIME in data
        assert "image/png" in data
        assert re.match(r"\*\*Figure \d+\.\d+\.\*\* \*", cells[k + 1].source), (
            f"no caption below {cells[k].source}"
        )


@each_notebook
def test_no_output_holds_what_differs_between_machines(path, notebook):
    text = path.read_text()
    assert len(text) < 500_000
    assert "widgets" not in notebook.metadata
    assert "widget-view" not in text
    assert not re.search(r"/(home|root|work|Users|tmp)/|0x[0-9a-f]{8}|ipykernel_\d", text)
    assert [cell.metadata.keys() - {"tags"} for cell in notebook.cells] == [set()] * len(
        notebook.cells
    )
    assert sum("nbval-ignore-output" in tags(cell) for cell in notebook.cells) <= IGNORED_CELLS


@each_notebook
def test_code_cells_are_short_and_imports_stand_in_one_cell(notebook):
    cells = code_cells(notebook)
    long = [
        c.source for c in cells if "parameters" not in tags(c) and len(c.source.splitlines()) > 12
    ]
    assert long == []
    importing = [cell for cell in cells if re.search(r"^(import|from) ", cell.source, re.M)]
    assert len(importing) == 1


@each_notebook
def test_cells_have_unique_ids_and_the_title_is_a_question(notebook):
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids)
    assert re.match(r"# .*\?\n", notebook.cells[0].source)


@each_notebook
def test_the_parameters_are_literals_with_the_recipes_names(path):
    parameters, _ = read_parameters(path)
    own = {"method", "live", "run_folder", "runs", "chosen", "metric", "first", "second"}
    own |= {"parent_folder"}
    own |= {"kind", "imbalance_ratio", "playground"}
    own |= {"source", "images", "path", "label", "group", "part", "group_from", "class_names"}
    own |= {"size", "fit", "on_bad"}
    own |= {"folder", "seeds", "jobs", "train_notebook", "alphas", "logs", "own", "ordered"}
    assert parameters.keys() - Recipe().asdict().keys() <= own


def test_training_takes_every_field_of_the_recipe():
    parameters, _ = read_parameters(ROOT / "notebooks/05_train.ipynb")
    defaults = Recipe().asdict()
    assert defaults.keys() <= parameters.keys()
    from_method = {"q", "mixing", "alpha", "mix_probability", "loss", "posthoc", "head"}
    assert {k: parameters[k] for k in defaults.keys() - from_method} == {
        k: v for k, v in defaults.items() if k not in from_method
    }


@each_notebook
def test_links_lead_to_files_that_exist(path, notebook):
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in link]
    assert [link for link in links if not (path.parent / link).exists()] == []


def test_the_lessons_assert_what_they_state():
    asserting = {
        path.stem
        for path in NOTEBOOKS
        if any("assert " in c.source for c in code_cells(nbformat.read(path, as_version=4)))
    }
    assert asserting == {path.stem for path in NOTEBOOKS} - {"00_start_here"}


OWN_DATA = ROOT / "notebooks/09_your_data.ipynb"
QUICK = {
    "size": 8,
    "epochs": 1,
    "seeds": 1,
    "train_notebook": str(ROOT / "notebooks/05_train.ipynb"),
}
QUICK |= {"own": str(ROOT / "notebooks/own_method.py")}


@pytest.mark.parametrize("to_the_end", [False, pytest.param(True, marks=pytest.mark.nightly)])
def test_the_lesson_on_your_data_takes_class_folders_without_a_fault_and_without_patients(
    tmp_path, to_the_end
):
    """In each run of the tests up to the trainings, which test_pages does with another table."""
    make_folder(tmp_path / "photos", (12, 8, 6))
    lesson = nbformat.read(OWN_DATA, as_version=4)
    lesson = lesson if to_the_end else without_trainings(lesson)
    nbformat.write(lesson, tmp_path / "lesson.ipynb")
    given = {"source": str(tmp_path / "photos"), "folder": str(tmp_path / "made"), "batch_size": 8}
    settings = {"progress_bar": False, "extra_arguments": QUIET}
    done = papermill.execute_notebook(
        tmp_path / "lesson.ipynb", tmp_path / "out.ipynb", QUICK | given, **settings
    )
    words = printed(done)
    assert "nothing stops the preparation" in words
    assert "class 2 lies in 6 groups: 5 folds are possible" in words
    assert ("complete runs: 3 of 3" in words) == to_the_end
    folders = ["checked_8", "runs"] if to_the_end else ["checked_8"]
    assert sorted(path.name for path in (tmp_path / "made").iterdir()) == folders


# of each lesson a number that it states, and the formula where the lesson itself computes one
MUTANTS = {
    "01_imbalance": {
        "imbalance ratio 58.3": "imbalance ratio 58.4",
        "two_class_matrix(ratio, 0.98, 0.2)": "two_class_matrix(ratio, 0.2, 0.98)",
    },
    "02_sampling": {
        "22.2, 20.4": "22.2, 20.5",
        "expected_draws(counts, q, draws)": "expected_draws(counts, 1 - q, draws)",
    },
    "03_mixing": {
        "0.1667": "0.1767",
        "(1 - lam) * base + lam * balanced": "lam * base + (1 - lam) * balanced",
    },
    "04_boundary": {
        "rare class 0.723": "rare class 0.724",
        "labels[:, -1].mean()": "labels[:, -1].round().mean()",
    },
    "06_compare": {"macro_f1 0.922": "macro_f1 0.932"},
    "08_published": {"0.0514": "0.0515", "added = flatter(runs)": "added = (-flatter(runs))"},
    "09_your_data": {
        "imbalance ratio: 8.5": "imbalance ratio: 8.6",
        "mixed_class_probabilities(counts, 1, alpha)": (
            "mixed_class_probabilities(counts, 0.5, alpha)"
        ),
    },
    "10_defects": {
        "exponent 0.333": "exponent 0.334",
        "groups=groups, split": "groups=patients, split",
    },
}


IN_EACH_RUN = ("03_mixing", "08_published")  # every lesson's mutants by make nightly


@pytest.mark.parametrize("lesson", MUTANTS)
def test_what_a_lesson_states_stands_where_nbval_compares_it(lesson):
    cells = code_cells(nbformat.read(ROOT / f"notebooks/{lesson}.ipynb", as_version=4))
    compared = [
        output
        for cell in cells
        if "nbval-ignore-output" not in tags(cell)
        for output in cell.outputs
    ]
    texts = [cell.source for cell in cells] + [output.get("text", "") for output in compared]
    texts += [output.get("data", {}).get("text/plain", "") for output in compared]
    assert [stated for stated in MUTANTS[lesson] if not any(stated in text for text in texts)] == []


def run_nbval(notebook):
    """What nbval says of a notebook that lies alone in its folder."""
    (notebook.parent / "conftest.py").write_text((ROOT / "conftest.py").read_text())
    options = ["-q", "-p", "no:cacheprovider", "--nbval"]
    command = [sys.executable, "-m", "pytest", *options, notebook.name]
    # what was not changed must pass with another number of threads than that of `make test`, too
    one_thread = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.run(
        command, cwd=notebook.parent, env=one_thread, capture_output=True, text=True
    )


TOY = (
    "from IPython.display import HTML, display\n"
    "import plotly.graph_objects as go\n"
    "shares = [0.25, 0.75]",
    "print('rare', shares[0])",
    "sum(shares)",
    "HTML(f'<b>{shares[1]}</b>')",
    "assert shares[0] < shares[1]",
    "display(go.Figure(go.Bar(y=shares)))",
    "print(shares)",
)
FOUND = {  # of the toy
    "a printed number": ("rare 0.25", "rare 0.26"),
    "a number of a result": ('"1.0"', '"1.1"'),
    "a number of a table": ("<b>0.75</b>", "<b>0.76</b>"),
    "a formula that is printed": ("print(shares)", "print(shares[::-1])"),
    "a formula that is checked": ("shares[0] < shares[1]", "shares[1] < shares[0]"),
}


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """A notebook of each kind of output, executed."""
    path = tmp_path_factory.mktemp("toy") / "toy.ipynb"
    nbformat.write(new_notebook(cells=[*map(new_code_cell, TOY)]), path)
    nbformat.write(run_notebook(path), path)
    return path


def test_nbval_notices_a_change_of_each_kind_and_no_other(toy, tmp_path):
    text = toy.read_text()
    for name, (stated, mutant) in FOUND.items():
        assert text.count(stated) == 1, name
        text = text.replace(stated, mutant)
    cells = nbformat.reads(text, as_version=4).cells
    figure = cells[5].outputs[0].data[PLOTLY_MIME]
    figure["data"] = []  # another cell prints the numbers of a figure
    nbformat.write(new_notebook(cells=cells), tmp_path / "mutant.ipynb")
    result = run_nbval(tmp_path / "mutant.ipynb")
    verdict = f"{len(FOUND)} failed, {len(TOY) - len(FOUND)} passed"
    assert verdict in result.stdout, result.stdout[-3000:]


@pytest.mark.parametrize(
    "lesson",
    [
        pytest.param(name, marks=[] if name in IN_EACH_RUN else pytest.mark.nightly)
        for name in MUTANTS
    ],
)
def test_nbval_notices_each_change_of_a_lesson(lesson, tmp_path):
    source = (ROOT / f"notebooks/{lesson}.ipynb").read_text()
    intact = nbformat.reads(source, as_version=4).cells
    for stated, mutant in MUTANTS[lesson].items():
        assert stated in source
        source = source.replace(stated, mutant, 1)
    changed = nbformat.reads(source, as_version=4)
    last = max(
        k for k, pair in enumerate(zip(changed.cells, intact, strict=True)) if pair[0] != pair[1]
    )
    changed.cells = changed.cells[: last + 1]  # what comes after is not asked
    folder = tmp_path / "notebooks"
    folder.mkdir()
    share_runs(tmp_path)
    what_lessons_read = ("playground.npz", "example_runs", "05_train.ipynb", "own_method.py")
    for name in what_lessons_read:
        (folder / name).symlink_to(ROOT / "notebooks" / name)
    nbformat.write(changed, folder / "mutant.ipynb")
    with only_one(lesson):
        result = run_nbval(folder / "mutant.ipynb")
    assert result.returncode == 1, result.stdout[-2000:]
    assert f"{len(MUTANTS[lesson])} failed" in result.stdout, result.stdout[-2000:]
