"""A table of labels, read strictly: all text stays text (007 is not 7, NA is a name), and no row shifts unnoticed."""

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
    """header, names; rows, lists of text; numbers, the row of each as a spreadsheet counts (the header is row 1)."""

    path: Path
    header: tuple
    rows: list
    numbers: list
    faults: list

    def column(self, name, hint=""):
        """The texts of one column. Raises BmixError with the names that there are, and the hint."""
        found = ", ".join(map(repr, self.header))
        one = " (is another separator meant?)" if len(self.header) == 1 else ""
        message = f"{self.path}: no column {name!r}, row 1 has {found}{one}{suggest(name, self.header)}{hint}"
        require(name in self.header, message)
        place = self.header.index(name)
        return [row[place] for row in self.rows]


def read_table(path):
    """Read a CSV or TSV whose first row names the columns; rows that do not fit are left out and become faults.

    UTF-8 or UTF-16, separated by commas, semicolons or tabs, whichever the header has most of.
    Raises BmixError with the row where the text breaks a rule of CSV: a quote left open, a line break in a field.
    """
    path = Path(path)
    text = _read_text(path)
    first = text.partition("\n")[0]
    separator = max(SEPARATORS, key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    rows, numbers, at = [], [], 1
    try:
        for row in reader:
            require(
                reader.line_num == at,
                f"{path}: row {at}: a line break inside a field: is a quote left open?",
            )
            if row and any(row):
                rows.append(row)
                numbers.append(at)
            at += 1
    except csv.Error as error:
        raise BmixError(f"{path}: row {at}: {error}: is a quote left open?") from error
    header = _check_header(path, rows)
    fits = [len(row) == len(header) for row in rows]
    faults = [
        Fault(
            "row",
            f"{path.name} row {number}",
            f"{len(row)} fields, the header has {len(header)}: {row[:4]}",
        )
        for row, number, fit in zip(rows, numbers, fits, strict=True)
        if not fit
    ]
    if not text.endswith(("\n", "\r")):
        faults.append(
            Fault("unfinished", f"{path.name} row {numbers[-1]}", f"the last row: {rows[-1][:4]}")
        )
    rows = [(row, number) for row, number, fit in zip(rows, numbers, fits, strict=True) if fit][1:]
    return Table(path, header, [row for row, _ in rows], [number for _, number in rows], faults)


def _read_text(path):
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BmixError(f"{path}: cannot be read ({error.strerror})") from error
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = content.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        row = content.count(b"\n", 0, error.start) + 1
        found = (
            f"row {row} holds the byte 0x{content[error.start]:02x}, which is not {error.encoding}"
        )
        raise BmixError(f"{path}: {found}: save the table as CSV UTF-8") from error
    require(text.strip(), f"{path}: the table is empty")
    nul = text.find("\0")
    require(
        nul < 0,
        f"{path}: row {text.count(chr(10), 0, nul) + 1} holds a NUL character: is the file damaged?",
    )
    return text


def _check_header(path, rows):
    header = rows[0]
    if header[-1] == "" and all(
        len(row) == len(header) and row[-1] == "" for row in rows
    ):  # a comma ends every row
        for row in rows:
            row.pop()
    require(len(rows) > 1, f"{path}: only a header, no rows")
    blank = [place + 1 for place, name in enumerate(header) if not name.strip()]
    require(
        not blank,
        f"{path}: the header has no name for column {', '.join(map(str, blank))}: name or remove it",
    )
    double = sorted({name for name in header if header.count(name) > 1})
    require(
        not double,
        f"{path}: the header has the column {', '.join(map(repr, double))} more than once",
    )
    return tuple(header)
