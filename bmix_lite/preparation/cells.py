"""What a spreadsheet makes of a cell: errors, formulas, shortened numbers, dates; and columns of
0 and 1 for each class."""

import re

from bmix_lite.preparation.sameness import read_number

ERROR = re.compile(r"#(N/A|NV|N/V|[\w/]+[!?]|#+|GETTING_DATA)", re.IGNORECASE)
SHORTENED = re.compile(r"[+-]?\d([.,]\d+)?E\+\d{2,3}", re.IGNORECASE)
MONTH = r"(jan|feb|mar|mär|apr|may|mai|jun|jul|aug|sep|oct|okt|nov|dec|dez)[a-zä]*\.?"
DATE = re.compile(
    rf"\d{{1,2}}[-./ ]+{MONTH}([-./ ]+\d{{2,4}})?|{MONTH}[-./ ]+\d{{1,4}}"
    r"|\d{4}-\d{2}-\d{2}( 00:00:00)?|\d{1,2}[./]\d{1,2}[./]\d{2,4}",
    re.IGNORECASE,
)


def refuse_cell(text):
    """Why a text cannot be what was meant, "" where it may be."""
    text = text.strip()
    if ERROR.fullmatch(text):
        return "is an error of a spreadsheet"
    if text.startswith("="):
        return "is a formula: save its value"
    if SHORTENED.fullmatch(text):
        return "is a number that a spreadsheet shortened: format the column as text"
    return ""


def is_date(text):
    """Whether a text may be a date that a spreadsheet made of it, such as 02-Jan of 1-2."""
    return DATE.fullmatch(text.strip()) is not None


def read_one_hot(names, cells):
    """(the name of the one column that holds 1, "") or ("", what is wrong with the row)."""
    values = [read_number(cell) for cell in cells]
    for name, cell, value in zip(names, cells, values, strict=True):
        if value not in (0, 1):
            return "", f"column {name!r} must hold 0 or 1, found {cell!r}"
    ones = [name for name, value in zip(names, values, strict=True) if value == 1]
    if len(ones) == 1:
        return ones[0], ""
    found = f"in {', '.join(map(repr, ones))}" if ones else "in no column"
    return "", f"exactly one column must hold 1, found it {found}"


def list_indicators(table, known):
    """Names of the columns that hold 0 and 1 alone, apart from those in `known`."""
    columns = zip(*table.rows, strict=True)
    return [
        name
        for name, cells in zip(table.header, columns, strict=False)
        if name not in known and {read_number(cell) for cell in set(cells)} <= {0, 1}
    ]
