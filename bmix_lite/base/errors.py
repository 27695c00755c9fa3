"""The one error for what the user can fix."""

import math
import os
from difflib import get_close_matches
from numbers import Real

from bmix_lite.base.numbers import plain_number

LARGEST = 2**63 - 1  # what tables and NumPy hold
TYPES = {"float": (float, int), "int": (int,), "str": (str,), "float | str": (float, int, str)}


class BmixError(ValueError):
    """Names the file, row or argument, the rule it breaks and the value found."""


def require(holds, message):
    """Raise BmixError(message) unless `holds`; unlike `assert`, also under `python -O`.

    The message is built on every call: in a loop write `if not holds: raise BmixError(...)`.
    """
    if not holds:
        raise BmixError(message)


def require_choice(name, value, choices):
    """Raise BmixError unless `value` is one of `choices`; suggests the nearest one."""
    if value not in choices:
        listed = ", ".join(map(str, choices))
        raise BmixError(f"{name} must be one of {listed}, got {value!r}{suggest(value, choices)}")


def require_integer(name, value, lowest, highest=None):
    """`value` as an int. Raises BmixError unless it is an integer (no bool) within the limits.

    Integers of NumPy and torch are understood.
    """
    from numbers import Integral

    number = plain_number(value)
    whole = isinstance(number, Integral) and not isinstance(number, bool)
    if not whole or number < lowest or (highest is not None and number > highest):
        limits = f">= {lowest}" if highest is None else f"in {lowest}..{highest}"
        raise BmixError(f"{name} must be an integer {limits}, got {value!r}")
    return int(number)


def require_type(name, value, kind):
    """`value` in the type of that name: "int", "float", "str" or "float | str".

    An integer may stand for a float. Numbers of NumPy and torch are understood, and paths as text.
    Raises BmixError for another type, and for numbers that are not finite or need over 64 bits.
    """
    value = plain_number(value)
    if isinstance(value, os.PathLike) and kind == "str":
        value = os.fspath(value)
    if isinstance(value, bool) or not isinstance(value, TYPES[kind]):
        found = f"{value!r} ({type(value).__name__})"
        raise BmixError(f"{name} must be of type {kind}, got {found}")
    if isinstance(value, str):
        return str(value)  # not NumPy's
    if "float" in kind:
        if not is_finite(value):
            raise BmixError(f"{name} must be finite, got {value!r}")
        return float(value) + 0.0  # -0.0 is 0.0
    if value > LARGEST:
        raise BmixError(f"{name} must be an integer of 64 bits, at most {LARGEST}, got {value}")
    return value


def suggest(value, choices):
    """The end of an error message that names the choice nearest to `value`; "" if none is near."""
    near = get_close_matches(str(value), [str(choice) for choice in choices], n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def require_alpha(alpha):
    """`alpha` as Python's number. Raises BmixError unless it is finite and 0 or more."""
    alpha = plain_number(alpha)
    is_number = isinstance(alpha, Real) and not isinstance(alpha, bool)
    if not is_number or not is_finite(alpha) or alpha < 0:
        raise BmixError(f"alpha must be a finite number >= 0, got {alpha!r}")
    return alpha


def is_finite(value):
    """Whether a number is one that a float can hold."""
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond 1e308
        return False
