import os
import pty
import re
import select
import subprocess
import sys
from pathlib import Path

import pytest

from bmix_lite.base.files import write_json
from bmix_lite.sweeps import progress as watching
from bmix_lite.sweeps.plans import Plan
from bmix_lite.sweeps.progress import Display
from bmix_lite.sweeps.tasks import Ending, Task
from toy_sweeps import PATIENCE


class Pool:
    """What a pool shows of itself."""

    jobs = 3

    def __init__(self, running=None):
        self.now = running or {}

    def running(self, waiting):
        return self.now


def make_plan(out, number):
    plan = Plan(out, out / "kept.ipynb", "", "runs.ipynb")
    plan.tasks = {
        f"run-{k}-hash": Task(plan.notebook, out / f"run-{k}-hash", {}) for k in range(number)
    }
    return plan


def finish(plan, endings, number, status="complete", error="", score=None):
    """Let a run of the plan end."""
    folder = plan.out / f"run-{number}-hash"
    if status in ("complete", "reused"):
        write_json(folder / "recipe.json", {"recipe": {"monitor": "mcc"}})
        write_json(folder / "metrics.json", {"val": {"mcc": score}})
    endings[folder.name] = Ending(folder, status, error)


@pytest.fixture
def clock(monkeypatch):
    """The seconds that `watching` believes."""
    now = [1000.0]
    monkeypatch.setattr(watching.time, "monotonic", lambda: now[0])
    return now


def test_a_log_has_a_line_an_ending_and_else_one_a_minute(tmp_path, capsys, clock):
    plan, endings = make_plan(tmp_path, 4), {}
    finish(plan, endings, 0, "reused")
    with Display(plan, endings, Pool()) as display:
        assert display.kind == "log"
        assert capsys.readouterr().out.splitlines() == ["1 of 4 complete"]
        for _ in range(30):
            clock[0] += 3.9  # two minutes in all
            display.update([1])
        assert capsys.readouterr().out.splitlines() == ["1 of 4 complete"]
        finish(plan, endings, 1, score=0.5)
        display.update([1])
        assert capsys.readouterr().out.splitlines() == ["run-1-hash: complete"]
        finish(plan, endings, 2, "failed", "cell 3: ValueError: a\nlong\ntext")
        display.update([1])
        display.update([1])
        assert capsys.readouterr().out.splitlines() == ["run-2-hash: failed: cell 3: ValueError: a"]
        clock[0] += 3
        finish(plan, endings, 3, score=0.7)
        display.update([])
        assert capsys.readouterr().out.splitlines() == [
            "run-3-hash: complete",
            "3 of 4 complete, 1 failed, took 2 min, best on validation so far 0.700 (run-3)",
        ]


def test_the_time_left_is_judged_by_what_this_sweep_has_finished(tmp_path, clock):
    plan, endings = make_plan(tmp_path, 6), {}
    finish(plan, endings, 0, "reused")
    display = Display(plan, endings, Pool(), progress=False)
    assert display.summary() == "1 of 6 complete"
    clock[0] += 30
    finish(plan, endings, 1, score=0.5)
    assert display.summary() == "2 of 6 complete, about 2 min left"  # 4 more at 30 s each


def test_runs_whose_score_is_undefined_are_never_the_best(tmp_path, capsys):
    plan, endings = make_plan(tmp_path, 3), {}
    with Display(plan, endings, Pool()) as display:
        finish(plan, endings, 0, score=None)
        finish(plan, endings, 1, score=-0.25)
        display.update([])
        assert display.best == (-0.25, "run-1")


@pytest.mark.parametrize(
    "recipe", ["{}", "[]", "null", '{"recipe": {"monitor": []}}', '{"recipe": {"monitor": "f1"}}']
)
def test_results_of_another_shape_end_no_sweep(tmp_path, capsys, recipe):
    plan, endings = make_plan(tmp_path, 1), {}
    finish(plan, endings, 0, score=0.5)
    (tmp_path / "run-0-hash" / "recipe.json").write_text(recipe)
    with Display(plan, endings, Pool()) as display:
        display.update([])
        assert display.best == (None, "")


def test_a_running_notebook_shows_its_epoch_once_it_trains(tmp_path):
    plan = make_plan(tmp_path, 2)
    write_json(
        tmp_path / "run-0-hash" / "checkpoint.json", {"epoch": 7, "epochs": 60, "best": 0.8125}
    )
    running = {"run-0-hash": (95.0, "cell 5 of 9"), "run-1-hash": (3.2, "cell 2 of 9")}
    display = Display(plan, {}, Pool(running), progress=False)
    assert list(display.rows([])) == [
        ("run-0", "epoch 7 of 60", "2 min", "0.812"),
        ("run-1", "cell 2 of 9", "3 s", ""),
    ]


@pytest.mark.parametrize("content", ["", "{", "[1]", '"x"', '{"epoch": 3}'])
def test_a_note_of_progress_that_is_cut_is_no_obstacle(tmp_path, content):
    (tmp_path / "run-0-hash").mkdir()
    (tmp_path / "run-0-hash" / "checkpoint.json").write_text(content)
    display = Display(
        make_plan(tmp_path, 1), {}, Pool({"run-0-hash": (1.0, "cell 2 of 9")}), progress=False
    )
    assert list(display.rows([])) == [("run-0", "cell 2 of 9", "1 s", "")]


def test_the_page_of_a_notebook_escapes_what_it_shows_and_ends_without_times(tmp_path):
    plan, endings = make_plan(tmp_path, 1), {}
    hostile = "<script>alert(1)</script>"
    display = Display(plan, endings, Pool({f"{hostile}-hash": (1.0, hostile)}), progress=False)
    page = display.page([]).data
    assert "<script>" not in page
    assert page.count("&lt;script&gt;") == 2
    assert "running now" in page
    finish(plan, endings, 0, score=0.5)
    display.best = (0.5, hostile)
    assert display.page([]).data == "<p>1 of 1 complete</p>"


def test_nothing_is_shown_where_nothing_is_wanted(tmp_path, capsys):
    plan, endings = make_plan(tmp_path, 1), {}
    with Display(plan, endings, Pool(), progress=False) as display:
        finish(plan, endings, 0, "failed", "why")
        display.update([])
    assert capsys.readouterr() == ("", "")


SHOWS = """import sys, time
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from sweeps.test_progress import Pool, finish, make_plan
from bmix_lite.sweeps.progress import Display
plan, endings = make_plan(Path(sys.argv[1]), 3), {}
pool = Pool({"run-0-hash": (4.0, "cell 3 of 9"), "run-1-hash": (5.0, "cell 4 of 9")})
with Display(plan, endings, pool) as display:
    assert display.kind == "terminal", display.kind
    for number in range(3):
        time.sleep(0.15)
        finish(plan, endings, number, "complete", score=number / 10)
        if number == 2:
            pool.now = {}
        display.update([])
print("after")"""


def run_in_terminal(command, rows=40, columns=120):
    """What a program writes to a terminal of that size."""
    import fcntl
    import struct
    import termios

    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, close_fds=True)
    os.close(slave)
    written = b""
    try:
        while select.select([master], [], [], PATIENCE)[0]:
            part = os.read(master, 65536)
            if not part:
                break
            written += part
    except OSError:  # how Linux says that nobody holds the other end any more
        pass
    finally:
        os.close(master)
        process.kill() if process.poll() is None and not written else None
    assert process.wait(PATIENCE) == 0, written.decode()
    return written.decode()


def test_a_terminal_shows_a_table_that_is_redrawn_in_its_place(tmp_path):
    text = run_in_terminal(
        [sys.executable, "-c", SHOWS, str(tmp_path), str(Path(__file__).parents[1])]
    )
    plain = re.sub(r"\x1b\[[\d;]*[A-Za-z]", "", text)
    assert "Traceback" not in plain
    assert "0 of 3 complete" in plain
    assert "run-1  cell 4 of 9  5 s" in plain
    last = [part for part in re.split(r"[\r\n]+", plain) if part.strip()]
    assert "after" in last[-1]
    assert any(
        re.search(r"3 of 3 complete, took \d+ s, best on validation so far 0\.200 \(run-2\)", p)
        for p in last
    )
    assert "\x1b[A" in text  # up again, to redraw
    assert max(len(part) for part in last) <= 120


def test_a_notebook_is_recognised(monkeypatch):
    class Shell:
        @staticmethod
        def get_ipython():
            return type("kernel's", (), {"kernel": None})()

    monkeypatch.setitem(sys.modules, "IPython", Shell)
    assert watching._find_front() == "notebook"
    monkeypatch.setattr(Shell, "get_ipython", staticmethod(lambda: None))
    assert watching._find_front() == "log"


def test_a_sweep_in_a_notebook_redraws_one_page(tmp_path, monkeypatch):
    shown = []

    class Handle:
        def update(self, page):
            shown.append(page.data)

    import IPython.display

    monkeypatch.setattr(watching, "_find_front", lambda: "notebook")
    monkeypatch.setattr(
        IPython.display, "display", lambda page, display_id: shown.append(page.data) or Handle()
    )
    plan, endings = make_plan(tmp_path, 2), {}
    with Display(plan, endings, Pool()) as display:
        for number in range(2):
            finish(plan, endings, number, score=0.5)
            display.update([])
    assert shown[-1] == "<p>2 of 2 complete</p>"
    assert shown[0].startswith("<p>0 of 2 complete</p>")
