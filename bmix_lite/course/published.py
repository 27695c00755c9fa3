"""What the authors of Balanced-MixUp logged in 2021: a small table, its source, its figures."""

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
TITLES = {"hyper_kvasir": "Hyper-Kvasir, 5 folds", "eyepacs": "EyePACS, 1 split"}
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


def plot_by_method(runs, values, by, axis):
    """Every run a dot, one row a method, one panel a dataset; a bar at the mean of each group.

    runs: as `read_published` gives them; values, by: Series of the same index, what is drawn and the group, which
    has its own colour and mark; axis: title of the values.
    """
    from bmix_lite.plots.theme import BLACK, COLOURS, MARKERS, as_text, dress, make_panels

    names, groups = list(dict.fromkeys(runs["name"])), sorted(set(by))
    datasets = [name for name in TITLES if name in set(runs["dataset"])]
    titles = [TITLES[name] for name in datasets]
    figure = make_panels(
        cols=len(datasets), subplot_titles=titles, shared_yaxes=True, horizontal_spacing=0.04
    )
    for col, dataset in enumerate(datasets, 1):
        for j, group in enumerate(groups):
            chosen = (runs["dataset"] == dataset) & (by == group)
            rows = runs[chosen].assign(
                value=values[chosen], y=[names.index(name) for name in runs[chosen]["name"]]
            )
            shift = 0.17 * (2 * j - len(groups) + 1)
            dots = {"color": COLOURS[j % 5], "symbol": MARKERS[j % 5], "size": 7}
            style = {
                "mode": "markers",
                "marker": dots,
                "legendgroup": group,
                "showlegend": col == 1,
            }
            figure.add_scatter(
                x=rows["value"], y=rows["y"] + shift, name=as_text(group), **style, row=1, col=col
            )
            means = rows.groupby("y")["value"].mean()
            bar = {"color": BLACK, "symbol": "line-ns-open", "size": 13, "line": {"width": 2}}
            figure.add_scatter(
                x=means, y=means.index + shift, mode="markers", marker=bar, row=1, col=col
            )
            figure.data[-1].update(name="mean", legendgroup="mean", showlegend=col == 1 and j == 0)
    figure = dress(
        figure, title=f"{axis}: every run, mean", height=150 + 38 * len(names), margin={"b": 90}
    )
    ticks = {
        "tickvals": list(range(len(names))),
        "ticktext": [as_text(name) for name in names],
        "zeroline": False,
    }
    figure.update_yaxes(range=[len(names) - 0.5, -0.5], **ticks)
    return figure.update_xaxes(title=axis)


def plot_gaps(gaps, axis):
    """Paired differences, one row a comparison: {words: Series over (dataset, network, fold)}; 0 is no difference."""
    from bmix_lite.plots.theme import BLACK, COLOURS, MARKERS, as_text, make_figure

    require(gaps, "there is no comparison to draw")
    figure = make_figure(
        title=f"{axis}: every pair", height=170 + 60 * len(gaps), margin={"b": 110}
    )
    kinds = list(dict.fromkeys(pair[:2] for series in gaps.values() for pair in series.index))
    for j, (dataset, network) in enumerate(kinds):
        x, y = [], []
        for row, series in enumerate(gaps.values()):
            found = [value for pair, value in series.items() if pair[:2] == (dataset, network)]
            x, y = x + found, y + [row + 0.14 * (j - (len(kinds) - 1) / 2)] * len(found)
        dots = {"color": COLOURS[j % 5], "symbol": MARKERS[j % 5], "size": 9}
        figure.add_scatter(
            x=x, y=y, mode="markers", marker=dots, name=as_text(f"{dataset}, {network}")
        )
    figure.add_vline(x=0, line={"color": BLACK, "width": 1.5})
    words = {
        "tickvals": list(range(len(gaps))),
        "ticktext": [as_text(name) for name in gaps],
        "zeroline": False,
    }
    figure.update_yaxes(range=[len(gaps) - 0.5, -0.5], **words)
    return figure.update_xaxes(title=f"{axis}, points")


def plot_against_alpha(runs, metric, dataset="hyper_kvasir"):
    """A metric of Balanced-MixUp against alpha, one panel a network: folds joined by thin lines, their mean by a thick.

    Instance sampling, the same without mixing, stands at alpha 0.
    """
    from bmix_lite.plots.theme import BLACK, COLOURS, DASHES, MARKERS, dress, make_panels

    chosen = runs[
        (runs["dataset"] == dataset) & runs["method"].isin(["instance", "balanced_mixup"])
    ]
    require(len(chosen), f"there is no run of Balanced-MixUp on {dataset!r}")
    networks = list(dict.fromkeys(chosen["network"]))
    figure = make_panels(
        cols=len(networks), subplot_titles=networks, shared_yaxes=True, horizontal_spacing=0.04
    )
    for col, network in enumerate(networks, 1):
        table = chosen[chosen["network"] == network].sort_values("alpha")
        for j, (fold, rows) in enumerate(table.groupby("fold")):
            line = {"color": COLOURS[j % 5], "dash": DASHES[j % 5], "width": 1}
            marker = {"symbol": MARKERS[j % 5], "size": 7, "color": COLOURS[j % 5]}
            style = {
                "line": line,
                "marker": marker,
                "legendgroup": f"fold {fold}",
                "name": f"fold {fold}",
            }
            figure.add_scatter(
                x=rows["alpha"], y=rows[metric], mode="lines+markers", **style, row=1, col=col
            )
            figure.data[-1].showlegend = col == len(networks)
        means = table.groupby("alpha")[metric].mean()
        figure.add_scatter(x=means.index, y=means, mode="lines", name="mean", row=1, col=col)
        figure.data[-1].update(
            line={"color": BLACK, "width": 4}, legendgroup="mean", showlegend=col == len(networks)
        )
    title = f"{metric} against alpha, {dataset}: every fold, mean"
    figure = dress(figure, title=title, height=400, margin={"b": 90}).update_xaxes(
        title="alpha", dtick=0.1
    )
    figure.layout.yaxis.title = f"{metric}, per cent"
    return figure
