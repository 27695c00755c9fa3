"""The cells of a table of labels: which columns hold what, and what is wrong with a row."""

from collections.abc import Mapping

from bmix_lite.base.errors import BmixError, require_choice, suggest
from bmix_lite.preparation.cells import list_indicators, read_one_hot, refuse_cell
from bmix_lite.preparation.sameness import is_blank, read_number, reads_as

SPLIT_WORDS = {  # how folders and tables write a split
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
USUAL_COLUMNS = {"path": "path", "label": "label", "group": None, "split": None, "fold": None}


def read_split(text):
    """train, val or test of what a folder or a cell says, "" for anything else."""
    return SPLIT_WORDS.get(reads_as(text), "") if text else ""


def read_fold(text):
    """A fold as a whole number in digits, such as 1 of 1.0, "" for anything else."""
    number = read_number(text) if text else None
    if number is None or number.denominator != 1 or not 0 <= number < 1000:
        return ""
    return str(number.numerator)


def check_columns(columns):
    """{what: name of its column}, with the usual ones and None for none. Raises BmixError."""
    if columns is not None and not isinstance(columns, Mapping):
        raise BmixError(f"columns must be a dict such as {{'path': 'file'}}, got {columns!r}")
    columns = USUAL_COLUMNS | dict(columns or {})
    for name, column in columns.items():
        require_choice("columns", name, USUAL_COLUMNS)
        if name == "label" and isinstance(column, (list, tuple)):
            texts = list(column)
            if len(texts) < 2 or len(set(texts)) < len(texts):
                raise BmixError(f"columns: the label needs two or more columns, got {column!r}")
        else:
            texts = [] if column is None and name not in ("path", "label") else [column]
        if not all(isinstance(text, str) for text in texts):
            raise BmixError(f"columns: {name!r} must be the name of a column, got {column!r}")
    return columns


def refuse_unnamed_split(table, columns):
    """Raise BmixError where a split came with the table and nobody said whether it is used.

    columns: as they were given; {"split": None} says that the images shall be dealt
    """
    columns = columns or {}
    if {"split", "fold"} & set(columns):
        return
    for number, name in enumerate(table.header):
        cells = {row[number] for row in table.rows} if name not in columns.values() else set()
        parts = {read_split(cell) for cell in cells}
        if "" not in parts and len(parts) > 1:
            raise BmixError(
                f"{table.path}: the column {name!r} holds {', '.join(sorted(parts))}: "
                f"columns={{'split': {name!r}}} keeps that split, "
                "columns={'split': None} deals the images anew"
            )


def read_rows(table, columns):
    """One dict per row: the text of each of `columns`; "why": what is wrong with its label."""
    texts = {name: _read_column(table, columns, name) for name in columns if name != "label"}
    texts["label"], texts["why"] = _read_labels(table, columns)
    return [dict(zip(texts, fields, strict=True)) for fields in zip(*texts.values(), strict=True)]


def _read_column(table, columns, name):
    column = columns[name]
    if column is None:
        return [""] * len(table.rows)
    return table.column(column, f"; say which one it is: columns={{{name!r}: …}}")


def _read_labels(table, columns):
    """(label of each row, what is wrong with it)."""
    column = columns["label"]
    if isinstance(column, str):
        if column == USUAL_COLUMNS["label"] and column not in table.header:
            _suggest_one_hot(table, columns)
        labels = _read_column(table, columns, "label")
        reason_of = {label: refuse_cell(label) for label in set(labels)}
        reasons = [reason_of[label] and f"{label!r} {reason_of[label]}" for label in labels]
        return labels, reasons
    cells = zip(*(table.column(name) for name in column), strict=True)
    pairs = [read_one_hot(column, row) for row in cells]
    return [label for label, _ in pairs], [reason for _, reason in pairs]


def _suggest_one_hot(table, columns):
    """Raise BmixError where the labels may lie in a column for each class."""
    names = list_indicators(table, set(map(str, columns.values())))
    if len(names) > 1:
        raise BmixError(
            f"{table.path}: no column 'label', but {len(names)} columns hold 0 and 1: if they are "
            f"the classes, columns={{'label': {names}}}"
        )


def check_row(row, file, columns, group_from):
    """Yield (kind, what is there) of each fault of a row; file: the FoundFile of its path."""
    path = row["path"]
    if file.fault:
        yield file.kind, file.fault
    if row["why"]:
        yield "label", f"{path}: label {row['why']}"
    elif is_blank(row["label"]):
        yield "label", f"no label for {path!r} in column {columns['label']!r}"
    if columns["group"] or group_from is not None:
        yield from _check_group(row, columns, group_from)
    if columns["split"] and not read_split(row["split"]):
        yield "split", f"split {row['split']!r}{suggest(row['split'], SPLIT_WORDS)}"
    is_held_out = read_split(row["split"]) in ("val", "test")  # needs no fold
    if columns["fold"] and not read_fold(row["fold"]) and (row["fold"].strip() or not is_held_out):
        yield "split", f"fold {row['fold']!r}"


def _check_group(row, columns, group_from):
    group = row["group"]
    origin = f"in column {columns['group']!r}" if group_from is None else f"with {group_from!r}"
    if is_blank(group):
        yield "group", f"no group for {row['path']!r} {origin}"
    elif refuse_cell(group):
        yield "group", f"group {group!r} {origin} {refuse_cell(group)}"
