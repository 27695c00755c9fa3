import base64
import dataclasses
import html
import io

import numpy as np
import pytest
from PIL import Image

from bmix_lite.base.errors import BmixError
from bmix_lite.course.simulate import draw_mixed_images
from bmix_lite.data.datasets import load
from bmix_lite.plots.images import make_mosaic, plot_gallery, plot_mixed_strip, plot_pair
from examples import make_images
from tiny import HOSTILE


def read_picture(uri):
    header, content = uri.split(",")
    assert header == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(content))))


def strip(captions=("a", "b"), lams=(0.25, 1.0), side=48):
    base, balanced, mixed = (
        np.full((2, side, side, 3), value, np.uint8) for value in (10, 200, 57)
    )
    return plot_mixed_strip(base, balanced, mixed, lams, captions)


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


def test_the_strip_shows_base_balanced_and_mix_from_top_to_bottom():
    picture = read_picture(strip().data[0].source)
    assert [picture[row * 102 + 50, 50, 0] for row in range(3)] == [10, 200, 57]


def test_each_column_of_the_strip_carries_its_lam_and_soft_label():
    notes = strip(["0.75 a\n0.25 b", "1.00 c"]).layout.annotations
    names = notes[:3]
    columns = notes[3:5]
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


def test_the_strip_says_what_it_shows():
    assert "(1 - lam) · base + lam · balanced" in strip().layout.title.text


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
