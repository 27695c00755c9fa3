"""How a student's answer is read: numbers, arrays and functions, and what is wrong with them."""

import copy
import functools

import numpy as np

UNDONE = (Ellipsis, NotImplemented)


class Undone(Exception):
    """The stub has not been replaced."""


class Mistake(Exception):
    """An answer that is not right; the text says what is wrong with it."""


def expect(holds, message):
    """Raise Mistake(message) unless `holds`."""
    if not holds:
        raise Mistake(message)


def refuse_stub(answer):
    """Raise Undone where `answer`, or any part of it, is still the dots of the stub."""
    parts = list(answer.values()) if isinstance(answer, dict) else answer
    if isinstance(parts, list | tuple):
        for part in parts:
            refuse_stub(part)
    elif any(parts is dots for dots in UNDONE):
        raise Undone


def call(function, *arguments):
    """What the student's function returns for a private copy of `arguments`.

    Raises Undone for a stub, and Mistake where it is not a function, raises, returns nothing or
    changes its arguments.
    """
    refuse_stub(function)
    if not callable(function):
        raise Mistake(f"expected a function, found {show(function)}: do not call it yourself")
    copies = copy.deepcopy(arguments)
    try:
        answer = function(*copies)
    except NotImplementedError:
        raise Undone from None
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise Mistake(f"called with ({show_all(arguments)}) it raised {reason}") from error
    expect(answer is not None, "it returns None: is there a `return` in its last line?")
    refuse_stub(answer)
    for number, (before, after) in enumerate(zip(arguments, copies, strict=True), 1):
        if not isinstance(before, np.random.Generator) and not _same(before, after):
            raise Mistake(f"argument {number} is changed in place: leave the caller's data alone")
    return answer


def read_number(value, name):
    """`value` as a float, from any kind of number; Mistake where it is not a number."""
    refuse_stub(value)
    other_type = isinstance(value, str | bool | dict | set | None) or callable(value)
    if other_type or np.ndim(value) > 0:
        raise Mistake(f"{name} must be one number, found {show(value)}")
    return read_array(value, name).item()


def read_array(value, name):
    """`value` as floats, from an array, a tensor or lists; Mistake unless all are finite."""
    refuse_stub(value)
    try:
        array = np.asarray(value.detach() if hasattr(value, "detach") else value, dtype=float)
    except (TypeError, ValueError):
        raise Mistake(f"{name} must be numbers in an array, found {show(value)}") from None
    if not np.isfinite(array).all():
        raise Mistake(f"{name} must be finite, found nan or inf: is anything divided by 0?")
    return array


def read_parts(answer, names):
    """The parts of a dict, in the order of `names`; Mistake where one is missing."""
    refuse_stub(answer)
    keys = ", ".join(names)
    if not isinstance(answer, dict):
        raise Mistake(f"expected a dict with {keys}, found {show(answer)}")
    missing_keys = [name for name in names if name not in answer]
    if missing_keys:
        raise Mistake(f"the dict must have {keys}; missing: {', '.join(missing_keys)}")
    return [answer[name] for name in names]


def recognise(answer, wanted, name, mistakes):
    """Return where `answer` is close to `wanted`; else raise the Mistake that explains it best.

    answer, wanted: arrays of one shape
    mistakes: {message: the array that this mistake gives}; the first that fits is told. Per cent
    and rounded numbers are always recognised; else the first element that differs is named.
    """
    if near(answer, wanted):
        return
    for message, wrong in mistakes.items():
        expect(not near(answer, wrong), message)
    if np.allclose(answer, 100 * np.asarray(wanted), rtol=0.02, atol=0):
        raise Mistake(f"{name} is in per cent: give a fraction between 0 and 1")
    if any(near(answer, np.round(wanted, digits)) for digits in (1, 2, 3)):
        raise Mistake(f"{name} is rounded: give the exact value")
    if np.allclose(answer, wanted, rtol=0.05, atol=0):
        raise Mistake(f"{name} is less than 5 % off: is it drawn at random, or cut short?")
    raise Mistake(_name_first_difference(answer, wanted, name))


def recognise_number(answer, wanted, name, mistakes):
    """As `recognise`, for an answer that must be one number."""
    recognise(np.float64(read_number(answer, name)), wanted, name, mistakes)


def near(one, other, slack=1e-6):
    """Do two arrays have one shape, and differ by less than `slack` or a relative 1e-4?"""
    return np.shape(one) == np.shape(other) and np.allclose(one, other, rtol=1e-4, atol=slack)


def show(value):
    """A short text for a value."""
    if isinstance(value, np.ndarray) or hasattr(value, "shape"):
        return f"{type(value).__name__} of shape {tuple(value.shape)}"
    text = repr(value)
    if len(text) > 60:
        text = f"{text[:57]}..."
    return text if callable(value) else f"{type(value).__name__} {text}"


def show_all(arguments):
    """A short text for the arguments of a call; short arrays are written out."""
    return ", ".join(_show_argument(value) for value in arguments)


def _name_first_difference(answer, wanted, name):
    close = np.isclose(np.ravel(answer), np.ravel(wanted), rtol=1e-4, atol=1e-6)
    position = int(np.argmax(~close))
    number = np.ravel(answer)[position]
    where = f" at position {position} (counting from 0)" if np.ndim(answer) else ""
    size = "large" if number > np.ravel(wanted)[position] else "small"
    return f"{name}: {number:.4g}{where} is too {size}"


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
