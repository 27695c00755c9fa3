"""What the authors of Balanced-MixUp logged in 2021: a small table, its source, its figures."""

from pathlib import Path

import numpy as np
import pandas as pd

from bmix_lite.base.errors import BmixError, require_choice
from bmix_lite.plots.theme import (
    BLACK,
    COLOURS,
    DASHES,
    MARKERS,
    as_text,
    dress,
    make_figure,
    make_panels,
)

SOURCE = (
    "Galdran, Carneiro and González Ballester, Balanced-MixUp, MICCAI 2021; "
    "figures of their released logs, github.com/agaldran/balanced_mixup, commit 20ac592"
)
TABLE = Path(__file__).parents[1] / "static/published_runs.csv"
# per cent, on validation at the epoch that was best there; bacc is not logged for every run
METRICS = ("kappa", "mauc", "mcc", "bacc", "f1")
MONITORS = {"hyper_kvasir": "mcc", "eyepacs": "kappa"}  # chose the epoch and drove the schedule
COLUMNS = (
    "dataset",
    "network",
    "method",
    "alpha",
    "fold",  # 0 for EyePACS, which was split once
    "best_epoch",
    *METRICS,
    "epochs",  # that ran, of 30
    "decays",  # times that the learning rate fell
    "final_lr",  # of the last epoch
    # epochs in which training scored above validation: only then was the plateau schedule asked
    "asked",
    "last",  # the monitored score of the last epoch
    "median",  # of the monitored scores of the last five epochs
    "val_images",  # in the logged confusion matrices, where there are any
)
TITLES = {"hyper_kvasir": "Hyper-Kvasir, 5 folds", "eyepacs": "EyePACS, 1 split"}
PAIR = ["dataset", "network", "fold"]  # runs that share them are a pair: same network, same images
MEAN_BAR = {"color": BLACK, "symbol": "line-ns-open", "size": 13, "line": {"width": 2}}


def read_published(folder=None):
    """(runs, epochs): one row per run, COLUMNS and "name"; one row per epoch and split, or None.

    folder: where `data_scripts/get_published_runs.py` has put runs.csv and epochs.csv; without it,
    or where they are not there, the runs come from the table that ships with the kit.
    Raises BmixError where a column is missing.
    """
    if folder is None:
        return _read_runs(TABLE), None
    runs_path = Path(folder) / "runs.csv"
    epochs_path = Path(folder) / "epochs.csv"
    if not runs_path.is_file() or not epochs_path.is_file():
        return _read_runs(TABLE), None
    return _read_runs(runs_path), pd.read_csv(epochs_path)


def _read_runs(path):
    runs = pd.read_csv(path)
    missing = [name for name in COLUMNS if name not in runs]
    if missing:
        raise BmixError(
            f"{path}: no column {', '.join(missing)}: fetch it anew with get_published_runs.py"
        )
    others = [name for name in runs if name not in COLUMNS]
    runs = runs[[*COLUMNS, *others]]
    alphas = [f", alpha {alpha:g}" if alpha else "" for alpha in runs["alpha"]]
    runs.insert(0, "name", runs["method"] + alphas)
    return runs


def pair_runs(runs, first, second, metric):
    """Second less first, in points, for each pair that logged both.

    Returns a Series over (dataset, network, fold).
    """
    for name in (first, second):
        require_choice("name", name, tuple(runs["name"].unique()))
    require_choice("metric", metric, METRICS)
    of_first = runs[runs["name"] == first].set_index(PAIR)[metric]
    of_second = runs[runs["name"] == second].set_index(PAIR)[metric]
    return (of_second - of_first).dropna().rename(f"{second} less {first}")


def judge_pairs(gaps):
    """n, mean, standard deviation, pairs higher and tied, two p values of paired differences (n,).

    p_t: Student's t on the gaps, which asks whether their mean is 0; p_sign: the sign test, which
    only counts which side is higher (ties are left out). Both take the pairs for independent,
    which folds that share images are not, so both are too small. NaN where they are not defined.
    Raises BmixError if there is no pair.
    """
    from scipy import stats

    gaps = np.asarray(gaps, dtype=float)
    if gaps.ndim != 1 or gaps.size == 0:
        raise BmixError(f"gaps must be a non-empty list, got shape {gaps.shape}")
    higher = int(np.sum(gaps > 0))
    untied = int(np.sum(gaps != 0))
    varied = gaps.size > 1 and np.ptp(gaps) > 0
    return {
        "pairs": gaps.size,
        "mean": float(gaps.mean()),
        "sd": float(gaps.std(ddof=1)) if gaps.size > 1 else np.nan,
        "higher": higher,
        "ties": gaps.size - untied,
        "p_t": float(stats.ttest_1samp(gaps, 0).pvalue) if varied else np.nan,
        "p_sign": float(stats.binomtest(higher, untied).pvalue) if untied else np.nan,
    }


def flatter(runs):
    """What reporting the best epoch adds, in points of the monitored score.

    Columns: "over last", less the last epoch; "over median", less the median of the last five
    epochs. Index as in `runs`.
    """
    best = np.array([row[MONITORS[row["dataset"]]] for _, row in runs.iterrows()])
    gains = {"over last": best - runs["last"], "over median": best - runs["median"]}
    return pd.DataFrame(gains, index=runs.index)


def plot_by_method(runs, values, by, axis):
    """Every run a dot, one row per method, one panel per dataset; a bar at the mean of each group.

    runs: as `read_published` gives them; values, by: Series of the same index, what is drawn and
    the group, which has its own colour and mark; axis: title of the values.
    """
    names = list(dict.fromkeys(runs["name"]))
    groups = sorted(set(by))
    datasets = [name for name in TITLES if name in set(runs["dataset"])]
    figure = _make_row([TITLES[name] for name in datasets])
    rows_of_names = [names.index(name) for name in runs["name"]]
    table = runs.assign(value=values, y=rows_of_names)
    for col, dataset in enumerate(datasets, 1):
        for j, group in enumerate(groups):
            chosen = table[(table["dataset"] == dataset) & (by == group)]
            shift = 0.17 * (2 * j - len(groups) + 1)
            _add_group(figure, chosen.assign(y=chosen["y"] + shift), group, j, col)
    title = f"{axis}: every run, mean"
    figure = dress(figure, title=title, height=150 + 38 * len(names), margin={"b": 90})
    _name_rows(figure, names)
    return figure.update_xaxes(title=axis)


def _add_group(figure, table, group, j, col):
    """Dots of the runs of the j-th group in panel `col`, and a bar at the mean of each row."""
    panel = {"mode": "markers", "row": 1, "col": col}
    legend = {"name": as_text(group), "legendgroup": group, "showlegend": col == 1}
    figure.add_scatter(x=table["value"], y=table["y"], marker=_mark(j, size=7), **legend, **panel)
    means = table.groupby("y")["value"].mean()
    legend = {"name": "mean", "legendgroup": "mean", "showlegend": col == 1 and j == 0}
    figure.add_scatter(x=means, y=means.index, marker=MEAN_BAR, **legend, **panel)


def plot_gaps(gaps, axis):
    """Paired differences, one row per comparison; 0 is no difference.

    gaps: {name of the comparison: Series over (dataset, network, fold)}
    """
    if not gaps:
        raise BmixError("there is no comparison to draw")
    height = 170 + 60 * len(gaps)
    figure = make_figure(title=f"{axis}: every pair", height=height, margin={"b": 110})
    kinds = list(dict.fromkeys(pair[:2] for series in gaps.values() for pair in series.index))
    for j, kind in enumerate(kinds):
        shift = 0.14 * (j - (len(kinds) - 1) / 2)
        x = []
        y = []
        for row, series in enumerate(gaps.values()):
            of_kind = [value for pair, value in series.items() if pair[:2] == kind]
            x += of_kind
            y += [row + shift] * len(of_kind)
        name = as_text(", ".join(kind))
        figure.add_scatter(x=x, y=y, mode="markers", marker=_mark(j, size=9), name=name)
    figure.add_vline(x=0, line={"color": BLACK, "width": 1.5})
    _name_rows(figure, gaps)
    return figure.update_xaxes(title=f"{axis}, points")


def plot_against_alpha(runs, metric, dataset="hyper_kvasir"):
    """A metric of Balanced-MixUp against alpha, one panel per network.

    Folds are joined by thin lines, their mean by a thick one. Instance sampling, the same without
    mixing, stands at alpha 0.
    """
    compared = runs["method"].isin(["instance", "balanced_mixup"])
    chosen = runs[(runs["dataset"] == dataset) & compared]
    if chosen.empty:
        raise BmixError(f"there is no run of Balanced-MixUp on {dataset!r}")
    networks = list(dict.fromkeys(chosen["network"]))
    figure = _make_row(networks)
    for col, network in enumerate(networks, 1):
        of_network = chosen[chosen["network"] == network].sort_values("alpha")
        _add_folds(figure, of_network, metric, col, showlegend=col == len(networks))
    title = f"{metric} against alpha, {dataset}: every fold, mean"
    figure = dress(figure, title=title, height=400, margin={"b": 90})
    figure.update_xaxes(title="alpha", dtick=0.1)
    figure.layout.yaxis.title = f"{metric}, per cent"
    return figure


def _add_folds(figure, runs, metric, col, showlegend):
    """A thin line per fold against alpha in panel `col`, and a thick one of their means."""
    panel = {"showlegend": showlegend, "row": 1, "col": col}
    for j, (fold, of_fold) in enumerate(runs.groupby("fold")):
        style = {
            "mode": "lines+markers",
            "line": {"color": COLOURS[j % 5], "dash": DASHES[j % 5], "width": 1},
            "marker": _mark(j, size=7),
        }
        legend = {"name": f"fold {fold}", "legendgroup": f"fold {fold}"}
        figure.add_scatter(x=of_fold["alpha"], y=of_fold[metric], **style, **legend, **panel)
    means = runs.groupby("alpha")[metric].mean()
    style = {"mode": "lines", "line": {"color": BLACK, "width": 4}}
    legend = {"name": "mean", "legendgroup": "mean"}
    figure.add_scatter(x=means.index, y=means, **style, **legend, **panel)


def _make_row(titles):
    """Panels side by side, one per title."""
    return make_panels(
        cols=len(titles), subplot_titles=titles, shared_yaxes=True, horizontal_spacing=0.04
    )


def _mark(j, size):
    """The marker of the j-th group: colour and symbol together."""
    return {"color": COLOURS[j % 5], "symbol": MARKERS[j % 5], "size": size}


def _name_rows(figure, names):
    """One row per name, from the top down."""
    figure.update_yaxes(
        range=[len(names) - 0.5, -0.5],
        tickvals=list(range(len(names))),
        ticktext=[as_text(name) for name in names],
        zeroline=False,
    )
