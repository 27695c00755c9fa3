"""Groups (patients, lesions, videos) from the names of files, and names that seem to hold some."""

import re
from collections import defaultdict
from dataclasses import replace

from bmix_lite.base.errors import BmixError
from bmix_lite.preparation.faults import Fault, shorten

WORDS = (
    "patient|person|subject|subj|participant|case|lesion|slide|video|clip|sequence|study|exam|"
    "series|volume|scan|eye|animal|mouse|donor|pat|sub|vid|seq|pt|p|s|v"
)
WORD_AND_NUMBER = "a word and a number"
HINTS = {  # what finds a group in a name: in words, and as a regular expression
    WORD_AND_NUMBER: rf"(?i)((?:^|(?<=[^a-zA-Z]))(?:{WORDS})[-_ ]?\d+)(?=\D)",
    "a number before left or right": r"(?i)(\d+)[-_ ](?:left|right|od|os|l|r)(?![a-zA-Z])",
    "a name before a number": r"([^/]*[^/\d_\-. (#])[-_. (#]+\d+\)?(?:\.[^./]+)?$",
    "a number before a number": r"([^/]*\d)[-_. (#]+\d+\)?(?:\.[^./]+)?$",
    "a folder": r"([^/]+)/[^/]+$",
}
COLUMNS = re.compile(
    r"(?i)[-_ .]?(?:patient|person|subject|participant|lesion|eye|slide|video|study|case)s?"
    r"(?:[-_ .]?(?:id|nr|no|number|name|key|code))?"
)
FEWEST = 3  # groups; with fewer, what the names share is rather a device or a class
SHARED = 0.5  # of the images must share their would-be group with another


def compile_group(text):
    """The regular expression `group_from`. Raises BmixError where it cannot be used."""
    try:
        pattern = re.compile(text)
    except (re.error, TypeError) as error:
        raise BmixError(f"group_from: {text!r} is no regular expression: {error}") from error
    if pattern.groups != 1:
        raise BmixError(
            f"group_from must have one group in parentheses, {text!r} has {pattern.groups}"
        )
    return pattern


def set_groups(listing, group_from):
    """Give every item of the listing the group that `group_from` finds in its name.

    An item without one becomes a fault, and leaves the list; in arrays it is an error.
    """
    pattern = compile_group(group_from)
    items = []
    for item in listing.items:
        match = pattern.search(item.file_id)
        if match and match[1]:
            items.append(replace(item, group=match[1]))
        else:
            found = f"no group for {item.file_id!r} with {group_from!r}"
            if listing.blocks:  # whose rows are taken as they come
                raise BmixError(f"{listing.source}: group_from: {found}")
            listing.fault("group", item.where, found)
    listing.items = items


def find_ungrouped(items, rows):
    """A warning where the names of images without a group look as if they held one."""
    if not rows or any(item.group for item in items):
        return []
    labels = {items[row].class_label.casefold() for row in rows}
    for words, pattern in HINTS.items():
        rows_of = _gather(items, rows, pattern)
        if _is_likely(rows_of, len(rows), labels):
            return [_name_likely(items, rows_of, words, pattern)]
    return []


def _gather(items, rows, pattern):
    """{would-be group: rows} of the items whose names hold one."""
    search = re.compile(pattern).search
    rows_of = defaultdict(list)
    for row in rows:
        match = search(items[row].id)
        if match:
            rows_of[match[1]].append(row)
    return rows_of


def _is_likely(rows_of, images, labels):
    """Whether most images share a would-be group, and the groups are not just the classes."""
    groups = [name for name in rows_of if name.casefold() not in labels]
    if len(groups) < max(FEWEST, 2 * len(labels)):
        return False
    sizes = [len(rows_of[name]) for name in groups]
    return sum(size for size in sizes if size > 1) >= SHARED * images


def _name_likely(items, rows_of, words, pattern):
    if words == WORD_AND_NUMBER:
        used = sorted({re.match(r"[a-zA-Z]+", name)[0].lower() for name in rows_of})
        pattern = rf"(?i)((?<![a-z])(?:{'|'.join(used)})[-_ ]?\d+)"
    largest = max(rows_of, key=lambda name: len(rows_of[name]))
    rows = rows_of[largest][:4]
    names = shorten([items[row].id for row in rows], 3)
    found = (
        f"{len(rows_of)} different ones, such as {largest!r} in {names}: "
        f"group_from={pattern!r} would take them for groups"
    )
    return Fault("ungrouped", f"names with {words}", found, tuple(rows))


def warn_of_columns(listing, header, columns, group_from):
    """A warning where a table has a column of patients or lesions that is not used.

    columns: {what it holds: its name}
    """
    used = columns.values()
    names = [name for name in header if COLUMNS.fullmatch(name.strip()) and name not in used]
    if names and columns["group"] is None and group_from is None:
        found = f"it has the column {names[0]!r}: columns={{'group': {names[0]!r}}} uses it"
        listing.fault("ungrouped", listing.source.name, found)
