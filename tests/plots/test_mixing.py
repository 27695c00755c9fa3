import html

import numpy as np
import pytest
from scipy import stats

from bmix_lite.plots.mixing import plot_alpha_views, plot_class_shares
from tiny import HOSTILE

COUNTS = [90, 9, 1]


def by_name(figure):
    return {trace.name: trace for trace in figure.data}


@pytest.mark.parametrize("alpha", [0, 0.05, 0.2, 1, 2])
def test_the_three_views_show_the_closed_forms(alpha):
    traces = by_name(plot_alpha_views(COUNTS, alpha, 1.0, HOSTILE[:3]))
    mean = alpha / (1 + alpha)
    assert list(traces["mean"].x) == pytest.approx([mean] * 2)
    assert list(traces["median"].x) == pytest.approx([0.5 ** (1 / alpha) if alpha else 0] * 2)
    assert np.asarray(traces["base stream"].y) == pytest.approx([1 - mean] * 3)
    assert np.asarray(traces["balanced stream"].y) == pytest.approx(
        [mean * 100 / (3 * n) for n in COUNTS]
    )
    density = stats.beta(alpha, 1).pdf(traces["density"].x) if alpha else [0] * 120
    assert np.asarray(traces["density"].y) == pytest.approx(density, rel=1e-9)
    shares = (np.array([0.9, 0.09, 0.01]) + alpha / 3) / (1 + alpha)
    assert np.asarray(traces["after mixing"].y) == pytest.approx(shares)


def test_the_number_and_kind_of_traces_does_not_depend_on_the_setting():
    kinds = [
        [trace.type for trace in plot_alpha_views(COUNTS, alpha, q, drawn=drawn).data]
        for alpha, q, drawn in ((0, 1, None), (0.2, 0, [0.5, 0.3, 0.2]), (2, 0.5, None))
    ]
    assert kinds[0] == kinds[1] == kinds[2]


def test_drawn_shares_stand_over_the_bars_of_the_mix():
    crosses = by_name(plot_alpha_views(COUNTS, 0.2, drawn=[0.7, 0.2, 0.1]))["drawn"]
    assert list(crosses.y) == [0.7, 0.2, 0.1]
    assert np.all(np.asarray(crosses.x) > [0, 1, 2])


@pytest.mark.parametrize("q", [0, 0.5, 1])
@pytest.mark.parametrize("alpha", [0, 0.2, 3])
def test_bars_are_the_closed_form_shares_of_data_base_stream_and_mix(q, alpha):
    figure = plot_class_shares(COUNTS, q=q, alpha=alpha)
    powers = np.array([n**q for n in COUNTS])
    base = powers / powers.sum()
    bars = {trace.name: trace.y for trace in figure.data if trace.type == "bar"}
    assert list(bars) == ["data", f"base stream, q = {q:g}", f"after mixing, alpha = {alpha:g}"]
    for seen, expected in zip(
        bars.values(), ([0.9, 0.09, 0.01], base, (base + alpha / 3) / (1 + alpha)), strict=True
    ):
        assert seen == pytest.approx(expected, abs=1e-12)
    assert figure.layout.yaxis.range[1] >= max(max(y) for y in bars.values())


def test_class_bars_differ_in_pattern_and_colour_and_stand_side_by_side():
    figure = plot_class_shares(COUNTS)
    bars = [trace for trace in figure.data if trace.type == "bar"]
    assert (
        len({bar.marker.pattern.shape for bar in bars})
        == len({bar.marker.color for bar in bars})
        == 3
    )
    assert figure.layout.barmode == "group"


def test_the_line_of_equal_classes_lies_at_one_over_their_number():
    (line,) = [
        trace for trace in plot_class_shares([5, 4, 3, 2]).data if trace.name == "all classes equal"
    ]
    assert list(line.y) == [0.25, 0.25]
    assert line.line.dash == "dash"


def test_drawn_shares_are_crosses_over_the_bars_of_the_mix():
    figure = plot_class_shares(COUNTS, drawn=[0.5, 0.3, 0.2])
    crosses = figure.data[-1]
    assert (crosses.mode, crosses.marker.symbol) == ("markers", "x-thin")
    assert list(crosses.y) == [0.5, 0.3, 0.2]
    assert crosses.x == pytest.approx(
        np.arange(3) + 0.8 / 3
    )  # the third of three bars that fill 0.8 of a place


def test_the_top_of_the_shares_can_be_held_still_for_a_slider():
    assert plot_class_shares(COUNTS, highest=0.4).layout.yaxis.range == (0, 0.4)


@pytest.mark.parametrize("class_names", [HOSTILE, ["no", "yes"], [f"grade {j}" for j in range(20)]])
def test_every_class_has_its_own_tick_with_its_name_and_n(class_names):
    counts = np.arange(len(class_names), 0, -1) * 1000
    axis = plot_class_shares(counts, class_names=class_names).layout.xaxis
    assert len(set(axis.ticktext)) == len(axis.tickvals) == len(class_names)
    for tick, name, n in zip(axis.ticktext, class_names, counts, strict=True):
        shown = tick.removesuffix(f"<br>n={n:,}")
        assert not set(shown) & set("<>$")
        assert html.unescape(shown).startswith(name[:37] or "(no name)")


def test_the_figure_of_class_shares_says_what_it_shows():
    layout = plot_class_shares(COUNTS).layout
    assert layout.title.text
    assert layout.yaxis.title.text
