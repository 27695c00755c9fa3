"""Balanced-MixUp on several GPUs, or in several processes without one, from this repository:

    torchrun --nproc-per-node=2 notebooks/distributed.py balanced_mixup dataset=data/hyper_kvasir

Each process takes its share of every step, batch_size images of each stream: no image of a base
epoch is lost or doubled, whatever their number. Copy these lines into a training of your own.
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
    values = dict(field.split("=", 1) for field in fields)
    recipe = Recipe.make(method, **{name: yaml.safe_load(text) for name, text in values.items()})
    if recipe.posthoc != "none":
        sys.exit(f"posthoc={recipe.posthoc!r} is done by bmix_lite.training.train, not here")
    cuda = torch.cuda.is_available()
    local_rank = int(os.environ["LOCAL_RANK"])
    device = torch.device("cuda", local_rank) if cuda else torch.device("cpu")
    dist.init_process_group("nccl" if cuda else "gloo")
    train_together(recipe, device)
    dist.barrier()
    if cuda:
        dist.destroy_process_group()


def train_together(recipe, device):
    """One network on all processes. It goes before the process group ends, which it holds on to."""
    rank = dist.get_rank()
    world_size = dist.get_world_size()

    data = load(recipe.dataset, split=recipe.split)
    side, _, channels = data.images.shape[1:]
    settings = {"seed": recipe.seed, "weights": recipe.weights, "side": side, "head": recipe.head}
    network = make_model(recipe.model, len(data.class_names), channels, **settings).to(device)
    model = DistributedDataParallel(network, device_ids=[device] if device.type == "cuda" else None)
    optimizer = torch.optim.SGD(
        model.parameters(), recipe.lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay
    )
    batches = MixedBatches(data, recipe, device, rank, world_size)
    for epoch in range(1, recipe.epochs + 1):
        for group in optimizer.param_groups:
            group["lr"] = lr_at(recipe, epoch, [])
        when = {"epoch": epoch, "epochs": recipe.epochs, "weight_mean": recipe.weight_mean}
        loss_of = make_loss(recipe.loss, data.counts(), device, **when)
        train_epoch(model, batches.epoch(epoch), loss_of, optimizer, device, recipe.precision)
        if rank == 0:
            value = validate(network, data, device, recipe.monitor)
            print(f"epoch {epoch}: val_{recipe.monitor} {value:.3f}")
    require_equal_weights(model, world_size)
    steps = f"{len(batches.base)} steps per epoch"
    print(f"process {rank} of {world_size}: {steps}, the same weights as all")


def train_epoch(model, batches, loss_of, optimizer, device, precision):
    """One step per batch; the gradients are averaged over the processes."""
    model.train()
    for images, labels in batches:
        with autocast(device, precision):
            logits = model(images)
        loss = loss_of(logits.float(), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def validate(network, data, device, monitor):
    """The monitored metric on the validation images."""
    rows = data.rows("val")
    probabilities = predict(network, data.images, rows, device=device)
    return score(data.labels[rows], probabilities, [monitor])[monitor]


def require_equal_weights(model, world_size):
    """Every process must hold the same network: compare the norms of all its weights."""
    norms = torch.stack([weight.detach().double().norm() for weight in model.parameters()])
    norms_of = [torch.empty_like(norms) for _ in range(world_size)]
    dist.all_gather(norms_of, norms)
    if not all(norms.equal(other) for other in norms_of):
        raise RuntimeError("the processes hold different networks")


if __name__ == "__main__":
    main(*sys.argv[1:])
    sys.stdout.flush()
    os._exit(0)  # all is done: gloo's threads sometimes abort an interpreter that takes its time
