"""The stored trainings: found by their settings, refused where damaged, equal to training."""

import json

import numpy as np
import pytest

from bmix_lite import __version__
from bmix_lite.base.errors import BmixError
from bmix_lite.course.boundary.playground import (
    EPOCHS,
    FORMAT,
    RATIOS,
    ROWS,
    make_playground,
    read_playground,
)
from bmix_lite.course.boundary.plots import plot_playground
from bmix_lite.course.boundary.regions import toy_recipe, train_boundary
from bmix_lite.course.boundary.toys import GRID, make_toy
from bmix_lite.recipe import Recipe

ALL = [("instance", None), ("class_balanced", None), ("mixup", 0.4), ("balanced_mixup", 0.2)]
STORED_ROWS = [
    ["instance", 0.0],
    ["class_balanced", 0.0],
    ["mixup", 0.2],
    ["balanced_mixup", 0.2],
    ["balanced_mixup", 1.0],
]
CLASSES = {"blobs": ["common", "middle", "rare"], "moons": ["common", "rare"]}


def make_contents(**changes):
    """A playground of random numbers: (about, arrays)."""
    rng = np.random.default_rng(0)
    about = {
        "format": FORMAT,
        "version": "0",
        "ratios": [1, 100],
        "rows": STORED_ROWS,
        "epochs": [1, 5],
        "seeds": 3,
        "class_names": CLASSES,
        "fingerprints": {
            kind: [make_toy(kind, ratio).fingerprint for ratio in (1, 100)] for kind in CLASSES
        },
    } | changes
    arrays = {}
    for kind, names in CLASSES.items():
        arrays[f"{kind} regions"] = rng.integers(
            0, len(names), (2, len(STORED_ROWS), 2, GRID, GRID), dtype=np.uint8
        )
        arrays[f"{kind} recall"] = rng.random((2, len(STORED_ROWS), 2, 3, len(names)))
    return about, arrays


def write(path, about, arrays):
    np.savez_compressed(path, about=np.array(json.dumps(about)), **arrays)
    return path


@pytest.fixture(scope="module")
def arrays():
    return make_contents()[1]


@pytest.fixture(scope="module")
def playground(tmp_path_factory):
    return read_playground(write(tmp_path_factory.mktemp("playground") / "p.npz", *make_contents()))


def test_what_was_stored_is_found_by_its_settings(playground, arrays):
    regions = playground.regions("moons", 100, "balanced_mixup", 1.0, 5)
    assert np.array_equal(regions, arrays["moons regions"][1, 4, 1])
    recall = playground.recall("blobs", 1, "mixup", 0.2, 1)
    assert np.array_equal(recall, arrays["blobs recall"][0, 2, 0])


@pytest.mark.parametrize("alpha", [None, 0, 0.2, 7])
def test_alpha_does_not_matter_to_methods_that_do_not_mix(playground, arrays, alpha):
    regions = playground.regions("moons", 1, "class_balanced", alpha, 1)
    assert np.array_equal(regions, arrays["moons regions"][0, 1, 0])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            ("moon", 1, "mixup", 0.2, 1),
            r"kind must be one of blobs, moons, got 'moon'; did you mean 'moons'",
        ),
        (("moons", 2, "mixup", 0.2, 1), r"imbalance_ratio must be one of 1, 100, got 2"),
        (
            ("moons", 1, "mixUp", 0.2, 1),
            r"method must be one of .*, got 'mixUp'; did you mean 'mixup'",
        ),
        (("moons", 1, "mixup", 0.3, 1), r"alpha must be one of 0\.2, got 0\.3"),
        (("moons", 1, "balanced_mixup", None, 1), r"alpha must be one of 0\.2, 1\.0, got None"),
        (("moons", 1, "mixup", 0.2, 2), r"epoch must be one of 1, 5, got 2"),
    ],
)
def test_settings_that_were_not_stored_are_refused_in_words(playground, settings, message):
    for look_up in (playground.regions, playground.recall):
        with pytest.raises(BmixError, match=message):
            look_up(*settings)


def test_a_missing_playground_is_named_with_the_command_that_makes_it(tmp_path):
    with pytest.raises(
        BmixError,
        match=r"no stored playground '.*p\.npz'; make it again: python -m bmix_lite playgr",
    ):
        read_playground(tmp_path / "p.npz")


@pytest.mark.parametrize("content", [b"", b"PK", b"no zip", b"\x93NUMPY"])
def test_a_file_that_is_no_playground_is_refused_by_name(tmp_path, content):
    path = tmp_path / "p.npz"
    path.write_bytes(content)
    with pytest.raises(BmixError, match=r"p\.npz is not a stored playground"):
        read_playground(path)


def test_a_file_cut_short_is_refused_by_name(tmp_path):
    path = write(tmp_path / "p.npz", *make_contents())
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(BmixError, match=r"p\.npz is not a stored playground"):
        read_playground(path)


@pytest.mark.parametrize("place", [0.05, 0.3, 0.5, 0.7])
def test_a_flipped_byte_is_noticed(tmp_path, place):
    path = write(tmp_path / "p.npz", *make_contents())
    content = bytearray(path.read_bytes())
    content[int(len(content) * place)] ^= 255
    path.write_bytes(content)
    with pytest.raises(BmixError, match=r"p\.npz is not a stored playground"):
        read_playground(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(format=99), r"p\.npz has format 99, not 1; make it again"),
        (dict(seeds=4), r"its arrays do not fit its settings"),
        (
            dict(class_names=CLASSES | {"rings": ["common", "rare"]}),
            r"is not a stored playground: KeyError",
        ),
        (dict(rows=None), r"is not a stored playground: TypeError"),
    ],
)
def test_a_playground_of_another_making_is_refused(tmp_path, changes, message):
    about, arrays = make_contents(**changes)
    with pytest.raises(BmixError, match=message):
        read_playground(write(tmp_path / "p.npz", about, arrays))


def test_regions_of_other_points_are_not_drawn(tmp_path):
    fingerprints = {kind: ["0" * 64] * 2 for kind in CLASSES}
    stale = read_playground(write(tmp_path / "p.npz", *make_contents(fingerprints=fingerprints)))
    with pytest.raises(
        BmixError, match=r"made with other points than toy 'moons' has now; make it again"
    ):
        plot_playground("moons", 100, 0.2, 5, stale)


TINY = dict(
    kinds=("moons", "blobs"),
    ratios=(10, 100),
    rows=(("instance", 0.0), ("mixup", 0.2), ("balanced_mixup", 0.2)),
    epochs=(1, 2),
    seeds=2,
    jobs=2,
    progress=False,
)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    path = tmp_path_factory.mktemp("playground") / "tiny.npz"
    make_playground(path, **TINY)
    return path


def test_a_playground_stores_what_training_gives(tiny):
    stored = read_playground(tiny)
    assert (stored.kinds, stored.ratios, stored.epochs, stored.alphas) == (
        ("moons", "blobs"),
        [10, 100],
        [1, 2],
        [0.2],
    )
    for kind, ratio, method, alpha in [
        ("moons", 10, "instance", None),
        ("blobs", 100, "balanced_mixup", 0.2),
    ]:
        for seed in (0, 1):
            recipe = toy_recipe(method, alpha=alpha, epochs=2, seed=seed)
            for record in train_boundary(make_toy(kind, ratio, seed=seed), recipe):
                at = kind, ratio, method, alpha, record["epoch"]
                assert stored.recall(*at)[seed] == pytest.approx(record["recall"])
                if seed == 0:
                    assert np.array_equal(stored.regions(*at), record["regions"])


def test_a_playground_says_what_it_was_made_with(tiny):
    with np.load(tiny) as stored:
        about = json.loads(str(stored["about"]))
    assert about["version"] == __version__
    assert Recipe(**about["recipe"]) == toy_recipe("instance", epochs=2)
    assert about["fingerprints"]["blobs"] == [
        make_toy("blobs", ratio).fingerprint for ratio in (10, 100)
    ]


def test_making_it_again_in_one_process_gives_the_same_file(tiny, tmp_path):
    make_playground(tmp_path / "again.npz", **TINY | {"jobs": 1})
    assert (tmp_path / "again.npz").read_bytes() == tiny.read_bytes()


def test_the_stored_playground_is_not_stale(root):
    stored = read_playground(root / "notebooks" / "playground.npz")
    again = "make it again: python -m bmix_lite playground"
    assert stored.about["version"] == __version__, again
    assert Recipe(**stored.about["recipe"]) == toy_recipe("instance"), again
    assert stored.rows == list(ROWS), again
    assert (tuple(stored.ratios), tuple(stored.epochs)) == (RATIOS, EPOCHS), again
    for kind in stored.kinds:
        for ratio in stored.ratios:
            stored.data(kind, ratio)
    assert (root / "notebooks" / "playground.npz").stat().st_size < 300_000


@pytest.mark.parametrize(("method", "alpha"), ALL)
def test_the_stored_playground_is_what_training_gives_here_but_for_rounding(root, method, alpha):
    stored = read_playground(root / "notebooks" / "playground.npz")
    recipe = toy_recipe(method, alpha=alpha)
    first = next(iter(train_boundary(make_toy("blobs", 30), recipe)))
    at = "blobs", 30, method, alpha, 1
    # another machine rounds otherwise: after one epoch that moves few predictions
    assert stored.recall(*at)[0] == pytest.approx(first["recall"], abs=0.02)
    assert (stored.regions(*at) == first["regions"]).mean() > 0.98
