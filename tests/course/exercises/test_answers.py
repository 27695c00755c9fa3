"""What is handed in is read whatever its form, and what cannot be read is named."""

import numpy as np
import pytest
import torch

from bmix_lite.course.exercises.answers import (
    Mistake,
    Undone,
    call,
    read_array,
    read_number,
    read_parts,
    recognise,
    refuse_stub,
)


@pytest.mark.parametrize(
    "value", [0.25, np.float32(0.25), np.array(0.25), torch.tensor(0.25, requires_grad=True)]
)
def test_a_number_is_read_in_whatever_form(value):
    assert read_number(value, "it") == 0.25


@pytest.mark.parametrize(
    "value", ["0.25", True, None, [0.25], np.array([0.25]), {0.25}, {"it": 0.25}, max]
)
def test_what_is_no_number_is_named(value):
    with pytest.raises(Mistake, match="it must be one number, found"):
        read_number(value, "it")


@pytest.mark.parametrize("value", [[1, [2, 3]], "ab", [None, "x"], {"a": 1}])
def test_what_is_no_array_of_numbers_is_named(value):
    with pytest.raises(Mistake, match="it must be numbers in an array"):
        read_array(value, "it")


@pytest.mark.parametrize(
    "value", [..., NotImplemented, [0.1, ...], (1, [2, ...]), {"a": {"b": ...}}]
)
def test_dots_anywhere_in_an_answer_mean_that_it_is_not_done(value):
    with pytest.raises(Undone):
        refuse_stub(value)


def test_the_callers_data_survive_a_function_that_changes_them():
    given, nested = np.arange(3.0), (np.zeros(2), [1, 2])
    with pytest.raises(Mistake, match="argument 1 is changed in place"):
        call(lambda x, _: x.sort() or np.negative(x, out=x), given, nested)
    with pytest.raises(Mistake, match="argument 2 is changed in place"):
        call(lambda x, pair: pair[0].fill(7) or x, given, nested)
    assert given.tolist() == [0, 1, 2]
    assert nested[0].tolist() == [0, 0]


def test_an_exception_is_told_with_what_the_function_was_called_with():
    with pytest.raises(Mistake) as told:
        call(lambda labels, n: labels[n], np.array([2, 0]), 5)
    assert str(told.value).startswith(
        "called with ([2, 0], 5) it raised IndexError: index 5 is out of bounds"
    )
    with pytest.raises(
        Mistake, match=r"called with \(\(ndarray of shape \(2, 2\), \[1.0\]\)\) it raised ZeroDiv"
    ):
        call(lambda pair: 1 / 0, (np.zeros((2, 2)), np.ones(1)))


def test_a_generator_may_be_drawn_from():
    assert 0 <= call(lambda rng: rng.random(), np.random.default_rng(0)) < 1


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (50.4, "in per cent"),
        (0.5, "rounded"),
        (0.52, "less than 5 % off"),
        (0.7, "it: 0.7 is too large"),
        (0.3, "it: 0.3 is too small"),
        (0.9, "known"),
    ],
)
def test_an_unknown_mistake_is_told_by_its_size(found, words):
    with pytest.raises(Mistake, match=words):
        recognise(np.float64(found), 0.5041234, "it", {"known": 0.9})


def test_small_numbers_are_not_taken_for_percentages_or_roundings():
    with pytest.raises(Mistake, match="too large"):
        recognise(np.float64(0.3), 0.0047, "p", {})


def test_the_dict_of_an_answer_must_have_all_its_parts():
    assert read_parts({"b": 2, "a": 1, "c": 3}, ("a", "b")) == [1, 2]
    with pytest.raises(Mistake, match="missing: b"):
        read_parts({"a": 1}, ("a", "b"))
