import dataclasses
import html

import numpy as np
import pytest

from bmix_lite.base.errors import BmixError
from bmix_lite.course.simulate import draw_mixed_images
from bmix_lite.data.datasets import load
from bmix_lite.plots.mixing import plot_alpha_views, plot_gallery, plot_pair
from examples import make_images
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


def test_a_pair_is_mixed_pixel_for_pixel_and_label_for_label():
    data = load("digits_lt")
    one, two = (plot_pair(data, 0, 9, lam) for lam in (0, 0.25))
    assert list(one.data[1].x) == [1] + [0] * 9
    assert list(two.data[1].x) == [0.75] + [0] * 8 + [0.25]
    assert one.data[0].source != two.data[0].source
    assert any("lam 0.25" in note.text for note in two.layout.annotations)
    assert list(plot_pair(data, 4, 4, 0.3).data[1].x) == [0] * 4 + [1] + [0] * 5


@pytest.mark.parametrize(
    ("first", "second", "lam", "message"),
    [(10, 0, 0.5, "first must be"), (0, -1, 0.5, "second must be"), (0, 1, 1.5, "lam must lie in")],
)
def test_classes_and_weights_that_do_not_exist_are_refused(first, second, lam, message):
    with pytest.raises(BmixError, match=message):
        plot_pair(load("digits_lt"), first, second, lam)


def test_the_gallery_names_both_parents_the_weight_and_the_uses():
    data = load("digits_lt")
    parts = draw_mixed_images(data, 1.0, 0.5, seed=0, epoch=2, size=4)
    texts = [note.text for note in plot_gallery(parts, data.class_names).layout.annotations]
    for k in range(4):
        lam = parts.lam[k]
        expected = [
            f"<b>lam {lam:.2f}</b>",
            f"{1 - lam:.2f} digit {parts.base_labels[k]}",
            f"row {parts.base_rows[k]}",
            f"{lam:.2f} digit {parts.balanced_labels[k]}",
            f"row {parts.balanced_rows[k]}",
            f"used {parts.uses[k]} times",
        ]
        assert "<br>".join(expected) in texts


def test_hostile_class_names_are_text_in_the_gallery_and_the_pair():
    data = dataclasses.replace(make_images(), class_names=HOSTILE[:3])
    parts = draw_mixed_images(data, 1.0, 0.5, seed=0, size=8)
    texts = "".join(note.text for note in plot_gallery(parts, data.class_names).layout.annotations)
    assert "<img" not in texts
    assert "&amp;lt;" not in texts
    assert "<img src=x" in html.unescape(texts)
    ticks = plot_pair(data, 0, 2, 0.5).layout.yaxis2.ticktext
    assert not any("<img" in tick or "$" in tick for tick in ticks)
