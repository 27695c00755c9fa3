"""A table of labels, read strictly: 007 is not 7, NA is a name, and no row shifts unnoticed."""

import codecs
import csv
import io
import re
from dataclasses import dataclass, field
from pathlib import Path

from bmix_lite.base.errors import BmixError, require, suggest
from bmix_lite.base.files import name_special
from bmix_lite.preparation.faults import Fault
from bmix_lite.preparation.sameness import as_shown

SEPARATORS = ",;\t"
NAMED_SEPARATOR = re.compile(r'"?sep=([,;|\t])"?,*;*', re.IGNORECASE)


@dataclass(frozen=True)
class Table:
    """header: names; rows: lists of text; numbers: of each row, as a spreadsheet counts.

    The header is row 1, or row 2 below a line such as sep=; that names the separator.
    """

    path: Path
    header: tuple
    rows: list
    numbers: list
    faults: list
    misfits: list = field(default_factory=list)  # rows that do not fit, one per fault "row"

    def column(self, name, hint=""):
        """The texts of one column. Raises BmixError with the names that there are, and the hint."""
        if name not in self.header:
            twins = [other for other in self.header if as_shown(other) == as_shown(name)]
            if len(twins) == 1:
                return self.column(twins[0])
            names = ", ".join(map(repr, self.header))
            single = " (is another separator meant?)" if len(self.header) == 1 else ""
            raise BmixError(
                f"{self.path}: no column {name!r}, row 1 has {names}{single}"
                f"{suggest(name, self.header)}{hint}"
            )
        number = self.header.index(name)
        return [row[number] for row in self.rows]


def read_table(path):
    """Read a CSV or TSV whose first row names the columns; rows that do not fit become faults.

    UTF-8 or UTF-16, separated by commas, semicolons or tabs, whichever the header has most of, or
    as a first line "sep=;" says. Blank rows and columns, and a column without a name that only
    numbers the rows, are left out; rows keep the numbers that a spreadsheet shows.
    Raises BmixError with the row where the text breaks a rule of CSV: a quote left open, a line
    break in a field.
    """
    path = Path(path)
    text = _read_text(path)
    rows, numbers = _split_rows(path, text)
    header = _check_header(path, rows)
    table = Table(path, header, [], [], [])
    for number, row in zip(numbers[1:], rows[1:], strict=True):
        if len(row) == len(header):
            table.rows.append(row)
            table.numbers.append(number)
        else:
            table.misfits.append(row)
            found = f"{len(row)} fields, the header has {len(header)}: {row[:4]}"
            table.faults.append(Fault("row", f"{path.name} row {number}", found))
    if not text.endswith(("\n", "\r")):
        where = f"{path.name} row {numbers[-1]}"
        table.faults.append(Fault("unfinished", where, f"the last row: {rows[-1][:4]}"))
    return table


def _read_text(path):
    special = name_special(path)
    if special:
        raise BmixError(f"{path}: cannot be read (it is {special}, expected a table)")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BmixError(f"{path}: cannot be read ({error.strerror})") from error
    is_wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = content.decode("utf-16" if is_wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        row = content.count(b"\n", 0, error.start) + 1
        raise BmixError(
            f"{path}: row {row} holds the byte 0x{content[error.start]:02x}, "
            f"which is not {error.encoding}: save the table as CSV UTF-8"
        ) from error
    text = text.lstrip("\ufeff")  # some programs write the mark of UTF-8 twice
    require(text.strip(), f"{path}: the table is empty")
    nul = text.find("\0")
    if nul >= 0:
        row = text.count("\n", 0, nul) + 1
        raise BmixError(f"{path}: row {row} holds a NUL character: is the file damaged?")
    return text


def _split_rows(path, text):
    """Rows that are not blank, the header first, and their numbers."""
    first = text.partition("\n")[0]
    named = NAMED_SEPARATOR.fullmatch(first.strip(" \r"))
    separator = named[1] if named else max(SEPARATORS, key=text.lstrip().partition("\n")[0].count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    rows = []
    numbers = []
    number = 1
    try:
        for row in reader:
            if reader.line_num != number:
                raise BmixError(
                    f"{path}: row {number}: a line break inside a field: is a quote left open?"
                )
            if any(cell.strip() for cell in row) and not (named and number == 1):
                rows.append(row)
                numbers.append(number)
            number += 1
    except csv.Error as error:
        raise BmixError(f"{path}: row {number}: {error}: is a quote left open?") from error
    return rows, numbers


def _check_header(path, rows):
    """The names of the columns; blank columns and one of row numbers are taken off, in place."""
    require(len(rows) > 1, f"{path}: only a header, no rows")
    header = rows[0]
    _drop_blank_columns(rows)
    _drop_row_numbers(rows)
    blank = [str(number) for number, name in enumerate(header, start=1) if not name.strip()]
    if blank:
        raise BmixError(
            f"{path}: the header has no name for column {', '.join(blank)}: name or remove it"
        )
    shown = list(map(as_shown, header))
    double = sorted({name for name in header if shown.count(as_shown(name)) > 1})
    if double:
        names = ", ".join(map(repr, double))
        raise BmixError(f"{path}: the header has the column {names} more than once")
    return tuple(header)


def _drop_blank_columns(rows):
    """Take off the blank columns at the end, as a spreadsheet saves them, in place."""
    header = rows[0]
    width = len(header)
    used = max(_count_used(row[:width]) for row in rows)
    del header[used:]
    for row in rows:
        del row[max(used, _count_used(row)) :]


def _count_used(row):
    """Cells up to the last that is not blank."""
    used = len(row)
    while used and not row[used - 1].strip():
        used -= 1
    return used


def _drop_row_numbers(rows):
    """Take off a first column without a name that only numbers the rows, in place."""
    numbers = [row[0] for row in rows[1:] if row]
    if rows[0][0].strip() or len(rows[0]) < 2:
        return
    if all(number.isdecimal() for number in numbers) and len(set(numbers)) == len(numbers):
        for row in rows:
            del row[0]
