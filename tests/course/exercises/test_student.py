"""The students' version: without a solution, without an output, and it runs from top to bottom."""

import re

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from bmix_lite.__main__ import main
from bmix_lite.base.errors import BmixError
from bmix_lite.base.ipynb import run_notebook
from bmix_lite.course.exercises.check import CHECKS, UNDONE
from bmix_lite.course.exercises.student import TAG, write_student
from conftest import ROOT

SOURCE = ROOT / "notebooks/11_exercises.ipynb"


def solutions():
    return [
        cell
        for cell in nbformat.read(SOURCE, as_version=4).cells
        if TAG in cell.metadata.get("tags", [])
    ]


def result_of(cell):
    return "".join(output.get("data", {}).get("text/plain", "") for output in cell.outputs)


@pytest.fixture(scope="module")
def handed_out(tmp_path_factory):
    return write_student(SOURCE, tmp_path_factory.mktemp("student") / "new" / "folder")


@pytest.fixture(scope="module")
def executed(handed_out):
    return run_notebook(handed_out)


def test_it_holds_no_solution_and_none_of_their_lines(handed_out):
    text = "\n".join(cell.source for cell in nbformat.read(handed_out, as_version=4).cells)
    kept = {line.strip() for line in text.splitlines()}
    lines = [
        line.strip() for cell in solutions() for line in cell.source.splitlines() if line.strip()
    ]
    assert len(lines) > 40
    shared = {line for line in lines if line in kept}
    harmless = re.compile(r"def \w+\(.*\):|[\])}]")  # the head of a stub, a closing bracket
    assert {line for line in shared if not harmless.fullmatch(line)} == set()
    assert not [
        cell
        for cell in nbformat.read(handed_out, as_version=4).cells
        if TAG in cell.metadata.get("tags", [])
    ]


def test_it_shows_no_output_and_no_trace_of_an_execution(handed_out):
    cells = [
        cell for cell in nbformat.read(handed_out, as_version=4).cells if cell.cell_type == "code"
    ]
    assert cells
    assert {(cell.execution_count, len(cell.outputs)) for cell in cells} == {(None, 0)}


def test_it_runs_to_the_end_and_every_check_says_not_done_yet(executed):
    checks = [cell for cell in executed.cells if cell.source.startswith("check(")]
    assert [result_of(cell) for cell in checks] == [
        f'{UNDONE}: a hint: hint("{name}", 1)' for name in CHECKS
    ]
    sheet = next(cell for cell in executed.cells if cell.source.endswith("\nsheet"))
    assert f"0 of {len(CHECKS)} are right" in "".join(
        output.get("text", "") for output in sheet.outputs
    )


def test_in_the_source_every_check_says_right_and_each_has_a_stub_a_solution_and_a_reason():
    cells = nbformat.read(SOURCE, as_version=4).cells
    checks = [cell for cell in cells if cell.source.startswith("check(")]
    assert [result_of(cell).split(":")[0] for cell in checks] == ["right"] * len(CHECKS)
    for name in CHECKS:
        stubs = [
            k for k, cell in enumerate(cells) if re.match(rf"(def {name}\(|{name} = )", cell.source)
        ]
        assert TAG not in cells[stubs[0]].metadata.get("tags", [])
        assert "..." in cells[stubs[0]].source
        assert TAG in cells[stubs[0] + 1].metadata["tags"]
        assert cells[stubs[0] + 2].source == f'check("{name}", {name})'
    assert sum(cell.source.startswith("**Why.**") for cell in solutions()) == len(CHECKS)


def test_it_stands_alone_links_to_other_files_become_words(handed_out):
    text = "\n".join(cell.source for cell in nbformat.read(handed_out, as_version=4).cells)
    assert "](" not in text
    assert "through 09_your_data." in text


def test_links_to_the_web_and_pictures_in_the_text_stay(tmp_path):
    web = "[paper](https://arxiv.org/abs/2109.09850) ![picture](data:image/png;base64,AA)"
    text = f"{web} [lesson](01.ipynb)"
    cells = [new_markdown_cell(text), new_code_cell("1", metadata={"tags": [TAG]})]
    nbformat.write(new_notebook(cells=cells), tmp_path / "one.ipynb")
    (only,) = nbformat.read(
        write_student(tmp_path / "one.ipynb", tmp_path / "out"), as_version=4
    ).cells
    assert only.source == f"{web} lesson"


def test_a_notebook_without_solutions_is_refused_and_nothing_is_written(tmp_path):
    nbformat.write(new_notebook(cells=[new_code_cell("1")]), tmp_path / "one.ipynb")
    with pytest.raises(BmixError, match="no cell is tagged 'solution'"):
        write_student(tmp_path / "one.ipynb", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_solutions_are_never_replaced_by_the_students_version():
    before = SOURCE.read_bytes()
    with pytest.raises(BmixError, match="would replace the solutions"):
        write_student(SOURCE, SOURCE.parent)
    assert SOURCE.read_bytes() == before


def test_the_command_writes_it_and_says_where(tmp_path, capsys):
    assert main(["student", "--notebook", str(SOURCE), "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"{tmp_path / SOURCE.name}\n"
    assert (tmp_path / SOURCE.name).is_file()
