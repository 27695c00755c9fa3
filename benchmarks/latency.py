"""How quickly figures answer to their controls: in the kernel, in JupyterLab, and in an exported page.

python benchmarks/latency.py [--moves 30] [--quick] [--json PATH]: a table of milliseconds; 2 to 4 minutes in all.
Goals: kernel 30 ms in the middle; JupyterLab 100 ms, and 180 ms for 95 of 100 moves; exported page 40 ms.
"""

import argparse
import contextlib
import datetime
import json
import platform
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import nbformat
import numpy as np
from machine import describe_machine

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from bmix_lite.base.ipynb import KERNEL, QUIET  # noqa: E402
from lab import SHOWN, Lesson, open_browser, serve_lab  # noqa: E402

LESSON = "03_mixing"
KERNEL_SIDE, IN_LAB, IN_PAGE = (
    "kernel: redraw",
    "JupyterLab: key to repaint",
    "page: key to repaint",
)
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
        elif hasattr(child, "value") and not hasattr(child, "placeholder") or hasattr(child, "options"):
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

# from key down to the picture of the screen that shows the last change of the drawing; 120 ms of quiet end a move
WATCH = """control => {
  const place = control.closest(".jp-OutputArea-output, .explorer, .module");
  window.bmixTimes = [];
  let started = null, first = null, last = null;
  new MutationObserver(records => {
    const drawn = records.some(({target}) => target.closest?.("svg") || target.parentElement?.closest("svg"));
    if (!drawn || started === null) return;
    requestAnimationFrame(() => { last = performance.now(); first ??= last; });
  }).observe(place, {subtree: true, childList: true, attributes: true, characterData: true});
  control.addEventListener("keydown", () => { [started, first, last] = [performance.now(), null, null]; }, true);
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


def time_kernel(moves):
    """{"NN_name cell K: control": [[whole, of it redraw] in ms]} of every explorer of every notebook."""
    from nbclient import NotebookClient

    found = {}
    for path in sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        if not any(calls_explore(cell) for cell in notebook.cells):
            continue
        cells = []
        for number, cell in enumerate(notebook.cells):
            cells += [cell] * (cell.cell_type == "code")
            if calls_explore(cell):
                source = TIMING.replace("CELL", str(number)).replace("MOVES", str(moves))
                cells.append(nbformat.v4.new_code_cell(source))
        notebook.cells = cells
        client = NotebookClient(notebook, timeout=600, kernel_name=KERNEL)
        client.extra_arguments = QUIET
        client.execute(cwd=str(path.parent))
        for output in (output for cell in cells for output in cell.outputs):
            for line in output.get("text", "").splitlines():
                if line.startswith("LATENCY "):
                    report = json.loads(line.removeprefix("LATENCY "))
                    for name, times in report["moves"].items():
                        found[f"{path.stem} cell {report['cell']}: {name}"] = times
    return found


def calls_explore(cell):
    """Whether the last statement of a code cell shows an explorer."""
    return (
        cell.cell_type == "code" and "explore(" in cell.source and "def explore" not in cell.source
    )


def time_lab(moves, chromium):
    """The same of the sliders of lesson 3 in JupyterLab: [[last change, first change] in ms]."""
    with contextlib.ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        browser = stack.enter_context(open_browser(chromium))
        served = stack.enter_context(serve_lab(ROOT / "notebooks", place))
        lesson = Lesson(browser, served).open(LESSON)
        lesson.run_all()
        sliders = [control for control in lesson.controls() if control.kind in ("slider", "range")]
        named = {
            f"{LESSON} cell {control.cell}: {control.label}": control.handle for control in sliders
        }
        times = press_keys(lesson.page, named, moves)
        lesson.shutdown()
    return times


def time_page(moves, chromium):
    """The same of the ranges of lesson 3 in an exported page, opened from disk."""
    with tempfile.TemporaryDirectory() as place, open_browser(chromium) as browser:
        target = Path(place) / "page.html"
        words = [
            sys.executable,
            "-m",
            "bmix_lite",
            "html",
            str(ROOT / "notebooks" / f"{LESSON}.ipynb"),
        ]
        subprocess.run(
            [*words, "--out", str(target)], check=True, cwd=ROOT, stdout=subprocess.DEVNULL
        )
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(target.as_uri())
        page.wait_for_selector(".explorer input")
        page.wait_for_function(
            "[...document.querySelectorAll('.explorer')].every(place => place.querySelector('.js-plotly-plot'))"
        )
        ranges = page.query_selector_all(".explorer input[type=range], .module input[type=range]")
        label = "control => `${control.closest('.explorer, .module').id}: ${control.labels[0].textContent}`"
        return press_keys(
            page, {f"{LESSON} {control.evaluate(label)}": control for control in ranges}, moves
        )


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
        for steps in range(moves):
            key = {"low": "ArrowRight", "high": "ArrowLeft"}.get(
                control.evaluate(END), key
            )  # there and back
            before = control.evaluate(SHOWN)
            page.keyboard.press(key)
            page.wait_for_function(
                f"([control, before, count]) => window.bmixTimes.length > count && ({SHOWN})(control) !== before",
                arg=[control, before, steps],
            )
        times[name] = page.evaluate("window.bmixTimes")
    return times


def summarise(times):
    """{"median", "p95", "n", "of it"}: of the first number of each pair, and the median of the second."""
    whole, part = np.array(times).T
    quantiles = np.percentile(whole, [50, 95]).round(1).tolist()
    return {
        "median": quantiles[0],
        "p95": quantiles[1],
        "n": len(times),
        "part": round(float(np.median(part)), 1),
    }


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--moves", type=int, default=30, help="of each control (default: %(default)s)"
    )
    parser.add_argument("--quick", action="store_true", help="five moves")
    parser.add_argument(
        "--only", choices=["kernel", "lab", "page"], action="append", help="one part"
    )
    parser.add_argument("--json", type=Path, help="where all times go")
    chosen = parser.parse_args()
    moves, parts = (5 if chosen.quick else chosen.moves), chosen.only or ["kernel", "lab", "page"]
    report = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "moves": moves,
    }
    report |= {"machine": describe_machine(), "python": platform.python_version()}
    report |= {"versions": {name: version(name) for name in PACKAGES}, "times": {}}
    chromium = shutil.which("chromium")
    if chromium is None and parts != ["kernel"]:
        raise SystemExit("latency: there is no Chromium on this machine; --only kernel needs none")
    measures = {
        "kernel": (KERNEL_SIDE, lambda: time_kernel(moves)),
        "lab": (IN_LAB, lambda: time_lab(moves, chromium)),
        "page": (IN_PAGE, lambda: time_page(moves, chromium)),
    }
    for part in parts:
        title, measure = measures[part]
        report["times"][title] = {
            name: summarise(times) | {"all": times} for name, times in measure().items()
        }
        second = "in redraw" if part == "kernel" else "first change"
        print(f"\n{title + ' (ms)':<56} median    p95  {second:>12}   n")
        for name, row in report["times"][title].items():
            print(
                f"{name:<56} {row['median']:>6} {row['p95']:>6}  {row['part']:>12} {row['n']:>3}",
                flush=True,
            )
    if chosen.json:
        chosen.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
