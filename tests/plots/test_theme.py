import html

import plotly.graph_objects as go
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bmix_lite.plots import theme
from bmix_lite.plots.theme import MANY, as_text, dress, make_figure, name_classes, stand_names
from tiny import HOSTILE

TEXTS = [*HOSTILE[:3], "a^2\\%_{b}", "&lt;b&gt;", "%{x}"]


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("colour", [*theme.COLOURS, theme.GREY])
def test_every_colour_has_a_contrast_of_three_to_one_on_white(colour):
    assert 1.05 / (luminance(colour) + 0.05) >= 3


def test_every_colour_has_its_own_second_cue():
    for marks in (theme.COLOURS, theme.DASHES, theme.MARKERS, theme.PATTERNS):
        assert len(set(marks)) == len(marks) == 5


@pytest.mark.parametrize("name", TEXTS)
def test_a_hostile_name_is_neither_markup_nor_formula_but_reads_as_given(name):
    shown = as_text(name)
    assert not set(shown) & set("<>$")
    assert html.unescape(shown) == name


@given(st.text(min_size=1))
def test_any_text_reads_as_given(name):
    assert html.unescape(as_text(name)) == name


def test_an_empty_name_is_said_to_be_empty():
    assert as_text("") == "(no name)"


@given(st.lists(st.text("ab [01].<$", max_size=45), min_size=1, max_size=8))
@example(["a", "a", "a [0]"])
@example(["a" * 40 + "b", "a" * 40 + "c"])
@example(["", "(no name)"])
def test_no_two_classes_share_a_place_on_an_axis(class_names):
    counts = [7] * len(class_names)
    for names in (name_classes(class_names), name_classes(class_names, counts)):
        assert len(set(names)) == len(names) == len(class_names)


def test_different_names_stay_as_they_are_and_carry_their_n():
    assert name_classes(["wbc", "rbc"]) == ["wbc", "rbc"]
    assert name_classes(["wbc", 3], [372, 4155]) == ["wbc<br>n=372", "3<br>n=4,155"]


def test_a_long_name_is_shortened_to_forty_characters():
    (name,) = name_classes(["<" * 200])
    assert html.unescape(name) == "<" * 37 + "..."
    assert name_classes(["x" * 40]) == ["x" * 40]


def test_a_figure_is_a_white_card_with_title_and_the_layout_asked_for():
    figure = make_figure([go.Bar(y=[1])], title="Shares", height=300, barmode="group")
    layout = figure.layout
    assert (layout.title.text, layout.height, layout.barmode) == ("Shares", 300, "group")
    card = layout.template.layout
    assert card.paper_bgcolor == card.plot_bgcolor == "white"
    assert [trace.type for trace in figure.data] == ["bar"]


def test_what_is_asked_for_wins_over_the_theme():
    assert dress(go.Figure(), margin={"l": 210}).layout.margin.l == 210


def test_many_names_stand_upright_on_one_line_and_the_figure_grows_for_them():
    few = [f"class {j}" for j in range(MANY)]
    many = [f"finding number {j}" for j in range(MANY + 1)]
    for names in (few, many):
        shown = name_classes(names, range(1, len(names) + 1))
        figure = stand_names(make_figure(height=300), shown)
        crowded = names is many
        assert all(("<br>" in name) != crowded for name in shown)
        assert (figure.layout.xaxis.tickangle == -90) == crowded
        assert (figure.layout.height > 300 + 4 * len(names[-1])) == crowded
