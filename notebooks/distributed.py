"""Balanced-MixUp on several GPUs, or several processes without one: from the repository's folder

torchrun --nproc-per-node=2 notebooks/distributed.py balanced_mixup dataset=data/hyper_kvasir model=mobilenet_v2

Each process takes its share of every step, batch_size images of each stream: no image of a base epoch is lost or
doubled, whatever their number. All of it is in the lines below: copy them into a training of your own.
"""

import os
import sys

import torch
import torch.distributed as dist
import yaml
from torch.nn.parallel import DistributedDataParallel

from bmix_lite.batches import MixedBatches
from bmix_lite.data.datasets import load
from bmix_lite.inference import autocast, predict
from bmix_lite.losses import make_loss
from bmix_lite.metrics import score
from bmix_lite.models import make_model
from bmix_lite.recipe import Recipe
from bmix_lite.schedules import lr_at


def main(method="balanced_mixup", *fields):
    recipe = Recipe.make(
        method, **{name: yaml.safe_load(value) for name, value in (f.split("=", 1) for f in fields)}
    )
    cuda, local = torch.cuda.is_available(), int(os.environ["LOCAL_RANK"])
    device = torch.device("cuda", local) if cuda else torch.device("cpu")
    dist.init_process_group("nccl" if cuda else "gloo")
    rank, world_size = dist.get_rank(), dist.get_world_size()

    data = load(recipe.dataset, fold=recipe.fold)
    side, _, channels = data.images.shape[1:]
    settings = {"seed": recipe.seed, "weights": recipe.weights, "side": side}
    network = make_model(recipe.model, len(data.class_names), channels, **settings).to(device)
    model = DistributedDataParallel(network, device_ids=[local] if cuda else None)
    optimizer = torch.optim.SGD(
        model.parameters(), recipe.lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay
    )
    batches = MixedBatches(data, recipe, device, rank, world_size)
    for epoch in range(1, recipe.epochs + 1):
        loss_of = make_loss(recipe.loss, data.counts(), device, epoch=epoch, epochs=recipe.epochs)
        for group in optimizer.param_groups:
            group["lr"] = lr_at(recipe, epoch, [])
        model.train()
        for images, labels in batches.epoch(epoch):
            with autocast(device, recipe.precision):
                logits = model(images)
            loss = loss_of(logits.float(), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        if rank == 0:
            val = data.rows("val")
            found = score(
                data.labels[val],
                predict(network, data.images, val, device=device),
                [recipe.monitor],
            )
            print(f"epoch {epoch}: val_{recipe.monitor} {found[recipe.monitor]:.3f}")
    lengths = torch.stack([weight.detach().double().norm() for weight in model.parameters()])
    everywhere = [torch.empty_like(lengths) for _ in range(world_size)]
    dist.all_gather(everywhere, lengths)
    assert all(lengths.equal(other) for other in everywhere), (
        "the processes hold different networks"
    )
    print(
        f"process {rank} of {world_size}: {len(batches.base)} steps an epoch, the same weights as all"
    )
    dist.destroy_process_group()


if __name__ == "__main__":
    main(*sys.argv[1:])
