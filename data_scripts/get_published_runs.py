"""The authors' own logs of 2021 as two tidy tables, runs.csv and epochs.csv: what was published, beside what you get.

Facts only: none of the authors' code or text is kept.
"""

import json
import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from bmix_lite.base.errors import require
from bmix_lite.base.files import write_atomic
from bmix_lite.course.published import COLUMNS, METRICS, MONITORS
from common.sources import File, Source, bring_files, explain, make_parser

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
CONFIG = [
    "csv_train",
    "sampling",
    "model_name",
    "loss_fn",
    "do_mixup",
    "batch_size",
    "lr",
    "n_epochs",
    "n_classes",
]
DATASETS = {"endo": "hyper_kvasir", "eyepacs": "eyepacs"}  # as their folders call them
METHODS = {"instance": "instance", "class": "class_balanced", "sqrt": "square_root"}
METHODS |= {"cbloss": "class_balanced_loss", "flloss": "focal"}
BEST_EPOCH = re.compile(r"^Best epoch = (\d+)", re.M)
NUMBER = r"(-?[\d.]+|nan)"
EPOCH = re.compile(
    rf"^Epoch = (\d+) -> K={NUMBER}/{NUMBER}, mAUC={NUMBER}/{NUMBER}, MCC={NUMBER}/{NUMBER}", re.M
)
# of training, then of validation, which ends with the learning rate; a file may hold the two more than once
BLOCK = re.compile(
    rf"K={NUMBER} - (?:BACC={NUMBER} - )?MCC={NUMBER} ?- F1={NUMBER} - AUC=\S+ - Loss=\S+( - LR=[\d.]+)?"
)
MATRIX_ROW = re.compile(r"^\s+DR\d((?: +\d+)+) *$", re.M)
TIME = re.compile(r"Training time: (\d+)h (\d+)min ([\d.]+)secs")


def read_run(folder):
    """(run, epochs) of one folder with config.cfg, val_metrics.txt, performance_epoch_*.txt; metrics in per cent.

    run: the columns of `bmix_lite.course.published`, then those of the configuration. Raises BmixError naming the folder.
    """
    log = (folder / "val_metrics.txt").read_text()
    config = (
        json.loads((folder / "config.cfg").read_text()) if (folder / "config.cfg").exists() else {}
    )
    run, epochs = name_run(folder) | {"alpha": config.get("do_mixup") or 0.0}, []
    for epoch, *values in EPOCH.findall(log):
        path = folder / f"performance_epoch_{int(epoch):02d}.txt"
        for side, split in enumerate(("train", "val")):
            row = dict(zip(("kappa", "mauc", "mcc"), map(float, values[side::2]), strict=True))
            details = read_details(path, split, (row["kappa"], row["mcc"]))
            epochs.append({"epoch": int(epoch), "split": split} | row | details)
    best = BEST_EPOCH.search(log)
    val = {row["epoch"]: row for row in epochs if row["split"] == "val"}
    require(
        best and int(best[1]) in val,
        f"{folder}: val_metrics.txt does not say which epoch was best, or lacks it",
    )
    run |= {"best_epoch": int(best[1])} | {
        name: val[int(best[1])][name] for name in (*METRICS, "val_images")
    }
    time = TIME.search(log)
    run["seconds"] = int(time[1]) * 3600 + int(time[2]) * 60 + float(time[3]) if time else None
    run |= summarise(epochs, MONITORS[run["dataset"]])
    return run | {f"config_{name}": config.get(name) for name in CONFIG}, epochs


def name_run(folder):
    """dataset, network, method and fold, which only the path tells: .../endo/F1/class/mobilenet, .../eyepacs/..."""
    *_, above, fold, method, network = folder.parts
    dataset, fold = (above, int(fold[1:])) if re.fullmatch(r"F\d", fold) else (fold, 0)
    if method.startswith("mxp"):
        method = "mixup" if method.endswith("_baseline") else "balanced_mixup"
    known = dataset in DATASETS and (method in METHODS or method.endswith("mixup"))
    require(known, f"{folder}: expected dataset/fold/method/network, as endo/F1/class/mobilenet")
    network = "mobilenet_v2" if network == "mobilenet" else "bit_m_r50x1"
    return {
        "dataset": DATASETS[dataset],
        "network": network,
        "method": METHODS.get(method, method),
        "fold": fold,
    }


def read_details(path, split, scores):
    """f1, bacc, lr and val_images of a split in one epoch, from the block with these scores; NaN what is not there.

    scores: (kappa, mcc) as in val_metrics.txt. Where bacc was not logged it is counted in the confusion matrix.
    """
    text, found = (
        path.read_text() if path.exists() else "",
        dict.fromkeys(("f1", "bacc", "lr", "val_images"), np.nan),
    )
    for block in BLOCK.finditer(text):
        kappa, bacc, mcc, f1, lr = block.groups()
        if (split == "val") == bool(lr) and (float(kappa), float(mcc)) == scores:
            found |= {
                "f1": float(f1),
                "bacc": float(bacc or "nan"),
                "lr": float(lr.split("=")[1]) if lr else np.nan,
            }
            counts = np.array(
                [line.split() for line in MATRIX_ROW.findall(text, block.end())[:5]], dtype=float
            )
            if lr and len(counts):
                recalls = 100 * np.diag(counts) / counts.sum(axis=1)
                found |= {"bacc": float(recalls.mean().round(2)), "val_images": int(counts.sum())}
    return found


def summarise(epochs, monitor):
    """What the course of a run tells: epochs, decays, final_lr, asked, last and median, see `bmix_lite.course.published`."""
    train, val = ([row for row in epochs if row["split"] == split] for split in ("train", "val"))
    scores, rates = (np.array([row[name] for row in val], dtype=float) for name in (monitor, "lr"))
    rates = rates[~np.isnan(rates)]
    found = {"epochs": len(val), "decays": int(np.sum(np.diff(rates) < 0))}
    found["final_lr"] = float(rates[-1]) if len(rates) else np.nan
    found["asked"] = int(np.sum(np.array([row[monitor] for row in train]) > scores))
    return found | {"last": float(scores[-1]), "median": float(np.median(scores[-5:]).round(2))}


def main(arguments=None):
    chosen = make_parser(__doc__, f"data/{SOURCE.name}").parse_args(arguments)

    def work():
        root = bring_files(SOURCE, chosen)
        folders = sorted(path.parent for path in root.rglob("val_metrics.txt"))
        require(folders, f"{root}: no val_metrics.txt in it or below")
        names = [folder.relative_to(root).as_posix() for folder in folders]
        found = [read_run(folder) for folder in folders]
        runs = pd.DataFrame(
            [run | {"run": name} for name, (run, _) in zip(names, found, strict=True)]
        )
        runs = runs[[*COLUMNS, *(name for name in runs if name not in COLUMNS)]]
        rows = [
            {"run": name} | row
            for name, (_, epochs) in zip(names, found, strict=True)
            for row in epochs
        ]
        write_atomic(Path(chosen.out) / "runs.csv", runs.to_csv(index=False))
        write_atomic(Path(chosen.out) / "epochs.csv", pd.DataFrame(rows).to_csv(index=False))
        print(f"{len(runs)} runs and {len(rows) // 2} epochs in {chosen.out}")

    return explain(SOURCE, work)


if __name__ == "__main__":
    sys.exit(main())
