"""Figures of published runs: every run by method, paired differences, a metric against alpha."""

from bmix_lite.base.errors import require
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

TITLES = {"hyper_kvasir": "Hyper-Kvasir, 5 folds", "eyepacs": "EyePACS, 1 split"}


def plot_by_method(runs, values, by, axis):
    """Every run a dot, one row a method, one panel a dataset; a bar at the mean of each group.

    runs: as `read_published` gives them; values, by: Series of the same index, what is drawn and the group, which
    has its own colour and mark; axis: title of the values.
    """
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
