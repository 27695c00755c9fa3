import base64
import gzip
import json

import numpy as np
import plotly.graph_objects as go
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmix_lite.base.errors import BmixError
from bmix_lite.widgets.frames import BYTES, LIMIT, pack_frames, thin_controls


def control(values, start=0, kind="range", label="alpha"):
    texts = [str(value) for value in values]
    return {"kind": kind, "label": label, "values": list(values), "texts": texts, "start": start}


def unpack(packed):
    return json.loads(gzip.decompress(base64.b64decode(packed["packed"])))


def put(figure, path, value):
    """What page.js does with a path; written again, simply, as the oracle."""
    *way, last = path
    for step in way:
        figure = figure[step] if isinstance(step, int) else figure.setdefault(step, {})
    figure[last] = value


def replay(content, number, figure=0):
    """The figure of one setting, as the page puts it together."""
    packed = content["figures"][figure]
    drawn = json.loads(json.dumps(packed["base"]))
    for path, table, index in zip(packed["paths"], packed["tables"], packed["index"], strict=True):
        put(drawn, path, table[index[number]])
    return drawn


def without_nothing(value):
    """A JSON value without entries that are None: to plotly they say the same."""
    if isinstance(value, dict):
        return {name: without_nothing(item) for name, item in value.items() if item is not None}
    return [without_nothing(item) for item in value] if isinstance(value, list) else value


def draw(values):
    height, word = values
    bars = [
        go.Bar(x=[0, 1], y=np.array([height, height / 3]), name=word),
        go.Bar(x=[0, 1], y=[1, 2]),
    ]
    figure = go.Figure(bars, layout={"template": "none"})
    if word == "b":
        figure.update_traces(marker_color="red", text=["<b>", "$a$"])
    if height > 2:
        figure.update_layout(title_text="high", annotations=[{"text": "here", "x": 1, "y": 1}])
    if height > 3:
        figure.add_scatter(x=[0], y=[height])
    return [
        figure,
        go.Figure(
            go.Heatmap(z=np.full((2, 3), int(height), dtype=np.uint8)), layout={"template": "none"}
        ),
    ]


CONTROLS = [control([1, 2, 3, 4], 1), control(["a", "b"], 0, "select", "word")]
SETTINGS = [[height, word] for height in (1, 2, 3, 4) for word in "ab"]


@pytest.mark.parametrize("number", range(8))
def test_every_setting_replays_to_the_figure_that_was_drawn_for_it(number):
    content = unpack(pack_frames(draw, CONTROLS))
    for k, figure in enumerate(draw(SETTINGS[number])):
        shown = without_nothing(replay(content, number, k))
        expected = without_nothing(json.loads(json.dumps(figure.to_plotly_json(), default=list)))
        for trace, wanted in zip(shown["data"], expected["data"], strict=True):
            for name in ("y", "z"):
                if isinstance(wanted.get(name), dict):
                    packed = wanted[name]
                    array = np.frombuffer(base64.b64decode(packed["bdata"]), packed["dtype"])
                    shape = [int(n) for n in packed.get("shape", str(array.size)).split(",")]
                    assert np.asarray(trace.pop(name)) == pytest.approx(
                        array.reshape(shape), rel=1e-4
                    )
                    wanted.pop(name)
        assert shown == expected


def test_the_first_setting_is_the_one_that_the_controls_stand_at():
    content = unpack(pack_frames(draw, CONTROLS))
    assert content["figures"][0]["base"]["data"][0]["y"] == pytest.approx([2, 2 / 3], rel=1e-4)
    assert [at["start"] for at in content["controls"]] == [1, 0]


def test_equal_values_are_kept_once_and_what_never_changes_is_not_repeated():
    content = unpack(pack_frames(draw, CONTROLS))
    bars = content["figures"][0]
    names = bars["tables"][bars["paths"].index(["data"])] if ["data"] in bars["paths"] else None
    assert (
        names is not None
    )  # a third trace comes with the last height, so the list of traces is one value
    heat = content["figures"][1]
    assert heat["paths"] == [["data", 0, "z"]]
    assert len(heat["tables"][0]) == 4
    assert heat["index"][0] == [0, 0, 1, 1, 2, 2, 3, 3]


def test_an_error_of_one_setting_is_kept_in_words_and_the_others_are_drawn():
    def fail(values):
        if values[0] == 2:
            raise ValueError("<b>two</b> is not allowed")
        return [go.Figure(go.Bar(y=[values[0]]))]

    content = unpack(pack_frames(fail, [control([1, 2, 3])]))
    assert content["errors"] == ["", "ValueError: <b>two</b> is not allowed", ""]
    assert replay(content, 2)["data"][0]["y"] == [3]
    assert unpack(pack_frames(fail, [control([1, 3])]))["errors"] == []


def test_numbers_are_rounded_to_five_digits_and_what_is_not_finite_becomes_nothing():
    drawn = go.Figure(
        go.Scatter(y=np.array([1 / 3, np.nan, np.inf, 123456.7]), x=[0.1234567, 2, None, "a"])
    )
    base = unpack(pack_frames(lambda values: [drawn], [control([1])]))["figures"][0]["base"]
    assert base["data"][0]["y"] == [0.33333, None, None, 123460.0]
    assert base["data"][0]["x"] == [0.12346, 2, None, "a"]


def test_titles_and_heights_are_beside_the_packed_content():
    figures = [go.Figure(layout={"title": {"text": "One"}, "height": 300}), go.Figure()]
    packed = pack_frames(lambda values: figures, [control([1, 2])])
    assert packed["figures"] == [{"title": "One", "height": 300}, {"title": None, "height": None}]


def test_the_same_frames_are_packed_to_the_same_bytes():
    assert pack_frames(draw, CONTROLS) == pack_frames(draw, CONTROLS)


def test_what_a_click_hits_names_the_controls_by_number_and_other_values_are_not_written():
    content = unpack(
        pack_frames(lambda values: [go.Figure()], [control([(1, 2), 3], 0, "select")], {"x": 0})
    )
    assert content["picks"] == {"x": 0}
    assert content["controls"][0]["values"] == [None, 3]


@given(st.lists(st.integers(1, 200), min_size=1, max_size=3), st.data())
def test_thinned_ranges_keep_their_ends_and_start_and_stay_in_order(sizes, data):
    controls = [control(range(size), data.draw(st.integers(0, size - 1))) for size in sizes]
    thinned = thin_controls(controls, LIMIT)
    assert np.prod([len(at["values"]) for at in thinned]) <= LIMIT
    for before, after in zip(controls, thinned, strict=True):
        assert after["values"][after["start"]] == before["values"][before["start"]]
        assert {after["values"][0], after["values"][-1]} == {0, len(before["values"]) - 1}
        assert after["values"] == sorted(set(after["values"]))
        assert after["texts"] == [str(value) for value in after["values"]]


def test_choices_are_never_thinned_and_too_many_are_refused_in_words():
    choices = control(range(30), 0, "select")
    kept = thin_controls([choices, control(range(100), 50)], 200)
    assert len(kept[0]["values"]) == 30
    with pytest.raises(
        BmixError, match="a page holds at most 200 settings of an explorer, got 900"
    ):
        thin_controls([choices, choices], 200)


def test_pictures_are_thinned_until_they_fit():
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 2**62, 500).tolist() for _ in range(101)]

    def drawn(values):
        return [go.Figure(go.Scatter(y=[0], text=[str(noise[values[0]])]))]

    packed = pack_frames(drawn, [control(range(101), 10)])
    count = len(unpack(packed)["controls"][0]["values"])
    assert len(packed["packed"]) <= BYTES
    assert 3 <= count < 101
    assert len(pack_frames(drawn, [control(range(30), 0, "select")])["packed"]) > 0
