"""Figures precomputed for every setting of their controls, for a page without a kernel.

A page that is exported has no Python: what its sliders can show must lie in it. Kept is one figure
whole and, for the others, only what differs; equal values are kept once, and the rest is
compressed.
"""

import base64
import functools
import gzip
import json
import math
from itertools import product

import numpy as np

from bmix_lite.base.errors import BmixError

FRAMES_MIME = "application/vnd.bmix-lite.frames+json"
LIMIT = 500  # settings of one explorer: a few seconds to draw
# of one explorer in a page: figures of bars and curves need 40,000, pictures are thinned to it
BYTES = 350_000
DIGITS = 5  # of every number in the page: finer than a screen shows


def pack_frames(draw, controls, picks=None, *, limit=LIMIT, most_bytes=BYTES):
    """What a page needs to replay `draw(values) -> figures` for all settings, as a JSON value.

    controls: dicts with "kind" (range, play, select, check), "label", "values", "texts", "start"
    (an index); picks: {"x" or "y": a control's number}: a click on the first figure sets these.
    Ranges are thinned to at most `limit` settings in all, and further until the result has at most
    `most_bytes`. Raises BmixError where choices, which cannot be thinned, are more than that.
    """
    draw_once = functools.cache(lambda values: _draw(draw, values))
    picks = picks or {}
    controls = thin_controls(controls, limit)
    packed = _pack(draw_once, controls, picks)
    while len(packed["packed"]) > most_bytes and _find_longest(controls):
        controls = thin_controls(controls, _count_settings(controls) - 1)
        packed = _pack(draw_once, controls, picks)
    return packed


def _draw(draw, values):
    """(figures as plain JSON, "") or (None, the error): shown where the setting is chosen."""
    try:
        return [_plain(figure.to_plotly_json()) for figure in draw(values)], ""
    except Exception as error:
        return None, f"{type(error).__name__}: {error}"


def _pack(draw_once, controls, picks):
    settings = product(*(control["values"] for control in controls))
    drawn = [draw_once(values) for values in settings]
    frames = [figures for figures, _ in drawn]
    errors = [error for _, error in drawn]
    first = frames[_number_start(controls)]
    content = {
        "controls": [_plain_control(control) for control in controls],
        "figures": [_pack_figure(_pick(frames, k), figure) for k, figure in enumerate(first)],
        "errors": errors if any(errors) else [],
        "picks": picks,
    }
    packed = gzip.compress(json.dumps(content, allow_nan=False).encode(), mtime=0)
    heads = [_describe_figure(figure) for figure in first]
    return {"figures": heads, "packed": base64.b64encode(packed).decode()}


def _pick(frames, k):
    """Figure number k of every setting, None where it could not be drawn."""
    return [None if figures is None else figures[k] for figures in frames]


def _plain_control(control):
    """The control with only numbers and texts as values: nothing else can be what a click hits."""
    plain = (int, float, str)
    values = [value if isinstance(value, plain) else None for value in control["values"]]
    return control | {"values": values}


def _describe_figure(figure):
    """What the page needs before the figure is drawn."""
    layout = figure.get("layout", {})
    title = layout.get("title") or {}
    return {"title": title.get("text"), "height": layout.get("height")}


def thin_controls(controls, limit):
    """Leave out every second value of the longest range until at most `limit` settings remain.

    Start and ends stay. Raises BmixError if no range is left to thin.
    """
    controls = [dict(control) for control in controls]
    while (settings := _count_settings(controls)) > limit:
        longest = _find_longest(controls)
        if longest is None:
            raise BmixError(f"a page holds at most {limit} settings of an explorer, got {settings}")
        count = len(longest["values"])
        start = longest["start"]
        kept = sorted({*range(start % 2, count, 2), 0, count - 1})
        for name in ("values", "texts"):
            longest[name] = [longest[name][k] for k in kept]
        longest["start"] = kept.index(start)
    return controls


def _count_settings(controls):
    return math.prod(len(control["values"]) for control in controls)


def _find_longest(controls):
    """The range with the most values; None if none has more than its ends and a value between."""
    ranges = [control for control in controls if control["kind"] in ("range", "play")]
    thinnable = [control for control in ranges if len(control["values"]) > 3]
    return max(thinnable, key=lambda control: len(control["values"]), default=None)


def _number_start(controls):
    """Number of the setting that the controls start with; the last control runs fastest."""
    number = 0
    for control in controls:
        number = number * len(control["values"]) + control["start"]
    return number


def _pack_figure(frames, base):
    """{"base", "paths", "tables", "index"}: what each frame has other than the base.

    Frame k has tables[p][index[p][k]] at each path p, and else is the base.
    """
    changes = [{} if frame is None else dict(_compare(base, frame)) for frame in frames]
    paths = sorted({path for change in changes for path in change}, key=str)
    whole = [base if frame is None else frame for frame in frames]
    tables = []
    index = []
    for path in paths:
        values = [
            change[path] if path in change else _look_up(frame, path)
            for frame, change in zip(whole, changes, strict=True)
        ]
        table, numbers = _number_equal(values)
        tables.append(table)
        index.append(numbers)
    return {"base": base, "paths": [list(path) for path in paths], "tables": tables, "index": index}


def _number_equal(values):
    """(the distinct values, for each of the values its number among them)."""
    number_of = {}
    numbers = [number_of.setdefault(json.dumps(value), len(number_of)) for value in values]
    return [json.loads(text) for text in number_of], numbers


def _compare(one, other, path=()):
    """Yield (path, value of `other`) where two JSON values differ.

    What `other` lacks is None, which unsets it.
    """
    if isinstance(one, dict) and isinstance(other, dict):
        for name in dict.fromkeys([*one, *other]):
            yield from _compare(one.get(name), other.get(name), (*path, name))
    elif _is_list_of_dicts(one) and _is_list_of_dicts(other) and len(one) == len(other):
        for k, pair in enumerate(zip(one, other, strict=True)):
            yield from _compare(*pair, (*path, k))
    elif one != other:
        yield path, other


def _is_list_of_dicts(value):
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)


def _look_up(value, path):
    """The value at `path`, None where there is none."""
    for step in path:
        if isinstance(step, int):
            value = value[step] if isinstance(value, list) and step < len(value) else None
        else:
            value = value.get(step) if isinstance(value, dict) else None
    return value


def _plain(value):
    """A plotly JSON with rounded lists in place of arrays, which plotly packs as base64."""
    if isinstance(value, dict):
        if "bdata" in value:
            return _plain(_unpack_array(value))
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, np.ndarray):
        # nothing to round in pictures
        return value.tolist() if value.dtype.kind in "iub" else _plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, (float, np.floating)):
        return float(f"{value:.{DIGITS}g}") if np.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value


def _unpack_array(value):
    array = np.frombuffer(base64.b64decode(value["bdata"]), value["dtype"])
    shape = [int(size) for size in str(value.get("shape", len(array))).split(",")]
    return array.reshape(shape)
