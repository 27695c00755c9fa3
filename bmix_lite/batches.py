"""What training feeds the network: batches drawn, augmented and mixed.

A pure function of recipe and epoch.
"""

import itertools
import math
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch

from bmix_lite.augment import PIXELS_FROM, augment, augment_pixels
from bmix_lite.base.errors import BmixError
from bmix_lite.base.randomness import stream
from bmix_lite.base.registry import add_own
from bmix_lite.inference import hold_on_gpu, to_tensor
from bmix_lite.mixing import balanced_mixup, cut_box, cutmix, draw_lam, mixup, paste_box, remix
from bmix_lite.recipe import CHOICES
from bmix_lite.samplers import BatchSampler, IndexStream, balanced_stream

PURPOSES = {
    "base": "augment base",
    "balanced": "augment balanced",
    "mixup order": "mixup order",
    "cutmix box": "cutmix box",
    "lam": "lam",
    "whether to mix": "whether to mix",
}


class TrainingImages(Protocol):
    """What training needs of a dataset: `ImageSet` has it, and any other class may.

    images (N, H, W, C) uint8, or features (N, 1, 1, D) float32; labels (N,) integers 0..C-1;
    fingerprint: text that other data change
    """

    images: np.ndarray
    labels: np.ndarray
    class_names: Sequence[str]
    name: str

    @property
    def fingerprint(self) -> str: ...

    def rows(self, split: str) -> np.ndarray:
        """Row numbers of "train", "val" or "test"."""

    def counts(self, split: str = "train") -> np.ndarray:
        """Images per class (C,) in a split."""


class MixedBatches:
    """The "train" rows of an ImageSet as a Recipe samples, augments and mixes them.

    rank, world_size : where several processes train one network, this one's share of each step's
                       images (see `samplers.BatchSampler`), batch_size each; a lam for the batch is
                       the same for all of them.
    """

    def __init__(self, data, recipe, device, rank=0, world_size=1):
        self.data = data
        self.recipe = recipe
        self.device = torch.device(device)
        self.rank = rank
        self.rows = data.rows("train")
        self.labels = data.labels[self.rows]
        self.images_on_gpu = hold_on_gpu(data.images, self.device)
        self.one_hot = torch.eye(len(data.class_names), dtype=torch.float32, device=device)
        seed = recipe.seed
        how = {"shuffle": recipe.base_draw == "shuffle", "epochs": recipe.epochs}
        base = IndexStream(self.labels, recipe.q, seed=seed, purpose="base", **how)
        balanced = balanced_stream(self.labels, seed=seed, draw=recipe.balanced_draw)
        share = {"rank": rank, "world_size": world_size}
        share["drop_last"] = recipe.short_batch == "drop"
        self.base = BatchSampler(base, recipe.batch_size, **share)
        self.balanced = BatchSampler(balanced, recipe.batch_size, **share)
        self.steps = len(self.base)
        _, reads_balanced = MIXINGS[recipe.mixing]
        if recipe.budget == "images" and reads_balanced and recipe.alpha > 0:
            # of an image a step reads two where it mixes
            self.steps = math.ceil(self.steps / (1 + recipe.mix_probability))

    def epoch(self, epoch):
        """Yield (images (B, C, H, W) in [0, 1], soft labels (B, classes)); epochs count from 1."""
        self.base.set_epoch(epoch - 1)
        self.balanced.set_epoch(epoch - 1)
        self.rng = self._make_streams(epoch)
        mix, _ = MIXINGS[self.recipe.mixing]
        pairs = zip(self.base, self.balanced, strict=True)
        for base, balanced in itertools.islice(pairs, self.steps):
            batch = self.fetch(base, "base")
            if self.recipe.alpha > 0 and self._draw_whether():
                batch = mix(batch, Draws(self, len(base), balanced))
            yield batch

    def fetch(self, positions, side):
        """Augmented images and one-hot labels of positions among the training rows."""
        rows = self.rows[positions]
        rng = self.rng[side]
        name = self.recipe.augment
        if self.images_on_gpu is None:
            pixels = self.data.images[rows]
        else:
            pixels = self.images_on_gpu[torch.as_tensor(rows, device=self.device)]
        large = min(pixels.shape[1:3]) >= PIXELS_FROM
        if name == "none":
            images = to_tensor(pixels, self.device)
        elif self.device.type == "cpu" and large:
            images = augment_pixels(pixels, name, rng=rng)
        else:
            images = augment(to_tensor(pixels, self.device), name, rng=rng)
        return images, self.one_hot[self.labels[positions]]

    def _draw_whether(self):
        """Whether this step's batch is mixed, the same for all processes."""
        return self.rng["whether to mix"].random() < self.recipe.mix_probability

    def _make_streams(self, epoch):
        """{what is drawn: a private generator}; each process draws for its images, lam for all."""
        recipe = self.recipe
        drawn_for_all = ["whether to mix"]
        if recipe.lam_per == "batch":
            drawn_for_all += ["lam", "cutmix box"]
        streams = {}
        for name, purpose in PURPOSES.items():
            if self.rank and purpose not in drawn_for_all:
                purpose = f"{purpose} rank {self.rank}"
            streams[name] = stream(recipe.seed, purpose, epoch)
        return streams


class Draws:
    """What a mixing may draw in one step, each from a private generator of its purpose and epoch.

    alpha: the recipe's; size: None where lam is one number for the batch, B where one per image
    counts (C,): training images per class; lam_rng: the generator that lam is drawn from
    """

    def __init__(self, batches, length, balanced):
        self._batches, self._length, self._balanced = batches, length, balanced
        self.alpha = batches.recipe.alpha
        self.size = length if batches.recipe.lam_per == "image" else None
        self.counts = batches.base.stream.counts
        self.lam_rng = batches.rng["lam"]

    def balanced_batch(self):
        """(x, y) of as many images, drawn from all classes equally often."""
        return self._batches.fetch(self._balanced, "balanced")

    def symmetric_lam(self):
        """lam ~ Beta(alpha, alpha), a number or (B,)."""
        return self.lam_rng.beta(self.alpha, self.alpha, self.size)

    def order(self):
        """A permutation (B,) of the batch: the partner of each image."""
        order = self._batches.rng["mixup order"].permutation(self._length)
        return torch.as_tensor(order, device=self._batches.device)

    def centre(self):
        """(row, column) in [0, 1] of a box, each a number or (B,)."""
        return self._batches.rng["cutmix box"].random(2 if self.size is None else (2, self.size))


def register_mixing(name, function, *, reads_balanced=False):
    """Make `mixing=name` a mixing of recipes: function(batch, draws) returns the mixed (x, y).

    batch: (x (B, channels, H, W) in [0, 1], y (B, C) soft labels), both keep their shapes; draws:
    see `Draws`. It is called where alpha is above 0, for a share `mix_probability` of the batches.
    reads_balanced: True where it also reads `draws.balanced_batch()`, for which budget="images"
    takes fewer steps. For example, Balanced-MixUp whose lam is never above a half:

        def gentle(batch, draws):
            lam = draw_lam(draws.alpha, draws.size, rng=draws.lam_rng) / 2
            return balanced_mixup(batch, draws.balanced_batch(), lam)

        register_mixing("gentle", gentle, reads_balanced=True)
        recipe = Recipe(mixing="gentle", alpha=0.2)

    A recipe, a run id and a checkpoint hold the name alone: give a changed function a new name.
    Raises BmixError for the name of a built-in mixing.
    """
    add_own(MIXINGS, BUILT_IN, "mixing", name, function)

    def checked(batch, draws):
        mixed = function(batch, draws)
        wanted = [tuple(part.shape) for part in batch]
        try:
            found = [tuple(part.shape) for part in mixed]
        except (TypeError, AttributeError):
            found = repr(mixed)[:60]
        if found != wanted:
            words = f"must return (x, y) of shapes {wanted}, got {found}"
            raise BmixError(f"the mixing {name!r} {words}")
        return mixed

    MIXINGS[name] = (checked, reads_balanced)
    CHOICES["mixing"] = tuple(MIXINGS)


def _mix_balanced(batch, draws):
    lam = draw_lam(draws.alpha, draws.size, rng=draws.lam_rng)
    return balanced_mixup(batch, draws.balanced_batch(), lam)


def _mix_within(batch, draws):
    return mixup(batch, draws.symmetric_lam(), draws.order())


def _remix(batch, draws):
    return remix(batch, draws.symmetric_lam(), draws.order(), draws.counts)


def _cutmix(batch, draws):
    box = cut_box(draws.symmetric_lam(), draws.centre(), batch[0].shape[2:])
    return cutmix(batch, box, draws.order())


def _cmo(batch, draws):
    box = cut_box(draws.symmetric_lam(), draws.centre(), batch[0].shape[2:])
    return paste_box(batch, draws.balanced_batch(), box)


# name: (function of (batch, draws) that gives the mixed batch, whether it reads a balanced one too)
MIXINGS = {
    "none": (lambda batch, draws: batch, False),
    "mixup": (_mix_within, False),
    "balanced": (_mix_balanced, True),
    "cutmix": (_cutmix, False),
    "remix": (_remix, False),
    "cmo": (_cmo, True),
}
BUILT_IN = tuple(MIXINGS)
NEEDS_PLACES = ("cutmix", "cmo")  # what no features have
