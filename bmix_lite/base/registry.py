"""Losses, base streams and methods that a user adds under a name, from a notebook or a file."""

import runpy
import traceback
from pathlib import Path

from bmix_lite.base.errors import BmixError, require


def add_own(table, built_in, kind, name, function):
    """Put `function` into `table` under `name`; a name used before gets its new meaning.

    A name stands in recipes, run ids and checkpoints, so it must be one word: letters, digits,
    underscores. Raises BmixError for another name, for a built-in one, and for no function.
    """
    if not isinstance(name, str) or not name.isidentifier():
        raise BmixError(f"the name of a {kind} must be one word, got {name!r}")
    require(name not in built_in, f"{name!r} is a {kind} of bmix_lite: give yours another name")
    require(callable(function), f"the {kind} {name!r} must be a function, got {function!r}")
    table[name] = function


def run_own(path):
    """Run a Python file that adds losses, base streams or rows of METHODS; returns its bytes.

    Raises BmixError naming the file and its line where it cannot be read or ends in an error.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
        runpy.run_path(str(path), run_name="bmix_lite_own")
    except OSError as error:
        raise BmixError(f"{path} cannot be read: {error.strerror or error}") from error
    except Exception as error:  # whatever a user's file can raise
        line = _find_line(path, error)
        raise BmixError(f"{path}, line {line}: {type(error).__name__}: {error}") from error
    return content


def _find_line(path, error):
    """The line of the file at which an error arose; "?" where it is not known."""
    if getattr(error, "lineno", None):  # a SyntaxError
        return error.lineno
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == str(path)]
    return lines[-1] if lines else "?"
