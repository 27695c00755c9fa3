import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from bmix_lite.preparation.cache import GREY_SIDE, Facts
from bmix_lite.preparation.image_faults import (
    BLEND,
    NEAR,
    find_copies,
    find_leaks,
    find_near,
    pair_near,
)
from bmix_lite.preparation.listing import Item
from clinic import draw

pytestmark = pytest.mark.filterwarnings("error", "ignore::pytest.PytestUnraisableExceptionWarning")


def make_items(splits, **fields):
    items = [Item(f"{n}.png", "", "0", f"row {n}", split=split) for n, split in enumerate(splits)]
    return [
        replace(item, **{name: values[n] for name, values in fields.items()})
        for n, item in enumerate(items)
    ]


def make_facts(n, sha256=None, grey=None):
    grey = (
        np.random.default_rng(0).integers(0, 256, (n, GREY_SIDE**2), dtype=np.uint8)
        if grey is None
        else grey
    )
    return Facts(
        np.array(sha256 or [str(i) for i in range(n)]),
        np.full((n, 2), 64),
        grey,
        np.array([""] * n),
    )


def shrink(image):
    return np.asarray(
        image.convert("L").resize((GREY_SIDE, GREY_SIDE), Image.Resampling.BOX)
    ).ravel()


@pytest.mark.parametrize(
    ("splits", "stays"),
    [
        (["train", "test"], 1),
        (["val", "train"], 0),
        (["train", "train"], 0),
        (["val", "test", "test"], 1),
        (["", ""], 0),
    ],
)
def test_of_copies_that_of_the_test_side_stays_and_the_first_of_equals(splits, stays):
    n = len(splits)
    [fault] = find_copies(make_items(splits), make_facts(n, ["x"] * n), range(n))
    assert (fault.kind, fault.level, fault.images) == ("duplicate", "bad", tuple(range(n)))
    assert fault.drop == tuple(number for number in range(n) if number != stays)


def test_an_image_that_a_split_lists_on_two_sides_is_named_with_both_rows_and_tested_only():
    items = [replace(item, id="a.png") for item in make_items(["train", "test"])]
    [fault] = find_copies(items, make_facts(2, ["x", "x"]), range(2))
    assert (fault.kind, fault.level, fault.where, fault.drop) == (
        "twice",
        "bad",
        "row 0, row 1",
        (0,),
    )


def test_one_image_with_two_labels_loses_all_its_rows():
    items = make_items(["train"] * 3, label=["0", "1", "0"])
    [fault] = find_copies(items, make_facts(3, ["x", "x", "y"]), range(3))
    assert (fault.kind, fault.drop, fault.where) == ("conflict", (0, 1), "row 0, row 1")


def test_patients_on_two_sides_are_listed_and_their_test_images_kept():
    items = make_items(
        ["train", "test", "val", "train", "train"], group=["1", "1", "10", "100", "100"]
    )
    [fault] = find_leaks(items, range(5))
    assert (fault.where, fault.drop) == ("group 1", (0,))
    assert "1 in test, 1 in train" in fault.found


def test_official_folds_are_sides_too():
    items = make_items([""] * 3, group=["p", "p", "q"], fold=["0", "1", "1"])
    [fault] = find_leaks(items, range(3))
    assert fault.drop == (1,)


def brute(grey):
    values = grey.astype(float)
    values -= values.mean(axis=1, keepdims=True)
    values -= values.mean(axis=0) * len(values) / (len(values) + BLEND)
    return {
        (i, j)
        for i in range(len(values))
        for j in range(i + 1, len(values))
        if values[i] @ values[j] >= NEAR * np.linalg.norm(values[i]) * np.linalg.norm(values[j])
    }


def test_near_pairs_are_those_of_a_double_loop_also_across_blocks(monkeypatch):
    monkeypatch.setattr("bmix_lite.preparation.image_faults.BLOCK", 7)
    rng = np.random.default_rng(1)
    grey = rng.integers(0, 256, (40, GREY_SIDE**2))
    copies = rng.integers(0, 40, 20)
    grey = np.concatenate(
        [grey, np.clip(grey[copies] + rng.integers(-12, 13, (20, GREY_SIDE**2)), 0, 255)]
    ).astype(np.uint8)
    found = set(pair_near(grey))
    assert found == brute(grey)
    assert len(found) >= 20


@pytest.mark.parametrize("disc", [False, True])
def test_nine_of_ten_altered_copies_are_found_and_different_images_are_not(disc):
    y, x = np.mgrid[-1:1:96j, -1:1:96j]
    field = np.where(x**2 + y**2 < 0.9, 1.0, 0.0)[..., None] if disc else 1
    photos = [
        Image.fromarray(
            (np.asarray(draw(seed, 96)) * 0.5 * field + 120 * field * disc).astype(np.uint8)
        )
        for seed in range(300)
    ]
    assert list(pair_near(np.stack([shrink(photo) for photo in photos]))) == []
    altered = []
    for number, photo in enumerate(photos[:10]):
        buffer = io.BytesIO()
        size = (48, 48) if number % 2 else (96, 96)
        photo.resize(size).save(buffer, "JPEG", quality=60 + 4 * number)
        altered.append(Image.open(buffer))
    found = set(pair_near(np.stack([shrink(photo) for photo in [*photos, *altered]])))
    assert len({(number, 300 + number) for number in range(10)} & found) >= 9
    assert len(found) <= 10


def test_near_copies_matter_across_sides_only():
    grey = make_facts(30).grey
    grey[1] = grey[0]
    assert find_near(make_items(["train"] * 30), make_facts(30, grey=grey), list(range(30))) == []
    [fault] = find_near(
        make_items(["train", "test"] + ["train"] * 28), make_facts(30, grey=grey), list(range(30))
    )
    assert (fault.kind, fault.drop) == ("near", (0,))
    [fault] = find_near(make_items([""] * 30), make_facts(30, grey=grey), list(range(30)))
    assert (fault.kind, fault.drop, fault.where) == ("alike", (), "1 pairs")
    together = make_items([""] * 30, group=["p"] * 30)
    assert find_near(together, make_facts(30, grey=grey), list(range(30))) == []


def test_blank_images_are_not_taken_for_copies_of_each_other():
    assert list(pair_near(np.full((5, GREY_SIDE**2), 7, np.uint8))) == []
