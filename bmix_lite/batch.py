"""A grid of parameters as papermill runs: checked first, resumed where interrupted, told truly in the ledger."""

import ast
import hashlib
import os
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from bmix_lite.datasets import load
from bmix_lite.errors import BmixError, require, require_choice
from bmix_lite.files import write_atomic
from bmix_lite.ipynb import KERNEL, QUIET, read_notebook
from bmix_lite.recipe import Recipe
from bmix_lite.runs import append_ledger, is_complete, make_run_id

FOLDER, LIVE = "run_folder", "live"  # the notebook's parameters: where its run lies, whether it draws while it trains


@dataclass(frozen=True)
class Ending:
    """How one run ended: status is "reused", or one of the ledger's."""

    folder: Path
    status: str
    error: str = ""


def expand_grid(**values):
    """All combinations as a list of dicts: expand_grid(alpha=[0.1, 0.2], seed=range(5)) has ten."""
    return [dict(zip(values, combination, strict=True)) for combination in product(*values.values())]


def plan_runs(notebook, grid, out):
    """{run folder: parameters} of every run of the grid, each checked before any kernel starts.

    Raises BmixError for a parameter that the notebook does not have, and for values that `Recipe` refuses. A run
    that stands twice in the grid is planned once.
    """
    defaults, content = read_parameters(notebook)
    for name in (FOLDER, "method"):
        require(name in defaults, f"{notebook} has no parameter {name!r} in its cell tagged 'parameters'")
    fingerprints, plan = {}, {}
    for parameters in grid:
        for name in parameters:
            require_choice(f"a parameter of {Path(notebook).name}", name, tuple(defaults))
        fields = {name: value for name, value in (defaults | parameters).items() if name not in (FOLDER, LIVE)}
        recipe = Recipe.make(**fields)
        key = (recipe.dataset, recipe.fold)
        if key not in fingerprints:
            fingerprints[key] = load(recipe.dataset, fold=recipe.fold).fingerprint
        folder = Path(out).resolve() / make_run_id(recipe, fingerprints[key], content)
        quiet = {LIVE: False} if LIVE in defaults else {}  # nobody watches, and papermill would store the widgets
        plan[folder] = quiet | parameters | {FOLDER: str(folder)}
    return plan


def run_grid(notebook, grid, out, *, jobs=2, timeout=None, progress=True):
    """Run the notebook once for each parameter set, `jobs` at a time; returns an Ending for each, in grid order.

    grid: dicts of parameters (`expand_grid`); out: the experiment's folder. Complete runs are reused, interrupted
    ones go on from their checkpoint. A run that fails is in the ledger and never stops the others.
    """
    from tqdm.auto import tqdm

    require(isinstance(jobs, int) and jobs >= 1, f"jobs must be an integer >= 1, got {jobs!r}")
    plan = plan_runs(notebook, grid, out)
    endings = {folder: Ending(folder, "reused") for folder in plan if is_complete(folder)}
    waiting = [folder for folder in plan if folder not in endings]
    bar = tqdm(total=len(plan), initial=len(endings), desc="runs", unit="run", disable=not progress)
    with bar, ThreadPoolExecutor(jobs) as pool:
        tasks = [pool.submit(_run_one, notebook, folder, plan[folder], timeout) for folder in waiting]
        try:
            for task in as_completed(tasks):
                ending = task.result()
                endings[ending.folder] = ending
                bar.update()
                if ending.status != "complete":
                    bar.write(f"{ending.folder.name}: {ending.status}: {ending.error}")
        except BaseException:  # Ctrl-C: what has not begun need not begin
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [endings[folder] for folder in plan]


def read_parameters(notebook):
    """(the literals of the cell tagged "parameters", a hash of the notebook's code and text)."""
    cells = read_notebook(notebook).cells
    tagged = [k for k, cell in enumerate(cells) if "parameters" in cell.metadata.get("tags", [])]
    found = f"{len(tagged)}" + (f" (cells {', '.join(map(str, tagged))})" if tagged else "")
    require(len(tagged) == 1, f"{notebook} needs one cell tagged 'parameters', found {found}")
    rule = f"{notebook}: the 'parameters' cell may only hold name = literal, line"
    try:
        statements = ast.parse(cells[tagged[0]].source).body
    except SyntaxError as error:
        raise BmixError(f"{rule} {error.lineno}: {error.msg}") from error
    parameters = {}
    for statement in statements:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                parameters[name] = _read_literal(value, rule)
            case _:
                raise BmixError(f"{rule} {statement.lineno}")
    sources = "\0".join(cell.source for cell in cells)
    return parameters, hashlib.sha256(sources.encode()).hexdigest()


def _read_literal(value, rule):
    try:
        return ast.literal_eval(value)
    except ValueError as error:  # its word for anything that would have to be computed
        raise BmixError(f"{rule} {value.lineno}") from error


def execute(notebook, output, parameters, *, timeout=None):
    """One papermill execution; `output` is replaced only once the notebook ran to its end."""
    import nbformat
    import papermill

    output = Path(output)
    output.parent.mkdir(parents=True, exist_ok=True)
    partial = output.with_suffix(".partial.ipynb")
    settings = {"progress_bar": False, "log_output": False, "execution_timeout": timeout}
    settings |= {"kernel_name": KERNEL, "language": "python"}  # also for a notebook that names none
    settings["extra_arguments"] = QUIET
    done = papermill.execute_notebook(str(notebook), str(partial), parameters, **settings)
    done.metadata.pop("widgets", None)  # one FigureWidget stores 5 MB of plotly.js
    write_atomic(output, nbformat.writes(done))
    os.unlink(partial)


def _run_one(notebook, folder, parameters, timeout):
    status, error = "complete", ""
    try:
        execute(notebook, folder / "notebook.ipynb", parameters, timeout=timeout)
        if not is_complete(folder):
            status, error = "failed", "the notebook ended without writing a whole result"
    except Exception as problem:  # whatever a notebook can raise, the other runs go on
        status, error = _describe(problem)
    if status != "complete":
        append_ledger(folder.parent, folder.name, status, error=error)
    return Ending(folder, status, error)


def _describe(problem):
    """(status, text) of what papermill or nbclient raised."""
    kind = type(problem).__name__
    if kind == "PapermillExecutionError":
        return "failed", f"cell {problem.exec_count}: {problem.ename}: {problem.evalue}"
    named = {"CellTimeoutError": "timed out", "DeadKernelError": "killed"}
    return named.get(kind, "failed"), f"{kind}: {problem}".splitlines()[0]
