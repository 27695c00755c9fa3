"""The cell tagged "parameters" of a notebook, read without running it, and what a run may give."""

import ast
import hashlib
import json
from contextlib import suppress

from bmix_lite.base.errors import BmixError
from bmix_lite.base.ipynb import read_cells
from bmix_lite.recipe import Recipe

# parameters of the notebook with a meaning of their own
FOLDER = "run_folder"  # where its run lies
LIVE = "live"  # whether it draws while it trains
PARENT = "parent_folder"  # where the run lies that one with `posthoc` begins with


def read_parameters(notebook):
    """(the literals of the cell tagged "parameters", a hash of the notebook's code and text).

    Raises BmixError if there is not exactly one such cell, if it holds anything but literals, or
    if one of its names is used above it.
    """
    cells = read_cells(notebook)
    tagged = _find_tagged(notebook, cells)
    sources = [source for _, source, _ in cells]
    parameters = _parse_cell(notebook, sources[tagged])
    early = [source for kind, source, _ in cells[:tagged] if kind == "code"]
    for name in sorted(_used_names(early) & parameters.keys()):
        raise BmixError(
            f"{notebook}: {name!r} is used above the 'parameters' cell, where no value can reach it"
        )
    return parameters, hashlib.sha256("\0".join(sources).encode()).hexdigest()


def sort_parameters(notebook, defaults, parameters):
    """(fields of the Recipe, the notebook's other parameters) of one run, as two dicts.

    notebook: its path; defaults: as `read_parameters` gives them. Raises BmixError for a value
    that does not have the type of its default.
    """
    recipe_fields = {"method", *Recipe().asdict()}
    fields = {}
    others = {}
    for name, value in (defaults | parameters).items():
        if name in recipe_fields:
            if value is None and defaults[name] is not None:
                raise BmixError(
                    f"{name} cannot be None in {notebook.name}, "
                    f"where it is {defaults[name]!r} by default"
                )
            fields[name] = value
        elif name == LIVE:
            if not isinstance(value, bool):
                raise BmixError(f"{LIVE} must be True or False, got {value!r}")
        elif name not in (FOLDER, PARENT):
            _check_other(notebook, name, value, defaults[name])
            others[name] = value
    return fields, others


def _find_tagged(notebook, cells):
    """The number of the cell tagged "parameters"."""
    tagged = [number for number, (_, _, tags) in enumerate(cells) if "parameters" in tags]
    if len(tagged) != 1:
        which = f" (cells {', '.join(map(str, tagged))})" if tagged else ""
        raise BmixError(
            f"{notebook} needs one cell tagged 'parameters', found {len(tagged)}{which}"
        )
    return tagged[0]


def _parse_cell(notebook, source):
    """{name: value} of a cell that only holds name = literal."""
    rule = f"{notebook}: the 'parameters' cell may only hold name = literal, line"
    try:
        statements = ast.parse(source).body
    except SyntaxError as error:
        raise BmixError(f"{rule} {error.lineno}: {error.msg}") from error
    parameters = {}
    for statement in statements:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                if name in parameters:
                    raise BmixError(f"{notebook}: the parameter {name!r} is set twice")
                parameters[name] = _read_literal(value, rule)
            case _:
                raise BmixError(f"{rule} {statement.lineno}")
    return parameters


def _read_literal(value, rule):
    try:
        return ast.literal_eval(value)
    except ValueError as error:  # its word for anything that would have to be computed
        raise BmixError(f"{rule} {value.lineno}") from error


def _used_names(sources):
    names = set()
    for source in sources:
        lines = [line for line in source.splitlines() if not line.lstrip().startswith(("%", "!"))]
        with suppress(SyntaxError):
            nodes = ast.walk(ast.parse("\n".join(lines)))
            names |= {node.id for node in nodes if isinstance(node, ast.Name)}
    return names


def _check_other(notebook, name, value, default):
    got = f"got {value!r} ({type(value).__name__})"
    whole_for_float = type(default) is float and type(value) is int
    if default is not None and type(value) is not type(default) and not whole_for_float:
        kind = type(default).__name__
        raise BmixError(f"{name} must be of type {kind}, as in {notebook.name}, {got}")
    if not _is_plain(value):
        raise BmixError(f"{name} must be plain: text, finite numbers, lists, dicts, {got}")


def _is_plain(value):
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return False
    return True
