import numpy as np
import pandas as pd
import pytest
from scipy import stats

from bmix_lite.base.errors import BmixError
from bmix_lite.comparison.verdicts import compare_pairs
from bmix_lite.plots.comparison import plot_against, plot_differences, plot_size_sensitivity
from comparison.test_verdicts import BASE, BETTER, GAPS, add, seeds, splits


def make_runs():
    return (
        seeds("instance", BASE) + seeds("focal", add(GAPS)) + seeds("class_balanced", add(BETTER))
    )


def test_every_pair_is_a_dot_and_bar_and_band_are_those_of_the_table():
    figure = plot_differences(make_runs())
    table = compare_pairs(make_runs())
    for j, (name, gaps) in enumerate({"focal": GAPS, "class_balanced": BETTER}.items()):
        perhaps, surely, dots, mean = figure.data[4 * j : 4 * j + 4]
        row = table.loc[name]
        assert list(dots.x) == pytest.approx(gaps)
        assert len(set(dots.y)) == 1
        assert list(mean.x) == [pytest.approx(row["difference"])]
        ends = mean.x[0] - mean.error_x.arrayminus[0], mean.x[0] + mean.error_x.array[0]
        assert ends == (pytest.approx(row["low"]), pytest.approx(row["high"]))
        for band, reach in ((perhaps, "detectable_high"), (surely, "detectable_low")):
            assert (band.base[0], band.base[0] + band.x[0]) == (
                pytest.approx(-row[reach]),
                pytest.approx(row[reach]),
            )
        low, high = figure.layout.xaxis.range
        assert low < min(gaps) < max(gaps) < high == -low


def test_the_verdict_stands_under_each_name_and_the_title_names_the_baseline():
    figure = plot_differences(make_runs(), metric="mcc")
    focal, balanced = figure.layout.yaxis.ticktext
    p = stats.ttest_rel(add(GAPS), BASE).pvalue  # the higher of two: Holm leaves it as it is
    assert focal == f"<b>focal</b><br>not separable with 5 seeds on this split, p = {p:.2g}"
    assert balanced.startswith("<b>class_balanced</b><br>higher on this split, p = ")
    assert figure.layout.title.text == "mcc on test: each method less instance"
    assert figure.layout.xaxis.title.text == "difference of mcc on test"
    assert [line.x0 for line in figure.layout.shapes] == [0]


def test_another_baseline_turns_the_differences_round():
    dots = plot_differences(make_runs(), "focal").data[2]
    assert (dots.name, list(dots.x)) == ("instance", pytest.approx([-gap for gap in GAPS]))
    with pytest.raises(
        BmixError, match="reference must be one of instance, focal, class_balanced, got 'fokal'"
    ):
        plot_differences(make_runs(), "fokal")


def test_a_method_keeps_colour_and_marker_whatever_the_baseline():
    def look(reference):
        dots = plot_differences(make_runs(), reference).data[2::4]
        return {trace.name: (trace.marker.color, trace.marker.symbol) for trace in dots}

    assert look("instance")["class_balanced"] == look("focal")["class_balanced"]
    assert len(set(look("instance").values())) == 2


def test_splits_are_pairs_too_and_the_figure_says_what_its_intervals_cover():
    figure = plot_differences(splits("instance", BASE) + splits("focal", add(GAPS)))
    said = figure.layout.title.subtitle.text
    assert said.startswith(
        "dots: splits; bar: mean and 95 % interval (other splits and test images)"
    )
    assert figure.layout.yaxis.ticktext[0].startswith(
        "<b>focal</b><br>not separable with 5 splits, p = "
    )
    assert list(figure.data[2].x) == pytest.approx(GAPS)


@pytest.mark.parametrize("gaps", [[0.1], [], [0.02, 0.02]])
def test_where_there_is_no_verdict_the_dots_remain(gaps):
    other = [base + gap for base, gap in zip(BASE, gaps, strict=False)]
    figure = plot_differences(seeds("instance", BASE) + seeds("focal", other or [None]))
    assert figure.layout.yaxis.ticktext == ("<b>focal</b><br>no verdict",)
    assert list(figure.data[2].x) == pytest.approx(gaps)
    assert np.isfinite(figure.layout.xaxis.range).all()


def test_one_method_alone_is_compared_with_nothing_and_that_is_said():
    figure = plot_differences(seeds("instance", BASE))
    assert [note.text for note in figure.layout.annotations] == ["There is only one method."]


HOSTILE = ["<img src=x onerror=alert(1)>", "$a_$", "糖尿病", "x" * 200]
SWEPT = {0.1: [0.80, 0.84, 0.82], 0.3: [0.85, 0.86, 0.90], 1.0: [0.70, 0.75, 0.71]}
METRIC = "test_balanced_accuracy"


def make_table(swept=None, method="balanced_mixup", level=("instance", [0.7, 0.8])):
    rows = [(method, x, y) for x, values in (swept or SWEPT).items() for y in values]
    rows += [(level[0], 0.0, y) for y in level[1]] if level else []
    table = pd.DataFrame(rows, columns=["method", "alpha", METRIC])
    return table.assign(run_id=[f"run {k}" for k in range(len(table))])


def test_every_run_is_a_dot_and_each_mean_has_student_s_interval():
    figure = plot_against(make_table(level=None), "alpha", METRIC)
    means, dots = figure.data
    assert list(means.y) == pytest.approx([np.mean(values) for values in SWEPT.values()])
    for k, values in enumerate(SWEPT.values()):
        low, high = stats.t.interval(0.95, 2, loc=np.mean(values), scale=stats.sem(values))
        assert means.y[k] - means.error_y.arrayminus[k] == pytest.approx(low)
        assert means.y[k] + means.error_y.array[k] == pytest.approx(min(1, high))
    assert list(dots.y) == [y for values in SWEPT.values() for y in values]
    assert list(dots.text) == [f"run {k}" for k in range(9)]
    assert figure.layout.title.text == "test balanced accuracy against alpha"
    assert figure.layout.title.subtitle.text == (
        "every run, mean, 95 % interval (other seeds alone)"
    )
    assert (figure.layout.xaxis.title.text, figure.layout.yaxis.title.text) == (
        "alpha",
        "test balanced accuracy",
    )
    assert list(figure.layout.xaxis.tickvals) == [0.1, 0.3, 1.0]


def test_over_splits_the_interval_allows_for_shared_images_and_counts_a_split_once():
    table = make_table(level=None)
    number = table.groupby("alpha").cumcount()
    table = table.assign(split=number, split_kind="folds", test_images=40, rest_images=160)
    twice = pd.concat([table, table])  # two seeds a split
    figure = plot_against(twice, "alpha", METRIC)
    values = SWEPT[0.1]
    half = stats.t.ppf(0.975, 2) * np.sqrt(np.var(values, ddof=1) * (1 / 3 + 40 / 160))
    assert figure.data[0].error_y.arrayminus[0] == pytest.approx(half)
    assert "(other splits and test images)" in figure.layout.title.subtitle.text
    figure = plot_against(twice.assign(split_kind="fixed_test"), "alpha", METRIC)
    assert np.isnan(figure.data[0].error_y.array).all()
    assert "(none over these splits)" in figure.layout.title.subtitle.text


def test_dots_and_means_stay_near_their_value_of_the_swept_number():
    steps = np.diff(sorted(SWEPT)).min()
    for trace in plot_against(make_table(level=None), "alpha", METRIC).data:
        places = np.unique(np.round(trace.x, 9))
        assert np.abs(places - sorted(SWEPT)).max() < steps / 4


def test_a_method_with_one_value_is_a_level_line_at_its_mean():
    *_, line = plot_against(make_table(), "alpha", METRIC).data
    assert list(line.y) == pytest.approx([0.75, 0.75])
    assert line.name == "instance, mean of 2"
    assert line.x[0] < 0.1 < 1.0 < line.x[1]


def test_a_level_line_says_at_which_value_it_was_run():
    table = make_table()
    table.loc[table["method"] == "instance", "alpha"] = 0.2
    assert plot_against(table, "alpha", METRIC).data[-1].name == "instance at alpha 0.2, mean of 2"


def test_an_interval_ends_where_its_metric_does():
    means, _ = plot_against(
        make_table({0.1: [0.9, 0.99], 0.3: [0.02, 0.1]}, level=None), "alpha", METRIC
    ).data
    assert means.y[0] + means.error_y.array[0] == pytest.approx(1)
    assert means.y[1] - means.error_y.arrayminus[1] == pytest.approx(0, abs=1e-12)


@pytest.mark.filterwarnings("error", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_one_run_has_no_interval_and_an_undefined_metric_no_dot_in_the_mean():
    means, dots = plot_against(
        make_table({0.1: [0.9], 0.3: [0.5, np.nan, 0.7]}, level=None), "alpha", METRIC
    ).data
    assert list(means.y) == pytest.approx([0.9, 0.6])
    assert np.isnan(means.error_y.array[0])
    assert means.error_y.array[1] > 0
    assert len(dots.y) == 4


def test_a_value_at_which_every_run_is_undefined_has_no_mean():
    means, _ = plot_against(
        make_table({0.1: [0.9, 0.8], 0.3: [np.nan]}, level=None), "alpha", METRIC
    ).data
    assert np.isnan(means.y[1])


def test_several_methods_have_each_a_colour_a_dash_and_a_marker():
    table = pd.concat([make_table(level=None), make_table(level=None, method="mixup")])
    first, dots, second, others = plot_against(table, "alpha", METRIC).data
    assert first.line.color != second.line.color
    assert first.line.dash != second.line.dash
    assert dots.marker.symbol != others.marker.symbol


def test_nothing_is_drawn_against_a_number_that_no_method_varies():
    with pytest.raises(BmixError, match="alpha has one value in each method"):
        plot_against(make_table({0.1: [0.8, 0.9]}), "alpha", METRIC)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_text(name):
    for figure in (
        plot_against(make_table(method=name, level=(name + "2", [0.5])), "alpha", METRIC),
        plot_size_sensitivity(pd.DataFrame({"alpha": [0.1, 0.2], name: [0.5, 0.6]}), "alpha"),
    ):
        for trace in figure.data:
            assert "<" not in (trace.name or "")
            assert "$" not in (trace.name or "")


def test_recall_by_size_joins_the_means_and_shows_every_run():
    table = pd.DataFrame(
        {"alpha": [0.1, 0.1, 0.3], "rare": [0.2, 0.4, 0.6], "common": [0.9, 1.0, 0.95]}
    )
    rare, rare_dots, common, _ = plot_size_sensitivity(table, "alpha").data
    assert (list(rare.x), list(rare.y)) == ([0.1, 0.3], pytest.approx([0.3, 0.6]))
    assert list(common.y) == pytest.approx([0.95, 0.95])
    assert (list(rare_dots.x), list(rare_dots.y)) == ([0.1, 0.1, 0.3], [0.2, 0.4, 0.6])
    assert [rare.name, common.name] == ["rare", "common"]
    assert rare.line.dash != common.line.dash
