import html

import numpy as np
import pytest
from sklearn import metrics as sk

from bmix_lite.plots.imbalance import (
    plot_accuracy_trap,
    plot_class_counts,
    plot_lorenz,
    two_class_matrix,
)
from tiny import HOSTILE


def test_bars_are_the_counts_on_a_log_scale_and_every_class_has_its_name_as_text():
    counts = [700, 60, 50, 40, 30, 2, 1]
    figure = plot_class_counts(counts, HOSTILE, "<b>bold</b>")
    assert list(figure.data[0].x) == counts
    assert figure.layout.xaxis.type == "log"
    assert figure.layout.xaxis.range[0] == 0  # one image: the length of a bar is read from there
    shown = figure.layout.yaxis.ticktext
    assert len(set(shown)) == len(counts)
    assert not any("<img" in name or "$" in name for name in shown)
    assert html.unescape(shown[0]) == HOSTILE[0]
    assert "<b>" not in figure.layout.title.text
    assert "700.0 : 1" in figure.layout.title.text


@pytest.mark.parametrize("classes", [2, 23])
def test_few_and_many_classes_all_have_a_bar(classes):
    figure = plot_class_counts(range(classes, 0, -1), [f"class {k}" for k in range(classes)])
    assert len(figure.data[0].x) == len(figure.layout.yaxis.tickvals) == classes


def test_the_lorenz_curve_of_equal_classes_is_the_diagonal_and_of_others_hangs_below():
    figure = plot_lorenz({"even": [5, 5, 5, 5], "<b>long tail": [90, 9, 1]})
    diagonal, even, tail = figure.data
    assert np.asarray(even.y) == pytest.approx(np.asarray(even.x))
    assert np.asarray(tail.y) == pytest.approx([0, 0.01, 0.1, 1])
    assert np.asarray(tail.x) == pytest.approx([0, 1 / 3, 2 / 3, 1])
    assert tail.name == "&lt;b&gt;long tail"
    assert {diagonal.line.dash, even.line.dash, tail.line.dash} == {"dash", "solid"}
    assert even.marker.symbol != tail.marker.symbol


@pytest.mark.parametrize("ratio", [1, 10, 200])
@pytest.mark.parametrize(
    ("common", "rare"), [(0.9, 0.2), (1.0, 0.0), (0.0, 1.0), (0.5, 0.5), (1.0, 1.0)]
)
def test_the_trap_shows_what_scikit_learn_says(ratio, common, rare):
    figure = plot_accuracy_trap(ratio, common, rare)
    truth, predicted = [0, 0, 1, 1], [0, 1, 0, 1]
    weights = np.ravel(two_class_matrix(ratio, common, rare))
    there = weights > 0
    y = np.array(truth)[there]
    p = np.array(predicted)[there]
    w = weights[there]
    expected = [
        (ratio * common + rare) / (ratio + 1),
        (common + rare) / 2,
        sk.f1_score(y, p, average="macro", sample_weight=w, labels=[0, 1], zero_division=0),
        sk.matthews_corrcoef(y, p, sample_weight=w),
        sk.cohen_kappa_score(y, p, sample_weight=w, weights="quadratic"),
    ]
    assert list(figure.data[1].x) == pytest.approx(expected, abs=1e-9)
    assert np.sum(figure.data[0].z) == pytest.approx(1000)
    assert [trace.type for trace in figure.data] == ["heatmap", "bar"]


def test_each_bar_of_the_trap_has_a_second_cue_and_its_number():
    bars = plot_accuracy_trap(100, 0.98, 0.2).data[1]
    assert bars.marker.pattern.shape == ("", "/", "/", "/", "/")
    assert bars.text[:2] == ("0.972", "0.590")
