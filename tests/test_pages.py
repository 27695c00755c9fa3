"""Every lesson as `make site` makes it, opened from disk without kernel and network: its controls move its figures."""

import shutil

import pytest

from axe import check_page
from bmix_lite.export import export_html
from conftest import ROOT, only_one, share_runs

LESSONS = [path.stem for path in sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))]
MOST_BYTES = 1_000_000  # besides plotly, which all pages share
# what the figures of an explorer or widget show, as text to compare
SHOWN = """place => {
  const plots = [...place.querySelectorAll(".js-plotly-plot")];
  const data = plots.map(plot => JSON.stringify([plot.data, plot.layout.title?.text, plot.layout.shapes]));
  return [...data, ...[...place.querySelectorAll("svg:not(.main-svg)")].map(svg => svg.outerHTML)].join();
}"""
KEYS = {"range": ("ArrowRight", "ArrowLeft"), "checkbox": ("Space",), "select-one": ("ArrowDown", "ArrowUp")}


@pytest.fixture(scope="module")
def notebooks(tmp_path_factory):
    """A copy of the lessons to run in, so that nothing is written into the repository."""
    folder = tmp_path_factory.mktemp("pages") / "notebooks"
    share_runs(folder.parent)
    return shutil.copytree(ROOT / "notebooks", folder, ignore=shutil.ignore_patterns(".ipynb_checkpoints"))


@pytest.fixture(scope="module", params=LESSONS)
def path(notebooks, request):
    with only_one(request.param):
        path = notebooks / f"{request.param}.ipynb"
        return export_html(path, path.with_suffix(".html"), run=True, share_plotly=True)


@pytest.fixture
def page(path, browser_page):
    browser_page.goto(path.as_uri())
    browser_page.wait_for_function(
        "[...document.querySelectorAll('.plotly-figure > div, .explored > div')].every(at => at._fullLayout)"
    )
    browser_page.wait_for_function(
        "[...document.querySelectorAll('.explorer .controls, .module')].every(at => at.querySelector('input, select'))"
    )
    yield browser_page
    assert browser_page.problems == []
    assert [text for text in browser_page.locator("[role=alert]").all_text_contents() if text] == []


def places(page):
    """(the explorer or widget, one of its ranges, lists and boxes) for all of the page."""
    for place in page.query_selector_all(".explorer, .module:has(.bmix-alpha)"):
        for control in place.query_selector_all("input, select"):
            yield place, control


def changes(page, place, before):
    page.wait_for_timeout(60)  # a redraw waits for the next picture of the screen
    for _ in range(40):
        if place.evaluate(SHOWN) != before:
            return True
        page.wait_for_timeout(50)
    return False


def test_the_page_is_small_and_complete(path, page):
    assert path.stat().st_size < MOST_BYTES
    found = page.locator(".explorer, .module").count()
    assert found == {"00": 0, "01": 2, "02": 4, "03": 4, "04": 2, "05": 0, "06": 5, "09": 1}.get(path.stem[:2], 0)
    assert "$" not in page.locator(".jp-MarkdownOutput").first.inner_text()
    page.screenshot(path=ROOT / "build" / "screenshots" / f"{path.stem}-page-1280.png", full_page=True)
    check_page(page, 390, 1280)


def test_every_control_moves_its_figures_by_keyboard(page):
    for place, control in places(page):
        kind = control.evaluate("control => control.type")
        moved = False
        for key in KEYS[kind] * 3:
            before = place.evaluate(SHOWN)
            control.press(key)
            moved = changes(page, place, before)
            if moved:
                break
        assert moved, control.evaluate("control => control.parentElement.innerText")


def test_every_range_moves_its_figures_by_mouse(page):
    for place, control in places(page):
        if control.evaluate("control => control.type") != "range":
            continue
        control.scroll_into_view_if_needed()
        for share in (0.02, 0.98):
            box, before, value = control.bounding_box(), place.evaluate(SHOWN), control.input_value()
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
