import base64
import html
import json
import time

import ipywidgets
import numpy as np
import plotly.graph_objects as go
import pytest
from plotly.callbacks import Points

from bmix_lite.base.errors import BmixError
from bmix_lite.plots.mixing import plot_class_shares
from bmix_lite.widgets.explore import (
    PLOTLY_MIME,
    Figure,
    LiveFigure,
    explore,
    precomputing,
)
from bmix_lite.widgets.frames import FRAMES_MIME

COUNTS = [90, 9, 1]
WIDGET_MIME = "application/vnd.jupyter.widget-view+json"


def draw_bars(height, note=None):
    figure = go.Figure(go.Bar(x=[0, 1], y=[height, 2 * height]))
    if height < 0:
        raise ValueError("<b>height</b> must be positive")
    if height == 7:
        figure.add_scatter(x=[0, 1], y=[7, 14])
        figure.data[0].update(text=["low", "high"], marker={"color": "red"})
        figure.update_layout(title="seven", barmode="stack", annotations=[{"text": "here"}])
    return figure


def decode(numbers):
    """Numbers of a plotly JSON, where NumPy arrays are base64."""
    return np.frombuffer(base64.b64decode(numbers["bdata"]), numbers["dtype"])


def slider(value=1):
    return ipywidgets.FloatSlider(value, min=-10, max=100)


def test_moving_a_slider_redraws_the_bars_to_the_closed_form():
    alpha = ipywidgets.FloatSlider(0.2, min=0, max=1)
    live = explore(plot_class_shares, counts=COUNTS, q=1, alpha=alpha)
    shown = live.figures[0]
    for value in (0.2, 1.0, 0.0):
        alpha.value = value
        expected = (np.array([0.9, 0.09, 0.01]) + value / 3) / (1 + value)
        assert np.asarray(shown.data[2].y) == pytest.approx(expected, abs=1e-12)
        assert shown.data[2].name == f"after mixing, alpha = {value:g}"
    assert shown is live.children[1]
    assert live.children[0] is alpha


def test_several_figures_share_one_control():
    alpha = ipywidgets.FloatSlider(0.2, min=0, max=10)
    shown = [
        lambda alpha: plot_class_shares(COUNTS, 0, alpha),
        lambda alpha: plot_class_shares([3, 1], 1, alpha),
    ]
    first, second = explore(shown, alpha=alpha).figures
    alpha.value = 3.0
    assert first.data[2].name == "after mixing, alpha = 3"
    assert list(second.data[2].y) == [pytest.approx((share + 3 / 2) / 4) for share in (0.75, 0.25)]


def test_each_of_several_controls_redraws_and_keeps_the_others_value():
    q, alpha = ipywidgets.FloatSlider(1, min=0, max=1), ipywidgets.FloatSlider(0, min=0, max=1)
    (shown,) = explore(plot_class_shares, counts=COUNTS, q=q, alpha=alpha).figures
    q.value = 0
    alpha.value = 0.5
    assert list(shown.data[1].y) == pytest.approx([1 / 3] * 3)
    assert shown.data[2].name == "after mixing, alpha = 0.5"


def test_a_control_is_described_by_its_argument_unless_it_has_words_of_its_own():
    height, note = slider(), ipywidgets.Text(description="a note")
    explore(draw_bars, height=height, note=note)
    assert (height.description, note.description) == ("height", "a note")


def test_an_error_is_shown_as_text_and_the_next_move_works():
    height = slider()
    live = explore(draw_bars, height=height)
    height.value = -1
    assert "<b>height" not in live.message.value
    assert "ValueError: <b>height</b> must be positive" in html.unescape(live.message.value)
    assert list(live.figures[0].data[0].y) == [1, 2]
    height.value = 3
    assert live.message.value == ""
    assert list(live.figures[0].data[0].y) == [3, 6]


def test_an_error_in_the_first_drawing_is_raised():
    with pytest.raises(ValueError, match="height"):
        explore(draw_bars, height=slider(-1))


def test_fifty_quick_moves_end_on_the_last_value_within_a_second_or_two():
    height = slider(0)
    live = explore(draw_bars, height=height)
    started = time.perf_counter()
    for value in [-10, 100, 7, *range(50)]:
        height.value = value
    assert time.perf_counter() - started < 5
    assert list(live.figures[0].data[0].y) == [49, 98]
    assert live.message.value == ""


def test_the_number_and_the_kind_of_traces_may_change():
    height = slider(1)
    (shown,) = explore(draw_bars, height=height).figures
    for value, kinds in ((7, ["bar", "scatter"]), (2, ["bar"])):
        height.value = value
        assert [trace.type for trace in shown.data] == kinds
        assert list(shown.data[0].y) == [value, 2 * value]


@pytest.mark.parametrize("keep_traces", [True, False])
def test_nothing_remains_of_what_the_new_figure_does_not_have(keep_traces):
    def figure(height):
        drawn = draw_bars(height)
        return drawn.update(data=drawn.data[:1], overwrite=True) if keep_traces else drawn

    height = slider(7)
    (shown,) = explore(figure, height=height).figures
    assert shown.layout.title.text == "seven"
    height.value = 2
    assert (shown.layout.title.text, shown.layout.barmode, shown.layout.annotations) == (
        None,
        None,
        (),
    )
    assert (shown.data[0].text, shown.data[0].marker.color) == (None, None)


def test_without_a_control_there_is_nothing_to_explore():
    with pytest.raises(BmixError, match="explore needs at least one ipywidget among its arguments"):
        explore(draw_bars, height=3)


def test_without_a_kernel_the_first_figure_is_seen_and_a_second_run_saves_the_same():
    def save():
        alpha = ipywidgets.FloatSlider(0.2, min=0, max=1)
        return explore(plot_class_shares, counts=COUNTS, q=1, alpha=alpha)._repr_mimebundle_()

    one, other = save(), save()
    assert one["text/plain"] == "explore(plot_class_shares, alpha=0.2)"
    assert one.pop(WIDGET_MIME)["model_id"] != other.pop(WIDGET_MIME)["model_id"]
    assert json.dumps(one, allow_nan=False) == json.dumps(other, allow_nan=False)
    static = one[PLOTLY_MIME]
    assert decode(static["data"][2]["y"]) == pytest.approx(
        (np.array([0.9, 0.09, 0.01]) + 0.2 / 3) / 1.2
    )
    assert static["layout"]["title"]["text"] == "Share of label mass per class"


def test_the_static_figure_is_the_one_last_drawn():
    live = LiveFigure([draw_bars(1)])
    live.redraw([draw_bars(5)])
    assert live._repr_mimebundle_()[PLOTLY_MIME]["data"][0]["y"] == [5, 10]


def test_each_function_is_given_the_arguments_that_it_names():
    def both(height, width):
        return go.Figure(go.Bar(y=[height, width]))

    def everything(**arguments):
        return go.Figure(
            go.Bar(x=sorted(arguments), y=[arguments[name] for name in sorted(arguments)])
        )

    height = slider(1)
    one, two, three = explore([draw_bars, both, everything], height=height, width=5).figures
    height.value = 4
    assert [list(figure.data[0].y) for figure in (one, two, three)] == [[4, 8], [4, 5], [4, 5]]


def test_an_argument_that_no_function_takes_is_refused():
    with pytest.raises(BmixError, match="no figure function takes an argument 'hieght'"):
        explore(draw_bars, hieght=slider(1), height=1)


def test_a_player_moves_the_figure_and_its_slider_and_the_slider_moves_it():
    play = ipywidgets.Play(value=1, min=1, max=9, interval=50, description="height")
    live = explore(draw_bars, height=play)
    row = live.children[0]
    beside = row.children[1]
    assert row.children[0] is play
    assert (beside.min, beside.max, beside.description) == (1, 9, "height")
    play.value = 3
    assert beside.value == 3
    beside.value = 5
    assert list(live.figures[0].data[0].y) == [5, 10]


def test_a_click_on_the_first_figure_sets_the_controls_that_pick():
    def board(row, column):
        return go.Figure(go.Heatmap(z=[[0, 1], [2, 3]], x=[0, 1], y=[0, 1], name=f"{row} {column}"))

    row, column = (ipywidgets.Dropdown(options=[("first", 0), ("second", 1)]) for _ in range(2))
    live = explore(board, row=row, column=column, picks={"y": "row", "x": "column"})
    (trace,) = live.figures[0].data
    points = Points(point_inds=[(1, 0)], xs=[0], ys=[1], trace_name="", trace_index=0)
    for follow in trace._click_callbacks:
        follow(trace, points, None)
    assert (row.value, column.value) == (1, 0)
    assert live.figures[0].data[0].name == "1 0"


@pytest.mark.parametrize(
    ("picks", "message"),
    [
        ({"z": "height"}, "an axis of picks must be one of x, y"),
        ({"x": "width"}, "a control of picks must be one of"),
    ],
)
def test_picks_of_what_is_not_there_are_refused(picks, message):
    with pytest.raises(BmixError, match=message):
        explore(draw_bars, height=slider(1), picks=picks)


def test_frames_are_stored_only_while_precomputing():
    live = explore(draw_bars, height=ipywidgets.IntSlider(1, min=1, max=3))
    assert FRAMES_MIME not in live._repr_mimebundle_()
    with precomputing():
        bundle = live._repr_mimebundle_()
    assert set(bundle[FRAMES_MIME]) == {"figures", "packed"}
    assert FRAMES_MIME not in live._repr_mimebundle_()
    assert bundle[PLOTLY_MIME]["data"][0]["y"] == [1, 2]


def test_a_control_that_no_page_has_leaves_the_static_figure_and_says_so():
    live = explore(draw_bars, height=1, note=ipywidgets.Text(description="a note"))
    with precomputing():
        assert live._repr_mimebundle_()[FRAMES_MIME] == {
            "error": "a page has no control for 'a note', a Text"
        }


# two figures as JupyterLab would show them; what the kernel sends arrives before plotly's script
# has been read
TWO_FIGURES = """async ([esm, state]) => {
  const script = URL.createObjectURL(new Blob([esm], {type: "text/javascript"}));
  const {default: make} = await import(script);
  window.models = [0, 1].map(() => {
    const own = structuredClone(state), calls = [];
    return {
      get: name => own[name],
      set: (name, value) => { own[name] = value; },
      save_changes: () => {},
      on: (event, call) => { calls.push([event, call]); },
      off: (event, call) => {
        calls.splice(calls.findIndex(pair => pair[0] === event && pair[1] === call), 1);
      },
      receive(name, value) {
        for (const item of [value, null]) {  // as plotly's Python does
          own[name] = item;
          calls.filter(([event]) => event === `change:${name}`).forEach(([, call]) => call());
        }
      },
    };
  });
  window.restyle = (number, y) =>
    models[number].receive("_py2js_restyle", {restyle_data: {y: [y]}, restyle_traces: [0]});
  const figures = models.map(make);
  figures.forEach((figure, number) => figure.initialize({model: models[number]}));
  restyle(0, [3, 4]);
  restyle(0, [5, 6]);
  const main = document.querySelector("main");
  const parents = figures.map(() => main.appendChild(document.createElement("div")));
  await Promise.all(figures.map((figure, number) =>
    figure.render({model: models[number], el: parents[number]})));
  return globalThis.bmixFigureScripts.size;
}"""
HEIGHTS = "() => [...document.querySelectorAll('.js-plotly-plot')].map(plot => [...plot.data[0].y])"


def test_live_figures_share_one_script_and_lose_nothing_that_was_sent_while_it_was_read(
    browser_page,
):
    figure = Figure(draw_bars(1))
    state = figure.get_state()
    browser_page.set_content("<main></main>")
    scripts = browser_page.evaluate(TWO_FIGURES, [str(figure._esm), state])
    assert scripts == 1
    browser_page.wait_for_function(f"JSON.stringify(({HEIGHTS})()) === '[[5,6],[1,2]]'")
    browser_page.evaluate("restyle(1, [8, 9])")
    browser_page.wait_for_function(f"JSON.stringify(({HEIGHTS})()) === '[[5,6],[8,9]]'")
    assert browser_page.problems == []
