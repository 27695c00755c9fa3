import html

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import confusion_matrix

from bmix_lite.base.errors import BmixError
from bmix_lite.plots.runs import (
    plot_confusion_difference,
    plot_confusion_pair,
    plot_confusions,
    plot_history,
    plot_in_groups,
    plot_metric_dots,
    plot_recall_by_size,
)
from tiny import HOSTILE

CLASSES = [HOSTILE, ["no", "yes"], [f"grade {j}" for j in range(20)]]
HISTORY = [
    {
        "epoch": j,
        "train_loss": 2 / j,
        "val_loss": 1 / j,
        "val_mcc": j / 10,
        "val_balanced_accuracy": j / 5,
    }
    for j in (1, 2, 3)
]
ONE, OTHER = np.array([[6, 2], [0, 4]]), np.array([[4, 4], [1, 3]])


def summary(**columns):
    table = {"runs": [3, 2], "mean": [0.5, 0.7], "low": [0.4, 0.65], "high": [0.6, 0.75]}
    table |= {"covers": ["other seeds alone"] * 2}
    table |= {"seed 0": [0.4, 0.65], "seed 1": [0.5, 0.75], "seed 2": [0.6, None]}
    return pd.DataFrame(
        table | columns, index=pd.Index(["instance", "balanced_mixup, alpha 0.2"], name="method")
    )


def says_what_it_shows(figure):
    axes = [*figure.select_xaxes(), *figure.select_yaxes()]
    return bool(figure.layout.title.text) and all(
        axis.title.text or axis.ticktext or axis.matches for axis in axes
    )


@pytest.mark.parametrize("history", [HISTORY, pd.DataFrame(HISTORY)])
def test_learning_curves_are_the_records_of_the_run(history):
    train, val, metric = plot_history(history, "mcc").data
    assert [list(curve.x) for curve in (train, val, metric)] == [[1, 2, 3]] * 3
    assert train.y == pytest.approx([2, 1, 2 / 3])
    assert val.y == pytest.approx([1, 1 / 2, 1 / 3])
    assert metric.y == pytest.approx([0.1, 0.2, 0.3])
    assert (train.yaxis, val.yaxis, metric.yaxis) == ("y", "y", "y2")
    assert metric.name == "validation mcc"
    assert len({curve.line.dash for curve in (train, val, metric)}) == 3


def test_before_the_first_epoch_the_curves_are_empty_and_keep_their_places():
    figure = plot_history([])
    assert [len(curve.x) for curve in figure.data] == [0, 0, 0]
    assert [note.text for note in figure.layout.annotations] == ["loss", "balanced accuracy"]
    assert [axis.title.text for axis in figure.select_xaxes()] == ["epoch", "epoch"]


def test_every_run_is_a_dot_and_the_bar_is_mean_and_interval():
    dots, bar, _, _ = plot_metric_dots(summary(), "mcc on test").data
    assert list(dots.x) == [0.4, 0.5, 0.6]
    assert list(dots.text) == ["seed 0", "seed 1", "seed 2"]
    assert list(bar.x) == [0.5]
    assert (bar.error_x.array[0], bar.error_x.arrayminus[0]) == (
        pytest.approx(0.1),
        pytest.approx(0.1),
    )


def test_an_interval_need_not_be_symmetric():
    bar = plot_metric_dots(summary(low=[0.2, 0.65], high=[0.55, 0.75]), "mcc").data[1]
    assert (bar.error_x.arrayminus[0], bar.error_x.array[0]) == (
        pytest.approx(0.3),
        pytest.approx(0.05),
    )


def test_a_run_without_the_metric_is_no_dot_and_not_counted():
    figure = plot_metric_dots(summary(), "mcc")
    assert np.isnan(np.asarray(figure.data[2].x, dtype=float)).tolist() == [False, False, True]
    assert figure.layout.yaxis.ticktext == ("instance (n=3)", "balanced_mixup, alpha 0.2 (n=2)")
    assert figure.layout.yaxis.range == (1.5, -0.5)


def test_methods_differ_in_marker_and_colour_and_every_axis_is_named():
    figure = plot_metric_dots(summary(), "mcc on test")
    assert figure.data[0].marker.symbol != figure.data[2].marker.symbol
    assert figure.data[0].marker.color != figure.data[2].marker.color
    assert says_what_it_shows(figure)
    assert figure.layout.title.text == (
        "mcc on test: every run, mean, 95 % interval (other seeds alone)"
    )


def test_confusion_matrices_stand_side_by_side_on_one_scale_with_their_counts_printed():
    figure = plot_confusions({"one": ONE, "other": OTHER}, ["no", "yes"])
    one, other = figure.data
    assert np.array_equal(one.z, ONE)
    assert np.array_equal(other.z, OTHER)
    assert [list(row) for row in one.text] == [["6", "2"], ["", "4"]]
    assert (one.zmin, one.zmax, other.zmin, other.zmax) == (0, 6, 0, 6)
    assert [note.text for note in figure.layout.annotations] == ["one", "other"]
    assert one.texttemplate == "%{text}"
    assert says_what_it_shows(figure)


def test_rows_of_a_normalised_confusion_matrix_are_fractions_of_the_true_class():
    rng = np.random.default_rng(0)
    labels, predicted = rng.integers(0, 4, (2, 300))
    heat = plot_confusions(
        {"": confusion_matrix(labels, predicted)}, range(4), normalise=True
    ).data[0]
    expected = confusion_matrix(labels, predicted, normalize="true")
    assert heat.z == pytest.approx(expected, abs=1e-12)
    assert [list(row) for row in heat.text] == [
        [f"{value:.2f}" for value in row] for row in expected
    ]
    assert (heat.zmin, heat.zmax) == (0, 1)


def test_a_class_without_images_has_no_fractions():
    z = plot_confusions({"": [[1, 3], [0, 0]]}, ["no", "yes"], normalise=True).data[0].z
    assert z[0].tolist() == [0.25, 0.75]
    assert np.isnan(z[1]).all()


def test_true_classes_are_read_from_top_to_bottom_and_predictions_from_left_to_right():
    figure = plot_confusions({"": ONE}, ["no", "yes"])
    axes = figure.layout.xaxis, figure.layout.yaxis
    assert [axis.title.text for axis in axes] == ["predicted", "true"]
    assert axes[1].autorange == "reversed"
    assert list(figure.data[0].x) == list(figure.data[0].y) == ["no", "yes"]


def test_the_difference_is_the_second_minus_the_first_as_fractions():
    figure = plot_confusion_difference({"one": ONE, "other": OTHER}, ["no", "yes"], "one", "other")
    assert figure.layout.template.layout.paper_bgcolor == "white"  # the theme of all figures
    heat = figure.data[0]
    assert heat.z == pytest.approx(np.array([[-0.25, 0.25], [0.25, -0.25]]))
    assert [list(row) for row in heat.text] == [["-0.25", "+0.25"], ["+0.25", "-0.25"]]
    assert (heat.zmin, heat.zmax) == (pytest.approx(-0.25), pytest.approx(0.25))
    assert figure.layout.title.text.startswith("other minus one")
    assert says_what_it_shows(figure)


def test_equal_matrices_differ_nowhere():
    heat = plot_confusion_difference({"one": ONE}, ["no", "yes"], "one", "one").data[0]
    assert not heat.z.any()
    assert {text for row in heat.text for text in row} == {""}
    assert heat.zmin < 0 < heat.zmax


@pytest.mark.parametrize("draw", [plot_confusion_pair, plot_confusion_difference])
def test_any_two_matrices_can_be_chosen_and_no_other_names(draw):
    matrices = {"one": ONE, "other": OTHER, "third": ONE + OTHER}
    figure = draw(matrices, ["no", "yes"], "third", "one")
    given = [
        matrices[name] / matrices[name].sum(axis=1, keepdims=True) for name in ("third", "one")
    ]
    expected = given if draw is plot_confusion_pair else [given[1] - given[0]]
    for heat, matrix in zip(figure.data, expected, strict=True):
        assert heat.z == pytest.approx(matrix)
    with pytest.raises(BmixError, match="second must be one of one, other, third, got 'othr'"):
        draw(matrices, ["no", "yes"], "one", "othr")


def test_a_pair_may_be_shown_as_counts_and_one_method_twice_stands_once():
    figure = plot_confusion_pair(
        {"one": ONE, "other": OTHER}, ["no", "yes"], "other", "other", normalise=False
    )
    (heat,) = figure.data
    assert (heat.z == OTHER).all()
    assert [note.text for note in figure.layout.annotations] == ["other"]


def test_in_each_group_every_run_is_a_dot_and_the_mean_a_bar():
    one = pd.DataFrame({"few (1 to 5)": [0.2, 0.6], "many": [0.9, np.nan]})
    figure = plot_in_groups({"one": one, "<b>": one.iloc[:1]}, title="recall", y="recall on test")
    dots, mean, other, _ = figure.data
    assert list(dots.y)[:3] == [0.2, 0.9, 0.6]
    assert np.isnan(dots.y[3])
    assert list(mean.y) == pytest.approx([0.4, 0.9])
    assert list(dots.x) == [*mean.x, *mean.x]
    assert (mean.x < other.x).all()
    assert np.abs([mean.x - [0, 1], other.x - [0, 1]]).max() < 0.5
    assert other.name == "&lt;b&gt;"
    assert (dots.marker.symbol, dots.marker.color) != (other.marker.symbol, other.marker.color)
    assert figure.layout.xaxis.ticktext == ("few<br>(1 to 5)", "many")
    assert says_what_it_shows(figure)


def test_recalls_are_means_with_bars_from_the_lowest_to_the_highest_run():
    recalls = {"instance": [[0.9, 0.2], [0.7, 0.6]], "balanced_mixup": [[0.8, 0.5]]}
    figure = plot_recall_by_size(recalls, [100, 10], ["common", "rare"])
    first, second = figure.data
    assert first.y == pytest.approx([0.8, 0.4])
    assert first.error_y.array == pytest.approx([0.1, 0.2])
    assert first.error_y.arrayminus == pytest.approx([0.1, 0.2])
    assert second.y == pytest.approx([0.8, 0.5])
    assert not second.error_y.array.any()
    assert np.abs(np.log([first.x / [100, 10], second.x / [100, 10]])).max() < 0.05
    assert (first.x < second.x).all()
    assert (first.line.dash, first.marker.symbol) != (second.line.dash, second.marker.symbol)
    assert figure.layout.xaxis.type == "log"
    assert says_what_it_shows(figure)


def test_a_fold_without_images_of_a_class_does_not_hide_the_recall_of_the_others():
    line = plot_recall_by_size(
        {"instance": [[0.9, np.nan], [0.7, 0.6], [0.8, 0.2]]}, [100, 10], ["a", "b"]
    ).data[0]
    assert line.y == pytest.approx([0.8, 0.4])
    assert line.error_y.array == pytest.approx([0.1, 0.2])
    assert line.error_y.arrayminus == pytest.approx([0.1, 0.2])


def test_a_class_without_any_recall_is_no_point():
    line = plot_recall_by_size({"instance": [[0.9, np.nan]]}, [100, 10], ["a", "b"]).data[0]
    assert np.isnan(line.y).tolist() == [False, True]


@pytest.mark.parametrize("class_names", CLASSES)
def test_every_class_has_its_own_row_and_column_in_a_confusion_matrix(class_names):
    matrix = np.eye(len(class_names))
    figures = [
        plot_confusions({"a": matrix, "b": matrix}, class_names, normalise=normalise)
        for normalise in (0, 1)
    ]
    figures.append(plot_confusion_difference({"a": matrix, "b": matrix}, class_names, "a", "b"))
    for heat in (trace for figure in figures for trace in figure.data):
        for axis in (heat.x, heat.y):
            assert len(set(axis)) == len(class_names)
            for shown, name in zip(axis, class_names, strict=True):
                assert not set(shown) & set("<>$")
                assert html.unescape(shown).startswith(name[:37] or "(no name)")
    assert all(axis.type == "category" for figure in figures for axis in figure.select_xaxes())


@pytest.mark.parametrize("class_names", CLASSES)
def test_every_point_of_the_recalls_names_its_class_as_text(class_names):
    line = plot_recall_by_size(
        {"a": [[0.5] * len(class_names)]}, [10] * len(class_names), class_names
    ).data[0]
    for shown, name in zip(line.text, class_names, strict=True):
        assert not set(shown) & set("<>$")
        assert html.unescape(shown).startswith(name[:37] or "(no name)")
