"""Every row of METHODS trains, and so does a method of one's own."""

import inspect
import re
import textwrap
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch

from bmix_lite import losses
from bmix_lite.base.errors import BmixError
from bmix_lite.batches import MIXINGS, MixedBatches, register_mixing
from bmix_lite.distribution import effective_probabilities, register_sampling
from bmix_lite.losses import make_loss, register_loss
from bmix_lite.metrics import VALUES, register_metric, score
from bmix_lite.mixing import balanced_mixup, cutmix, draw_lam, mixup, paste_box, remix
from bmix_lite.recipe import CHOICES, METHODS, Recipe
from bmix_lite.runs.folder import make_run_id
from bmix_lite.schedules import SCHEDULES, lr_at, register_schedule
from bmix_lite.sweeps.grids import read_grid_file
from bmix_lite.sweeps.parameters import read_parameters
from bmix_lite.sweeps.progress import read_score
from bmix_lite.training import train
from examples import (
    COUNTS,
    QUICK,
    digest,
    make_images,
    make_net,
    run,
    run_in_folder,
    without_seconds,
)

ROWS = tuple(METHODS)
CASES = [(method, lam_per) for method in ROWS for lam_per in ("batch", "image")]
CASES = [
    case for case in CASES if case[1] == "batch" or "mixing" in METHODS[case[0]]
]  # the others draw no lam


@pytest.fixture(scope="module")
def data():
    return make_images()


def stop_and_go_on(recipe, data, checkpoint):
    """(model, history) of a run stopped after its first epoch and resumed by another network."""
    first = train(make_net(recipe, data), data, recipe, checkpoint=checkpoint, device="cpu")
    next(first)
    first.close()
    return run(recipe, data, make_net(replace(recipe, seed=99), data), checkpoint=checkpoint)


@pytest.mark.parametrize(("method", "lam_per"), CASES)
def test_every_method_trains_repeatably_and_in_two_parts_as_in_one(data, tmp_path, method, lam_per):
    recipe = Recipe.make(method, epochs=2, batch_size=16, lam_per=lam_per)
    model, history = run(recipe, data)
    assert digest(model) != digest(make_net(recipe, data))
    assert all(np.isfinite(record["train_loss"]) for record in history)
    again, _ = run(recipe, data)
    resumed, records = stop_and_go_on(recipe, data, tmp_path / "checkpoint.pt")
    assert digest(again) == digest(resumed) == digest(model)
    assert without_seconds(records) == without_seconds(history)


def test_every_method_is_another_training_but_those_that_are_known_to_coincide(data):
    trained = {
        method: digest(run(Recipe.make(method, epochs=2, batch_size=16), data)[0])
        for method in ROWS
    }
    assert trained.pop("balanced_softmax") == trained["logit_adjusted"]
    # shares that differ by a thousandth draw the same images: 40 is small for beta = 0.9999
    assert trained.pop("effective") == trained["class_balanced"]
    # after two epochs no tau is better than 0
    assert trained.pop("tau_norm") == trained["instance"]
    assert len(set(trained.values())) == len(trained)


def test_the_grid_of_make_compare_holds_every_method_and_three_alphas_on_ten_splits(root):
    parameters, _ = read_parameters(root / "notebooks/05_train.ipynb")
    grid = read_grid_file(root / "notebooks/methods.yaml", parameters)
    rows = [(run["method"], run.get("alpha")) for run in grid if run["split"] == 0]
    assert list(dict(rows)) == [
        method for method in ROWS if method != "logit_adjusted"
    ]  # it is balanced_softmax
    assert [alpha for method, alpha in rows if method == "balanced_mixup"] == [0.1, 0.2, 0.3]
    assert sorted({(run["split"], run["seed"]) for run in grid}) == [(n, 0) for n in range(10)]
    assert len(grid) == 10 * len(rows) == 10 * (len(ROWS) - 1 + 2)


def test_the_grid_of_make_tuned_gives_every_method_the_same_rates_and_splits(root):
    parameters, _ = read_parameters(root / "notebooks/05_train.ipynb")
    grid = read_grid_file(root / "notebooks/tuned.yaml", parameters)
    methods = [method for method in ROWS if method != "logit_adjusted"]
    found = {
        method: [(run["lr"], run["split"], run["seed"]) for run in grid if run["method"] == method]
        for method in methods
    }
    assert len(grid) == sum(map(len, found.values()))
    assert {tuple(tried) for tried in found.values()} == {
        tuple(product((0.003, 0.01, 0.03), range(10), [0]))
    }


def record_calls(monkeypatch, name):
    from bmix_lite import batches

    calls, function = [], getattr(batches, name)
    monkeypatch.setattr(
        batches, name, lambda *arguments: calls.append(arguments) or function(*arguments)
    )
    return calls


def batches_of(recipe, data, epoch=1):
    return list(MixedBatches(data, recipe, torch.device("cpu")).epoch(epoch))


@pytest.mark.parametrize("lam_per", ["batch", "image"])
def test_cutmix_draws_its_boxes_from_a_stream_of_its_own_and_keeps_mixups_lam_and_order(
    data, monkeypatch, lam_per
):
    recipe = Recipe(mixing="cutmix", alpha=1.0, lam_per=lam_per, batch_size=61, augment="none")
    cuts, mixes = record_calls(monkeypatch, "cutmix"), record_calls(monkeypatch, "mixup")
    (x, y), *_ = batches_of(recipe, data)
    batches_of(replace(recipe, mixing="mixup"), data)
    assert cuts[0][2].equal(mixes[0][2])
    boxes = np.asarray(cuts[0][1])
    assert boxes.shape == ((4,) if lam_per == "batch" else (4, 61))
    areas = (boxes[1] - boxes[0]) * (boxes[3] - boxes[2]) / 64
    assert np.all(
        areas <= np.asarray(mixes[0][1]) + 0.2
    )  # cut off at the edges, else lam but for whole pixels
    expected = cutmix(*cuts[0])
    assert (x.equal(expected[0]), y.equal(expected[1])) == (True, True)
    assert not np.array_equal(boxes, record_boxes(recipe, data, monkeypatch, epoch=2))


def record_boxes(recipe, data, monkeypatch, epoch):
    calls = record_calls(monkeypatch, "cutmix")
    batches_of(recipe, data, epoch)
    return np.asarray(calls[0][1])


@pytest.mark.parametrize("lam_per", ["batch", "image"])
def test_cmo_pastes_boxes_of_class_balanced_images_on_those_of_the_base_stream(
    data, monkeypatch, lam_per
):
    recipe = Recipe(mixing="cmo", alpha=1.0, lam_per=lam_per, batch_size=61, augment="none")
    pastes, mixes = record_calls(monkeypatch, "paste_box"), record_calls(monkeypatch, "mixup")
    cuts = record_calls(monkeypatch, "cutmix")
    blends = record_calls(monkeypatch, "balanced_mixup")
    (x, y), *_ = batches_of(recipe, data)
    batches_of(replace(recipe, mixing="mixup"), data)
    batches_of(replace(recipe, mixing="balanced"), data)
    batches_of(replace(recipe, mixing="cutmix"), data)
    (base, balanced, box), *_ = pastes
    assert base[0].equal(mixes[0][0][0])  # the base stream of every method
    assert balanced[0].equal(blends[0][1][0])  # the balanced one of Balanced-MixUp
    assert np.array_equal(box, cuts[0][1])  # the boxes of CutMix
    expected = paste_box(base, balanced, box)
    assert (x.equal(expected[0]), y.equal(expected[1])) == (True, True)


@pytest.mark.parametrize(
    ("mixing", "function"),
    [("balanced", "balanced_mixup"), ("cutmix", "cutmix"), ("cmo", "paste_box")],
)
def test_batches_are_mixed_with_the_probability_of_the_recipe_and_else_left_as_they_are(
    data, monkeypatch, mixing, function
):
    calls = record_calls(monkeypatch, function)
    plain = Recipe(batch_size=2, seed=1)
    some = replace(plain, mixing=mixing, alpha=1.0, mix_probability=0.4)
    mixed = 0
    for epoch in range(1, 11):
        pairs = zip(batches_of(some, data, epoch), batches_of(plain, data, epoch), strict=True)
        given = [call[0][0] for call in calls[mixed:]]  # base images of the mixed batches
        left = [(x, base) for (x, _), (base, _) in pairs if not any(base.equal(g) for g in given)]
        assert all(x.equal(base) for x, base in left)
        assert len(left) == 30 - len(given)
        mixed = len(calls)
    assert abs(mixed - 0.4 * 300) < 4 * np.sqrt(0.4 * 0.6 * 300)
    batches_of(replace(some, mix_probability=1.0), data)
    assert len(calls) == mixed + 30


@pytest.mark.parametrize(("probability", "steps"), [(1.0, 15), (0.5, 20)])
def test_where_images_are_the_budget_a_step_counts_the_images_that_it_reads(
    data, probability, steps
):
    recipe = Recipe(
        mixing="cmo", alpha=1.0, mix_probability=probability, budget="images", batch_size=2
    )
    assert len(batches_of(recipe, data)) == steps  # of 30


def test_remix_is_told_the_training_counts(data, monkeypatch):
    calls = record_calls(monkeypatch, "remix")
    (_, y), *_ = batches_of(Recipe(mixing="remix", alpha=1.0, batch_size=61, lam_per="image"), data)
    assert list(calls[0][3]) == list(COUNTS)
    assert y.equal(remix(*calls[0])[1])
    mixed = batches_of(Recipe(mixing="mixup", alpha=1.0, batch_size=61, lam_per="image"), data)[0][
        1
    ]
    assert y[:, 2].sum() > mixed[:, 2].sum()  # the rarest class gains


def test_training_asks_for_the_loss_of_each_epoch(data, monkeypatch):
    from bmix_lite import epochs

    asked = []
    monkeypatch.setattr(
        epochs,
        "make_loss",
        lambda *a, **epochs: asked.append(epochs) or make_loss("cross_entropy", COUNTS),
    )
    run(Recipe(**QUICK), data)
    when = {"epochs": 3, "weight_mean": "classes"}
    assert asked == [{"epoch": epoch} | when for epoch in (1, 2, 3)]


# a method of one's own


def how_to(register=losses.register_loss):
    """The example in a docstring, as a reader would paste it."""
    text = inspect.getdoc(register)  # without the indentation, which __doc__ has up to Python 3.12
    return textwrap.dedent(re.search(r":\n\n(    .*?)\n\n\w", text, re.S)[1])


def test_the_example_of_the_docstring_runs_and_trains_with_checkpoints(own_names, data, tmp_path):
    names = dict(
        register_loss=register_loss,
        register_sampling=register_sampling,
        METHODS=METHODS,
        Recipe=Recipe,
    )
    assert len(how_to().splitlines()) <= 12
    exec(how_to(), names)
    recipe = replace(names["recipe"], epochs=2, batch_size=16)
    assert recipe.method == "brier_cube_root"
    model, history = run(recipe, data)
    assert digest(model) != digest(run(replace(recipe, loss="cross_entropy"), data)[0])
    assert digest(model) != digest(run(replace(recipe, q=1.0), data)[0])
    resumed, records = stop_and_go_on(recipe, data, tmp_path / "checkpoint.pt")
    assert digest(resumed) == digest(model)
    assert without_seconds(records) == without_seconds(history)
    assert "brier_cube_root-" in make_run_id(recipe, data.fingerprint)


def test_a_checkpoint_knows_a_loss_of_ones_own_by_its_name_alone(own_names, data, tmp_path):
    def plain(logits, targets):
        return losses.soft_cross_entropy(logits, targets)

    register_loss("mine", plain)
    register_loss("other", plain)
    recipe = Recipe(**QUICK, loss="mine")
    model, _ = run(recipe, data, checkpoint=tmp_path / "checkpoint.pt")
    assert digest(model) == digest(run(Recipe(**QUICK), data)[0])
    with pytest.raises(BmixError, match="loss: 'mine' there, 'other' here"):
        run(replace(recipe, loss="other"), data, checkpoint=tmp_path / "checkpoint.pt")
    ids = {make_run_id(replace(recipe, loss=name), data.fingerprint) for name in ("mine", "other")}
    assert len(ids) == 2
    before = make_run_id(recipe, data.fingerprint)
    register_loss("mine", losses.focal_loss)
    assert make_run_id(recipe, data.fingerprint) == before


def test_a_base_stream_of_ones_own_feeds_the_training(own_names, data):
    register_sampling(
        "rare_only", lambda counts, epoch, epochs: [0, 0, 1] if epoch == 2 else counts
    )
    recipe = Recipe(q="rare_only", epochs=3, batch_size=16)
    shares = [
        torch.cat([y for _, y in batches_of(recipe, data, epoch)]).mean(dim=0) for epoch in (1, 2)
    ]
    assert shares[1].tolist() == [0, 0, 1]
    assert shares[0][0] > 0.4
    assert (
        effective_probabilities(COUNTS)[2] > 0.3
    )  # for comparison: the built-in stream is nearly balanced here


def test_the_schedule_of_the_docstring_runs_and_goes_on_from_a_checkpoint(
    own_names, data, tmp_path
):
    names = dict(register_schedule=register_schedule, Recipe=Recipe)
    exec(how_to(register_schedule), names)
    recipe = replace(names["recipe"], epochs=12, batch_size=16, warmup_epochs=1, lr=0.02)
    model, history = run(recipe, data)
    assert [record["lr"] for record in history] == [0.01, *[0.02] * 9, *[0.01] * 2]
    assert set(history[0]) == set(run(replace(recipe, schedule="constant", epochs=2), data)[1][0])
    resumed, records = stop_and_go_on(recipe, data, tmp_path / "checkpoint.pt")
    assert digest(resumed) == digest(model)
    assert without_seconds(records) == without_seconds(history)


def test_a_schedule_is_given_the_records_of_all_epochs_before_and_the_training_score_it_asks_for(
    own_names, data
):
    seen = []

    def watch(recipe, epoch, history):
        seen.append((epoch, len(history)))
        return recipe.lr

    asked = {"plain": None, "clean": "clean", "mixed": "mixed"}
    asked["by_recipe"] = lambda recipe: "mixed" if recipe.alpha == 0 else "clean"
    for name, kind in asked.items():
        register_schedule(f"watch_{name}", watch, kind)
    records = {
        name: run(Recipe(**QUICK, schedule=f"watch_{name}", monitor="mcc"), data)[1][0]
        for name in asked
    }
    assert seen == [(1, 0), (2, 1), (3, 2)] * 4
    added = {name: set(record) - set(records["plain"]) for name, record in records.items()}
    assert added["clean"] == {"train_balanced_accuracy", "train_mcc"}
    assert added["mixed"] == added["by_recipe"] == {"train_mixed_mcc"}


def test_a_schedule_ends_the_training_below_min_lr_but_never_before_its_first_epoch(
    own_names, data
):
    register_schedule("falls", lambda recipe, epoch, history: recipe.lr / 4**epoch)
    recipe = Recipe(**QUICK | {"epochs": 9}, schedule="falls", lr=0.1, min_lr=1e-3)
    assert [record["lr"] for record in run(recipe, data)[1]] == [
        0.1 / 4**epoch for epoch in (1, 2, 3)
    ]
    assert len(run(replace(recipe, min_lr=0.09), data)[1]) == 1


def test_the_mixing_of_the_docstring_runs_and_goes_on_from_a_checkpoint(own_names, data, tmp_path):
    names = dict(
        register_mixing=register_mixing,
        Recipe=Recipe,
        draw_lam=draw_lam,
        balanced_mixup=balanced_mixup,
    )
    exec(how_to(register_mixing), names)
    recipe = replace(names["recipe"], epochs=2, batch_size=16)
    model, history = run(recipe, data)
    assert digest(model) != digest(run(replace(recipe, mixing="balanced"), data)[0])
    resumed, records = stop_and_go_on(recipe, data, tmp_path / "checkpoint.pt")
    assert digest(resumed) == digest(model)
    assert without_seconds(records) == without_seconds(history)


@pytest.mark.parametrize("lam_per", ["batch", "image"])
def test_a_mixing_of_ones_own_with_the_lines_of_a_built_in_one_is_that_one(
    own_names, data, lam_per
):
    def mine(batch, draws):
        lam = draw_lam(draws.alpha, draws.size, rng=draws.lam_rng)
        return balanced_mixup(batch, draws.balanced_batch(), lam)

    register_mixing("mine", mine, reads_balanced=True)
    register_mixing(
        "inside", lambda batch, draws: mixup(batch, draws.symmetric_lam(), draws.order())
    )
    fields = dict(alpha=0.4, lam_per=lam_per, budget="images")
    for own, built_in in (("mine", "balanced"), ("inside", "mixup")):
        expected = batches_of(Recipe(**QUICK, **fields, mixing=built_in), data)
        found = batches_of(Recipe(**QUICK, **fields, mixing=own), data)
        assert len(found) == len(expected)
        assert all(
            torch.equal(a, b)
            for pair in zip(found, expected, strict=True)
            for a, b in zip(*pair, strict=True)
        )


@pytest.mark.parametrize(
    "result", [None, 3.0, lambda x, y: x, lambda x, y: (x, y[:2]), lambda x, y: (x, y, x)]
)
def test_a_mixing_of_ones_own_that_returns_no_batch_is_refused_by_name(own_names, data, result):
    register_mixing("mine", lambda batch, draws: result(*batch) if callable(result) else result)
    with pytest.raises(BmixError, match=r"the mixing 'mine' must return \(x, y\) of shapes"):
        batches_of(Recipe(**QUICK, mixing="mine", alpha=0.2), data)


def test_the_monitor_of_the_docstring_chooses_the_epoch_and_is_in_the_metrics_of_the_run(
    own_names, data, tmp_path
):
    names = dict(register_metric=register_metric, Recipe=Recipe)
    exec(how_to(register_metric), names)
    recipe = replace(names["recipe"], epochs=3, batch_size=16)
    metrics = run_in_folder(tmp_path / "run", recipe, data)
    _, history = run(recipe, data)
    best = max(record["val_worst_recall"] for record in history)
    assert (
        metrics["val"]["worst_recall"]
        == min(metrics["val"]["recall"])
        == best
        == read_score(tmp_path / "run")
    )
    assert set(score([0, 1], np.eye(2))) == set(metrics["test"]) - {"worst_recall"}


def test_a_metric_of_ones_own_may_be_undefined_and_is_refused_where_it_returns_no_number(own_names):
    register_metric("mine", lambda labels, predicted, probabilities: float("nan"))
    found = score([0, 1], np.eye(2), ["mine"])
    assert np.isnan(found["mine"])
    assert found["notes"] == ["mine is undefined: its function returned NaN"]
    register_metric("mine", lambda labels, predicted, probabilities: None)
    with pytest.raises(BmixError, match="the metric 'mine' must return a number, got None"):
        score([0, 1], np.eye(2), ["mine"])


@pytest.mark.parametrize("rate", [None, -0.1, float("nan"), "slow"])
def test_a_schedule_of_ones_own_that_returns_no_rate_is_refused_by_name(own_names, rate):
    register_schedule("mine", lambda recipe, epoch, history: rate)
    with pytest.raises(
        BmixError, match=f"the schedule 'mine' must return a rate of 0 or more, got {rate!r}"
    ):
        lr_at(Recipe(schedule="mine"), 1, [])


@pytest.mark.parametrize(
    ("register", "arguments", "message"),
    [
        (
            register_schedule,
            ("cosine", abs),
            "'cosine' is a schedule of bmix_lite: give yours another name",
        ),
        (
            register_schedule,
            ("my own", abs),
            "the name of a schedule must be one word, got 'my own'",
        ),
        (register_schedule, ("mine", 0.1), "the schedule 'mine' must be a function, got 0.1"),
        (
            register_schedule,
            ("mine", abs, "train"),
            "train_score must be one of clean, mixed, got 'train'",
        ),
        (
            register_mixing,
            ("balanced", abs),
            "'balanced' is a mixing of bmix_lite: give yours another name",
        ),
        (
            register_mixing,
            ("none", abs),
            "'none' is a mixing of bmix_lite: give yours another name",
        ),
        (register_mixing, ("mine", 0.1), "the mixing 'mine' must be a function, got 0.1"),
        (register_metric, ("ece", abs), "'ece' is a metric of bmix_lite: give yours another name"),
        (register_metric, ("mine", 0.1), "the metric 'mine' must be a function, got 0.1"),
    ],
)
def test_a_schedule_mixing_or_metric_of_ones_own_needs_a_new_name_and_a_function(
    own_names, register, arguments, message
):
    before = dict(MIXINGS), dict(SCHEDULES), dict(VALUES), dict(CHOICES)
    with pytest.raises(BmixError, match=message):
        register(*arguments)
    assert before == (MIXINGS, SCHEDULES, VALUES, CHOICES)
