"""Figures precomputed for every setting of their controls, packed so that a page without a kernel can replay them.

A page that is exported has no Python: what its sliders can show must lie in it. Kept is one figure whole and, for the
others, only what differs; equal values are kept once, and the rest is compressed.
"""

import base64
import functools
import gzip
import json
import math
from itertools import product

import numpy as np

from bmix_lite.base.errors import require

FRAMES_MIME = "application/vnd.bmix-lite.frames+json"
LIMIT = 500  # settings of one explorer: a few seconds to draw
BYTES = 350_000  # of one explorer in a page, where figures of bars and curves need 40,000: pictures are thinned to it
DIGITS = 5  # of every number in the page: finer than a screen shows


def pack_frames(draw, controls, picks=None, *, limit=LIMIT, most_bytes=BYTES):
    """What a page needs to replay `draw(values) -> figures` for all settings of `controls`, as a JSON value.

    controls: dicts with "kind" (range, play, select, check), "label", "values", "texts", "start" (an index)
    picks: {"x" or "y": a control's number}: a click on the first figure sets these controls
    Ranges are thinned to at most `limit` settings in all, and further until the result has at most `most_bytes`.
    Raises BmixError where choices, which cannot be thinned, are more than that.
    """
    draw_once = functools.cache(lambda values: _draw(draw, values))
    controls = thin_controls(controls, limit)
    while len(
        (packed := _pack(draw_once, controls, picks or {}))["packed"]
    ) > most_bytes and _longest(controls):
        controls = thin_controls(
            controls, math.prod(len(control["values"]) for control in controls) - 1
        )
    return packed


def _draw(draw, values):
    """(figures as plain JSON, "") or (None, the error in words): shown where the setting is chosen."""
    try:
        return [_plain(figure.to_plotly_json()) for figure in draw(values)], ""
    except Exception as error:
        return None, f"{type(error).__name__}: {error}"


def _pack(draw_once, controls, picks):
    drawn = [draw_once(values) for values in product(*(control["values"] for control in controls))]
    figures, errors = [figures for figures, _ in drawn], [error for _, error in drawn]
    first = figures[_place(controls)]
    columns = [
        _pack_figure([frame and frame[k] for frame in figures], first[k]) for k in range(len(first))
    ]
    # only numbers and texts can be what a click hits
    shown = [
        control | {"values": [_as_json(value) for value in control["values"]]}
        for control in controls
    ]
    content = {
        "controls": shown,
        "figures": columns,
        "errors": errors if any(errors) else [],
        "picks": picks,
    }
    packed = gzip.compress(json.dumps(content, allow_nan=False).encode(), mtime=0)
    layouts = [figure.get("layout", {}) for figure in first]
    heads = [
        {"title": (at.get("title") or {}).get("text"), "height": at.get("height")} for at in layouts
    ]
    return {"figures": heads, "packed": base64.b64encode(packed).decode()}


def _as_json(value):
    return value if isinstance(value, (int, float, str)) else None


def thin_controls(controls, limit):
    """Every second value of the longest range left out until the settings are at most `limit`; start and ends stay."""
    controls = [dict(control) for control in controls]
    while (settings := math.prod(len(control["values"]) for control in controls)) > limit:
        longest = _longest(controls)
        require(
            longest is not None,
            f"a page holds at most {limit} settings of an explorer, got {settings}",
        )
        count, start = len(longest["values"]), longest["start"]
        kept = sorted({*range(start % 2, count, 2), 0, count - 1})
        longest |= {name: [longest[name][k] for k in kept] for name in ("values", "texts")}
        longest["start"] = kept.index(start)
    return controls


def _longest(controls):
    """The range with the most values, None where no range has more than its ends and a value between."""
    ranges = [at for at in controls if at["kind"] in ("range", "play") and len(at["values"]) > 3]
    return max(ranges, key=lambda control: len(control["values"]), default=None)


def _place(controls):
    """Number of the setting that the controls start with; the last control runs fastest."""
    place = 0
    for control in controls:
        place = place * len(control["values"]) + control["start"]
    return place


def _pack_figure(frames, base):
    """{"base", "paths", "tables", "index"}: frame k has tables[p][index[p][k]] at each path p, and else is the base."""
    changes = [{} if frame is None else dict(_compare(base, frame)) for frame in frames]
    paths = sorted({path for change in changes for path in change}, key=str)
    tables, index = [], []
    for path in paths:
        places, row = {}, []
        for frame, change in zip(frames, changes, strict=True):
            value = (
                change[path] if path in change else _look_up(base if frame is None else frame, path)
            )
            row.append(places.setdefault(json.dumps(value), len(places)))
        tables.append([json.loads(text) for text in places])
        index.append(row)
    return {"base": base, "paths": [list(path) for path in paths], "tables": tables, "index": index}


def _compare(one, other, path=()):
    """Yield (path, value of `other`) where two JSON values differ; what `other` lacks is None, which unsets it."""
    if isinstance(one, dict) and isinstance(other, dict):
        for name in dict.fromkeys([*one, *other]):
            yield from _compare(one.get(name), other.get(name), (*path, name))
    elif _is_list_of_dicts(one) and _is_list_of_dicts(other) and len(one) == len(other):
        for place, pair in enumerate(zip(one, other, strict=True)):
            yield from _compare(*pair, (*path, place))
    elif one != other:
        yield path, other


def _is_list_of_dicts(value):
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)


def _look_up(value, path):
    """The value at `path`, None where there is none."""
    for step in path:
        inside = (
            isinstance(value, list) and step < len(value)
            if isinstance(step, int)
            else isinstance(value, dict)
        )
        value = (value[step] if isinstance(step, int) else value.get(step)) if inside else None
    return value


def _plain(value):
    """A plotly JSON with rounded lists in place of arrays (plotly packs arrays as base64)."""
    if isinstance(value, dict) and "bdata" in value:
        array = np.frombuffer(base64.b64decode(value["bdata"]), value["dtype"])
        shape = [int(size) for size in str(value.get("shape", len(array))).split(",")]
        return _plain(array.reshape(shape))
    if isinstance(value, np.ndarray):
        return (
            value.tolist() if value.dtype.kind in "iub" else _plain(value.tolist())
        )  # nothing to round in pictures
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, (float, np.floating)):
        return float(f"{value:.{DIGITS}g}") if np.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value
