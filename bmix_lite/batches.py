"""What training feeds the network: batches drawn, augmented and mixed, as a pure function of recipe and epoch."""

import itertools

import torch

from bmix_lite.augment import PIXELS_FROM, augment, augment_pixels
from bmix_lite.base.randomness import stream
from bmix_lite.course.defects import draw_lam_globally
from bmix_lite.inference import hold_on_gpu, to_tensor
from bmix_lite.mixing import balanced_mixup, cut_box, cutmix, draw_lam, mixup, remix
from bmix_lite.samplers import BatchSampler, IndexStream, balanced_stream


class MixedBatches:
    """The "train" rows of an ImageSet as a Recipe samples, augments and mixes them; `epoch(n)` yields the batches.

    rank, world_size : where several processes train one network, the share of this one of each step's images (see
                       `samplers.BatchSampler`), batch_size each; a lam for the batch is the same for all of them.
    """

    def __init__(self, data, recipe, device, rank=0, world_size=1):
        self.data, self.recipe, self.device = data, recipe, torch.device(device)
        self.rows = data.rows("train")
        self.labels, self.held = data.labels[self.rows], hold_on_gpu(data.images, self.device)
        self.eye = torch.eye(len(data.class_names), device=device)
        base = IndexStream(
            self.labels, recipe.q, seed=recipe.seed, purpose="base", epochs=recipe.epochs
        )
        balanced = balanced_stream(self.labels, seed=recipe.seed, draw=recipe.balanced_draw)
        place = {"rank": rank, "world_size": world_size}
        self.base, self.balanced = (
            BatchSampler(side, recipe.batch_size, **place) for side in (base, balanced)
        )
        self.own = f" rank {rank}" if rank else ""  # each process draws for its own images
        halved = (
            recipe.budget == "images" and recipe.mixing == "balanced"
        )  # each step reads two images
        self.steps = -(-len(self.base) // 2) if halved else len(self.base)

    def epoch(self, epoch):
        """Yield (images (B, C, H, W) in [0, 1], soft labels (B, num_classes)) of one epoch, counted from 1."""
        recipe = self.recipe
        self.base.set_epoch(epoch)
        self.balanced.set_epoch(epoch)
        purposes = {"base": "augment base", "balanced": "augment balanced"}
        purposes |= {purpose: purpose for purpose in ("mixup order", "cutmix box", "lam")}
        shared = () if recipe.lam_per == "image" else ("lam", "cutmix box")
        self.rng = {
            name: stream(recipe.seed, purpose + self.own * (purpose not in shared), epoch)
            for name, purpose in purposes.items()
        }
        for base, balanced in itertools.islice(
            zip(self.base, self.balanced, strict=True), self.steps
        ):
            batch = self.fetch(base, "base")
            yield self.mix(batch, balanced) if recipe.alpha > 0 else batch

    def mix(self, batch, balanced):
        recipe, lam_rng = self.recipe, self.rng["lam"]
        size = len(batch[0]) if recipe.lam_per == "image" else None
        if recipe.mixing == "balanced":
            if recipe.makes("global_lam"):
                lam = draw_lam_globally(recipe.alpha, size)
            else:
                lam = draw_lam(recipe.alpha, size, rng=lam_rng)
            return balanced_mixup(batch, self.fetch(balanced, "balanced"), lam)
        lam = lam_rng.beta(recipe.alpha, recipe.alpha, size)
        order = torch.as_tensor(
            self.rng["mixup order"].permutation(len(batch[0])), device=self.device
        )
        if recipe.mixing == "mixup":
            return mixup(batch, lam, order)
        if recipe.mixing == "remix":
            return remix(batch, lam, order, self.base.stream.counts)
        centre = self.rng["cutmix box"].random(2 if size is None else (2, size))
        return cutmix(batch, cut_box(lam, centre, batch[0].shape[2:]), order)

    def fetch(self, places, side):
        """Augmented images and one-hot labels of places among the training rows."""
        rows, how = self.rows[places], {"name": self.recipe.augment, "rng": self.rng[side]}
        held = self.held is not None
        pixels = (
            self.held[torch.as_tensor(rows, device=self.device)] if held else self.data.images[rows]
        )
        if (
            self.device.type == "cpu"
            and min(pixels.shape[1:3]) >= PIXELS_FROM
            and how["name"] != "none"
        ):
            images = augment_pixels(pixels, **how)
        else:
            images = augment(to_tensor(pixels, self.device), **how)
        return images, self.eye[self.labels[places]]
