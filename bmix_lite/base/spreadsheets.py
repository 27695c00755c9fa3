"""Text for tables that are opened in a spreadsheet, which shows it and never computes it."""

import re

FORMULA = re.compile(
    r"'*[=+\-@\t\r]"
)  # what a spreadsheet computes, and such text that was guarded before


def guard(text):
    """The text with a quote before what a spreadsheet would compute; `unguard` takes it off again, exactly."""
    return f"'{text}" if FORMULA.match(text) else text


def unguard(text):
    """The text that `guard` was given."""
    return text[1:] if text.startswith("'") and FORMULA.match(text) else text
