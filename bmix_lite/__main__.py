"""The command line: python -m bmix_lite COMMAND."""

import argparse
import sys
from pathlib import Path

from bmix_lite.errors import BmixError


def main(arguments=None):
    """Run one command; returns the exit status, 2 with the error in words for what the user can mend."""
    parser = argparse.ArgumentParser(prog="python -m bmix_lite", description="Understand and use Balanced-MixUp.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    demo = commands.add_parser("demo", help="train five methods with five seeds on real digits, compare, report")
    demo.add_argument("--out", default="build/demo", help="where runs, table and report go (default: %(default)s)")
    demo.add_argument("--notebooks", default="notebooks", help="folder of the notebooks (default: %(default)s)")
    demo.add_argument("--dataset", default="digits_lt", help="built-in name or prepared folder (default: %(default)s)")
    demo.add_argument("--seeds", type=int, default=5, help="runs of each method (default: %(default)s)")
    demo.add_argument("--jobs", type=int, default=2, help="runs at a time (default: %(default)s)")
    html = commands.add_parser("html", help="run a notebook and make one page of it whose sliders work offline")
    html.add_argument("notebook")
    html.add_argument("--as-is", action="store_true", help="do not run it: explorers show their first figure")
    html.add_argument("--out", help="the page (default: the notebook's name with .html)")
    refresh = commands.add_parser("refresh", help="execute notebooks in place and clean them for git")
    refresh.add_argument("notebooks", nargs="+")
    keep = commands.add_parser("keep", help="copy the complete runs of a folder without weights and notebooks")
    keep.add_argument("runs")
    keep.add_argument("target", help="replaced if it exists")
    keep.add_argument("--table", help="a results.csv: keep only its runs, not older ones beside them")
    playground = commands.add_parser("playground", help="train the stored networks of lesson 4 (some minutes)")
    playground.add_argument("--out", default="notebooks/playground.npz", help="the file (default: %(default)s)")
    playground.add_argument("--jobs", type=int, default=2, help="trainings at a time (default: %(default)s)")
    chosen = parser.parse_args(arguments)
    try:
        return COMMANDS[chosen.command](chosen)
    except BmixError as error:
        print(f"bmix_lite {chosen.command}: {error}", file=sys.stderr)
        return 2


def _demo(chosen):
    from bmix_lite.demo import run_demo

    summary = run_demo(chosen.notebooks, chosen.out, seeds=chosen.seeds, jobs=chosen.jobs, dataset=chosen.dataset)
    print("balanced accuracy on test: mean and 95 % interval over runs, then every run")
    print(summary.to_string(float_format="%.3f"))
    print(f"table:  {chosen.out}/results.csv\nreport: {chosen.out}/report.html")
    return 0


def _html(chosen):
    from bmix_lite.export import export_html

    page = chosen.out or Path(chosen.notebook).with_suffix(".html")
    print(export_html(chosen.notebook, page, run=not chosen.as_is))
    return 0


def _keep(chosen):
    from bmix_lite.runs import copy_results

    if chosen.table:
        import pandas as pd

        table = pd.read_csv(chosen.table)["run_id"].tolist()
    else:
        table = None
    print(f"{len(copy_results(chosen.runs, chosen.target, table))} runs kept in {chosen.target}")
    return 0


def _refresh(chosen):
    from bmix_lite.refresh import refresh

    for notebook in chosen.notebooks:
        print(f"{notebook}: {'changed' if refresh(notebook) else 'unchanged'}")
    return 0


def _playground(chosen):
    from bmix_lite.boundary import make_playground

    make_playground(chosen.out, jobs=chosen.jobs)
    print(chosen.out)
    return 0


COMMANDS = {"demo": _demo, "html": _html, "refresh": _refresh, "keep": _keep, "playground": _playground}

if __name__ == "__main__":
    sys.exit(main())
