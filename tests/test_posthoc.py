from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax, softmax
from sklearn.metrics import balanced_accuracy_score
from torch import nn

from bmix_lite.base.errors import BmixError
from bmix_lite.batches import MixedBatches
from bmix_lite.checkpoints import load_checkpoint
from bmix_lite.distribution import mixed_class_probabilities
from bmix_lite.heads import last_layer, normalise_classifier
from bmix_lite.metrics import score
from bmix_lite.models import make_model
from bmix_lite.posthoc import TAUS, adjust_predictions, choose_norm, choose_tau
from bmix_lite.prevalence import adjust_probabilities
from bmix_lite.recipe import Recipe
from bmix_lite.runs.reading import read_predictions
from bmix_lite.training import predict, retrain_classifier, train
from examples import QUICK, digest, make_images, make_net, run, run_in_folder, without_seconds

COUNTS = [900, 90, 10]


def make_probabilities(seed, size=20, classes=3):
    return np.random.default_rng(seed).dirichlet(np.ones(classes), size)


@settings(max_examples=50)
@given(
    st.integers(0, 2**32 - 1),
    st.floats(-1, 3),
    st.lists(st.integers(1, 10**6), min_size=3, max_size=3),
)
def test_it_is_the_softmax_of_logits_less_tau_log_pi(seed, tau, counts):
    logits = np.random.default_rng(seed).normal(0, 3, (6, 3))
    expected = softmax(logits - tau * np.log(np.array(counts) / sum(counts)), axis=1)
    assert adjust_probabilities(softmax(logits, axis=1), counts, tau) == pytest.approx(
        expected, rel=1e-9, abs=1e-15
    )


def test_a_rare_class_at_its_prior_becomes_as_likely_as_the_others():
    shares = np.array([[0.9, 0.09, 0.01]])
    assert adjust_probabilities(shares, COUNTS, 1) == pytest.approx(np.full((1, 3), 1 / 3))
    assert adjust_probabilities(shares, COUNTS, 0) == pytest.approx(shares)
    # 0.9**0.5, 0.09**0.5 and 0.01**0.5 are as 9.487, 3 and 1
    assert adjust_probabilities(shares, COUNTS, 0.5)[0] == pytest.approx(
        np.sqrt(shares[0]) / np.sqrt(shares).sum()
    )


def test_with_the_true_probabilities_tau_one_has_the_best_balanced_accuracy():
    # two normal densities one apart: p(c | x) by Bayes; the balanced rule cuts half way
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], [180_000, 20_000])
    x = rng.normal(labels, 1)
    logits = np.stack([np.log(0.9) - x**2 / 2, np.log(0.1) - (x - 1) ** 2 / 2], axis=1)
    probabilities = softmax(logits, axis=1)
    adjusted = adjust_probabilities(probabilities, [9, 1], 1)
    assert (adjusted.argmax(axis=1) == (x > 0.5)).all()
    tau, scores = choose_tau(labels, lambda tau: adjust_probabilities(probabilities, [9, 1], tau))
    assert abs(tau - 1) <= 0.2
    assert scores[tau] > scores[0] + 0.1


def test_probabilities_of_zero_stay_zero_and_tiny_ones_do_not_overflow():
    probabilities = np.array([[1, 0, 0], [1 - 1e-300, 1e-300, 0]])
    adjusted = adjust_probabilities(probabilities, [10**9, 1, 1], 50)
    assert np.isfinite(adjusted).all()
    assert adjusted[0].tolist() == [1, 0, 0]
    assert adjusted.sum(axis=1) == pytest.approx(1)


@pytest.mark.parametrize(
    ("probabilities", "counts", "tau", "message"),
    [
        ([0.5, 0.5], [3, 1], 1, r"probabilities must be \(n, C\), got \(2,\)"),
        ([[0.5, np.nan]], [3, 1], 1, "probabilities must be finite"),
        ([[1.5, -0.5]], [3, 1], 1, "probabilities must be finite, 0 or more"),
        ([[0.0, 0.0]], [3, 1], 1, "above 0 for some class of each image"),
        (
            [[0.5, 0.5]],
            [3, 1, 1],
            1,
            r"prior must be 2 numbers above 0, counts or shares, got \[3\.0, 1\.0, 1\.0\]",
        ),
        ([[0.5, 0.5]], [3, 0], 1, r"prior must be 2 numbers above 0, .*got \[3\.0, 0\.0\]"),
        ([[0.5, 0.5]], [3, 1], float("inf"), "tau must be finite, got inf"),
    ],
)
def test_what_cannot_be_adjusted_is_refused(probabilities, counts, tau, message):
    with pytest.raises(BmixError, match=message):
        adjust_probabilities(probabilities, counts, tau)


def test_the_smallest_of_equally_good_taus_is_chosen_whatever_their_order():
    labels, probabilities = np.array([0, 1, 2]), np.eye(3) * 0.98 + 0.01 / 1.5
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    tau, scores = choose_tau(
        labels, lambda tau: adjust_probabilities(probabilities, [2, 1, 1], tau), (0.5, 0.2, 1.0)
    )
    assert tau == 0.2
    assert set(scores.values()) == {1.0}


def test_a_metric_of_which_less_is_better_and_an_empty_choice_are_refused():
    with pytest.raises(BmixError, match=r"metric must be one of balanced_accuracy, .*got 'ece'"):
        choose_tau([0, 1], lambda tau: np.eye(2), metric="ece")
    with pytest.raises(BmixError, match="taus must hold at least one value"):
        choose_tau([0, 1], lambda tau: np.eye(2), taus=())


def test_the_test_split_has_no_say_in_tau():
    labels = np.random.default_rng(0).integers(0, 3, 60)
    val = labels, make_probabilities(1, 60)
    taus = {
        adjust_predictions({"val": val, "test": (labels, make_probabilities(seed, 60))}, COUNTS)[0]
        for seed in (2, 3)
    }
    assert len(taus) == 1
    with pytest.raises(BmixError, match="tau is chosen on the split 'val', got test"):
        adjust_predictions({"test": val}, COUNTS)


def test_the_predictions_of_a_finished_run_are_adjusted_from_its_folder(tmp_path):
    data = make_images(counts=(60, 12, 6))
    run_in_folder(tmp_path / "one", Recipe(**QUICK), data)
    predictions = read_predictions(tmp_path / "one")
    tau, adjusted = adjust_predictions(predictions, data.counts())
    assert tau in TAUS
    for split, (labels, probabilities) in adjusted.items():
        was = predictions[split]
        assert labels.tolist() == was[0].tolist()
        expected = softmax(
            log_softmax(np.log(was[1]), axis=1) - tau * np.log(data.counts() / 78), axis=1
        )
        assert probabilities == pytest.approx(expected, rel=1e-9)
    best = score(*adjusted["val"], ["balanced_accuracy"])["balanced_accuracy"]
    assert (
        best >= score(*predictions["val"], ["balanced_accuracy"])["balanced_accuracy"]
    )  # tau = 0 is among them


RECIPE = Recipe(**QUICK, mixing="balanced", alpha=0.2, seed=5)


@pytest.fixture(scope="module")
def data():
    return make_images()


@pytest.fixture(scope="module")
def finished(data):
    return {name: tensor.clone() for name, tensor in run(RECIPE, data)[0].state_dict().items()}


@pytest.fixture
def model(data, finished):
    model = make_net(RECIPE, data)
    model.load_state_dict(finished)
    return model


def retrain(model, data, **options):
    return list(retrain_classifier(model, data, RECIPE, **dict(epochs=3, device="cpu") | options))


# as rows: done by `train` where the recipe says so


def train_row(data, **fields):
    recipe = replace(RECIPE, **fields)
    return run(recipe, data, make_net(recipe, data))


def answers(model, data, rows):
    return predict(model, data.images, data.rows(rows), device="cpu").astype(float)


@pytest.mark.parametrize("head", ["default", "cosine"])
def test_logit_adjustment_as_a_row_divides_by_the_shares_of_the_mixed_labels(data, head):
    plain, history = train_row(data, head=head)
    adjusted, records = train_row(data, head=head, posthoc="logit_adjustment")
    shares = mixed_class_probabilities(data.counts(), 1, 0.2)
    expected = answers(plain, data, "test") / shares
    expected /= expected.sum(axis=1, keepdims=True)
    assert answers(adjusted, data, "test") == pytest.approx(expected, rel=1e-4, abs=1e-7)
    assert without_seconds(records) == without_seconds(history)


def test_tau_norm_as_a_row_rescales_by_the_tau_that_is_best_on_validation(data):
    plain, history = train_row(data)
    changed, records = train_row(data, posthoc="tau_norm")
    labels = data.labels[data.rows("val")]
    recalls = {}  # with another copy of the network for each tau
    for tau in TAUS:
        found = answers(normalise_classifier(plain, tau), data, "val").argmax(axis=1)
        recalls[tau] = balanced_accuracy_score(labels, found)
    best = min(tau for tau in TAUS if recalls[tau] == max(recalls.values()))
    assert choose_norm(plain, data, RECIPE, device="cpu")[0] == best
    assert digest(changed) == digest(normalise_classifier(plain, best))
    assert without_seconds(records) == without_seconds(history)


@pytest.fixture(scope="module")
def retrained(data):
    return run(replace(RECIPE, posthoc="crt"), data)


def test_crt_as_a_row_is_retraining_after_training_and_its_epochs_are_counted_on(
    data, finished, retrained
):
    changed, records = retrained
    model = make_net(RECIPE, data)
    model.load_state_dict(finished)
    history = list(retrain_classifier(model, data, RECIPE, device="cpu"))
    assert digest(changed) == digest(model)
    assert [record["epoch"] for record in records] == list(range(1, 14))
    assert without_seconds(records[3:]) == [
        record | {"epoch": 3 + record["epoch"]} for record in without_seconds(history)
    ]


@pytest.mark.parametrize("stop", [1, 3, 5])  # in the network, at its end, in the last layer
def test_crt_as_a_row_goes_on_from_wherever_it_was_interrupted(data, retrained, tmp_path, stop):
    recipe, checkpoint = replace(RECIPE, posthoc="crt"), tmp_path / "checkpoint.pt"
    training = train(make_net(recipe, data), data, recipe, checkpoint=checkpoint, device="cpu")
    for _ in range(stop):
        next(training)
    training.close()
    expected, history = retrained
    model, records = run(recipe, data, checkpoint=checkpoint)
    assert digest(model) == digest(expected)
    assert without_seconds(records) == without_seconds(history)
    assert all(path.match("checkpoint.*") for path in tmp_path.iterdir())  # `save_run` deletes them


def test_a_layer_that_does_not_make_the_logits_is_not_normalised(data):
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 3), nn.Softplus())
    with pytest.raises(BmixError, match="last linear or convolutional layer does not make its"):
        choose_norm(model, data, RECIPE, device="cpu")


@pytest.mark.parametrize("name", ["small_cnn", "mobilenet_v2", "mlp"])
def test_the_classifier_of_every_network_is_found(name):
    model = make_model(name, 4, 3, seed=0)
    layer = last_layer(model)
    assert layer.weight.shape[0] == 4
    with torch.no_grad():
        layer.weight.zero_()
        layer.bias.copy_(torch.arange(4.0))
        assert (
            model.eval()(
                torch.rand(2, 3, 8 if name != "mlp" else 1, 8 if name != "mlp" else 1)
            ).tolist()
            == [[0, 1, 2, 3]] * 2
        )


def test_a_model_without_a_classifier_is_refused():
    with pytest.raises(BmixError, match="no linear or convolutional layer"):
        last_layer(nn.Sequential(nn.Flatten(), nn.ReLU()))


# tau-normalisation


@pytest.mark.parametrize("tau", [0.0, 0.3, 1.0, 2.0])
def test_class_weights_are_divided_by_the_power_tau_of_their_length(model, data, tau):
    was, bias = (
        last_layer(model).weight.detach().double().numpy(),
        last_layer(model).bias.detach().clone(),
    )
    before = digest(model)
    changed = normalise_classifier(model, tau)
    expected = np.stack([row / np.sqrt((row**2).sum()) ** tau for row in was])
    assert last_layer(changed).weight.detach().numpy() == pytest.approx(expected, rel=1e-5)
    assert last_layer(changed).bias.equal(bias)
    assert digest(model) == before  # a copy


def test_tau_of_zero_is_the_model_and_tau_of_one_gives_all_classes_the_same_length(model):
    assert digest(normalise_classifier(model, 0)) == digest(model)
    lengths = last_layer(normalise_classifier(model, 1)).weight.norm(dim=1)
    assert lengths.tolist() == pytest.approx([1, 1, 1], rel=1e-5)


def test_a_convolution_as_classifier_is_normalised_by_output_and_a_weight_of_zero_stays_zero():
    model = nn.Conv2d(5, 3, 1)
    with torch.no_grad():
        model.weight[1] = 0
    weight = normalise_classifier(model, 1).weight
    assert weight.flatten(1).norm(dim=1).tolist() == pytest.approx([1, 0, 1], rel=1e-5)


def test_tau_of_the_classifier_is_chosen_on_validation_by_the_same_helper(model, data):
    rows = data.rows("val")

    def predict_with(tau):
        return predict(normalise_classifier(model, tau), data.images, rows, device="cpu")

    tau, scores = choose_tau(data.labels[rows], predict_with, (0, 0.5, 1))
    assert scores[tau] == max(scores.values())
    with pytest.raises(BmixError, match="tau must be finite, got nan"):
        normalise_classifier(model, float("nan"))


# cRT


def test_retraining_changes_the_last_layer_and_nothing_else_statistics_of_batchnorm_included(
    model, data, finished
):
    history = retrain(model, data)
    changed = {
        name for name, tensor in model.state_dict().items() if not tensor.equal(finished[name])
    }
    assert changed == {"14.weight", "14.bias"}
    assert [record["epoch"] for record in history] == [1, 2, 3]
    assert all(weight.requires_grad for weight in model.parameters())


def test_retraining_is_logistic_regression_on_fixed_features_of_class_balanced_draws(
    model, data, tmp_path
):
    """The same written out: features once, in evaluation mode, then SGD on a linear layer."""
    recipe = replace(RECIPE, augment="none", schedule="constant", lr=0.05)
    body = nn.Sequential(*list(model)[:-1]).eval()
    checkpoint = tmp_path / "crt.pt"
    options = dict(epochs=2, device="cpu", checkpoint=checkpoint)
    history = list(retrain_classifier(model, data, recipe, **options))
    layer = last_layer(fresh_model(model, data))
    settings = dict(momentum=0.9, weight_decay=5e-4, nesterov=True)
    optimizer = torch.optim.SGD(layer.parameters(), 0.05, **settings)
    plain = Recipe(q=0.0, epochs=2, batch_size=16, augment="none", seed=5)
    for epoch in (1, 2):
        losses = []
        for images, labels in MixedBatches(data, plain, torch.device("cpu")).epoch(epoch):
            loss = nn.functional.cross_entropy(layer(body(images).detach()), labels.argmax(dim=1))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item() * len(labels))
        assert history[epoch - 1]["train_loss"] == pytest.approx(sum(losses) / 61, rel=1e-4)
    state = load_checkpoint(checkpoint)["model"]
    torch.testing.assert_close(
        state["model.14.weight"], layer.weight.detach(), rtol=1e-4, atol=1e-5
    )


def fresh_model(model, data):
    """A copy of `model` with the last layer that retraining begins with: lr near 0 shows it."""
    other = make_net(RECIPE, data)
    other.load_state_dict(model.state_dict())
    recipe = replace(RECIPE, lr=1e-30, weight_decay=0.0)
    list(retrain_classifier(other, data, recipe, epochs=1, device="cpu"))
    return other


def test_the_new_layer_depends_on_the_seed_and_not_on_the_old_one(model, data):
    first = last_layer(fresh_model(model, data)).weight
    with torch.no_grad():
        last_layer(model).weight.zero_()
    assert last_layer(fresh_model(model, data)).weight.equal(first)
    assert first.abs().max() > 0
    state = torch.get_rng_state()
    fresh_model(model, data)
    assert torch.get_rng_state().equal(state)


def test_retraining_is_repeatable_and_an_interrupted_one_ends_as_an_uninterrupted_one(
    model, data, finished, tmp_path
):
    history = retrain(model, data)
    expected = digest(model)
    for stop in (1, 2):
        other, checkpoint = make_net(RECIPE, data), tmp_path / f"{stop}.pt"
        other.load_state_dict(finished)
        generator = retrain_classifier(
            other, data, RECIPE, epochs=3, checkpoint=checkpoint, device="cpu"
        )
        for _ in range(stop):
            next(generator)
        generator.close()
        assert all(weight.requires_grad for weight in other.parameters())
        again = make_net(RECIPE, data)
        again.load_state_dict(finished)
        resumed = retrain(again, data, checkpoint=checkpoint)
        assert digest(again) == expected
        assert without_seconds(resumed) == without_seconds(history)


def test_weights_frozen_before_stay_frozen_and_a_checkpoint_of_the_run_itself_is_refused(
    model, data, tmp_path
):
    model[1].weight.requires_grad = False
    retrain(model, data)
    assert [name for name, weight in model.named_parameters() if not weight.requires_grad] == [
        "1.weight"
    ]
    recipe = Recipe(q=0.0, epochs=3, batch_size=16, seed=5)  # the one that retraining trains with
    list(train(make_net(recipe, data), data, recipe, checkpoint=tmp_path / "run.pt", device="cpu"))
    with pytest.raises(BmixError, match="was made with another network"):
        retrain(model, data, checkpoint=tmp_path / "run.pt")


def test_another_number_of_classes_is_refused(model):
    with pytest.raises(BmixError, match="the last layer of the model must have 4 outputs, got 3"):
        retrain(model, make_images(counts=(20, 9, 9, 9), held_out=(3, 3, 3, 3)))
