"""Text for tables that are opened in a spreadsheet: it shows the text and never computes it."""

import re

# what a spreadsheet would compute, and such text that was guarded before
FORMULA = re.compile(r"'*[=+\-@\t\r]")


def guard(text):
    """The text, with a quote before what a spreadsheet would compute; `unguard` takes it off."""
    return f"'{text}" if FORMULA.match(text) else text


def unguard(text):
    """The text that `guard` was given."""
    return text[1:] if text.startswith("'") and FORMULA.match(text) else text
