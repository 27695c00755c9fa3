"""Balanced-MixUp in a training loop of your own: three lines beside any Dataset and DataLoader.

sampler = PairSampler(dataset, batch_size=32, seed=0)
mix = BalancedMixUp(sampler, alpha=0.2)
loader = DataLoader(dataset, batch_sampler=sampler, collate_fn=mix, num_workers=2)
for x, y in loader:  # y: soft labels (B, C), for F.cross_entropy as they are
"""

import itertools
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
import torch.distributed
from torch.utils.data import Sampler, default_collate, get_worker_info

from bmix_lite.base.errors import BmixError, require_alpha, require_choice, require_integer
from bmix_lite.base.labels import IMAGES, LABELS, find_field, find_labels
from bmix_lite.base.randomness import stream
from bmix_lite.mixing import balanced_mixup, draw_lam
from bmix_lite.samplers import IndexStream, balanced_stream, count_batches


class PairSampler(Sampler[list[int]]):
    """Batches of 2B indices: B of the base stream, then B of the class-balanced one.

    data       : labels (N,) 0..C-1, or a Dataset that shows them without loading an image
                 (`targets`, `labels`, `samples`, `tensors`, a column, a Subset of these)
    batch_size : B, images that a mixed batch holds
    q, draw    : base stream p_j ~ n_j^q (1: a shuffle), and how the balanced one draws ("deck"
                 deals each class without replacement)
    drop_last  : leave a short last batch out
    rank, world_size : of this process; by default as torch.distributed says when an epoch begins,
                 or 0 and 1 under accelerate, which shares out batches itself
    Each `iter` begins the next epoch, or the one that `set_epoch` chose. What is drawn depends on
    (seed, epoch, rank) alone. Raises BmixError.
    """

    def __init__(
        self,
        data: Any,
        batch_size: int,
        *,
        seed: int = 0,
        q: float = 1.0,
        draw: str = "replacement",
        drop_last: bool = False,
        rank: int | None = None,
        world_size: int | None = None,
    ) -> None:
        labels = find_labels(data)
        require_integer("batch_size", batch_size, 1)
        if batch_size > len(labels):
            raise BmixError(f"batch_size must fit {len(labels)} images, got {batch_size}")
        self.base = IndexStream(labels, q, seed=seed, purpose="base")
        self.balanced = balanced_stream(labels, seed=seed, draw=draw)
        self.num_classes = len(self.base.counts)
        self.pairs = batch_size
        self.seed = seed
        self.drop_last = drop_last
        self.batch_size = 2 * batch_size  # of what is yielded: frameworks ask
        self.sampler = self  # Lightning sets the epoch of a batch sampler's sampler alone
        self._share = (rank, world_size)
        # epoch that has begun, counted from 1, its first step, our rank: workers read them, too
        self._begun = torch.zeros(3, dtype=torch.int64).share_memory_()
        self._next = (1, 0)

    def set_epoch(self, epoch: int, step: int = 0) -> None:
        """Choose the epoch that the next `iter` begins, counted from 0 as torch counts.

        step: where a run that was interrupted goes on inside the epoch, counted from 0
        """
        require_integer("epoch", epoch, 0)
        require_integer("step", step, 0)
        self._next = (epoch + 1, step)

    def __len__(self) -> int:
        """Steps of a whole epoch."""
        _, world_size = self.share()
        return count_batches(len(self.base), self.pairs, world_size, self.drop_last)

    def __iter__(self) -> Iterator[list[int]]:
        # with the first batch, not before: a DataLoader with workers asks for two iterators
        epoch, step = self._next
        rank, world_size = self.share()
        self._begun[:] = torch.tensor([epoch, step, rank])
        self._next = (epoch + 1, 0)
        yield from itertools.islice(self._draw(epoch, rank, world_size), step, None)

    def _draw(self, epoch, rank, world_size):
        shape = (self.pairs, world_size, self.drop_last)
        base = self.base.batches(epoch, *shape)
        balanced = self.balanced.batches(epoch, *shape)
        for pair in zip(base, balanced, strict=True):
            yield np.concatenate([indices[rank::world_size] for indices in pair]).tolist()

    def share(self) -> tuple[int, int]:
        """(rank, world size) that this process draws for. Raises BmixError where none is right."""
        rank, world_size = self._share
        if world_size is None:
            rank, world_size = _find_share(self.drop_last)
        if rank is None or not 0 <= rank < world_size:
            raise BmixError(f"rank must lie in 0..{world_size - 1}, got {rank}")
        if self.pairs * world_size > len(self.base):
            size = f"{self.pairs} in each of {world_size} processes"
            raise BmixError(f"batch_size must fit {len(self.base)} images, got {size}")
        return rank, world_size

    def begun(self) -> tuple[int, int, int]:
        """(epoch, counted from 1; first step; rank) of the last `iter`, in workers, too."""
        epoch, step, rank = self._begun.tolist()
        return epoch, step, rank


class BalancedMixUp:
    """Mixes what a PairSampler chose: a `collate_fn` of samples, or a call on batches.

        x = (1 - lam) x_base + lam x_balanced,   labels likewise,   lam ~ Beta(alpha, 1)

    sampler : the PairSampler of the same DataLoader; it says the classes, the seed and the epoch
    lam_per : "batch", as in the paper, or "image"
    collate : makes a batch of 2B samples of them; MONAI's `pad_list_data_collate`, for example
    Samples are (x, label, ...) or dicts with an image and a label; what else they hold is returned
    of the base images. mix(x, target), with x (2B, ...) float and target (2B,) or (2B, C), gives
    (x, target) of B mixed images and soft labels (B, C) on the same device: as timm's Mixup is
    called. Galdran et al., MICCAI 2021. Raises BmixError.
    """

    def __init__(
        self,
        sampler: PairSampler,
        alpha: float = 0.2,
        *,
        lam_per: str = "batch",
        collate: Any = default_collate,
    ) -> None:
        if not isinstance(sampler, PairSampler):
            raise BmixError(f"sampler must be the loader's PairSampler, got {sampler!r}")
        require_alpha(alpha)
        require_choice("lam_per", lam_per, ("batch", "image"))
        self.sampler = sampler
        self.alpha = alpha
        self.lam_per = lam_per
        self.collate = collate
        self._epoch = 0  # in which `_calls` were counted
        self._calls = 0

    def __call__(self, x: Any, target: Any = None) -> Any:
        """(x, target) mixed; or, of a list of samples, their mixed batch."""
        if target is not None:
            return self.mix(x, target)
        batch = self.collate(x)
        if isinstance(batch, Mapping):
            return self._mix_fields(batch)
        images, labels, *rest = batch
        return [*self.mix(images, labels), *map(_keep_base, rest)]

    def mix(self, x: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mix the first half of a batch with the second."""
        if not x.is_floating_point():
            raise BmixError(f"images must be floating point before they are mixed, got {x.dtype}")
        if len(x) != len(target) or len(x) % 2:
            found = f"{len(x)} images and {len(target)} labels"
            raise BmixError(f"a batch must hold the pairs of a PairSampler, got {found}")
        if target.ndim == 1:
            target = torch.nn.functional.one_hot(target.long(), self.sampler.num_classes)
        target = target.to(x.dtype)
        half = len(x) // 2
        lam = self._draw_lam(half)
        return balanced_mixup((x[:half], target[:half]), (x[half:], target[half:]), lam)

    def _mix_fields(self, batch):
        image = find_field(batch, IMAGES)
        label = find_field(batch, LABELS)
        mixed = {name: _keep_base(field) for name, field in batch.items()}
        mixed[image], mixed[label] = self.mix(batch[image], batch[label])
        return mixed

    def _draw_lam(self, size):
        """lam of this call: of the step that it is for, in whichever process it is made."""
        epoch, first, rank = self.sampler.begun()
        if epoch != self._epoch:
            self._epoch = epoch
            self._calls = 0
        worker = get_worker_info()
        if worker is None:
            step = first + self._calls
        else:  # batches are dealt to the workers in turn
            step = first + self._calls * worker.num_workers + worker.id
        self._calls += 1
        purpose = f"lam rank {rank} step {step}" if rank else f"lam step {step}"
        rng = stream(self.sampler.seed, purpose, epoch)
        return draw_lam(self.alpha, size if self.lam_per == "image" else None, rng=rng)


def _keep_base(field):
    """The base half of what else a batch holds."""
    return field[: len(field) // 2]


def _find_share(drop_last):
    """(rank, world size) that torch.distributed says; (0, 1) under accelerate."""
    shared_out = _count_accelerate_processes()
    if shared_out > 1 and not drop_last:
        raise BmixError("under accelerate drop_last must be True: it fills up a short last batch")
    is_alone = shared_out or not torch.distributed.is_available()
    if is_alone or not torch.distributed.is_initialized():
        return 0, 1
    return torch.distributed.get_rank(), torch.distributed.get_world_size()


def _count_accelerate_processes():
    """Processes that accelerate has been told of; 0 where nobody uses it."""
    state = sys.modules.get("accelerate.state")
    if state is None or not state.PartialState._shared_state:
        return 0
    return state.PartialState().num_processes
