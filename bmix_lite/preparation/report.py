"""The report of a preparation: every fault in one table, one JSON, and one page with pictures of the offenders."""

import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from bmix_lite.base.errors import BmixError
from bmix_lite.base.files import fill_static, guard, write_atomic, write_json
from bmix_lite.data.imageset import to_data_uri, to_picture
from bmix_lite.preparation.faults import KINDS, LEVELS

FORMAT = 1
THUMBNAILS = 400  # pictures in a page, about 2 kB each
SHOWN = 4  # pictures a fault
ROWS = 500  # faults of one kind in the page; the JSON and the table have all


@dataclass(frozen=True)
class Report:
    """What was looked at, what is wrong with it, and what is left of it.

    classes: {name: (listed, left)}; faults: dicts of kind, level, where, found, images (ids) and left_out (ids)
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
        order = sorted(self.faults, key=lambda fault: LEVELS.index(fault["level"]))
        kinds = dict.fromkeys(fault["kind"] for fault in order)
        return {kind: sum(fault["kind"] == kind for fault in self.faults) for kind in kinds}

    def table(self):
        """One row a fault, a DataFrame."""
        import pandas as pd

        return pd.DataFrame(
            self.faults, columns=["level", "kind", "where", "found", "images", "left_out"]
        )

    def describe(self, most=10):
        """The report in words, the first faults of each kind."""
        lines = [f"{self.source}: {self.listed} images listed, {self.left} without fault"]
        for kind, count in self.counts().items():
            level, rule = KINDS[kind]
            lines.append(f"{level}: {kind}, {count}: {rule}")
            of_kind = [fault for fault in self.faults if fault["kind"] == kind]
            lines += [f"    {fault['where']}: {fault['found']}" for fault in of_kind[:most]]
            lines += [f"    and {count - most} more"] * (count > most)
        return "\n".join(lines)


def make_report(listing, faults, left, classes, on_bad):
    """A Report, in which images have their ids; left: numbers of the images without fault."""
    ids = [item.id for item in listing.items]
    rows = [
        {
            "level": fault.level,
            "kind": fault.kind,
            "where": fault.where,
            "found": fault.found,
            "images": [ids[number] for number in fault.images],
            "left_out": [ids[number] for number in fault.drop],
        }
        for fault in sorted(faults, key=lambda fault: LEVELS.index(fault.level))
    ]
    return Report(
        listing.source.name, sum(listing.labels.values()), len(left), classes, rows, on_bad
    )


def save_report(report, folder, pictures=None):
    """Write report.json, report.csv and report.html into `folder`. pictures: {id: image (H, W, C) uint8}"""
    folder, table = Path(folder), report.table()
    write_json(folder / "report.json", {"format": FORMAT} | vars(report))
    for column in ("images", "left_out"):
        table[column] = ["; ".join(names) for names in table[column]]
    for column in ("where", "found", "images", "left_out"):
        table[column] = list(map(guard, table[column]))
    write_atomic(folder / "report.csv", table.to_csv(index=False))
    write_atomic(folder / "report.html", render_report(report, pictures or {}))


def read_report(folder):
    """The Report of a preparation, finished or stopped. Raises BmixError where there is none."""
    path = Path(folder) / "report.json"
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
    grouped, budget = defaultdict(list), THUMBNAILS
    for fault in report.faults:
        if len(grouped[fault["kind"]]) < ROWS:
            shown = [name for name in fault["images"][:SHOWN] if name in pictures][: max(0, budget)]
            budget -= len(shown)
            shown = [{"name": name, "data": _draw_thumbnail(pictures[name])} for name in shown]
            grouped[fault["kind"]].append(fault | {"pictures": shown})
    counts = report.counts()
    kinds = [
        {
            "name": kind,
            "level": KINDS[kind][0],
            "rule": KINDS[kind][1],
            "count": counts[kind],
            "faults": grouped[kind],
        }
        for kind in counts
    ]
    return fill_static("report.html", report=report, kinds=kinds)


def _draw_thumbnail(image):
    picture = to_picture(image)
    picture.thumbnail((96, 96))
    return to_data_uri(picture)
