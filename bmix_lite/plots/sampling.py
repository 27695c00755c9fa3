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
    """One epoch of N draws: draws of each image, and the share of each class's images seen.

    counts (C,); drawn (epochs, N) or None: draws of each image in simulated epochs, and labels
    (N,): their means as crosses. q=1 is a shuffle: every image once.
    """
    counts = np.asarray(counts)
    draws = counts.sum()
    figure = make_panels(
        rows=1,
        cols=2,
        subplot_titles=["draws of one image, on average", "share of the images seen"],
        horizontal_spacing=0.1,
    )
    _draw_closed_forms(figure, counts, q, replacement)
    if drawn is not None:
        _draw_simulated(figure, counts, np.asarray(drawn), labels)
    title = f"One epoch of {draws:,} draws, q = {q:g}, {_name_drawing(q, replacement)}"
    dress(figure, title=title, height=400, barmode="overlay")
    names = _name_below(figure, class_names, len(counts), automargin=True)
    stand_names(figure, names)
    most = np.log10(max(30, draws / len(counts) * 1.5))
    figure.update_yaxes(type="log", range=[-1.3, most], dtick=1, row=1, col=1)
    return figure.update_yaxes(range=[0, 1.08], row=1, col=2)


def _name_drawing(q, replacement):
    if q == 1:
        return "a shuffle"
    return "with replacement" if replacement else "dealt from decks"


def _draw_closed_forms(figure, counts, q, replacement):
    """Bars of both panels: expected draws of one image, and expected share of images seen."""
    draws = counts.sum()
    seen = np.ones(len(counts))
    if q != 1:
        seen = expected_distinct(counts, q, draws, replacement=replacement) / counts
    panels = (
        (expected_draws(counts, q, draws), {"color": BLUE, "pattern": {"shape": ""}}),
        (seen, RARELY),
    )
    for column, (values, marker) in enumerate(panels, start=1):
        figure.add_bar(
            x=np.arange(len(counts)),
            y=values,
            name="closed form",
            marker=marker,
            showlegend=column == 1,
            row=1,
            col=column,
        )


def _draw_simulated(figure, counts, drawn, labels):
    """Crosses of both panels: means over simulated epochs."""
    times = np.stack([np.bincount(labels, epoch) for epoch in drawn]) / counts
    seen = np.stack([np.bincount(labels, epoch > 0) for epoch in drawn]) / counts
    name = "drawn in one epoch" if len(drawn) == 1 else f"drawn, mean of {len(drawn)} epochs"
    for column, values in enumerate((times, seen), start=1):
        figure.add_scatter(
            x=np.arange(len(counts)),
            y=values.mean(axis=0),
            mode="markers",
            name=name,
            marker=CROSS,
            showlegend=column == 1,
            row=1,
            col=column,
        )


def _name_below(figure, class_names, classes, counts=None, **options):
    """Put the class names on all x axes; returns them."""
    positions = np.arange(classes)
    names = name_classes(class_names if class_names is not None else positions, counts)
    figure.update_xaxes(tickvals=positions, ticktext=names, zeroline=False, **options)
    return names


def plot_repeats(counts, q, *, drawn=None, labels=None):
    """How often an image of the rarest class comes in one epoch: Binomial(N, p / n).

    drawn, labels: as of `plot_epoch`, shown as crosses
    """
    counts = np.asarray(counts)
    rarest = int(counts.argmin())
    draws = int(counts.sum())
    probability = class_probabilities(counts, q)[rarest] / counts[rarest]
    mean = draws * probability
    times = np.arange(int(max(6, np.ceil(mean + 4 * np.sqrt(mean)))) + 1)
    shares = _share_epochs(times, draws, probability, q)
    bars = go.Bar(x=times, y=shares, name="closed form", marker=RARELY)
    often = f"{mean:.3g} times in an epoch, on average (q = {q:g})"
    figure = make_figure(
        [bars],
        title=f"An image of the rarest class comes {often}",
        xaxis={"title": "times that one image is drawn in one epoch", "zeroline": False},
        yaxis={"title": "share of epochs", "rangemode": "tozero"},
        showlegend=True,
    )
    if drawn is not None:
        of_rarest = np.asarray(drawn)[:, np.asarray(labels) == rarest]
        name = f"drawn, {len(drawn):,} epochs"
        y = _share_drawn(times, of_rarest)
        figure.add_scatter(x=times, y=y, mode="markers", name=name, marker=CROSS)
    return figure


def _share_epochs(times, draws, probability, q):
    """Probability of each number of times; a shuffle (q=1) draws every image once."""
    from scipy.stats import binom

    if q == 1:
        return (times == 1).astype(float)
    return binom.pmf(times, draws, probability)


def _share_drawn(times, drawn):
    """Frequency of each number of times among the drawn ones; NaN where it never occurred."""
    frequencies = np.bincount(drawn.ravel(), minlength=len(times))
    return np.where(frequencies > 0, frequencies / frequencies.sum(), np.nan)[: len(times)]


def plot_progressive(counts, epoch, epochs, class_names=None):
    """Class shares of progressive sampling in one epoch, and at its two ends.

    Source: Kang et al., ICLR 2020, progressively-balanced sampling.
    """
    shares = progressive_probabilities(counts, int(epoch), epochs)
    name = f"epoch {int(epoch)} of {epochs}"
    bars = go.Bar(x=np.arange(len(counts)), y=shares, name=name, marker={"color": BLUE})
    figure = make_figure([bars], title=f"Progressive sampling: class shares in {name}")
    _draw_end(figure, "first epoch: as the data are", counts, 1, GREY, "circle")
    _draw_end(figure, "last epoch: class-balanced", counts, 0, GREEN, "diamond")
    names = _name_below(figure, class_names, len(counts), counts)
    stand_names(figure, names)
    top = class_probabilities(counts, 1).max() * 1.1
    axis = {"title": "share of the draws (0 to 1)", "range": [0, top]}
    return figure.update_layout(yaxis=axis, showlegend=True)


def _draw_end(figure, name, counts, q, colour, symbol):
    """Class shares with exponent q, as markers."""
    line = {"color": "white", "width": 1}
    figure.add_scatter(
        x=np.arange(len(counts)),
        y=class_probabilities(counts, q),
        mode="markers",
        name=name,
        marker={"color": colour, "symbol": symbol, "size": 9, "line": line},
    )
