import re
import time
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from bmix_lite.data.folds import deal_folds
from bmix_lite.preparation.class_faults import (
    find_class_faults,
    find_odd_labels,
    order_classes,
)
from bmix_lite.preparation.listing import Item
from bmix_lite.preparation.part_faults import find_absences
from tiny import make

pytestmark = pytest.mark.filterwarnings("error", "ignore::pytest.PytestUnraisableExceptionWarning")


def make_items(labels, **fields):
    groups = fields.get("groups", [""] * len(labels))
    return [
        Item(f"{n}.png", "", label, f"row {n}", group=groups[n]) for n, label in enumerate(labels)
    ]


def look(labels, names=None, left=None):
    items = make_items(labels)
    rows = range(len(items)) if left is None else left
    return {fault.kind: fault for fault in find_class_faults(items, rows, Counter(labels), names)}


@pytest.mark.parametrize("odd", ["2.5", "-1", "two", "1e3", "１x"])
def test_a_label_that_is_no_number_among_numbers_is_named(odd):
    [fault] = find_odd_labels(make_items(["0", "1"] * 10 + [odd]))
    assert (fault.kind, fault.where, fault.drop) == ("label", "row 20", (20,))
    assert repr(odd) in fault.found


def test_a_label_that_was_not_named_is_refused_and_words_among_words_are_not():
    [fault] = find_odd_labels(make_items(["0", "1", "99"]), {"0": "a", "1": "b"})
    assert fault.drop == (2,)
    assert find_odd_labels(make_items(["red", "white", "7"])) == []


@pytest.mark.parametrize(
    ("labels", "order"),
    [
        (["10", "9", "0"], ["0", "9", "10"]),
        (["b", "a", "B"], ["B", "a", "b"]),
        (["True", "False"], ["False", "True"]),
        (["1 ", "1"], ["1"]),
    ],
)
def test_classes_have_a_stated_order(labels, order):
    assert order_classes(labels) == order


def test_numbers_with_gaps_are_renumbered_aloud():
    assert (
        look(["0", "2", "3"] * 5)["renumbered"].found == "0 is class 0, 2 is class 1, 3 is class 2"
    )
    assert "renumbered" in look([str(n) for n in range(1, 6)] * 5)
    assert "renumbered" not in look(["0", "1"] * 5)


def test_spellings_that_differ_in_case_or_space_are_never_two_classes_silently():
    fault = look(["Polyps"] * 6 + ["polyps "] * 6 + ["ulcer"] * 6)["spelling"]
    assert fault.level == "stop"
    assert fault.found == "'Polyps' (6 images), 'polyps ' (6 images)"


def test_small_lone_lost_unused_and_odd_classes_are_named_with_their_numbers():
    assert look(["a"] * 9)["single"].level == "stop"
    few = look(["a"] * 9 + ["b"] * 4)["few"]
    assert (few.where, few.found, few.level) == ("'b'", "4 images for 5 folds", "stop")
    assert look(["a"] * 9 + ["b"] * 9, left=range(9))["lost"].where == "'b'"
    assert look(["0", "1"] * 5, {"0": "a", "1": "b", "2": "c"})["unused"].found == "0 images"
    for name in ("NA", "x" * 200, "<img src=x onerror=alert(1)>"):
        assert look([name] * 9 + ["b"] * 9)["names"].where == repr(name)


def test_a_class_without_training_images_in_the_split_that_is_given_stops():
    items = [
        replace(item, split=split)
        for item, split in zip(make_items("aabb"), ["train", "val", "val", "test"], strict=True)
    ]
    faults = find_class_faults(items, range(4), Counter("aabb"))
    assert [(fault.kind, fault.where, fault.found, fault.level) for fault in faults] == [
        ("untrained", "'b'", "2 images, all in test and val", "stop")
    ]


def test_a_class_in_one_patient_only_is_named_with_the_splits_of_two_repeats_that_lack_it():
    labels = ["common"] * 40 + ["rare"] * 6
    groups = [f"p{number}" for number in range(40)] + ["one"] * 6
    items = make_items(labels, groups=groups)
    [fault] = find_absences(items, range(46), ["common", "rare"])
    assert (fault.where, fault.level) == ("'rare'", "warning")
    assert fault.found.startswith("6 images in 1 groups: none in ")
    absences = dict(
        re.split(" of splits? ", text) for text in fault.found.split("none in ")[1].split("; ")
    )
    lacking = {part: set(map(int, splits.split(", "))) for part, splits in absences.items()}
    data = make(np.repeat([0, 1], [40, 6]), groups=groups, ids=[item.id for item in items])
    for repeat in range(2):
        fold_of = deal_folds(data, np.ones(46, bool), 5, repeat=repeat)
        tested = int(fold_of[40])
        assert (fold_of[40:] == tested).all()
        of_repeat = range(5 * repeat, 5 * repeat + 5)
        where_tested = 5 * repeat + tested
        where_validated = 5 * repeat + (tested - 1) % 5
        assert lacking["test"] & set(of_repeat) == set(of_repeat) - {where_tested}
        assert lacking["val"] & set(of_repeat) == set(of_repeat) - {where_validated}
        assert lacking["train"] & set(of_repeat) == {where_tested, where_validated}
    spread = make_items(labels, groups=[f"p{number}" for number in range(46)])
    assert find_absences(spread, range(46), ["common", "rare"]) == []


def test_a_hundred_thousand_images_of_fifty_thousand_patients_are_checked_in_seconds():
    shares = [0.73, 0.15, 0.07, 0.03, 0.02]
    labels = np.random.default_rng(0).choice(list("01234"), 100_000, p=shares).tolist()
    items = make_items(labels, groups=[str(number // 2) for number in range(100_000)])
    started = time.process_time()
    assert find_odd_labels(items) == find_class_faults(items, range(100_000), Counter(labels)) == []
    assert find_absences(items, range(100_000), list("01234")) == []
    assert time.process_time() - started < 5  # the promise to the user; 2 here


def test_more_folds_than_patients_is_said():
    items = make_items(["a", "b"] * 10, groups=["1", "10", "100", "1"] * 5)
    assert (
        "at least 5 groups for 5 folds, got 3"
        in find_absences(items, range(20), ["a", "b"])[0].found
    )
