import pandas as pd
import pytest

from bmix_lite.base.errors import BmixError
from bmix_lite.course.published import pair_runs, read_published
from bmix_lite.course.published_plots import plot_against_alpha, plot_by_method, plot_gaps

RUNS = read_published()[0]


def test_every_run_is_a_dot_in_the_row_of_its_method_and_the_bars_are_means():
    figure = plot_by_method(RUNS, RUNS["mcc"], RUNS["network"], "MCC, per cent")
    names = list(figure.layout.yaxis.ticktext)
    assert sorted(names) == sorted(set(RUNS["name"]))
    dots = [trace for trace in figure.data if trace.name != "mean"]
    drawn = sorted(
        (names[round(y)], round(x, 2))
        for trace in dots
        for x, y in zip(trace.x, trace.y, strict=True)
    )
    assert drawn == sorted(
        (name, round(mcc, 2)) for name, mcc in zip(RUNS["name"], RUNS["mcc"], strict=True)
    )
    left = RUNS[(RUNS["dataset"] == "hyper_kvasir") & (RUNS["network"] == "bit_m_r50x1")]
    bars = figure.data[1]
    found = {names[round(y)]: x for x, y in zip(bars.x, bars.y, strict=True)}
    assert found == pytest.approx(left.groupby("name")["mcc"].mean().to_dict())
    assert (
        len({trace.marker.symbol for trace in dots})
        == len({trace.marker.color for trace in dots})
        == 2
    )


def test_pairs_stand_in_the_row_of_their_comparison():
    gaps = {
        ref: pair_runs(RUNS, ref, "balanced_mixup, alpha 0.2", "mcc")
        for ref in ("class_balanced", "instance")
    }
    figure = plot_gaps(gaps, "MCC")
    assert list(figure.layout.yaxis.ticktext) == list(gaps)
    for row, series in enumerate(gaps.values()):
        drawn = [
            x
            for trace in figure.data
            for x, y in zip(trace.x, trace.y, strict=True)
            if round(y) == row
        ]
        assert sorted(drawn) == pytest.approx(sorted(series))
    assert len({trace.marker.symbol for trace in figure.data}) == 4
    with pytest.raises(BmixError, match="no comparison"):
        plot_gaps({}, "MCC")


def test_alpha_runs_from_plain_sampling_to_the_largest_and_the_thick_line_is_the_mean():
    figure = plot_against_alpha(RUNS, "mauc")
    thick = [trace for trace in figure.data if trace.name == "mean"]
    assert [list(trace.x) for trace in thick] == [[0, 0.1, 0.2, 0.3]] * 2
    chosen = RUNS[RUNS["name"].isin(["instance"]) & (RUNS["dataset"] == "hyper_kvasir")]
    means = chosen.groupby("network")["mauc"].mean()
    assert sorted(trace.y[0] for trace in thick) == pytest.approx(sorted(means))
    folds = [trace for trace in figure.data if trace.name == "fold 4"]
    assert [len(trace.x) for trace in folds] == [4, 4]
    with pytest.raises(BmixError, match="no run of Balanced-MixUp on 'nothing'"):
        plot_against_alpha(RUNS, "mauc", "nothing")


def test_a_hostile_name_stays_text():
    runs = RUNS.head(2).assign(name=["<b>a</b>", "$x$"])
    figure = plot_by_method(runs, runs["mcc"], pd.Series("<i>", runs.index), "MCC")
    assert not any(
        "<" in text or "$" in text for text in (*figure.layout.yaxis.ticktext, figure.data[0].name)
    )
