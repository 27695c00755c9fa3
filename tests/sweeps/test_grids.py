import itertools
import os

import pytest

from bmix_lite.base.errors import BmixError
from bmix_lite.sweeps.grids import (
    MOST,
    cross_grids,
    expand_grid,
    read_assignments,
    read_grid_file,
    read_value,
    zip_grid,
)

DEFAULTS = dict(
    dataset="digits_lt",
    method="instance",
    alpha=None,
    q=None,
    loss=None,
    mixing=None,
    lr=0.01,
    seed=0,
)
DEFAULTS |= dict(live=True, note="", size=3, anything=None)


def read(tmp_path, text):
    path = tmp_path / "sweep.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_grid_file(path, DEFAULTS)


def test_a_grid_holds_every_combination_the_last_name_changing_fastest():
    assert expand_grid(alpha=[0.1, 0.2], seed=range(2)) == [
        {"alpha": 0.1, "seed": 0},
        {"alpha": 0.1, "seed": 1},
        {"alpha": 0.2, "seed": 0},
        {"alpha": 0.2, "seed": 1},
    ]
    assert expand_grid() == [{}]
    assert expand_grid(alpha=[]) == []
    assert expand_grid(alpha=iter([1, 2])) == [{"alpha": 1}, {"alpha": 2}]


def test_a_zip_holds_rows_side_by_side():
    assert zip_grid(lr=[0.1, 0.01], epochs=[10, 60]) == [
        {"lr": 0.1, "epochs": 10},
        {"lr": 0.01, "epochs": 60},
    ]
    with pytest.raises(BmixError, match=r"equally long, got \{'lr': 2, 'epochs': 3\}"):
        zip_grid(lr=[0.1, 0.01], epochs=[10, 60, 70])


def test_crossing_agrees_with_itertools():
    one, two = expand_grid(alpha=[1, 2, 3]), zip_grid(lr=[4, 5], seed=[6, 7])
    assert cross_grids(one, two) == [a | b for a, b in itertools.product(one, two)]
    assert cross_grids(one, []) == []


@pytest.mark.parametrize("rows", [[{"alpha": 1}, {"seed": 2}], [{"seed": 2}, {"alpha": 1}]])
def test_a_parameter_given_by_two_grids_is_refused_in_whatever_row_it_stands(rows):
    with pytest.raises(BmixError, match="given twice: seed"):
        cross_grids(rows, expand_grid(seed=[1, 2]))


def test_a_slip_of_the_pen_does_not_fill_the_memory():
    with pytest.raises(
        BmixError, match=r"may have 100,000 runs, this one would have 1,000,000,000,000,000"
    ):
        expand_grid(a=range(MOST), b=range(MOST), c=range(MOST))
    with pytest.raises(BmixError, match="100,000 runs"):
        cross_grids(expand_grid(a=range(1000)), expand_grid(b=range(1000)))
    with pytest.raises(BmixError, match=r"seed: '0:1000000' holds 1000000 values"):
        read_assignments(["seed=0:1000000"], DEFAULTS)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("seed=0:5", [0, 1, 2, 3, 4]),
        ("seed=1:5", [1, 2, 3, 4]),
        ("seed=0:10:4", [0, 4, 8]),
        ("seed=3:0:-1", [3, 2, 1]),
        ("seed= 7 , 8 ", [7, 8]),
        ("alpha=0.1,0.2", [0.1, 0.2]),
        ("alpha=1e-3", [1e-3]),
        ("alpha=none,0.2", [None, 0.2]),
        ("q=progressive,0.5", ["progressive", 0.5]),
        ("live=true,False", [True, False]),
        ("dataset=007,1e5,true", ["007", "1e5", "true"]),
        ("dataset=a=b", ["a=b"]),
        ("note=none", ["none"]),
        ("loss=none", [None]),
        ("mixing=none", ["none"]),
        ("anything=007", [7]),
        ("size=three", ["three"]),
    ],
)
def test_words_of_the_command_line_mean_what_the_parameter_says(text, values):
    name = text.split("=")[0]
    grid = read_assignments([text], DEFAULTS)
    assert grid == [{name: value} for value in values]
    assert [type(row[name]) for row in grid] == [type(value) for value in values]


def test_assignments_are_crossed_and_none_is_one_run():
    assert read_assignments(["alpha=0.1,0.2", "seed=0:3"], DEFAULTS) == expand_grid(
        alpha=[0.1, 0.2], seed=range(3)
    )
    assert read_assignments([], DEFAULTS) == [{}]


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["alpha"], r"written NAME=VALUE,VALUE or NAME=FIRST:END, got 'alpha'"),
        (["=3"], "written NAME=VALUE"),
        (["seed=1", "seed=2"], "seed is given twice"),
        (["seed="], "seed has an empty value"),
        (["seed=1,,2"], "seed has an empty value"),
        (["seed=5:5"], r"seed: '5:5' holds 0 values"),
        (["seed=5:1"], r"seed: '5:1' holds 0 values"),
        (["seed=0:5:0"], r"seed: the step of '0:5:0' is 0"),
    ],
)
def test_words_that_are_no_grid_are_refused(texts, words):
    with pytest.raises(BmixError, match=words):
        read_assignments(texts, DEFAULTS)


def test_a_file_crosses_its_blocks(tmp_path):
    text = """
fixed: {method: mixup, dataset: 007}
zip: {lr: [0.1, 0.01], size: 1:3}
product:
  seed: 1:5
  alpha: 0.1, 0.2
"""
    grid = read(tmp_path, text)
    expected = [
        dict(method="mixup", dataset="007", lr=lr, size=size, seed=seed, alpha=alpha)
        for lr, size in ((0.1, 1), (0.01, 2))
        for seed in (1, 2, 3, 4)  # YAML 1.1 reads 1:5 as 65
        for alpha in (0.1, 0.2)
    ]
    assert grid == expected
    assert [list(map(type, row.values())) for row in grid] == [
        list(map(type, row.values())) for row in expected
    ]


def test_a_file_may_list_its_runs_and_values_are_read_as_on_the_command_line(tmp_path):
    text = """runs:
- {method: mixup, alpha: 0.2}
- {live: no, loss: none, mixing: none, dataset: 1_0, q: progressive}"""
    assert read(tmp_path, text) == [
        {"method": "mixup", "alpha": 0.2},
        {
            "live": "no",
            "loss": None,
            "mixing": "none",
            "dataset": "1_0",
            "q": "progressive",
        },  # "no" is refused by type
    ]
    assert read(tmp_path, "fixed: {live: false, alpha: .5, anything: null}") == [
        {"live": False, "alpha": 0.5, "anything": None}
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "must hold blocks named fixed, runs, zip, product"),
        ("- seed", "must hold blocks"),
        ("seed: 1:5", r"a block must be one of fixed, runs, zip, product, got 'seed'"),
        ("prodct: {seed: 1:5}", r"got 'prodct'; did you mean 'product'\?"),
        ("fixed: {seed: 1}\nfixed: {lr: 1}", "given twice: fixed"),
        ("product: {seed: 1, seed: 2}", "given twice: seed"),
        ("fixed: {seed: 1}\nproduct: {seed: 1:3}", "given twice: seed"),
        ("zip: {seed: 0:3, lr: [1, 2]}", r"equally long, got \{'seed': 3, 'lr': 2\}"),
        ("fixed: [seed]", "fixed must be names with values"),
        ("fixed:", "fixed must be names with values"),
        ("runs: {seed: 1}", "runs must be a list of runs"),
        ("runs: [seed]", "runs must be a list of runs"),
        ("product: {seed: }", "seed has an empty value"),
        ("product: {seed: []}", "seed needs at least one value"),
        ("product: {seed: [[1]]}", r"seed: one value is needed, got \['1'\]"),
        ("fixed: {seed: [1]}", r"seed: one value is needed, got \['1'\]"),
        ("product: {seed: {a: 1}}", "seed needs at least one value"),
        ("a: [", "not valid YAML"),
        ("a: 1\n---\nb: 2", "not valid YAML"),
        ("? [a]\n: b", "not valid YAML"),
        ("product: {alpha: &a [*a]}", "not valid YAML"),
        (b"\xff\xfe\x00", "cannot be read "),
        ("[" * 100_000, "not valid YAML"),
    ],
)
def test_a_file_that_is_no_grid_is_refused_by_name(tmp_path, text, words):
    with pytest.raises(BmixError, match=rf"sweep\.yaml: .*{words}"):
        read(tmp_path, text)


def test_a_file_that_is_not_there_is_refused_by_name(tmp_path):
    with pytest.raises(BmixError, match=r"none\.yaml: cannot be read"):
        read_grid_file(tmp_path / "none.yaml", DEFAULTS)


@pytest.mark.parametrize(
    "tag",
    [
        "!!python/object/apply:os.mkdir",
        "!!python/object/new:os.mkdir",
        "!!python/object:os.mkdir",
        "!unknown",
    ],
)
def test_a_hostile_tag_creates_nothing(tmp_path, tag):
    made = tmp_path / "made"
    grid = read(tmp_path, f"product:\n  alpha: {tag} ['{made}']\n")
    assert grid == [{"alpha": str(made)}]  # text, which is refused where a number is wanted
    assert os.listdir(tmp_path) == ["sweep.yaml"]


def test_one_value_is_never_two():
    with pytest.raises(BmixError, match=r"seed: one value is needed, got \['1', '2'\]"):
        read_value("seed", ["1", "2"], DEFAULTS)
