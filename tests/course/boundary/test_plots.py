import json

import numpy as np
import pytest

from bmix_lite.base.errors import BmixError
from bmix_lite.course.boundary.playground import read_playground
from bmix_lite.course.boundary.plots import (
    BLEND,
    METHODS,
    plot_boundaries,
    plot_mixed_points,
    plot_playground,
    plot_playground_recalls,
    plot_recalls,
)
from bmix_lite.course.boundary.points import ROLES
from bmix_lite.course.boundary.toys import GRID, LEVELS, make_toy, to_points
from bmix_lite.data.imageset import ImageSet
from course.boundary.test_playground import CLASSES, make_contents, write
from tiny import HOSTILE


@pytest.fixture(scope="module")
def arrays():
    return make_contents()[1]


@pytest.fixture(scope="module")
def playground(tmp_path_factory):
    return read_playground(write(tmp_path_factory.mktemp("playground") / "p.npz", *make_contents()))


def heatmaps(figure):
    return [trace for trace in figure.data if trace.type == "heatmap"]


def test_the_four_panels_are_the_stored_regions_of_the_four_methods(playground, arrays):
    figure = plot_playground("blobs", 100, 0.2, 5, playground)
    for panel, row in zip(heatmaps(figure), range(4), strict=True):
        assert np.array_equal(panel.z, arrays["blobs regions"][1, row, 1])
    two = plot_playground("moons", 100, 0.2, 5, playground)
    for panel, row in zip(heatmaps(two), range(4), strict=True):
        assert np.array_equal(panel.z == 2, arrays["moons regions"][1, row, 1] == 1)
        assert set(np.unique(panel.z)) == {0, 2}


def test_panel_titles_give_the_mean_rare_recall_over_seeds(playground, arrays):
    figure = plot_playground("blobs", 100, 0.2, 5, playground)
    titles = [annotation.text for annotation in figure.layout.annotations]
    for row, (title, (name, _)) in enumerate(zip(titles, METHODS.values(), strict=True)):
        assert title.startswith(f"<b>{name}")
        assert title.endswith(f"rare recall {arrays['blobs recall'][1, row, 1][:, -1].mean():.2f}")
    assert "3 seeds" in figure.layout.title.text


def test_every_setting_gives_the_same_traces_so_that_a_redraw_is_in_place(playground):
    for plot in (plot_playground, plot_playground_recalls):
        drawn = [plot(kind, ratio, 0.2, 1, playground) for kind in CLASSES for ratio in (1, 100)]
        kinds = [
            [(trace.type, trace.xaxis, trace.yaxis) for trace in figure.data] for figure in drawn
        ]
        assert all(kind == kinds[0] for kind in kinds)
        assert len({figure.layout.uirevision for figure in drawn}) == 1
        assert drawn[0].layout.uirevision is not None


@pytest.mark.parametrize("kind", CLASSES)
def test_training_points_are_drawn_by_class_with_colour_and_marker_the_rare_ones_larger(kind):
    data = make_toy(kind, 30)
    figure = plot_boundaries(data, [("one", np.zeros((GRID, GRID), int))] * 4)
    drawn = [trace for trace in figure.data if trace.type == "scatter" and len(trace.x)]
    assert (
        len({trace.marker.color for trace in drawn})
        == len({trace.marker.symbol for trace in drawn})
        == len(drawn)
    )
    assert drawn[-1].marker.size > drawn[0].marker.size
    rows = data.rows("train")
    for j, trace in enumerate(drawn):
        expected = to_points(data.images[rows][data.labels[rows] == j]) * LEVELS
        drawn_at = np.column_stack([trace.x, trace.y]).reshape(4, -1, 2)
        for panel, heat in zip(
            drawn_at, heatmaps(figure), strict=True
        ):  # each panel has all points, from its corner
            assert panel - [heat.x0, heat.y0] == pytest.approx(expected)
        assert trace.name == f"{data.class_names[j]} (n={len(expected)})"


def test_a_region_lies_where_its_points_lie():
    data = make_toy("moons", 1)
    regions = np.zeros((GRID, GRID), int)
    regions[0, -1] = 1  # y = 0, x = 1
    heat = heatmaps(plot_boundaries(data, [("one", regions)]))[0]
    row, column = np.argwhere(np.asarray(heat.z) == 2)[0]
    assert heat.x0 + column * heat.dx == pytest.approx(LEVELS)
    assert heat.y0 + row * heat.dy == 0


def test_the_panels_stand_two_by_two_in_reading_order_and_do_not_overlap():
    figure = plot_boundaries(
        make_toy("moons", 1), [(str(k), np.zeros((GRID, GRID), int)) for k in range(4)]
    )
    corners = [(heat.x0, heat.y0) for heat in heatmaps(figure)]
    (left, top), (right, _), (_, bottom), _ = corners
    assert corners == [(left, top), (right, top), (left, bottom), (right, bottom)]
    assert right - left > LEVELS < top - bottom
    low, high = figure.layout.yaxis.range
    assert low < bottom
    assert high > top + LEVELS
    for (x, y), title in zip(corners, figure.layout.annotations, strict=True):
        assert x < title.x < x + LEVELS < title.y - y + x


def test_colours_of_regions_are_steps_and_each_pale_colour_is_one_class():
    heat = heatmaps(plot_boundaries(make_toy("blobs", 1), [("one", np.zeros((GRID, GRID), int))]))[
        0
    ]
    stops = [(at, colour) for at, colour in heat.colorscale]
    for value, (_, pale, _, _) in enumerate(ROLES):
        share = (value - heat.zmin) / (heat.zmax - heat.zmin)
        below = [colour for at, colour in stops if at <= share]
        above = [colour for at, colour in stops if at >= share]
        assert below[-1] == above[0] == pale
    assert heat.showscale is False


def test_recalls_show_every_seed_the_means_and_balanced_accuracy():
    recalls = {"one": [[0.9, 0.1], [0.8, 0.4]], "two": [[0.7, 0.7], [0.5, 0.9]]}
    figure = plot_recalls(recalls, ["common", "rare"])
    dots, bars = figure.data[0::2], figure.data[1::2]
    assert list(dots[0].y) == pytest.approx([0.9, 0.1, 0.5, 0.8, 0.4, 0.6])
    assert list(bars[0].y) == pytest.approx([0.85, 0.25, 0.55])
    assert list(bars[1].y) == pytest.approx([0.6, 0.8, 0.7])
    assert list(dots[0].x) == pytest.approx([*bars[0].x] * 2)
    assert dots[0].marker.symbol != dots[1].marker.symbol
    assert [trace.name for trace in dots] == ["one", "two"]


def test_recalls_of_the_playground_are_those_stored(playground, arrays):
    figure = plot_playground_recalls("moons", 1, 0.2, 5, playground)
    for row, bars in enumerate(figure.data[1::2]):
        assert list(bars.y[:2]) == pytest.approx(arrays["moons recall"][0, row, 1].mean(axis=0))


def test_mixed_points_are_coloured_by_their_rare_share_the_highest_on_top():
    points, soft = (
        np.array([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]]),
        np.array([[0, 1.0], [1, 0], [0.75, 0.25]]),
    )
    trace = plot_mixed_points(make_toy("moons", 10), points, soft).data[-1]
    assert list(trace.marker.color) == [0, 0.25, 1]
    assert list(trace.x) == [0.3, 0.5, 0.1]
    assert list(trace.y) == [0.4, 0.6, 0.2]
    assert (trace.marker.cmin, trace.marker.cmax) == (0, 1)


def test_the_scale_of_the_rare_share_grows_darker_all_the_way():
    def lightness(colour):
        return sum(
            weight * int(colour[at : at + 2], 16)
            for weight, at in zip((0.2126, 0.7152, 0.0722), (1, 3, 5), strict=True)
        )

    values = [lightness(colour) for _, colour in BLEND]
    assert values == sorted(values, reverse=True)


def test_names_appear_as_text(playground):
    toy = make_toy("blobs", 10)
    data = ImageSet(toy.images, toy.labels, HOSTILE[:3], split=toy.split)
    figures = [
        plot_boundaries(data, [("one", np.zeros((GRID, GRID), int))]),
        plot_mixed_points(data, [[0.5, 0.5]], [[1, 0, 0]]),
        plot_recalls({HOSTILE[0]: [[0.1, 0.2, 0.3]], HOSTILE[1]: [[0.1, 0.2, 0.3]]}, HOSTILE[:3]),
    ]
    for figure in figures:
        content = json.dumps(figure.to_plotly_json(), default=str, ensure_ascii=False)
        assert "<img" not in content
        assert "$a_$" not in content
        assert "&lt;img" in content
        assert "糖尿病" in content


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plot_boundaries(make_toy("moons", 1), []), r"1 to 4 panels, got 0"),
        (lambda: plot_recalls({}, ["a", "b"]), r"1 to 5 methods, got 0"),
        (
            lambda: plot_mixed_points(make_toy("moons", 1), [[0, 0]], np.eye(2)),
            r"differ in length: 1 and 2",
        ),
    ],
)
def test_figures_that_cannot_be_drawn_are_refused(call, message):
    with pytest.raises(BmixError, match=message):
        call()
