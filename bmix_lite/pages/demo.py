"""The demo: methods × splits × seeds on real images, a table and an offline report."""

from pathlib import Path

from bmix_lite.base.errors import BmixError, require_integer
from bmix_lite.base.files import write_atomic
from bmix_lite.comparison.tables import summarise, tabulate
from bmix_lite.pages.export import export_html
from bmix_lite.runs.reading import read_runs
from bmix_lite.sweeps.grids import expand_grid
from bmix_lite.sweeps.kernels import execute
from bmix_lite.sweeps.sweep import describe_endings, run_grid
from bmix_lite.widgets.explore import precomputing

# what is compared: the paper's two baselines of sampling, its MixUp, and the method at two alphas
ROWS = (
    {"method": "instance"},
    {"method": "class_balanced"},
    {"method": "mixup", "alpha": 0.2},
    {"method": "balanced_mixup", "alpha": 0.1},
    {"method": "balanced_mixup", "alpha": 0.2},
)


def run_demo(notebooks, out, *, splits=1, seeds=5, jobs=2, progress=True, **fields):
    """Train every row of ROWS on every split with every seed, compare; returns one row per method.

    notebooks: the folder with 05_train and 06_compare; out: the folder that gets runs/,
    results.csv, 06_compare.ipynb and report.html; fields: further `Recipe` fields for all runs.
    Finished runs are reused. Raises BmixError if any run failed.
    """
    splits = require_integer("splits", splits, 1, 1000)
    seeds = require_integer("seeds", seeds, 1, 1000)
    notebooks = Path(notebooks)
    out = Path(out)
    repeats = expand_grid(split=range(splits), seed=range(seeds))
    grid = [row | fields | repeat for repeat in repeats for row in ROWS]
    endings = run_grid(
        notebooks / "05_train.ipynb", grid, out / "runs", jobs=jobs, progress=progress
    )
    if not all(ending.good for ending in endings):
        raise BmixError(f"not every run is complete: {describe_endings(endings)}")
    run_ids = sorted({ending.folder.name for ending in endings})
    runs = read_runs(out / "runs", run_ids)
    table = tabulate(runs, out / "runs")
    write_atomic(out / "results.csv", table.to_csv(index=False))
    parameters = {"runs": str((out / "runs").resolve()), "chosen": run_ids}
    with precomputing():
        execute(notebooks / "06_compare.ipynb", out / "06_compare.ipynb", parameters)
    export_html(out / "06_compare.ipynb", out / "report.html", title="bmix-lite: comparison")
    return summarise(runs)
