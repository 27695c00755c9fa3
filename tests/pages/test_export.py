import html
import json
from html.parser import HTMLParser

import ipywidgets
import nbformat
import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from plotly.offline import get_plotlyjs

from bmix_lite.base.errors import BmixError
from bmix_lite.pages.export import WIDGET_MIME, export_html, math_to_mathml
from bmix_lite.plots.mixing import plot_class_shares
from bmix_lite.widgets.explore import MODULE_MIME, PLOTLY_MIME, explore, precomputing
from tiny import ATTACK

NAMES = [ATTACK, "$a_$", "糖尿病", "</script><script>window.hit=1</script>", "", "same", "same"]
COUNTS = [500, 200, 100, 50, 20, 10, 5]
CODE = "price = '$5 and $6'  # a < b"
TEXT = """# A lesson
With $a_i<b$ and

$$\\frac{1}{2}$$

- [a link](https://example.org/?a=$1&b=$2), `$not$ a formula`

```
$$neither$$
```
"""


def show(data, *others):
    return [new_output("display_data", data=data), *others]


def figure_json(title="Shares"):
    figure = plot_class_shares(COUNTS, q=0.5, alpha=0.2, class_names=NAMES).update_layout(
        title_text=title
    )
    return json.loads(figure.to_json())


def live_bundle():
    return explore(
        plot_class_shares, counts=[90, 9, 1], alpha=ipywidgets.FloatSlider(0.2)
    )._repr_mimebundle_()


def whole_notebook():
    table = pd.DataFrame({ATTACK: [1]}, index=["</table><script>window.hit=1</script>"])
    printed = new_output("stream", text=f"costs $1 and $2 {ATTACK}\n")
    return [
        new_markdown_cell(TEXT),
        new_code_cell(CODE, execution_count=1, outputs=[printed]),
        new_code_cell(
            "draw()",
            outputs=show({PLOTLY_MIME: figure_json(), "image/png": "AAAA", "text/plain": "Figure"}),
        ),
        new_code_cell("live", outputs=show(json.loads(json.dumps(live_bundle())))),
        new_code_cell(
            "slider",
            outputs=show({WIDGET_MIME: {"model_id": "1"}, "text/plain": "IntSlider(value=3)"}),
        ),
        new_code_cell(
            "table", outputs=show({"text/html": table._repr_html_(), "text/plain": str(table)})
        ),
    ]


def export(folder, cells, **options):
    notebook = folder / "lesson.ipynb"
    nbformat.write(
        new_notebook(cells=cells, metadata={"widgets": {"state": {"secret": 1}}}), notebook
    )
    return export_html(notebook, folder / "lesson.html", **options).read_text(encoding="utf-8")


class Page(HTMLParser):
    """What a browser reads: tags with their attributes, visible text, and data of the figures."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text, self.figures, self.within = [], "", [], None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self.within = self.tags[-1] if tag in ("script", "style") else None

    def handle_endtag(self, tag):
        self.within = None

    def handle_data(self, text):
        if self.within is None:
            self.text += text
        elif self.within[1].get("type") == "application/json":
            self.figures.append(json.loads(text))

    def having(self, tag):
        return [attributes for found, attributes in self.tags if found == tag]


@pytest.fixture(scope="module")
def lesson(tmp_path_factory):
    return export(tmp_path_factory.mktemp("export"), whole_notebook())


def test_plotly_is_in_the_page_exactly_once(lesson):
    assert lesson.count(get_plotlyjs()) == 1


def test_the_page_loads_nothing_from_anywhere(lesson):
    own = lesson.replace(get_plotlyjs(), "")
    page = Page(own)
    addresses = [
        (tag, at[name])
        for tag, at in page.tags
        for name in ("src", "href", "srcset", "data")
        if name in at
    ]
    assert [
        (tag, where) for tag, where in addresses if tag != "a" and not where.startswith("data:")
    ] == []
    assert page.having("script")
    assert not any("src" in attributes for attributes in page.having("script"))
    assert "@import" not in own
    assert "url(http" not in own.replace('"', "").replace("'", "")


def test_formulas_are_mathml_and_dollar_signs_in_code_and_links_stay(lesson):
    page = Page(lesson)
    assert [math["display"] for math in page.having("math")] == ["inline", "block"]
    assert "\\frac" not in lesson.replace(get_plotlyjs(), "")
    for kept in (CODE, "$not$ a formula", "$$neither$$", "costs $1 and $2"):
        assert kept in page.text
    assert "https://example.org/?a=$1&b=$2" in [link.get("href") for link in page.having("a")]


def test_the_formula_in_a_heading_leaves_the_heading_whole(tmp_path):
    page = Page(export(tmp_path, [new_markdown_cell("# What is $\\lambda$?")]))
    (heading,), (math,) = page.having("h1"), page.having("math")
    assert math["display"] == "inline"
    assert "λ" in page.text
    assert set(heading) == {"id"}


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("<p>$x$</p>", "<p><math"),
        ("<p>$a &lt; b$</p>", "<mo><</mo>"),
        ("<pre>$x$</pre>", "<pre>$x$</pre>"),
        ("<p>5 $</p><p>6 $</p>", "<p>5 $</p><p>6 $</p>"),
        ("<p>only one $</p>", "<p>only one $</p>"),
        ('<a href="$x$">y</a>', '<a href="$x$">y</a>'),
    ],
)
def test_only_what_stands_between_dollars_in_one_text_is_a_formula(text, kept):
    assert kept in html.unescape(math_to_mathml(text))


def test_a_live_figure_becomes_its_static_twin_and_the_widget_is_dropped(lesson):
    page = Page(lesson)
    assert "widget-view" not in lesson.replace(get_plotlyjs(), "")
    assert "model_id" not in lesson
    assert "secret" not in lesson.replace(get_plotlyjs(), "")
    assert page.figures[1] == json.loads(json.dumps(live_bundle()[PLOTLY_MIME]))
    assert "explore(" not in page.text
    assert "IntSlider(value=3)" in page.text


def test_figures_keep_their_data_title_and_height_and_replace_picture_and_text(lesson):
    page = Page(lesson)
    assert page.figures[0] == figure_json()
    assert [at["aria-label"] for at in page.having("figure")] == [
        "Shares",
        "Share of label mass per class",
    ]
    assert {at.get("style") for at in page.having("div")} >= {"height: 380px"}
    assert page.having("img") == []


def test_hostile_class_names_and_texts_are_text(lesson):
    page = Page(lesson)
    assert page.text.count(ATTACK) == 2  # printed, and in the head of the table
    assert "</table><script>window.hit=1</script>" in page.text
    assert not any("onerror" in attributes for _, attributes in page.tags)
    assert all("window.hit" not in text for text in Page(lesson).having("script"))


@pytest.mark.parametrize(
    "title",
    [ATTACK, '"><script>window.hit=1</script>', '" onload="window.hit=1', "</title>", "a&b"],
)
def test_a_hostile_title_opens_no_tag_and_adds_no_attribute(tmp_path, title):
    def export_with(title):
        cell = new_code_cell("draw()", id="cell", outputs=show({PLOTLY_MIME: figure_json(title)}))
        return Page(export(tmp_path, [cell], title=title))

    page, harmless = export_with(title), export_with("x")
    assert [(tag, set(at)) for tag, at in page.tags] == [
        (tag, set(at)) for tag, at in harmless.tags
    ]
    assert page.figures[0]["layout"]["title"]["text"] == title
    assert title in page.text


def test_a_figure_without_title_and_height_is_still_named(tmp_path):
    bare = {PLOTLY_MIME: {"data": [], "layout": {}}}
    (figure,) = Page(export(tmp_path, [new_code_cell("figure", outputs=show(bare))])).having(
        "figure"
    )
    assert figure["aria-label"] == "Figure"


def test_links_to_other_lessons_lead_to_their_pages_and_other_links_stay(tmp_path):
    text = "[next](04_boundary.ipynb), [far](https://example.org/a.ipynb), `x.ipynb`"
    page = Page(export(tmp_path, [new_markdown_cell(text)]))
    assert [link["href"] for link in page.having("a")] == [
        "04_boundary.html",
        "https://example.org/a.ipynb",
    ]
    assert "x.ipynb" in page.text


def test_a_page_without_figures_is_small_and_named_after_its_notebook(tmp_path):
    page = export(tmp_path, [new_markdown_cell("Words.")])
    assert "<title>lesson</title>" in page
    assert "Plotly" not in page
    assert len(page) < 1_000_000


def test_the_same_notebook_makes_the_same_page(tmp_path):
    cells = whole_notebook()
    assert export(tmp_path, cells) == export(tmp_path, cells)


@pytest.mark.parametrize("content", [None, "", '{"cells": [', "[1, 2]"])
def test_what_is_no_notebook_is_refused_by_name_and_leaves_no_page(tmp_path, content):
    notebook = tmp_path / "lesson.ipynb"
    if content is not None:
        notebook.write_text(content)
    with pytest.raises(BmixError, match=r"lesson\.ipynb"):
        export_html(notebook, tmp_path / "lesson.html")
    assert not (tmp_path / "lesson.html").exists()


def test_in_a_browser_without_network_plots_and_formulas_are_drawn_and_names_are_text(
    tmp_path, lesson, browser_page
):
    path = tmp_path / "lesson.html"
    path.write_text(lesson, encoding="utf-8")
    browser_page.goto(path.as_uri())
    browser_page.wait_for_selector(".js-plotly-plot .barlayer .trace path")
    drawn = browser_page.locator(".js-plotly-plot").first.evaluate(
        """plot => plot._fullData.filter(trace => trace.type == 'bar')
                                .map(trace => Array.from(trace.y))"""
    )
    base = np.sqrt(COUNTS) / np.sqrt(COUNTS).sum()
    assert drawn[2] == pytest.approx((base + 0.2 / 7) / 1.2)
    ticks = browser_page.locator(".js-plotly-plot").first.locator(".xtick text").all_text_contents()
    shown = [name or "(no name)" for name in NAMES[:5]] + ["same [5]", "same [6]"]
    assert [tick.replace(" ", "") for tick in ticks] == [
        f"{name}n={n}".replace(" ", "") for name, n in zip(shown, COUNTS, strict=True)
    ]
    for math in browser_page.locator("math").all():
        box = math.bounding_box()
        assert box["width"] > 0
        assert box["height"] > 0
    assert browser_page.locator(".js-plotly-plot").count() == 2
    assert browser_page.evaluate("window.hit") is None
    assert browser_page.problems == []


NUMBERS = ATTACK, "$a_$", "糖尿病"
ESM = """
export default {render({model, el}) {
  const button = document.createElement("button");
  const show = () => { button.textContent = `${model.get("name")} ${model.get("count")}`; };
  button.addEventListener("click", () => {
    model.set("count", model.get("count") + 1);
    model.save_changes();
  });
  model.on("change:count", show);
  el.append(button);
  show();
}};
"""


def draw_shares(alpha, q, balanced):
    return plot_class_shares(COUNTS, q=0 if balanced else q, alpha=alpha, class_names=NAMES)


def draw_board(row, column, epoch):
    if epoch == 3:
        raise ValueError(ATTACK)
    layout = {"title": {"text": ATTACK}, "height": 300}
    return go.Figure(go.Heatmap(z=[[0, epoch], [row, column]]), layout=layout)


def live_notebook():
    """Cells with two explorers, which have all kinds of controls and one setting that fails, and
    with a widget that has its own script.
    """
    choices = [(name, k) for k, name in enumerate(NUMBERS)]
    with precomputing():
        first = explore(
            draw_shares,
            alpha=ipywidgets.FloatSlider(0.2, min=0, max=1, step=0.2, description=ATTACK),
            q=ipywidgets.FloatSlider(1, min=0, max=1, step=0.25),
            balanced=ipywidgets.Checkbox(False),
        )._repr_mimebundle_()
        second = explore(
            draw_board,
            row=ipywidgets.Dropdown(options=choices, value=0),
            column=ipywidgets.Dropdown(options=choices, value=2),
            epoch=ipywidgets.Play(min=1, max=4, interval=40),
            picks={"y": "row", "x": "column"},
        )._repr_mimebundle_()
    state = {"name": ATTACK, "count": 1}
    module = {"esm": ESM, "css": "button { color: black }", "state": state}
    bundles = [first, second, {MODULE_MIME: module, PLOTLY_MIME: figure_json()}]
    return [
        new_code_cell("live", outputs=show(json.loads(json.dumps(bundle)))) for bundle in bundles
    ]


@pytest.fixture(scope="module")
def live_lesson(tmp_path_factory):
    """The page of `live_notebook`."""
    folder = tmp_path_factory.mktemp("live")
    export(folder, live_notebook())
    return folder / "lesson.html"


@pytest.fixture
def live_page(live_lesson, browser_page):
    browser_page.goto(live_lesson.as_uri())
    browser_page.wait_for_selector(".explorer:nth-of-type(1) .control")
    browser_page.wait_for_function(
        "document.querySelectorAll('.explored .js-plotly-plot').length == 2"
    )
    yield browser_page
    assert browser_page.evaluate("window.hit") is None
    assert browser_page.problems == []


def plotted(page, explorer, trace, name):
    plot = page.locator(".explorer").nth(explorer).locator(".js-plotly-plot")
    return plot.evaluate(
        "(plot, [k, name]) => JSON.parse(JSON.stringify(plot._fullData[k][name]))", [trace, name]
    )


def test_keys_on_a_range_move_the_bars_to_the_closed_form_without_kernel_and_network(live_page):
    sliders = live_page.locator(".explorer").nth(0).locator("input[type=range]")
    base = np.array(COUNTS) / sum(COUNTS)
    sliders.nth(0).focus()
    for alpha in (0.4, 0.6, 0.8, 1.0, 1.0):  # at the end a further key changes nothing
        live_page.keyboard.press("ArrowRight")
        live_page.wait_for_function(
            f"document.querySelector('.control output').textContent == '{alpha:g}'"
        )
        live_page.wait_for_timeout(100)
        expected = (base + alpha / len(COUNTS)) / (1 + alpha)
        assert plotted(live_page, 0, 2, "y") == pytest.approx(expected, abs=1e-4)
    assert sliders.nth(0).get_attribute("aria-valuetext") == "1"
    live_page.locator(".explorer").nth(0).locator("input[type=checkbox]").press("Space")
    live_page.wait_for_timeout(100)
    assert plotted(live_page, 0, 1, "y") == pytest.approx(np.full(7, 1 / 7), abs=1e-4)


def test_the_mouse_drags_a_range(live_page):
    box = live_page.locator(".explorer input[type=range]").nth(1).bounding_box()
    live_page.mouse.click(box["x"] + 1, box["y"] + box["height"] / 2)
    live_page.wait_for_timeout(200)
    assert plotted(live_page, 0, 1, "y") == pytest.approx(np.full(7, 1 / 7), abs=1e-4)


def test_every_control_has_a_label_and_names_are_text(live_page):
    labels = live_page.locator(".control label").all_text_contents()
    assert labels == [ATTACK, "q", "balanced", "row", "column", "epoch"]
    for k in range(len(labels)):
        target = live_page.locator(".control label").nth(k).get_attribute("for")
        assert live_page.locator(f"[id='{target}']").count() == 1
    assert live_page.locator("select").nth(0).locator("option").all_text_contents() == list(NUMBERS)


def test_an_error_of_a_setting_is_shown_as_text_and_the_next_move_works(live_page):
    explorer = live_page.locator(".explorer").nth(1)
    slider, message = explorer.locator("input[type=range]"), explorer.locator("[role=alert]")
    slider.focus()
    live_page.keyboard.press("ArrowRight")
    live_page.keyboard.press("ArrowRight")
    live_page.wait_for_timeout(100)
    assert message.text_content() == f"Not drawn. ValueError: {ATTACK}"
    live_page.keyboard.press("ArrowRight")
    live_page.wait_for_timeout(100)
    assert message.text_content() == ""
    assert plotted(live_page, 1, 0, "z") == [[0, 4], [0, 2]]


def test_a_click_on_the_figure_sets_the_controls(live_page):
    cell = live_page.locator(".explorer").nth(1).locator(".js-plotly-plot .nsewdrag")
    cell.scroll_into_view_if_needed()
    box = cell.bounding_box()
    x, y = (
        box["x"] + box["width"] * 0.75,
        box["y"] + box["height"] * 0.25,
    )  # the cell x = 1, y = 1: upward
    live_page.mouse.move(x - 5, y)
    live_page.mouse.move(x, y)
    live_page.wait_for_selector(".hoverlayer .hovertext")
    live_page.mouse.click(x, y)
    live_page.wait_for_timeout(200)
    assert [live_page.locator("select").nth(k).input_value() for k in range(2)] == ["1", "1"]
    assert plotted(live_page, 1, 0, "z") == [[0, 1], [1, 1]]


def test_the_player_runs_to_the_end_and_stops(live_page):
    button = live_page.locator(".control button")
    button.press("Enter")
    assert button.text_content() == "Stop"
    live_page.wait_for_function("document.querySelector('.control button').textContent == 'Play'")
    assert plotted(live_page, 1, 0, "z") == [[0, 4], [0, 2]]


def test_a_widget_with_its_own_script_lives_in_the_page(live_page):
    button = live_page.locator(".module button")
    assert button.text_content() == f"{ATTACK} 1"
    button.click()
    assert button.text_content() == f"{ATTACK} 2"


def test_what_is_on_another_machine_is_not_asked_for(tmp_path, browser_page):
    cell = new_markdown_cell(
        "![far away](https://example.org/picture.png)\n\n<script>fetch('https://example.org')</script>"
    )
    export(tmp_path, [cell, new_code_cell("draw()", outputs=show({PLOTLY_MIME: figure_json()}))])
    refused = []
    browser_page.on("requestfailed", lambda request: refused.append((request.url, request.failure)))
    browser_page.goto((tmp_path / "lesson.html").as_uri())
    browser_page.wait_for_selector(".js-plotly-plot")
    assert ("https://example.org/picture.png", "csp") in refused
    assert all(reason == "csp" for _, reason in refused)
    assert any(
        "Content Security Policy directive" in problem and "onnect" in problem
        for problem in browser_page.problems
    )


def test_a_notebook_can_be_run_for_its_page_and_stays_as_it_is(tmp_path):
    path = tmp_path / "lesson.ipynb"
    lines = [
        "import ipywidgets as w",
        "from bmix_lite.plots.mixing import plot_class_shares",
        "from bmix_lite.widgets.explore import explore",
        "explore(plot_class_shares, counts=[9, 1], alpha=w.FloatSlider(0.2, min=0.1, max=1))",
    ]
    nbformat.write(new_notebook(cells=[new_code_cell("\n".join(lines))]), path)
    before = path.read_bytes()
    page = export_html(path, tmp_path / "lesson.html", run=True).read_text(encoding="utf-8")
    assert path.read_bytes() == before
    assert page.count('<div class="explorer"') == 1


def test_a_notebook_that_fails_makes_no_page_and_names_its_error(tmp_path):
    path = tmp_path / "lesson.ipynb"
    nbformat.write(new_notebook(cells=[new_code_cell("1 / 0")]), path)
    with pytest.raises(BmixError, match=r"lesson\.ipynb: .*\n?(.|\n)*ZeroDivisionError"):
        export_html(path, tmp_path / "lesson.html", run=True)
    assert not (tmp_path / "lesson.html").exists()
