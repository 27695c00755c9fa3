"""Figures of lesson 2: what an epoch is made of, in closed form and as really drawn."""

import numpy as np
import plotly.graph_objects as go

from bmix_lite.distribution import (
    class_probabilities,
    expected_distinct,
    expected_draws,
    progressive_probabilities,
)
from bmix_lite.plots.theme import (
    BLUE,
    CROSS,
    GREEN,
    GREY,
    VERMILLION,
    dress,
    make_figure,
    make_panels,
    name_classes,
    stand_names,
)

RARELY = {"color": VERMILLION, "pattern": {"shape": "/"}}


def plot_epoch(counts, q, class_names=None, *, replacement=True, drawn=None, labels=None):
    """What one epoch of N draws holds: draws of each image, and the share of each class's images that is seen.

    counts (C,); drawn (epochs, N) or None: draws of each image in simulated epochs, and labels (N,): their means as
    crosses. q=1 is a shuffle: every image once.
    """
    counts, shuffled = np.asarray(counts), q == 1
    draws = counts.sum()
    seen = (
        np.ones(len(counts))
        if shuffled
        else expected_distinct(counts, q, draws, replacement=replacement) / counts
    )
    panels = {
        "draws of one image, on average": expected_draws(counts, q, draws),
        "share of the images seen": seen,
    }
    figure = make_panels(rows=1, cols=2, subplot_titles=list(panels), horizontal_spacing=0.1)
    places = np.arange(len(counts))
    for column, (values, colour) in enumerate(
        zip(panels.values(), (BLUE, VERMILLION), strict=True), start=1
    ):
        pattern = {"shape": "" if column == 1 else "/"}
        bars = go.Bar(
            x=places, y=values, name="closed form", marker={"color": colour, "pattern": pattern}
        )
        figure.add_trace(bars.update(showlegend=column == 1), row=1, col=column)
    if drawn is not None:
        per_class = np.stack([np.bincount(labels, epoch) for epoch in np.asarray(drawn)]) / counts
        covered = np.stack([np.bincount(labels, epoch > 0) for epoch in np.asarray(drawn)]) / counts
        for column, values in enumerate((per_class, covered), start=1):
            name = (
                "drawn in one epoch" if len(drawn) == 1 else f"drawn, mean of {len(drawn)} epochs"
            )
            crosses = go.Scatter(
                x=places, y=values.mean(axis=0), mode="markers", name=name, marker=CROSS
            )
            figure.add_trace(crosses.update(showlegend=column == 1), row=1, col=column)
    how = "a shuffle" if shuffled else "with replacement" if replacement else "dealt from decks"
    dress(
        figure,
        title=f"One epoch of {draws:,} draws, q = {q:g}, {how}",
        height=400,
        barmode="overlay",
    )
    names = name_classes(class_names if class_names is not None else places)
    figure.update_xaxes(tickvals=places, ticktext=names, zeroline=False, automargin=True)
    stand_names(figure, names)
    figure.update_yaxes(
        type="log",
        range=[-1.3, np.log10(max(30, draws / len(counts) * 1.5))],
        dtick=1,
        row=1,
        col=1,
    )
    return figure.update_yaxes(range=[0, 1.08], row=1, col=2)


def plot_repeats(counts, q, *, drawn=None, labels=None):
    """How often the rarest class's images come in one epoch: Binomial(N, p / n), and as simulated (crosses)."""
    from scipy.stats import binom

    counts = np.asarray(counts)
    rarest, draws = int(counts.argmin()), int(counts.sum())
    chance = class_probabilities(counts, q)[rarest] / counts[rarest]
    mean = draws * chance
    most = int(max(6, np.ceil(mean + 4 * np.sqrt(mean))))
    times = np.arange(most + 1)
    shares = binom.pmf(times, draws, chance) if q != 1 else (times == 1).astype(float)
    bars = go.Bar(x=times, y=shares, name="closed form", marker=RARELY)
    figure = make_figure(
        [bars],
        title=f"An image of the rarest class comes {mean:.3g} times in an epoch, on average (q = {q:g})",
        xaxis={"title": "times that one image is drawn in one epoch", "zeroline": False},
        yaxis={"title": "share of epochs", "rangemode": "tozero"},
        showlegend=True,
    )
    if drawn is not None:
        found = np.bincount(
            np.asarray(drawn)[:, np.asarray(labels) == rarest].ravel(), minlength=most + 1
        )
        found = np.where(found > 0, found / found.sum(), np.nan)[: most + 1]
        name = f"drawn, {len(drawn):,} epochs"
        figure.add_scatter(x=times, y=found, mode="markers", name=name, marker=CROSS)
    return figure


def plot_progressive(counts, epoch, epochs, class_names=None):
    """Class shares of progressive sampling in one epoch, between its two ends (Kang et al., ICLR 2020, eq. 2)."""
    places = np.arange(len(counts))
    now = progressive_probabilities(counts, int(epoch), epochs)
    bars = go.Bar(x=places, y=now, name=f"epoch {int(epoch)} of {epochs}", marker={"color": BLUE})
    figure = make_figure(
        [bars], title=f"Progressive sampling: class shares in epoch {int(epoch)} of {epochs}"
    )
    ends = {
        "first epoch: as the data are": (1, GREY, "circle"),
        "last epoch: class-balanced": (0, GREEN, "diamond"),
    }
    for name, (q, colour, symbol) in ends.items():
        marker = {
            "color": colour,
            "symbol": symbol,
            "size": 9,
            "line": {"color": "white", "width": 1},
        }
        figure.add_scatter(
            x=places, y=class_probabilities(counts, q), mode="markers", name=name, marker=marker
        )
    names = name_classes(class_names if class_names is not None else places, counts)
    figure.update_xaxes(tickvals=places, ticktext=names, zeroline=False)
    stand_names(figure, names)
    top = class_probabilities(counts, 1).max() * 1.1
    return figure.update_layout(
        yaxis={"title": "share of the draws (0 to 1)", "range": [0, top]}, showlegend=True
    )
