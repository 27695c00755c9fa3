"""A table of labels, read strictly: 007 is not 7, NA is a name, and no row shifts unnoticed."""

import codecs
import csv
import io
from dataclasses import dataclass
from pathlib import Path

from bmix_lite.base.errors import BmixError, require, suggest
from bmix_lite.preparation.faults import Fault

SEPARATORS = ",;\t"


@dataclass(frozen=True)
class Table:
    """header: names; rows: lists of text; numbers: of each row, as a spreadsheet counts.

    The header is row 1.
    """

    path: Path
    header: tuple
    rows: list
    numbers: list
    faults: list

    def column(self, name, hint=""):
        """The texts of one column. Raises BmixError with the names that there are, and the hint."""
        if name not in self.header:
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

    UTF-8 or UTF-16, separated by commas, semicolons or tabs, whichever the header has most of.
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
            found = f"{len(row)} fields, the header has {len(header)}: {row[:4]}"
            table.faults.append(Fault("row", f"{path.name} row {number}", found))
    if not text.endswith(("\n", "\r")):
        where = f"{path.name} row {numbers[-1]}"
        table.faults.append(Fault("unfinished", where, f"the last row: {rows[-1][:4]}"))
    return table


def _read_text(path):
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
    require(text.strip(), f"{path}: the table is empty")
    nul = text.find("\0")
    if nul >= 0:
        row = text.count("\n", 0, nul) + 1
        raise BmixError(f"{path}: row {row} holds a NUL character: is the file damaged?")
    return text


def _split_rows(path, text):
    """Rows that are not blank, the header first, and their numbers."""
    first = text.partition("\n")[0]
    separator = max(SEPARATORS, key=first.count)
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
            if any(row):
                rows.append(row)
                numbers.append(number)
            number += 1
    except csv.Error as error:
        raise BmixError(f"{path}: row {number}: {error}: is a quote left open?") from error
    return rows, numbers


def _check_header(path, rows):
    """The names of the columns; a comma that ends every row is taken off, in place."""
    require(len(rows) > 1, f"{path}: only a header, no rows")
    header = rows[0]
    width = len(header)
    if all(len(row) == width and row[-1] == "" for row in rows):
        for row in rows:
            row.pop()
    blank = [str(number) for number, name in enumerate(header, start=1) if not name.strip()]
    if blank:
        raise BmixError(
            f"{path}: the header has no name for column {', '.join(blank)}: name or remove it"
        )
    double = sorted({name for name in header if header.count(name) > 1})
    if double:
        names = ", ".join(map(repr, double))
        raise BmixError(f"{path}: the header has the column {names} more than once")
    return tuple(header)
