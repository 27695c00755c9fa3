"""What a sweep will do, checked in full before any kernel starts: one Task for each different run of the grid."""

import hashlib
import json
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

from bmix_lite import __version__
from bmix_lite.base.errors import BmixError, require, require_choice
from bmix_lite.base.files import hash_json, read_json, write_atomic, write_json
from bmix_lite.base.ipynb import read_notebook
from bmix_lite.base.registry import run_own
from bmix_lite.data.datasets import load
from bmix_lite.recipe import Recipe
from bmix_lite.runs.folder import LOCKS, make_run_id
from bmix_lite.runs.ledger import now
from bmix_lite.sweeps.parameters import read_parameters
from bmix_lite.sweeps.tasks import Task, list_done, read_wall

FOLDER, LIVE = (
    "run_folder",
    "live",
)  # the notebook's parameters: where its run lies, whether it draws while it trains
SWEEP = ".sweep"  # in an experiment's folder: the lock, the plan, and the notebook as it was when the sweep began


@dataclass
class Plan:
    """The tasks of a grid by run id, those that are complete already, and how often a run stood in it again."""

    out: Path
    notebook: Path
    content: str  # hash of the notebook's code and text
    source: str = ""
    own: bytes = b""  # the content of a file of methods of one's own
    own_copy: str = ""  # where the kernels find it
    tasks: dict = field(default_factory=dict)
    complete: set = field(default_factory=set)
    repeated: int = 0

    @property
    def waiting(self):
        """The tasks that have no whole result yet, in the order of the grid."""
        return [task for run_id, task in self.tasks.items() if run_id not in self.complete]

    def estimate(self, jobs):
        """Seconds that the waiting tasks will take, judged by the finished ones; None before one has finished."""
        walls = [wall for run_id in self.complete if (wall := read_wall(self.out / run_id))]
        return sum(walls) / len(walls) * len(self.waiting) / jobs if walls else None

    def table(self, most=None):
        """The first `most` runs as rows of text: what differs between the runs, and whether each is complete."""
        rows = [task.parameters for task in self.tasks.values()]
        names = dict.fromkeys(name for row in rows for name in row if name not in (FOLDER, LIVE))
        varying = [
            name
            for name in names
            if name == "method" or len({repr(row.get(name)) for row in rows}) > 1
        ]
        for run_id, row in list(zip(self.tasks, rows, strict=True))[:most]:
            state = "complete" if run_id in self.complete else "to do"
            yield [run_id, *(str(row.get(name, "")) for name in varying), state]

    def describe(self, jobs, most=20):
        """The plan in words and a table of its first runs."""
        seconds, waiting = self.estimate(jobs), len(self.waiting)
        lines = [
            f"{len(self.tasks)} runs of {Path(self.source).name}: {len(self.complete)} complete, {waiting} to do"
        ]
        lines += [f"{self.repeated} runs of the grid stand in it again and are done once"] * bool(
            self.repeated
        )
        if waiting:
            guess = (
                "unknown until a run has finished"
                if seconds is None
                else f"about {say_seconds(seconds)}"
            )
            lines.append(f"time with {jobs} at a time: {guess}")
        rows = list(self.table(most))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines += ["  ".join(map(str.ljust, row, widths)) for row in rows]
        lines += [f"... and {len(self.tasks) - most} more"] * (len(self.tasks) > most)
        return "\n".join(lines)


def plan_runs(notebook, grid, out, *, own=None):
    """The Plan of a grid (dicts of parameters) in the folder `out`; nothing is written.

    own: a Python file that adds methods (`registry`); it is run here and in each kernel, and its content is part of
    what tells runs apart.
    Raises BmixError for a parameter that the notebook does not have, and for values that `Recipe` refuses. A run
    that stands twice in the grid, in whatever words, is planned once.
    """
    notebook, out, grid = Path(notebook), _check_out(out), list(grid)
    code = run_own(own) if own else b""
    rows = bool(grid) and all(isinstance(row, dict) for row in grid)
    require(
        rows, f"a grid is a list of one or more dicts, as expand_grid makes it, got {grid!r:.60}"
    )
    defaults, content = read_parameters(notebook)
    for name in (FOLDER, "method"):
        require(
            name in defaults,
            f"{notebook} has no parameter {name!r} in its cell tagged 'parameters'",
        )
    kept, fingerprints = out / SWEEP / f"{content}.ipynb", {}
    digest = hashlib.sha256(code).hexdigest()
    plan = Plan(
        out, kept, content, str(notebook), code, str(out / SWEEP / f"{digest}.py") if code else ""
    )
    for parameters in grid:
        for name in parameters:
            require_choice(f"a parameter of {notebook.name}", name, tuple(defaults))
        require(
            FOLDER not in parameters,
            f"{FOLDER} cannot be given: each run has its own folder in {out}",
        )
        fields, others = _sort_parameters(notebook, defaults, parameters)
        recipe = Recipe.make(**fields)
        key = (recipe.dataset, recipe.fold)
        if key not in fingerprints:
            fingerprints[key] = load(recipe.dataset, fold=recipe.fold).fingerprint
        more = [others] * bool(others) + [digest] * bool(code)
        run_id = make_run_id(
            recipe, fingerprints[key], hash_json([content, *more]) if more else content
        )
        plan.repeated += run_id in plan.tasks
        quiet = (
            {LIVE: False} if LIVE in defaults else {}
        )  # nobody watches, and papermill would store the widgets
        parameters = quiet | parameters | {FOLDER: str(out / run_id)}
        plan.tasks[run_id] = Task(kept, out / run_id, parameters, os.getcwd(), plan.own_copy)
    plan.complete = list_done(out, plan.tasks)
    return plan


def keep_plan(plan):
    """Write down what a sweep is about to do, and the notebook itself: it may be edited while runs still wait."""
    import nbformat

    if not plan.notebook.exists():
        write_atomic(plan.notebook, nbformat.writes(read_notebook(plan.source)))
    if read_parameters(plan.notebook)[1] != plan.content:
        plan.notebook.unlink()
        raise BmixError(f"{plan.source} was changed while its runs were planned: start again")
    if plan.own:
        write_atomic(Path(plan.own_copy), plan.own)
    runs = {run_id: task.parameters for run_id, task in plan.tasks.items()}
    about = {
        "notebook": plan.source,
        "content": plan.content,
        "bmix_lite": __version__,
        "runs": runs,
    }
    if any(read_plan(plan.out).get(name) != value for name, value in about.items()):
        write_json(plan.out / SWEEP / "plan.json", about | {"when": now()})


def read_plan(out):
    """What `keep_plan` wrote last in the experiment's folder, or {}."""
    path = Path(out) / SWEEP / "plan.json"
    return read_json(path) if path.exists() else {}


def say_seconds(seconds):
    """A length of time for people: "40 s", "12 min", "3.5 h"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _check_out(out):
    require(str(out).strip(), "out must be a folder, got an empty text")
    try:
        out = Path(out).resolve()
        is_file = not _is_folder_or_new(out)
    except (
        OSError,
        ValueError,
        RuntimeError,
    ) as error:  # too long a name, a null byte, links in a circle
        raise BmixError(f"out must be a folder, got {str(out)!r:.80}: {error!s:.80}") from error
    if is_file:
        raise BmixError(f"out must be a folder, {out} is a file")
    for name in (SWEEP, LOCKS):
        require(
            not (out / name).is_symlink(), f"{out / name} is a link: nothing is written through it"
        )
    return out


def _is_folder_or_new(path):
    """Whether a folder or nothing lies at `path`; OSError where nothing can, which Path.exists hides from 3.14 on."""
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except FileNotFoundError:
        return True


def _sort_parameters(notebook, defaults, parameters):
    """(fields of the Recipe, other parameters of the notebook), the latter with the type of their default."""
    known, fields, others = {"method", *Recipe().asdict()}, {}, {}
    for name, value in (defaults | parameters).items():
        if name in known:
            optional = value is not None or defaults[name] is None
            require(
                optional,
                f"{name} cannot be None in {notebook.name}, where it is {defaults[name]!r} by default",
            )
            fields[name] = value
        elif name == LIVE:
            require(isinstance(value, bool), f"{LIVE} must be True or False, got {value!r}")
        elif name != FOLDER:
            default = defaults[name]
            fits = (
                default is None
                or type(value) is type(default)
                or (type(default) is float and type(value) is int)
            )
            found = f"got {value!r} ({type(value).__name__})"
            require(
                fits,
                f"{name} must be of type {type(default).__name__}, as in {notebook.name}, {found}",
            )
            require(
                _is_plain(value),
                f"{name} must be plain: text, finite numbers, lists, dicts, {found}",
            )
            others[name] = value
    return fields, others


def _is_plain(value):
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return False
    return True
