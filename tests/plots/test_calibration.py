from itertools import pairwise

import numpy as np
import pytest

from bmix_lite.base.errors import BmixError
from bmix_lite.metrics import expected_calibration_error
from bmix_lite.plots.calibration import plot_reliability, tabulate_calibration
from plots.test_predictions import make_predictions, random_predictions, split


def points_of(figure):
    return figure.data[1::2]


def test_reliability_points_are_mean_confidence_and_accuracy_of_the_bins_of_all_runs():
    predictions = random_predictions(3, n=200)
    (points,) = points_of(plot_reliability({"m": predictions}))
    pool = np.concatenate([probabilities for _, probabilities in split(predictions)])
    confidence = pool.max(axis=1)
    right = (predictions["label"] == pool.argmax(axis=1)).to_numpy()
    edges = np.arange(16) / 15
    expected = []
    for low, high in pairwise(edges):
        inside = (confidence > low) & (confidence <= high)
        if inside.any():
            expected.append([confidence[inside].mean(), right[inside].mean(), inside.sum()])
    assert np.column_stack([points.x, points.y, points.customdata]) == pytest.approx(
        np.array(expected)
    )
    assert (np.argsort(points.marker.size) == np.argsort(points.customdata)).all()


def test_bins_without_predictions_are_absent():
    tables = {"m": make_predictions([0, 1], [[0.99, 0.01], [0.55, 0.45]])}
    (points,) = points_of(plot_reliability(tables))
    assert points.x.tolist() == [0.55, 0.99]
    assert points.y.tolist() == [0, 1]
    assert points.customdata.tolist() == [1, 1]


def test_the_calibration_error_is_the_mean_of_the_runs_and_not_that_of_the_pool():
    always_right = [[0.5, 0.5, 0.0]] * 4
    always_wrong = [[0.0, 0.5, 0.5]] * 4
    predictions = make_predictions([0] * 4, always_right, always_wrong)
    labels = predictions["label"].to_numpy()
    pool = predictions[["p_0", "p_1", "p_2"]].to_numpy()
    assert expected_calibration_error(labels, pool) == 0
    row = tabulate_calibration({"m": predictions}).loc["m"]
    assert row[["mean", "seed 0", "seed 1"]].tolist() == [0.5, 0.5, 0.5]
    figure = plot_reliability({"m": predictions})
    assert figure.layout.annotations[0].text.startswith(
        "m<br>ECE 0.500 (0.500 to 0.500)<br>by chance "
    )
    assert (points_of(figure)[0].x.tolist(), points_of(figure)[0].y.tolist()) == ([0.5], [0.5])


@pytest.mark.parametrize("methods", [1, 2, 3, 4, 7])
def test_every_method_has_a_diagram_and_empty_places_have_no_axes(methods):
    tables = {f"<b>method {j}</b>": random_predictions(2, n=10) for j in range(methods)}
    figure = plot_reliability(tables)
    assert len(points_of(figure)) == methods
    assert len({trace.xaxis for trace in points_of(figure)}) == methods
    assert len({(trace.marker.symbol, trace.line.color) for trace in points_of(figure)}) == methods
    assert sum(axis.visible is not False for axis in figure.select_xaxes()) == methods
    titles = [note.text for note in figure.layout.annotations]
    assert len(titles) == methods
    assert all(
        text.startswith(f"&lt;b&gt;method {j}&lt;/b&gt;<br>") for j, text in enumerate(titles)
    )


def test_no_method_is_refused():
    with pytest.raises(BmixError, match="at least one method"):
        plot_reliability({})
