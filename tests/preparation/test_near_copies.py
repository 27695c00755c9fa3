import io
import time
import tracemalloc
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from bmix_lite.base.errors import BmixError
from bmix_lite.preparation.cache import GREY_SIDE
from bmix_lite.preparation.near_copies import BLEND, NEAR, find_near, pair_alike
from bmix_lite.preparation.prepare import prepare, prepare_arrays
from bmix_lite.preparation.report import read_report
from clinic import draw
from field import make_facts, make_items, prepare_small
from field import photo as draw_photo

pytestmark = pytest.mark.filterwarnings("error", "ignore::pytest.PytestUnraisableExceptionWarning")


def shrink(image):
    return np.asarray(
        image.convert("L").resize((GREY_SIDE, GREY_SIDE), Image.Resampling.BOX)
    ).ravel()


def list_pairs(grey):
    """{(i, j): whether it is a copy} of all pairs that are near."""
    pairs = {}
    for i, j, is_copy in pair_alike(grey):
        pairs |= dict(zip(zip(i.tolist(), j.tolist(), strict=True), is_copy.tolist(), strict=True))
    return pairs


def list_copies(grey):
    return [pair for pair, is_copy in list_pairs(grey).items() if is_copy]


def brute(grey):
    """The same by a double loop over the rule, in double precision."""
    values = grey.astype(float)
    values -= values.mean(axis=1, keepdims=True)
    values -= values.mean(axis=0) * len(values) / (len(values) + BLEND)
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    n = len(values)
    c = np.array([[values[i] @ values[j] for j in range(n)] for i in range(n)])
    sixth = [sorted(np.delete(c[i], i))[-6] if n > 6 else -1 for i in range(n)]
    return {
        (i, j): c[i, j] >= 0.99 or 1 - c[i, j] <= 0.2 * (1 - max(sixth[i], sixth[j]))
        for i in range(n)
        for j in range(i + 1, n)
        if c[i, j] >= NEAR
    }


@pytest.mark.parametrize(("noise", "crowd"), [(12, 1), (24, 1), (24, 9), (6, 9), (16, 6)])
def test_near_pairs_are_those_of_a_double_loop_also_across_blocks(monkeypatch, noise, crowd):
    monkeypatch.setattr("bmix_lite.preparation.near_copies.BLOCK", 7)
    rng = np.random.default_rng(1)
    grey = rng.integers(0, 256, (40, GREY_SIDE**2))
    copies = np.repeat(rng.integers(0, 40, 20), crowd)
    changes = rng.integers(-noise, noise + 1, (20 * crowd, GREY_SIDE**2))
    grey = np.concatenate([grey, np.clip(grey[copies] + changes, 0, 255)]).astype(np.uint8)
    found = list_pairs(grey)
    assert found == brute(grey)
    assert len(found) >= 20
    assert any(found.values()) == (noise < 24 or crowd == 1)


def test_a_pair_that_stands_alone_is_a_copy_and_one_in_a_crowd_is_not():
    rng = np.random.default_rng(3)
    grey = rng.integers(30, 226, (60, GREY_SIDE**2))
    # two at 10 are alike, and twelve at 30, no two of them more than the rest
    for start in (10, 30):
        size, noise = {10: (2, 20), 30: (12, 13)}[start]
        changes = rng.integers(-noise, noise + 1, (size - 1, GREY_SIDE**2))
        grey[start + 1 : start + size] = grey[start] + changes
    facts = make_facts(60, grey=np.clip(grey, 0, 255).astype(np.uint8))
    faults = {fault.kind: fault for fault in find_near(make_items([""] * 60), facts, range(60))}
    assert (faults["alike"].where, faults["alike"].found) == ("1 pairs", "10.png = 11.png")
    assert faults["lookalike"].where == "66 pairs"
    assert faults["lookalike"].level == "note"
    assert faults["lookalike"].found.endswith(" and 56 more")
    assert faults["lookalike"].drop == ()
    split = make_items(["train"] * 30 + ["test"] * 30)
    assert {fault.kind for fault in find_near(split, facts, range(60))} == set()
    split = make_items(["train", "test"] * 30)
    kinds = Counter(fault.kind for fault in find_near(split, facts, range(60)))
    assert kinds == {"near": 1, "lookalike": 1}


def test_a_burst_of_many_true_copies_does_not_hide_itself():
    grey = make_facts(40).grey
    grey[:12] = np.clip(grey[0] + np.arange(12)[:, None] % 3, 0, 255)
    [fault] = find_near(make_items([""] * 40), make_facts(40, grey=grey), range(40))
    assert (fault.kind, fault.where) == ("alike", "66 pairs")


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
    assert list(list_copies(np.stack([shrink(photo) for photo in photos]))) == []
    altered = []
    for number, photo in enumerate(photos[:10]):
        buffer = io.BytesIO()
        size = (48, 48) if number % 2 else (96, 96)
        photo.resize(size).save(buffer, "JPEG", quality=60 + 4 * number)
        altered.append(Image.open(buffer))
    found = set(list_copies(np.stack([shrink(photo) for photo in [*photos, *altered]])))
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
    assert list(list_copies(np.full((5, GREY_SIDE**2), 7, np.uint8))) == []


def test_the_official_file_of_retinamnist_is_prepared_and_planted_copies_are_found(
    shared, tmp_path
):
    path = shared / "data/retinamnist/retinamnist.npz"
    data = prepare(path, tmp_path / "data", progress=False)
    assert [len(data.rows(part)) for part in ("train", "val", "test")] == [1080, 120, 400]
    assert np.bincount(data.labels).tolist() == [714, 186, 326, 282, 92]
    report = read_report(tmp_path / "data")
    assert {fault["kind"]: fault["where"] for fault in report.faults} == {"lookalike": "42 pairs"}
    assert (tmp_path / "data/report.html").read_text().count("<img ") == 8
    arrays = dict(np.load(path))
    for number in range(40):  # 40 of test come back in train: half as JPEG, half a little brighter
        image = Image.fromarray(arrays["test_images"][number])
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=75)
        again = np.asarray(Image.open(buffer)).astype(int)
        arrays["train_images"][number] = np.clip(again + 3 * (number % 2), 0, 255)
    np.savez(tmp_path / "planted.npz", **arrays)
    planted = prepare(tmp_path / "planted.npz", tmp_path / "planted", on_bad="skip", progress=False)
    near = [f for f in read_report(tmp_path / "planted").faults if f["kind"] == "near"]
    found = {f"train/{number}" for number in range(40)} & {f["left_out"][0] for f in near}
    assert len(found) >= 32
    assert len(planted.labels) >= 1600 - 40 - 2


@pytest.mark.parametrize(("split", "kind"), [("", "alike"), ("train test", "near")])
def test_ten_thousand_frames_of_five_videos_need_little_memory_and_few_lines(split, kind):
    rng = np.random.default_rng(0)
    scenes = rng.integers(0, 256, (5, GREY_SIDE**2))
    frames = scenes[np.arange(10_000) // 2000] + rng.integers(-8, 9, (10_000, GREY_SIDE**2))
    facts = make_facts(10_000, grey=np.clip(frames, 0, 255).astype(np.uint8))
    items = make_items(
        [(split.split() or [""])[number % 2 * bool(split)] for number in range(10_000)]
    )
    tracemalloc.start()
    started = time.process_time()
    faults = find_near(items, facts, range(10_000))
    seconds = time.process_time() - started
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 400e6
    assert seconds < 60
    assert {fault.kind for fault in faults} == {kind}
    pairs = 5 * 2000 * 1999 // 2
    if kind == "alike":
        assert [fault.where for fault in faults] == [f"{pairs} pairs"]
    else:
        assert len(faults) == 1001
        assert faults[-1].where == f"{5 * 1000 * 1000 - 1000} pairs"
        assert len(faults[-1].drop) == 5000  # all of train: each has a twin in test


def test_pictures_of_pairs_that_look_alike_are_in_the_report(tmp_path):
    root = tmp_path / "in"
    for number in range(20):
        path = root / "ab"[number % 2] / f"{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        draw_photo(number, 96).save(path)
    draw_photo(0, 96).resize((90, 90)).save(root / "a/again.png")
    prepare_small(root, tmp_path / "out")
    [fault] = read_report(tmp_path / "out").faults
    assert (fault["kind"], fault["found"]) == ("alike", "a/00.png = a/again.png")
    page = (tmp_path / "out/report.html").read_text()
    assert 'alt="image a/00.png"' in page
    assert 'alt="image a/again.png"' in page


def test_many_faults_of_one_kind_leave_room_for_pictures_of_another(tmp_path):
    """A thousand pairs of a still video across the split, and a group on both sides."""
    images = np.stack([np.asarray(draw_photo(number, 16)) for number in range(40)])
    stills = np.repeat(np.asarray(draw_photo(99, 16))[None], 900, axis=0).astype(np.uint8)
    stills[:, 0, 0, 0] = np.arange(900) % 250
    stills[:, 0, 1, 0] = np.arange(900) // 250
    images = np.concatenate([images, stills])
    groups = ["one"] * 2 + [f"p{number}" for number in range(2, 940)]
    with pytest.raises(BmixError):
        prepare_arrays(
            images,
            np.arange(940) // 2 % 2,
            tmp_path / "out",
            split=["train", "test"] * 470,
            groups=groups,
            progress=False,
        )
    report = read_report(tmp_path / "out")
    assert report.counts()["near"] == 1001
    assert report.counts()["leak"] == 1
    page = (tmp_path / "out/report.html").read_text()
    assert page.count("<img ") <= 400
    for kind in ("near", "leak"):
        section = page.split(f'<h2 id="{kind}">')[1].split("</table>")[0]
        assert section.count("<img ") >= 2


def test_images_of_one_colour_are_no_near_copies_of_each_other(tmp_path):
    for number in range(12):
        part = "train" if number < 8 else "test"
        path = tmp_path / "s" / part / f"class {number % 2}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (24, 24), (20 * number, 0, 99)).save(path)
    for number in range(4):  # what the blank ones lack of the others is no likeness
        pixels = np.tile(np.arange(24, dtype=np.uint8) * (9 + number), (24, 1))
        Image.fromarray(pixels).save(tmp_path / "s" / "train" / "class 0" / f"b{number}.png")
    for label in (0, 1):
        for number in range(3):
            path = tmp_path / "s" / "train" / f"class {label}" / f"c{number}.png"
            Image.new("RGB", (24, 24), (7, 60 * label + 20 * number, 0)).save(path)
    data = prepare(tmp_path / "s", tmp_path / "made", size=8, jobs=1, progress=False)
    assert len(data.labels) == 22


def test_empty_fields_under_one_lamp_are_no_copies_and_faint_pictures_may_be():
    y, x = np.mgrid[:64, :64] / 64
    lamp = 120 + 12 * x - 6 * y - 8 * (x - 0.5) ** 2
    random = np.random.default_rng(0)
    empty = [lamp + level + random.normal(0, 1, lamp.shape) for level in range(5)]
    faint = np.asarray(draw_photo(3, 64, grey=True), float)
    faint = 100 + 12 * (faint - faint.mean()) / faint.std()
    pictures = [*empty, faint, faint + random.normal(0, 1, lamp.shape)]
    grey = np.stack([shrink(Image.fromarray(p.round().astype(np.uint8))) for p in pictures])
    assert list_copies(grey) == [(5, 6)]
    assert list_pairs(grey[:5]) == {}
