"""The report of a preparation: every fault in a table, a JSON, and a page with pictures."""

import html
import json
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

from bmix_lite.base.errors import BmixError
from bmix_lite.base.files import fill_static, guard, name_special, write_atomic, write_json
from bmix_lite.data.imageset import to_data_uri, to_picture
from bmix_lite.preparation.faults import KINDS, LEVELS

FORMAT = 1
THUMBNAILS = 400  # pictures in a page, about 2 kB each; each kind of fault has its share
SHOWN = 8  # pictures per fault
ROWS = 500  # faults of one kind in the page; the JSON and the table have all
LISTED = 30  # classes, and kinds of faults, in the tables that a notebook shows


@dataclass(frozen=True)
class Report:
    """What was looked at, what is wrong with it, and what is left of it.

    classes: {name: (listed, left)}
    faults: dicts of level, kind, where, found, images (ids) and left_out (ids)
    """

    source: str
    listed: int
    left: int
    classes: dict
    faults: list
    on_bad: str = "stop"

    @property
    def stops(self):
        """True where training must not begin with these images."""
        stopping = ("stop",) if self.on_bad == "skip" else ("stop", "bad")
        return any(fault["level"] in stopping for fault in self.faults)

    def counts(self):
        """{kind: number of faults}, the gravest first."""
        by_level = sorted(self.faults, key=lambda fault: LEVELS.index(fault["level"]))
        return dict(Counter(fault["kind"] for fault in by_level))

    def table(self):
        """One row per fault, a DataFrame."""
        import pandas as pd

        columns = ["level", "kind", "where", "found", "images", "left_out"]
        return pd.DataFrame(self.faults, columns=columns)

    def describe(self, most=10):
        """The report in words, the first faults of each kind."""
        lines = [f"{self.source}: {self.listed} images listed, {self.left} without fault"]
        for kind, count in self.counts().items():
            level, rule = KINDS[kind]
            lines.append(f"{level}: {kind}, {count}: {rule}")
            of_kind = [fault for fault in self.faults if fault["kind"] == kind]
            lines += [f"    {fault['where']}: {fault['found']}" for fault in of_kind[:most]]
            if count > most:
                lines.append(f"    and {count - most} more")
        return "\n".join(lines)

    def __repr__(self):
        """One line: images, classes, faults by level, and whether they stop the preparation."""
        levels = Counter(fault["level"] for fault in self.faults)
        counts = ", ".join(f"{levels[level]} {level}" for level in LEVELS if levels[level])
        ending = "; stopped" if self.stops else ""
        return (
            f"Report {self.source!r}: {self.listed} images listed, {self.left} without fault, "
            f"{len(self.classes)} classes; faults: {counts or 'none'}{ending}"
        )

    def _repr_html_(self):
        """The same line, images per class, and the kinds of faults, for notebooks."""
        import pandas as pd

        classes = pd.DataFrame(
            list(self.classes.values()),
            columns=["listed", "without fault"],
            index=pd.Index(list(self.classes), name="class", dtype=object),
        )
        parts = [f"<p>{html.escape(repr(self))}</p>", classes.to_html(border=0, max_rows=LISTED)]
        if self.faults:
            rows = [
                (KINDS[kind][0], count, KINDS[kind][1]) for kind, count in self.counts().items()
            ]
            index = pd.Index(list(self.counts()), name="fault")
            kinds = pd.DataFrame(rows, columns=["level", "count", "rule"], index=index)
            with pd.option_context("display.max_colwidth", None):  # rules are not cut
                parts.append(kinds.to_html(border=0, max_rows=LISTED))
        return "\n".join(parts)


def name_asides(fault):
    """Ids of the images of a fault that are not in the list of images."""
    return [item.id for item in fault.asides]


def make_report(listing, faults, left, classes, on_bad):
    """A Report, in which images have their ids; left: numbers of the images without fault."""
    ids = [item.id for item in listing.items]
    rows = [
        {
            "level": fault.level,
            "kind": fault.kind,
            "where": fault.where,
            "found": fault.found,
            "images": [ids[number] for number in fault.images] + name_asides(fault),
            "left_out": [ids[number] for number in fault.drop] + name_asides(fault),
        }
        for fault in sorted(faults, key=lambda fault: LEVELS.index(fault.level))
    ]
    listed = listing.labels.total() + listing.unlabelled
    return Report(listing.source.name, listed, len(left), classes, rows, on_bad)


def save_report(report, folder, pictures=None):
    """Write report.json, report.csv and report.html into `folder`.

    pictures: {id: image (H, W, C) uint8}
    """
    folder = Path(folder)
    write_json(folder / "report.json", {"format": FORMAT, **vars(report)})
    table = report.table()
    for column in ("images", "left_out"):
        table[column] = ["; ".join(ids) for ids in table[column]]
    for column in ("where", "found", "images", "left_out"):
        table[column] = list(map(guard, table[column]))
    write_atomic(folder / "report.csv", table.to_csv(index=False))
    write_atomic(folder / "report.html", render_report(report, pictures or {}))


def read_report(folder):
    """The Report of a preparation, finished or stopped. Raises BmixError where there is none."""
    path = Path(folder) / "report.json"
    special = name_special(path)
    if special:
        raise BmixError(f"{path}: no report of a preparation (it is {special})")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        version = content.pop("format")
        report = Report(**content)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise BmixError(f"{path}: no report of a preparation ({error})") from error
    if version != FORMAT:
        raise BmixError(f"{path}: format must be {FORMAT}, got {version!r}")
    return report


def render_report(report, pictures):
    """The page, with all names escaped and no request to anywhere."""

    rows = _choose_rows(report.faults, pictures)
    kinds = [
        {
            "name": kind,
            "level": KINDS[kind][0],
            "rule": KINDS[kind][1],
            "count": count,
            "faults": rows[kind],
        }
        for kind, count in report.counts().items()
    ]
    return fill_static("report.html", report=report, kinds=kinds)


def choose_pictured(faults):
    """Numbers of the images whose pictures the page may show, sorted: the first of each kind."""
    kinds = {fault.kind for fault in faults}
    room = dict.fromkeys(kinds, THUMBNAILS // max(1, len(kinds)))
    rows = set()
    for fault in faults:
        shown = fault.images[:SHOWN][: room[fault.kind]]
        room[fault.kind] -= len(shown)
        rows.update(shown)
    return sorted(rows)


def _choose_rows(faults, pictures):
    """{kind: its first faults}, each with its first pictures, as long as the page has room."""
    rows = defaultdict(list)
    kinds = {fault["kind"] for fault in faults}
    room = dict.fromkeys(kinds, THUMBNAILS // max(1, len(kinds)))
    for fault in faults:
        kind = fault["kind"]
        if len(rows[kind]) == ROWS:
            continue
        ids = [image for image in fault["images"][:SHOWN] if image in pictures][: room[kind]]
        room[kind] -= len(ids)
        thumbnails = [{"name": image, "data": _draw_thumbnail(pictures[image])} for image in ids]
        rows[kind].append({**fault, "pictures": thumbnails})
    return rows


def _draw_thumbnail(image):
    picture = to_picture(image)
    picture.thumbnail((96, 96))
    return to_data_uri(picture)
