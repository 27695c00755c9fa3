import itertools
import json

import nbformat
import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from axe import check_page
from bmix_lite.base.errors import BmixError
from bmix_lite.distribution import class_probabilities
from bmix_lite.pages.export import export_html
from bmix_lite.plots.mixing import GRID
from bmix_lite.widgets.alpha import AlphaExplorer, compute_view
from bmix_lite.widgets.explore import MODULE_MIME, PLOTLY_MIME, precomputing
from tiny import ATTACK

COUNTS = [90, 9, 1]


def shares(alpha):
    return (np.array([0.9, 0.09, 0.01]) + alpha / 3) / (1 + alpha)


def test_a_view_holds_the_closed_forms():
    view = compute_view(COUNTS, 1.0, 0.25)
    assert view["mean"] == pytest.approx(0.2)
    assert view["median"] == pytest.approx(0.5**4)
    assert view["shares"] == pytest.approx(shares(0.25), rel=1e-5)
    assert view["base"] == pytest.approx([0.8] * 3, rel=1e-5)
    assert view["balanced"] == pytest.approx([0.2 * 100 / (3 * n) for n in COUNTS], rel=1e-5)
    assert view["density"] == pytest.approx(0.25 * GRID**-0.75, rel=1e-5)
    assert view["drawn"] is None


@pytest.mark.parametrize("q", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("alpha", [0.05, 1, 2])
def test_the_weights_of_all_images_add_up_to_the_epoch(q, alpha):
    view = compute_view(COUNTS, q, alpha)
    assert np.dot(COUNTS, np.add(view["base"], view["balanced"])) == pytest.approx(100, rel=1e-4)
    mass = np.multiply(COUNTS, np.add(view["base"], view["balanced"])) / 100
    assert mass == pytest.approx(view["shares"], abs=1e-4)


def test_the_slider_has_a_view_for_every_step_and_its_own_start():
    widget = AlphaExplorer(COUNTS, alpha=0.22)
    assert widget.alphas[:5] == [0.05, 0.1, 0.15, 0.2, 0.22]
    assert widget.alphas[-1] == 2
    assert [view["shares"] for view in widget.views] == [
        pytest.approx(shares(alpha), rel=1e-5) for alpha in widget.alphas
    ]
    assert widget.fixed["data"] == pytest.approx(class_probabilities(COUNTS, 1))


@pytest.mark.parametrize("alpha", [0, -1, 2.1, float("nan")])
def test_alpha_out_of_reach_is_refused(alpha):
    with pytest.raises(BmixError, match="alpha must"):
        AlphaExplorer(COUNTS, alpha=alpha)


def test_without_a_kernel_it_is_a_plotly_figure_of_the_alpha_it_stands_at():
    widget = AlphaExplorer(COUNTS, class_names=["a", "b", "c"], draw=shares)
    widget.alpha = 1.0
    bundle, _ = widget._repr_mimebundle_()
    assert bundle["text/plain"] == "AlphaExplorer(alpha=1)"
    traces = {trace.name: trace for trace in widget.draw_twin().data}
    assert np.asarray(traces["after mixing"].y) == pytest.approx(shares(1))
    assert np.asarray(traces["drawn"].y) == pytest.approx(shares(1))
    assert bundle[PLOTLY_MIME]["layout"]["title"]["text"] == "alpha = 1"
    assert MODULE_MIME not in bundle


@pytest.fixture(scope="module")
def lesson(tmp_path_factory):
    """An exported page with the widget."""
    folder = tmp_path_factory.mktemp("alpha")
    with precomputing():
        bundle, _ = AlphaExplorer(
            COUNTS, class_names=[ATTACK, "$a_$", "糖尿病"], draw=shares
        )._repr_mimebundle_()
    output = new_output("display_data", data=json.loads(json.dumps(bundle)))
    nbformat.write(
        new_notebook(cells=[new_code_cell("alpha", outputs=[output])]), folder / "lesson.ipynb"
    )
    return export_html(folder / "lesson.ipynb", folder / "lesson.html")


@pytest.fixture
def page(lesson, browser_page):
    """The page, without kernel and network."""
    browser_page.goto(lesson.as_uri())
    browser_page.wait_for_selector(".bmix-alpha svg")
    yield browser_page
    assert browser_page.evaluate("window.hit") is None
    assert browser_page.problems == []


def heights(page, colour_of_fill):
    """Heights of the bars of one fill, as shares of the tallest bar of the data."""
    bars = page.locator(f".bmix-alpha rect[fill*='{colour_of_fill}'][x][height]").evaluate_all(
        """bars => bars.filter(bar => bar.getAttribute('width') != '14')
                       .map(bar => Number(bar.getAttribute('height')))"""
    )
    return np.array([height for height in bars if height != 7])


def test_keys_move_the_drawn_bars_to_the_closed_form(page):
    slider = page.locator(".bmix-alpha input")
    slider.focus()
    for alpha in (0.25, 0.3, 0.35):
        page.keyboard.press("ArrowRight")
        assert page.locator(".bmix-alpha output").text_content() == f"{alpha:g}"
        ratio = heights(page, "-a)") / heights(page, "#666666")
        assert ratio == pytest.approx(shares(alpha) / [0.9, 0.09, 0.01], rel=1e-3)
    page.keyboard.press("End")
    assert page.locator(".bmix-alpha output").text_content() == "2"


def test_what_is_drawn_is_also_said(page):
    check_page(page, 390, 1280, place=".bmix-alpha")
    words = page.locator(".bmix-alpha svg").get_attribute("aria-label")
    assert words == page.locator(".bmix-alpha input").get_attribute("aria-valuetext")
    assert words.startswith(
        "alpha 0.2: mean weight 0.1667, median 0.03125; share of 糖尿病 0.01 in the data, 0.0638"
    )
    page.locator(".bmix-alpha input").press("ArrowLeft")
    assert page.locator(".bmix-alpha svg").get_attribute("aria-label").startswith("alpha 0.15:")


def test_on_a_phone_its_views_stand_below_each_other_and_its_words_can_be_read(page):
    page.set_viewport_size({"width": 390, "height": 800})
    page.reload()
    page.wait_for_selector(".bmix-alpha svg")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    titles = [title.bounding_box() for title in page.locator(".bmix-alpha .title").all()]
    assert all(above["y"] + 100 < below["y"] for above, below in itertools.pairwise(titles))
    assert min(title["height"] for title in titles) >= 12
    inside = page.locator(".bmix-alpha svg").bounding_box()
    for text in page.locator(".bmix-alpha svg text").all():
        box = text.bounding_box()
        assert inside["x"] <= box["x"]
        assert box["x"] + box["width"] <= inside["x"] + inside["width"]
        assert box["y"] + box["height"] <= inside["y"] + inside["height"]


def test_class_names_are_text(page):
    shown = page.locator(".bmix-alpha svg title").all_text_contents()
    assert shown == [f"{ATTACK}, n=90", "$a_$, n=9", "糖尿病, n=1"]
