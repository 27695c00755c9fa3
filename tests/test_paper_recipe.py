"""The authors' recipe against a second implementation, written from its description alone.

One image at a time, with Pillow and Python's own random numbers. The description: with equal chance
scale by 0.95 to 1.20, or move along x by up to 5 % of the width, or turn by up to 45 degrees, about
the centre, to the nearest pixel, black outside; then, in random order, brightness, contrast and
saturation times 0.75 to 1.25 and the hue moved by up to 0.01 of its circle; then each axis is
mirrored by chance.
"""

import random

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image, ImageEnhance
from scipy import stats

from bmix_lite.augment import (
    AUGMENTATIONS,
    augment,
    augment_pixels,
    choose_move,
    draw_jitter,
)
from bmix_lite.base.randomness import stream
from bmix_lite.course.defects import lower_rate_when_training_leads
from bmix_lite.inference import to_tensor

PAPER = AUGMENTATIONS["paper"]
DRAWS = 100_000
MOVES = ("scale", "shift", "turn")
COLOURS = ("brightness", "contrast", "saturation", "hue")
P_VALUE = 1e-4  # of a test that must not fail by chance; there are 40


def draw_by_hand(rng):
    """What one image undergoes: (move, amount, strengths, order, mirrored)."""
    move = rng.choice(MOVES)
    amount = {
        "scale": rng.uniform(0.95, 1.20),
        "shift": rng.uniform(-0.05, 0.05),
        "turn": rng.uniform(-45, 45),
    }[move]
    strengths = [*(rng.uniform(0.75, 1.25) for _ in range(3)), rng.uniform(-0.01, 0.01)]
    order = rng.sample(COLOURS, 4)
    return move, amount, strengths, order, (rng.random() < 0.5, rng.random() < 0.5)


def change_by_hand(image, drawn):
    """The Pillow image after all that."""
    move, amount, strengths, order, (mirrored, upside_down) = drawn
    image = move_by_hand(image, move, amount)
    for name in order:
        image = colour_by_hand(image, name, strengths[COLOURS.index(name)])
    if mirrored:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if upside_down:
        image = image.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    return image


def move_by_hand(image, move, amount):
    width, height = image.size
    if move == "turn":
        return image.rotate(amount, Image.Resampling.NEAREST)
    if move == "shift":
        pixels = round(amount * width)
        moved = Image.new("RGB", image.size)
        moved.paste(image, (pixels, 0))
        return moved
    x = width / 2 - width / 2 / amount
    y = height / 2 - height / 2 / amount
    matrix = (1 / amount, 0, x, 0, 1 / amount, y)
    return image.transform(image.size, Image.Transform.AFFINE, matrix, Image.Resampling.NEAREST)


def colour_by_hand(image, name, strength):
    if name == "hue":
        hue, saturation, value = image.convert("HSV").split()
        hue = hue.point([int(level + 255 * strength) % 256 for level in range(256)])
        return Image.merge("HSV", (hue, saturation, value)).convert("RGB")
    enhancers = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)
    return enhancers[COLOURS.index(name)](image).enhance(strength)


def describe(numbers):
    """What `augment` draws from numbers (8, B), in the terms of `draw_by_hand`, as a table."""
    turn, scale, shift_x, shift_y = choose_move(PAPER, numbers)
    strengths, orders = draw_jitter(PAPER, numbers)
    table = pd.DataFrame(dict(zip(COLOURS, strengths, strict=True)))
    table["move"] = np.select([scale != 0, shift_x != 0, turn != 0], MOVES, "none")
    of_move = [1 + PAPER.scale * scale, -PAPER.shift * shift_x, PAPER.rotate * turn]
    table["amount"] = np.choose([MOVES.index(move) for move in table["move"]], of_move)
    table["order"] = ["".join(map(str, order)) for order in orders]
    table["mirrored"] = numbers[0] < 0.5
    table["upside_down"] = numbers[1] < 0.5
    assert (shift_y == 0).all()
    assert ((turn != 0) + (scale != 0) + (shift_x != 0) == 1).all()
    return table


@pytest.fixture(scope="module")
def ours():
    return describe(stream(0, "test").random((8, DRAWS)))


@pytest.fixture(scope="module")
def theirs():
    rng = random.Random(1)
    rows = []
    for _ in range(DRAWS):
        move, amount, strengths, order, mirrored = draw_by_hand(rng)
        digits = "".join(str(COLOURS.index(name)) for name in order)
        rows.append((*strengths, move, amount, digits, *mirrored))
    names = [*COLOURS, "move", "amount", "order", "mirrored", "upside_down"]
    return pd.DataFrame(rows, columns=names)


@pytest.mark.parametrize("name", ["move", "order", "mirrored", "upside_down"])
def test_what_is_chosen_is_chosen_as_often(ours, theirs, name):
    counts = [table[name].value_counts() for table in (ours, theirs)]
    assert set(counts[0].index) == set(counts[1].index)
    assert stats.chi2_contingency(pd.concat(counts, axis=1)).pvalue > P_VALUE
    assert stats.chisquare(counts[0]).pvalue > P_VALUE


@pytest.mark.parametrize("move", MOVES)
def test_the_amount_of_a_move_has_the_same_distribution(ours, theirs, move):
    amounts = [table.loc[table["move"] == move, "amount"] for table in (ours, theirs)]
    assert stats.ks_2samp(*amounts).pvalue > P_VALUE


@pytest.mark.parametrize("name", COLOURS)
def test_the_strength_of_a_colour_has_the_same_distribution(ours, theirs, name):
    assert stats.ks_2samp(ours[name], theirs[name]).pvalue > P_VALUE


def test_all_that_is_drawn_for_an_image_is_independent(ours):
    numbers = ours.assign(
        move=ours["move"].map(MOVES.index),
        amount=ours.groupby("move")["amount"].rank(pct=True),
        order=ours["order"].rank(method="dense"),
    ).astype(float)
    correlations = numbers.corr("spearman").to_numpy()[np.triu_indices(numbers.shape[1], 1)]
    assert np.abs(correlations).max() < 5 / DRAWS**0.5


def test_two_images_of_three_are_not_turned_and_one_of_four_by_more_than_ten_degrees(ours):
    turned = ours["move"] == "turn"
    assert (~turned).mean() == pytest.approx(2 / 3, abs=0.01)
    by_much = turned & (ours["amount"].abs() > 10)
    assert by_much.mean() == pytest.approx(35 / 45 / 3, abs=0.01)


class Given:
    """A generator whose next draws are given."""

    def __init__(self, numbers):
        self.numbers = numbers

    def random(self, shape):
        assert shape == self.numbers.shape
        return self.numbers


def make_photographs(count, side):
    """Smooth colours with hard edges, (count, side, side + 6, 3)."""
    rng = np.random.default_rng(3)
    coarse = rng.integers(30, 226, (count, 6, 7, 3), dtype=np.uint8)
    size = (side + 6, side)
    images = [Image.fromarray(image).resize(size, Image.Resampling.BICUBIC) for image in coarse]
    pixels = np.stack([np.asarray(image) for image in images])
    pixels[:, 10:20, 12:30] = rng.integers(0, 256, (count, 1, 1, 3))
    return pixels


@pytest.mark.parametrize("way", ["batch", "pixels"])
def test_given_what_is_drawn_the_images_are_those_of_the_second_implementation(way):
    count = 36
    pixels = make_photographs(count, 48)
    numbers = stream(5, "test").random((8, count))
    if way == "batch":
        found = augment(to_tensor(pixels, "cpu"), "paper", rng=Given(numbers))
    else:
        found = augment_pixels(pixels, "paper", rng=Given(numbers))
    found = found.permute(0, 2, 3, 1).numpy()
    drawn = describe(numbers)
    assert set(drawn["move"]) == set(MOVES)
    for image, row, shown in zip(pixels, drawn.itertuples(), found, strict=True):
        # our images are mirrored first: a move to the right is then one to the left
        turns_back = row.mirrored + (row.upside_down if row.move == "turn" else 0)
        amount = row.amount if row.move == "scale" else (-1) ** turns_back * row.amount
        order = [COLOURS[int(digit)] for digit in row.order]
        strengths = [getattr(row, name) for name in COLOURS]
        by_hand = (row.move, amount, strengths, order, (row.mirrored, row.upside_down))
        expected = np.asarray(change_by_hand(Image.fromarray(image), by_hand)) / 255
        apart = np.abs(shown - expected).max(axis=2)
        # theirs are rounded after each change, the hue to 1/255 of its circle
        assert np.median(apart) < 4 / 255
        assert (apart > 10 / 255).mean() < 0.02  # where a pixel lies between two


def test_outside_the_image_is_black_before_the_colours_change():
    white = torch.ones(100, 3, 32, 32)
    shown = augment(white, "paper", rng=stream(0, "test"))
    corners = shown[:, :, 0, 0].amax(dim=1).numpy()
    turned = describe(stream(0, "test").random((8, 100)))
    by_much = ((turned["move"] == "turn") & (turned["amount"].abs() > 10)).to_numpy()
    # contrast lifts black where it is below 1: by up to a quarter of the mean
    assert corners[by_much].max() < 0.26
    assert corners[by_much].min() == 0
    assert corners[(turned["move"] == "scale") & (turned["amount"] > 1)].min() > 0.5


def read_epochs(shared):
    """(place, training scores, validation scores, logged rates) of each published run."""
    epochs = pd.read_csv(shared / "reference/published/published_epochs.csv")
    epochs["fold"] = epochs["fold"].fillna("F0")
    for place, rows in epochs.groupby(["dataset", "fold", "method", "arch", "alpha"]):
        monitor = "MCC" if place[0] == "endo" else "K"
        rows = rows.sort_values("epoch")
        val = rows[rows["split"] == "val"]
        train = rows.loc[rows["split"] == "train", monitor].to_numpy()
        yield place, train, val[monitor].to_numpy(), val["lr"].to_numpy()


def test_the_scores_of_the_114_published_runs_give_their_own_learning_rates(shared):
    rng = np.random.default_rng(0)
    exact = 0
    count = 0
    for place, train, val, logged in read_epochs(shared):
        count += 1
        rates = lower_rate_when_training_leads(train, val, logged[0])
        if rates == pytest.approx(logged, rel=1e-3):
            exact += 1
            continue
        # per cent are logged to two digits, and two scores that look alike were not
        moved = (rng.uniform(-0.005, 0.005, (2, len(val))) for _ in range(100))
        tries = (lower_rate_when_training_leads(train + a, val + b, logged[0]) for a, b in moved)
        assert any(rates == pytest.approx(logged, rel=1e-3) for rates in tries), place
    assert (count, exact) == (114, 111)


def test_the_authors_scored_clean_images_for_balanced_mixup_and_dropped_its_short_batch(shared):
    table = pd.read_csv(shared / "reference/published/published_confusions.csv")
    table = table[table["split"] == "train"].fillna({"alpha": 0.0})
    run = ["method", "arch", "alpha", "epoch"]
    grades = table.groupby([*run, "true"])["count"].sum().unstack("true")
    for (method, *_), of_run in grades.groupby(run[:-1]):
        spread = (of_run.max() - of_run.min()).max()
        if method == "balanced_mixup":
            assert set(of_run.sum(axis=1)) == {31_613 // 8 * 8}
            assert spread <= 5  # what the short batch held
        else:
            assert set(of_run.sum(axis=1)) == {31_613}
            assert spread > 100  # drawn with replacement, a grade is seen more or less often
