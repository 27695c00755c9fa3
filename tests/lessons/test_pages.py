"""Every lesson run by papermill with another setting; its page without kernel and network.

There, too, every control moves its figures.
"""

import ast
import contextlib
import re

import papermill
import pytest

from axe import check_page
from bmix_lite.base.ipynb import QUIET, read_notebook
from bmix_lite.pages.export import export_html
from bmix_lite.preparation.report import read_report
from bmix_lite.widgets.explore import precomputing
from clinic import CLASSES, plant
from conftest import ROOT, SWEEPS, only_one, picture, printed
from lab import EXPLORERS

LESSONS = [path.stem for path in sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))]
MOST_BYTES = 1_000_000  # besides plotly, which all pages share
# what the figures of an explorer or widget show, as text to compare
SHOWN = """place => {
  const plots = [...place.querySelectorAll(".js-plotly-plot")];
  const shown = plot => [plot.data, plot.layout.title?.text, plot.layout.shapes];
  const drawings = [...place.querySelectorAll("svg:not(.main-svg)")];
  return [
    ...plots.map(plot => JSON.stringify(shown(plot))),
    ...drawings.map(svg => svg.outerHTML),
  ].join();
}"""
VALUE = "control => control.type === 'checkbox' ? control.checked : control.value"
KEYS = {
    "range": ("ArrowRight", "ArrowLeft"),
    "checkbox": ("Space",),
    "select-one": ("ArrowDown", "ArrowUp"),
}


# every lesson with another setting than it is committed with; in full where its own runs take long
SETTINGS = {
    "00": {},
    "01": {"split": 1},
    "02": {"q": 1.0, "epochs": 3},
    "03": {"alpha": 0.3, "q": 0.5},
    "04": {"kind": "rings", "seed": 1},
    "05": {"epochs": 1, "live": False},
    "06": {"metric": "mcc"},
    # of runs that the lesson's committed setting trains
    "07": {"alphas": [0.1, 1.0], "seeds": 2, "metric": "mcc"},
    "08": {"chosen": "balanced_mixup, alpha 0.1"},
    "09": {
        "alpha": 0.4,
        "epochs": 1,
        "seeds": 1,
        "size": 8,
        "path": "path",
        "label": "label",
        "group": "patient",
        "part": "split",
        "class_names": dict(CLASSES),  # the code 99 is none of them: no validation image has it
    },
    "10": {"seed": 1, "epochs": 10, "batch_size": 32},
    "11": {"alpha": 0.4},
}
TRAINED = {"train_notebook": str(ROOT / "notebooks/05_train.ipynb")}
# where what a lesson reads and writes lies, told by paths that hold anywhere
PLACES = {
    "04": lambda made: {"playground": str(ROOT / "notebooks/playground.npz")},
    "05": lambda made: {"run_folder": str(made / "runs/one")},
    "06": lambda made: {"runs": str(ROOT / "notebooks/example_runs")},
    "07": lambda made: {"folder": str(ROOT / "build" / SWEEPS["07_sweep"])} | TRAINED,
    # paths from the folder where it is started, as people give them
    "09": lambda made: (
        {"source": "labels.csv", "images": "images", "folder": "made"}
        | {"own": str(ROOT / "notebooks/own_method.py")}
        | TRAINED
    ),
    "10": lambda made: {"runs": str(ROOT / "notebooks/example_runs")},
}


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The folder of all pages and of their plotly, which the browser then compiles once."""
    return tmp_path_factory.mktemp("pages")


def choose_setting(path):
    """What a lesson is run with; the data and runs of each lie in a folder named after it."""
    number = path.stem[:2]
    return SETTINGS[number] | PLACES.get(number, lambda made: {})(path.with_suffix("") / "made")


@pytest.fixture(scope="module", params=LESSONS)
def path(pages, request):
    """The page of a lesson that papermill ran with another setting."""
    done = pages / f"{request.param}.ipynb"
    folder = done.with_suffix("")
    folder.mkdir()
    if done.stem[:2] == "09":
        plant(folder)  # a table of a clinic, with faults
    settings = {"progress_bar": False, "extra_arguments": QUIET}
    with precomputing(), only_one(request.param), contextlib.chdir(folder):
        papermill.execute_notebook(
            ROOT / f"notebooks/{request.param}.ipynb", done, choose_setting(done), **settings
        )
    return export_html(done, done.with_suffix(".html"), share_plotly=True)


def test_papermill_ran_every_cell_with_the_setting_that_was_asked_for(path):
    cells = [
        cell for cell in read_notebook(path.with_suffix(".ipynb")).cells if cell.cell_type == "code"
    ]
    assert all(cell.execution_count for cell in cells)
    injected = [cell for cell in cells if "injected-parameters" in cell.metadata.get("tags", [])]
    asked = choose_setting(path)
    assert len(injected) == bool(asked)
    body = [line for cell in injected for line in ast.parse(cell.source).body]
    values = {line.targets[0].id: ast.literal_eval(line.value) for line in body}
    assert values == asked


@pytest.mark.parametrize("path", ["09_your_data"], indirect=True, scope="module")
def test_the_lesson_on_your_data_tells_of_every_fault_and_names_no_file_and_no_patient(path):
    done = read_notebook(path.with_suffix(".ipynb"))
    words = printed(done)
    assert "complete runs: 3 of 3" in words
    assert re.search(r"^bad +leak +1 ", words, re.M)
    report = read_report(path.with_suffix("") / "made/checked_8")
    assert f"images listed: {report.listed}  without fault: {report.left}" in words
    names = [name for fault in report.faults for name in fault["images"]]
    assert len(names) > 20
    everything = "".join(str(cell.outputs) for cell in done.cells if cell.cell_type == "code")
    assert [
        name for name in {*names, "p12"} if re.search(rf"\b{re.escape(name)}\b", everything)
    ] == []


@pytest.fixture(scope="module")
def opened(path, offline_page):
    """The page, opened once for all tests of its lesson."""
    page = offline_page
    page.set_viewport_size({"width": 1280, "height": 720})
    page.emulate_media(color_scheme="light")
    page.problems.clear()
    page.goto(path.as_uri())
    page.wait_for_function(
        "[...document.querySelectorAll('.plotly-figure > div, .explored > div')]"
        ".every(at => at._fullLayout)"
    )
    page.wait_for_function(
        "[...document.querySelectorAll('.explorer .controls, .module')]"
        ".every(at => at.querySelector('input, select'))"
    )
    return page


@pytest.fixture
def page(opened):
    yield opened
    assert opened.problems == []
    assert [text for text in opened.locator("[role=alert]").all_text_contents() if text] == []


def places(page):
    """(the explorer or widget, one of its ranges, lists and boxes) for all of the page."""
    for place in page.query_selector_all(".explorer, .module:has(.bmix-alpha)"):
        for control in place.query_selector_all("input, select"):
            yield place, control


def changes(page, place, before):
    page.wait_for_timeout(60)  # a redraw waits for the next picture of the screen
    for _ in range(20):
        if place.evaluate(SHOWN) != before:
            return True
        page.wait_for_timeout(100)
    return False


def test_the_page_is_small_and_complete(path, page):
    assert path.stat().st_size < MOST_BYTES
    found = page.locator(".explorer, .module").count()
    assert found == EXPLORERS.get(path.stem[:2], 0)
    assert "$" not in page.locator(".jp-MarkdownOutput").first.inner_text()
    if kept := picture(f"{path.stem}-page-1280"):
        page.screenshot(path=kept, full_page=True)
    check_page(page, 390, 1280)


def test_every_control_moves_its_figures_by_keyboard(page):
    for place, control in places(page):
        kind = control.evaluate("control => control.type")
        moved = False
        for key in KEYS[kind] * 3:
            before, value = place.evaluate(SHOWN), control.evaluate(VALUE)
            control.press(key)
            moved = control.evaluate(VALUE) != value and changes(page, place, before)
            if moved:
                break
        assert moved, control.evaluate("control => control.parentElement.innerText")


def test_every_range_moves_its_figures_by_mouse(page):
    for place, control in places(page):
        if control.evaluate("control => control.type") != "range":
            continue
        control.scroll_into_view_if_needed()
        for share in (0.02, 0.98):
            box, before, value = (
                control.bounding_box(),
                place.evaluate(SHOWN),
                control.input_value(),
            )
            page.mouse.click(box["x"] + share * box["width"], box["y"] + box["height"] / 2)
            if control.input_value() != value:
                assert changes(page, place, before)


def test_players_play_and_matrices_move(page):
    for button in page.query_selector_all(".control button"):
        place = button.evaluate_handle("button => button.closest('.explorer')")
        before = place.evaluate(SHOWN)
        button.press("Enter")
        assert changes(page, place, before)
        button.press("Enter")
    for card in page.query_selector_all(".bmix-confusion"):
        before = card.inner_text()
        card.query_selector(".cell.right").press("Shift+ArrowRight")
        assert card.inner_text() != before
