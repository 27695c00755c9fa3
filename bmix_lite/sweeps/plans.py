"""What a sweep will do, checked in full before any kernel starts: one Task per different run."""

import hashlib
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

from bmix_lite import __version__
from bmix_lite.base.errors import BmixError, require_choice
from bmix_lite.base.files import hash_json, read_json, write_atomic, write_json
from bmix_lite.base.ipynb import read_notebook
from bmix_lite.base.numbers import plain_number
from bmix_lite.base.parts import require_parts
from bmix_lite.base.registry import run_own
from bmix_lite.data.datasets import BUILT_IN, load
from bmix_lite.recipe import Recipe
from bmix_lite.runs.complete import list_complete, read_wall
from bmix_lite.runs.folder import LOCKS, make_run_id
from bmix_lite.runs.ledger import now
from bmix_lite.runs.parents import parent_of
from bmix_lite.sweeps.parameters import FOLDER, LIVE, PARENT, read_parameters, sort_parameters
from bmix_lite.sweeps.tasks import Task

# in an experiment's folder: the lock, the plan, and the notebook as it was when the sweep began
SWEEP = ".sweep"
SET_HERE = (FOLDER, LIVE, PARENT)  # parameters that a sweep gives itself


@dataclass
class Plan:
    """The tasks of a grid by run id, and which of them are complete already."""

    out: Path
    notebook: Path  # its copy in `out`
    content: str  # hash of the notebook's code and text
    source: str = ""  # where the notebook was
    own: bytes = b""  # the content of a file of methods of one's own
    own_copy: str = ""  # where the kernels find it
    tasks: dict = field(default_factory=dict)
    complete: set = field(default_factory=set)
    repeated: int = 0  # runs of the grid that stood in it again
    prepared: list = field(default_factory=list)  # folders of images that the runs read

    @property
    def waiting(self):
        """The tasks that are not complete, in the order of the grid; what begins with another last.

        So that other is complete by then; where it is not, being still under way or failed, the run
        trains the network itself.
        """
        waiting = [task for run_id, task in self.tasks.items() if run_id not in self.complete]
        return sorted(waiting, key=lambda task: PARENT in task.parameters)

    def estimate(self, jobs):
        """Seconds for the waiting tasks, judged by the complete ones; None if there is none."""
        walls = [read_wall(self.out / run_id) for run_id in self.complete]
        known = [wall for wall in walls if wall]
        if not known:
            return None
        return sum(known) / len(known) * len(self.waiting) / jobs

    def table(self, most=None):
        """The first `most` runs as rows of text: id, what differs between runs, complete or not."""
        rows = [task.parameters for task in self.tasks.values()]
        names = dict.fromkeys(name for row in rows for name in row if name not in SET_HERE)
        columns = [name for name in names if name == "method" or _varies(name, rows)]
        for run_id, row in list(zip(self.tasks, rows, strict=True))[:most]:
            state = "complete" if run_id in self.complete else "to do"
            yield [run_id, *(str(row.get(name, "")) for name in columns), state]

    def describe(self, jobs, most=20):
        """The plan in words and a table of its first runs."""
        total = len(self.tasks)
        waiting = len(self.waiting)
        name = Path(self.source).name
        lines = [f"{total} runs of {name}: {len(self.complete)} complete, {waiting} to do"]
        if self.repeated:
            lines.append(f"{self.repeated} runs of the grid stand in it again and are done once")
        if waiting:
            seconds = self.estimate(jobs)
            known = seconds is not None
            guess = f"about {say_seconds(seconds)}" if known else "unknown until a run has finished"
            lines.append(f"time with {jobs} at a time: {guess}")
        rows = list(self.table(most))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines += ["  ".join(map(str.ljust, row, widths)) for row in rows]
        if total > most:
            lines.append(f"... and {total - most} more")
        return "\n".join(lines)


def plan_runs(notebook, grid, out, *, own=None):
    """The Plan of a grid (dicts of parameters) in the folder `out`; nothing is written.

    own: a Python file that adds methods (`registry`); it is run here and in each kernel, and its
    content is part of what tells runs apart.
    Raises BmixError for a parameter that the notebook does not have, and for values that `Recipe`
    refuses. A run that stands twice in the grid, in whatever words, is planned once.
    """
    notebook = Path(notebook)
    out = _check_out(out)
    grid = list(grid)
    code = run_own(own) if own else b""
    if not grid or not all(isinstance(row, dict) for row in grid):
        raise BmixError(
            f"a grid is a list of one or more dicts, as expand_grid makes it, got {grid!r:.60}"
        )
    defaults, content = read_parameters(notebook)
    for name in (FOLDER, "method"):
        if name not in defaults:
            raise BmixError(f"{notebook} has no parameter {name!r} in its cell tagged 'parameters'")
    plan = Plan(out, out / SWEEP / f"{content}.ipynb", content, str(notebook), code)
    if code:
        plan.own_copy = str(out / SWEEP / f"{hashlib.sha256(code).hexdigest()}.py")
    fingerprints = {}
    for parameters in grid:
        _add_task(plan, notebook, defaults, parameters, fingerprints)
    plan.complete = list_complete(out, plan.tasks)
    return plan


def keep_plan(plan):
    """Write down what a sweep will do, and the notebook: it may be edited while runs still wait.

    Raises BmixError if the notebook has changed since `plan_runs`.
    """
    import nbformat

    if not plan.notebook.exists():
        write_atomic(plan.notebook, nbformat.writes(read_notebook(plan.source)))
    if read_parameters(plan.notebook)[1] != plan.content:
        plan.notebook.unlink()
        raise BmixError(f"{plan.source} was changed while its runs were planned: start again")
    if plan.own:
        write_atomic(Path(plan.own_copy), plan.own)
    about = {
        "notebook": plan.source,
        "content": plan.content,
        "bmix_lite": __version__,
        "runs": {run_id: task.parameters for run_id, task in plan.tasks.items()},
    }
    kept = read_plan(plan.out)
    if any(kept.get(name) != value for name, value in about.items()):
        write_json(plan.out / SWEEP / "plan.json", about | {"when": now()})


def read_plan(out):
    """What `keep_plan` wrote last in the experiment's folder, or {}."""
    path = Path(out) / SWEEP / "plan.json"
    return read_json(path) if path.exists() else {}


def say_seconds(seconds):
    """A length of time for people: "40 s", "12 min", "3.5 h"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def _plain(value):
    """Numbers of NumPy and torch, and paths, as papermill and JSON know them."""
    return os.fspath(value) if isinstance(value, os.PathLike) else plain_number(value)


def _varies(name, rows):
    return len({repr(row.get(name)) for row in rows}) > 1


def _add_task(plan, notebook, defaults, parameters, fingerprints):
    """Add one run of the grid to the plan. fingerprints: {(dataset, split): its}, filled here."""
    for name in parameters:
        require_choice(f"a parameter of {notebook.name}", name, tuple(defaults))
    for name in (FOLDER, PARENT):
        if name in parameters:
            raise BmixError(f"{name} cannot be given: each run has its own folder in {plan.out}")
    parameters = {name: _plain(value) for name, value in parameters.items()}
    fields, others = sort_parameters(notebook, defaults, parameters)
    recipe = Recipe.make(**fields)
    key = (recipe.dataset, recipe.split)
    if key not in fingerprints:
        data = load(recipe.dataset, split=recipe.split)
        require_parts(data)  # before a kernel starts, and not in each of them
        fingerprints[key] = data.fingerprint
        if recipe.dataset not in (*BUILT_IN, *plan.prepared):
            plan.prepared.append(recipe.dataset)
    where = fingerprints[key], _identify(plan, others)
    run_id = make_run_id(recipe, *where)
    if run_id in plan.tasks:
        plan.repeated += 1
    folder = plan.out / run_id
    # nobody watches, and papermill would store the widgets
    quiet = {LIVE: False} if LIVE in defaults else {}
    parameters = quiet | parameters | {FOLDER: str(folder)}
    parent = parent_of(recipe)
    if parent and PARENT in defaults:
        parameters[PARENT] = str(plan.out / make_run_id(parent, *where))
    plan.tasks[run_id] = Task(plan.notebook, folder, parameters, os.getcwd(), plan.own_copy)


def _identify(plan, others):
    """What tells runs of one recipe apart: the notebook, other parameters, methods of one's own."""
    if not others and not plan.own:
        return plan.content
    parts = [plan.content]
    if others:
        parts.append(others)
    if plan.own:
        parts.append(Path(plan.own_copy).stem)  # the hash of its content
    return hash_json(parts)


def _is_folder_or_new(path):
    """Whether a folder or nothing lies at `path`.

    OSError where nothing can lie there, which Path.exists hides from Python 3.14 on.
    """
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except FileNotFoundError:
        return True


def _check_out(out):
    """`out` as an absolute path. Raises BmixError if it cannot be the folder of an experiment."""
    if not str(out).strip():
        raise BmixError("out must be a folder, got an empty text")
    try:
        path = Path(out).resolve()
        is_other = not _is_folder_or_new(path)
    except (OSError, ValueError, RuntimeError) as error:  # a name too long, a null byte, a circle
        raise BmixError(f"out must be a folder, got {str(out)!r:.80}: {error!s:.80}") from error
    if is_other:
        raise BmixError(f"out must be a folder, {path} is a file")
    for name in (SWEEP, LOCKS):
        if (path / name).is_symlink():
            raise BmixError(f"{path / name} is a link: nothing is written through it")
    return path
