import ipywidgets
import pytest

from bmix_lite.widgets.controls import describe_control


@pytest.mark.parametrize(
    ("control", "expected"),
    [
        (
            ipywidgets.FloatSlider(0.3, min=0.1, max=0.5, step=0.1, description="a"),
            {"kind": "range", "label": "a", "values": [0.1, 0.2, 0.3, 0.4, 0.5], "start": 2},
        ),
        (
            ipywidgets.IntSlider(5, min=1, max=6, step=2),
            {"kind": "range", "values": [1, 3, 5], "start": 2},
        ),
        (
            ipywidgets.FloatLogSlider(10, base=10, min=0, max=2, step=1),
            {"values": [1, 10, 100], "start": 1},
        ),
        (
            ipywidgets.Dropdown(options=[("one", 1), ("two", 2)], value=2),
            {"kind": "select", "values": [1, 2], "texts": ["one", "two"], "start": 1},
        ),
        (
            ipywidgets.ToggleButtons(options=["b", "a"]),
            {"kind": "select", "values": ["b", "a"], "start": 0},
        ),
        (
            ipywidgets.SelectionSlider(options=[("few", 1), ("many", 100)], value=100),
            {"kind": "range", "values": [1, 100], "texts": ["few", "many"], "start": 1},
        ),
        (ipywidgets.Checkbox(True), {"kind": "check", "values": [False, True], "start": 1}),
        (
            ipywidgets.Play(min=1, max=3, interval=70),
            {"kind": "play", "values": [1, 2, 3], "interval": 70},
        ),
    ],
)
def test_a_page_is_told_what_a_control_can_show(control, expected):
    about = describe_control(control)
    assert {name: about[name] for name in expected} == expected
    assert len(about["texts"]) == len(about["values"])


def test_a_value_between_two_steps_stands_in_the_place_of_the_nearer_one():
    about = describe_control(ipywidgets.FloatSlider(0.22, min=0, max=1, step=0.1))
    assert about["values"][about["start"]] == 0.22
    assert about["values"][:4] == [0, 0.1, 0.22, 0.3]
