import base64
import html
import io

import numpy as np
import pytest
from PIL import Image
from scipy import stats

from bmix_lite.base.errors import BmixError
from bmix_lite.plots.images import (
    make_mosaic,
    plot_class_shares,
    plot_lam_density,
    plot_mixed_strip,
    to_data_uri,
)
from tiny import HOSTILE

COUNTS = [900, 90, 10]


def read_picture(uri):
    header, content = uri.split(",")
    assert header == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(content))))


def strip(captions=("a", "b"), lams=(0.25, 1.0), side=48):
    base, balanced, mixed = (
        np.full((2, side, side, 3), value, np.uint8) for value in (10, 200, 57)
    )
    return plot_mixed_strip(base, balanced, mixed, lams, captions)


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


@pytest.mark.parametrize("alpha", [0.1, 0.2, 1, 4])
def test_the_density_of_lam_and_its_mean_and_median_are_those_of_the_beta_distribution(alpha):
    curve, mean, median = plot_lam_density(alpha).data
    beta = stats.beta(alpha, 1)
    assert curve.y == pytest.approx(beta.pdf(curve.x), rel=1e-9)
    assert (curve.x[0], curve.x[-1]) == (pytest.approx(1e-4), 1)
    assert list(mean.x) == [pytest.approx(beta.mean())] * 2
    assert list(median.x) == [pytest.approx(beta.median())] * 2
    names, numbers = zip(*(line.name.split() for line in (mean, median)), strict=True)
    assert names == ("mean", "median")
    assert [float(number) for number in numbers] == pytest.approx(
        [beta.mean(), beta.median()], rel=5e-3
    )
    assert len({mean.line.dash, median.line.dash, "solid"}) == 3


def test_without_mixing_lam_is_zero_and_has_no_density():
    curve, mean, median = plot_lam_density(0).data
    assert not curve.y.any()
    assert list(mean.x) == list(median.x) == [0, 0]


def test_a_mosaic_enlarges_whole_pixels_and_keeps_the_order_of_rows_and_columns():
    rows = [
        np.arange(2 * 48 * 48, dtype=np.uint8).reshape(2, 48, 48, 1) + shift for shift in (0, 7)
    ]
    mosaic = make_mosaic(rows)
    assert mosaic.shape == (2 * (96 + 6), 2 * (96 + 6), 1)
    for row, images in enumerate(rows):
        for column, image in enumerate(images):
            tile = mosaic[row * 102 : row * 102 + 102, column * 102 : column * 102 + 102]
            assert np.array_equal(tile[:96:2, :96:2], image)
            assert np.array_equal(tile[1:96:2, 1:96:2], image)
            assert (tile[96:] == 255).all()
            assert (tile[:, 96:] == 255).all()


def test_large_images_are_not_enlarged():
    assert make_mosaic([np.zeros((1, 200, 200, 3), np.uint8)]).shape == (206, 206, 3)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_picture_survives_its_way_into_the_page(channels):
    image = np.random.default_rng(0).integers(0, 256, (5, 4, channels), dtype=np.uint8)
    assert np.array_equal(read_picture(to_data_uri(image)).reshape(image.shape), image)


def test_the_strip_shows_base_balanced_and_mix_from_top_to_bottom():
    picture = read_picture(strip().data[0].source)
    assert [picture[row * 102 + 50, 50, 0] for row in range(3)] == [10, 200, 57]


def test_each_column_of_the_strip_carries_its_lam_and_soft_label():
    names, columns = (
        strip(["0.75 a\n0.25 b", "1.00 c"]).layout.annotations[part]
        for part in (slice(3), slice(3, 5))
    )
    assert [note.text for note in names] == ["base", "balanced", "mixed"]
    assert [note.y for note in names] == [51, 153, 255]
    assert [note.text for note in columns] == [
        "<b>lam 0.25</b><br>0.75 a<br>0.25 b",
        "<b>lam 1.00</b><br>1.00 c",
    ]
    assert [note.x for note in columns] == [51, 153]


@pytest.mark.parametrize("name", HOSTILE[:3])
def test_a_hostile_class_name_in_a_caption_is_text(name):
    note = strip([f"0.75 {name}", "b"]).layout.annotations[3]
    caption = note.text.removeprefix("<b>lam 0.25</b><br>")
    assert not set(caption) & set("<>$")
    assert html.unescape(caption) == f"0.75 {name}"


def test_images_of_unequal_shape_are_refused():
    images = np.zeros((2, 4, 4, 1), np.uint8)
    with pytest.raises(BmixError, match="base, balanced and mixed must have one shape"):
        plot_mixed_strip(images, images[:1], images, [0, 0], ["", ""])


def test_every_figure_says_what_it_shows():
    for figure in (plot_class_shares(COUNTS), plot_lam_density(0.2)):
        layout = figure.layout
        assert layout.title.text
        assert layout.yaxis.title.text
    assert plot_lam_density(0.2).layout.xaxis.title.text == "lam"
    assert "(1 - lam) · base + lam · balanced" in strip().layout.title.text
