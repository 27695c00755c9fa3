import ast
import random
import re
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, cohen_kappa_score, matthews_corrcoef
from torch.optim import SGD
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torch.utils.data import DataLoader

from bmix_lite import batches
from bmix_lite.base.errors import BmixError
from bmix_lite.base.randomness import stream
from bmix_lite.base.registry import run_own
from bmix_lite.comparison.tables import group_runs
from bmix_lite.course import defects
from bmix_lite.data.datasets import load
from bmix_lite.distribution import class_probabilities, count_classes, draw_lam
from bmix_lite.metrics import score
from bmix_lite.recipe import CHOICES, Recipe
from bmix_lite.runs.folder import make_run_id, open_run
from bmix_lite.runs.reading import read_runs
from bmix_lite.schedules import lr_at
from bmix_lite.training import predict, train
from conftest import ROOT
from examples import QUICK, digest, make_images, make_net, run, run_in_folder

MIXED = [0.2, 0.3, 0.4, 0.5, 0.5, 0.5, 0.5, 0.5]  # training score on mixed images
VAL = [0.7, 0.8, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9]


@pytest.fixture
def registered(own_names):
    defects.register_defects()


def test_no_other_module_knows_the_wrong_ways():
    found = set()
    for path in (ROOT / "bmix_lite").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                names = {node.module, *(f"{node.module}.{name.name}" for name in node.names)}
            elif isinstance(node, ast.Import):
                names = {name.name for name in node.names}
            else:
                continue
            found |= {path.stem for name in names if "defects" in name.split(".")}
    assert found == set()


CORE = sorted(path.name for path in (ROOT / "bmix_lite").glob("*.py"))


@pytest.mark.parametrize("name", [*CORE, "data/imageset.py", "runs/folder.py"])
def test_the_core_does_not_even_mention_defects(name):
    assert "defect" not in (ROOT / "bmix_lite" / name).read_text()


def test_a_recipe_that_asks_for_none_uses_none(registered, monkeypatch):
    def refuse(*arguments):
        raise AssertionError("a wrong way was taken")

    names = "lower_rate_when_training_leads draw_lam_globally drop_last kappa_without_labels"
    for name in names.split():
        monkeypatch.setattr(defects, name, refuse)
    for fields in (dict(monitor="kappa"), dict(schedule="plateau", mixing="balanced", alpha=0.2)):
        run(Recipe(**QUICK, **fields), make_images(ordered=True))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("schedule", "leading_plateau"),
        ("monitor", "kappa_without_labels"),
        ("mixing", "global_lam"),
    ],
)
def test_a_mistake_is_a_choice_once_it_is_registered_and_refused_where_misspelt(
    own_names, name, value
):
    fields = {name: value, "alpha": 0.2 if name == "mixing" else 0.0}
    with pytest.raises(BmixError, match=f"{name} must be one of .*, got '{value}'"):
        Recipe(**fields)
    defects.register_defects()
    assert getattr(Recipe(**fields), name) == value
    with pytest.raises(BmixError, match=f"{name} must be one of .*; did you mean '{value}'"):
        Recipe(**fields | {name: value + "x"})


def test_the_table_of_mistakes_names_what_can_be_put_back(registered):
    written = {re.match(r"(\w+)(?:\(|=\"(\w+))", words).groups() for words in defects.MISTAKES}
    assert written == {
        ("drop_last_of_val", None),
        ("choose_on_test", None),
        ("schedule", "leading_plateau"),
        ("monitor", "kappa_without_labels"),
        ("mixing", "global_lam"),
    }
    for name, value in written:
        assert value in CHOICES[name] if value else callable(getattr(defects, name))


def test_a_sweep_can_take_the_mistakes_from_a_file(own_names):
    run_own(ROOT / "notebooks/mistakes.py")
    assert Recipe(schedule="leading_plateau").schedule == "leading_plateau"


def test_the_global_lam_is_a_method_that_no_healthy_run_is_called_by(registered):
    assert Recipe.make("balanced_mixup_global_lam").method == "balanced_mixup_global_lam"
    assert Recipe.make("balanced_mixup").method == "balanced_mixup"


def test_every_mistake_makes_another_run(registered):
    data = make_images()
    healthy = Recipe.paper("eyepacs")
    wrong = [
        replace(healthy, schedule="leading_plateau"),
        replace(healthy, monitor="kappa_without_labels"),
    ]
    wrong += [replace(healthy, mixing="global_lam")]
    changed = [defects.choose_on_test(data), defects.drop_last_of_val(data, 8)]
    changed += [defects.drop_last_of_val(changed[0], 8)]
    ids = [make_run_id(recipe, data.fingerprint) for recipe in (healthy, *wrong)]
    ids += [make_run_id(healthy, other.fingerprint) for other in changed]
    assert len(set(ids)) == 7


@pytest.mark.parametrize(
    "change", [defects.choose_on_test, lambda data: defects.drop_last_of_val(data, 8)]
)
def test_a_changed_split_is_never_taken_for_the_healthy_one(tmp_path, change):
    data, recipe = make_images(), Recipe(**QUICK)
    changed = change(data)
    assert changed.images is data.images
    for split in ("train", "test"):
        assert changed.rows(split).tolist() == data.rows(split).tolist()
    run_in_folder(tmp_path / "healthy", recipe, data)
    with pytest.raises(BmixError, match="belongs to another run: its fingerprint differ"):
        open_run(tmp_path / "healthy", recipe, changed)
    run(recipe, data, checkpoint=tmp_path / "checkpoint.pt")
    with pytest.raises(
        BmixError, match="was made with other data than this 'stripes': fingerprints differ"
    ):
        run(recipe, changed, checkpoint=tmp_path / "checkpoint.pt")
    run_in_folder(tmp_path / "changed", replace(recipe, seed=1), changed)
    with pytest.raises(
        BmixError, match="runs on split 0 were made with other images, labels or splits"
    ):
        group_runs(read_runs(tmp_path))


def scores_of(recipe, data, rows):
    """Validation scores of each epoch, worked out again from the model at that epoch."""
    model, found = make_net(recipe, data), []
    for record in train(model, data, recipe, device="cpu"):
        probabilities = predict(model, data.images, rows, device="cpu")
        expected = score(data.labels[rows], probabilities, [recipe.monitor])[recipe.monitor]
        found.append((record[f"val_{recipe.monitor}"], expected))
    return np.array(found).T


@pytest.mark.parametrize(
    ("names", "split", "size"), [("drop_last", "val", 8), ("chosen_on_test", "test", 15)]
)
def test_the_epoch_is_chosen_on_the_rows_of_the_mistake(names, split, size):
    data, recipe = make_images(), Recipe(**QUICK | {"batch_size": 8})
    changed = (
        defects.choose_on_test(data)
        if names == "chosen_on_test"
        else defects.drop_last_of_val(data, 8)
    )
    found, expected = scores_of(recipe, changed, data.rows(split)[:size])
    assert found == pytest.approx(expected, nan_ok=True)
    clean = scores_of(recipe, data, data.rows(split)[:size])[0]
    assert found.tolist() != clean.tolist()


def test_both_mistakes_of_the_rows_can_be_made_at_once():
    data, recipe = make_images(), Recipe(**QUICK | {"batch_size": 8})
    both = defects.drop_last_of_val(defects.choose_on_test(data), 8)
    found, expected = scores_of(recipe, both, data.rows("test")[:8])
    assert found == pytest.approx(expected, nan_ok=True)


def test_kappa_on_validation_is_scikit_learns_without_labels_where_that_is_asked_for(registered):
    data = make_images(held_out=(5, 0, 5))
    recipe = Recipe(**QUICK, monitor="kappa_without_labels")
    model, rows = make_net(recipe, data), data.rows("val")
    for record in train(model, data, recipe, device="cpu"):
        predicted = predict(model, data.images, rows, device="cpu").argmax(axis=1)
        expected = cohen_kappa_score(data.labels[rows], predicted, weights="quadratic")
        assert record["val_kappa_without_labels"] == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize(
    ("mixing", "scored"), [("balanced", "clean"), ("mixup", "mixed"), ("none", "mixed")]
)
def test_the_leading_plateau_lowers_the_rate_of_a_run_as_its_records_say(
    registered, mixing, scored
):
    fields = QUICK | dict(epochs=40, schedule="leading_plateau", lr=0.05, augment="none")
    recipe = Recipe(**fields, mixing=mixing, alpha=0.0 if mixing == "none" else 1.0)
    assert defects.choose_score(recipe) == scored
    _, history = run(recipe)
    train_name = {"clean": "train_", "mixed": "train_mixed_"}[scored] + "balanced_accuracy"
    names = (train_name, "val_balanced_accuracy", "lr")
    scores, val, rates = ([record[name] for record in history] for name in names)
    assert rates == defects.lower_rate_when_training_leads(scores, val, 0.05)
    if mixing == "none":
        assert rates[-1] < 0.05


def test_the_global_lam_is_scored_as_balanced_mixup(registered):
    assert defects.choose_score(Recipe(mixing="global_lam", alpha=0.2)) == "clean"


def test_balanced_mixup_is_scored_on_its_clean_training_images_by_the_monitor(registered):
    data = make_images()
    recipe = Recipe(
        **QUICK, schedule="leading_plateau", monitor="mcc", mixing="balanced", alpha=0.5
    )
    model = make_net(recipe, data)
    rows = data.rows("train")
    for record in train(model, data, recipe, device="cpu"):
        predicted = predict(model, data.images, rows, device="cpu").argmax(axis=1)
        expected = matthews_corrcoef(data.labels[rows], predicted)
        assert record["train_mcc"] == pytest.approx(expected)


@pytest.mark.parametrize("words", [*defects.DEVIATIONS.values()])
def test_a_deviation_with_a_switch_names_one_of_the_mistakes(words):
    named = re.match(r"(\w+)(?:\(|=\")", words)
    if named:
        assert any(mistake.startswith(named[0]) for mistake in defects.MISTAKES)
    else:
        assert re.match("no switch: |a column|the same column", words)


def test_the_score_that_the_leading_plateau_looks_at_is_that_of_the_mixed_batches(
    registered, monkeypatch
):
    data, recipe = (
        make_images(),
        Recipe(**QUICK | {"epochs": 1}, schedule="leading_plateau", lr=1e-9),
    )
    model, batches_seen = make_net(recipe, data), []
    whole = batches.MixedBatches.epoch
    monkeypatch.setattr(
        batches.MixedBatches, "epoch", lambda self, n: map(keep(batches_seen), whole(self, n))
    )
    outputs = []
    model.register_forward_hook(lambda module, inputs, output: outputs.append(output.detach()))
    (record,) = train(model, data, recipe, device="cpu")
    labels = np.concatenate([y.argmax(dim=1).numpy() for _, y in batches_seen])
    answers = [output.argmax(dim=1).numpy() for output in outputs if output.shape[0] > 1]
    answers = np.concatenate(answers)[: len(labels)]
    assert record["train_mixed_balanced_accuracy"] == pytest.approx(
        balanced_accuracy_score(labels, answers)
    )


def keep(kept):
    def add(item):
        kept.append(item)
        return item

    return add


def test_with_the_global_lam_the_same_seed_gives_another_run(registered):
    data, recipe = make_images(), Recipe(**QUICK, mixing="global_lam", alpha=0.5)
    state = random.getstate()
    try:
        digests = [digest(run(recipe, data)[0]) for _ in range(2)]
        random.seed(3)
        digests += [digest(run(recipe, data)[0])]
        random.seed(3)
        digests += [digest(run(recipe, data)[0])]
    finally:
        random.setstate(state)
    assert digests[0] != digests[1]
    assert digests[2] == digests[3]


@pytest.mark.parametrize(("n", "batch_size"), [(3513, 8), (16, 8), (5, 8)])
def test_dropping_the_last_batch_loses_what_a_torch_loader_loses(n, batch_size):
    kept = defects.drop_last(np.arange(n), batch_size)
    loader = DataLoader(list(range(n)), batch_size, drop_last=True)
    assert kept.tolist() == [row for batch in loader for row in batch.tolist()]


def test_a_classifier_that_fails_on_the_lost_classes_scores_higher():
    labels = np.array([0] * 8 + [1] * 7 + [2])
    predicted = np.where(labels == 2, 0, labels)
    rows = defects.drop_last(np.arange(16), 5)
    partly = score(labels[rows], np.eye(3)[predicted[rows]])
    whole = score(labels, np.eye(3)[predicted])
    assert (partly["balanced_accuracy"], whole["balanced_accuracy"]) == (1, pytest.approx(2 / 3))
    assert np.isnan(partly["recall"][2])
    assert "no image of class 2" in partly["notes"][0]


@pytest.mark.parametrize("seed", range(5))
def test_the_gated_schedule_is_torchs_plateau_asked_only_where_training_leads(seed):
    rng = np.random.default_rng(seed)
    train, val = rng.random((2, 40)).round(2)
    optimizer = SGD([next(iter(DataLoader([0.0]))).requires_grad_()], lr=0.01)
    plateau = ReduceLROnPlateau(optimizer, mode="max", factor=0.1, patience=2)
    expected = []
    for on_train, on_val in zip(train, val, strict=True):
        expected.append(optimizer.param_groups[0]["lr"])
        if on_train > on_val:
            plateau.step(on_val)
    found = defects.lower_rate_when_training_leads(train, val, 0.01)
    limit = next(
        (k for k, rate in enumerate(found) if rate < 1e-7), len(found)
    )  # torch stops at differences of 1e-8
    assert limit > 10
    assert found[:limit] == pytest.approx(expected[:limit])


def test_a_score_on_mixed_images_never_lowers_the_rate_and_a_clean_one_does():
    assert set(defects.lower_rate_when_training_leads(MIXED, VAL, 0.01)) == {0.01}
    recipe = Recipe(schedule="plateau", lr=0.01, epochs=len(VAL))
    history = [{"train_balanced_accuracy": min(0.95, value + 0.05)} for value in VAL]
    assert lr_at(recipe, len(VAL), history[:-1]) == pytest.approx(0.001)
    with pytest.raises(BmixError, match="of one length, got 8 and 7"):
        defects.lower_rate_when_training_leads(MIXED, VAL[1:], 0.01)


def test_the_cube_root_that_is_none_has_the_exponent_seven_eighths():
    counts = load("eyepacs-labels").counts()
    drawn = np.repeat(counts**-0.125, counts)  # a weight for each image
    mass = [part.sum() for part in np.split(drawn, np.cumsum(counts)[:-1])]
    assert defects.cbrt_shares(counts) == pytest.approx(np.array(mass) / sum(mass))
    assert defects.cbrt_shares(counts) == pytest.approx(class_probabilities(counts, 0.875))


def test_kappa_needs_the_grades_that_do_not_occur():
    truth, answer = np.array([3, 4, 0, 0, 4]), np.array([3, 4, 4, 0, 3])
    observed = np.mean((truth - answer) ** 2)
    expected = np.mean((truth[:, None] - answer) ** 2)
    assert score(truth, np.eye(5)[answer])["kappa"] == pytest.approx(1 - observed / expected)
    assert defects.kappa_without_labels(truth, answer) == pytest.approx(2 / 7)


def test_a_foreign_draw_changes_the_global_lambda_and_not_the_private_one():
    def draw(foreign):
        random.seed(0)
        first = defects.draw_lam_globally(0.2), draw_lam(0.2, rng=stream(0, "lam", 1))
        if foreign:
            random.random()
        return first, (defects.draw_lam_globally(0.2), draw_lam(0.2, rng=stream(0, "lam", 2)))

    (one, first), (same, second) = draw(False), draw(True)
    assert one == same
    assert first[1] == second[1]
    assert first[0] != second[0]


def test_counts_by_position_give_a_class_the_images_of_another():
    labels = np.array([0, 0, 1, 3, 3, 3])
    assert defects.counts_by_position(labels)[2] == (labels == 3).sum()
    with pytest.raises(BmixError, match=r"classes \[2\] have none"):
        count_classes(labels)


def test_the_defective_curve_is_dashed_and_both_are_what_was_given():
    figure = defects.plot_before_after(
        [1, 2], {"before": [3, 4], "<after>": [5, 6]}, title="t", x_title="x", y_title="y"
    )
    assert [list(curve.y) for curve in figure.data] == [[3, 4], [5, 6]]
    assert [curve.line.dash for curve in figure.data] == ["dash", "solid"]
    assert "<" not in figure.data[1].name
    assert figure.layout.yaxis.title.text == "y"
    assert (
        defects.plot_before_after(
            [1], {"a": [1]}, title="", x_title="", y_title="", log=True
        ).layout.yaxis.type
        == "log"
    )
