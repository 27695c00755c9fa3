"""The lessons in a real JupyterLab: all runs, every control moves its figure by key and mouse."""

import json
import re

import nbformat
import numpy as np
import pytest

from bmix_lite.data.datasets import load
from bmix_lite.distribution import mixed_class_probabilities
from conftest import ROOT, only_one, picture, share_runs
from lab import EXPLORERS, LESSON, Lesson, open_browser, serve_lab

NAMES = [path.stem for path in sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))]
FORTH = {
    "slider": "ArrowRight",
    "range": "ArrowRight",
    "select": "ArrowDown",
    "check": "Space",
    "button": "Space",
}
BACK = {"slider": "ArrowLeft", "range": "ArrowLeft", "select": "ArrowUp"}
STEPS = 5  # of a control whose figure looks the same after the first


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    place = tmp_path_factory.mktemp("lab")
    share_runs(place)
    with serve_lab(ROOT / "notebooks", place) as served:
        yield served


# an open playwright leaves its event loop running, under all tests that follow
@pytest.fixture(scope="module")
def browser(chromium):
    with open_browser(chromium) as browser:
        yield browser


@pytest.fixture(scope="module")
def window(browser, served):
    """One page, in which the lessons are opened one after another."""
    window = Lesson(browser, served)
    yield window
    window.shutdown()


@pytest.fixture(scope="module", params=NAMES)
def lesson(window, request):
    """A lesson, opened once for all its tests: with controls after Run All, else as committed."""
    lesson = window.open(request.param)
    lesson.name = request.param
    if EXPLORERS.get(request.param[:2]):
        with only_one(request.param):
            lesson.run_all()
    else:
        lesson.wait_until_drawn()
    return lesson


def move(control, key):
    """Press `key` until the figures change, at most STEPS times; whether they did."""
    for _ in range(STEPS):
        before, value = control.shown(), control.value()
        control.press(key)
        if control.kind == "select" and control.value() == value:
            return False  # the list ends here
        if control.changes(before, 1):
            return True
    return False


def check_calm(lesson):
    lesson.wait_for_kernel()
    assert lesson.alerts() == []
    assert lesson.errors() == []
    assert lesson.problems == []


def test_a_lesson_shows_all_without_an_error_or_a_request_to_another_machine(lesson):
    check_calm(lesson)
    lesson.screenshot(picture(f"{lesson.name}-light-1280"))


def find_movers(lesson):
    """All controls but those of a training, which wait for its button."""
    waiting = "control => Boolean(control.closest('.training-player'))"
    return [control for control in lesson.controls() if not control.handle.evaluate(waiting)]


def test_every_control_moves_its_figure_by_keyboard(lesson):
    for control in sorted(find_movers(lesson), key=lambda control: control.kind == "button"):
        what = f"{control.kind} {control.label!r} of cell {control.cell}"
        if control.kind == "play":
            check_player(lesson, control)
        else:
            moved = move(control, FORTH[control.kind]) or move(
                control, BACK.get(control.kind, FORTH[control.kind])
            )
            assert moved, f"no key moved the figure of the {what}"
        check_calm(lesson)


def check_player(lesson, control):
    play, stop = control.handle.query_selector_all("button")[:2]
    before = control.shown()
    play.press("Space")
    assert control.changes(before, 10), "the player does not play"
    play.press("Space")
    settle(lesson, control)
    stop.press("Space")
    assert control.changes(control.shown(), 2) or control.shown() == before, (
        "the player does not go back"
    )


def settle(lesson, control):
    """Wait until the kernel has answered and the figures are half a second later what they were.

    A second message waits for the first, hence two round trips; nothing tells how long a figure
    draws.
    """
    while True:
        lesson.round_trip()
        lesson.round_trip()
        before = control.shown()
        lesson.page.wait_for_timeout(500)
        if control.shown() == before:
            return


def test_every_slider_moves_its_figure_by_mouse(lesson):
    for control in find_movers(lesson):
        if control.kind not in ("slider", "range"):
            continue
        what = f"{control.kind} {control.label!r} of cell {control.cell}"
        control.drag(0)  # wherever the keys had left it
        settle(lesson, control)
        before, value = control.shown(), control.value()
        control.drag(0.6)
        assert control.value() != value, f"the mouse does not move the {what}"
        assert control.changes(before, 5), f"the mouse does not move the figure of the {what}"
        lesson.round_trip()
        check_calm(lesson)


def test_the_confusion_matrix_counts_by_keyboard_and_mouse(lesson):
    cards = lesson.page.query_selector_all(".jp-Notebook .bmix-confusion")
    assert bool(cards) == (lesson.name == "06_compare")
    for card in cards:
        first = read_bars(card)
        cell = card.query_selector(".cell.right")
        cell.press("Shift+ArrowRight")
        moved = read_bars(card)
        assert moved != first
        card.query_selector(".again").press("Space")
        assert read_bars(card) == first
        start = cell.bounding_box()
        end = card.query_selector_all(".cell")[1].bounding_box()
        mouse = lesson.page.mouse
        mouse.move(start["x"] + start["width"] / 2, start["y"] + start["height"] / 2)
        mouse.down()
        mouse.move(end["x"] + end["width"] / 2, end["y"] + end["height"] / 2, steps=5)
        mouse.up()
        assert read_bars(card) == moved
        check_calm(lesson)


def read_bars(card):
    """The bars of a confusion matrix, as text."""
    return card.eval_on_selector(".bars", "bars => bars.innerText")


def test_a_training_is_watched_and_stopped_by_its_buttons(lesson):
    players = lesson.page.query_selector_all(".jp-Notebook .training-player")
    assert bool(players) == (lesson.name == "04_boundary")
    for player in players:
        train, stop = player.query_selector_all("button.jupyter-button")
        last = read_title(player)
        assert stop.is_disabled()
        train.press("Space")
        lesson.page.evaluate(STOP_AFTER_AN_EPOCH, [player, stop, last])
        lesson.page.wait_for_function("button => !button.disabled", arg=train)
        assert read_title(player) != last, "the training ran to its end"
        train.press("Space")
        while read_title(player) != last:
            lesson.page.wait_for_timeout(50)
        check_calm(lesson)


# in the page itself: on a busy machine a key sent from here comes after the last epoch
STOP_AFTER_AN_EPOCH = """([player, stop, last]) => new Promise(done => {
  const look = () => {
    const title = player.querySelector(".annotation-text").textContent;
    if (title === last || stop.disabled) return setTimeout(look, 5);
    stop.click();
    done();
  };
  look();
})"""


def read_title(player):
    """What the figure of a training says above it."""
    return player.eval_on_selector(".annotation-text", "text => text.textContent")


# live figures are as wide as their place, and that is narrower than the window
FITTING = """() => [...document.querySelectorAll(".widget-vbox .js-plotly-plot")].every(
  plot => plot.clientWidth < 750 && Math.abs(plot._fullLayout.width - plot.clientWidth) <= 2)"""


def test_it_is_readable_in_the_dark_on_a_narrow_window(lesson):
    lesson.set_theme("dark")
    lesson.page.set_viewport_size({"width": 800, "height": 900})
    try:
        lesson.page.wait_for_function(FITTING)
        lesson.screenshot(picture(f"{lesson.name}-dark-800"))
    finally:
        lesson.set_theme("light")
        lesson.page.set_viewport_size({"width": 1280, "height": 900})
    check_calm(lesson)


@pytest.mark.parametrize("lesson", ["06_compare"], indirect=True, scope="module")
def test_a_click_in_the_matrix_shows_the_images_of_that_cell(lesson):
    true, predicted = (
        next(c for c in lesson.controls() if c.label == text)
        for text in ("true class", "predicted as")
    )
    matrix = true.handle.evaluate_handle(
        "control => control.closest('.jp-OutputArea-output').querySelector('.js-plotly-plot')"
    ).as_element()
    matrix.scroll_into_view_if_needed()
    area = matrix.query_selector(".nsewdrag").bounding_box()
    before = true.shown()
    # of ten classes: column 5, row 7
    x = area["x"] + area["width"] * 0.55
    y = area["y"] + area["height"] * 0.75
    lesson.page.mouse.move(x - 3, y)
    lesson.page.mouse.move(x, y)
    lesson.page.wait_for_selector(".hoverlayer .hovertext")
    lesson.page.mouse.click(x, y)
    assert true.changes(before, 5)
    chosen = "control => control.options[control.selectedIndex].textContent.replace('\\u00a0', ' ')"
    assert [control.handle.evaluate(chosen) for control in (true, predicted)] == [
        "digit 7",
        "digit 5",
    ]
    check_calm(lesson)


only_mixing = pytest.mark.parametrize("lesson", ["03_mixing"], indirect=True, scope="module")


@pytest.fixture
def counts():
    return load("digits_lt", split=0).counts("train")


def find_alphas(lesson):
    """[(alpha control, q control or None)] of every explorer that shows shares after mixing."""
    pairs = []
    controls = lesson.controls()
    for control in controls:
        names = control.handle.evaluate(TRACES)
        if control.label == "alpha" and any("after mixing" in name for name in names):
            pairs.append((control, find_q(lesson, control, controls)))
    return pairs


def find_q(lesson, control, controls):
    """The q control among `controls` in the output that holds `control`, or None."""
    beside = """([one, other]) => one.closest(".jp-OutputArea-output").contains(other)"""
    for other in controls:
        together = lesson.page.evaluate(beside, [control.handle, other.handle])
        if together and other.label.startswith("q "):
            return other
    return None


TRACES = """control => {
  const output = control.closest(".jp-OutputArea-output");
  const plots = [...output.querySelectorAll(".js-plotly-plot")];
  const names = plots.flatMap(plot => plot.data.map(trace => trace.name ?? ""));
  const texts = [...output.querySelectorAll("svg.main-svg, .bmix-alpha svg text")];
  return names.concat(texts.map(text => text.textContent));
}"""
# bar heights; those that a page draws by itself are in pixels and have the hatching "-a"
HEIGHTS = """control => {
  const output = control.closest(".jp-OutputArea-output");
  const traces = [...output.querySelectorAll(".js-plotly-plot")].flatMap(plot => [...plot.data]);
  const trace = traces.find(trace => (trace.name ?? "").startsWith("after mixing"));
  if (trace) return trace.y._inputArray ? [...trace.y._inputArray] : [...trace.y];
  const bars = [...output.querySelectorAll('svg rect[fill$="-a)"][x]')];
  return bars.map(bar => Number(bar.getAttribute("height")));
}"""


def check_closed_form(control, other, counts):
    """The bars beside the control come to stand at the closed form of the value that it shows."""
    alpha, q = float(read_alpha(control)), float(other.value()) if other else 1.0
    expected = mixed_class_probabilities(counts, q, alpha)
    drawn = control.kind == "range"  # pixels, from numbers of six digits
    for _ in range(100):
        heights = np.array(control.handle.evaluate(HEIGHTS), dtype=float)
        heights = heights[: len(counts)] / heights[: len(counts)].sum() if drawn else heights
        if np.allclose(heights, expected, rtol=0, atol=1e-5 if drawn else 1e-9):
            return
        control.handle.owner_frame().page.wait_for_timeout(50)
    raise AssertionError(
        f"alpha {alpha:g}, q {q:g}: bars {heights.tolist()}, closed form {expected.tolist()}"
    )


def read_alpha(control):
    if control.kind == "slider":
        return control.value()
    return control.handle.evaluate(
        "control => document.querySelector(`output[for='${control.id}']`).textContent"
    )


@only_mixing
def test_the_bars_follow_alpha_in_closed_form(lesson, counts):
    found = find_alphas(lesson)
    assert found
    for control, other in found:
        values = []
        for key in ("Home", "ArrowRight", "ArrowRight", "ArrowRight", "End", "ArrowLeft"):
            control.press(key)
            check_closed_form(control, other, counts)
            values.append(float(read_alpha(control)))
        assert values == sorted(values[:5]) + values[5:]
        assert len({*values}) == 6
        control.drag(0.4)
        check_closed_form(control, other, counts)
        assert float(read_alpha(control)) == pytest.approx(0.8, abs=0.11)


@only_mixing
def test_fifty_quick_presses_settle_on_the_last_value(lesson, counts):
    for control, other in find_alphas(lesson):
        control.press("Home")
        first = float(read_alpha(control))
        control.handle.focus()
        for key in ["ArrowRight"] * 50 + ["ArrowLeft"] * 7:
            lesson.page.keyboard.press(key)
        settle(lesson, control)
        check_closed_form(control, other, counts)
        assert first < float(read_alpha(control)) == pytest.approx(2 - 7 * 0.05, abs=1e-9)
        check_calm(lesson)


def test_an_interrupted_training_goes_on_from_its_checkpoint(served, window):
    epochs = 40
    path = served.notebooks / "interrupted.ipynb"
    notebook = nbformat.read(served.notebooks / "05_train.ipynb", as_version=4)
    for cell in notebook.cells:
        if "parameters" in cell.metadata.get("tags", []):
            cell.source, changed = re.subn(r"(?m)^epochs = \d+", f"epochs = {epochs}", cell.source)
            assert changed == 1
    nbformat.write(notebook, path)
    loop = next(k for k, cell in enumerate(notebook.cells) if re.search(r"in train\(", cell.source))
    after = next(
        k for k in range(loop + 1, len(notebook.cells)) if notebook.cells[k].cell_type == "code"
    )
    runs = served.notebooks.parent / "build" / "runs" / "by_hand"
    before = {*runs.glob("*/checkpoint.pt")}

    lesson = window.open("interrupted")
    lesson.start_all()
    while not {*runs.glob("*/checkpoint.pt")} - before:  # the first epochs are on disk
        assert not lesson.has_run(), "training ended without a checkpoint"
        lesson.page.wait_for_timeout(20)
    lesson.interrupt()
    outputs = lesson.wait_for_cell(loop)
    assert [output["ename"] for output in outputs if output["output_type"] == "error"] == [
        "KeyboardInterrupt"
    ]

    first, seen = json.loads(lesson.ask("json.dumps([history[0], len(history)])"))
    assert 1 <= seen < epochs
    drawn = lesson.run_cell(after)
    assert [output["output_type"] for output in drawn] == ["display_data"]
    words = "".join(output.get("text", "") for output in lesson.run_cell(loop, seconds=120))
    assert f"epochs trained: {epochs}" in words
    # its seconds too: it was read, not trained again
    assert json.loads(lesson.ask("json.dumps(history[0])")) == first
    check_calm(lesson)


# [command, path] of what a click on each link to a file asks JupyterLab to do, without doing it
ASKED = """() => {
  const commands = jupyterapp.commands, execute = commands.execute, asked = new Map();
  commands.execute = async (id, {path}) => { asked.set(path, [id, path]); };
  const links = ".jp-Notebook .jp-RenderedMarkdown a[href*='/files/']";
  for (const link of document.querySelectorAll(links)) link.click();
  commands.execute = execute;
  return [...asked.values()];
}"""


def test_make_lab_opens_on_the_first_lesson_and_its_links_lead_to_the_others(browser, served):
    lesson = Lesson(browser, served)
    page = lesson.page
    first = "00_start_here.ipynb"
    page.goto(served.address)
    lesson.wait_for_kernel()
    assert page.evaluate(f"{LESSON}.context.path") == first
    links = "[...document.querySelectorAll('.jp-Notebook .jp-RenderedMarkdown a[href]')]"
    cells = nbformat.read(served.notebooks / first, as_version=4).cells
    source = "\n".join(cell.source for cell in cells)
    targets = list(dict.fromkeys(re.findall(r"\]\(([^)#:]+)\)", source)))
    assert targets
    assert not [target for target in targets if not (served.notebooks / target).exists()]
    assert page.evaluate(ASKED) == [["rendermime:handle-local-link", target] for target in targets]
    for target in (targets[0], targets[-1]):  # what one link does the others do
        page.evaluate(
            f"target => {links}.find(link => link.pathname.endsWith('/' + target)).click()", target
        )
        page.wait_for_function(f"target => {LESSON}?.context?.path === target", arg=target)
        lesson.wait_for_kernel()  # closed while its kernel starts, JupyterLab itself complains
        page.evaluate("path => void jupyterapp.commands.execute('docmanager:open', {path})", first)
        page.wait_for_function(f"{LESSON}?.context?.path === '{first}'")
    assert lesson.problems == []
    lesson.shutdown()
