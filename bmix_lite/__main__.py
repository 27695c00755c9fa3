"""The command line: python -m bmix_lite COMMAND."""

import argparse
import signal
import sys
from functools import partial
from pathlib import Path

from bmix_lite.base.endings import take_debug, tell_ending
from bmix_lite.base.options import add_option
from bmix_lite.pages.sweep_command import add_report, add_sweep, run_report, run_sweep
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


def _add_demo(demo):
    add_option(demo, "--out", "build/demo", "folder of runs, table and report")
    add_option(demo, "--notebooks", "notebooks", "folder of the notebooks")
    add_option(demo, "--dataset", "digits_lt", "built-in name or prepared folder")
    add_option(demo, "--splits", 1, "splits of the images")
    add_option(demo, "--seeds", 5, "seeds per split")
    add_option(demo, "--jobs", 2, "runs at a time")


def _demo(options):
    """Try it: five methods with five seeds on real digits, compared in a page."""
    from bmix_lite.pages.demo import run_demo

    names = ("splits", "seeds", "jobs", "dataset")
    given = {name: getattr(options, name) for name in names}
    summary = run_demo(options.notebooks, options.out, **given)
    print("balanced accuracy on test: mean and 95 % interval over runs, then every run")
    print(summary.to_string(float_format="%.3f"))
    print(f"table:  {options.out}/results.csv\nreport: {options.out}/report.html")


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
    add_option(site, "--notebooks", "notebooks", "folder of the lessons")
    add_option(site, "--out", "build/site", "folder of the site")


def _site(options):
    """Read without Python: all lessons as a site whose sliders work."""
    from bmix_lite.pages.site import make_site

    print(make_site(options.notebooks, options.out))


def _add_student(student):
    add_option(student, "--notebook", "notebooks/11_exercises.ipynb", "exercises with solutions")
    add_option(student, "--out", "build/student", "folder of the version to hand out")


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
    add_option(playground, "--out", "notebooks/playground.npz", "the file")
    add_option(playground, "--jobs", 2, "trainings at a time")


def _playground(options):
    """Carry on: train the stored networks of lesson 4 (some minutes)."""
    from bmix_lite.course.boundary.playground import make_playground

    make_playground(options.out, jobs=options.jobs)
    print(options.out)


COMMANDS = {  # what runs a command (its docstring is the help), and what adds its arguments
    "demo": (_demo, _add_demo),
    "embed": (run_embed, add_embed),
    "sweep": (run_sweep, add_sweep),
    "report": (run_report, add_report),
    "html": (_html, _add_html),
    "site": (_site, _add_site),
    "student": (_student, _add_student),
    "refresh": (_refresh, _add_refresh),
    "keep": (_keep, _add_keep),
    "playground": (_playground, _add_playground),
}

if __name__ == "__main__":
    sys.exit(main())
