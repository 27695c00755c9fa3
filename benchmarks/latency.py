"""How quickly figures answer to their controls: in the kernel, in JupyterLab, in an exported page.

python benchmarks/latency.py [--moves 30] [--quick] [--json PATH]: a table of milliseconds; 2 to 4
minutes in all. Goals: kernel 30 ms in the middle; JupyterLab 100 ms, and 180 ms for 95 of 100
moves; exported page 40 ms.
"""

import contextlib
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from machine import save_report, start_report
from pairs import read_arguments

from bmix_lite.base.ipynb import KERNEL, QUIET
from lab import SHOWN, Lesson, open_browser, serve_lab

ROOT = Path(__file__).parents[1]
LESSON = "03_mixing"
PACKAGES = ("plotly", "ipywidgets", "anywidget", "jupyterlab", "ipykernel", "playwright")

# runs in the kernel behind each cell whose result is an explorer; MOVES and CELL are filled in
TIMING = """
import json as _json, time as _time
from ipywidgets import Play as _Play
from bmix_lite.widgets.explore import LiveFigure as _Live, describe_control as _describe
def _find(box):
    for child in getattr(box, "children", ()):
        if hasattr(child, "children"):
            yield from _find(child)
        elif hasattr(child, "options"):
            yield child
        elif hasattr(child, "value") and not hasattr(child, "placeholder"):
            yield child
def _measure(live, moves):
    inside, kept = [], _Live.redraw
    def redraw(self, figures):
        started = _time.perf_counter()
        kept(self, figures)
        inside.append(_time.perf_counter() - started)
    _Live.redraw, rows = redraw, {}
    try:
        controls = [(control, _describe(control)["values"]) for control in _find(live)]
        controls = [pair for pair in controls if len(pair[1]) > 1]
        for move in range(moves):
            for control, values in controls:
                place = values.index(control.value) if control.value in values else -1
                target = values[(place + 1) % len(values)]
                inside.clear()
                started = _time.perf_counter()
                control.value = target
                total = _time.perf_counter() - started
                if inside:
                    name = control.description or type(control).__name__
                    rows.setdefault(name, []).append([1000 * total, 1000 * sum(inside)])
    finally:
        _Live.redraw = kept
    return rows
if isinstance(_, _Live):
    print("LATENCY " + _json.dumps({"cell": CELL, "moves": _measure(_, MOVES)}))
"""

# from key down to the picture that shows the last change of the drawing; 120 ms of quiet end a move
WATCH = """control => {
  const place = control.closest(".jp-OutputArea-output, .explorer, .module");
  window.bmixTimes = [];
  let started = null, first = null, last = null;
  new MutationObserver(records => {
    const drawn = records.some(({target}) =>
      target.closest?.("svg") || target.parentElement?.closest("svg"));
    if (!drawn || started === null) return;
    requestAnimationFrame(() => { last = performance.now(); first ??= last; });
  }).observe(place, {subtree: true, childList: true, attributes: true, characterData: true});
  control.addEventListener("keydown", () => {
    [started, first, last] = [performance.now(), null, null];
  }, true);
  setInterval(() => {
    if (started === null || last === null || performance.now() - last < 120) return;
    window.bmixTimes.push([last - started, first - started]);
    started = null;
  }, 10);
}"""

END = """control => {
  const [now, low, high] = control.type === "range" ? [control.value, control.min, control.max]
    : ["now", "min", "max"].map(name => control.getAttribute(`aria-value${name}`));
  return Number(now) <= Number(low) ? "low" : Number(now) >= Number(high) ? "high" : "";
}"""


RANGES = ".explorer input[type=range], .module input[type=range]"
ALL_DRAWN = """[...document.querySelectorAll('.explorer')].every(
  place => place.querySelector('.js-plotly-plot'))"""
LABEL = """control =>
  `${control.closest('.explorer, .module').id}: ${control.labels[0].textContent}`"""
MOVED = f"""([control, before, count]) =>
  window.bmixTimes.length > count && ({SHOWN})(control) !== before"""


def time_kernel(moves):
    """{"NN_name cell K: control": [[whole, of it redraw] in ms]} of all lessons."""
    times = {}
    for path in sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        if any(calls_explore(cell) for cell in notebook.cells):
            for report in _time_explorers(notebook, path.parent, moves):
                for name, control_times in report["moves"].items():
                    times[f"{path.stem} cell {report['cell']}: {name}"] = control_times
    return times


def _time_explorers(notebook, folder, moves):
    """What TIMING prints behind each explorer of a notebook that is executed with it."""
    from nbclient import NotebookClient

    cells = []
    for number, cell in enumerate(notebook.cells):
        if cell.cell_type == "code":
            cells.append(cell)
        if calls_explore(cell):
            source = TIMING.replace("CELL", str(number)).replace("MOVES", str(moves))
            cells.append(nbformat.v4.new_code_cell(source))
    notebook.cells = cells
    client = NotebookClient(notebook, timeout=600, kernel_name=KERNEL)
    client.extra_arguments = QUIET
    client.execute(cwd=str(folder))
    texts = [output.get("text", "") for cell in cells for output in cell.outputs]
    lines = "\n".join(texts).splitlines()
    marker = "LATENCY "
    return [json.loads(line.removeprefix(marker)) for line in lines if line.startswith(marker)]


def calls_explore(cell):
    """Does the last statement of a code cell show an explorer?"""
    if cell.cell_type != "code":
        return False
    return "explore(" in cell.source and "def explore" not in cell.source


def time_lab(moves):
    """The same of the sliders of lesson 3 in JupyterLab: [[last change, first change] in ms]."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        browser = stack.enter_context(open_browser(find_chromium()))
        served = stack.enter_context(serve_lab(ROOT / "notebooks", folder))
        lesson = Lesson(browser, served).open(LESSON)
        lesson.run_all()
        sliders = {
            f"{LESSON} cell {control.cell}: {control.label}": control.handle
            for control in lesson.controls()
            if control.kind in ("slider", "range")
        }
        times = press_keys(lesson.page, sliders, moves)
        lesson.shutdown()
    return times


def time_page(moves):
    """The same of the ranges of lesson 3 in an exported page, opened from disk."""
    with tempfile.TemporaryDirectory() as folder, open_browser(find_chromium()) as browser:
        target = Path(folder) / "page.html"
        source = ROOT / "notebooks" / f"{LESSON}.ipynb"
        command = [sys.executable, "-m", "bmix_lite", "html", str(source), "--out", str(target)]
        subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(target.as_uri())
        page.wait_for_selector(".explorer input")
        page.wait_for_function(ALL_DRAWN)
        ranges = page.query_selector_all(RANGES)
        named = {f"{LESSON} {control.evaluate(LABEL)}": control for control in ranges}
        return press_keys(page, named, moves)


def find_chromium():
    chromium = shutil.which("chromium")
    if chromium is None:
        raise SystemExit("latency: there is no Chromium on this machine; --only kernel needs none")
    return chromium


def press_keys(page, controls, moves):
    """Press an arrow `moves` times on each control, one control after the other."""
    times = {}
    for name, control in controls.items():
        control.scroll_into_view_if_needed()
        control.press("Home")
        page.wait_for_timeout(500)
        control.evaluate(WATCH)
        control.focus()
        key = "ArrowRight"
        for steps in range(moves):  # there and back
            key = {"low": "ArrowRight", "high": "ArrowLeft"}.get(control.evaluate(END), key)
            before = control.evaluate(SHOWN)
            page.keyboard.press(key)
            page.wait_for_function(MOVED, arg=[control, before, steps])
        times[name] = page.evaluate("window.bmixTimes")
    return times


def summarise(times):
    """{"median", "p95", "n"} of the first number of each pair; "part": the median of the second."""
    whole, part = np.array(times).T
    median, p95 = np.percentile(whole, [50, 95]).round(1).tolist()
    part_median = round(float(np.median(part)), 1)
    return {"median": median, "p95": p95, "n": len(times), "part": part_median, "all": times}


PARTS = {  # name: (title, what the second number is, function that measures)
    "kernel": ("kernel: redraw", "in redraw", time_kernel),
    "lab": ("JupyterLab: key to repaint", "first change", time_lab),
    "page": ("page: key to repaint", "first change", time_page),
}


def main():
    parser = read_arguments(__doc__)
    parser.add_argument(
        "--moves", type=int, default=30, help="of each control (default: %(default)s)"
    )
    parser.add_argument("--only", choices=PARTS, action="append", help="one part")
    chosen = parser.parse_args()
    moves = 5 if chosen.quick else chosen.moves
    report = start_report(PACKAGES) | {"moves": moves, "times": {}}
    for part in chosen.only or PARTS:
        title, second, measure = PARTS[part]
        rows = {name: summarise(times) for name, times in measure(moves).items()}
        report["times"][title] = rows
        print(f"\n{title + ' (ms)':<56} median    p95  {second:>12}   n")
        for name, row in rows.items():
            numbers = f"{row['median']:>6} {row['p95']:>6}  {row['part']:>12} {row['n']:>3}"
            print(f"{name:<56} {numbers}", flush=True)
    save_report(report, chosen.json)


if __name__ == "__main__":
    main()
