import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bmix_lite.base.errors import BmixError
from bmix_lite.base.randomness import stream
from bmix_lite.mixing import balanced_mixup, cut_box, cutmix, draw_lam, mixup, paste_box, remix

unit = st.floats(0, 1, width=32)


def make_batch(seed, size=5, shape=(1, 4, 4), classes=3):
    rng = np.random.default_rng(seed)
    x = torch.from_numpy(rng.random((size, *shape), dtype=np.float32))
    return x, torch.eye(classes)[rng.integers(0, classes, size)]


def authors_formula(instance, balanced, lam):
    lam = (
        np.reshape(lam, (-1, *[1] * (instance.ndim - 1))).astype(float)
        if np.ndim(lam)
        else float(lam)
    )
    return (1 - lam) * instance.double().numpy() + lam * balanced.double().numpy()


def test_lam_is_the_weight_of_the_balanced_batch():
    base, balanced = (
        (torch.zeros(4, 1), torch.eye(3)[[0] * 4]),
        (torch.ones(4, 1), torch.eye(3)[[2] * 4]),
    )
    x, y = balanced_mixup(base, balanced, 0.25)
    assert x.unique().tolist() == [0.25]
    assert y.tolist() == [[0.75, 0, 0.25]] * 4


@settings(max_examples=100)
@given(st.integers(0, 2**32 - 1), st.lists(unit, min_size=5, max_size=5), st.booleans())
def test_it_is_the_formula_of_the_authors_to_float32_rounding(seed, lams, per_image):
    base, balanced = make_batch(seed), make_batch(seed + 1)
    lam = np.array(lams) if per_image else lams[0]
    for mixed, one, other in zip(balanced_mixup(base, balanced, lam), base, balanced, strict=True):
        # two roundings of numbers in [0, 1], each at most half of 2**-23
        np.testing.assert_allclose(
            mixed.numpy(), authors_formula(one, other, lam), rtol=0, atol=2**-23
        )


def test_a_stream_of_weights_mixes_images_as_the_authors_do():
    alpha, base, balanced = 0.2, make_batch(1), make_batch(2)
    for epoch in range(20):
        # their np.random.beta(alpha, 1) has the quantile function u**(1/alpha), here scipy's
        u = stream(0, "lam", epoch).random()
        lam = draw_lam(alpha, rng=stream(0, "lam", epoch))
        assert lam == pytest.approx(stats.beta.ppf(u, alpha, 1), rel=1e-9)
        x, y = balanced_mixup(base, balanced, lam)
        np.testing.assert_allclose(
            x.numpy(), authors_formula(base[0], balanced[0], lam), atol=2**-23
        )
        np.testing.assert_allclose(
            y.numpy(), authors_formula(base[1], balanced[1], lam), atol=2**-23
        )


@pytest.mark.parametrize("per_image", [False, True])
@pytest.mark.parametrize("lam", [0, 1])
def test_lam_zero_and_one_give_either_batch_bit_for_bit(lam, per_image):
    batches = make_batch(3), make_batch(4)
    weights = torch.full((5,), float(lam)) if per_image else lam
    x, y = balanced_mixup(*batches, weights)
    assert x.equal(batches[lam][0])
    assert y.equal(batches[lam][1])


def test_each_image_may_have_its_own_weight():
    base, balanced = (
        (torch.zeros(3, 2), torch.eye(3)[[0, 0, 0]]),
        (torch.ones(3, 2), torch.eye(3)[[1, 1, 1]]),
    )
    x, y = balanced_mixup(base, balanced, torch.tensor([0.0, 0.5, 1.0]))
    assert x.tolist() == [[0, 0], [0.5, 0.5], [1, 1]]
    assert y.tolist() == [[1, 0, 0], [0.5, 0.5, 0], [0, 1, 0]]


@settings(max_examples=100)
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
        (
            lambda x, y: (x[:4], y),
            r"x of the two batches must match, got \(5, 1, 4, 4\) and \(4, 1, 4, 4\)",
        ),
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


# Remix

COUNTS = [300, 100, 99, 1]  # kappa = 3 lies between the first two and the first and third


def chou(own, other, weight_own, counts=COUNTS, kappa=3, tau=0.5):
    """The paper's rule: the weight of the first label, by its lambda, that of the first image."""
    if counts[own] / counts[other] >= kappa and weight_own < tau:
        return 0.0
    if counts[own] / counts[other] <= 1 / kappa and 1 - weight_own < tau:
        return 1.0
    return weight_own


@pytest.mark.parametrize("weight", [0.0, 0.25, 0.5, 0.75, 1.0])
def test_remix_labels_every_pair_of_classes_by_the_rule_of_the_paper(weight):
    pairs = [(own, other) for own in range(4) for other in range(4)]
    classes, order = np.array(pairs).ravel(), np.arange(32).reshape(16, 2)[:, ::-1].ravel()
    x = torch.arange(32.0).reshape(32, 1)
    mixed, y = remix((x, torch.eye(4)[classes]), 1 - weight, torch.from_numpy(order.copy()), COUNTS)
    torch.testing.assert_close(mixed, weight * x + (1 - weight) * x[order.copy()])
    for label, own, other in zip(y, classes, classes[order], strict=True):
        share = chou(own, other, weight)
        expected = share * np.eye(4)[own] + (1 - share) * np.eye(4)[other]
        assert label.tolist() == pytest.approx(expected.tolist())


def test_remix_gives_the_rare_class_the_whole_label_where_its_image_weighs_more():
    batch = torch.tensor([[0.0], [1.0]]), torch.eye(2)
    x, y = remix(batch, torch.tensor([0.6, 0.6]), torch.tensor([1, 0]), [30, 10])
    assert x.flatten().tolist() == pytest.approx([0.6, 0.4])
    assert y.tolist() == [[0, 1], [pytest.approx(0.6), pytest.approx(0.4)]]
    _, y = remix(batch, 0.6, torch.tensor([1, 0]), [29, 10])  # a ratio below 3: as MixUp
    assert y[0].tolist() == pytest.approx([0.4, 0.6])


@settings(max_examples=50)
@given(st.integers(0, 2**32 - 1), unit)
def test_remix_of_equal_classes_is_mixup(seed, lam):
    batch, order = make_batch(seed), torch.tensor([4, 0, 1, 2, 3])
    for ours, theirs in zip(
        remix(batch, lam, order, [50, 50, 50]), mixup(batch, lam, order), strict=True
    ):
        assert ours.equal(theirs)


def test_remix_refuses_soft_labels_and_counts_of_another_length():
    (x, y), order = make_batch(0), torch.arange(5)
    with pytest.raises(BmixError, match=r"Remix needs one-hot labels: .* soft labels have none"):
        remix((x, y * 0.5 + 0.5 / 3), 0.5, order, [3, 2, 1])
    with pytest.raises(BmixError, match=r"counts must be \(3,\), one per class, got \(2,\)"):
        remix((x, y), 0.5, order, [3, 2])
    with pytest.raises(BmixError, match=r"lam must lie in \[0, 1\], got 2"):
        remix((x, y), 2, order, [3, 2, 1])


# CutMix


@pytest.mark.parametrize(
    ("lam", "centre", "shape", "box"),
    [
        (0.25, (0.5, 0.5), (8, 8), (2, 6, 2, 6)),  # half of each side
        (0.25, (0.5, 0.5), (16, 8), (4, 12, 2, 6)),
        (0.25, (0.0, 0.5), (8, 8), (0, 2, 2, 6)),  # half of it lies outside
        (0.25, (1.0, 1.0), (8, 8), (6, 8, 6, 8)),
        (0.0, (0.3, 0.9), (8, 8), (2, 2, 7, 7)),
        (1.0, (0.5, 0.5), (8, 8), (0, 8, 0, 8)),
        (0.5, (0.5, 0.5), (10, 10), (1, 9, 1, 9)),  # 10 * sqrt(0.5) = 7.07, from 1.46 to 8.54
        (1.0, (0.5, 0.5), (1, 1), (0, 1, 0, 1)),
    ],
)
def test_the_box_of_cutmix_as_computed_by_hand(lam, centre, shape, box):
    assert tuple(cut_box(lam, centre, shape)) == box


def test_the_box_holds_the_share_of_the_area_that_it_is_told():
    lam = np.linspace(0, 1, 101)
    top, bottom, left, right = cut_box(lam, np.full((2, 101), 0.5), (1000, 2000))
    # each side is right to one pixel, of which the longer other side has 2000
    assert ((bottom - top) * (right - left)) / 2e6 == pytest.approx(lam, abs=1.6e-3)


def cut_by_loops(x, y, boxes, order):
    images, labels = x.clone(), y.double()
    for b, (top, bottom, left, right) in enumerate(boxes):
        inside = 0
        for i in range(top, bottom):
            for j in range(left, right):
                images[b, :, i, j] = x[order[b], :, i, j]
                inside += 1
        share = inside / (x.shape[2] * x.shape[3])
        labels[b] = (1 - share) * y[b].double() + share * y[order[b]].double()
    return images, labels


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_cutmix_is_what_loops_over_pixels_make_of_it(seed, per_image):
    rng = np.random.default_rng(seed)
    x, y = make_batch(seed, shape=(2, 7, 5))
    order = rng.permutation(5)
    boxes = (
        cut_box(rng.random(5), rng.random((2, 5)), (7, 5))
        if per_image
        else cut_box(rng.random(), rng.random(2), (7, 5))
    )
    before = x.clone()
    mixed, soft = cutmix((x, y), boxes, torch.from_numpy(order))
    images, labels = cut_by_loops(x, y, boxes.T if per_image else [boxes] * 5, order)
    assert mixed.equal(images)
    assert x.equal(before)
    np.testing.assert_allclose(soft.numpy(), labels.numpy(), atol=1e-6)


@pytest.mark.parametrize(("side", "theirs"), [(8, 0.23), (32, 0.30), (224, 0.32)])
def test_boxes_hold_their_share_on_average_where_the_authors_code_cuts_less(side, theirs):
    """Cut off at the edges: the length 2h - h**2 for h = sqrt(lam) / 2, and lam is uniform.

    E[(sqrt(lam) - lam / 4)**2] = 1/2 - 1/5 + 1/48 = 0.3208
    """
    rng = np.random.default_rng(side)
    lam, centre = rng.random(100_000), rng.random((2, 100_000))
    top, bottom, left, right = cut_box(lam, centre, (side, side))
    share = ((bottom - top) * (right - left)).mean() / side**2
    assert share == pytest.approx(1 / 2 - 1 / 5 + 1 / 48, abs=0.005)
    whole = (side * np.sqrt(lam)).astype(int) // 2  # half the side, in whole pixels
    middle = (centre * side).astype(int)
    lengths = np.clip(middle + whole, 0, side) - np.clip(middle - whole, 0, side)
    assert lengths.prod(axis=0).mean() / side**2 == pytest.approx(theirs, abs=0.005)


def test_a_pasted_box_is_that_of_the_other_batch_by_loops_over_pixels():
    rng = np.random.default_rng(0)
    (x, y), (other_x, other_y) = make_batch(0), make_batch(1)
    boxes = cut_box(rng.random(5), rng.random((2, 5)), (4, 4))
    mixed, labels = paste_box((x, y), (other_x, other_y), boxes)
    for i, (top, bottom, left, right) in enumerate(boxes.T):
        expected = x[i].clone()
        for row in range(top, bottom):
            for column in range(left, right):
                expected[:, row, column] = other_x[i, :, row, column]
        assert mixed[i].equal(expected)
        area = (bottom - top) * (right - left) / 16
        torch.testing.assert_close(labels[i], (1 - area) * y[i] + area * other_y[i])


def test_an_empty_box_changes_nothing_and_a_whole_one_takes_the_other_image():
    (x, y), order = make_batch(0), torch.tensor([1, 2, 3, 4, 0])
    mixed, soft = cutmix((x, y), (2, 2, 0, 4), order)
    assert (mixed.equal(x), soft.equal(y)) == (True, True)
    mixed, soft = cutmix((x, y), (0, 4, 0, 4), order)
    assert (mixed.equal(x[order]), soft.equal(y[order])) == (True, True)


@pytest.mark.parametrize(
    ("shape", "box", "message"),
    [
        ((4,), (0, 1, 0, 1), r"CutMix needs images \(B, channels, H, W\), got \(5, 4\)"),
        ((1, 4, 4), (0, 1, 0), r"box must be \(4,\) or \(4, 5\), got \(3,\)"),
        ((1, 4, 4), np.zeros((4, 3), int), r"box must be \(4,\) or \(4, 5\), got \(4, 3\)"),
        ((1, 4, 4), (0, 5, 0, 1), r"box must lie within the image of 4 x 4, got \[0, 5, 0, 1\]"),
        ((1, 4, 4), (0, 1, 2, 1), r"box must lie within the image of 4 x 4, got \[0, 1, 2, 1\]"),
    ],
)
def test_a_box_that_does_not_fit_is_refused(shape, box, message):
    with pytest.raises(BmixError, match=message):
        cutmix(make_batch(0, shape=shape), box, torch.arange(5))


@pytest.mark.parametrize("alpha", [0.1, 0.2, 0.5, 1, 3.0])
def test_lam_follows_the_beta_distribution(alpha):
    drawn = draw_lam(alpha, 10_000, rng=stream(0, "test"))
    assert stats.kstest(drawn, stats.beta(alpha, 1).cdf).pvalue > 0.001
    # five standard errors; the standard deviation of Beta(alpha, 1) is below 0.3
    assert drawn.mean() == pytest.approx(alpha / (alpha + 1), abs=0.015)


def test_alpha_zero_gives_lam_zero_exactly():
    assert draw_lam(0, rng=stream(0, "test")) == 0
    assert (draw_lam(0.0, 100, rng=stream(0, "test")) == 0).all()


@settings(max_examples=100)
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
