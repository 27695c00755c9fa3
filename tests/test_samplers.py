import hashlib
import random

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from bmix_lite import samplers
from bmix_lite.base.errors import BmixError
from bmix_lite.distribution import (
    class_probabilities,
    effective_probabilities,
    progressive_probabilities,
)
from bmix_lite.samplers import BatchSampler, IndexStream, balanced_stream, count_batches

COUNTS = [70, 25, 5]
LABELS = np.random.default_rng(0).permutation(np.repeat([0, 1, 2], COUNTS))
few = settings(max_examples=60)


def make(q=1.0, *, labels=LABELS, seed=0, purpose="base", **options):
    return IndexStream(labels, q, seed=seed, purpose=purpose, **options)


def fits(shares, drawn):
    return stats.chisquare(drawn, np.asarray(shares) * drawn.sum()).pvalue > 0.001


@pytest.mark.parametrize("n", [100, 65_536, 70_001])
def test_q_of_one_is_a_shuffle_that_holds_every_image_once(n):
    order = make(labels=np.arange(n) % 2).indices(1)
    assert order.dtype == np.int64
    assert np.array_equal(np.sort(order), np.arange(n))
    assert abs(stats.spearmanr(order, np.arange(n)).statistic) < 5 / np.sqrt(n)


@pytest.mark.parametrize("q", [0, 0.25, 0.5, 0.9])
def test_classes_are_drawn_with_their_promised_shares_and_images_of_a_class_alike(q):
    drawn = make(q, draws=200_000).indices(1)
    assert fits(class_probabilities(COUNTS, q), np.bincount(LABELS[drawn]))
    for j in range(3):
        assert fits(1 / COUNTS[j], np.bincount(drawn, minlength=100)[j == LABELS])


def test_draws_with_replacement_do_not_depend_on_each_other():
    drawn = LABELS[make(0, draws=90_000).indices(1)]
    pairs = np.bincount(drawn[:-1:2] * 3 + drawn[1::2], minlength=9)
    assert fits(1 / 9, pairs)


@pytest.mark.parametrize("epoch", [1, 2, 4])
def test_progressive_draws_follow_the_shares_of_their_epoch(epoch):
    base = make("progressive", epochs=4, draws=100_000)
    expected = progressive_probabilities(COUNTS, epoch, 4)
    assert base.probabilities(epoch).tolist() == expected.tolist()
    assert fits(expected, np.bincount(LABELS[base.indices(epoch)]))


def test_effective_draws_follow_their_shares_in_every_epoch():
    labels = np.repeat([0, 1], [30_000, 3_000])
    expected = effective_probabilities([30_000, 3_000])
    assert 0.6 < expected[0] < 0.9  # neither balanced nor as the data, so that the test can tell
    for epoch in (1, 4):
        drawn = make("effective", labels=labels, epochs=4, draws=100_000).indices(epoch)
        assert fits(expected, np.bincount(labels[drawn]))


SEVEN = np.random.default_rng(0).permutation(
    np.repeat(np.arange(7), [90_000, 30_000, 9000, 900, 70, 30, 1])
)


@pytest.mark.parametrize(
    ("drawn", "expected"),
    [
        (balanced_stream(SEVEN, seed=0).indices(1), "eca2ebad2d208b71"),
        (balanced_stream(SEVEN, seed=5, draw="deck").indices(2), "ea7910d2fdbba2f6"),
        (make(0.5, labels=SEVEN, seed=1).indices(3), "ceb6052aa16e7d65"),
        (make("progressive", labels=SEVEN, seed=1, epochs=3).indices(3), "c719d8e9bb8e578f"),
        (make(labels=SEVEN, seed=1).indices(3), "f5cf5d4018124ed6"),
    ],
)
def test_streams_hold_the_same_indices_as_in_runs_of_old(drawn, expected):
    assert hashlib.sha256(drawn.tobytes()).hexdigest()[:16] == expected


@pytest.mark.parametrize(
    ("batch_size", "world_size", "expected"),
    [
        (32, 1, "1a665fd2aaa689b6"),
        (7, 3, "9f113e6c9caf3965"),
        (1, 1, "e38cafdf3caaa1bd"),
        (130_001, 1, "ed4f278854aac34d"),
    ],
)
def test_epochs_are_cut_into_the_same_batches_as_in_runs_of_old(batch_size, world_size, expected):
    batches = balanced_stream(SEVEN, seed=0).batches(1, batch_size, world_size)
    sized = np.concatenate([np.append(len(batch), batch) for batch in batches])
    assert hashlib.sha256(sized.tobytes()).hexdigest()[:16] == expected


@few
@given(st.integers(1, 3000), st.booleans(), st.integers(0, 2**32))
def test_classes_are_found_where_searchsorted_finds_them_also_at_the_edges(count, alike, seed):
    rng = np.random.default_rng(seed)
    shares = np.ones(count) if alike else rng.random(count) + 0.01
    cumulative = np.cumsum(shares / shares.sum())
    edges = np.concatenate([cumulative[:-1], np.arange(count) / count, [1 - 2**-53]])
    draws = np.concatenate([rng.random(100), edges, np.nextafter(edges, 0), np.nextafter(edges, 1)])
    draws = draws[(draws >= 0) & (draws * cumulative[-1] < cumulative[-1])]
    expected = np.searchsorted(cumulative, draws * cumulative[-1], side="right")
    assert np.array_equal(samplers._find_classes(cumulative, draws), expected)


def test_a_progressive_epoch_after_the_last_is_refused():
    with pytest.raises(BmixError, match=r"epoch must lie in 1\.\.4, got 5"):
        make("progressive", epochs=4).indices(5)


@pytest.mark.parametrize("counts", [[70, 25, 5], [1, 3, 50]])
def test_a_deck_deals_every_image_of_a_class_once_before_any_twice(counts):
    labels = np.random.default_rng(1).permutation(np.repeat([0, 1, 2], counts))
    drawn = make(0, labels=labels, replacement=False, draws=70_000).indices(1)
    assert fits(1 / 3, np.bincount(labels[drawn]))
    for j, count in enumerate(counts):
        dealt = drawn[labels[drawn] == j]
        decks = dealt[: len(dealt) // count * count].reshape(-1, count)
        assert (np.sort(decks, axis=1) == np.flatnonzero(labels == j)).all()
        assert len(set(dealt[decks.size :])) == len(dealt) - decks.size
        if count > 3:
            assert not (decks[0] == decks[1]).all()
            assert fits(1 / count, np.bincount(np.argsort(decks)[:, 0], minlength=count))


@few
@given(st.integers(1, 300), st.integers(1, 40), st.sampled_from([0, 0.5, 1]), st.booleans())
def test_batches_are_the_epoch_cut_in_full_batches_and_never_end_with_one_image(
    draws, batch_size, q, short_chunks
):
    stream = make(q, labels=np.arange(draws) % min(draws, 3), draws=draws)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(samplers, "DRAWS_AT_ONCE", 7 if short_chunks else samplers.DRAWS_AT_ONCE)
        batches = list(stream.batches(2, batch_size))
        assert np.array_equal(np.concatenate(batches), stream.indices(2))
    sizes = [len(batch) for batch in batches]
    assert set(sizes[:-1]) <= {batch_size}
    assert sizes[-1] <= batch_size + 1
    assert sizes[-1] > 1 or draws == 1 or batch_size == 1
    assert len(sizes) == count_batches(draws, batch_size)


@pytest.mark.parametrize(
    ("draws", "batch_size", "sizes"),
    [
        (8, 4, [4, 4]),
        (9, 4, [4, 5]),
        (10, 4, [4, 4, 2]),
        (3, 1, [1, 1, 1]),
        (5, 4, [5]),
        (3, 4, [3]),
        (1, 4, [1]),
    ],
)
def test_a_lone_last_image_joins_the_batch_before_it(draws, batch_size, sizes):
    stream = make(labels=[0] * draws)
    assert [len(batch) for batch in stream.batches(1, batch_size)] == sizes
    assert count_batches(draws, batch_size) == len(sizes)


@few
@given(st.integers(1, 400), st.integers(1, 12), st.integers(1, 5))
def test_a_short_batch_is_dropped_as_torchs_loader_drops_it(n, batch_size, world_size):
    whole = batch_size * world_size
    assume(n >= whole)
    stream = make(labels=np.zeros(n, int))
    loader = torch.utils.data.DataLoader(stream.indices(2), whole, drop_last=True)
    ranks = [
        BatchSampler(stream, batch_size, rank=rank, world_size=world_size, drop_last=True)
        for rank in range(world_size)
    ]
    for sampler in ranks:
        sampler.set_epoch(1)
    epochs = [list(sampler) for sampler in ranks]
    for sampler, drawn in zip(ranks, epochs, strict=True):
        assert len(drawn) == len(sampler) == len(loader)
        assert {len(batch) for batch in drawn} == {batch_size}
    for batch, *parts in zip(loader, *epochs, strict=True):
        assert sorted(batch.tolist()) == sorted(i for part in parts for i in part)


def test_without_shuffling_the_images_of_q_1_are_drawn_with_replacement():
    draws = 30_000
    stream = make(shuffle=False, draws=draws)
    images = len(LABELS)
    assert fits(1 / images, np.bincount(stream.indices(1), minlength=images))
    # of an epoch of N draws a share of (1 - 1/N)^N of the images is not seen
    epochs = make(labels=np.zeros(1000, int), shuffle=False)
    missed = [1000 - len(set(epochs.indices(epoch).tolist())) for epoch in range(1, 51)]
    assert np.mean(missed) == pytest.approx(1000 * (1 - 1 / 1000) ** 1000, abs=10)
    assert np.array_equal(make(0, shuffle=False).indices(1), make(0).indices(1))


def test_an_epoch_is_a_pure_function_of_seed_purpose_and_epoch():
    for q, options in (
        (1, {}),
        (0.5, {}),
        (0, {"replacement": False}),
        ("progressive", {"epochs": 9}),
    ):
        stream = make(q, **options)
        later = stream.indices(5)
        next(stream.batches(1, 8))
        assert np.array_equal(stream.indices(5), later)
        assert np.array_equal(make(q, **options).indices(5), later)
        for other in (
            make(q, seed=1, **options).indices(5),
            make(q, purpose="x", **options).indices(5),
        ):
            assert not np.array_equal(other, later)
        assert not np.array_equal(stream.indices(6), later)


def test_base_and_balanced_streams_of_a_seed_are_independent():
    pairs = LABELS[make(0, draws=90_000).indices(1)] * 3
    pairs = pairs + LABELS[balanced_stream(LABELS, seed=0, draws=90_000).indices(1)]
    assert fits(1 / 9, np.bincount(pairs, minlength=9))


def test_no_global_generator_is_touched_or_heeded():
    epochs = []
    for seed in (98, 99):
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        torch.manual_seed(seed)
        epochs.append(
            [make(1).indices(1), make(0).indices(1), make(0, replacement=False).indices(1)]
        )
    assert np.array_equal(*epochs)
    assert random.random() == random.Random(99).random()
    assert np.random.random() == np.random.RandomState(99).random()  # noqa: NPY002
    assert torch.rand(1) == torch.rand(1, generator=torch.Generator().manual_seed(99))


def test_more_than_2_to_the_24_images_can_be_drawn():
    labels = np.zeros(2**24 + 1000, np.int8)
    labels[2**24 :] = 1
    drawn = make(0, labels=labels, draws=40_000).indices(1)
    rare = drawn[drawn >= 2**24] - 2**24
    assert fits(1 / 1000, np.bincount(rare, minlength=1000))
    assert stats.kstest(drawn[drawn < 2**24] / 2**24, "uniform").pvalue > 0.001
    assert stats.binomtest(len(rare), 40_000).pvalue > 0.001


def test_the_first_batch_of_a_billion_draws_comes_at_once():
    stream = make(0, draws=10**9)
    assert len(stream) == 10**9
    assert len(next(stream.batches(1, 32))) == 32


@pytest.mark.parametrize(("draw", "repeats"), [("replacement", True), ("deck", False)])
def test_the_balanced_stream_draws_as_it_is_told(draw, repeats):
    drawn = balanced_stream(LABELS, seed=0, draw=draw, draws=60).indices(1)
    common = drawn[LABELS[drawn] == 0]
    assert (len(set(common)) < len(common)) == repeats
    same = make(0, purpose="balanced", replacement=repeats, draws=60)
    assert np.array_equal(drawn, same.indices(1))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(q=-0.1), r"q must be a number in \[0, 1\], got -0\.1"),
        (dict(q=float("nan")), r"q must be .* got nan"),
        (dict(q="progresive"), r"q must be .* got 'progresive'"),
        (dict(q="effective"), "q='effective' needs epochs >= 1, got None"),
        (dict(q="progressive"), "q='progressive' needs epochs >= 1, got None"),
        (dict(q="progressive", epochs=0), "needs epochs >= 1, got 0"),
        (dict(q="progressive", epochs=1.5), r"needs epochs >= 1, got 1\.5"),
        (dict(q=0.5, replacement=False), r"replacement=False needs q=0, got q=0\.5"),
        (dict(q=1, draws=50), "q=1 is a shuffle"),
        (dict(q=0, draws=0), "draws must be .* got 0"),
        (dict(q=0, draws=-5), "draws must be .* got -5"),
        (dict(q=0, draws=2.5), r"draws must be .* got 2\.5"),
        (dict(num_classes=4), r"classes \[3\] have none"),
        (dict(num_classes=2), r"labels must lie in 0\.\.1, got 2 in row"),
        (dict(labels=[0, -1]), r"labels must lie in 0\.\.0, got -1 in row 1"),
        (dict(labels=[0, 2]), r"classes \[1\] have none"),
    ],
)
def test_a_stream_refuses_bad_arguments_in_words(arguments, message):
    with pytest.raises(BmixError, match=message):
        make(**arguments)


def test_an_unknown_way_of_drawing_is_refused_with_the_nearest_one():
    with pytest.raises(
        BmixError, match=r"balanced_draw must be one of replacement, deck, got 'dekc'.*'deck'"
    ):
        balanced_stream(LABELS, seed=0, draw="dekc")


@pytest.mark.parametrize("batch_size", [0, -1, 2.5])
def test_batches_without_size_are_refused(batch_size):
    with pytest.raises(BmixError, match=f"batch_size must be an integer >= 1, got {batch_size}"):
        next(make().batches(1, batch_size))
    with pytest.raises(BmixError, match=f"batch_size must be an integer >= 1, got {batch_size}"):
        BatchSampler(make(), batch_size)


@few
@given(st.integers(2, 400), st.integers(1, 12), st.integers(1, 5))
def test_ranks_share_an_epoch_without_losing_or_doubling_an_image_and_take_equal_steps(
    n, batch_size, world_size
):
    assume(n >= batch_size * world_size)
    stream = make(labels=np.zeros(n, int))
    ranks = [
        BatchSampler(stream, batch_size, rank=rank, world_size=world_size)
        for rank in range(world_size)
    ]
    for sampler in ranks:
        sampler.set_epoch(2)
    epochs = [list(sampler) for sampler in ranks]
    assert (
        [len(sampler) for sampler in ranks]
        == [len(epochs[0])] * world_size
        == [len(batches) for batches in epochs]
    )
    assert sorted(i for batches in epochs for batch in batches for i in batch) == list(range(n))
    for step, whole in enumerate(stream.batches(3, batch_size, world_size)):
        parts = [batches[step] for batches in epochs]
        assert sorted(i for part in parts for i in part) == sorted(whole)
        assert min(map(len, parts)) >= min(2, batch_size)
        assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize(
    ("n", "world_size", "sizes"),
    [
        (14, 3, [[5], [5], [4]]),
        (17, 3, [[6], [6], [5]]),
        (18, 3, [[4, 2], [4, 2], [4, 2]]),
        (9, 2, [[5], [4]]),
    ],
)
def test_a_short_last_step_leaves_no_process_a_lone_image_or_none(n, world_size, sizes):
    stream = make(labels=[0] * n)
    ranks = [
        BatchSampler(stream, 4, rank=rank, world_size=world_size) for rank in range(world_size)
    ]
    assert [[len(batch) for batch in sampler] for sampler in ranks] == sizes


@pytest.mark.parametrize(
    ("n", "arguments", "message"),
    [
        (10, dict(batch_size=11), "batch_size must fit 10 images, got 11"),
        (10, dict(batch_size=4, world_size=3), "batch_size must fit 10 images, got 12"),
        (10, dict(batch_size=2, rank=2, world_size=2), r"rank must lie in 0\.\.1, got 2"),
        (10, dict(batch_size=2, rank=-1), r"rank must lie in 0\.\.0, got -1"),
    ],
)
def test_a_batch_sampler_that_cannot_work_is_refused_in_words(n, arguments, message):
    with pytest.raises(BmixError, match=message):
        BatchSampler(make(labels=[0] * n), **arguments)


def test_it_serves_as_batch_sampler_of_a_torch_dataloader():
    sampler = BatchSampler(make(), 33)
    data = torch.utils.data.TensorDataset(torch.arange(100), torch.from_numpy(LABELS))
    loader = torch.utils.data.DataLoader(data, batch_sampler=sampler, generator=torch.Generator())
    epochs = []
    for epoch in (1, 2):
        sampler.set_epoch(epoch - 1)
        batches = list(loader)
        assert len(batches) == len(loader) == 3
        assert [len(rows) for rows, _ in batches] == [33, 33, 34]
        rows, labels = (torch.cat(part).numpy() for part in zip(*batches, strict=True))
        assert np.array_equal(rows, make().indices(epoch))
        assert np.array_equal(labels, LABELS[rows])
        epochs.append(rows.tolist())
    assert epochs[0] != epochs[1]
