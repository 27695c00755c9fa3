"""The one error for what a user can mend."""


class BmixError(ValueError):
    """Names the file, row or argument, the rule it breaks and the value found."""


def require(holds, message):
    """Raise BmixError(message) unless `holds`. Unlike `assert` it also works under `python -O`."""
    if not holds:
        raise BmixError(message)


def require_choice(name, value, choices):
    """Raise BmixError unless `value` is one of `choices`; suggests the nearest one."""
    from difflib import get_close_matches

    if value not in choices:
        near = get_close_matches(str(value), [str(c) for c in choices], n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise BmixError(f"{name} must be one of {', '.join(map(str, choices))}, got {value!r}{hint}")


def require_alpha(alpha):
    """Raise BmixError unless `alpha` is a finite number of 0 or more."""
    import math
    from numbers import Real

    number = isinstance(alpha, Real) and not isinstance(alpha, bool)
    require(number and math.isfinite(alpha) and alpha >= 0, f"alpha must be a finite number >= 0, got {alpha!r}")
