"""Index streams: which images an epoch is made of. NumPy arrays, for any framework.

A stream is a pure function of (labels, q, seed, purpose, epoch): it has no state to lose.
"""

import numpy as np

from bmix_lite.base.errors import require, require_choice, require_integer
from bmix_lite.base.randomness import stream
from bmix_lite.distribution import count_classes, sampling_probabilities

CHUNK = (
    1 << 16
)  # draws made at a time: the first batch of a long epoch comes at once, memory stays bounded


class IndexStream:
    """Epochs of image indices, class j drawn with probability p_j(q).

    labels : (N,) integers 0..C-1, every class present
    q      : 1 is a shuffle, every image once; any other q in [0, 1] draws with replacement, the class first, then
             an image of it (so there is no limit of 2**24 images). A name of `distribution.SAMPLINGS` gives the shares
             of each of `epochs`: "progressive" moves from q=1 to q=0.
    replacement : False (q=0 only) deals each class from its own deck, reshuffled when it runs out
    draws  : length of an epoch, N unless told
    """

    def __init__(
        self,
        labels,
        q=1.0,
        *,
        seed,
        purpose,
        replacement=True,
        epochs=None,
        draws=None,
        num_classes=None,
    ):
        self.counts = count_classes(labels, num_classes)
        self.q, self.seed, self.purpose, self.epochs = q, seed, purpose, epochs
        self.draws = len(labels) if draws is None else draws
        self.replacement = replacement
        sampling_probabilities(self.counts, q, 1, epochs)
        require_integer("draws", self.draws, 1)
        require(replacement or q == 0, f"replacement=False needs q=0, got q={q!r}")
        require(
            q != 1 or self.draws == len(labels), "q=1 is a shuffle: its epoch has exactly N draws"
        )
        # int32 and sorted by label: 4 bytes an image, and each class is one slice
        self.by_class = np.argsort(labels, kind="stable").astype(
            np.int32 if len(labels) < 2**31 else np.int64
        )
        self.starts = np.concatenate([[0], np.cumsum(self.counts)])[:-1]

    def __len__(self):
        return self.draws

    def probabilities(self, epoch):
        """Class shares (C,) in this epoch, counted from 1."""
        return sampling_probabilities(self.counts, self.q, epoch, self.epochs)

    def indices(self, epoch):
        """All indices of one epoch, (draws,) int64."""
        return np.concatenate(list(self._chunks(epoch)))

    def batches(self, epoch, batch_size, world_size=1):
        """Yield the epoch as index arrays of batch_size * world_size.

        A remainder that would leave a process less than two images joins the batch before it: BatchNorm needs two.
        """
        require_integer("batch_size", batch_size, 1)
        longest = batch_size * world_size + _least(batch_size, world_size) - 1
        batch_size *= world_size
        waiting = np.empty(0, dtype=np.int64)
        for chunk in self._chunks(epoch):
            waiting = np.concatenate([waiting, chunk])
            whole = max(
                0, -(-(len(waiting) - longest) // batch_size)
            )  # batches after which enough waits for the last
            yield from waiting[: whole * batch_size].reshape(whole, batch_size)
            waiting = waiting[whole * batch_size :]
        yield waiting

    def _chunks(self, epoch):
        rng = stream(self.seed, self.purpose, epoch)
        if self.q == 1:
            order = rng.permutation(self.draws)
            yield from (order[at : at + CHUNK] for at in range(0, self.draws, CHUNK))
            return
        cumulative = np.cumsum(self.probabilities(epoch))
        decks = None if self.replacement else _Decks(self.counts, rng)
        for at in range(0, self.draws, CHUNK):
            size = min(CHUNK, self.draws - at)
            classes = _find_classes(cumulative, rng.random(size))
            within = decks.deal(classes) if decks else rng.integers(0, self.counts[classes])
            yield self.by_class[self.starts[classes] + within].astype(np.int64)


class BatchSampler:
    """One epoch of an IndexStream as a torch `batch_sampler` (or any loop): yields lists of indices.

    rank, world_size : this process takes every world_size-th index of each global batch of
                       batch_size * world_size, so that all ranks make the same number of steps, none with less than
                       two images, and no image is lost or doubled. Call `set_epoch` before each epoch, as with
                       torch's DistributedSampler.
    """

    def __init__(self, stream, batch_size, *, rank=0, world_size=1):
        require_integer("batch_size", batch_size, 1)
        require(0 <= rank < world_size, f"rank must lie in 0..{world_size - 1}, got {rank}")
        whole = batch_size * world_size
        require(len(stream) >= whole, f"batch_size must fit {len(stream)} images, got {whole}")
        self.stream, self.batch_size, self.rank, self.world_size = (
            stream,
            batch_size,
            rank,
            world_size,
        )
        self.epoch = 1

    def set_epoch(self, epoch):
        """Choose the epoch, counted from 1."""
        self.epoch = epoch

    def __len__(self):
        return count_batches(len(self.stream), self.batch_size, self.world_size)

    def __iter__(self):
        for batch in self.stream.batches(self.epoch, self.batch_size, self.world_size):
            yield batch[self.rank :: self.world_size].tolist()


def count_batches(draws, batch_size, world_size=1):
    """Steps in an epoch; a remainder of less than two images a process joins the step before it."""
    whole = batch_size * world_size
    return max(1, draws // whole + (draws % whole >= _least(batch_size, world_size)))


def balanced_stream(labels, *, seed, draw="replacement", draws=None, num_classes=None):
    """The class-balanced side of Balanced-MixUp: `draw` is "replacement" (as the authors) or "deck"."""
    require_choice("balanced_draw", draw, ("replacement", "deck"))
    replacement = draw == "replacement"
    return IndexStream(
        labels,
        0,
        seed=seed,
        purpose="balanced",
        replacement=replacement,
        draws=draws,
        num_classes=num_classes,
    )


def _least(batch_size, world_size):
    """The images that a step of its own needs."""
    return min(2, batch_size) * world_size


def _find_classes(cumulative, draws):
    """The class whose part of `cumulative` (C,) each of `draws` in [0, 1) falls into: `searchsorted`, but quicker.

    Where the parts are alike the place is reckoned, and put right where rounding has moved it by one.
    """
    places, count = draws * cumulative[-1], len(cumulative)
    before = np.concatenate([[0], cumulative[:-1]])
    if np.ptp(cumulative - before) > 1e-9 / count:
        return np.searchsorted(cumulative, places, side="right")
    classes = np.minimum((draws * count).astype(np.int64), count - 1)
    classes += places >= cumulative[classes]
    classes -= places < before[classes]
    return classes


class _Decks:
    """Each class's images dealt without replacement from a deck that is reshuffled when it runs out."""

    def __init__(self, counts, rng):
        self.counts, self.rng = counts, rng
        self.cards = [np.empty(0, dtype=np.int64) for _ in counts]

    def deal(self, classes):
        within = np.empty(len(classes), dtype=np.int64)
        for j, count in enumerate(self.counts):
            places = np.flatnonzero(classes == j)
            shuffles = -(-max(0, len(places) - len(self.cards[j])) // count)
            fresh = [self.rng.permutation(count) for _ in range(shuffles)]
            cards = np.concatenate([self.cards[j], *fresh])
            within[places], self.cards[j] = cards[: len(places)], cards[len(places) :]
        return within
