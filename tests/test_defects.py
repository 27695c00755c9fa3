import ast
import random

import numpy as np
import pytest
from torch.optim import SGD
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torch.utils.data import DataLoader

from bmix_lite import defects
from bmix_lite.datasets import load
from bmix_lite.distribution import class_probabilities, count_classes, draw_lam
from bmix_lite.errors import BmixError
from bmix_lite.metrics import score
from bmix_lite.randomness import stream
from bmix_lite.recipe import Recipe
from bmix_lite.schedules import lr_at
from conftest import ROOT

MIXED = [0.2, 0.3, 0.4, 0.5, 0.5, 0.5, 0.5, 0.5]  # training score on mixed images
VAL = [0.7, 0.8, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9]


def test_nothing_in_the_kit_uses_the_wrong_ways():
    for path in (ROOT / "bmix_lite").glob("*.py"):
        names = [
            ast.unparse(node) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)
        ]
        assert not [name for name in names if "defects" in name], path.name


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
    plateau = ReduceLROnPlateau(optimizer, mode="max", factor=0.1, patience=2, threshold=0)
    expected = []
    for on_train, on_val in zip(train, val, strict=True):
        expected.append(optimizer.param_groups[0]["lr"])
        if on_train > on_val:
            plateau.step(on_val)
    found = defects.lower_rate_when_training_leads(train, val, 0.01)
    limit = next((k for k, rate in enumerate(found) if rate < 1e-7), len(found))  # torch stops at differences of 1e-8
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
