"""What benchmarks/chaos.py promises of a disturbed sweep, and what was kept of it."""

from collections import Counter

from bmix_lite.base.files import sha256_of
from bmix_lite.runs.ledger import read_ledger
from bmix_lite.runs.reading import read_runs

TOLD = 5.0  # limit, s: until the ledger tells a killed kernel's ending
GONE = 10.0  # limit, s: until an orphaned kernel is gone; as long as a run waits for its lock
SHARE = 0.25  # limit: of the runs of two workers, that of a new one
SAME = ("predictions.csv", "history.csv", "model.pt")


def read_table(out):
    """{run id: all that must not differ between two sweeps of the same grid}."""
    table = {}
    for run in read_runs(out):
        hashes = {name: sha256_of(out / run["run_id"] / name) for name in SAME}
        del run["folder"]
        table[run["run_id"]] = run | {"history": run["history"].to_csv(), "hashes": hashes}
    return table


def share_out(owners, newest):
    """How many runs each worker began, and the newest worker's share of those since its first."""
    order = list(owners.values())
    since = order[order.index(newest) :] if newest in order else []
    share = since.count(newest) / len(since) if since else 0.0
    return {"runs by worker": dict(Counter(order)), "newest": newest, "share": share}


def judge(title, observer, outcome, table):
    """(figures, broken promises) of a disturbed sweep; prints the figures.

    outcome: what `disturb` or `lose_workers` gives; table: `read_table` of the undisturbed sweep
    """
    observer.look()
    slowest_gone, orphans = observer.end_of_orphans(GONE)
    runs = read_table(observer.out) if any(observer.out.glob("*/metrics.json")) else {}
    differing = [run_id for run_id in table if runs.get(run_id) != table[run_id]]
    told = _judge_endings(outcome["kills"], read_ledger(observer.out))
    figures = {
        "kills": len(outcome["kills"]),
        "of them kernels": told["kernels"],
        "kills not made": outcome["not made"],
        "complete runs": f"{len(runs)} of {len(table)}",
        "without a notebook": len(runs) - observer.count_notebooks(),
        "complete runs lost": len(observer.lost),
        "runs that differ": len(differing),
        "endings told truly": f"{told['kernels'] - len(told['untrue'])} of {told['kernels']}",
        "endings too many": told["extra"],
        "slowest ending told, s": round(told["slowest"], 1),
        "orphans after a kill": observer.orphaned,
        "slowest of them gone, s": round(slowest_gone, 1),
        "orphans left": len(orphans),
        "exit codes": outcome["exit codes"],
    }
    for name in ("runs by worker", "newest", "share"):
        if name in outcome:
            figures[name] = outcome[name]
    _show(title, figures)
    details = {"untrue": told["untrue"], "kills in order": outcome["kills"]}
    details |= {"differing": differing, "lost": observer.lost}
    broken = {
        "complete runs lost": observer.lost,
        "not the results of the undisturbed sweep": differing,
        "runs too many or too few": runs.keys() ^ table.keys(),
        "kernels left": orphans,
    }
    broken |= _list_broken(outcome, told)
    return figures | details, [f"{title}: {rule}" for rule in broken if broken[rule]]


def _judge_endings(kills, ledger):
    """How the ledger tells of killed kernels: their number, "untrue", "extra", "slowest"."""
    kernel_kills = [kill for kill in kills if kill["what"] == "kernel"]
    expected = sum(kill["line"] is not None for kill in kernel_kills)
    bad_endings = sum(line["status"] != "complete" for line in ledger)
    return {
        "kernels": len(kernel_kills),
        "untrue": [kill for kill in kills if not kill["right"]],
        "extra": bad_endings - expected,  # that nobody brought about
        "slowest": max((kill["seconds"] or 0 for kill in kernel_kills), default=0),
    }


def _list_broken(outcome, told):
    """{promise: true where it is broken} of endings, exit codes, kills and shares."""
    return {
        "untrue endings": told["untrue"],
        "endings nobody brought about": told["extra"],
        f"told after more than {TOLD:g} s": told["slowest"] > TOLD,
        "the last command did not end well": outcome["exit codes"][-1:] != [0],
        "fewer than half of the kills": outcome["not made"] > len(outcome["kills"]),
        f"share of the new worker under {SHARE:g}": outcome.get("share", 1) < SHARE,
    }


def _show(title, figures):
    print(f"\n{title}")
    for name, value in figures.items():
        print(f"  {name:<26} {value}", flush=True)
