import dataclasses
import json
import math

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from bmix_lite import augment, batches, losses, metrics, models, schedules
from bmix_lite.base.errors import BmixError
from bmix_lite.batches import MixedBatches
from bmix_lite.paper import PAPER_IMAGES
from bmix_lite.preparation.decode import decode_image
from bmix_lite.recipe import CHOICES, METHODS, Recipe
from bmix_lite.sweeps.grids import read_grid_file
from conftest import ROOT, miss
from examples import make_images, run

FIELDS = {field.name: field.default for field in dataclasses.fields(Recipe)}
TEXTS, WHOLE = (
    {name for name, value in FIELDS.items() if type(value) is kind} for kind in (str, int)
)
NUMBERS = {name for name, value in FIELDS.items() if type(value) is float}


def with_alpha(name, value):
    """`alpha` only means something where a recipe mixes."""
    return {name: value} | ({"mixing": "balanced"} if name == "alpha" else {})


@pytest.mark.parametrize("name", sorted(TEXTS))
@pytest.mark.parametrize("value", [3, None, True, ["cosine"]])
def test_a_text_must_be_a_text(name, value):
    with pytest.raises(
        BmixError, match=rf"{name} must be of type str, got .* \({type(value).__name__}\)"
    ):
        Recipe(**{name: value})


@pytest.mark.parametrize("name", sorted(WHOLE))
@pytest.mark.parametrize("value", [1.5, 2.0, "three", None, True])
def test_a_whole_number_must_be_a_whole_number(name, value):
    with pytest.raises(
        BmixError, match=rf"{name} must be of type int, got {value!r} \({type(value).__name__}\)"
    ):
        Recipe(**{name: value})


@pytest.mark.parametrize("name", sorted(NUMBERS - {"q"}))
@pytest.mark.parametrize("value", ["0.5", None, True, 1j])
def test_a_number_must_be_a_number(name, value):
    with pytest.raises(BmixError, match=rf"{name} must be of type float, got"):
        Recipe(**with_alpha(name, value))


@pytest.mark.parametrize("name", sorted(NUMBERS))
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_number_must_be_finite(name, value):
    with pytest.raises(BmixError, match=rf"{name} must be finite, got {value}"):
        Recipe(**with_alpha(name, value))


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("q", -0.1, r"q must lie in \[0, 1\] or be one of progressive, effective, got -0\.1"),
        ("q", 1.01, r"q must lie in \[0, 1\] or be one of progressive, effective, got 1\.01"),
        (
            "q",
            "progresive",
            r"q must lie in .* of progressive, effective, got 'progresive'; .*'progressive'\?",
        ),
        ("q", None, r"q must be of type float \| str, got None"),
        ("q", True, r"q must be of type float \| str, got True"),
        ("alpha", -0.2, r"alpha must be a finite number >= 0, got -0\.2"),
        ("split", -1, r"split must be at least 0, got -1"),
        ("epochs", 0, r"epochs must be at least 1, got 0"),
        ("epochs", -3, r"epochs must be at least 1, got -3"),
        ("batch_size", 1, r"batch_size must be at least 2, got 1"),
        ("lr", 0, r"lr must be above 0, got 0"),
        ("lr", -0.1, r"lr must be above 0, got -0\.1"),
        ("momentum", -0.1, r"momentum must be at least 0, got -0\.1"),
        ("momentum", 1, r"momentum must be below 1, got 1"),
        ("weight_decay", -1e-4, r"weight_decay must be at least 0, got -0\.0001"),
        ("warmup_epochs", -1, r"warmup_epochs must be at least 0, got -1"),
        ("warmup_epochs", FIELDS["epochs"], r"warmup_epochs must be below epochs, got \d+"),
        ("min_lr", -1e-4, r"min_lr must be at least 0, got -0\.0001"),
        ("min_lr", 1e-4, r"min_lr must be 0 where schedule is not 'plateau', got 0\.0001"),
        ("threads", 0, r"threads must be at least 1, got 0"),
        ("seed", -1, r"seed must be at least 0, got -1"),
    ],
)
def test_a_value_out_of_range_is_refused_with_the_rule(name, value, rule):
    with pytest.raises(BmixError, match=rule):
        Recipe(**with_alpha(name, value))


@pytest.mark.parametrize("name", CHOICES)
def test_a_choice_misspelt_is_refused_with_the_nearest_one(name):
    right = next(choice for choice in CHOICES[name] if len(choice) > 3)
    with pytest.raises(
        BmixError, match=rf"{name} must be one of .*, got '{right}x'; did you mean '{right}'\?"
    ):
        Recipe(**{name: right + "x"})


@pytest.mark.parametrize("name", CHOICES)
def test_every_choice_makes_a_recipe(name):
    needs = {"loss": {"head": "cosine"}, "weight_mean": {"loss": "weighted"}}.get(name, {})
    made = [Recipe(**{name: choice}, **needs) for choice in CHOICES[name]]
    assert [getattr(recipe, name) for recipe in made] == list(CHOICES[name])


def test_the_choices_are_what_the_modules_offer():
    assert CHOICES["loss"] == tuple(losses.LOSSES)
    assert CHOICES["model"] == models.MODELS
    assert CHOICES["augment"] == tuple(augment.AUGMENTATIONS)
    assert CHOICES["mixing"] == tuple(batches.MIXINGS)
    assert CHOICES["schedule"] == tuple(schedules.SCHEDULES)
    assert set(CHOICES["monitor"]) <= set(metrics.METRICS)


def test_alpha_without_mixing_is_refused_since_it_would_do_nothing():
    with pytest.raises(BmixError, match=r"alpha must be 0 where mixing is 'none', got 0\.2"):
        Recipe(alpha=0.2)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (dict(loss="ldam_drw"), "loss='ldam_drw' needs head='cosine'.*, got head='default'"),
        (dict(mix_probability=0.5), "mix_probability must be 1 where mixing is 'none', got 0.5"),
        (dict(mixing="mixup", mix_probability=0.0), "mix_probability must lie above 0 .*got 0.0"),
        (dict(mixing="mixup", mix_probability=1.1), "mix_probability must .*at most 1, got 1.1"),
        (dict(weight_mean="images"), "only the losses weighted, class_balanced, ldam_drw have"),
        (dict(head="cosine", posthoc="tau_norm"), "'tau_norm' rescales .* at length 1 already"),
        (
            dict(loss="balanced_softmax", posthoc="logit_adjustment"),
            "needs loss to be one of .*, got 'balanced_softmax': .* corrected twice",
        ),
        (
            dict(loss="ldam_drw", head="cosine", posthoc="logit_adjustment"),
            "got 'ldam_drw': its margins stand for the correction",
        ),
        (
            dict(mixing="cmo", alpha=1.0, posthoc="logit_adjustment"),
            "needs mixing to be one of none, .*, got 'cmo': the class shares .* not known",
        ),
    ],
)
def test_fields_of_a_method_that_do_not_go_together_are_refused(fields, message):
    with pytest.raises(BmixError, match=message):
        Recipe(**fields)


def test_an_integer_may_stand_for_a_float():
    assert Recipe(q=0, lr=1) == Recipe(q=0.0, lr=1.0)
    assert type(Recipe(q=0).q) is float
    assert json.dumps(Recipe(lr=1).asdict()) == json.dumps(Recipe(lr=1.0).asdict())


def test_a_recipe_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Recipe().lr = 1.0


@pytest.mark.parametrize("method", METHODS)
def test_a_recipe_survives_json(method):
    recipe = Recipe.make(method)
    assert Recipe(**json.loads(json.dumps(recipe.asdict()))) == recipe


@pytest.mark.parametrize("method", METHODS)
def test_every_method_is_a_row_and_finds_itself(method):
    recipe = Recipe.make(method, seed=3, epochs=7)
    assert recipe == Recipe(**METHODS[method], seed=3, epochs=7)
    assert recipe.method == method


@pytest.mark.parametrize(
    ("fields", "method"),
    [
        (dict(), "instance"),
        (dict(lr=0.3, model="mobilenet_v2", split=2), "instance"),
        (dict(mixing="balanced", alpha=0.0), "balanced_mixup"),
        (dict(mixing="balanced", alpha=0.7, q=0.5), "balanced_mixup"),
        (dict(mixing="mixup", alpha=1.0, q=0.0), "mixup"),
        (dict(mixing="cutmix", alpha=0.3), "cutmix"),
        (dict(loss="ldam_drw", head="cosine", lr=0.1), "ldam_drw"),
        (dict(q="effective", loss="ldam_drw", head="cosine"), "custom"),
        (dict(head="cosine"), "instance"),
        (dict(posthoc="tau_norm"), "tau_norm"),
        (dict(q=0.0, posthoc="tau_norm"), "class_balanced"),
        (dict(mixing="balanced", alpha=0.1, posthoc="crt"), "balanced_mixup"),
        (dict(mixing="balanced", alpha=0.1, loss="balanced_softmax"), "balanced_mixup_softmax"),
        (dict(q=0.3), "custom"),
        (dict(q=0.0, loss="focal"), "custom"),
        (dict(mixing="balanced", alpha=0.1, loss="class_balanced"), "custom"),
    ],
)
def test_a_recipe_belongs_to_the_method_that_its_stream_mixing_and_loss_define(fields, method):
    assert Recipe(**fields).method == method


def test_make_sets_other_fields_and_keeps_the_rest_where_none_is_given():
    recipe = Recipe.make("balanced_mixup", alpha=0.1, q=None, lr=None, epochs=5)
    assert recipe == Recipe(mixing="balanced", alpha=0.1, epochs=5)


@pytest.mark.parametrize(
    ("wrong", "right"), [("alhpa", "alpha"), ("Alpha", "alpha"), ("batchsize", "batch_size")]
)
def test_a_misspelt_field_is_refused_with_the_nearest_one(wrong, right):
    with pytest.raises(
        BmixError, match=rf"'{wrong}' is not a field of Recipe; did you mean '{right}'\?"
    ):
        Recipe.make("balanced_mixup", **{wrong: 0.5})


def test_a_field_like_no_other_is_refused_without_a_hint():
    with pytest.raises(BmixError, match=r"'zzz' is not a field of Recipe$"):
        Recipe.make("instance", zzz=1)


@pytest.mark.parametrize(
    ("row", "field"), [(dict(los="focal"), "los"), (dict(q=0.0, alfa=0.2), "alfa")]
)
def test_a_misspelt_field_in_a_row_of_ones_own_is_refused(row, field, monkeypatch):
    monkeypatch.setitem(METHODS, "mine", row)
    with pytest.raises(
        BmixError, match=rf"'{field}' is not a field of Recipe; did you mean '(loss|alpha)'\?"
    ):
        Recipe.make("mine")


def test_a_row_of_ones_own_may_set_any_field_and_finds_itself(monkeypatch):
    monkeypatch.setitem(METHODS, "mine", dict(loss="focal", lr=0.1))
    assert Recipe.make("mine").method == "mine"
    assert Recipe.make("focal").method == "focal"
    with pytest.raises(BmixError, match=r"method 'mine' means .*'lr': 0\.1.*, got"):
        Recipe.make("mine", lr=0.2)


def test_an_unknown_method_is_refused_with_the_nearest_one():
    with pytest.raises(
        BmixError,
        match=r"method must be one of instance, .*got 'balanced_mix_up'.*'balanced_mixup'",
    ):
        Recipe.make("balanced_mix_up")


@pytest.mark.parametrize(
    ("method", "fields"),
    [
        ("instance", dict(q=0.5)),
        ("mixup", dict(mixing="balanced")),
        ("focal", dict(loss="cross_entropy")),
    ],
)
def test_a_field_that_contradicts_the_method_is_refused(method, fields):
    name, value = next(iter(fields.items()))
    with pytest.raises(BmixError, match=rf"method '{method}' means .*, got .*'{name}': {value!r}"):
        Recipe.make(method, **fields)


def test_the_papers_recipe_is_what_the_authors_logged():
    eyes = Recipe.paper("data/eyepacs")
    expected = dict(
        mixing="balanced",
        alpha=0.2,
        base_draw="shuffle",
        short_batch="drop",
        model="mobilenet_v2",
        weights="imagenet",
        augment="paper",
        epochs=30,
        batch_size=8,
        optimizer="sgd",
        lr=0.01,
        momentum=0.0,
        weight_decay=0.0,
        schedule="val_plateau",
        min_lr=1e-4,
        monitor="kappa",
        precision="fp32",
    )
    assert eyes.asdict() == Recipe().asdict() | expected | dict(dataset="data/eyepacs")
    assert eyes.method == "balanced_mixup"
    assert Recipe.paper("data/hyper_kvasir").monitor == "mcc"
    focal = Recipe.paper("data/eyepacs", "focal", seed=3, weights="")
    drawn = dict(base_draw="replacement", short_batch="keep")
    assert focal.asdict() == eyes.asdict() | drawn | dict(
        mixing="none", alpha=0.0, loss="focal", seed=3, weights=""
    )
    kept = Recipe.paper("data/eyepacs", short_batch="keep", schedule="plateau")
    assert (kept.short_batch, kept.schedule) == ("keep", "plateau")


@pytest.mark.parametrize("method", ["balanced_mixup", "instance"])
def test_the_papers_recipe_trains(method):
    data = make_images((20, 9, 6), side=32, channels=3)
    fields = dict(model="small_cnn", weights="", epochs=2)
    recipe = Recipe.paper("data/kvasir", method, **fields)
    _, history = run(recipe, data)
    assert len(history) == 2
    assert all(math.isfinite(record["val_mcc"]) for record in history)
    seen = [len(labels) for _, labels in MixedBatches(data, recipe, "cpu").epoch(1)]
    assert seen == ([8] * 4 if method == "balanced_mixup" else [8] * 4 + [3])


def test_images_of_the_paper_are_stretched_to_a_square_so_that_nothing_is_cut_off(tmp_path):
    picture = np.zeros((512, 1024, 3), np.uint8)
    picture[:, :128, 0] = 255  # the left eighth is red: a central crop would lose it
    Image.fromarray(picture).save(tmp_path / "a.png")
    found = decode_image(tmp_path / "a.png", PAPER_IMAGES["size"], fit=PAPER_IMAGES["fit"])
    assert found.shape == (512, 512, 3)
    assert found[:, :60, 0].min() == 255
    assert found[:, 68:].max() == 0


def test_the_papers_recipe_agrees_with_the_published_runs():
    table = ROOT.parent / "shared/reference/published/published_runs.csv"
    if not table.is_file():
        miss("the published runs are not on this machine")
    runs = pd.read_csv(table)
    for dataset in ("endo", "eyepacs"):
        logged = runs[runs["dataset"] == dataset].mode().iloc[0]
        ours = Recipe.paper({"endo": "data/hyper_kvasir"}.get(dataset, f"data/{dataset}"))
        assert (logged["monitor"], logged["optimizer"]) == (ours.monitor, ours.optimizer)
        assert (int(logged["batch_size"]), float(logged["lr"]), float(logged["wd"])) == (
            8,
            ours.lr,
            ours.weight_decay,
        )
        assert int(logged["n_epochs_max"]) == ours.epochs
        assert int(logged["patience"]) == schedules.PLATEAU_PATIENCE
    ended = runs[runs["n_epochs_run"] < runs["n_epochs_max"]]
    assert (len(ended), len(runs), set(ended["final_lr"])) == (75, 114, {1e-4})


def test_the_grid_of_the_papers_runs_is_the_papers_recipe():
    rows = read_grid_file(ROOT / "notebooks/paper.yaml", {})
    assert {row["method"] for row in rows} >= {
        "instance",
        "class_balanced",
        "mixup",
        "balanced_mixup",
    }
    for row in rows:
        fields = {name: value for name, value in row.items() if name not in ("method", "dataset")}
        made = Recipe.make(**row)
        fields = {"alpha": made.alpha, "split": made.split}
        assert made == Recipe.paper(row["dataset"], row["method"], **fields)
    alphas = [row["alpha"] for row in rows if row["method"] == "mixup"]
    assert set(alphas) == {0.2, 0.4}  # the published ones


@pytest.mark.parametrize(
    ("recipe", "call"),
    [
        (Recipe(), "Recipe.make('instance')"),
        (Recipe.make("balanced_mixup", alpha=0.2), "Recipe.make('balanced_mixup')"),
        (
            Recipe.make("balanced_mixup", alpha=0.1, seed=3),
            "Recipe.make('balanced_mixup', alpha=0.1, seed=3)",
        ),
        (Recipe(q=0.3, dataset="data/clinic"), "Recipe(dataset='data/clinic', q=0.3)"),
    ],
)
def test_a_recipe_is_shown_as_the_short_call_that_makes_it(recipe, call):
    assert repr(recipe) == call
    assert eval(call) == recipe
