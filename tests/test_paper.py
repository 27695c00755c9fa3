"""The equations of Galdran et al. (MICCAI 2021) against drawn samples, and real label tables."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from bmix_lite.base.randomness import stream
from bmix_lite.distribution import (
    class_probabilities,
    draw_lam,
    expected_distinct,
    expected_draws,
    mean_lam,
    median_lam,
    mixed_class_probabilities,
)
from bmix_lite.mixing import balanced_mixup
from bmix_lite.samplers import IndexStream, balanced_stream

torch.set_num_threads(1)

TABLES = {  # file, separator, column; images, classes, smallest and largest class as published
    "eyepacs": ("trainLabels.csv", ",", "level", (35126, 5, 708, 25810)),
    "ham10000": ("HAM10000_metadata.csv", ",", "dx", (10015, 7, 115, 6705)),
    "hyper_kvasir": ("5_fold_split.csv", ";", "class-name", (10662, 23, 6, 1148)),
}


@pytest.fixture(scope="module", params=TABLES)
def labels(request, shared):
    file, separator, column, published = TABLES[request.param]
    classes = pd.read_csv(shared / "data" / request.param / file, sep=separator)[column]
    _, labels = np.unique(classes, return_inverse=True)
    counts = np.bincount(labels)
    assert (len(labels), len(counts), counts.min(), counts.max()) == published
    return labels


def mixed_mass(labels, q, alpha, *, epoch, batch_size=32):
    """Label mass of each full batch of one epoch, (batches, C), by the kit's streams and mixing."""
    num_classes = labels.max() + 1
    base = IndexStream(labels, q, seed=0, purpose="base").batches(epoch, batch_size)
    balanced = balanced_stream(labels, seed=0).batches(epoch, batch_size)
    rng, mass = stream(0, "lam", epoch), []
    for pair in zip(base, balanced, strict=True):
        sides = [(torch.zeros(len(rows), 1), torch.eye(num_classes)[labels[rows]]) for rows in pair]
        mass.append(balanced_mixup(*sides, draw_lam(alpha, rng=rng))[1].sum(dim=0).double().numpy())
    return np.array([row for row in mass if abs(row.sum() - batch_size) < 1e-3])


def chi_square_of_means(samples, expected):
    """p of Hotelling's test that `samples`, rows of one sum, have the mean `expected`."""
    n, d = samples[:, 1:].shape
    gap = samples[:, 1:].mean(axis=0) - expected[1:]
    t_squared = n * gap @ np.linalg.solve(np.cov(samples[:, 1:].T), gap)
    return stats.f.sf(t_squared * (n - d) / (d * (n - 1)), d, n - d)


@pytest.mark.parametrize("q", [1, 0.75, 0.5, 0.25, 0])
def test_drawn_labels_of_real_datasets_follow_the_base_shares(labels, q):
    drawn = np.bincount(labels[IndexStream(labels, q, seed=0, purpose="base").indices(1)])
    if q == 1:
        assert drawn.tolist() == np.bincount(labels).tolist()
    expected = class_probabilities(np.bincount(labels), q) * len(labels)
    assert stats.chisquare(drawn, expected).pvalue > 0.001


@pytest.mark.parametrize("alpha", [0.1, 0.2, 0.3, 1.0])
@pytest.mark.parametrize("q", [1, 0.5, 0])
def test_label_mass_after_mixing_follows_the_closed_form_on_real_datasets(labels, q, alpha):
    mass = np.concatenate([mixed_mass(labels, q, alpha, epoch=epoch) for epoch in (1, 2)])
    expected = mixed_class_probabilities(np.bincount(labels), q, alpha)
    assert chi_square_of_means(mass, 32 * expected) > 0.001
    if q != 0:  # the test would notice lam on the wrong batch, and no mixing at all
        base, uniform = class_probabilities(np.bincount(labels), q), 1 / len(expected)
        swapped = mean_lam(alpha) * base + (1 - mean_lam(alpha)) * uniform
        assert chi_square_of_means(mass, 32 * base) < 1e-4
        assert alpha == 1 or chi_square_of_means(mass, 32 * swapped) < 1e-4


def test_label_mass_summed_over_an_epoch_is_within_five_standard_errors_of_the_closed_form():
    labels = np.repeat([0, 1, 2], [9000, 900, 100])
    mass = np.concatenate(
        [mixed_mass(labels, 1, 0.2, epoch=epoch, batch_size=50) for epoch in (1, 2, 3)]
    )
    expected = 50 * np.array([0.9 / 1.2 + 1 / 18, 0.09 / 1.2 + 1 / 18, 0.01 / 1.2 + 1 / 18])
    error = mass.std(axis=0) / np.sqrt(len(mass))
    assert len(mass) == 600
    assert (np.abs(mass.mean(axis=0) - expected) < 5 * error).all()


def test_the_rarest_class_gets_the_hand_computed_share_at_alpha_one_fifth(labels):
    mixed = mixed_class_probabilities(np.bincount(labels), 1, 0.2)
    expected = {
        5: 0.050130,
        7: 0.033379,
        23: 0.007715,
    }  # by number of classes, e.g. (708 / 35126 + 0.2 / 5) / 1.2
    assert mixed.min() == pytest.approx(expected[len(mixed)], abs=1e-6)


@pytest.mark.parametrize("alpha", [0.1, 0.2, 0.3, 1.0, 3])
def test_lam_is_beta_alpha_1(alpha):
    lam = draw_lam(alpha, 10_000, rng=stream(0, "lam"))
    one_by_one = [draw_lam(alpha, rng=stream(0, "lam", epoch)) for epoch in range(2000)]
    assert stats.kstest(lam, stats.beta(alpha, 1).cdf).pvalue > 0.001
    assert stats.kstest(one_by_one, stats.beta(alpha, 1).cdf).pvalue > 0.001
    assert stats.kstest(lam, lambda x: x**alpha).pvalue > 0.001
    assert lam.mean() == pytest.approx(mean_lam(alpha), abs=5 * lam.std() / 100)
    assert stats.binomtest(int((lam < median_lam(alpha)).sum()), 10_000).pvalue > 0.001


def test_without_alpha_lam_is_zero_and_takes_the_same_draws():
    rng, other = stream(0, "lam"), stream(0, "lam")
    assert [draw_lam(0, rng=rng) for _ in range(3)] == [0, 0, 0]
    draw_lam(0.2, 3, rng=other)
    assert draw_lam(0, 3, rng=stream(0, "lam")).tolist() == [0, 0, 0]
    assert rng.random() == other.random()


def test_the_balanced_epoch_repeats_rare_images_as_often_as_promised(labels):
    counts, n = np.bincount(labels), len(labels)
    drawn = np.bincount(balanced_stream(labels, seed=0).indices(1), minlength=n)
    repeats = expected_draws(counts, 0, n)
    assert repeats == pytest.approx(n / (len(counts) * counts))
    assert len(counts) != 5 or repeats.max() == pytest.approx(
        9.92, abs=0.005
    )  # EyePACS: ten times an epoch
    per_class = np.bincount(labels, weights=drawn) / counts
    error = np.sqrt(n / len(counts) * (1 - 1 / len(counts))) / counts
    assert (np.abs(per_class - repeats) < 5 * error).all()


def test_the_balanced_epoch_sees_as_many_different_images_as_promised(labels):
    counts, n = np.bincount(labels), len(labels)
    epochs = [
        labels[np.unique(balanced_stream(labels, seed=0).indices(epoch))] for epoch in range(1, 31)
    ]
    distinct = np.array([np.bincount(epoch, minlength=len(counts)) for epoch in epochs])
    expected = expected_distinct(counts, 0, n)
    error = np.sqrt(
        (counts - expected) / len(epochs)
    )  # unseen images vary less than a Poisson number
    assert (np.abs(distinct.mean(axis=0) - expected) <= 5 * error + 1e-9).all()
    assert expected == pytest.approx(counts * (1 - (1 - 1 / counts) ** (n / len(counts))), rel=0.01)
