"""The command line: python -m bmix_lite COMMAND."""

import argparse
import signal
import sys
from pathlib import Path

from bmix_lite.base.endings import take_debug, tell_ending
from bmix_lite.base.errors import BmixError

EPILOG = "COMMAND --help tells its options, --debug shows where an error arose. The lessons are in notebooks/, README.md says where to begin."


def main(arguments=None):
    """Run one command; returns the exit status, 2 with the error in words for what the user can mend."""
    about = {
        "description": "Understand and use Balanced-MixUp on imbalanced images.",
        "formatter_class": _Contents,
    }
    parser = argparse.ArgumentParser(prog="python -m bmix_lite", **about, epilog=EPILOG)
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="COMMAND", title="commands"
    )
    demo = commands.add_parser(
        "demo", help="try it: five methods with five seeds on real digits, compared in a page"
    )
    demo.add_argument(
        "--out", default="build/demo", help="where runs, table and report go (default: %(default)s)"
    )
    demo.add_argument(
        "--notebooks", default="notebooks", help="folder of the notebooks (default: %(default)s)"
    )
    demo.add_argument(
        "--dataset",
        default="digits_lt",
        help="built-in name or prepared folder (default: %(default)s)",
    )
    demo.add_argument(
        "--seeds", type=int, default=5, help="runs of each method (default: %(default)s)"
    )
    demo.add_argument("--jobs", type=int, default=2, help="runs at a time (default: %(default)s)")
    sweep = commands.add_parser(
        "sweep", help="run a notebook for each point of a grid, here or on a Dask cluster"
    )
    sweep.add_argument("notebook")
    sweep.add_argument(
        "--grid",
        action="append",
        default=[],
        metavar="NAME=VALUES",
        help="alpha=0.1,0.2 or seed=0:5",
    )
    sweep.add_argument("--grid-file", help="YAML with any of the blocks fixed, runs, zip, product")
    sweep.add_argument(
        "--with", dest="own", metavar="FILE", help="Python file that adds methods of your own"
    )
    sweep.add_argument("--out", required=True, help="folder of the runs, their ledger and tables")
    sweep.add_argument("--jobs", type=int, default=2, help="runs at a time (default: %(default)s)")
    sweep.add_argument(
        "--devices", default="", help="GPU numbers such as 0,1: one run at a time on each"
    )
    sweep.add_argument(
        "--scheduler", help="address of a running Dask scheduler, such as tcp://node1:8786"
    )
    sweep.add_argument("--timeout", type=float, help="seconds a try of a run may take")
    sweep.add_argument(
        "--retries",
        type=int,
        default=1,
        help="tries after a kill or timeout (default: %(default)s)",
    )
    sweep.add_argument(
        "--dry-run", action="store_true", help="check the grid and print the plan, start nothing"
    )
    report = commands.add_parser("report", help="what a folder of runs holds: one page, one table")
    report.add_argument("runs")
    report.add_argument(
        "--metric", default="balanced_accuracy", help="to compare by (default: %(default)s)"
    )
    report.add_argument(
        "--tuned", action="store_true", help="of each method only its best setting on validation"
    )
    html = commands.add_parser(
        "html", help="read without Python: one notebook as a page whose sliders work"
    )
    html.add_argument("notebook")
    html.add_argument(
        "--as-is", action="store_true", help="do not run it: explorers show their first figure"
    )
    html.add_argument("--out", help="the page (default: the notebook's name with .html)")
    site = commands.add_parser(
        "site", help="read without Python: all lessons as a site whose sliders work"
    )
    site.add_argument(
        "--notebooks", default="notebooks", help="their folder (default: %(default)s)"
    )
    site.add_argument("--out", default="build/site", help="default: %(default)s")
    student = commands.add_parser(
        "student", help="teach: the exercises without their solutions, to hand out"
    )
    student.add_argument(
        "--notebook",
        default="notebooks/11_exercises.ipynb",
        help="with them (default: %(default)s)",
    )
    student.add_argument("--out", default="build/student", help="the folder (default: %(default)s)")
    refresh = commands.add_parser(
        "refresh", help="carry on: execute notebooks in place and clean them for git"
    )
    refresh.add_argument("notebooks", nargs="+")
    keep = commands.add_parser(
        "keep", help="carry on: copy complete runs without their weights and notebooks"
    )
    keep.add_argument("runs")
    keep.add_argument("target", help="replaced if it exists")
    keep.add_argument(
        "--table", help="a results.csv: keep only its runs, not older ones beside them"
    )
    playground = commands.add_parser(
        "playground", help="carry on: train the stored networks of lesson 4 (some minutes)"
    )
    playground.add_argument(
        "--out", default="notebooks/playground.npz", help="the file (default: %(default)s)"
    )
    playground.add_argument(
        "--jobs", type=int, default=2, help="trainings at a time (default: %(default)s)"
    )
    arguments, debug = take_debug(arguments)
    chosen = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, _end)
    try:
        return COMMANDS[chosen.command](chosen)
    except BaseException as error:
        return tell_ending(error, chosen.command, debug)


class _Contents(argparse.HelpFormatter):
    """A table of contents: one line a command."""

    def __init__(self, prog):
        super().__init__(prog, max_help_position=18, width=100)


def _demo(chosen):
    from bmix_lite.pages.demo import run_demo

    summary = run_demo(
        chosen.notebooks, chosen.out, seeds=chosen.seeds, jobs=chosen.jobs, dataset=chosen.dataset
    )
    print("balanced accuracy on test: mean and 95 % interval over runs, then every run")
    print(summary.to_string(float_format="%.3f"))
    print(f"table:  {chosen.out}/results.csv\nreport: {chosen.out}/report.html")
    return 0


def _sweep(chosen):
    from bmix_lite.sweeps.grids import cross_grids, read_assignments, read_grid_file
    from bmix_lite.sweeps.parameters import read_parameters
    from bmix_lite.sweeps.sweep import describe_endings, plan_runs, run_plan

    defaults, _ = read_parameters(chosen.notebook)
    grid = read_assignments(chosen.grid, defaults)
    if chosen.grid_file:
        grid = cross_grids(read_grid_file(chosen.grid_file, defaults), grid)
    devices = tuple(part.strip() for part in chosen.devices.split(",") if part.strip())
    plan = plan_runs(chosen.notebook, grid, chosen.out, own=chosen.own)
    print(plan.describe(len(devices) or chosen.jobs))
    if chosen.dry_run:
        return 0
    settings = {"jobs": chosen.jobs, "devices": devices, "scheduler": chosen.scheduler}
    settings |= {"timeout": chosen.timeout, "retries": chosen.retries}
    endings = run_plan(plan, **settings)
    print(describe_endings(endings))
    status = 0 if all(ending.good for ending in endings) else 1
    if any(ending.good for ending in endings):
        try:
            _write_report(chosen.out)
        except (BmixError, OSError) as error:
            print(f"the runs are kept, their report could not be written: {error}", file=sys.stderr)
            status = 1
    return status


def _report(chosen):
    _write_report(chosen.runs, metric=chosen.metric, tuned=chosen.tuned)
    return 0


def _write_report(folder, **options):
    from bmix_lite.pages.sweep_report import write_report

    print(*write_report(folder, **options), sep="\n")


def _end(*_):
    """SIGTERM ends a command as Ctrl-C does, and a second one at once."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    raise KeyboardInterrupt


def _html(chosen):
    from bmix_lite.pages.export import export_html

    page = chosen.out or Path(chosen.notebook).with_suffix(".html")
    print(export_html(chosen.notebook, page, run=not chosen.as_is))
    return 0


def _site(chosen):
    from bmix_lite.pages.site import make_site

    print(make_site(chosen.notebooks, chosen.out))
    return 0


def _keep(chosen):
    from bmix_lite.runs.reading import copy_results

    if chosen.table:
        import pandas as pd

        table = pd.read_csv(chosen.table)["run_id"].tolist()
    else:
        table = None
    print(f"{len(copy_results(chosen.runs, chosen.target, table))} runs kept in {chosen.target}")
    return 0


def _refresh(chosen):
    from bmix_lite.pages.refresh import refresh

    for notebook in chosen.notebooks:
        print(f"{notebook}: {'changed' if refresh(notebook) else 'unchanged'}")
    return 0


def _student(chosen):
    from bmix_lite.course.exercises.student import write_student

    print(write_student(chosen.notebook, chosen.out))
    return 0


def _playground(chosen):
    from bmix_lite.course.boundary.regions import make_playground

    make_playground(chosen.out, jobs=chosen.jobs)
    print(chosen.out)
    return 0


COMMANDS = {
    "demo": _demo,
    "sweep": _sweep,
    "report": _report,
    "html": _html,
    "site": _site,
    "refresh": _refresh,
    "student": _student,
    "keep": _keep,
    "playground": _playground,
}

if __name__ == "__main__":
    sys.exit(main())
