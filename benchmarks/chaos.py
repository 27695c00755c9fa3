"""A sweep whose kernels, runner and Dask workers are killed with SIGKILL again and again, against an undisturbed one.

python benchmarks/chaos.py [--quick] [--seed N] [--json PATH] [--keep FOLDER]: 60 runs of 05_train, three times over.
Promised: no complete run is ever lost, all end complete with the same bytes, every ending is told truly within 5 s,
no kernel outlives its runner or worker by more than 10 s, and a new Dask worker takes its share.
Linux and macOS. With --quick 11 minutes on two cores under a load of 9.
"""

import argparse
import contextlib
import datetime
import json
import os
import platform
import random
import signal
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

from batch import PACKAGES, TRAIN, keep_bytecode
from latency import describe_machine
from stage import Observer, Stage, run_of

from bmix_lite.base.files import read_json, sha256_of
from bmix_lite.runs.ledger import read_ledger
from bmix_lite.runs.reading import read_runs

METHODS = "method=instance,class_balanced,balanced_mixup"
TOLD, GONE, SHARE = (
    5.0,
    10.0,
    0.25,
)  # limits: s, s (as long as a run waits for its lock), of the runs of two workers
SAME = ("predictions.csv", "history.csv", "model.pt")
BAD = (
    "killed",
    "not started",
)  # what a killed kernel may be called, the second only before its first cell
RESTARTS = 40


def sweep(out, seeds, epochs):
    words = [
        sys.executable,
        "-m",
        "bmix_lite",
        "sweep",
        str(TRAIN),
        "--out",
        str(out),
        "--jobs",
        "2",
    ]
    return [*words, "--grid", METHODS, "--grid", f"seed=0:{seeds}", "--grid", f"epochs={epochs}"]


def kill_kernel(stage, observer, runner, rng):
    """Kill one of the runner's kernels and wait for what the ledger says of it; None where there is none to kill."""
    kernels = sorted(stage.kernels_of(runner), key=lambda kernel: kernel.pid)
    if not kernels:
        return None
    kernel, before = rng.choice(kernels), len(read_ledger(observer.out))
    run, running, whole = run_of(kernel), observer.running(), observer.count_notebooks()
    kernel.kill()
    killed = {"what": "kernel", "run": run, "at": time.monotonic()}
    while time.monotonic() < killed["at"] + 2 * TOLD:
        observer.look()
        for line in read_ledger(observer.out)[before:]:
            if line["status"] != "complete":
                known = line["run_id"] == run if run else line["run_id"] in running
                early = "before the first cell" in line["error"] or "did not start" in line["error"]
                right = known and (line["status"] == "killed" if run else line["status"] in BAD)
                right = right and ("exit code -9" in line["error"] or early)
                return killed | {
                    "line": line,
                    "right": right,
                    "seconds": time.monotonic() - killed["at"],
                }
        time.sleep(0.05)
    spared = (
        run is None and observer.count_notebooks() > whole
    )  # it had nothing left to do but to end
    return killed | {"line": None, "right": spared, "seconds": None}


def disturb(stage, out, settings, kills, gap, rng, limit):
    """The sweep in `out` with the kills of kernels and runner, started anew as long as it does not end well."""
    plan = ["kernel"] * kills[0] + ["runner"] * kills[1]
    rng.shuffle(plan)
    observer, codes, done, until = Observer(stage, out), [], [], time.monotonic() + limit
    runner = stage.start(sweep(out, *settings), "disturbed")
    due = time.monotonic() + rng.uniform(0, 2 * gap)
    while time.monotonic() < until:
        observer.look()
        if runner.poll() is not None:
            codes.append(runner.returncode)
            if runner.returncode == 0 or len(codes) > RESTARTS:
                break
            runner = stage.start(sweep(out, *settings), "disturbed")
        if plan and time.monotonic() > due:
            if plan[-1] == "runner":
                runner.kill()
                runner.wait(timeout=30)
                observer.note_orphans(stage.kernels())
                done.append({"what": "runner", "right": True})
                time.sleep(
                    rng.choice([0, 3])
                )  # the next one comes before or after the kernels have noticed
            elif killed := kill_kernel(stage, observer, runner, rng):
                done.append(killed)
            else:
                continue  # no kernel yet
            plan.pop()
            due = time.monotonic() + rng.uniform(0, 2 * gap)
        time.sleep(0.1)
    return observer, {"exit codes": codes, "kills": done, "not made": len(plan)}


def start_worker(stage, address, name, place):
    words = [
        sys.executable,
        "-m",
        "distributed.cli.dask_worker",
        address,
        "--name",
        name,
        "--nthreads",
        "1",
    ]
    words += ["--no-nanny", "--no-dashboard", "--memory-limit", "0", "--host", "127.0.0.1"]
    return stage.start([*words, "--local-directory", str(place / "dask")], name)


def lose_workers(stage, out, settings, kills, gap, rng, limit):
    """The sweep on a Dask cluster of this machine, of whose two workers one is killed and replaced, `kills` times."""
    file, until = stage.place / "scheduler.json", time.monotonic() + limit
    words = [
        sys.executable,
        "-m",
        "distributed.cli.dask_scheduler",
        "--host",
        "127.0.0.1",
        "--port",
        "0",
    ]
    stage.start([*words, "--scheduler-file", str(file), "--no-dashboard", "--no-show"], "scheduler")
    while not file.exists() and time.monotonic() < until:
        time.sleep(0.1)
    address = read_json(file)["address"]
    workers = {
        name: start_worker(stage, address, name, stage.place) for name in ("worker 1", "worker 2")
    }
    observer, codes, done = Observer(stage, out), [], []
    runner = stage.start([*sweep(out, *settings), "--scheduler", address], "on a cluster")
    due = time.monotonic() + gap
    while time.monotonic() < until:
        observer.look(workers)
        if runner.poll() is not None:
            codes.append(runner.returncode)
            if runner.returncode == 0 or len(codes) > 3:
                break
            runner = stage.start([*sweep(out, *settings), "--scheduler", address], "on a cluster")
        if kills and time.monotonic() > due and len(workers) == 2 and observer.count_notebooks():
            name = rng.choice([name for name in workers if name != "worker 1"])
            if not stage.kernels_of(workers[name]):
                continue
            running = [run_of(kernel) for kernel in stage.kernels_of(workers[name])]
            left = stage.kernels_of(workers[name])
            workers[name].kill()
            workers.pop(name).wait(timeout=30)
            observer.note_orphans(left)
            done.append({"what": name, "run": running, "right": True})
            kills -= 1
            time.sleep(rng.uniform(0, 2))
            newest = f"worker {2 + len(done)}"
            workers[newest] = start_worker(stage, address, newest, stage.place)
            due = time.monotonic() + gap * rng.uniform(0.5, 1.5)
        time.sleep(0.1)
    return observer, {"exit codes": codes, "kills": done, "not made": kills} | share_out(
        observer.owners, f"worker {2 + len(done)}"
    )


def share_out(owners, newest):
    """{"runs by worker", "share": of the newest worker among the runs that were seen since its first}."""
    counts, order = {}, list(owners.values())
    for name in order:
        counts[name] = counts.get(name, 0) + 1
    since = order[order.index(newest) :] if newest in order else []
    return {
        "runs by worker": counts,
        "newest": newest,
        "share": since.count(newest) / len(since) if since else 0.0,
    }


def read_table(out):
    """{run id: all that must not differ between two sweeps of the same grid}."""
    table = {}
    for run in read_runs(out):
        hashes = {name: sha256_of(out / run["run_id"] / name) for name in SAME}
        table[run["run_id"]] = run | {"history": run["history"].to_csv(), "hashes": hashes}
    return table


def judge(title, observer, told, table, missed):
    """Print the figures of a disturbed sweep; adds to `missed` what was promised and not kept."""
    observer.look()
    gone, orphans = observer.end_of_orphans(GONE)
    ours = {} if not any(observer.out.glob("*/metrics.json")) else read_table(observer.out)
    differing = [name for name in table if ours.get(name) != table[name]]
    lines = [line["status"] for line in read_ledger(observer.out)]
    kernels = [kill for kill in told["kills"] if kill["what"] == "kernel"]
    untrue = [kill for kill in told["kills"] if not kill["right"]]
    due, seconds = (
        sum(kill["line"] is not None for kill in kernels),
        [kill["seconds"] or 0 for kill in kernels],
    )
    extra = len(lines) - lines.count("complete") - due  # bad endings that nobody brought about
    figures = {
        "kills": len(told["kills"]),
        "of them kernels": len(kernels),
        "kills not made": told["not made"],
    }
    figures |= {
        "complete runs": f"{len(ours)} of {len(table)}",
        "without a notebook": len(ours) - observer.count_notebooks(),
    }
    figures |= {"complete runs lost": len(observer.lost), "runs that differ": len(differing)}
    figures |= {
        "endings told truly": f"{len(kernels) - len(untrue)} of {len(kernels)}",
        "endings too many": extra,
    }
    figures |= {"slowest ending told, s": round(max(seconds, default=0), 1)}
    figures |= {
        "orphans after a kill": observer.orphaned,
        "slowest of them gone, s": round(gone, 1),
    }
    figures |= {"orphans left": len(orphans), "exit codes": told["exit codes"]}
    figures |= {name: told[name] for name in ("runs by worker", "newest", "share") if name in told}
    print(f"\n{title}")
    for name, value in figures.items():
        print(f"  {name:<26} {value}", flush=True)
    rules = {
        "complete runs lost": observer.lost,
        "not the results of the undisturbed sweep": differing,
    }
    rules |= {"runs too many or too few": ours.keys() ^ table.keys(), "untrue endings": untrue}
    rules |= {"endings nobody brought about": extra, "kernels left": orphans}
    rules |= {f"told after more than {TOLD:g} s": max(seconds, default=0) > TOLD}
    rules |= {
        "the last command did not end well": not told["exit codes"] or told["exit codes"][-1] != 0
    }
    rules |= {"fewer than half of the kills": told["not made"] > len(told["kills"])}
    rules |= {f"share of the new worker under {SHARE:g}": told.get("share", 1) < SHARE}
    missed += [f"{title}: {rule}" for rule, broken in rules.items() if broken]
    return figures | {
        "untrue": untrue,
        "kills in order": told["kills"],
        "differing": differing,
        "lost": observer.lost,
    }


def run_chaos(place, quick, seed, missed):
    """All three sweeps; yields (name, figures)."""
    rng, settings = random.Random(seed), (4, 5) if quick else (20, 8)  # seeds a method, epochs
    kills, losses = ((5, 2), 1) if quick else ((24, 6), 3)
    with contextlib.closing(Stage(place)) as stage:
        started = time.monotonic()
        runner = stage.start(sweep(place / "calm", *settings), "calm")
        if runner.wait(timeout=7200):
            raise SystemExit(f"chaos: the undisturbed sweep failed, see {place / 'calm.log'}")
        calm, table = time.monotonic() - started, read_table(place / "calm")
        print(f"undisturbed: {len(table)} runs in {calm:.0f} s", flush=True)
        yield "undisturbed", {"runs": len(table), "seconds": calm}
        limit = 20 * calm + 300
        gap = 0.7 * calm / sum(kills)
        seen = disturb(stage, place / "disturbed", settings, kills, gap, rng, limit)
        yield "disturbed", judge("kernels and runner killed", *seen, table, missed)
        seen = lose_workers(
            stage, place / "cluster", settings, losses, calm / (2 + 2 * losses), rng, limit
        )
        yield "cluster", judge("Dask workers killed", *seen, table, missed)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="12 runs and 8 kills")
    parser.add_argument(
        "--seed", type=int, default=0, help="of the moments of the kills (default: %(default)s)"
    )
    parser.add_argument("--keep", type=Path, help="an empty folder in which runs and logs stay")
    parser.add_argument("--json", type=Path, help="where all figures go")
    chosen, missed = parser.parse_args(), []
    signal.signal(
        signal.SIGTERM, lambda *_: sys.exit(143)
    )  # so that what was started and written is cleared away
    report = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": describe_machine(),
    }
    report |= {"python": platform.python_version(), "seed": chosen.seed}
    report |= {"versions": {name: version(name) for name in (*PACKAGES, "distributed")}}
    with tempfile.TemporaryDirectory() as place:
        keep_bytecode(Path(place))
        folder = chosen.keep.resolve() if chosen.keep else Path(place)
        report |= run_chaos(folder, chosen.quick, chosen.seed, missed)
    report["load at the end"] = os.getloadavg()
    print(
        f"\nload: {report['machine']['load']:.1f} at the start, {os.getloadavg()[0]:.1f} at the end"
    )
    if chosen.json:
        chosen.json.write_text(
            json.dumps(report | {"missed": missed}, indent=1, default=str) + "\n", encoding="utf-8"
        )
    print("MISSED " + "; ".join(missed) if missed else "all promises kept")
    return bool(missed)


if __name__ == "__main__":
    sys.exit(main())
