"""Grids of parameters, products or rows side by side: from Python, a command line or a file."""

import dataclasses
import math
import re
from itertools import product
from pathlib import Path

from bmix_lite.base.errors import BmixError, require_choice
from bmix_lite.recipe import CHOICES, Recipe

BLOCKS = ("fixed", "runs", "zip", "product")
MOST = 100_000  # runs of one grid; a typing error such as seed=0:1000000 is caught
RANGE = re.compile(r"\s*(-?\d{1,9}):(-?\d{1,9})(?::(-?\d{1,9}))?\s*")  # FIRST:END[:STEP]
CONSTANTS = {"none": None, "null": None, "true": True, "false": False}


def expand_grid(**values):
    """All combinations as a list of dicts: expand_grid(alpha=[0.1, 0.2], seed=range(5)) has ten."""
    columns = {name: list(column) for name, column in values.items()}
    _check_size(math.prod(map(len, columns.values())))
    return [dict(zip(columns, row, strict=True)) for row in product(*columns.values())]


def zip_grid(**values):
    """Rows side by side, not crossed: zip_grid(lr=[0.1, 0.01], epochs=[10, 60]) has two.

    Raises BmixError unless all columns are equally long.
    """
    lengths = {name: len(column) for name, column in values.items()}
    if len(set(lengths.values())) > 1:
        raise BmixError(f"columns of a zip must be equally long, got {lengths}")
    return [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]


def cross_grids(*grids):
    """Every run of each grid with every run of the others.

    Raises BmixError where two grids give the same parameter.
    """
    crossed = [{}]
    given = set()
    for grid in grids:
        _check_size(len(crossed) * len(grid))
        names = {name for row in grid for name in row}
        twice = names & given
        if twice:
            raise BmixError(f"given twice: {', '.join(sorted(twice))}")
        given |= names
        crossed = [one | other for one in crossed for other in grid]
    return crossed


def read_assignments(texts, defaults):
    """A grid from texts such as "alpha=0.1,0.2" or "seed=0:5" (0 to 4), crossed.

    defaults: see `read_value`. Raises BmixError naming the text that cannot be read.
    """
    values = {}
    for text in texts:
        name, equals, listed = text.partition("=")
        name = name.strip()
        if not equals or not name:
            raise BmixError(f"a grid is written NAME=VALUE,VALUE or NAME=FIRST:END, got {text!r}")
        if name in values:
            raise BmixError(f"{name} is given twice")
        values[name] = read_values(name, listed, defaults)
    return cross_grids(*(expand_grid(**{name: column}) for name, column in values.items()))


def read_grid_file(path, defaults):
    """A grid from a YAML file with any of the blocks fixed, runs, zip and product, all crossed.

    fixed: {name: value}; runs: a list of {name: value}; zip, product: {name: values}, written as
    a list or as on the command line. Raises BmixError naming the file and the block.
    """
    path = Path(path)
    try:
        return _read_blocks(path.read_text(encoding="utf-8"), defaults)
    except BmixError as error:
        raise BmixError(f"{path}: {error}") from error
    except (OSError, ValueError) as error:
        raise BmixError(f"{path}: cannot be read ({error})") from error


def read_values(name, listed, defaults):
    """The values of one parameter, as a list.

    listed: a list of texts, or one text with commas, or a range FIRST:END[:STEP].
    """
    if isinstance(listed, str):
        span = RANGE.fullmatch(listed)
        listed = _read_range(name, listed, span) if span else listed.split(",")
    if not isinstance(listed, list) or not listed:
        raise BmixError(f"{name} needs at least one value")
    return [read_value(name, text, defaults) for text in listed]


def read_value(name, text, defaults):
    """What `text` means for the parameter `name`.

    Text where the parameter is text, else a number, True, False or None. defaults: the parameters
    of the notebook; the type is that of the Recipe field of this name, or of the default. What
    cannot be read stays text, and is refused with its type when the runs are planned.
    """
    if not isinstance(text, str):
        raise BmixError(f"{name}: one value is needed, got {text!r}")
    text = text.strip()
    if not text:
        raise BmixError(f"{name} has an empty value")
    if _is_text(name, defaults):
        can_be_unset = defaults.get(name) is None and "none" not in CHOICES.get(name, ())
        return None if can_be_unset and text.lower() == "none" else text
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return CONSTANTS.get(text.lower(), text)


def _is_text(name, defaults):
    """Whether a parameter holds text, by its Recipe field or else its default."""
    kinds = {field.name: field.type for field in dataclasses.fields(Recipe)}
    if name in kinds:
        return kinds[name] is str
    return isinstance(defaults.get(name), str)


def _read_range(name, text, span):
    """The numbers of a range as texts. span: its match."""
    step = int(span[3] or 1)
    if step == 0:
        raise BmixError(f"{name}: the step of {text!r} is 0")
    numbers = range(int(span[1]), int(span[2]), step)
    if not 0 < len(numbers) <= MOST:
        raise BmixError(f"{name}: {text!r} holds {len(numbers)} values")
    return [str(number) for number in numbers]


def _read_blocks(text, defaults):
    blocks = _read_yaml(text)
    if not isinstance(blocks, dict) or not blocks:
        raise BmixError(f"must hold blocks named {', '.join(BLOCKS)}")
    return cross_grids(*(_read_block(name, value, defaults) for name, value in blocks.items()))


def _read_block(block, value, defaults):
    """The grid of one block of a file."""
    require_choice("a block", block, BLOCKS)
    if block == "runs":
        if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
            raise BmixError("runs must be a list of runs")
        return [_read_row(row, defaults) for row in value]
    if not isinstance(value, dict):
        raise BmixError(f"{block} must be names with values")
    if block == "fixed":
        return [_read_row(value, defaults)]
    columns = {name: read_values(name, listed, defaults) for name, listed in value.items()}
    return zip_grid(**columns) if block == "zip" else expand_grid(**columns)


def _read_row(row, defaults):
    return {name: read_value(name, text, defaults) for name, text in row.items()}


def _read_yaml(text):
    import yaml

    # every scalar is text, so that 1:5 is a range as on the command line, not YAML's 65
    class Loader(yaml.BaseLoader):
        def construct_mapping(self, node, deep=False):
            names = [key.value for key, _ in node.value]
            twice = sorted({str(name) for name in names if names.count(name) > 1})
            if twice:
                raise BmixError(f"given twice: {', '.join(twice)}")
            return super().construct_mapping(node, deep)

    try:
        return Loader(text).get_single_data()
    except (yaml.YAMLError, RecursionError) as error:
        raise BmixError(f"not valid YAML ({error})") from error


def _check_size(size):
    if size > MOST:
        raise BmixError(f"a grid may have {MOST:,} runs, this one would have {size:,}")
