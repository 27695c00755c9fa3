"""The cell tagged "parameters" of a notebook, read without running it."""

import ast
import hashlib
from contextlib import suppress

from bmix_lite.base.errors import BmixError, require
from bmix_lite.base.ipynb import read_cells


def read_parameters(notebook):
    """(the literals of the cell tagged "parameters", a hash of the notebook's code and text)."""
    cells = read_cells(notebook)
    sources = [source for _, source, _ in cells]
    tagged = [k for k, (_, _, tags) in enumerate(cells) if "parameters" in tags]
    found = f"{len(tagged)}" + (f" (cells {', '.join(map(str, tagged))})" if tagged else "")
    require(len(tagged) == 1, f"{notebook} needs one cell tagged 'parameters', found {found}")
    rule = f"{notebook}: the 'parameters' cell may only hold name = literal, line"
    try:
        statements = ast.parse(sources[tagged[0]]).body
    except SyntaxError as error:
        raise BmixError(f"{rule} {error.lineno}: {error.msg}") from error
    parameters = {}
    for statement in statements:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                require(name not in parameters, f"{notebook}: the parameter {name!r} is set twice")
                parameters[name] = _read_literal(value, rule)
            case _:
                raise BmixError(f"{rule} {statement.lineno}")
    early = [source for kind, source, _ in cells[: tagged[0]] if kind == "code"]
    for name in sorted(_used_names(early) & parameters.keys()):
        raise BmixError(
            f"{notebook}: {name!r} is used above the 'parameters' cell, where no value can reach it"
        )
    return parameters, hashlib.sha256("\0".join(sources).encode()).hexdigest()


def _read_literal(value, rule):
    try:
        return ast.literal_eval(value)
    except ValueError as error:  # its word for anything that would have to be computed
        raise BmixError(f"{rule} {value.lineno}") from error


def _used_names(sources):
    names = set()
    for source in sources:
        python = "\n".join(
            line for line in source.splitlines() if not line.lstrip().startswith(("%", "!"))
        )
        with suppress(SyntaxError):
            names |= {node.id for node in ast.walk(ast.parse(python)) if isinstance(node, ast.Name)}
    return names
