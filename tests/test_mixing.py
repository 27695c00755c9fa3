import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bmix_lite.errors import BmixError
from bmix_lite.mixing import balanced_mixup, draw_lam, mixup
from bmix_lite.randomness import stream

unit = st.floats(0, 1, width=32)


def make_batch(seed, size=5, shape=(1, 4, 4), classes=3):
    rng = np.random.default_rng(seed)
    x = torch.from_numpy(rng.random((size, *shape), dtype=np.float32))
    return x, torch.eye(classes)[rng.integers(0, classes, size)]


def authors_formula(instance, balanced, lam):
    lam = np.reshape(lam, (-1, *[1] * (instance.ndim - 1))).astype(float) if np.ndim(lam) else float(lam)
    return (1 - lam) * instance.double().numpy() + lam * balanced.double().numpy()


def test_lam_is_the_weight_of_the_balanced_batch():
    base, balanced = (torch.zeros(4, 1), torch.eye(3)[[0] * 4]), (torch.ones(4, 1), torch.eye(3)[[2] * 4])
    x, y = balanced_mixup(base, balanced, 0.25)
    assert x.unique().tolist() == [0.25]
    assert y.tolist() == [[0.75, 0, 0.25]] * 4


@settings(deadline=None, max_examples=100)
@given(st.integers(0, 2**32 - 1), st.lists(unit, min_size=5, max_size=5), st.booleans())
def test_it_is_the_formula_of_the_authors_to_float32_rounding(seed, lams, per_image):
    base, balanced = make_batch(seed), make_batch(seed + 1)
    lam = np.array(lams) if per_image else lams[0]
    for mixed, one, other in zip(balanced_mixup(base, balanced, lam), base, balanced, strict=True):
        # two roundings of numbers in [0, 1], each at most half of 2**-23
        np.testing.assert_allclose(mixed.numpy(), authors_formula(one, other, lam), rtol=0, atol=2**-23)


def test_a_stream_of_weights_mixes_images_as_the_authors_do():
    alpha, base, balanced = 0.2, make_batch(1), make_batch(2)
    for epoch in range(20):
        # their np.random.beta(alpha, 1) has the quantile function u**(1/alpha), here scipy's
        u = stream(0, "lam", epoch).random()
        lam = draw_lam(alpha, rng=stream(0, "lam", epoch))
        assert lam == pytest.approx(stats.beta.ppf(u, alpha, 1), rel=1e-9)
        x, y = balanced_mixup(base, balanced, lam)
        np.testing.assert_allclose(x.numpy(), authors_formula(base[0], balanced[0], lam), atol=2**-23)
        np.testing.assert_allclose(y.numpy(), authors_formula(base[1], balanced[1], lam), atol=2**-23)


@pytest.mark.parametrize("per_image", [False, True])
@pytest.mark.parametrize("lam", [0, 1])
def test_lam_zero_and_one_give_either_batch_bit_for_bit(lam, per_image):
    batches = make_batch(3), make_batch(4)
    weights = torch.full((5,), float(lam)) if per_image else lam
    x, y = balanced_mixup(*batches, weights)
    assert x.equal(batches[lam][0])
    assert y.equal(batches[lam][1])


def test_each_image_may_have_its_own_weight():
    base, balanced = (torch.zeros(3, 2), torch.eye(3)[[0, 0, 0]]), (torch.ones(3, 2), torch.eye(3)[[1, 1, 1]])
    x, y = balanced_mixup(base, balanced, torch.tensor([0.0, 0.5, 1.0]))
    assert x.tolist() == [[0, 0], [0.5, 0.5], [1, 1]]
    assert y.tolist() == [[1, 0, 0], [0.5, 0.5, 0], [0, 1, 0]]


@settings(deadline=None, max_examples=100)
@given(st.integers(0, 2**32 - 1), st.lists(unit, min_size=7, max_size=7))
def test_soft_labels_are_shares_that_sum_to_one(seed, lams):
    _, y = balanced_mixup(make_batch(seed, 7), make_batch(seed + 1, 7), torch.tensor(lams))
    assert y.min() >= 0
    assert (y.sum(dim=1) - 1).abs().max() < 1e-6


def test_mixing_makes_new_tensors_and_keeps_the_dtype():
    base, balanced = [tuple(part.double() for part in make_batch(seed)) for seed in (0, 1)]
    before = [part.clone() for part in (*base, *balanced)]
    x, y = balanced_mixup(base, balanced, 0.3)
    assert x.dtype == y.dtype == torch.float64
    x.zero_(), y.zero_()
    assert all(old.equal(new) for old, new in zip(before, (*base, *balanced), strict=True))


def test_strided_images_mix_like_contiguous_ones():
    base, balanced = make_batch(0, 4), make_batch(1, 4)
    strided = (base[0].permute(3, 2, 1, 0).contiguous().permute(3, 2, 1, 0), base[1])
    assert not strided[0].is_contiguous()
    assert balanced_mixup(strided, balanced, 0.3)[0].equal(balanced_mixup(base, balanced, 0.3)[0])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda x, y: (x[:4], y), r"x of the two batches must match, got \(5, 1, 4, 4\) and \(4, 1, 4, 4\)"),
        (lambda x, y: (x, y[:, :2]), r"y of the two batches must match, got \(5, 3\) and \(5, 2\)"),
    ],
)
def test_batches_of_different_shapes_are_refused(spoil, message):
    with pytest.raises(BmixError, match=message):
        balanced_mixup(make_batch(0), spoil(*make_batch(1)), 0.5)


def test_integers_are_refused_since_they_would_round_or_overflow():
    x, y = make_batch(0)
    pixels, numbers = (x * 255).to(torch.uint8), y.long()
    with pytest.raises(BmixError, match=r"x must be floating point, got torch\.uint8"):
        balanced_mixup((pixels, y), (pixels, y), 0.5)
    with pytest.raises(BmixError, match=r"y must be floating point, got torch\.int64"):
        balanced_mixup((x, numbers), (x, numbers), 0.5)


@pytest.mark.parametrize("lam", [-0.1, 1.1, float("nan"), float("inf"), [0.5, 0.5, 2.0, 0.5, 0.5]])
def test_lam_outside_zero_to_one_is_refused(lam):
    with pytest.raises(BmixError, match=r"lam must lie in \[0, 1\], got"):
        balanced_mixup(make_batch(0), make_batch(1), lam)


@pytest.mark.parametrize("shape", [(4,), (5, 1), (1, 5)])
def test_lam_of_another_length_than_the_batch_is_refused(shape):
    with pytest.raises(BmixError, match=r"lam must be a number or \(B,\), got"):
        balanced_mixup(make_batch(0), make_batch(1), torch.full(shape, 0.5))


def test_mixup_mixes_each_image_with_the_one_in_its_place():
    x, y = torch.tensor([[0.0], [1.0], [2.0]]), torch.eye(3)
    mixed, soft = mixup((x, y), 0.25, torch.tensor([2, 0, 1]))
    assert mixed.flatten().tolist() == [0.5, 0.75, 1.75]
    assert soft.tolist() == [[0.75, 0, 0.25], [0.25, 0.75, 0], [0, 0.25, 0.75]]


@pytest.mark.parametrize("alpha", [0.1, 0.2, 0.5, 1, 3.0])
def test_lam_follows_the_beta_distribution(alpha):
    drawn = draw_lam(alpha, 10_000, rng=stream(0, "test"))
    assert stats.kstest(drawn, stats.beta(alpha, 1).cdf).pvalue > 0.001
    # five standard errors; the standard deviation of Beta(alpha, 1) is below 0.3
    assert drawn.mean() == pytest.approx(alpha / (alpha + 1), abs=0.015)


def test_alpha_zero_gives_lam_zero_exactly():
    assert draw_lam(0, rng=stream(0, "test")) == 0
    assert (draw_lam(0.0, 100, rng=stream(0, "test")) == 0).all()


@settings(deadline=None, max_examples=100)
@given(st.floats(0, 1e300), st.integers(0, 2**32))
def test_lam_lies_in_zero_to_one_for_every_alpha(alpha, seed):
    drawn = draw_lam(alpha, 50, rng=stream(seed, "test"))
    assert ((drawn >= 0) & (drawn <= 1)).all()
    assert 0 <= draw_lam(alpha, rng=stream(seed, "test")) <= 1


def test_a_larger_alpha_gives_a_larger_lam_from_the_same_draw():
    drawn = [draw_lam(alpha, 100, rng=stream(0, "test")) for alpha in (0, 1e-8, 0.1, 0.2, 1, 1e6)]
    assert (np.diff(drawn, axis=0) >= 0).all()
    assert drawn[1].max() < 1e-3  # alpha = 1e-8 never mixes, 1e6 shows the balanced batch alone
    assert drawn[-1].min() > 0.999


@pytest.mark.parametrize("alpha", [-0.2, float("nan"), float("inf"), "0.5", None, True])
def test_an_alpha_that_means_nothing_is_refused(alpha):
    with pytest.raises(BmixError, match=r"alpha must be a finite number >= 0, got"):
        draw_lam(alpha, rng=stream(0, "test"))
