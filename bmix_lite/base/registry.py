"""Losses, base streams and methods of one's own, added under a name, from a notebook or from a file. No torch."""

import runpy
import traceback
from pathlib import Path

from bmix_lite.base.errors import BmixError, require


def add_own(table, built_in, kind, name, function):
    """Put `function` into `table` under `name`; a name used before is given its new meaning, a built-in one is refused.

    A name stands in recipes, run ids and checkpoints, so it must be a word: letters, digits, underscores.
    """
    require(
        isinstance(name, str) and name.isidentifier(),
        f"the name of a {kind} must be one word, got {name!r}",
    )
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
    except Exception as error:  # whatever the file of a user can raise
        lines = [
            frame.lineno
            for frame in traceback.extract_tb(error.__traceback__)
            if frame.filename == str(path)
        ]
        line = getattr(error, "lineno", None) or (lines[-1] if lines else "?")
        raise BmixError(f"{path}, line {line}: {type(error).__name__}: {error}") from error
    return content
