"""The commands `sweep` and `report`."""

import sys

from bmix_lite.base.cluster import ADDRESS
from bmix_lite.base.errors import BmixError
from bmix_lite.base.options import add_option


def add_sweep(sweep):
    sweep.add_argument("notebook")
    about = "alpha=0.1,0.2 or split=0:10"
    sweep.add_argument("--grid", action="append", default=[], metavar="NAME=VALUES", help=about)
    sweep.add_argument("--grid-file", help="YAML with any of the blocks fixed, runs, zip, product")
    about = "Python file that adds methods of your own"
    sweep.add_argument("--with", dest="own", metavar="FILE", help=about)
    sweep.add_argument("--out", required=True, help="folder of the runs, their ledger and tables")
    add_option(sweep, "--jobs", 2, "runs at a time")
    about = "GPU numbers such as 0,1: one run at a time on each"
    sweep.add_argument("--devices", default="", help=about)
    sweep.add_argument("--scheduler", help=ADDRESS)
    sweep.add_argument("--timeout", type=float, help="seconds per try of a run")
    add_option(sweep, "--retries", 1, "further tries after a kill or timeout")
    about = "start each kernel anew, not as a copy of a process that has imported all"
    sweep.add_argument("--no-fork", dest="fork", action="store_false", help=about)
    about = "check the grid and print the plan, start nothing"
    sweep.add_argument("--dry-run", action="store_true", help=about)


def run_sweep(options):
    """Run a notebook for each point of a grid, here or on a Dask cluster."""
    from bmix_lite.sweeps.sweep import describe_endings, plan_runs, run_plan

    devices = tuple(part.strip() for part in options.devices.split(",") if part.strip())
    plan = plan_runs(options.notebook, _read_grid(options), options.out, own=options.own)
    print(plan.describe(len(devices) or options.jobs))
    if options.dry_run:
        return 0
    where = {"jobs": options.jobs, "devices": devices, "scheduler": options.scheduler}
    where["fork"] = options.fork
    endings = run_plan(plan, timeout=options.timeout, retries=options.retries, **where)
    print(describe_endings(endings))
    good = [ending.good for ending in endings]
    reported = not any(good) or _try_report(options.out)
    return 0 if all(good) and reported else 1


def _read_grid(options):
    """The grid of the arguments, crossed with that of the file."""
    from bmix_lite.sweeps.grids import cross_grids, read_assignments, read_grid_file
    from bmix_lite.sweeps.parameters import read_parameters

    defaults, _ = read_parameters(options.notebook)
    grid = read_assignments(options.grid, defaults)
    if not options.grid_file:
        return grid
    return cross_grids(read_grid_file(options.grid_file, defaults), grid)


def _try_report(folder):
    """Write the report; False, with the reason on stderr, if that fails."""
    try:
        _write_report(folder)
    except (BmixError, OSError) as error:
        print(f"the runs are kept, their report could not be written: {error}", file=sys.stderr)
        return False
    return True


def add_report(report):
    report.add_argument("runs")
    add_option(report, "--metric", "balanced_accuracy", "to compare by")
    about = "only each method's best setting on validation"
    report.add_argument("--tuned", action="store_true", help=about)


def run_report(options):
    """What a folder of runs holds: one page, one table."""
    _write_report(options.runs, metric=options.metric, tuned=options.tuned)


def _write_report(folder, **options):
    from bmix_lite.pages.sweep_report import write_report

    print(*write_report(folder, **options), sep="\n")
