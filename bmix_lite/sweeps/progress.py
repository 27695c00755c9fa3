"""What a sweep is doing, for people: a table that is redrawn in a terminal or notebook, a few lines in a log."""

import html
import math
import sys
import time

from bmix_lite.runs.folder import read_progress, read_score
from bmix_lite.sweeps.plans import say_seconds

PAUSE = {
    "terminal": 1.0,
    "notebook": 1.0,
    "log": 10.0,
}  # seconds between looks at the running notebooks
LINES = 12  # running notebooks that a terminal shows
COLUMNS = ("running now", "where", "time", "validation, best so far")
QUIET = 60.0  # seconds between two summaries in a log, which has one line an ending besides


class Display:
    """Redrawn by `update` while a sweep runs. progress: False shows nothing."""

    def __init__(self, plan, endings, pool, progress=True):
        self.plan, self.endings, self.pool = plan, endings, pool
        self.kind = _find_front() if progress else "none"
        self.pause = PAUSE.get(self.kind, 10.0)
        self.started, self.told, self.begun = time.monotonic(), -math.inf, len(endings)
        self.best = (None, "")
        self._seen, self._live = set(), None

    def __enter__(self):
        if self.kind == "terminal":
            from tqdm import tqdm

            lines = 1 + min(self.pool.jobs, LINES)
            self._live = [
                tqdm(bar_format="{desc}", position=at, leave=at == 0) for at in range(lines)
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
            texts = [self.summary(), *("  ".join(filter(None, row)) for row in self.rows(waiting))]
            for at, line in enumerate(self._live):
                line.set_description_str(texts[at] if at < len(texts) else "")
        else:
            self._live.update(self.page(waiting))

    def summary(self):
        """One line: how many runs have ended how, what is left to do, and the best so far by validation."""
        total, ended, words = len(self.plan.tasks), len(self.endings), [self._counts()]
        fresh, passed = ended - self.begun, time.monotonic() - self.started
        if fresh and ended < total:
            words.append(f"about {say_seconds(passed / fresh * (total - ended))} left")
        elif ended == total:
            words.append(f"took {say_seconds(passed)}")
        if self.best[0] is not None:
            words.append(f"best on validation so far {self.best[0]:.3f} ({self.best[1]})")
        return ", ".join(words)

    def rows(self, waiting):
        """(run, how far it is, time, score so far) of what runs now."""
        for run_id, (seconds, cell) in self.pool.running(waiting).items():
            seen = read_progress(self.plan.out / run_id)
            far = f"epoch {seen['epoch']} of {seen['epochs']}" if seen else cell
            yield (
                run_id.rsplit("-", 1)[0],
                far,
                say_seconds(seconds),
                f"{seen['best']:.3f}" if seen else "",
            )

    def page(self, waiting):
        """The state as HTML, for a notebook; at the end without times, so that a notebook run twice looks alike."""
        import pandas as pd
        from IPython.display import HTML

        if len(self.endings) == len(self.plan.tasks):
            return HTML(f"<p>{html.escape(self._counts())}</p>")
        table = pd.DataFrame(self.rows(waiting), columns=COLUMNS).to_html(index=False, escape=True)
        return HTML(f"<p>{html.escape(self.summary())}</p>{table}")

    def _counts(self):
        bad = sum(not ending.good for ending in self.endings.values())
        return f"{len(self.endings) - bad} of {len(self.plan.tasks)} complete" + (
            f", {bad} failed" if bad else ""
        )

    def _log(self, ended, waiting):
        for ending in ended:
            say = f": {ending.error.splitlines()[0]}" if ending.error else ""
            print(f"{ending.folder.name}: {ending.status}{say}", flush=True)
        if (ended and not waiting) or time.monotonic() - self.told > QUIET:
            self.told = time.monotonic()
            print(self.summary(), flush=True)

    def _note_best(self, ended):
        for ending in ended:
            score = read_score(ending.folder) if ending.good else None
            if score is not None and (self.best[0] is None or score > self.best[0]):
                self.best = (score, ending.folder.name.rsplit("-", 1)[0])


def _find_front():
    shell = sys.modules.get("IPython")
    if shell is not None and hasattr(shell.get_ipython(), "kernel"):
        return "notebook"
    return "terminal" if sys.stdout.isatty() else "log"
