"""No door lets a wrong result in without a word: random sources beside a second, naive reader."""

import json
import os
import shutil
import tempfile
from pathlib import Path, PurePath

import hypothesis
import numpy as np
from hypothesis import strategies

from bmix_lite.base.errors import BmixError
from bmix_lite.preparation.prepare import prepare
from preparation.naive_reader import corners_of, read_as
from preparation.random_sources import write_source

EXAMPLES = int(os.environ.get("BMIX_EXAMPLES", 2000))
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
USED = (
    "add_ending_in_table",
    "add_near",
    "add_near_in_table",
    "add_second_part",
)  # may be right as they are
FAR = 6  # grey levels: less than two colours differ, more than a JPEG loses


def try_door(root, rng):
    """Write a source, prepare it, and compare what came of it with what a person reads."""
    (root / "source").mkdir()
    source = write_source(root / "source", rng)
    on_bad = rng.choice(("stop", "skip"))
    options = dict(size=8, jobs=1, progress=False, on_bad=on_bad, **source.options)
    try:
        data = prepare(source.path, root / "made", **options)
    except BmixError as error:
        check_refusal(source, str(error))
        return "refused"
    report = (root / "made" / "report.json").read_text(encoding="utf-8")
    faults = json.loads(report)["faults"]
    text = "\n".join(str(value) for fault in faults for value in flatten(fault))
    check_data(source, data, text)
    return "prepared"


def flatten(fault):
    return [fault["where"], fault["found"], *fault["images"], *fault["left_out"]]


def check_refusal(source, text):
    """Only a planted fault is refused, and the words name it."""
    assert source.marks, f"a source without fault is refused: {text}"
    named = [mark for marks in source.marks.values() for mark in marks if mark.strip() in text]
    assert named, f"{source.marks} is refused without its name: {text}"


def check_data(source, data, report):
    """Every image is as a person reads it; each other one that a person sees is in the report."""
    seen = {}
    for image in source.read():
        seen.setdefault(image.key, []).append(image)
    rows = {str(key): row for row, key in enumerate(data.ids)}
    assert rows.keys() <= seen.keys()
    for key, images in seen.items():
        if key not in rows or len(images) > 1:
            folders = [str(path) for path in PurePath(key).parents if path.name == "aside"]
            folders += [str(path) for path in PurePath(key).parents if len(path.parts) > 1]
            unnamed = sum(image.mark not in report for image in images)
            named = unnamed <= (key in rows)  # the one that is used needs no word
            named = named or any(name in report for name in (PurePath(key).name, *folders))
            assert named, f"{key} is gone without a word:\n{report}"
        if key in rows:
            check_image(data, rows[key], images)
    words = list(map(read_as, data.class_names))
    assert len(set(words)) == len(words), f"one class is two: {data.class_names}"
    check_sides(data)
    names = source.options.get("class_names")
    if names:
        assert list(data.class_names) == list(names.values() if isinstance(names, dict) else names)
    if len(source.marks) == 1:
        [(fault, marks)] = source.marks.items()
        is_used = fault in USED and any(key.endswith(tuple(marks)) for key in rows)
        assert is_used or any(mark.strip() in report for mark in marks), (
            f"no word of {source.marks}"
        )


def check_image(data, row, images):
    """The image of a row is one of those that a person reads under its name."""
    label = read_as(data.class_names[data.labels[row]].removesuffix("!"))
    group = "" if data.groups is None else read_as(data.groups[row])
    part = get_part(data, row)
    readings = [(image.label, image.group, image.part) for image in images]
    assert (label, group, part) in readings, f"{data.ids[row]}: {label, group, part}, {readings}"
    assert images[0].corners is not None
    corners = corners_of(data.images[row])
    assert np.abs(corners - images[0].corners).max() < FAR, data.ids[row]


def get_part(data, row):
    if data.split is not None and data.split[row]:
        return str(data.split[row])
    return "" if data.folds is None else str(data.folds[row])


def check_sides(data):
    """No image and no patient lies on two sides."""
    sides = {}
    copies = {}
    for row in range(len(data.labels)):
        if data.groups is not None and data.groups[row]:
            sides.setdefault(read_as(data.groups[row]), set()).add(get_part(data, row))
        near = data.ids[row].rpartition("/")[2].startswith("near")
        copy = b"near" if near else data.images[row].tobytes()
        assert copies.setdefault(copy, get_part(data, row)) == get_part(data, row), data.ids[row]
    assert all(len(parts) == 1 for parts in sides.values()), f"on two sides: {sides}"


@hypothesis.settings(
    max_examples=EXAMPLES,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(hypothesis.HealthCheck),
)
@hypothesis.given(strategies.randoms(use_true_random=False))
def test_every_door_refuses_in_words_or_gives_what_a_person_reads(rng):
    root = Path(tempfile.mkdtemp(dir=MEMORY, prefix="door"))
    try:
        try_door(root, rng)
    finally:
        shutil.rmtree(root)
