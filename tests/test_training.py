import itertools
import os
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn import metrics as sk
from torch import nn

import bmix_lite
from bmix_lite import schedules
from bmix_lite.base.errors import BmixError
from bmix_lite.base.randomness import stream
from bmix_lite.batches import MixedBatches
from bmix_lite.checkpoints import load_checkpoint, save_checkpoint
from bmix_lite.data.datasets import load
from bmix_lite.data.imageset import ImageSet
from bmix_lite.distribution import draw_lam
from bmix_lite.models import make_model, seeded
from bmix_lite.recipe import Recipe
from bmix_lite.samplers import IndexStream, balanced_stream
from bmix_lite.schedules import lr_at
from bmix_lite.training import predict, train
from examples import (
    COUNTS,
    QUICK,
    digest,
    file_contents,
    make_images,
    make_net,
    run,
    run_in_folder,
    without_seconds,
)

pytestmark = pytest.mark.filterwarnings("error", "ignore::pytest.PytestUnraisableExceptionWarning")

BALANCED = dict(mixing="balanced", alpha=0.2)
STEPS = 4  # 61 training images in batches of 16


@pytest.fixture(scope="module")
def data():
    return make_images()


def make_linear(seed=0, classes=3):
    with seeded(seed):
        return nn.Sequential(nn.Flatten(), nn.Linear(64, classes))


def train_plainly(data, recipe):
    """The method in torch alone; q=1, no augmentation, SGD. Returns (model, losses of epochs)."""
    rows, model, losses = data.rows("train"), make_linear(), []
    labels = data.labels[rows]
    images = torch.from_numpy(data.images[rows]).permute(0, 3, 1, 2).float() / 255
    one_hot = torch.eye(3)[labels]
    base = IndexStream(labels, 1, seed=recipe.seed, purpose="base")
    balanced = balanced_stream(labels, seed=recipe.seed, draw=recipe.balanced_draw)
    settings = dict(momentum=recipe.momentum, weight_decay=recipe.weight_decay, nesterov=True)
    optimizer = torch.optim.SGD(model.parameters(), lr=1, **settings)
    for epoch in range(1, recipe.epochs + 1):
        optimizer.param_groups[0]["lr"] = lr_at(recipe, epoch, [])
        lams, orders, total = (
            stream(recipe.seed, "lam", epoch),
            stream(recipe.seed, "mixup order", epoch),
            0,
        )
        for one, other in zip(base.batches(epoch, 16), balanced.batches(epoch, 16), strict=True):
            size = len(one) if recipe.lam_per == "image" else None
            if recipe.mixing == "mixup":
                lam, other = (
                    lams.beta(recipe.alpha, recipe.alpha, size),
                    one[orders.permutation(len(one))],
                )
            else:
                lam = draw_lam(recipe.alpha, size, rng=lams)
            lam = torch.as_tensor(lam).float().reshape(-1, 1)
            x = (1 - lam[..., None, None]) * images[one] + lam[..., None, None] * images[other]
            y = (1 - lam) * one_hot[one] + lam * one_hot[other]
            loss = -(y * model(x).log_softmax(dim=1)).sum() / len(one)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(one)
        losses.append(total / len(rows))
    return model, losses


@pytest.mark.parametrize(
    "fields",
    [
        dict(),
        dict(mixing="balanced", alpha=0.5),
        dict(mixing="balanced", alpha=0.5, lam_per="image"),
        dict(mixing="balanced", alpha=0.5, balanced_draw="deck"),
        dict(mixing="mixup", alpha=0.5),
        dict(mixing="mixup", alpha=0.5, lam_per="image"),
        dict(
            mixing="balanced",
            alpha=0.5,
            schedule="constant",
            warmup_epochs=1,
            weight_decay=0.01,
            seed=7,
        ),
    ],
)
def test_training_is_the_method_written_out_in_plain_torch(data, tmp_path, fields):
    recipe = Recipe(**QUICK, lr=0.05, augment="none", **fields)
    checkpoint = tmp_path / "checkpoint.pt"
    _, history = run(recipe, data, make_linear(), checkpoint=checkpoint)
    theirs, losses = train_plainly(data, recipe)
    assert [record["train_loss"] for record in history] == pytest.approx(losses, rel=1e-5)
    for name, weights in load_checkpoint(checkpoint)["model"].items():
        torch.testing.assert_close(weights, theirs.state_dict()[name], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("lam_per", ["batch", "image"])
@pytest.mark.parametrize("mixing", ["balanced", "mixup"])
def test_alpha_zero_is_the_plain_run_bit_for_bit(data, mixing, lam_per):
    plain, plain_history = run(Recipe(**QUICK), data)
    model, history = run(Recipe(**QUICK, mixing=mixing, alpha=0.0, lam_per=lam_per), data)
    assert digest(model) == digest(plain)
    assert without_seconds(history) == without_seconds(plain_history)


class Recording(np.ndarray):
    """Images that remember which rows were asked for."""

    def __array_finalize__(self, source):
        self.asked = []

    def __getitem__(self, key):
        if isinstance(key, np.ndarray):
            self.asked.append(key.tolist())
        return super().__getitem__(key).view(np.ndarray)


def record_batches(data, recipe, model=None):
    """Rows of all training batches in the order asked for: (base batches, balanced batches)."""
    data = replace(data, images=data.images.view(Recording))
    run(recipe, data, model)
    train_rows = set(data.rows("train").tolist())
    # one image checks the model's outputs, all training images are the plateau's clean pass
    batches = [
        rows for rows in data.images.asked if set(rows) <= train_rows and 1 < len(rows) <= 17
    ]
    mixes = recipe.mixing == "balanced" and recipe.alpha > 0
    return (batches[::2], batches[1::2]) if mixes else (batches, [])


@pytest.mark.parametrize(
    "fields",
    [
        BALANCED,
        dict(mixing="balanced", alpha=0.9, lam_per="image"),
        dict(mixing="mixup", alpha=0.2),
        dict(loss="focal"),
        dict(loss="class_balanced"),
        dict(augment="none"),
        dict(optimizer="adamw", lr=0.3),
        dict(schedule="plateau", monitor="mcc"),
    ],
)
def test_the_order_of_images_depends_on_the_seed_alone(data, fields):
    base, balanced = record_batches(data, Recipe(**QUICK))
    assert balanced == []
    assert len(base) == 3 * STEPS
    assert record_batches(data, Recipe(**QUICK, **fields))[0] == base
    assert record_batches(data, Recipe(**QUICK, **fields, seed=1))[0] != base


def test_the_order_of_images_does_not_depend_on_model_or_validation_images(data):
    base, balanced = record_batches(data, Recipe(**QUICK, **BALANCED))
    assert record_batches(data, Recipe(**QUICK, **BALANCED), make_linear()) == (base, balanced)
    fewer = make_images(held_out=(2, 2, 2))
    assert record_batches(fewer, Recipe(**QUICK, **BALANCED)) == (base, balanced)


def test_the_balanced_order_does_not_depend_on_alpha_or_the_base_stream(data):
    balanced = [
        record_batches(data, Recipe(**QUICK, mixing="balanced", alpha=alpha, q=q))[1]
        for alpha, q in ((0.1, 1.0), (0.9, 1.0), (0.1, 0.5))
    ]
    assert balanced[0] == balanced[1] == balanced[2]
    assert len(balanced[0]) == 3 * STEPS


def test_an_epoch_shows_each_training_image_once_and_held_out_images_never(data):
    base, balanced = record_batches(data, Recipe(**QUICK, **BALANCED))
    for epoch in range(3):
        shown = itertools.chain(*base[epoch * STEPS : (epoch + 1) * STEPS])
        assert sorted(shown) == data.rows("train").tolist()
    assert set(itertools.chain(*balanced)) <= set(data.rows("train").tolist())


def last_state(recipe, data, folder):
    """Weights after the last epoch, whichever epoch was best on validation."""
    run(recipe, data, checkpoint=folder / "checkpoint.pt")
    return load_checkpoint(folder / "checkpoint.pt")["model"]


@pytest.mark.parametrize(
    "fields", [BALANCED, dict(loss="class_balanced"), dict(schedule="plateau", q=0.5)]
)
def test_training_does_not_depend_on_the_validation_images(data, tmp_path, fields):
    rows = np.concatenate([data.rows("train"), data.rows("val")[:6], data.rows("test")])
    fewer = replace(
        data, images=data.images[rows], labels=data.labels[rows], split=data.split[rows]
    )
    states = [
        last_state(Recipe(**QUICK, **fields), other, tmp_path / str(len(other.labels)))
        for other in (data, fewer)
    ]
    assert digest(states[0]) == digest(states[1])


def test_every_image_of_every_epoch_and_side_is_augmented_anew(data):
    same = np.broadcast_to(data.images[:1], data.images.shape).copy()
    model, seen = make_linear(), []
    model.register_forward_pre_hook(
        lambda layer, inputs: seen.append(inputs[0]) if layer.training else None
    )
    run(Recipe(**QUICK), replace(data, images=same), model)
    shown = torch.cat(seen).flatten(1)
    assert len(torch.unique(shown, dim=0)) == len(shown) == 3 * sum(COUNTS)


def test_the_balanced_side_is_augmented_otherwise_than_the_base_side(data):
    same = np.broadcast_to(data.images[:1], data.images.shape).copy()
    plain, mixed = [], []
    for seen, fields in ((plain, dict()), (mixed, dict(mixing="balanced", alpha=1e6))):
        model = make_linear()
        model.register_forward_pre_hook(
            lambda layer, inputs, seen=seen: seen.append(inputs[0]) if layer.training else None
        )
        run(Recipe(**QUICK, **fields), replace(data, images=same), model)
    # alpha = 1e6 shows the balanced image alone
    assert all((one - other).abs().max() > 0.05 for one, other in zip(plain, mixed, strict=True))


def test_dropout_is_drawn_anew_in_every_epoch_and_by_the_seed(data):
    def masks(seed):
        with seeded(0):
            model = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(64, 3))
        seen = []
        model[1].register_forward_hook(
            lambda layer, _, out: seen.append(out == 0) if layer.training else None
        )
        run(Recipe(**QUICK, seed=seed, augment="none"), data, model)
        return [seen[epoch * STEPS][:16] for epoch in range(3)]

    first, again, other = masks(0), masks(0), masks(1)
    assert all(one.equal(two) for one, two in zip(first, again, strict=True))
    assert not any(one.equal(two) for one, two in itertools.combinations(first + other, 2))


def test_the_same_seed_gives_the_same_run_and_another_seed_another(data):
    recipes = (
        Recipe(**QUICK, **BALANCED),
        Recipe(**QUICK, **BALANCED),
        Recipe(**QUICK, **BALANCED, seed=1),
    )
    (one, history), (again, same), (other, different) = (run(recipe, data) for recipe in recipes)
    assert digest(one) == digest(again) != digest(other)
    assert without_seconds(history) == without_seconds(same) != without_seconds(different)


SCRIPT = """
import sys
from examples import *
model, history = run(Recipe(**QUICK, mixing="balanced", alpha=0.2))
print(digest(model), without_seconds(history))
assert "torch._dynamo" not in sys.modules
"""


def test_a_fresh_process_with_another_hash_seed_gives_the_same_run_without_torch_s_compiler():
    paths = [str(Path(__file__).parent), str(Path(bmix_lite.__file__).parents[1])]
    hash_seed = "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2"
    environment = {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, "-c", SCRIPT]
    options = {"capture_output": True, "text": True, "timeout": 120}
    done = subprocess.run(command, env=os.environ | environment, **options)
    model, history = run(Recipe(**QUICK, **BALANCED))
    assert done.stdout.strip() == f"{digest(model)} {without_seconds(history)}", done.stderr


def test_two_runs_in_one_process_do_not_disturb_each_other(data):
    recipes = [Recipe(**QUICK, **BALANCED), Recipe(**QUICK, loss="focal", seed=5)]
    alone = [run(recipe, data) for recipe in recipes]
    models = [make_net(recipe, data) for recipe in recipes]
    both = [
        train(model, data, recipe, device="cpu")
        for model, recipe in zip(models, recipes, strict=True)
    ]
    histories = list(zip(*zip(*both, strict=True), strict=True))  # one epoch of each in turn
    assert [next(generator, "ended") for generator in both] == ["ended"] * 2
    for (expected, expected_history), model, history in zip(alone, models, histories, strict=True):
        assert digest(model) == digest(expected)
        assert without_seconds(history) == without_seconds(expected_history)


def test_training_neither_reads_nor_moves_the_global_generators(data):
    def states():
        return torch.get_rng_state().tolist(), np.random.get_state()[1].tolist(), random.getstate()  # noqa: NPY002

    models = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        random.seed(seed)
        before = states()
        model = make_net(Recipe(), data)
        for _ in train(model, data, Recipe(**QUICK, **BALANCED), device="cpu"):
            assert states() == before
        models.append(digest(model))
        assert states() == before
    assert models[0] == models[1]


def test_a_progress_bar_changes_nothing(data, capsys):
    quiet, _ = run(Recipe(**QUICK), data)
    assert capsys.readouterr() == ("", "")
    shown, _ = run(Recipe(**QUICK), data, progress=True)
    assert digest(shown) == digest(quiet)
    assert "instance" in capsys.readouterr().err


def test_the_recipe_sets_the_number_of_threads_and_the_caller_gets_his_back(data):
    model, seen = make_linear(), set()
    model.register_forward_pre_hook(
        lambda *_: seen.add(torch.get_num_threads()) if model.training else None
    )
    before = torch.get_num_threads()
    for _ in train(model, data, Recipe(**QUICK, threads=before + 1), device="cpu"):
        assert torch.get_num_threads() == before
    assert seen == {before + 1}


def test_bfloat16_trains_to_nearly_the_same_loss(data):
    full, half = (run(Recipe(**QUICK, precision=name), data)[1] for name in ("fp32", "bf16"))
    ours, theirs = ([record["train_loss"] for record in history] for history in (half, full))
    assert ours != theirs
    assert ours == pytest.approx(theirs, rel=0.1)


@pytest.mark.parametrize(
    "fields", [dict(), dict(**BALANCED, schedule="plateau", monitor="macro_f1")]
)
def test_records_hold_what_scikit_learn_says_of_the_model_of_that_epoch(data, fields):
    recipe = Recipe(**QUICK, **fields)
    model = make_net(recipe, data)
    for epoch, record in enumerate(train(model, data, recipe, device="cpu"), start=1):
        rows, clean = data.rows("val"), data.rows("train")
        probabilities = predict(model, data.images, rows, device="cpu")
        labels, predicted = data.labels[rows], probabilities.argmax(axis=1)
        on_train = predict(model, data.images, clean, device="cpu").argmax(axis=1)
        expected = {
            "epoch": epoch,
            "val_loss": -np.log(probabilities[np.arange(len(labels)), labels].astype(float)).mean(),
            "val_accuracy": sk.accuracy_score(labels, predicted),
            "val_balanced_accuracy": sk.balanced_accuracy_score(labels, predicted),
        }
        if recipe.monitor == "macro_f1":
            expected["val_macro_f1"] = sk.f1_score(labels, predicted, average="macro")
        if recipe.schedule == "plateau":
            expected["train_balanced_accuracy"] = sk.balanced_accuracy_score(
                data.labels[clean], on_train
            )
            expected["train_macro_f1"] = sk.f1_score(data.labels[clean], on_train, average="macro")
        assert set(record) == set(expected) | {"lr", "train_loss", "seconds"}
        assert {name: record[name] for name in expected} == pytest.approx(expected, rel=1e-5)
        assert record["seconds"] > 0


def test_a_plateau_run_ends_where_its_rate_would_fall_below_min_lr_and_stays_ended(data, tmp_path):
    recipe = Recipe(
        epochs=60, batch_size=16, schedule="plateau", lr=0.01, min_lr=1e-4, augment="none"
    )
    _, history = run(recipe, data, checkpoint=tmp_path / "checkpoint.pt")
    assert 9 <= len(history) < 60
    assert sorted({record["lr"] for record in history}) == pytest.approx([1e-4, 1e-3, 1e-2])
    assert history[-3]["lr"] == pytest.approx(1e-4)  # it had its chance to improve
    _, again = run(recipe, data, checkpoint=tmp_path / "checkpoint.pt")
    assert again == history


@pytest.mark.parametrize(
    ("mixing", "alpha", "steps"),
    [
        ("balanced", 0.3, STEPS // 2),
        ("balanced", 0.0, STEPS),  # nothing is mixed in, and no balanced image is read
        ("mixup", 0.3, STEPS),
        ("none", 0.0, STEPS),
    ],
)
def test_where_images_are_the_budget_all_methods_read_equally_many(data, mixing, alpha, steps):
    recipe = Recipe(**QUICK, budget="images", mixing=mixing, alpha=alpha)
    batches = MixedBatches(data, recipe, "cpu")
    read = []
    fetch = batches.fetch
    batches.fetch = lambda places, side: read.extend(places) or fetch(places, side)
    assert len(list(batches.epoch(1))) == steps
    whole = len(data.rows("train"))
    assert whole - recipe.batch_size < len(read) <= whole + recipe.batch_size
    assert len(list(MixedBatches(data, replace(recipe, budget="steps"), "cpu").epoch(1))) == STEPS


@pytest.mark.parametrize("monitor", ["balanced_accuracy", "accuracy", "macro_auc"])
def test_the_model_returned_is_the_one_of_the_best_epoch_on_validation(data, monitor):
    recipe = Recipe(seed=1, epochs=8, batch_size=16, lr=0.1, monitor=monitor, schedule="constant")
    model = make_net(recipe, data)
    seen = [
        (record[f"val_{monitor}"], digest(model))
        for record in train(model, data, recipe, device="cpu")
    ]
    scores = [value for value, _ in seen]
    best = int(np.argmax(scores))  # the first of equals
    assert best < len(seen) - 1
    assert digest(model) == seen[best][1]
    assert len({weights for _, weights in seen}) == len(seen)


def test_a_validation_split_without_one_class_is_scored_on_the_others():
    data = make_images(held_out=(5, 5, 0))
    _, history = run(Recipe(**QUICK), data)
    assert all(0 <= record["val_balanced_accuracy"] <= 1 for record in history)


def test_changing_a_record_does_not_change_the_run(data, monkeypatch):
    monkeypatch.setattr(schedules, "PLATEAU_PATIENCE", 0)
    recipe = Recipe(epochs=6, batch_size=16, schedule="plateau", lr=1e-4)
    expected, history = run(recipe, data)
    model = make_net(recipe, data)
    for record in train(model, data, recipe, device="cpu"):
        record.update(dict.fromkeys(record, 0.0))
    assert history[-1]["lr"] < 1e-4
    assert digest(model) == digest(expected)


def test_weights_that_are_frozen_stay_as_they_were(data):
    model = make_net(Recipe(), data)
    model[1].weight.requires_grad = False
    before = model[1].weight.clone()
    start = digest(model)
    run(Recipe(**QUICK, weight_decay=0.1), data, model)
    assert model[1].weight.equal(before)
    assert digest(model) != start


# interruption and resumption

SETTINGS = {
    "cosine-sgd": dict(),
    "cosine-adamw": dict(optimizer="adamw", lr=0.003),
    "plateau-sgd": dict(schedule="plateau", lr=1e-4, epochs=6),
    "plateau-adamw": dict(schedule="plateau", lr=1e-7, epochs=6, optimizer="adamw"),
    "warm-up-sgd": dict(schedule="constant", warmup_epochs=2, lr=0.1),
    "warm-up-adamw": dict(schedule="constant", warmup_epochs=2, optimizer="adamw", lr=0.003),
    "progressive-deck": dict(
        q="progressive", balanced_draw="deck", loss="class_balanced", lam_per="image"
    ),
    "mixup-focal": dict(mixing="mixup", loss="focal", monitor="macro_auc", augment="medical"),
}


def make_recipe(setting):
    return Recipe(**dict(epochs=4, batch_size=16) | BALANCED | SETTINGS[setting])


def stop_after(epochs, folder, recipe, data):
    """Train that many epochs in a folder and stop there, as if killed."""
    generator = train(
        make_net(recipe, data), data, recipe, checkpoint=folder / "checkpoint.pt", device="cpu"
    )
    for _ in range(epochs):
        next(generator)
    generator.close()


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_run_resumed_after_any_epoch_leaves_the_same_files_as_an_uninterrupted_one(
    data, tmp_path, monkeypatch, setting
):
    monkeypatch.setattr(schedules, "PLATEAU_PATIENCE", 0)  # so that a few epochs lower the rate
    recipe = make_recipe(setting)
    run_in_folder(tmp_path / "whole", recipe, data)
    expected = file_contents(tmp_path / "whole")
    assert set(expected) == {
        "recipe.json",
        "history.csv",
        "predictions.csv",
        "metrics.json",
        "model.pt",
    }
    for epochs in range(recipe.epochs + 1):
        folder = tmp_path / f"stopped after {epochs}"
        stop_after(epochs, folder, recipe, data)
        run_in_folder(folder, recipe, data)
        assert file_contents(folder) == expected
    if recipe.schedule == "plateau":
        rates = [
            float(line.split(",")[1]) for line in expected["history.csv"].decode().splitlines()[1:]
        ]
        assert rates[-1] < 0.2 * rates[0]


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_run_stopped_after_every_epoch_has_the_same_history_and_weights(
    data, tmp_path, monkeypatch, setting
):
    monkeypatch.setattr(schedules, "PLATEAU_PATIENCE", 0)
    recipe, checkpoint = make_recipe(setting), tmp_path / "checkpoint.pt"
    expected, expected_history = run(recipe, data)
    for epochs in range(1, recipe.epochs + 1):
        stop_after(epochs, tmp_path, recipe, data)
        assert len(load_checkpoint(checkpoint)["history"]) == epochs
    # what the model was before does not matter: all of it comes from the checkpoint
    other = make_net(replace(recipe, seed=99), data)
    model, history = run(recipe, data, other, checkpoint=checkpoint)
    assert digest(model) == digest(expected)
    assert without_seconds(history) == without_seconds(expected_history)


def test_a_run_on_images_that_are_augmented_one_by_one_is_resumed_to_the_same_bits(tmp_path):
    data, recipe = (
        make_images(side=32, channels=3),
        Recipe(epochs=2, batch_size=16, augment="medical", **BALANCED),
    )
    expected, _ = run(recipe, data)
    stop_after(1, tmp_path, recipe, data)
    model, _ = run(recipe, data, checkpoint=tmp_path / "checkpoint.pt")
    assert digest(model) == digest(expected)


@pytest.mark.parametrize("augment", ["none", "flips", "medical"])
def test_batches_of_colour_images_lie_channels_last_in_memory(augment):
    recipe = Recipe(batch_size=16, augment=augment, **BALANCED)
    images, _ = next(MixedBatches(make_images(side=32, channels=3), recipe, "cpu").epoch(1))
    assert images.is_contiguous(memory_format=torch.channels_last)


def count_training_steps(model):
    steps = []
    model.register_forward_pre_hook(
        lambda layer, inputs: steps.append(len(inputs[0])) if layer.training else None
    )
    return steps


def test_a_finished_run_trains_no_further_step(data, tmp_path):
    recipe, checkpoint = Recipe(**QUICK), tmp_path / "checkpoint.pt"
    expected, history = run(recipe, data, checkpoint=checkpoint)
    before, model = checkpoint.read_bytes(), make_net(recipe, data)
    steps = count_training_steps(model)
    _, again = run(recipe, data, model, checkpoint=checkpoint)
    assert steps == []
    assert again == history
    assert digest(model) == digest(expected)
    assert checkpoint.read_bytes() == before


@pytest.mark.parametrize("step", [1, STEPS + 2, 3 * STEPS])
def test_a_run_interrupted_within_an_epoch_resumes_to_the_same_end(data, tmp_path, step):
    recipe, checkpoint = Recipe(**QUICK, **BALANCED), tmp_path / "checkpoint.pt"
    expected, expected_history = run(recipe, data)
    model, threads, generator = (
        make_net(recipe, data),
        torch.get_num_threads(),
        torch.get_rng_state(),
    )
    steps = count_training_steps(model)

    def interrupt(layer, inputs):
        if len(steps) == step and layer.training:
            raise KeyboardInterrupt

    model.register_forward_pre_hook(interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(recipe, data, model, checkpoint=checkpoint)
    assert torch.get_num_threads() == threads
    assert torch.get_rng_state().equal(generator)
    assert checkpoint.exists() == (step > STEPS)
    model, history = run(recipe, data, checkpoint=checkpoint)
    assert digest(model) == digest(expected)
    assert without_seconds(history) == without_seconds(expected_history)


def test_checkpoints_do_not_change_a_run(data, tmp_path):
    with_, without = (
        run(Recipe(**QUICK), data, checkpoint=tmp_path / "checkpoint.pt"),
        run(Recipe(**QUICK), data),
    )
    assert digest(with_[0]) == digest(without[0])
    assert without_seconds(with_[1]) == without_seconds(without[1])


def test_a_damaged_checkpoint_costs_one_epoch_and_no_bit(data, tmp_path):
    recipe, checkpoint = Recipe(**QUICK), tmp_path / "checkpoint.pt"
    expected, _ = run(recipe, data)
    stop_after(2, tmp_path, recipe, data)
    content = checkpoint.read_bytes()
    checkpoint.write_bytes(content[: len(content) // 2])
    with pytest.warns(
        UserWarning, match=r"checkpoint\.pt: damaged.*going on from checkpoint\.previous"
    ):
        model, _ = run(recipe, data, checkpoint=checkpoint)
    assert digest(model) == digest(expected)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (dict(seed=1), "seed: 0 there, 1 here"),
        (dict(alpha=0.3), r"alpha: 0\.2 there, 0\.3 here"),
        (dict(mixing="mixup"), "mixing: 'balanced' there, 'mixup' here"),
        (dict(epochs=9, lr=0.3), r"epochs: 3 there, 9 here; lr: 0\.01 there, 0\.3 here"),
    ],
)
def test_a_checkpoint_of_another_recipe_is_refused_with_the_fields_that_differ(
    data, tmp_path, changed, words
):
    recipe = Recipe(**QUICK, **BALANCED, lr=0.01)
    stop_after(1, tmp_path, recipe, data)
    before = (tmp_path / "checkpoint.pt").read_bytes()
    with pytest.raises(BmixError, match=rf"checkpoint\.pt belongs to another run \({words}\)"):
        run(replace(recipe, **changed), data, checkpoint=tmp_path / "checkpoint.pt")
    assert (tmp_path / "checkpoint.pt").read_bytes() == before


@pytest.mark.parametrize(
    ("used", "words"), [("", None), ("drop_last", "defects: 'drop_last' there, '' here")]
)
def test_a_checkpoint_with_a_field_of_an_older_version_is_the_same_run_unless_it_was_used(
    data, tmp_path, used, words
):
    recipe, checkpoint = Recipe(**QUICK), tmp_path / "checkpoint.pt"
    whole, _ = run(recipe, data)
    stop_after(1, tmp_path, recipe, data)
    state = load_checkpoint(checkpoint)
    save_checkpoint(checkpoint, state | {"recipe": state["recipe"] | {"defects": used}})
    if words is None:
        assert digest(run(recipe, data, checkpoint=checkpoint)[0]) == digest(whole)
    else:
        with pytest.raises(BmixError, match=rf"checkpoint\.pt belongs to another run \({words}\)"):
            run(recipe, data, checkpoint=checkpoint)


def without_a_row(data):
    kept = np.arange(len(data.labels)) != 3
    return ImageSet(
        data.images[kept],
        data.labels[kept],
        data.class_names,
        split=data.split[kept],
        name=data.name,
    )


def with_another_pixel(data):
    images = data.images.copy()
    images[3, 0, 0] ^= 1
    return replace(data, images=images)


def with_two_splits_swapped(data):
    return replace(
        data,
        split=np.where(data.split == "val", "test", np.where(data.split == "test", "val", "train")),
    )


def with_another_class(data):
    return make_images((40, 15, 6, 5), held_out=(5, 5, 5, 5))


@pytest.mark.parametrize(
    "change",
    [without_a_row, with_another_pixel, with_two_splits_swapped, with_another_class],
    ids=lambda f: f.__name__,
)
def test_a_checkpoint_made_with_other_data_is_refused_in_words(data, tmp_path, change):
    recipe = Recipe(**QUICK)
    stop_after(1, tmp_path, recipe, data)
    with pytest.raises(
        BmixError,
        match=r"checkpoint\.pt was made with other data than this 'stripes': fingerprints",
    ):
        run(recipe, change(data), checkpoint=tmp_path / "checkpoint.pt")


def test_a_checkpoint_of_another_network_is_refused_in_words(data, tmp_path):
    recipe = Recipe(**QUICK)
    stop_after(1, tmp_path, recipe, data)
    with pytest.raises(BmixError, match=r"checkpoint\.pt .*network|checkpoint\.pt .*model"):
        run(recipe, data, make_linear(), checkpoint=tmp_path / "checkpoint.pt")


# what does not fit


def test_a_loss_that_is_not_finite_stops_at_that_step_and_keeps_the_last_checkpoint(data, tmp_path):
    recipe, checkpoint = Recipe(**QUICK, schedule="constant", lr=0.02), tmp_path / "checkpoint.pt"
    model = make_net(recipe, data)
    steps, before = count_training_steps(model), {}

    def spoil(layer, _, logits):
        if len(steps) == STEPS + 2 and layer.training:
            before.update(
                checkpoint=checkpoint.read_bytes(), weights=[w.clone() for w in model.parameters()]
            )
            return logits * float("nan")
        return None

    model.register_forward_hook(spoil)
    with pytest.raises(BmixError, match=r"loss is nan in epoch 2, step 2, at lr 0\.02"):
        run(recipe, data, model, checkpoint=checkpoint)
    assert len(steps) == STEPS + 2
    assert all(
        now.equal(then) for now, then in zip(model.parameters(), before["weights"], strict=True)
    )
    assert checkpoint.read_bytes() == before["checkpoint"]
    assert len(load_checkpoint(checkpoint)["history"]) == 1


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_learning_rate_far_too_high_is_named_with_epoch_and_step(data, tmp_path, optimizer):
    recipe = Recipe(**QUICK | dict(epochs=20), lr=1e9, optimizer=optimizer, weight_decay=0.1)
    with pytest.raises(
        BmixError, match=r"loss is (nan|inf) in epoch \d+, step \d+, at lr 1?.*e\+0[789]"
    ):
        run(recipe, data, checkpoint=tmp_path / "checkpoint.pt")


def test_a_network_that_breaks_in_the_last_step_of_an_epoch_is_named_with_the_epoch(data, tmp_path):
    recipe = Recipe(epochs=3, batch_size=61, lr=1e9)
    with pytest.raises(BmixError, match=r"epoch 1.* lr 1e\+09"):
        run(recipe, data, checkpoint=tmp_path / "checkpoint.pt")
    assert not (tmp_path / "checkpoint.pt").exists()


def without_validation(data):
    return replace(data, split=np.where(data.split == "val", "test", data.split))


def freeze(model):
    return model.requires_grad_(False)


@pytest.mark.parametrize(
    ("fields", "change_data", "change_model", "message"),
    [
        (dict(batch_size=62), None, None, r"batch_size must be at most 61 images, got 62"),
        (dict(), without_validation, None, r"dataset 'stripes' has no 'val' rows"),
        (
            dict(),
            lambda data: replace(data, split=None),
            None,
            r"dataset 'stripes' has no split yet",
        ),
        (dict(), None, freeze, r"the model has no trainable parameter"),
        (
            dict(),
            None,
            lambda _: make_linear(classes=2),
            r"must have 3 outputs, one for each class, got 2",
        ),
        (
            dict(),
            None,
            lambda _: make_linear(classes=4),
            r"must have 3 outputs, one for each class, got 4",
        ),
        (
            dict(),
            None,
            lambda _: make_model("mlp", 3, 1, seed=0),
            r"cannot read images of 8 x 8 x 1 \(height, wi",
        ),
    ],
    ids=[
        "batch too large",
        "no validation",
        "no split",
        "frozen",
        "too few outputs",
        "too many outputs",
        "mlp",
    ],
)
def test_what_does_not_fit_is_refused_before_the_first_step(
    data, tmp_path, fields, change_data, change_model, message
):
    recipe = Recipe(**QUICK | fields)
    model = make_net(recipe, data)
    model = change_model(model) if change_model else model
    steps, before = count_training_steps(model), digest(model)
    with pytest.raises(BmixError, match=message):
        run(
            recipe,
            change_data(data) if change_data else data,
            model,
            checkpoint=tmp_path / "checkpoint.pt",
        )
    assert steps == []
    assert digest(model) == before
    assert list(tmp_path.iterdir()) == []


def test_a_batch_of_all_training_images_is_one_step(data):
    model = make_net(Recipe(), data)
    steps = count_training_steps(model)
    run(Recipe(epochs=2, batch_size=61), data, model)
    assert steps == [61, 61]


def test_a_last_lone_image_joins_the_batch_before_it(data):
    model = make_net(Recipe(), data)
    steps = count_training_steps(model)
    run(Recipe(epochs=1, batch_size=20), data, model)
    assert steps == [20, 20, 21]


def test_labels_without_images_are_refused_before_the_first_step():
    data, recipe = load("ham10000-labels"), Recipe(**QUICK)
    with pytest.raises(
        BmixError, match="'ham10000-labels' holds labels only, no images to train on"
    ):
        next(train(make_model("small_cnn", 7, 3, seed=0), data, recipe))


def test_kappa_chooses_no_epoch_unless_the_classes_are_grades():
    recipe = Recipe(**QUICK, monitor="kappa")
    with pytest.raises(BmixError, match="monitor='kappa' needs grades"):
        run(recipe)
    _, history = run(recipe, make_images(ordered=True))
    assert "val_kappa" in history[0]


def test_an_empty_test_part_is_refused_before_the_training(data):
    split = np.where(data.split == "test", "unused", data.split)
    with pytest.raises(BmixError, match="no 'test' rows to report a score on"):
        run(data=replace(data, split=split))
