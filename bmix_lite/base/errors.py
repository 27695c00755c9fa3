"""The one error for what the user can fix."""

import math
from difflib import get_close_matches
from numbers import Real


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
    """`value` as an int. Raises BmixError unless it is an integer (no bool) within the limits."""
    from numbers import Integral

    whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not whole or value < lowest or (highest is not None and value > highest):
        limits = f">= {lowest}" if highest is None else f"in {lowest}..{highest}"
        raise BmixError(f"{name} must be an integer {limits}, got {value!r}")
    return int(value)


def suggest(value, choices):
    """The end of an error message that names the choice nearest to `value`; "" if none is near."""
    near = get_close_matches(str(value), [str(choice) for choice in choices], n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def require_alpha(alpha):
    """Raise BmixError unless `alpha` is a finite number of 0 or more."""
    is_number = isinstance(alpha, Real) and not isinstance(alpha, bool)
    if not is_number or not math.isfinite(alpha) or alpha < 0:
        raise BmixError(f"alpha must be a finite number >= 0, got {alpha!r}")
