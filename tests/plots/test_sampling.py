import numpy as np
import pytest
from scipy.stats import binom

from bmix_lite.course.simulate import simulate_draws
from bmix_lite.distribution import expected_distinct
from bmix_lite.plots.sampling import plot_epoch, plot_progressive, plot_repeats
from tiny import HOSTILE

COUNTS = np.array([90, 9, 1])
LABELS = np.repeat([0, 1, 2], COUNTS)


@pytest.mark.parametrize("q", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("replacement", [True, False])
def test_bars_of_an_epoch_are_the_closed_forms_and_crosses_what_was_drawn(q, replacement):
    drawn = simulate_draws(LABELS, q, seed=0, epochs=5, replacement=replacement or q != 0)
    figure = plot_epoch(COUNTS, q, HOSTILE[:3], replacement=replacement, drawn=drawn, labels=LABELS)
    shares = COUNTS**q / (COUNTS**q).sum()
    assert np.asarray(figure.data[0].y) == pytest.approx(100 * shares / COUNTS)
    seen = (
        np.ones(3)
        if q == 1
        else expected_distinct(COUNTS, q, 100, replacement=replacement) / COUNTS
    )
    assert np.asarray(figure.data[1].y) == pytest.approx(seen)
    by_hand = [np.mean([epoch[j == LABELS].mean() for epoch in drawn]) for j in range(3)]
    assert np.asarray(figure.data[2].y) == pytest.approx(by_hand)
    covered = [np.mean([(epoch[j == LABELS] > 0).mean() for epoch in drawn]) for j in range(3)]
    assert np.asarray(figure.data[3].y) == pytest.approx(covered)
    assert [trace.type for trace in figure.data] == ["bar", "bar", "scatter", "scatter"]


def test_the_axis_of_draws_holds_every_bar_whole():
    for counts in (COUNTS, np.array([500, 2]), np.array([3, 3])):
        for q in (0.0, 1.0):
            figure = plot_epoch(counts, q)
            low, high = figure.layout.yaxis.range
            assert 10**low < min(figure.data[0].y)
            assert max(figure.data[0].y) < 10**high


def test_class_names_are_text_and_all_are_there():
    ticks = plot_epoch(COUNTS, 0.0, HOSTILE[:3]).layout.xaxis.ticktext
    assert len(ticks) == 3
    assert not any("<img" in tick or "$" in tick for tick in ticks)


@pytest.mark.parametrize("q", [0.0, 0.5])
def test_repeats_of_the_rarest_image_are_binomial(q):
    figure = plot_repeats(COUNTS, q)
    (bars,) = figure.data
    share = (COUNTS**q / (COUNTS**q).sum())[2]
    assert np.asarray(bars.y) == pytest.approx(binom.pmf(np.asarray(bars.x), 100, share))
    assert sum(bars.y) > 0.999


def test_in_a_shuffle_the_rarest_image_comes_exactly_once():
    drawn = simulate_draws(LABELS, 1.0, seed=0, epochs=20)
    bars, crosses = plot_repeats(COUNTS, 1.0, drawn=drawn, labels=LABELS).data
    assert [x for x, y in zip(bars.x, bars.y, strict=True) if y] == [1]
    assert [(x, y) for x, y in zip(crosses.x, crosses.y, strict=True) if not np.isnan(y)] == [
        (1, 1.0)
    ]


def test_drawn_repeats_scatter_around_the_bars():
    drawn = simulate_draws(LABELS, 0.0, seed=0, epochs=3000)
    bars, crosses = plot_repeats(COUNTS, 0.0, drawn=drawn, labels=LABELS).data
    # five standard errors of a share estimated from 3,000 epochs
    assert np.nan_to_num(np.asarray(crosses.y)) == pytest.approx(
        np.asarray(bars.y), abs=5 * 0.5 / np.sqrt(3000)
    )


@pytest.mark.parametrize(("epoch", "expected"), [(1, [0.9, 0.09, 0.01]), (3, [1 / 3] * 3)])
def test_progressive_sampling_begins_with_the_data_and_ends_balanced(epoch, expected):
    figure = plot_progressive(COUNTS, epoch, 3, HOSTILE[:3])
    assert np.asarray(figure.data[0].y) == pytest.approx(expected)
    assert np.asarray(figure.data[1].y) == pytest.approx([0.9, 0.09, 0.01])
    assert np.asarray(figure.data[2].y) == pytest.approx([1 / 3] * 3)
    assert figure.layout.yaxis.range[1] > max(map(max, (trace.y for trace in figure.data)))
