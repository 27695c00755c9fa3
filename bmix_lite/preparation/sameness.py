"""When two texts read the same: case, spaces, width, quotes, numbers, letters that look alike."""

import functools
import re
import unicodedata
from collections import defaultdict
from fractions import Fraction

NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d{1,2})?(\s*%)?")
THOUSANDS = re.compile(r"\d{1,3}([,.' ’]\d{3})+")
LONGEST = 200  # characters of a number
DASHES = dict.fromkeys(map(ord, "‐‑‒–—―−﹘﹣－"), "-")
QUOTES = dict.fromkeys(map(ord, "\"'`´‘’‚‛“”„‟«»‹›ʼ′″"))
FILLERS = "\u115f\u1160\u3164\uffa0\u2800"  # letters that show nothing
LOOK_ALIKE = str.maketrans(  # Cyrillic and Greek letters, and digits, by what they look like
    "АВЕЅІЈКМНОРСТХУаесѕіјорхуΑΒΕΖΗΙΚΜΝΟΡΤΥΧοOoIl|",
    "ABESIJKMHOPCTXYaecsijopxyABEZHIKMNOPTYXo00111",
)
FLAGS = {"true": 1, "yes": 1, "y": 1, "positive": 1, "false": 0, "no": 0, "n": 0, "negative": 0}
VISIBLE = dict.fromkeys(map(ord, FILLERS))


def read_number(text):
    """The number that a text writes, a Fraction: "0", " 0.0", "0,0", "1E+00", "5 %"; else None."""
    text = strip_invisible(text).strip().translate(QUOTES).translate(DASHES).strip()
    if len(text) > LONGEST or not NUMBER.fullmatch(text):
        return None
    unit = Fraction(1, 100) if text.endswith("%") else 1
    mantissa, _, power = text.lower().rstrip("% ").replace(",", ".").partition("e")
    return Fraction(mantissa.rstrip(".")) * Fraction(10) ** int(power or 0) * unit


def strip_invisible(text):
    """The text in its usual Unicode form, without characters that show nothing."""
    if text.isascii():
        return text
    text = unicodedata.normalize("NFKC", text)
    return "".join(filter(_shows, text))


def is_blank(text):
    """Whether a text shows nothing: blanks, or a zero-width space that a web page left."""
    return not strip_invisible(text).strip()


def as_shown(text):
    """A text that is equal for two that show no difference at all: é in one part or in two."""
    if text.isascii():
        return " ".join(text.split())
    return " ".join("".join(filter(_shows, unicodedata.normalize("NFC", text))).split())


def _shows(character):
    if character in FILLERS or "\ufe00" <= character <= "\ufe0f":
        return False
    return unicodedata.category(character) != "Cf"


@functools.lru_cache(maxsize=1_000_000)
def reads_as(text, *, joined=True):
    """A key that is equal for two texts that read the same: a Fraction, or a text.

    joined: whether "No DR" reads as "NoDR", too; between two digits a space always counts
    """
    if not (text[:1].isalpha() and text.isascii()):
        number = read_number(text)
        if number is not None:
            return number
        text = strip_invisible(text).translate(DASHES).translate(VISIBLE)
    text = text.translate(QUOTES).replace("_", " ").casefold()
    if "-" in text:
        text = re.sub(r"(?<=\w)-(?=\w)", " ", text)
    text = " ".join(strip_invisible(text).split()).rstrip(".,;: ")
    return re.sub(r"(?<!\d) | (?!\d)", "", text) if joined else text


def looks_like(text, *, joined=True):
    """A coarser key: letters of another alphabet count as those they look like, O as 0."""
    key = reads_as(strip_invisible(text).translate(LOOK_ALIKE), joined=joined)
    return key if isinstance(key, Fraction) else key.translate(LOOK_ALIKE)


def _reads_without_thousands(text, *, joined=True):
    """The same key, 1,234 and 1.234 being 1234."""
    shown = strip_invisible(text).strip()
    return reads_as(re.sub(r"\D", "", shown) if THOUSANDS.fullmatch(shown) else text, joined=joined)


def _reads_as_flag(text):
    """1 or 0 of what says yes or no, None for anything else."""
    key = reads_as(text)
    return int(key) if key in (0, 1) else FLAGS.get(key)


def group_same(texts, *, joined=True):
    """Lists of the texts that read the same as another, each sorted."""
    groups = []
    texts = set(texts)
    keys = [
        {text: key_of(text, joined=joined) for text in texts}
        for key_of in (reads_as, looks_like, _reads_without_thousands)
    ]
    flags = {text: _reads_as_flag(text) for text in texts} if len(texts) <= 2 * len(FLAGS) else {}
    if flags and None not in flags.values():  # True and False joined with 1 and 0
        keys.append(flags)
    for key_of in keys:
        same = defaultdict(set)
        for text in texts:
            same[key_of[text]].add(text)
        groups += [sorted(alike) for alike in same.values() if len(alike) > 1]
    larger = [set(group) for group in groups]
    unique = [group for group in groups if not any(set(group) < other for other in larger)]
    return sorted(map(list, dict.fromkeys(map(tuple, unique))))


def reads_as_file(path):
    """A key that is equal for two files of one folder whose names read the same."""
    folder, _, name = path.rpartition("/")
    stem, dot, ending = name.rpartition(".")
    if not dot:
        return folder, reads_as(name, joined=False), ""
    return folder, reads_as(stem, joined=False), ending.casefold().replace("jpeg", "jpg")


def group_same_files(paths):
    """Lists of the paths that read the same as another in their folder, each sorted."""
    same = defaultdict(list)
    for path in paths:
        same[reads_as_file(path)].append(path)
    return sorted(sorted(alike) for alike in same.values() if len(alike) > 1)


def show(text):
    """The text in quotes; with its codes where it holds more than ASCII, so that twins differ."""
    return repr(text) if text.isascii() else f"{text!r} ({text!a})"
