"""The lecturer's guide follows the lessons: it names them all, and its numbers are theirs."""

import re

import nbformat
import pytest

from bmix_lite.course.exercises.check import CHECKS
from conftest import ROOT

pytestmark = pytest.mark.prose
FOLDER = ROOT / "notebooks"
GUIDE = (FOLDER / "README.md").read_text()
ANSWERS = dict(re.findall(r"^\| (00|\d+\.\d+) \| (.*) \|$", GUIDE, re.M))
LESSONS = {path.stem: nbformat.read(path, as_version=4) for path in sorted(FOLDER.glob("*.ipynb"))}


def predicted(notebook):
    """Numbers of the sections that ask for a prediction; "00" before the first numbered one."""
    section, found = "00", []
    for cell in notebook.cells:
        for part in (
            re.split(r"^(?=## )", cell.source, flags=re.M) if cell.cell_type == "markdown" else ()
        ):
            number = re.match(r"## (\d+\.\d+)", part)
            section = number[1] if number else section
            if "**Predict" in part:
                found.append(section)
    return found


def shown(notebook):
    """All that a reader of the lesson sees in words: sources and printed outputs."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    texts = [
        output.get("text", "") + str(output.get("data", {}).get("text/plain", ""))
        for output in outputs
    ]
    return "\n".join([cell.source for cell in notebook.cells] + texts)


def test_every_notebook_has_its_learning_goal():
    rows = re.findall(r"^\| \[(\w+)\]\((\w+)\.ipynb\) \| \S.* \|$", GUIDE, re.M)
    assert rows == [(name, name) for name in LESSONS]


def test_every_prediction_of_every_lesson_has_an_answer_in_order():
    asked = [
        number for notebook in LESSONS.values() for number in dict.fromkeys(predicted(notebook))
    ]
    assert len(asked) > 40
    assert list(ANSWERS) == asked


@pytest.mark.parametrize("section", ANSWERS)
def test_every_decimal_of_an_answer_stands_in_its_lesson(section):
    lesson = next(name for name in LESSONS if int(name[:2]) == int(section.split(".")[0]))
    text = shown(LESSONS[lesson])
    answer = ANSWERS[section].split(" | ")[0]
    numbers = re.findall(r"\d+\.\d+|\d,\d{3}", answer)
    assert [number for number in numbers if number not in text] == []


def test_every_section_that_the_guide_points_to_exists():
    sections = {
        number
        for notebook in LESSONS.values()
        for number in re.findall(r"^## (\d+\.\d+)", shown(notebook), re.M)
    }
    named = set(
        re.findall(
            r"(?<![\d.-])(\d{1,2}\.\d{1,2})(?=[,)]| to 11| and)", GUIDE.split("## Common")[1]
        )
    )
    assert named
    assert named <= sections


def test_the_number_of_exercises_is_that_of_the_checks():
    assert "how many of the eleven are right" in GUIDE
    assert len(CHECKS) == 11


def test_its_links_lead_to_files_that_exist():
    links = re.findall(r"\]\(([^)#]+)\)", GUIDE)
    assert links
    assert [link for link in links if not (FOLDER / link).exists()] == []


def test_the_minutes_of_the_exercises_add_up_to_what_lesson_and_timetable_say():
    sections = re.findall(
        r"^## 11\.(\d+) .*\n\*\*About (\d+) minutes", shown(LESSONS["11_exercises"]), re.M
    )
    minutes = {int(number): int(value) for number, value in sections}
    assert list(minutes) == list(range(1, len(CHECKS) + 1))
    assert sum(minutes.values()) == 3 * 60
    groups = re.findall(r"11\.(\d+)(?:(?: to| and) 11\.(\d+))? \((\d+) min\)", GUIDE)
    assert len(groups) == 3
    for first, last, total in groups:
        assert sum(minutes[number] for number in range(int(first), int(last or first) + 1)) == int(
            total
        )
