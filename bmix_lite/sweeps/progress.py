"""What a sweep is doing, for people: a table redrawn in a terminal or notebook, lines in a log."""

import html
import math
import sys
import time
from contextlib import suppress
from pathlib import Path

from bmix_lite.base.files import read_json
from bmix_lite.runs.complete import RESULT
from bmix_lite.runs.identity import ABOUT
from bmix_lite.sweeps.plans import say_seconds

PROGRESS = "checkpoint.json"  # beside a checkpoint; goes with it when the run is complete
PAUSE = {"terminal": 1.0, "notebook": 1.0}  # seconds between looks at the running notebooks
LONG_PAUSE = 10.0  # the same where nothing is redrawn
LINES = 12  # running notebooks that a terminal shows
COLUMNS = ("running now", "where", "time", "validation, best so far")
QUIET = 60.0  # seconds between two summaries in a log, which also has one line per ending


class Display:
    """Redrawn by `update` while a sweep runs. progress: False shows nothing."""

    def __init__(self, plan, endings, pool, progress=True):
        self.plan = plan
        self.endings = endings  # {run id: Ending}, filled by the sweep
        self.pool = pool
        self.kind = _find_front() if progress else "none"
        self.pause = PAUSE.get(self.kind, LONG_PAUSE)
        self.started = time.monotonic()
        self.reused = len(endings)
        self.best = (None, "")  # score and name of a run
        self._last_summary = -math.inf
        self._seen = set()  # ids of the runs whose endings were shown
        self._live = None  # what is redrawn

    def __enter__(self):
        if self.kind == "terminal":
            from tqdm import tqdm

            count = 1 + min(self.pool.jobs, LINES)
            self._live = [
                tqdm(bar_format="{desc}", position=number, leave=number == 0)
                for number in range(count)
            ]
        elif self.kind == "notebook":
            from IPython.display import display

            self._live = display(self.page([]), display_id=True)
        self.update([])
        return self

    def __exit__(self, *_):
        if self.kind == "terminal":
            for line in reversed(self._live):
                line.close()

    def update(self, waiting):
        """Show the state. waiting: the tasks that have not ended."""
        if self.kind == "none":
            return
        ended = [ending for run_id, ending in self.endings.items() if run_id not in self._seen]
        self._seen.update(ending.folder.name for ending in ended)
        self._note_best(ended)
        if self.kind == "log":
            self._log([ending for ending in ended if ending.status != "reused"], waiting)
        elif self.kind == "terminal":
            self._redraw_lines(waiting)
        else:
            self._live.update(self.page(waiting))

    def summary(self):
        """One line: how many runs ended how, what is left to do, the best on validation so far."""
        total = len(self.plan.tasks)
        ended = len(self.endings)
        passed = time.monotonic() - self.started
        parts = [self._counts()]
        if ended == total:
            parts.append(f"took {say_seconds(passed)}")
        elif ended > self.reused:
            per_run = passed / (ended - self.reused)
            parts.append(f"about {say_seconds(per_run * (total - ended))} left")
        score, name = self.best
        if score is not None:
            parts.append(f"best on validation so far {score:.3f} ({name})")
        return ", ".join(parts)

    def rows(self, waiting):
        """(run, how far it is, time, best score so far) of each run that is running now."""
        for run_id, (seconds, cell) in self.pool.running(waiting).items():
            name = _name_of(run_id)
            training = read_progress(self.plan.out / run_id)
            if training:
                epoch = f"epoch {training['epoch']} of {training['epochs']}"
                yield name, epoch, say_seconds(seconds), f"{training['best']:.3f}"
            else:
                yield name, cell, say_seconds(seconds), ""

    def page(self, waiting):
        """The state as HTML, for a notebook.

        At the end it holds no times, so that a notebook run twice looks the same.
        """
        import pandas as pd
        from IPython.display import HTML

        if len(self.endings) == len(self.plan.tasks):
            return HTML(f"<p>{html.escape(self._counts())}</p>")
        table = pd.DataFrame(self.rows(waiting), columns=COLUMNS).to_html(index=False, escape=True)
        return HTML(f"<p>{html.escape(self.summary())}</p>{table}")

    def _counts(self):
        good = sum(ending.good for ending in self.endings.values())
        bad = len(self.endings) - good
        failed = f", {bad} failed" if bad else ""
        return f"{good} of {len(self.plan.tasks)} complete{failed}"

    def _redraw_lines(self, waiting):
        texts = [self.summary()]
        texts += ["  ".join(filter(None, row)) for row in self.rows(waiting)]
        for number, line in enumerate(self._live):
            line.set_description_str(texts[number] if number < len(texts) else "")

    def _log(self, ended, waiting):
        for ending in ended:
            reason = f": {ending.error.splitlines()[0]}" if ending.error else ""
            print(f"{ending.folder.name}: {ending.status}{reason}", flush=True)
        at_the_end = ended and not waiting
        if at_the_end or time.monotonic() - self._last_summary > QUIET:
            self._last_summary = time.monotonic()
            print(self.summary(), flush=True)

    def _note_best(self, ended):
        for ending in ended:
            score = read_score(ending.folder) if ending.good else None
            best_score = self.best[0]
            if score is not None and (best_score is None or score > best_score):
                self.best = (score, _name_of(ending.folder.name))


def read_progress(folder):
    """{"epoch", "epochs", "best"} of a run that is training, as noted beside its checkpoint.

    {} if it has noted nothing, or not yet.
    """
    with suppress(OSError, ValueError):
        noted = read_json(Path(folder) / PROGRESS)
        if isinstance(noted, dict) and {"epoch", "epochs", "best"} <= noted.keys():
            return noted
    return {}


def read_score(folder):
    """A complete run's score on validation, by the metric that its recipe monitors; or None."""
    # a notebook may write other files than ours
    with suppress(OSError, ValueError, LookupError, TypeError):
        monitor = read_json(Path(folder) / ABOUT)["recipe"]["monitor"]
        score = read_json(Path(folder) / RESULT)["val"][monitor]
        return score if isinstance(score, (int, float)) else None
    return None


def _name_of(run_id):
    """The readable part of a run id."""
    return run_id.rsplit("-", 1)[0]


def _find_front():
    """Where the sweep was started: "notebook", "terminal" or "log"."""
    shell = sys.modules.get("IPython")
    if shell is not None and hasattr(shell.get_ipython(), "kernel"):
        return "notebook"
    return "terminal" if sys.stdout.isatty() else "log"
