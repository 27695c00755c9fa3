"""Index streams: which images an epoch is made of. NumPy arrays, for any framework.

A stream is a pure function of (labels, q, seed, purpose, epoch): it has no state to lose.
"""

import numpy as np

from bmix_lite.base.errors import BmixError, require_choice, require_integer
from bmix_lite.base.numbers import from_torch, plain_number
from bmix_lite.base.randomness import stream
from bmix_lite.distribution import count_classes, sampling_probabilities

DRAWS_AT_ONCE = 1 << 16  # so the first batch of a long epoch comes at once and memory stays bounded


class IndexStream:
    """Epochs of image indices, class j drawn with probability p_j(q).

    labels : (N,) integers 0..C-1, every class present
    q      : 1 is a shuffle, every image once; any other q in [0, 1] draws with replacement, the
             class first, then an image of it (so there is no limit of 2**24 images). A name of
             `distribution.SAMPLINGS` gives the shares of each of `epochs`: "progressive" moves
             from q=1 to q=0.
    replacement : False (q=0 only) deals each class from its own deck, reshuffled when it runs out
    shuffle : False draws with replacement also where q=1: each of N images with probability 1/N
    draws  : length of an epoch, N by default
    """

    def __init__(
        self,
        labels,
        q=1.0,
        *,
        seed,
        purpose,
        replacement=True,
        shuffle=True,
        epochs=None,
        draws=None,
        num_classes=None,
    ):
        labels = from_torch(labels)
        self.counts = count_classes(labels, num_classes)
        self.q = plain_number(q)
        self.seed = seed
        self.purpose = purpose
        self.epochs = epochs
        self.draws = len(labels) if draws is None else draws
        self.replacement = replacement
        self.shuffle = shuffle and self.q == 1
        sampling_probabilities(self.counts, q, 1, epochs)  # refuses a wrong q
        require_integer("draws", self.draws, 1)
        if not replacement and self.q != 0:
            raise BmixError(f"replacement=False needs q=0, got q={q!r}")
        if self.shuffle and self.draws != len(labels):
            raise BmixError("q=1 is a shuffle: its epoch has exactly N draws")
        # int32 and sorted by label: 4 bytes per image, and each class is one slice
        smallest = np.int32 if len(labels) < 2**31 else np.int64
        self.by_class = np.argsort(labels, kind="stable").astype(smallest)
        self.starts = np.concatenate([[0], np.cumsum(self.counts)])[:-1]

    def __len__(self):
        return self.draws

    def probabilities(self, epoch):
        """Class shares (C,) in this epoch, counted from 1."""
        return sampling_probabilities(self.counts, self.q, epoch, self.epochs)

    def indices(self, epoch):
        """All indices of one epoch, (draws,) int64."""
        return np.concatenate(list(self._draw(epoch)))

    def batches(self, epoch, batch_size, world_size=1, drop_last=False):
        """Yield the epoch as index arrays of batch_size * world_size.

        A remainder that would leave a process fewer than two images joins the batch before it:
        BatchNorm needs two. drop_last: any remainder is left out.
        """
        require_integer("batch_size", batch_size, 1)
        whole_batch = batch_size * world_size
        longest_last = whole_batch - 1
        if not drop_last:
            longest_last += _fewest(batch_size, world_size)
        waiting = np.empty(0, dtype=np.int64)
        for drawn in self._draw(epoch):
            waiting = np.concatenate([waiting, drawn])
            # as many whole batches as leave enough for the last one
            ready = max(0, -(-(len(waiting) - longest_last) // whole_batch))
            yield from waiting[: ready * whole_batch].reshape(ready, whole_batch)
            waiting = waiting[ready * whole_batch :]
        if not drop_last:
            yield waiting

    def _draw(self, epoch):
        """Yield the indices of an epoch, DRAWS_AT_ONCE at a time."""
        rng = stream(self.seed, self.purpose, epoch)
        if self.shuffle:
            order = rng.permutation(self.draws)
            for at in range(0, self.draws, DRAWS_AT_ONCE):
                yield order[at : at + DRAWS_AT_ONCE]
            return
        cumulative = np.cumsum(self.probabilities(epoch))
        decks = None if self.replacement else _Decks(self.counts, rng)
        for at in range(0, self.draws, DRAWS_AT_ONCE):
            size = min(DRAWS_AT_ONCE, self.draws - at)
            classes = _find_classes(cumulative, rng.random(size))
            if decks:
                within_class = decks.deal(classes)
            else:
                within_class = rng.integers(0, self.counts[classes])
            yield self.by_class[self.starts[classes] + within_class].astype(np.int64)


class BatchSampler:
    """Epochs of an IndexStream as a torch `batch_sampler`, or for any loop: lists of indices.

    rank, world_size : this process takes every world_size-th index of each global batch of
                       batch_size * world_size, so that all ranks make the same number of
                       steps, none with fewer than two images, and no image is lost or doubled
                       (but with drop_last, which leaves out a batch that is not whole).
    Each `iter` begins the next epoch; `set_epoch` chooses it, as with torch's DistributedSampler.
    """

    def __init__(self, stream, batch_size, *, rank=0, world_size=1, drop_last=False):
        require_integer("batch_size", batch_size, 1)
        if not 0 <= rank < world_size:
            raise BmixError(f"rank must lie in 0..{world_size - 1}, got {rank}")
        whole_batch = batch_size * world_size
        if len(stream) < whole_batch:
            raise BmixError(f"batch_size must fit {len(stream)} images, got {whole_batch}")
        self.stream = stream
        self.batch_size = batch_size
        self.rank = rank
        self.world_size = world_size
        self.drop_last = drop_last  # frameworks look at it
        self.epoch = 0  # the next one
        self.sampler = self  # Lightning sets the epoch of a batch sampler's sampler alone

    def set_epoch(self, epoch):
        """Choose the epoch that the next `iter` begins, counted from 0 as torch counts."""
        require_integer("epoch", epoch, 0)
        self.epoch = epoch

    def __len__(self):
        shape = (self.batch_size, self.world_size, self.drop_last)
        return count_batches(len(self.stream), *shape)

    def __iter__(self):
        self.epoch += 1  # with the first batch: a DataLoader with workers asks for two iterators
        shape = (self.batch_size, self.world_size, self.drop_last)
        for batch in self.stream.batches(self.epoch, *shape):
            yield batch[self.rank :: self.world_size].tolist()


def count_batches(draws, batch_size, world_size=1, drop_last=False):
    """Steps in an epoch, as `IndexStream.batches` makes them."""
    whole_batch = batch_size * world_size
    steps, remainder = divmod(draws, whole_batch)
    if drop_last:
        return steps
    if remainder >= _fewest(batch_size, world_size):
        steps += 1
    return max(1, steps)


def balanced_stream(labels, *, seed, draw="replacement", draws=None, num_classes=None):
    """The class-balanced stream; `draw` is "replacement", as in the authors' code, or "deck"."""
    require_choice("balanced_draw", draw, ("replacement", "deck"))
    return IndexStream(
        labels,
        0,
        seed=seed,
        purpose="balanced",
        replacement=draw == "replacement",
        draws=draws,
        num_classes=num_classes,
    )


def _fewest(batch_size, world_size):
    """The fewest images that make a step of their own."""
    return min(2, batch_size) * world_size


def _find_classes(cumulative, draws):
    """The class whose part of `cumulative` (C,) holds each of `draws`, (n,) in [0, 1).

    `searchsorted`, but faster where all parts are alike: there the class is estimated, and moved by
    one where rounding has put it on the wrong side of an edge.
    """
    heights = draws * cumulative[-1]
    count = len(cumulative)
    before = np.concatenate([[0], cumulative[:-1]])
    if np.ptp(cumulative - before) > 1e-9 / count:
        return np.searchsorted(cumulative, heights, side="right")
    classes = np.minimum((draws * count).astype(np.int64), count - 1)
    classes += heights >= cumulative[classes]
    classes -= heights < before[classes]
    return classes


class _Decks:
    """Images of each class, dealt from a deck of its own that is reshuffled when it runs out."""

    def __init__(self, counts, rng):
        self.counts = counts
        self.rng = rng
        self.cards = [np.empty(0, dtype=np.int64) for _ in counts]

    def deal(self, classes):
        """One image of each of `classes` (n,), by its number within the class."""
        within_class = np.empty(len(classes), dtype=np.int64)
        for j, count in enumerate(self.counts):
            wanted = np.flatnonzero(classes == j)
            missing = max(0, len(wanted) - len(self.cards[j]))
            shuffles = -(-missing // count)
            fresh = [self.rng.permutation(count) for _ in range(shuffles)]
            cards = np.concatenate([self.cards[j], *fresh])
            within_class[wanted] = cards[: len(wanted)]
            self.cards[j] = cards[len(wanted) :]
        return within_class
