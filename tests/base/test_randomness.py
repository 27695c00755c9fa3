import hashlib
import itertools
import random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bmix_lite.base.randomness import derive_seed, stream

triples = st.tuples(st.integers(-50, 200), st.text("01/-a ", max_size=4), st.integers(-20, 200))


def test_the_same_seed_purpose_and_epoch_give_the_same_stream():
    first = stream(3, "lam", 2).random(100)
    assert np.array_equal(first, stream(3, "lam", 2).random(100))
    assert np.array_equal(stream(3, "lam").random(5), stream(3, "lam", 0).random(5))


def test_a_stream_is_the_same_in_every_process_and_release():
    digest = hashlib.blake2b(b"0/lam/3", digest_size=8).hexdigest()
    assert derive_seed(0, "lam", 3) == int(digest, 16) // 2 == 4930008006396345795
    assert stream(0, "lam", 3).random(2).tolist() == [0.6173928020164576, 0.10012607390329398]


@pytest.mark.parametrize(
    "other", [(1, "lam", 2), (0, "order", 2), (0, "lam", 3), (2, "lam", 0), (0, "lam2", 0)]
)
def test_changing_seed_purpose_or_epoch_changes_the_stream(other):
    assert not np.isin(stream(0, "lam", 2).random(1000), stream(*other).random(1000)).any()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((1, "1", 1), (11, "1", 0)),
        ((1, "1", 1), (1, "11", 1)),
        ((1, "1", 1), (1, "1", 11)),
        ((11, "", 1), (1, "1", 1)),
        ((0, "a", 12), (0, "a1", 2)),
        ((0, "a/1", 2), (0, "a", 12)),
        ((0, "1/2", 3), (0, "1", 23)),
        ((1, "2/3", 4), (1, "2", 34)),
        ((-1, "a", 0), (1, "a", 0)),
        ((1, "a", 2), (2, "a", 1)),
        ((1, "a", 0), (0, "a", 1)),
    ],
)
def test_arguments_that_look_alike_when_written_together_give_different_streams(one, other):
    assert derive_seed(*one) != derive_seed(*other)


@settings(max_examples=300)
@given(triples, triples)
def test_different_arguments_give_different_seeds_of_63_bits(one, other):
    assert (derive_seed(*one) == derive_seed(*other)) == (one == other)
    assert 0 <= derive_seed(*one) < 2**63


def test_neighbouring_streams_are_uncorrelated():
    names = itertools.product(range(4), ("base", "balanced", "lam"), (1, 2))
    draws = np.stack([stream(*name).random(4000) for name in names])
    off_diagonal = np.corrcoef(draws)[np.triu_indices(len(draws), 1)]
    assert np.abs(off_diagonal).max() < 5 / np.sqrt(4000)


def test_first_draws_of_consecutive_seeds_and_epochs_are_uniform():
    for first in (
        [stream(s, "lam").random() for s in range(2000)],
        [stream(0, "lam", e).random() for e in range(2000)],
    ):
        assert stats.kstest(first, "uniform").pvalue > 0.001
        assert abs(np.corrcoef(first[:-1], first[1:])[0, 1]) < 5 / np.sqrt(2000)


def test_no_global_generator_is_touched():
    random.seed(99)
    np.random.seed(99)  # noqa: NPY002
    torch.manual_seed(99)
    stream(0, "lam").random(10)
    assert random.random() == random.Random(99).random()
    assert np.random.random() == np.random.RandomState(99).random()  # noqa: NPY002
    assert torch.rand(1) == torch.rand(1, generator=torch.Generator().manual_seed(99))
