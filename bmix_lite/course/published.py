"""What the authors of Balanced-MixUp logged in 2021, as one small table: figures and their source, not the logs."""

from pathlib import Path

import numpy as np
import pandas as pd

from bmix_lite.base.errors import require, require_choice

SOURCE = (
    "Galdran, Carneiro and González Ballester, Balanced-MixUp, MICCAI 2021; figures of their released logs, "
    "github.com/agaldran/balanced_mixup, commit 20ac592"
)
TABLE = Path(__file__).parents[1] / "static/published_runs.csv"
# per cent, on validation at the epoch that was best there; bacc is not logged for every run
METRICS = ("kappa", "mauc", "mcc", "bacc", "f1")
MONITORS = {"hyper_kvasir": "mcc", "eyepacs": "kappa"}  # chose the epoch and drove the schedule
COLUMNS = (
    *("dataset", "network", "method", "alpha", "fold"),  # fold 0: EyePACS was split once
    *("best_epoch", *METRICS),
    *(
        "epochs",
        "decays",
        "final_lr",
    ),  # epochs run, of 30; times that the learning rate fell; rate of the last epoch
    "asked",  # epochs in which training scored above validation: only then was the plateau schedule asked
    *("last", "median"),  # the monitored score of the last epoch, and the median of the last five
    "val_images",  # in the logged confusion matrices, where there are any
)
PAIR = ["dataset", "network", "fold"]  # runs that share them are a pair: same network, same images


def read_published(folder=None):
    """(runs, epochs): one row a run with COLUMNS and "name"; one row an epoch and split, or None.

    folder: where `data_scripts/get_published_runs.py` has put runs.csv and epochs.csv; without it, or where they are
    not there, the runs come from the table that ships with the kit. Raises BmixError where a column is missing.
    """
    full = None if folder is None else Path(folder)
    fetched = full is not None and (full / "runs.csv").is_file() and (full / "epochs.csv").is_file()
    path = full / "runs.csv" if fetched else TABLE
    runs = pd.read_csv(path)
    missing = [name for name in COLUMNS if name not in runs]
    require(
        not missing,
        f"{path}: no column {', '.join(missing)}: fetch it anew with get_published_runs.py",
    )
    alphas = [f", alpha {alpha:g}" if alpha else "" for alpha in runs["alpha"]]
    runs = runs[[*COLUMNS, *(name for name in runs if name not in COLUMNS)]]
    runs.insert(0, "name", runs["method"] + alphas)
    return runs, pd.read_csv(full / "epochs.csv") if fetched else None


def pair_runs(runs, first, second, metric):
    """Second less first for each pair that logged both: a Series over (dataset, network, fold), in points."""
    for name in (first, second):
        require_choice("name", name, tuple(runs["name"].unique()))
    require_choice("metric", metric, METRICS)
    one, other = (runs[runs["name"] == name].set_index(PAIR)[metric] for name in (first, second))
    return (other - one).dropna().rename(f"{second} less {first}")


def judge_pairs(gaps):
    """n, mean, standard deviation, pairs that are higher, and two p values of paired differences (n,).

    p_t: Student's t on the gaps, which asks whether their mean is 0; p_sign: the sign test, which only counts which
    side is higher (ties are left out). Both take the pairs for independent, which folds that share images are not,
    so both are too small. NaN where they are not defined. Raises BmixError if there is no pair.
    """
    from scipy import stats

    gaps = np.asarray(gaps, dtype=float)
    require(
        gaps.ndim == 1 and gaps.size > 0, f"gaps must be a non-empty list, got shape {gaps.shape}"
    )
    higher, untied = int(np.sum(gaps > 0)), int(np.sum(gaps != 0))
    several = gaps.size > 1 and np.ptp(gaps) > 0
    return {
        "pairs": gaps.size,
        "mean": float(gaps.mean()),
        "sd": float(gaps.std(ddof=1)) if gaps.size > 1 else np.nan,
        "higher": higher,
        "p_t": float(stats.ttest_1samp(gaps, 0).pvalue) if several else np.nan,
        "p_sign": float(stats.binomtest(higher, untied).pvalue) if untied else np.nan,
    }


def flatter(runs):
    """What reporting the best epoch adds, in points of the monitored score: columns "over last" and "over median".

    Less the last epoch, and less the median of the last five epochs. Index as in `runs`.
    """
    best = np.array([row[MONITORS[row["dataset"]]] for _, row in runs.iterrows()])
    gains = {"over last": best - runs["last"], "over median": best - runs["median"]}
    return pd.DataFrame(gains, index=runs.index)
