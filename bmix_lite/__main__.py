"""The command line: python -m bmix_lite COMMAND."""

import argparse
import signal
import sys
from functools import partial
from pathlib import Path

from bmix_lite.base.cluster import ADDRESS
from bmix_lite.base.endings import take_debug, tell_ending
from bmix_lite.base.errors import BmixError
from bmix_lite.preparation.command import add_embed, run_embed

EPILOG = "COMMAND --help lists its options, --debug shows where an error arose. Begin: README.md."


def main(arguments=None):
    """Run one command; returns its exit status, 2 for an error that the user can fix."""
    arguments, debug = take_debug(arguments)
    options = _make_parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, _end)
    try:
        return options.run_command(options) or 0
    except BaseException as error:
        return tell_ending(error, options.command, debug)


def _end(*_):
    """SIGTERM ends a command as Ctrl-C does, and a second one at once."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    raise KeyboardInterrupt


def _make_parser():
    parser = argparse.ArgumentParser(
        prog="python -m bmix_lite",
        description="Understand and use Balanced-MixUp on imbalanced images.",
        formatter_class=partial(argparse.HelpFormatter, max_help_position=18, width=100),
        epilog=EPILOG,
    )
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="COMMAND", title="commands"
    )
    for name, (run_command, add_arguments) in COMMANDS.items():
        command = commands.add_parser(name, help=run_command.__doc__)
        command.set_defaults(run_command=run_command)
        add_arguments(command)
    return parser


def _option(command, name, default, about):
    """Add an option of the type of its default, which its help states."""
    about = f"{about} (default: %(default)s)"
    command.add_argument(name, default=default, type=type(default), help=about)


def _add_demo(demo):
    _option(demo, "--out", "build/demo", "folder of runs, table and report")
    _option(demo, "--notebooks", "notebooks", "folder of the notebooks")
    _option(demo, "--dataset", "digits_lt", "built-in name or prepared folder")
    _option(demo, "--splits", 1, "splits of the images")
    _option(demo, "--seeds", 5, "seeds per split")
    _option(demo, "--jobs", 2, "runs at a time")


def _demo(options):
    """Try it: five methods with five seeds on real digits, compared in a page."""
    from bmix_lite.pages.demo import run_demo

    names = ("splits", "seeds", "jobs", "dataset")
    given = {name: getattr(options, name) for name in names}
    summary = run_demo(options.notebooks, options.out, **given)
    print("balanced accuracy on test: mean and 95 % interval over runs, then every run")
    print(summary.to_string(float_format="%.3f"))
    print(f"table:  {options.out}/results.csv\nreport: {options.out}/report.html")


def _add_sweep(sweep):
    sweep.add_argument("notebook")
    about = "alpha=0.1,0.2 or split=0:10"
    sweep.add_argument("--grid", action="append", default=[], metavar="NAME=VALUES", help=about)
    sweep.add_argument("--grid-file", help="YAML with any of the blocks fixed, runs, zip, product")
    about = "Python file that adds methods of your own"
    sweep.add_argument("--with", dest="own", metavar="FILE", help=about)
    sweep.add_argument("--out", required=True, help="folder of the runs, their ledger and tables")
    _option(sweep, "--jobs", 2, "runs at a time")
    about = "GPU numbers such as 0,1: one run at a time on each"
    sweep.add_argument("--devices", default="", help=about)
    sweep.add_argument("--scheduler", help=ADDRESS)
    sweep.add_argument("--timeout", type=float, help="seconds per try of a run")
    _option(sweep, "--retries", 1, "further tries after a kill or timeout")
    about = "start each kernel anew, not as a copy of a process that has imported all"
    sweep.add_argument("--no-fork", dest="fork", action="store_false", help=about)
    about = "check the grid and print the plan, start nothing"
    sweep.add_argument("--dry-run", action="store_true", help=about)


def _sweep(options):
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


def _add_report(report):
    report.add_argument("runs")
    _option(report, "--metric", "balanced_accuracy", "to compare by")
    about = "only each method's best setting on validation"
    report.add_argument("--tuned", action="store_true", help=about)


def _report(options):
    """What a folder of runs holds: one page, one table."""
    _write_report(options.runs, metric=options.metric, tuned=options.tuned)


def _write_report(folder, **options):
    from bmix_lite.pages.sweep_report import write_report

    print(*write_report(folder, **options), sep="\n")


def _add_html(html):
    html.add_argument("notebook")
    about = "do not run it: explorers show their first figure"
    html.add_argument("--as-is", action="store_true", help=about)
    html.add_argument("--out", help="the page (default: the notebook's name with .html)")


def _html(options):
    """Read without Python: one notebook as a page whose sliders work."""
    from bmix_lite.pages.export import export_html

    page = options.out or Path(options.notebook).with_suffix(".html")
    print(export_html(options.notebook, page, run=not options.as_is))


def _add_site(site):
    _option(site, "--notebooks", "notebooks", "folder of the lessons")
    _option(site, "--out", "build/site", "folder of the site")


def _site(options):
    """Read without Python: all lessons as a site whose sliders work."""
    from bmix_lite.pages.site import make_site

    print(make_site(options.notebooks, options.out))


def _add_student(student):
    _option(student, "--notebook", "notebooks/11_exercises.ipynb", "exercises with solutions")
    _option(student, "--out", "build/student", "folder of the version to hand out")


def _student(options):
    """Teach: the exercises without their solutions, to hand out."""
    from bmix_lite.course.exercises.student import write_student

    print(write_student(options.notebook, options.out))


def _add_refresh(refresh):
    refresh.add_argument("notebooks", nargs="+")


def _refresh(options):
    """Carry on: execute notebooks in place and clean them for git."""
    from bmix_lite.pages.refresh import refresh

    for notebook in options.notebooks:
        print(notebook, "changed" if refresh(notebook) else "unchanged", sep=": ")


def _add_keep(keep):
    keep.add_argument("runs")
    keep.add_argument("target", help="replaced if it exists")
    about = "a results.csv: keep only its runs, not older ones beside them"
    keep.add_argument("--table", help=about)


def _keep(options):
    """Carry on: copy complete runs without their weights and notebooks."""
    from bmix_lite.runs.reading import copy_results

    run_ids = None
    if options.table:
        import pandas as pd

        run_ids = pd.read_csv(options.table)["run_id"].tolist()
    kept = copy_results(options.runs, options.target, run_ids)
    print(f"{len(kept)} runs kept in {options.target}")


def _add_playground(playground):
    _option(playground, "--out", "notebooks/playground.npz", "the file")
    _option(playground, "--jobs", 2, "trainings at a time")


def _playground(options):
    """Carry on: train the stored networks of lesson 4 (some minutes)."""
    from bmix_lite.course.boundary.playground import make_playground

    make_playground(options.out, jobs=options.jobs)
    print(options.out)


COMMANDS = {  # what runs a command (its docstring is the help), and what adds its arguments
    "demo": (_demo, _add_demo),
    "embed": (run_embed, add_embed),
    "sweep": (_sweep, _add_sweep),
    "report": (_report, _add_report),
    "html": (_html, _add_html),
    "site": (_site, _add_site),
    "student": (_student, _add_student),
    "refresh": (_refresh, _add_refresh),
    "keep": (_keep, _add_keep),
    "playground": (_playground, _add_playground),
}

if __name__ == "__main__":
    sys.exit(main())
