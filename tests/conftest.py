"""Fixtures shared by all tests."""

import contextlib
import os
import shutil
import signal
from pathlib import Path

import hypothesis
import pytest

from bmix_lite.base.locks import locked

ROOT = Path(__file__).parents[1]
# lessons that train a grid: its folder in build
SWEEPS = {"07_sweep": "lesson_7", "09_your_data": "your_data"}
# a shell that starts tests in the background sets it so
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# a busy machine is no counterexample
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")
SWITCHES = (
    "no-sandbox disable-gpu disable-background-networking disable-component-update disable-sync "
    "no-first-run"
)


def miss(message):
    """Skip what this machine lacks; in CI a lack is a failure."""
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


def share_runs(place):
    """Let a copy of the lessons in `place` find the runs in the repository's build.

    So they are trained once.
    """
    for name in SWEEPS.values():
        (ROOT / "build" / name).mkdir(parents=True, exist_ok=True)
        (place / "build").mkdir(exist_ok=True)
        (place / "build" / name).symlink_to(ROOT / "build" / name)


def only_one(lesson):
    """A context in which no other test process runs this lesson, if it trains a grid.

    The folder of the grid has one owner.
    """
    lock = ROOT / "build" / f"{lesson}.lock"
    lock.parent.mkdir(exist_ok=True)
    return locked(lock, lesson, wait=900) if lesson in SWEEPS else contextlib.nullcontext()


def picture(name):
    """Where a picture of a page goes, for a person to look at; None unless they are asked for.

    BMIX_LITE_PICTURES=1 asks: 40 pictures of pages of up to 16,000 pixels take a minute.
    """
    asked = os.environ.get("BMIX_LITE_PICTURES")
    return ROOT / "build" / "screenshots" / f"{name}.png" if asked else None


def without_trainings(lesson):
    """A notebook cut before the cell that trains its first grid."""
    training = next(k for k, cell in enumerate(lesson.cells) if "run_grid(" in cell.source)
    lesson.cells = lesson.cells[:training]
    return lesson


def printed(notebook):
    """All that a reader of an executed notebook sees printed."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return "".join(
        output.get("text", "") + str(output.get("data", {}).get("text/plain", ""))
        for output in outputs
    )


@pytest.fixture(scope="session")
def shared():
    """The folder of reference data beside the repository; in CI its absence is a failure."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        miss("the reference data are not on this machine")
    return folder


@pytest.fixture(scope="session")
def root():
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def chromium():
    """Path of a Chromium, the system's or playwright's own; in CI its absence is a failure."""
    from playwright.sync_api import sync_playwright

    path = shutil.which("chromium")
    if path is None:
        with sync_playwright() as play:
            path = play.chromium.executable_path
    if not Path(path).is_file():
        miss("there is no Chromium on this machine")
    return path


@pytest.fixture
def own_names():
    """What a test registers ends with it; the tables stay the same objects, others hold them."""
    from bmix_lite import batches, distribution, losses, metrics, recipe, schedules

    tables = [losses.LOSSES, distribution.SAMPLINGS, recipe.METHODS, recipe.CHOICES]
    tables += [batches.MIXINGS, schedules.SCHEDULES, metrics.VALUES]
    kept = [dict(table) for table in tables]
    yield
    for table, before in zip(tables, kept, strict=True):
        table.clear()
        table.update(before)


@pytest.fixture
def own_signals():
    """What a command does at SIGTERM ends with its test."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


# an open playwright leaves its event loop running, under all tests that follow
@pytest.fixture(scope="module")
def offline_browser(chromium):
    """A headless Chromium for the pages of a module."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=chromium, args=[f"--{name}" for name in SWITCHES.split()]
        )
        yield browser
        browser.close()


def open_watched(browser):
    """A page without network; its `problems` are requests that would leave, and errors."""
    page = browser.new_context(offline=True).new_page()
    page.problems = []
    inside = ("file:", "data:", "blob:")
    page.on(
        "request",
        lambda request: request.url.startswith(inside) or page.problems.append(request.url),
    )
    page.on(
        "console", lambda message: message.type == "error" and page.problems.append(message.text)
    )
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    page.on("dialog", lambda dialog: (page.problems.append(dialog.message), dialog.dismiss()))
    return page


@pytest.fixture(scope="module")
def offline_page(offline_browser):
    """One page for a module: a second one would compile plotly again, two seconds of a core."""
    return open_watched(offline_browser)


@pytest.fixture
def browser_page(offline_page):
    """The page of the module, empty and as wide and light as a new one."""
    offline_page.goto("about:blank")
    offline_page.set_viewport_size({"width": 1280, "height": 720})
    offline_page.emulate_media(color_scheme="light")
    offline_page.problems.clear()
    return offline_page
