import numpy as np
import pytest

from bmix_lite.base.errors import BmixError
from bmix_lite.base.randomness import stream
from bmix_lite.course.simulate import draw_mixed_images, simulate_draws, simulate_label_mass
from bmix_lite.data.imageset import ImageSet
from bmix_lite.distribution import expected_distinct
from bmix_lite.samplers import IndexStream, balanced_stream
from examples import make_images

COUNTS = np.array([70, 25, 5])
LABELS = np.random.default_rng(1).permutation(np.repeat([0, 1, 2], COUNTS))
SHARES = COUNTS / 100


def make_set():
    """Training rows are the odd ones; every image holds its own row number in its first pixel."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (200, 3, 4, 1), dtype=np.uint8)
    images[:, 0, 0, 0] = np.arange(200)
    split = np.tile(["val", "train"], 100)
    return ImageSet(images, np.repeat(LABELS, 2), ("a", "b", "<c>"), split=split, name="rows")


@pytest.mark.parametrize("q", [0, 0.5, 1])
@pytest.mark.parametrize("alpha", [0, 0.2, 1, 5])
def test_drawn_label_mass_is_the_closed_form(q, alpha):
    base = COUNTS**q / (COUNTS**q).sum()
    expected = (base + alpha / 3) / (1 + alpha)
    assert simulate_label_mass(LABELS, q, alpha, seed=0, epochs=120) == pytest.approx(
        expected, abs=0.02
    )


def test_without_mixing_and_with_q_of_one_the_mass_is_exactly_that_of_the_data():
    assert simulate_label_mass(LABELS, 1, 0, seed=3, batch_size=7) == pytest.approx(
        SHARES, abs=1e-12
    )


@pytest.mark.parametrize("alpha", [0.3, 2])
def test_one_lam_weights_all_of_one_balanced_batch(alpha):
    mass = simulate_label_mass(LABELS, 1, alpha, seed=5, batch_size=100)
    lam = stream(5, "lam", 1).random() ** (1 / alpha)
    drawn = np.bincount(LABELS[balanced_stream(LABELS, seed=5).indices(1)], minlength=3) / 100
    assert mass == pytest.approx((1 - lam) * SHARES + lam * drawn, abs=1e-12)


def test_another_seed_draws_other_epochs_and_the_same_seed_the_same():
    one, again, other = (simulate_label_mass(LABELS, 0.5, 0.2, seed=seed) for seed in (0, 0, 1))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


def test_a_mixed_image_is_the_blend_of_its_two_parents_rounded_to_whole_grey_levels():
    drawn = draw_mixed_images(make_set(), 1, 1.0, seed=0, size=16)
    for base, balanced, mixed, lam in zip(
        drawn.base, drawn.balanced, drawn.mixed, drawn.lam, strict=True
    ):
        exact = [
            (1 - lam) * int(one) + lam * int(other)
            for one, other in zip(base.flat, balanced.flat, strict=True)
        ]
        assert np.abs(mixed.ravel() - exact).max() <= 0.5
    assert drawn.mixed.dtype == np.uint8
    assert len(np.unique(drawn.lam)) == 16


def test_lam_zero_shows_the_base_images_as_they_are():
    drawn = draw_mixed_images(make_set(), 1, 0, seed=0)
    assert np.array_equal(drawn.mixed, drawn.base)
    assert not drawn.lam.any()


def test_both_parents_are_the_training_images_that_the_streams_of_training_draw():
    data = make_set()
    rows = data.rows("train")
    drawn = draw_mixed_images(data, 0.5, 0.2, seed=4, epoch=3, size=10)
    streams = IndexStream(LABELS, 0.5, seed=4, purpose="base"), balanced_stream(LABELS, seed=4)
    parents = (drawn.base, drawn.base_labels), (drawn.balanced, drawn.balanced_labels)
    for order, (images, labels) in zip(streams, parents, strict=True):
        expected = rows[order.indices(3)[:10]]
        assert images[:, 0, 0, 0].tolist() == expected.tolist()
        assert labels.tolist() == data.labels[expected].tolist()
    assert drawn.lam == pytest.approx(stream(4, "lam", 3).random(10) ** 5)


def test_soft_labels_sum_to_one_and_give_lam_to_the_class_of_the_balanced_image():
    drawn = draw_mixed_images(make_set(), 1, 0.5, seed=0, size=60)
    assert drawn.soft_labels.sum(axis=1) == pytest.approx(np.ones(60), abs=1e-12)
    for soft, lam, base, balanced in zip(
        drawn.soft_labels, drawn.lam, drawn.base_labels, drawn.balanced_labels, strict=True
    ):
        assert soft[balanced] == pytest.approx(1 if base == balanced else lam)
        assert np.count_nonzero(soft) == len({base, balanced})


def test_captions_name_the_classes_of_the_soft_label_the_larger_share_first():
    drawn = draw_mixed_images(make_set(), 1, 0.5, seed=0, size=60)
    for caption, soft in zip(drawn.captions, drawn.soft_labels, strict=True):
        shares = sorted(
            ((share, name) for share, name in zip(soft, "abc", strict=True) if share), reverse=True
        )
        assert caption == "\n".join(
            f"{share:.2f} {name.replace('c', '<c>')}" for share, name in shares
        )


@pytest.mark.parametrize("size", [0, 101])
def test_more_images_than_there_are_or_none_are_refused(size):
    with pytest.raises(BmixError, match=rf"size must lie in 1\.\.100, got {size}"):
        draw_mixed_images(make_set(), 1, 0.2, seed=0, size=size)


@pytest.mark.parametrize("size", [1, 99, 100])
def test_as_many_images_come_as_were_asked_for(size):
    drawn = draw_mixed_images(make_set(), 0, 0.2, seed=0, size=size)
    assert {len(part) for part in drawn} == {size}


@pytest.mark.parametrize("replacement", [True, False])
def test_simulated_draws_count_the_indices_of_the_sampler(replacement):
    labels = np.repeat([0, 1, 2], [20, 7, 3])
    drawn = simulate_draws(labels, 0, seed=5, epochs=3, replacement=replacement)
    sampler = IndexStream(labels, 0, seed=5, purpose="base", replacement=replacement)
    assert drawn.shape == (3, 30)
    assert drawn.sum(axis=1).tolist() == [30] * 3
    assert drawn[2].tolist() == [list(sampler.indices(3)).count(row) for row in range(30)]


def test_in_a_shuffle_every_image_is_drawn_once():
    assert np.all(simulate_draws(np.repeat([0, 1], [9, 1]), 1.0, seed=0, epochs=4) == 1)


def test_decks_show_the_images_that_the_closed_form_expects():
    labels, counts = np.repeat([0, 1, 2], [30, 12, 3]), np.array([30, 12, 3])
    drawn = simulate_draws(labels, 0, seed=1, epochs=2000, replacement=False)
    seen = np.array([(drawn[:, labels == j] > 0).sum(axis=1).mean() for j in range(3)])
    # five standard errors: a class's number of cards has a standard deviation of at most 3.2
    assert seen == pytest.approx(
        expected_distinct(counts, 0, 45, replacement=False), abs=5 * 3.2 / np.sqrt(2000)
    )


def test_provenance_names_the_rows_of_both_parents_and_counts_their_uses_up_to_the_epoch():
    data = make_images()
    parts = draw_mixed_images(data, 1.0, 0.5, seed=2, epoch=3, size=6)
    assert np.array_equal(data.images[parts.base_rows], parts.base)
    assert np.array_equal(data.images[parts.balanced_rows], parts.balanced)
    rows = data.rows("train")
    sampler = balanced_stream(data.labels[rows], seed=2)
    drawn = np.concatenate([rows[sampler.indices(epoch)] for epoch in (1, 2, 3)])
    assert parts.uses.tolist() == [np.count_nonzero(drawn == row) for row in parts.balanced_rows]
