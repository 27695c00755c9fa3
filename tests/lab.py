"""A real JupyterLab over a copy of the lessons, and a hand that opens, runs, moves and looks."""

import contextlib
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from conftest import ROOT, SWITCHES

# no name leads off this machine
NOWHERE = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
SETTINGS = {
    # else a pop-up asks and covers the page
    "apputils-extension/notification": {"fetchNews": "false"},
    # a saved widget view has no model in the next kernel
    "docmanager-extension/plugin": {"autosave": False},
    # else cells out of sight are not in the page
    "notebook-extension/tracker": {"windowingMode": "none"},
}
FLAGS = [
    "--no-browser",
    "--ServerApp.port_retries=0",
    "--IdentityProvider.token=",
    "--LabApp.expose_app_in_browser=True",
    "--LabApp.extension_manager=readonly",
    "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
]
# anywidget gives a widget two seconds to get ready: enough for a person's browser, not for one that
# shares two cores with other tests
PATIENCE = """const timeout = AbortSignal.timeout;
AbortSignal.timeout = wait => timeout.call(AbortSignal, Math.max(wait, 60000));"""
# of each lesson that has any: explorers and widgets whose controls move figures, as test_pages
# counts them
EXPLORERS = {"01": 2, "02": 4, "03": 4, "04": 2, "06": 5, "09": 1}
TALLEST = 16000  # pixels of a picture; Chromium draws no more than 16,384
BORDER = 60  # pixels below the last cell


def read_lab_command():
    """The words of the Makefile's recipe `lab`, with this Python."""
    done = subprocess.run(
        ["make", "--no-print-directory", "-n", "lab"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    words = shlex.split(done.stdout.strip().splitlines()[-1])
    assert words[0].endswith("python"), words
    return [sys.executable, *words[1:]]


@dataclass(frozen=True)
class Served:
    """A running JupyterLab: its address, and the folder that it shows."""

    address: str
    notebooks: Path


@contextlib.contextmanager
def serve_lab(notebooks, place, command=None):
    """A JupyterLab on a free port over a copy of the folder `notebooks`; yields a `Served`.

    place: the folder that holds the copy; command: words that start it there; None: those of the
    Makefile. Settings, kernels and workspaces of the user are neither read nor written. If anything
    fails inside, the server's log is printed.
    """
    copy = place / "notebooks"
    shutil.copytree(notebooks, copy, ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    for name, content in SETTINGS.items():
        path = place / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))
    homes = {
        f"JUPYTER_{name}_DIR": str(place / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")
    }
    homes |= {
        f"JUPYTERLAB_{name}_DIR": str(place / name.lower()) for name in ("SETTINGS", "WORKSPACES")
    }
    homes |= {"IPYTHONDIR": str(place / "ipython"), "PYTHONPATH": str(ROOT)}
    port = _free_port()
    words = [*(command or read_lab_command()), *FLAGS, f"--port={port}"]
    words += ["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    log = place / "lab.log"
    with log.open("w") as file:
        streams = dict(stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT)
        server = subprocess.Popen(
            words, cwd=place, env=os.environ | homes, start_new_session=True, **streams
        )
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_until_it_answers(server, address)
        yield Served(address, copy)
    except BaseException:
        print(log.read_text()[-8000:])
        raise
    finally:
        # kernels end with the server; the group is for what hangs
        shutdown = urllib.request.Request(f"{address}/api/shutdown", method="POST")
        with contextlib.suppress(OSError):
            urllib.request.urlopen(shutdown, timeout=5)
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def _free_port():
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        return door.getsockname()[1]


def _wait_until_it_answers(server, address, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert server.poll() is None, "JupyterLab ended while starting"
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(f"{address}/api/status", timeout=5),
        ):
            return
        time.sleep(0.1)
    raise AssertionError(f"JupyterLab did not answer within {seconds} s")


@contextlib.contextmanager
def open_browser(chromium):
    """A headless Chromium that reaches this machine only."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        arguments = [
            *(f"--{name}" for name in SWITCHES.split()),
            "--disable-dev-shm-usage",
            NOWHERE,
        ]
        browser = play.chromium.launch(executable_path=chromium, args=arguments)
        yield browser
        browser.close()


# what the page is asked; `lesson` is the notebook in front
LESSON = "window.jupyterapp?.shell?.currentWidget"
STATE = f"""() => {{
  const lesson = {LESSON};
  if (!lesson?.content?.model?.cells?.length) return null;
  if (!lesson.sessionContext?.session?.kernel) return null;
  const cells = [...lesson.content.model.cells].map((cell, place) => ({{
    place,
    code: cell.type === "code",
    source: cell.sharedModel.getSource(),
    count: cell.executionCount ?? null,
    outputs: cell.outputs?.toJSON() ?? [],
  }})).filter(cell => cell.code);
  const kernel = lesson.sessionContext.session.kernel.status;
  return {{cells, kernel, ran: window.bmixRan ?? null}};
}}"""
# what the notebook in front is doing, without its outputs: asked ten times a second
BUSY = f"""() => {{
  const lesson = {LESSON};
  const kernel = lesson?.content?.model?.cells?.length
    && lesson.sessionContext?.session?.kernel?.status;
  if (!kernel) return null;
  const cells = [...lesson.content.model.cells].filter(cell => cell.type === "code");
  const left = cells.filter(cell => !cell.executionCount).length;
  return {{kernel, ran: window.bmixRan ?? null, left}};
}}"""
# plots and widgets of all outputs are drawn: each widget has put something in the page, each figure
# its lines
DRAWN = """() => {
  const outputs = [...document.querySelectorAll(".jp-Notebook .jp-OutputArea-output")];
  const plots = outputs.flatMap(output => [...output.querySelectorAll(".js-plotly-plot")]);
  if (!plots.every(plot => plot._fullData && plot.querySelector(".main-svg"))) return false;
  const kind = "application/vnd.jupyter.widget-view+json";
  return outputs.filter(output => output.dataset.mimeType === kind)
    .every(output => output.querySelector(".js-plotly-plot, svg, button, [tabindex]"))
    && [...document.querySelectorAll(".jp-Notebook .jupyter-widgets.widget-vbox")]
      .every(box => box.querySelector(".js-plotly-plot"));
}"""
# numbers of a figure as lists, whatever they are packed in
PLAIN = """value => {
  const plain = item => {
    if (item && typeof item === "object" && "bdata" in item) {
      const kinds = {f8: Float64Array, f4: Float32Array, i1: Int8Array, u1: Uint8Array,
                     i2: Int16Array, u2: Uint16Array, i4: Int32Array, u4: Uint32Array};
      const bytes = Uint8Array.from(atob(item.bdata), c => c.charCodeAt(0));
      const flat = [...new kinds[item.dtype](bytes.buffer)];
      const wide = Number(String(item.shape ?? "").split(",")[1] ?? 0);
      if (!wide) return flat;
      const row = (_, k) => flat.slice(k * wide, (k + 1) * wide);
      return Array.from({length: flat.length / wide}, row);
    }
    if (ArrayBuffer.isView(item)) return [...item];
    if (Array.isArray(item)) return item.map(plain);
    if (item && typeof item === "object") {
      const open = Object.entries(item).filter(([k]) => k[0] !== "_");
      return Object.fromEntries(open.map(([k, v]) => [k, plain(v)]));
    }
    return typeof item === "function" ? null : item;
  };
  return plain(value);
}"""
# what is shown beside a control: the data of plots, the shapes of other drawings, else the words
SHOWN = f"""control => {{
  const plain = {PLAIN};
  const output = control.closest(".jp-OutputArea-output, .explorer, .module");
  const plots = [...output.querySelectorAll(".js-plotly-plot")];
  if (plots.length) return JSON.stringify(plots.map(plot => plain([...plot.data])));
  const drawings = [...output.querySelectorAll("svg")];
  return drawings.length ? drawings.map(drawing => drawing.innerHTML).join() : output.innerText;
}}"""
CONTROLS = ", ".join(
    f".jp-Notebook .jp-OutputArea-output {kind}:not(.js-plotly-plot *):not(.bmix-confusion *)"
    for kind in (
        ".noUi-handle",
        "input[type=range]",
        "select",
        "input[type=checkbox]",
        ".widget-play",
        "button",
    )
)
ABOUT = """control => {
  const kinds = [
    ["play", control.matches(".widget-play")],
    ["slider", control.matches(".noUi-handle")],
    ["range", control.type === "range"],
    ["check", control.type === "checkbox"],
    ["select", control.tagName === "SELECT"],
    ["part", control.closest(".widget-play")],
    ["button", true],
  ];
  const [kind] = kinds.find(([, matches]) => matches);
  const row = control.closest(".jupyter-widgets");
  const label = (control.labels?.[0] ?? row?.querySelector("label") ?? control).textContent.trim();
  const cell = control.closest(".jp-Cell");
  return {kind, label, cell: [...document.querySelectorAll(".jp-Notebook .jp-Cell")].indexOf(cell)};
}"""
VALUE = """control =>
  control.closest(".widget-slider")?.querySelector(".widget-readout")?.textContent
  ?? control.getAttribute("aria-valuenow")
  ?? (control.type === "checkbox" ? String(control.checked) : control.value ?? "")"""


OPEN = """async path => {
  await jupyterapp.commands.execute("docmanager:open", {path});
}"""
# not saved, and no question asked; sessions end by themselves, or not before the next notebook is
# there
LEAVE = f"""async () => {{
  const lesson = {LESSON};
  lesson.context.model.dirty = false;
  lesson.dispose();
  const token = document.cookie.match(/_xsrf=([^;]*)/)?.[1] ?? "";
  const end = {{method: "DELETE", headers: {{"X-XSRFToken": token}}}};
  for (const kind of ["sessions", "kernels"])
    for (const {{id}} of await (await fetch(`/api/${{kind}}`)).json())
      await fetch(`/api/${{kind}}/${{id}}`, end);
}}"""
ROUND_TRIP = f"""async () => {{
  const code = "pass";
  await {LESSON}.sessionContext.session.kernel.requestExecute({{code, store_history: false}}).done;
  for (const _ of [1, 2]) await new Promise(requestAnimationFrame);
}}"""


@dataclass(eq=False)
class Control:
    """One control in an output: a slider's handle, a range, select, check box, player or button."""

    handle: object
    kind: str
    label: str
    cell: int

    def value(self):
        """What it stands at, as text."""
        return self.handle.evaluate(VALUE)

    def shown(self):
        """What the figures beside it show, as text to compare."""
        return self.handle.evaluate(SHOWN)

    def press(self, key):
        """One key on it."""
        self.handle.press(key)

    def drag(self, share):
        """Take the handle with the mouse to `share` of its track (0 left, 1 right)."""
        page = self.handle.owner_frame().page
        self.handle.scroll_into_view_if_needed()
        box = self.handle.bounding_box()
        track = self.handle.evaluate_handle(
            "control => control.closest('.noUi-target') ?? control"
        ).bounding_box()
        start = box["x"] + box["width"] / 2
        if self.kind == "range":
            low, high = (float(self.handle.get_attribute(name)) for name in ("min", "max"))
            start = box["x"] + 8 + (float(self.value()) - low) / (high - low) * (box["width"] - 16)
        page.mouse.move(start, box["y"] + box["height"] / 2)
        page.mouse.down()
        page.mouse.move(track["x"] + share * track["width"], box["y"] + box["height"] / 2, steps=3)
        page.mouse.up()

    def changes(self, before, seconds):
        """Whether the figures come to show something else than `before` within so many seconds."""
        from playwright.sync_api import TimeoutError as Late

        page = self.handle.owner_frame().page
        try:
            question = f"([control, before]) => ({SHOWN})(control) !== before"
            # to write down all numbers of a figure takes a tenth of a second
            page.wait_for_function(
                question, arg=[self.handle, before], timeout=seconds * 1000, polling=150
            )
        except Late:
            return False
        return True


class Lesson:
    """A notebook in a page of JupyterLab, one after another.

    `problems` collects page errors, console errors, and requests that would leave, since the
    notebook was opened.
    """

    def __init__(self, browser, served):
        address = self.address = served.address
        self.problems = []
        # one context, so that scripts stay cached
        context = browser.contexts[0] if browser.contexts else browser.new_context()
        self.page = page = context.new_page()
        page.add_init_script(PATIENCE)
        inside = (address, address.replace("http", "ws"), "data:", "blob:")
        page.on(
            "request",
            lambda request: request.url.startswith(inside) or self.problems.append(request.url),
        )
        page.on(
            "websocket",
            lambda socket: socket.url.startswith(inside) or self.problems.append(socket.url),
        )
        page.on(
            "console",
            lambda message: message.type == "error" and self.problems.append(message.text),
        )
        page.on("pageerror", lambda error: self.problems.append(str(error)))

    def open(self, name, width=1280):
        """Open notebook `name` (without .ipynb); returns when its kernel is ready.

        The first one of a page is opened in a fresh workspace, which takes seconds; the next one in
        place of the last, whose kernel ends.
        """
        self.page.set_viewport_size({"width": width, "height": 900})
        if self.page.url.startswith(self.address):
            self.leave()
            self.page.evaluate(OPEN, f"{name}.ipynb")
        else:
            self.page.goto(f"{self.address}/lab/tree/{name}.ipynb?reset")
        self.wait_for_kernel()
        # the list of files takes a third of a narrow window
        self.page.evaluate("jupyterapp.shell.collapseLeft()")
        return self

    def leave(self):
        """Close the notebook in front without saving it, and end its kernel."""
        self.page.evaluate(LEAVE)
        self.problems.clear()

    def set_theme(self, theme):
        """light or dark."""
        name = f"JupyterLab {theme.title()}"
        self.page.evaluate(
            "theme => jupyterapp.commands.execute('apputils:change-theme', {theme})", name
        )
        self.page.wait_for_function(f"document.body.dataset.jpThemeName === '{name}'")

    def wait_for_kernel(self, seconds=60):
        """Until the notebook in front has a kernel with nothing to do."""
        self.page.wait_for_function(
            f"() => ({BUSY})()?.kernel === 'idle'", timeout=seconds * 1000, polling=100
        )

    def state(self):
        """{"cells": code cells, "kernel": its status, "ran": whether Run All has ended}.

        Each cell has place, source, count and outputs.
        """
        return self.page.evaluate(STATE)

    def start_all(self):
        """Clear all outputs and begin Run All."""
        self.page.evaluate("""() => {
          window.bmixRan = null;
          jupyterapp.commands.execute("notebook:clear-all-cell-outputs");
          jupyterapp.commands.execute("notebook:run-all-cells")
            .then(() => { window.bmixRan = true; });
        }""")

    def has_run(self):
        """True once what was started has ended."""
        return self.page.evaluate(f"({BUSY})()?.ran") is not None

    # lesson 9 trains six networks, each in a kernel: a minute on two cores
    def run_all(self, seconds=400):
        """Run All from cleared outputs.

        Returns when every code cell has run, the kernel is idle and all figures are drawn.
        """
        from playwright.sync_api import TimeoutError as Late

        self.start_all()
        done = (
            f"() => {{ const now = ({BUSY})(); return now?.ran && now.kernel === 'idle' && now; }}"
        )
        try:
            now = self.page.wait_for_function(
                done, timeout=seconds * 1000, polling=100
            ).json_value()
        except Late:
            waiting = next(
                (cell["source"] for cell in self.state()["cells"] if not cell["count"]), "(none)"
            )
            raise AssertionError(
                f"Run All took over {seconds} s, waiting for:\n{waiting}"
            ) from None
        self.raise_errors()
        assert now["left"] == 0, f"Run All left out {now['left']} cells"
        self.wait_until_drawn()

    def wait_until_drawn(self, seconds=60):
        """Until every widget and figure stands in the page."""
        self.page.wait_for_function(DRAWN, timeout=seconds * 1000, polling=100)

    def run_cell(self, place, seconds=60, wait=True):
        """Run the cell number `place`; returns its outputs once the kernel is idle."""
        self.page.evaluate(
            f"""place => {{
          const lesson = {LESSON};
          window.bmixRan = null;
          lesson.content.deselectAll();
          lesson.content.activeCellIndex = place;
          jupyterapp.commands.execute("notebook:run-cell")
            .then(() => {{ window.bmixRan = true; }});
        }}""",
            place,
        )
        return self.wait_for_cell(place, seconds) if wait else None

    def wait_for_cell(self, place, seconds=60):
        """The outputs of a cell once what was started has ended and the kernel is idle."""
        done = f"() => {{ const now = ({BUSY})(); return now?.ran && now.kernel === 'idle'; }}"
        self.page.wait_for_function(done, timeout=seconds * 1000, polling=100)
        return next(cell["outputs"] for cell in self.state()["cells"] if cell["place"] == place)

    def ask(self, expression):
        """The text of a Python expression, worked out by the kernel beside the notebook."""
        code = f"import json\nprint({expression})"
        return self.page.evaluate(
            f"""async code => {{
          const kernel = {LESSON}.sessionContext.session.kernel;
          const future = kernel.requestExecute({{code, store_history: false}});
          let text = "";
          future.onIOPub = ({{content}}) => {{ text += content.text ?? content.evalue ?? ""; }};
          await future.done;
          return text;
        }}""",
            code,
        )

    def round_trip(self):
        """Until the kernel has answered all that the page told it, and the page has drawn that."""
        self.page.evaluate(ROUND_TRIP)

    def interrupt(self):
        """What the stop button does."""
        self.page.evaluate("jupyterapp.commands.execute('notebook:interrupt-kernel')")

    def errors(self, state=None):
        """(source, "Error: text") of every code cell with an error among its outputs."""
        return [
            (cell["source"], f"{output['ename']}: {output['evalue']}")
            for cell in (state or self.state())["cells"]
            for output in cell["outputs"]
            if output["output_type"] == "error"
        ]

    def raise_errors(self, state=None):
        """Stop at a cell that failed."""
        for source, error in self.errors(state):
            raise AssertionError(f"{error}\nin the cell\n{source}")

    def alerts(self):
        """Messages that say a figure could not be drawn."""
        return [
            text
            for text in self.page.locator(".jp-Notebook [role=alert]").all_inner_texts()
            if text.strip()
        ]

    def controls(self):
        """Every control in the outputs, in the order of the page; parts of a player are one."""
        found = [
            Control(handle, **handle.evaluate(ABOUT))
            for handle in self.page.query_selector_all(CONTROLS)
        ]
        return [control for control in found if control.kind != "part"]

    def figures(self):
        """Handles of all live plots in the notebook, in the order of the page."""
        return self.page.query_selector_all(".jp-Notebook .js-plotly-plot")

    def figure_data(self, figure):
        """The traces of a plot (its number or handle) as plain lists."""
        figure = self.figures()[figure] if isinstance(figure, int) else figure
        return figure.evaluate(f"plot => ({PLAIN})([...plot.data])")

    def screenshot(self, path):
        """A picture of the whole notebook, however long; none without a path."""
        if path is None:
            return
        size = self.page.viewport_size
        to_top = "document.querySelector('.jp-Notebook .jp-WindowedPanel-outer').scrollTop = 0"
        last = "[...document.querySelectorAll('.jp-Notebook .jp-Cell')].at(-1)"
        self.page.evaluate(to_top)
        bottom = int(self.page.evaluate(f"{last}.getBoundingClientRect().bottom"))
        path.parent.mkdir(parents=True, exist_ok=True)
        self.page.set_viewport_size(size | {"height": min(bottom + BORDER, TALLEST)})
        self.page.evaluate(to_top)
        # plots follow the width of the page some time later, and say nothing
        self.page.wait_for_timeout(500)
        self.page.screenshot(path=path)
        self.page.set_viewport_size(size)

    def shutdown(self):
        """End all kernels and sessions and leave the page."""
        self.leave()
        self.page.close()
