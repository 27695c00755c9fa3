import base64
import html
import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn import metrics as sk

from bmix_lite.base.errors import BmixError
from bmix_lite.comparison.predictions import collect_predictions, split_runs
from bmix_lite.comparison.tables import group_runs, sum_confusions
from bmix_lite.data.datasets import load
from bmix_lite.data.imageset import ImageSet
from bmix_lite.metrics import per_class_auc
from bmix_lite.plots.predictions import plot_cell, plot_cell_matrix, plot_roc
from bmix_lite.runs.reading import read_runs
from tiny import HOSTILE

CLASSES = [HOSTILE, ["no", "yes"], [f"grade {j}" for j in range(20)]]


def draw_matrix(predictions, class_names, true, predicted, name=""):
    return plot_cell_matrix({name: predictions}, class_names, true, predicted, name)


def draw_cell(predictions, data, true, predicted, name="", **keywords):
    return plot_cell({name: predictions}, data, true, predicted, name, **keywords)


def make_predictions(labels, *runs):
    """What `collect_predictions` gives for images 0, 1, ...; runs: (n, C) probabilities of each."""
    tables = []
    for seed, probabilities in enumerate(runs):
        probabilities = np.asarray(probabilities, dtype=float)
        table = pd.DataFrame(
            probabilities, columns=[f"p_{j}" for j in range(probabilities.shape[1])]
        )
        table.insert(0, "predicted", probabilities.argmax(axis=1))
        table.insert(0, "label", labels)
        table.insert(0, "index", np.arange(len(labels)))
        table.insert(0, "seed", seed)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def random_predictions(classes, *, seeds=3, n=60, absent=()):
    rng = np.random.default_rng(0)
    there = [j for j in range(classes) if j not in absent]
    labels = np.resize(there, n)
    sharp = 2 * np.eye(classes)[labels]
    return make_predictions(
        labels, *(rng.dirichlet(np.ones(classes), n) / 3 + sharp / 3 for _ in range(seeds))
    )


def split(predictions):
    columns = [name for name in predictions if name.startswith("p_")]
    return [
        (run["label"].to_numpy(), run[columns].to_numpy()) for _, run in predictions.groupby("seed")
    ]


def make_set(images, classes=2, names=None):
    labels = np.arange(len(images)) % classes
    return ImageSet(images, labels, tuple(names or map(str, range(classes))))


def read_picture(figure):
    kind, content = figure.data[0].source.split(";base64,")
    return kind, np.asarray(Image.open(io.BytesIO(base64.b64decode(content))))


@pytest.fixture(scope="module")
def example(root):
    folder = root / "notebooks" / "example_runs"
    return folder, read_runs(folder), load("digits_lt")


def test_the_example_runs_have_the_confusions_and_areas_of_their_metrics(example):
    folder, runs, data = example
    groups = group_runs(runs)
    for name, table in collect_predictions(folder, groups, data).items():
        confusion = draw_matrix(table, data.class_names, 0, 0).data[0].z
        assert (confusion == sum_confusions(runs)[name]).all()
        expected = [run["metrics"]["test"]["macro_auc"] for run in groups[name]]
        found = [per_class_auc(*pair).mean() for pair in split_runs(table)]
        assert found == pytest.approx(expected, abs=1e-12)


FOUR = (
    [[0.9, 0.1], [0.2, 0.8], [0.3, 0.7], [0.6, 0.4]],
    [[0.8, 0.2], [0.45, 0.55], [0.9, 0.1], [0.4, 0.6]],
)


def test_the_matrix_counts_predictions_and_tells_how_sure_they_were():
    figure = draw_matrix(make_predictions([0, 0, 0, 1], *FOUR), ["no", "yes"], 0, 1, "instance")
    heat = figure.data[0]
    assert (
        heat.z.tolist() == sk.confusion_matrix([0, 0, 0, 1] * 2, [0, 1, 1, 0, 0, 1, 0, 1]).tolist()
    )
    # (0.9 + 0.8 + 0.9) / 3, (0.8 + 0.7 + 0.55) / 3, 0.6, 0.6
    assert heat.customdata.tolist() == [["0.87", "0.68"], ["0.60", "0.60"]]
    assert heat.text.tolist() == [["3", "3"], ["1", "1"]]
    assert figure.layout.title.text.startswith("instance")


def test_axes_of_the_matrix_are_class_numbers_with_the_true_class_from_top_to_bottom():
    figure = draw_matrix(random_predictions(3), ["a", "b", "c"], 2, 1)
    for axis, title in ((figure.layout.xaxis, "predicted"), (figure.layout.yaxis, "true")):
        assert axis.title.text == title
        assert axis.type is None or axis.type == "linear"
        assert (list(axis.tickvals), list(axis.ticktext)) == ([0, 1, 2], ["a", "b", "c"])
    heat = figure.data[0]
    assert (heat.x0, heat.y0, heat.x, heat.y) == (0, 0, None, None)
    assert figure.layout.yaxis.range[0] > figure.layout.yaxis.range[1]
    assert figure.layout.xaxis.range[0] < figure.layout.xaxis.range[1]


def test_the_chosen_cell_is_outlined_twice_so_that_it_is_seen_on_every_colour():
    shapes = draw_matrix(random_predictions(3), ["a", "b", "c"], 2, 1).layout.shapes
    assert [(box.x0, box.x1, box.y0, box.y1) for box in shapes] == [(0.5, 1.5, 1.5, 2.5)] * 2
    assert len({box.line.color for box in shapes}) == 2
    assert shapes[0].line.width > shapes[1].line.width


def test_an_empty_cell_prints_no_number_and_has_no_mean():
    heat = draw_matrix(random_predictions(3, absent=[1]), ["a", "b", "c"], 0, 0).data[0]
    assert heat.text.tolist()[1] == [""] * 3
    assert heat.customdata.tolist()[1] == ["none"] * 3


def test_an_image_that_several_seeds_put_into_the_cell_stands_once_most_confident_first():
    images = np.zeros((4, 8, 8, 1), np.uint8)
    images[:, 0, 0, 0] = [10, 20, 30, 40]
    figure = draw_cell(make_predictions([0, 0, 0, 1], *FOUR), make_set(images), 0, 1, "instance")
    # row 1 by both seeds: (0.8 + 0.55) / 2; row 2 by the first alone: 0.7
    assert [text.split("<br>") for text in figure.data[1].text] == [
        ["predicted 0.70", "true 0.30", "row 2", "1 of 2 runs"],
        ["predicted 0.68", "true 0.33", "row 1", "2 of 2 runs"],
    ]
    assert figure.layout.title.text == "True 0, predicted 1"
    assert figure.layout.title.subtitle.text == "instance: images 2, predictions 3 in 2 runs"
    _, picture = read_picture(figure)
    assert [picture[0, 0], picture[0, 102]] == [30, 20]


def test_images_right_in_all_runs_have_one_probability_and_one_run_needs_no_count():
    predictions = make_predictions([0, 0, 0, 1], FOUR[0])
    figure = draw_cell(predictions, make_set(np.zeros((4, 8, 8, 1), np.uint8)), 0, 0)
    assert list(figure.data[1].text) == ["predicted 0.90<br>row 0"]
    assert figure.layout.title.subtitle.text == "images 1"


@pytest.mark.parametrize(
    "shape", [(8, 8, 1), (28, 28, 3), (40, 20, 3), (300, 200, 3), (96, 96, 1), (400, 30, 1)]
)
def test_every_tile_lies_over_its_caption_and_nothing_in_the_captions_room(shape):
    images = np.stack([np.full(shape, 20 * j, np.uint8) for j in range(8)])
    predictions = make_predictions([0] * 8, [[1 - j / 100, j / 100] for j in range(8)])
    figure = draw_cell(predictions, make_set(images), 0, 0)
    kind, picture = read_picture(figure)
    assert kind == "data:image/png"
    assert list(picture.shape[2:]) == [3] * (shape[2] == 3)
    for j, (x, y) in enumerate(zip(figure.data[1].x, figure.data[1].y, strict=True)):
        column = picture[: int(y) - 3, int(x)] if j < 6 else picture[168 : int(y) - 3, int(x)]
        assert (column[-1] == 20 * j).all()
        assert (picture[int(y) : int(y) + 60, int(x)] == 255).all()
    assert (figure.layout.xaxis.range[1], figure.layout.yaxis.range[0]) == (
        picture.shape[1],
        picture.shape[0],
    )
    assert figure.layout.yaxis.scaleanchor == "x"


@pytest.mark.parametrize("shape", [(8, 8, 1), (28, 28, 3), (224, 224, 3), (512, 512, 1)])
def test_a_cell_takes_at_most_20_kb_whatever_the_images(shape):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (12, *shape), dtype=np.uint8)  # noise: nothing compresses worse
    predictions = make_predictions([0] * 12, [[0.9, 0.1]] * 12)
    figure = draw_cell(predictions, make_set(images), 0, 0, "m" * 40)
    assert len(figure.data[1].text) == 12
    assert len(figure.to_json()) <= 20_000


@pytest.mark.parametrize("limit", [1, 5, 12, 13])
def test_no_more_images_than_the_limit_are_shown_and_the_figure_keeps_its_height(limit):
    predictions = make_predictions([0] * 20 + [1], [[0.9, 0.1]] * 20 + [[0.7, 0.3]])
    data = make_set(np.zeros((21, 8, 8, 1), np.uint8))
    full, small = (draw_cell(predictions, data, true, 0, limit=limit) for true in (0, 1))
    assert len(full.data[1].text) == limit
    assert full.layout.title.subtitle.text == f"images 20, the {limit} most confident shown"
    assert len(small.data[1].text) == 1
    assert full.layout.height == small.layout.height


def test_an_empty_cell_says_so_and_has_the_same_traces():
    predictions = make_predictions([0, 0, 0, 1], FOUR[0])
    data = make_set(np.zeros((4, 8, 8, 1), np.uint8))
    empty = draw_cell(predictions, data, 1, 1)
    full = draw_cell(predictions, data, 0, 1)
    assert [note.text for note in empty.layout.annotations] == ["There is no such image."]
    assert len(full.layout.annotations) == 0
    assert (
        [trace.type for trace in empty.data]
        == [trace.type for trace in full.data]
        == ["image", "scatter"]
    )
    assert (read_picture(empty)[1] == 255).all()


def test_numbers_from_a_click_are_taken_though_they_are_floats():
    predictions = make_predictions([0, 0, 0, 1], *FOUR)
    data = make_set(np.zeros((4, 8, 8, 1), np.uint8))
    clicked = draw_cell(predictions, data, 0.0, 1.0)
    assert clicked.to_json() == draw_cell(predictions, data, 0, 1).to_json()
    clicked = draw_matrix(predictions, ["a", "b"], 0.0, 1.0)
    assert clicked.to_json() == draw_matrix(predictions, ["a", "b"], 0, 1).to_json()


@pytest.mark.parametrize("cell", [(2, 0), (0, -1), (0.5, 0), (None, 0)])
def test_a_cell_outside_the_matrix_is_refused(cell):
    predictions = make_predictions([0, 0, 0, 1], *FOUR)
    data = make_set(np.zeros((4, 8, 8, 1), np.uint8))
    for call in (
        lambda: draw_cell(predictions, data, *cell),
        lambda: draw_matrix(predictions, "ab", *cell),
    ):
        with pytest.raises(BmixError, match=r"(true|predicted) must be one of 0, 1, got"):
            call()


def test_the_method_is_chosen_by_its_name_and_another_name_is_refused():
    data = make_set(np.zeros((4, 8, 8, 1), np.uint8))
    tables = {}
    for name, probabilities in zip(("one", "other"), FOUR, strict=True):
        tables[name] = make_predictions([0, 0, 0, 1], probabilities)
        arguments = data, 0, 1, name
        figure = draw_cell(tables[name], *arguments)
        assert plot_cell(tables, *arguments).to_json() == figure.to_json()
    assert plot_cell_matrix(tables, "ab", 0, 1, "one").data[0].z.tolist() == [[1, 2], [1, 0]]
    assert plot_cell_matrix(tables, "ab", 0, 1, "other").data[0].z.tolist() == [[2, 1], [0, 1]]
    message = "name must be one of one, other, got 'onne'; did you mean 'one'"
    for call, about in ((plot_cell, data), (plot_cell_matrix, "ab")):
        with pytest.raises(BmixError, match=message):
            call(tables, about, 0, 1, "onne")


@pytest.mark.parametrize("limit", [0, -1, 1.5, "a"])
def test_a_limit_that_shows_nothing_is_refused(limit):
    data = make_set(np.zeros((4, 8, 8, 1), np.uint8))
    with pytest.raises(BmixError, match="limit must be an integer >= 1, got"):
        draw_cell(make_predictions([0, 0, 0, 1], *FOUR), data, 0, 0, limit=limit)


def test_the_roc_curve_of_one_run_is_scikit_learns():
    predictions = random_predictions(3, seeds=1)
    ((labels, probabilities),) = split(predictions)
    for which in range(3):
        curve = plot_roc({"instance": predictions}, "abc", which).data[1]
        false, true, _ = sk.roc_curve(labels == which, probabilities[:, which])
        assert (curve.x[0], curve.y[0]) == (0, 0)
        assert curve.y[1:] == pytest.approx(np.interp(curve.x[1:], false, true))
        area = sk.roc_auc_score(labels == which, probabilities[:, which])
        assert curve.name == f"instance: {area:.3f}"


def test_a_curve_over_runs_is_their_mean_at_each_false_positive_rate_and_no_pool():
    labels = [1, 1, 0, 0]
    # areas 1 and 3/4; pooled they would be less
    sure = [0.9, 0.8, 0.7, 0.6]
    unsure = [0.4, 0.2, 0.3, 0.1]
    runs = [np.column_stack([1 - np.array(run), run]) for run in (sure, unsure)]
    curve = plot_roc({"m": make_predictions(labels, *runs)}, "ab", 1).data[1]
    assert curve.name == "m: 0.875 (0.750 to 1.000)"
    # the first run is at 1 from the start; the second at 0.5 up to a rate of 0.5, then at 1
    at = dict(zip(np.round(curve.x[1:], 6), curve.y[1:], strict=True))
    assert [at[rate] for rate in (0, 0.25, 0.5, 0.75, 1)] == pytest.approx([0.75, 0.75, 1, 1, 1])


@pytest.mark.parametrize("labels", [[0, 0, 0, 0], [1, 1, 1, 1]])
def test_a_class_with_no_or_only_positives_has_no_roc_curve_and_that_is_said(labels):
    figure = plot_roc({"m": make_predictions(labels, *FOUR)}, ["no", "yes"], 1)
    assert np.isnan(figure.data[1].y[1:]).all()
    assert figure.data[1].name == "m: not defined"
    assert "No curve" in figure.layout.annotations[0].text


def test_ten_methods_all_differ_in_colour_and_dash_and_none_is_refused():
    tables = {f"method {j}": random_predictions(2, n=10) for j in range(10)}
    curves = plot_roc(tables, "ab", 0).data[1:]
    assert len({(curve.line.dash, curve.line.color) for curve in curves}) == 10
    with pytest.raises(BmixError, match="at least one method"):
        plot_roc({}, "ab", 0)


@pytest.mark.parametrize("seeds", [1, 3])
@pytest.mark.parametrize("class_names", CLASSES)
def test_class_and_method_names_appear_as_text_and_every_figure_says_what_it_shows(
    class_names, seeds
):
    classes = len(class_names)
    predictions = random_predictions(
        classes, seeds=seeds, absent=[classes - 1] if classes > 2 else []
    )
    data = make_set(np.zeros((60, 8, 8, 1), np.uint8), classes, class_names)
    name = "<img src=x onerror=alert(2)> $b_$"
    figures = [
        draw_matrix(predictions, class_names, 0, 1, name),
        draw_cell(predictions, data, 0, 1, name),
    ]
    figures += [plot_roc({name: predictions}, class_names, which) for which in range(classes)]
    for figure in figures:
        assert figure.layout.title.text
        written = figure.to_json()
        for bad in ("<img", "u003cimg", "$a_$", "$b_$"):
            assert bad not in written
    shown = figures[0].layout.xaxis.ticktext
    assert len(set(shown)) == classes
    for text, given in zip(shown, class_names, strict=True):
        assert html.unescape(text).startswith(given[:37] or "(no name)")
    for figure in figures[:2]:
        assert "&lt;img" in figure.layout.title.text + (figure.layout.title.subtitle.text or "")
