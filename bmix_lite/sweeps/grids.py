"""Grids of parameters: products, rows side by side and explicit lists; from Python, a command line or a file."""

import dataclasses
import math
import re
from itertools import product
from pathlib import Path

from bmix_lite.base.errors import BmixError, require, require_choice
from bmix_lite.recipe import CHOICES, Recipe

BLOCKS = ("fixed", "runs", "zip", "product")
MOST = 100_000  # runs of one grid; a slip of the pen such as seed=0:1000000 is caught
WORDS = {"none": None, "null": None, "true": True, "false": False}


def expand_grid(**values):
    """All combinations as a list of dicts: expand_grid(alpha=[0.1, 0.2], seed=range(5)) has ten."""
    values = {name: list(column) for name, column in values.items()}
    _require_size(math.prod(map(len, values.values())))
    return [
        dict(zip(values, combination, strict=True)) for combination in product(*values.values())
    ]


def zip_grid(**values):
    """Rows side by side, not crossed: zip_grid(lr=[0.1, 0.01], epochs=[10, 60]) has two. All equally long."""
    lengths = {name: len(column) for name, column in values.items()}
    require(
        len(set(lengths.values())) <= 1, f"columns of a zip must be equally long, got {lengths}"
    )
    return [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]


def cross_grids(*grids):
    """Every run of each grid with every run of the others. Raises BmixError where two give the same parameter."""
    crossed, given = [{}], set()
    for grid in grids:
        _require_size(len(crossed) * len(grid))
        names = {name for row in grid for name in row}
        require(not names & given, f"given twice: {', '.join(sorted(names & given))}")
        given |= names
        crossed = [one | other for one in crossed for other in grid]
    return crossed


def read_assignments(texts, defaults):
    """A grid from words such as "alpha=0.1,0.2" or "seed=0:5" (0 to 4), crossed. defaults: see `read_value`."""
    values = {}
    for text in texts:
        name, equals, listed = text.partition("=")
        name = name.strip()
        require(
            equals and name, f"a grid is written NAME=VALUE,VALUE or NAME=FIRST:END, got {text!r}"
        )
        require(name not in values, f"{name} is given twice")
        values[name] = read_values(name, listed, defaults)
    return cross_grids(*(expand_grid(**{name: column}) for name, column in values.items()))


def read_grid_file(path, defaults):
    """A grid from a YAML file with any of the blocks `fixed`, `runs`, `zip` and `product`, which are crossed.

    fixed: {name: value}; runs: a list of {name: value}; zip, product: {name: values}, values written as a list
    or as on the command line. Raises BmixError naming the file and the block.
    """
    path = Path(path)
    try:
        return _read_blocks(path.read_text(encoding="utf-8"), defaults)
    except BmixError as error:
        raise BmixError(f"{path}: {error}") from error
    except (OSError, ValueError) as error:
        raise BmixError(f"{path}: cannot be read ({error})") from error


def read_values(name, listed, defaults):
    """The values of one parameter: a list of texts, or one text with commas, or a range FIRST:END[:STEP]."""
    if isinstance(listed, str):
        span = re.fullmatch(r"\s*(-?\d{1,9}):(-?\d{1,9})(?::(-?\d{1,9}))?\s*", listed)
        if span:
            step = int(span[3] or 1)
            require(step != 0, f"{name}: the step of {listed!r} is 0")
            numbers = range(int(span[1]), int(span[2]), step)
            require(0 < len(numbers) <= MOST, f"{name}: {listed!r} holds {len(numbers)} values")
            return [read_value(name, str(number), defaults) for number in numbers]
        listed = listed.split(",")
    require(isinstance(listed, list) and listed, f"{name} needs at least one value")
    return [read_value(name, text, defaults) for text in listed]


def read_value(name, text, defaults):
    """What `text` means for the parameter `name`: text where the parameter is text, else a number, true, false, none.

    defaults: the parameters of the notebook; the type is that of the Recipe field of this name, or of the default.
    What cannot be read stays text, and is refused with its type when the runs are planned.
    """
    require(isinstance(text, str), f"{name}: one value is needed, got {text!r}")
    text = text.strip()
    require(text, f"{name} has an empty value")
    wanted = {field.name: field.type for field in dataclasses.fields(Recipe)}.get(name)
    if wanted is str or (wanted is None and isinstance(defaults.get(name), str)):
        unset = (
            text.lower() == "none"
            and defaults.get(name) is None
            and "none" not in CHOICES.get(name, ())
        )
        return None if unset else text
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return WORDS.get(text.lower(), text)


def _read_blocks(text, defaults):
    content, grids = _read_yaml(text), []
    require(isinstance(content, dict) and content, f"must hold blocks named {', '.join(BLOCKS)}")
    for block, value in content.items():
        require_choice("a block", block, BLOCKS)
        rows = value if block == "runs" else [value]
        shaped = isinstance(rows, list) and all(isinstance(row, dict) for row in rows)
        require(
            shaped,
            f"{block} must be " + ("a list of runs" if block == "runs" else "names with values"),
        )
        if block in ("fixed", "runs"):
            grids.append(
                [
                    {name: read_value(name, text, defaults) for name, text in row.items()}
                    for row in rows
                ]
            )
        else:
            columns = {name: read_values(name, listed, defaults) for name, listed in value.items()}
            grids.append((zip_grid if block == "zip" else expand_grid)(**columns))
    return cross_grids(*grids)


def _read_yaml(text):
    import yaml

    class Loader(
        yaml.BaseLoader
    ):  # every scalar is text, so that 1:5 is a range as on the command line, not YAML's 65
        def construct_mapping(self, node, deep=False):
            names = [key.value for key, _ in node.value]
            twice = sorted({str(name) for name in names if names.count(name) > 1})
            require(not twice, f"given twice: {', '.join(twice)}")
            return super().construct_mapping(node, deep)

    try:
        return Loader(text).get_single_data()
    except (yaml.YAMLError, RecursionError) as error:
        raise BmixError(f"not valid YAML ({error})") from error


def _require_size(size):
    require(size <= MOST, f"a grid may have {MOST:,} runs, this one would have {size:,}")
