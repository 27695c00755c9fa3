"""The authors' own logs of 2021 as two tidy tables, runs.csv and epochs.csv: what was published, beside what you get.

Facts only: none of the authors' code or text is kept.
"""

import json
import re
import sys
from pathlib import Path

import pandas as pd

from bmix_lite.errors import require
from bmix_lite.files import write_atomic
from bmix_lite.sources import File, Source, bring_files, explain, make_parser

COMMIT = "20ac59263b436cd3102ac53ebcb774243442b76e"
SOURCE = Source(
    name="published_runs",
    title="Training logs that the authors of Balanced-MixUp published",
    page="https://github.com/agaldran/balanced_mixup",
    licence="none stated: figures are facts, the rest stays where it is",
    citation="Galdran, Carneiro and González Ballester, MICCAI 2021",
    disk="2 MB download, 4 MB unpacked",
    counts={},
    files=(File(f"https://github.com/agaldran/balanced_mixup/archive/{COMMIT}.zip", "logs.zip"),),
)
CONFIG = ["csv_train", "sampling", "model_name", "loss_fn", "do_mixup", "batch_size", "lr", "n_epochs", "n_classes"]
BEST = re.compile(r"^Best (\w+) = ([\d.]+)", re.M)
NUMBER = r"(-?[\d.]+|nan)"
EPOCH = re.compile(rf"^Epoch = (\d+) -> K={NUMBER}/{NUMBER}, mAUC={NUMBER}/{NUMBER}, MCC={NUMBER}/{NUMBER}", re.M)
TIME = re.compile(r"Training time: (\d+)h (\d+)min ([\d.]+)secs")


def read_run(folder):
    """(run, epochs) of one folder with config.cfg and val_metrics.txt; metrics in per cent, as logged."""
    log = (folder / "val_metrics.txt").read_text()
    config = json.loads((folder / "config.cfg").read_text()) if (folder / "config.cfg").exists() else {}
    run = {name: config.get(name) for name in CONFIG}
    run |= {f"best_{name.removeprefix('best_')}": float(value) for name, value in BEST.findall(log)}
    epochs = []
    for epoch, *values in EPOCH.findall(log):
        for side, split in enumerate(("train", "val")):
            row = dict(zip(("K", "mAUC", "MCC"), map(float, values[side::2]), strict=True))
            epochs.append({"epoch": int(epoch), "split": split} | row)
    time = TIME.search(log)
    run["seconds"] = int(time[1]) * 3600 + int(time[2]) * 60 + float(time[3]) if time else None
    return run | {"epochs_run": len(epochs) // 2}, epochs


def main(arguments=None):
    chosen = make_parser(__doc__, f"data/{SOURCE.name}").parse_args(arguments)

    def work():
        root = bring_files(SOURCE, chosen)
        folders = sorted(path.parent for path in root.rglob("val_metrics.txt"))
        require(folders, f"{root}: no val_metrics.txt in it or below")
        names = [folder.relative_to(root).as_posix() for folder in folders]
        found = [read_run(folder) for folder in folders]
        runs = pd.DataFrame([{"run": name} | run for name, (run, _) in zip(names, found, strict=True)])
        rows = [{"run": name} | row for name, (_, epochs) in zip(names, found, strict=True) for row in epochs]
        write_atomic(Path(chosen.out) / "runs.csv", runs.to_csv(index=False))
        write_atomic(Path(chosen.out) / "epochs.csv", pd.DataFrame(rows).to_csv(index=False))
        print(f"{len(runs)} runs and {len(rows) // 2} epochs in {chosen.out}")

    return explain(SOURCE, work)


if __name__ == "__main__":
    sys.exit(main())
