"""What a student hands in, taken apart with care: numbers, arrays and functions, and the words for what is amiss."""

import copy
import functools

import numpy as np

UNDONE = (Ellipsis, NotImplemented)


class Undone(Exception):
    """The stub is still in its place."""


class Mistake(Exception):
    """An answer that is not right; the text says what is wrong with it."""


def expect(holds, words):
    """Raise Mistake(words) unless `holds`."""
    if not holds:
        raise Mistake(words)


def refuse_stub(answer):
    """Raise Undone where `answer`, or any part of it, is still the dots of the stub."""
    parts = list(answer.values()) if isinstance(answer, dict) else answer
    if isinstance(parts, list | tuple):
        for part in parts:
            refuse_stub(part)
    elif any(parts is dots for dots in UNDONE):
        raise Undone


def call(function, *arguments):
    """What the student's function answers to a private copy of `arguments`.

    Raises Undone for a stub, and Mistake where it is no function, raises, returns nothing or changes its input.
    """
    refuse_stub(function)
    expect(
        callable(function),
        f"a function is asked for, found {show(function)}: hand it over without brackets",
    )
    given = copy.deepcopy(arguments)
    try:
        answer = function(*given)
    except NotImplementedError:
        raise Undone from None
    except Exception as error:
        raise Mistake(
            f"called with ({show_all(arguments)}) it raised {type(error).__name__}: {error}"
        ) from error
    expect(answer is not None, "it returns None: does its last line say `return`?")
    refuse_stub(answer)
    for number, (before, after) in enumerate(zip(arguments, given, strict=True), 1):
        if not isinstance(before, np.random.Generator) and not _same(before, after):
            raise Mistake(
                f"argument {number} is changed in place: the caller's data must stay as they were"
            )
    return answer


def read_number(value, name):
    """`value` as a float, from any kind of number; Mistake where it is none."""
    refuse_stub(value)
    single = (
        not isinstance(value, str | bool | dict | set | None)
        and not callable(value)
        and np.ndim(value) == 0
    )
    expect(single, f"{name} must be one number, found {show(value)}")
    return read_array(value, name).item()


def read_array(value, name):
    """`value` as floats, from an array, a tensor or lists; Mistake where it holds no or undefined numbers."""
    refuse_stub(value)
    try:
        array = np.asarray(value.detach() if hasattr(value, "detach") else value, dtype=float)
    except (TypeError, ValueError):
        raise Mistake(f"{name} must be numbers in an array, found {show(value)}") from None
    expect(
        np.isfinite(array).all(),
        f"{name} must be finite, found nan or inf: is anything divided by 0?",
    )
    return array


def read_parts(answer, names):
    """The answers of a dict in the order of `names`; Mistake where the keys are others."""
    refuse_stub(answer)
    listed = ", ".join(names)
    expect(isinstance(answer, dict), f"a dict with {listed} is asked for, found {show(answer)}")
    missing = [name for name in names if name not in answer]
    expect(not missing, f"the dict must have {listed}; missing: {', '.join(missing)}")
    return [answer[name] for name in names]


def recognise(found, wanted, name, mistakes=()):
    """Nothing where `found` is close to `wanted`; else Mistake, in the words of the first of `mistakes` that it is.

    found, wanted: arrays of one shape. mistakes: pairs (what it gives, words). Percentages are known by themselves;
    of anything else the first place is named that differs.
    """
    if near(found, wanted):
        return
    for wrong, words in mistakes:
        expect(not near(found, wrong), words)
    percent = np.allclose(found, 100 * np.asarray(wanted), rtol=0.02, atol=0)
    expect(not percent, f"{name} is in per cent; a fraction between 0 and 1 is asked for")
    rounded = any(near(found, np.round(wanted, digits)) for digits in (1, 2, 3))
    expect(not rounded, f"{name} is rounded: give it exactly")
    close = np.allclose(found, wanted, rtol=0.05, atol=0)
    expect(
        not close,
        f"{name} is nearly right, within a twentieth: is it drawn at random, or cut short?",
    )
    at = int(np.argmax(~np.isclose(np.ravel(found), np.ravel(wanted), rtol=1e-4, atol=1e-6)))
    place = f" at position {at} (counted from 0)" if np.ndim(found) else ""
    size = "large" if np.ravel(found)[at] > np.ravel(wanted)[at] else "small"
    raise Mistake(f"{name}: {np.ravel(found)[at]:.4g}{place} is too {size}")


def near(one, other, slack=1e-6):
    """True where two arrays have one shape and differ by less than `slack`, or a ten thousandth of themselves."""
    return np.shape(one) == np.shape(other) and np.allclose(one, other, rtol=1e-4, atol=slack)


def show(value):
    """A value in few words."""
    if isinstance(value, np.ndarray) or hasattr(value, "shape"):
        return f"{type(value).__name__} of shape {tuple(value.shape)}"
    words = repr(value)
    words = words if len(words) <= 60 else words[:57] + "..."
    return words if callable(value) else f"{type(value).__name__} {words}"


def show_all(arguments):
    """Arguments of a call in few words; short arrays are written out."""
    return ", ".join(_show_argument(value) for value in arguments)


def _show_argument(value):
    if isinstance(value, np.ndarray) and value.ndim == 1 and value.size <= 12:
        return str(value.tolist())
    if isinstance(value, tuple | list) and any(isinstance(part, np.ndarray) for part in value):
        return f"({show_all(value)})"
    return repr(value) if isinstance(value, int | float) else show(value)


@functools.singledispatch
def _same(before, after):
    return before == after


@_same.register(np.ndarray)
def _(before, after):
    return np.array_equal(before, after)


@_same.register(tuple)
@_same.register(list)
def _(before, after):
    return len(before) == len(after) and all(map(_same, before, after))
