"""Losses and base streams of one's own, added from a notebook under a name. No torch."""

from bmix_lite.errors import require


def add_own(table, built_in, kind, name, function):
    """Put `function` into `table` under `name`; a name used before is given its new meaning, a built-in one is refused.

    A name stands in recipes, run ids and checkpoints, so it must be a word: letters, digits, underscores.
    """
    require(isinstance(name, str) and name.isidentifier(), f"the name of a {kind} must be one word, got {name!r}")
    require(name not in built_in, f"{name!r} is a {kind} of bmix_lite: give yours another name")
    require(callable(function), f"the {kind} {name!r} must be a function, got {function!r}")
    table[name] = function
