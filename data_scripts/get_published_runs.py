"""The authors' own logs of 2021 as two tidy tables, runs.csv and epochs.csv.

Facts only: none of the authors' code or text is kept.
"""

import json
import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from bmix_lite.base.errors import BmixError, require
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
METHODS = {
    "instance": "instance",
    "class": "class_balanced",
    "sqrt": "square_root",
    "cbloss": "class_balanced_loss",
    "flloss": "focal",
}
BEST_EPOCH = re.compile(r"^Best epoch = (\d+)", re.M)
NUMBER = r"(-?[\d.]+|nan)"
EPOCH = re.compile(
    rf"^Epoch = (\d+) -> K={NUMBER}/{NUMBER}, mAUC={NUMBER}/{NUMBER}, MCC={NUMBER}/{NUMBER}",
    re.M,
)
# of training, then of validation, which ends with the learning rate; a file may repeat both
BLOCK = re.compile(
    rf"K={NUMBER} - (?:BACC={NUMBER} - )?MCC={NUMBER} ?- F1={NUMBER}"
    r" - AUC=\S+ - Loss=\S+( - LR=[\d.]+)?"
)
MATRIX_ROW = re.compile(r"^\s+DR\d((?: +\d+)+) *$", re.M)
TIME = re.compile(r"Training time: (\d+)h (\d+)min ([\d.]+)secs")


def read_run(folder):
    """(run, epochs) of one folder with config.cfg, val_metrics.txt, performance_epoch_*.txt.

    run: the columns of `bmix_lite.course.published`, then those of the configuration
    epochs: one row per epoch and split, metrics in per cent. Raises BmixError naming the folder.
    """
    log = (folder / "val_metrics.txt").read_text()
    config = _read_config(folder / "config.cfg")
    run = name_run(folder)
    run["alpha"] = config.get("do_mixup") or 0.0
    epochs = _read_epochs(log, folder)
    best_line = BEST_EPOCH.search(log)
    best_epoch = int(best_line[1]) if best_line else None
    val_rows = {row["epoch"]: row for row in epochs if row["split"] == "val"}
    if best_epoch not in val_rows:
        raise BmixError(
            f"{folder}: val_metrics.txt does not say which epoch was best, or lacks that epoch"
        )
    run["best_epoch"] = best_epoch
    for name in (*METRICS, "val_images"):
        run[name] = val_rows[best_epoch][name]
    run["seconds"] = _read_seconds(log)
    run |= summarise(epochs, MONITORS[run["dataset"]])
    for name in CONFIG:
        run[f"config_{name}"] = config.get(name)
    return run, epochs


def _read_config(path):
    return json.loads(path.read_text()) if path.exists() else {}


def _read_epochs(log, folder):
    """One row per epoch and split, from the log and the files of the epochs beside it."""
    rows = []
    for epoch, *values in EPOCH.findall(log):
        path = folder / f"performance_epoch_{int(epoch):02d}.txt"
        for position, split in enumerate(("train", "val")):
            kappa, mauc, mcc = map(float, values[position::2])
            row = {"epoch": int(epoch), "split": split, "kappa": kappa, "mauc": mauc, "mcc": mcc}
            rows.append(row | read_details(path, split, (kappa, mcc)))
    return rows


def _read_seconds(log):
    time = TIME.search(log)
    return int(time[1]) * 3600 + int(time[2]) * 60 + float(time[3]) if time else None


def name_run(folder):
    """dataset, network, method and fold, which only the path tells.

    It ends in endo/F1/class/mobilenet, or in eyepacs/class/bit_rexnet50 without a fold.
    """
    *_, above, fold, method, network = folder.parts
    if re.fullmatch(r"F\d", fold):
        dataset = above
        fold = int(fold[1:])
    else:
        dataset = fold
        fold = 0
    if method.startswith("mxp"):
        method = "mixup" if method.endswith("_baseline") else "balanced_mixup"
    if dataset not in DATASETS or not (method in METHODS or method.endswith("mixup")):
        raise BmixError(
            f"{folder}: expected dataset/fold/method/network, as endo/F1/class/mobilenet"
        )
    return {
        "dataset": DATASETS[dataset],
        "network": "mobilenet_v2" if network == "mobilenet" else "bit_m_r50x1",
        "method": METHODS.get(method, method),
        "fold": fold,
    }


def read_details(path, split, scores):
    """f1, bacc, lr and val_images of a split in one epoch; NaN for what was not logged.

    scores: (kappa, mcc) as in val_metrics.txt; they tell which block of the file is meant
    Where bacc was not logged it is computed from the confusion matrix.
    """
    details = dict.fromkeys(("f1", "bacc", "lr", "val_images"), np.nan)
    text = path.read_text() if path.exists() else ""
    for block in BLOCK.finditer(text):
        kappa, bacc, mcc, f1, lr = block.groups()
        block_split = "val" if lr else "train"
        if block_split != split or (float(kappa), float(mcc)) != scores:
            continue
        details["f1"] = float(f1)
        details["bacc"] = float(bacc or "nan")
        details["lr"] = float(lr.split("=")[1]) if lr else np.nan
        if split == "val":
            details |= _read_matrix(text, block.end())
    return details


def _read_matrix(text, start):
    """bacc and val_images of the confusion matrix that follows in the text, if there is one."""
    rows = [line.split() for line in MATRIX_ROW.findall(text, start)[:5]]
    if not rows:
        return {}
    counts = np.array(rows, dtype=float)
    recalls = 100 * np.diag(counts) / counts.sum(axis=1)
    return {"bacc": float(recalls.mean().round(2)), "val_images": int(counts.sum())}


def summarise(epochs, monitor):
    """epochs, decays, final_lr, asked, last and median, see `bmix_lite.course.published`."""
    train_rows = [row for row in epochs if row["split"] == "train"]
    val_rows = [row for row in epochs if row["split"] == "val"]
    train_scores = np.array([row[monitor] for row in train_rows], dtype=float)
    val_scores = np.array([row[monitor] for row in val_rows], dtype=float)
    rates = np.array([row["lr"] for row in val_rows], dtype=float)
    rates = rates[~np.isnan(rates)]
    return {
        "epochs": len(val_rows),
        "decays": int(np.sum(np.diff(rates) < 0)),
        "final_lr": float(rates[-1]) if len(rates) else np.nan,
        "asked": int(np.sum(train_scores > val_scores)),
        "last": float(val_scores[-1]),
        "median": float(np.median(val_scores[-5:]).round(2)),
    }


def main(arguments=None):
    chosen = make_parser(__doc__, f"data/{SOURCE.name}").parse_args(arguments)

    def work():
        root = bring_files(SOURCE, chosen)
        folders = sorted(path.parent for path in root.rglob("val_metrics.txt"))
        require(folders, f"{root}: no val_metrics.txt in it or below")
        run_rows = []
        epoch_rows = []
        for folder in folders:
            run, epochs = read_run(folder)
            name = folder.relative_to(root).as_posix()
            run_rows.append(run | {"run": name})
            epoch_rows += [{"run": name} | row for row in epochs]
        runs = pd.DataFrame(run_rows)
        runs = runs[[*COLUMNS, *(name for name in runs if name not in COLUMNS)]]
        write_atomic(Path(chosen.out) / "runs.csv", runs.to_csv(index=False))
        write_atomic(Path(chosen.out) / "epochs.csv", pd.DataFrame(epoch_rows).to_csv(index=False))
        print(f"{len(runs)} runs and {len(epoch_rows) // 2} epochs in {chosen.out}")

    return explain(SOURCE, work)


if __name__ == "__main__":
    sys.exit(main())
