"""Class names that are grades: their order as words say it, beside the order of the classes."""

import re

from bmix_lite.preparation.faults import Fault
from bmix_lite.preparation.sameness import strip_invisible

SCALE = (  # words of each step; the first that a name holds counts, the highest step first
    ("very severe", "proliferative", "proliferate", "extreme", "critical", "end stage"),
    ("severe", "high", "advanced", "marked", "large", "strong"),
    ("moderate", "medium", "intermediate", "mid"),
    ("mild", "low", "small", "weak"),
    ("minimal", "doubtful", "trace", "early", "slight", "questionable"),
    ("no", "none", "normal", "healthy", "absent", "negative", "clear", "not", "non"),
)
NUMBERED = re.compile(r"\b(?:grade|stage|level|score|degree|g|t|kl|birads)\W*(\d+|[ivx]+)\b")
ROMAN = {"i": 1, "ii": 2, "iii": 3, "iv": 4, "v": 5, "vi": 6, "vii": 7, "viii": 8, "ix": 9, "x": 10}


def find_grades(names, ordered, is_given=False):
    """A warning where class names read like grades and are not in that order, or not `ordered`.

    names: in the order of the classes; ordered: True, False or None where nothing is said
    is_given: whether a person gave that order, which then is meant where it is one of grades
    """
    ranks = [rank_grade(name) for name in names]
    if ordered is False or len(names) < 3 or None in ranks or len(set(ranks)) < 3:
        return []
    if not any(rank > 0 for rank in ranks):
        return []
    in_order = sorted(names, key=lambda name: (rank_grade(name), names.index(name)))
    is_sorted = ranks in (sorted(ranks), sorted(ranks, reverse=True))
    is_numbered = all(re.match(r"\s*\d", name) for name in names)
    if is_sorted and (ordered or is_given or is_numbered):
        return []
    where = ", ".join(names)
    if ordered:
        return [Fault("grades", where, f"they read like grades in another order: {in_order}")]
    found = f"if they are grades: class_names={in_order}, ordered=True; if not: ordered=False"
    return [Fault("grades", where, found)]


def rank_grade(name):
    """The step of a grade that a class name tells, a number; None where it tells none."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", strip_invisible(name))
    words = " ".join(re.split(r"[\W_]+", words.casefold()))
    numbered = NUMBERED.search(words)
    if numbered:
        return ROMAN.get(numbered[1]) or (int(numbered[1]) if numbered[1].isdecimal() else None)
    if words.strip() in ROMAN:
        return ROMAN[words.strip()]
    if re.search(r"\bvery mild\b", words):
        return 1
    for step, choices in zip(range(len(SCALE) - 1, -1, -1), SCALE, strict=True):
        if any(re.search(rf"\b{choice}\b", words) for choice in choices):
            return step
    return None
