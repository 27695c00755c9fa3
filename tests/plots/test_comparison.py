import numpy as np
import pytest
from scipy import stats

from bmix_lite.base.errors import BmixError
from bmix_lite.comparison.verdicts import compare_pairs
from bmix_lite.plots.comparison import plot_differences
from comparison.test_verdicts import BASE, BETTER, GAPS, add, folds, seeds


def make_runs():
    return (
        seeds("instance", BASE) + seeds("focal", add(GAPS)) + seeds("class_balanced", add(BETTER))
    )


def test_every_pair_is_a_dot_and_bar_and_band_are_those_of_the_table():
    figure, table = plot_differences(make_runs()), compare_pairs(make_runs())
    for j, (name, gaps) in enumerate({"focal": GAPS, "class_balanced": BETTER}.items()):
        band, dots, mean = figure.data[3 * j : 3 * j + 3]
        row = table.loc[name]
        assert list(dots.x) == pytest.approx(gaps)
        assert len(set(dots.y)) == 1
        assert list(mean.x) == [pytest.approx(row["difference"])]
        ends = mean.x[0] - mean.error_x.arrayminus[0], mean.x[0] + mean.error_x.array[0]
        assert ends == (pytest.approx(row["low"]), pytest.approx(row["high"]))
        assert (band.base[0], band.base[0] + band.x[0]) == (
            pytest.approx(-row["detectable"]),
            pytest.approx(row["detectable"]),
        )
        low, high = figure.layout.xaxis.range
        assert low < min(gaps) < max(gaps) < high == -low


def test_the_verdict_stands_under_each_name_and_the_title_names_the_baseline():
    figure = plot_differences(make_runs(), metric="mcc")
    focal, balanced = figure.layout.yaxis.ticktext
    p = stats.ttest_rel(add(GAPS), BASE).pvalue  # the higher of two: Holm leaves it as it is
    assert focal == f"<b>focal</b><br>not separable with 5 seeds, p = {p:.2g}"
    assert balanced.startswith("<b>class_balanced</b><br>higher, p = ")
    assert figure.layout.title.text == "mcc on test: each method less instance"
    assert figure.layout.xaxis.title.text == "difference of mcc on test"
    assert [line.x0 for line in figure.layout.shapes] == [0]


def test_another_baseline_turns_the_differences_round():
    dots = plot_differences(make_runs(), "focal").data[1]
    assert (dots.name, list(dots.x)) == ("instance", pytest.approx([-gap for gap in GAPS]))
    with pytest.raises(
        BmixError, match="reference must be one of instance, focal, class_balanced, got 'fokal'"
    ):
        plot_differences(make_runs(), "fokal")


def test_a_method_keeps_colour_and_marker_whatever_the_baseline():
    def look(reference):
        dots = plot_differences(make_runs(), reference).data[1::3]
        return {trace.name: (trace.marker.color, trace.marker.symbol) for trace in dots}

    assert look("instance")["class_balanced"] == look("focal")["class_balanced"]
    assert len(set(look("instance").values())) == 2


def test_folds_are_pairs_too():
    figure = plot_differences(folds("instance", BASE) + folds("focal", add(GAPS)))
    assert figure.layout.yaxis.ticktext[0].startswith(
        "<b>focal</b><br>not separable with 5 folds, p = "
    )
    assert list(figure.data[1].x) == pytest.approx(GAPS)


@pytest.mark.parametrize("gaps", [[0.1], [], [0.02, 0.02]])
def test_where_there_is_no_verdict_the_dots_remain(gaps):
    other = [base + gap for base, gap in zip(BASE, gaps, strict=False)]
    figure = plot_differences(seeds("instance", BASE) + seeds("focal", other or [None]))
    assert figure.layout.yaxis.ticktext == ("<b>focal</b><br>no verdict",)
    assert list(figure.data[1].x) == pytest.approx(gaps)
    assert np.isfinite(figure.layout.xaxis.range).all()


def test_one_method_alone_is_compared_with_nothing_and_that_is_said():
    figure = plot_differences(seeds("instance", BASE))
    assert [note.text for note in figure.layout.annotations] == ["There is only one method."]
