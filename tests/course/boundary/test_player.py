import asyncio
import html

import ipywidgets
import plotly.graph_objects as go
import pytest

from bmix_lite.base.errors import BmixError
from bmix_lite.course.boundary.player import TrainingPlayer
from bmix_lite.widgets.explore import PLOTLY_MIME


def draw(record):
    return go.Figure(go.Scatter(y=[record]))


def make_player(start, **controls):
    return TrainingPlayer(start, draw, draw(-1), **controls)


def shown(player):
    return player.figures[0].data[0].y[0]


def test_nothing_runs_until_the_button_is_pressed():
    started = []
    player = make_player(lambda: started.append(1) or iter([]))
    assert started == []
    assert shown(player) == -1
    assert player._repr_mimebundle_()[PLOTLY_MIME]["data"][0]["y"] == [-1]
    assert (player.train_button.disabled, player.stop_button.disabled) == (False, True)


def test_pressing_the_button_draws_every_record_with_the_values_of_the_controls():
    drawn = []

    async def press():
        player = make_player(
            lambda epochs: (drawn.append(k) or k for k in range(epochs)), epochs=control
        )
        player.train_button.click()
        await player._task
        return player

    control = ipywidgets.IntSlider(3)
    player = asyncio.run(press())
    assert drawn == [0, 1, 2]
    assert shown(player) == 2
    assert control.description == "epochs"
    assert (player.train_button.disabled, player.stop_button.disabled) == (False, True)


def test_stop_ends_between_two_records_and_a_second_press_starts_anew():
    async def press():
        player = make_player(lambda: iter(range(10_000)))
        for _ in range(2):
            player.train_button.click()
            while shown(player) < 3:
                await asyncio.sleep(0.001)
            player.stop_button.click()
            await player._task
            assert 3 <= shown(player) < 100
            player.redraw([draw(-1)])

    asyncio.run(press())


def test_an_error_is_shown_as_text_and_the_button_works_again():
    calls = []

    def start():
        calls.append(1)
        yield 1
        if len(calls) == 1:
            raise ValueError("<b>no</b>")

    player = make_player(start)
    asyncio.run(player.run())
    assert "ValueError: <b>no</b>" in html.unescape(player.message.value)
    assert "<b>no" not in player.message.value
    assert not player.train_button.disabled
    asyncio.run(player.run())
    assert player.message.value == ""


def test_what_cannot_be_started_is_refused():
    with pytest.raises(BmixError, match="start and draw must be functions"):
        TrainingPlayer([1, 2], draw, draw(0))
