import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bmix_lite.recipe import Recipe
from bmix_lite.schedules import PLATEAU_FACTOR, PLATEAU_METRIC, PLATEAU_PATIENCE, lr_at

scores = st.lists(st.sampled_from([0.1, 0.2, 0.3, 0.4, 0.5, float("nan")]), max_size=30)


def all_rates(recipe, history=()):
    records = [{PLATEAU_METRIC: value} for value in history]
    return [lr_at(recipe, epoch, records[: epoch - 1]) for epoch in range(1, recipe.epochs + 1)]


def optimizer_of(recipe):
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=recipe.lr)


@pytest.mark.parametrize("epochs", [1, 2, 10, 40])
def test_cosine_is_that_of_torch(epochs):
    recipe = Recipe(schedule="cosine", epochs=epochs, lr=0.3)
    optimizer = optimizer_of(recipe)
    scheduler, theirs = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs), []
    for _ in range(epochs):
        theirs.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert all_rates(recipe) == pytest.approx(theirs, rel=1e-9)


def test_constant_stays():
    assert all_rates(Recipe(schedule="constant", epochs=5, lr=0.3)) == [0.3] * 5


@pytest.mark.parametrize("schedule", ["cosine", "constant", "plateau"])
def test_warm_up_rises_in_equal_steps_and_then_the_schedule_begins(schedule):
    warm = Recipe(schedule=schedule, epochs=9, warmup_epochs=3, lr=0.4)
    after = Recipe(schedule=schedule, epochs=6, lr=0.4)
    falling = np.linspace(0.9, 0.1, 9).tolist()
    rates = all_rates(warm, falling)
    assert rates[:3] == pytest.approx([0.1, 0.2, 0.3])
    assert rates[3:] == pytest.approx(all_rates(after, falling[3:]))


@settings(max_examples=100)
@given(scores)
def test_plateau_is_that_of_torch(history):
    recipe = Recipe(schedule="plateau", epochs=len(history) + 1, lr=0.3)
    optimizer, theirs = optimizer_of(recipe), []
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, mode="max", factor=PLATEAU_FACTOR, patience=PLATEAU_PATIENCE, threshold=0, eps=0
    )
    for value in [*history, 0]:
        theirs.append(optimizer.param_groups[0]["lr"])
        scheduler.step(value)
    assert all_rates(recipe, history) == pytest.approx(theirs, rel=1e-9)


@settings(max_examples=100)
@given(st.lists(st.sampled_from([-0.2, 0.0, 0.5, 0.50004, 0.5001, 0.6, float("nan")]), max_size=30))
def test_val_plateau_is_torchs_with_its_defaults_on_the_monitored_score(history):
    recipe = Recipe(schedule="val_plateau", monitor="mcc", epochs=len(history) + 1, lr=0.3)
    optimizer = optimizer_of(recipe)
    theirs = []
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, mode="max", patience=2, eps=0)
    for value in [*history, 0]:
        theirs.append(optimizer.param_groups[0]["lr"])
        scheduler.step(value)
    records = [{"val_mcc": value, PLATEAU_METRIC: 0.1 * k} for k, value in enumerate(history)]
    rates = [lr_at(recipe, epoch, records[: epoch - 1]) for epoch in range(1, recipe.epochs + 1)]
    assert rates == pytest.approx(theirs, rel=1e-9)


def test_plateau_lowers_the_rate_after_three_epochs_that_were_no_better():
    rates = all_rates(
        Recipe(schedule="plateau", epochs=8, lr=1), [0.5, 0.6, 0.6, 0.6, 0.6, 0.7, 0.7]
    )
    assert rates == pytest.approx([1, 1, 1, 1, 1, 0.1, 0.1, 0.1])


def test_the_rate_is_a_pure_function_of_recipe_epoch_and_history():
    recipe = Recipe(schedule="plateau", epochs=9)
    history = [{PLATEAU_METRIC: value} for value in (0.5, 0.4, 0.4, 0.4, 0.4)]
    before = copy.deepcopy(history)
    assert lr_at(recipe, 6, history) == lr_at(recipe, 6, history)
    assert history == before
