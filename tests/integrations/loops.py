"""The same few epochs in the training loop of each framework, and what it drew, in a file per rank.

    python loops.py FRAMEWORK OUT [PROCESSES]

FRAMEWORK is a name of LOOPS; with two processes torchrun or Lightning itself starts the other.
"""

import json
import os
import sys
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Dataset

from bmix_lite import BalancedMixUp, PairSampler

COUNTS = (80, 16, 4)
LABELS = np.repeat([0, 1, 2], COUNTS)
EPOCHS = 3
PAIRS = 5


class Images(Dataset):
    """Images of two numbers, the first of which is their own; `targets` says their labels."""

    targets = LABELS

    def __len__(self):
        return len(LABELS)

    def __getitem__(self, index):
        return torch.tensor([float(index), 1.0]), int(LABELS[index])


class Fields(Images):
    """The same as dicts."""

    def __init__(self, image, label):
        self.names = image, label

    def __getitem__(self, index):
        return dict(zip(self.names, super().__getitem__(index), strict=True))


class Recorder(BalancedMixUp):
    """Notes which images are mixed."""

    def __init__(self, sampler, **options):
        super().__init__(sampler, **options)
        self.drawn = []

    def mix(self, x, target):
        numbers = x[:, 0].long().tolist()
        half = len(numbers) // 2
        x, target = super().mix(x, target)
        self.drawn.append((numbers[:half], numbers[half:], target.sum(0).tolist()))
        return x / 100, target


def make_parts(data=None, **options):
    """(Recorder, DataLoader, network)."""
    data = Images() if data is None else data
    sampler = PairSampler(data, PAIRS, seed=0, **options)
    mix = Recorder(sampler)
    loader = DataLoader(data, batch_sampler=sampler, collate_fn=mix)
    torch.manual_seed(0)
    return mix, loader, torch.nn.Linear(2, 3)


def run_plain(out, processes):
    if processes > 1:
        torch.distributed.init_process_group("gloo")
    mix, loader, network = make_parts()
    if processes > 1:
        network = torch.nn.parallel.DistributedDataParallel(network)
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    for _ in range(EPOCHS):
        for x, y in loader:
            optimizer.zero_grad()
            cross_entropy(network(x), y).backward()
            optimizer.step()
    return mix


def run_lightning(out, processes):
    import lightning

    class Module(lightning.LightningModule):
        def __init__(self, network):
            super().__init__()
            self.network = network

        def training_step(self, batch, number):
            x, y = batch
            return cross_entropy(self.network(x), y)

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), 0.1)

    mix, loader, network = make_parts()
    quiet = ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary")
    trainer = lightning.Trainer(
        max_epochs=EPOCHS,
        accelerator="cpu",
        devices=processes,
        strategy="ddp" if processes > 1 else "auto",
        use_distributed_sampler=False,  # the PairSampler shares out by itself
        **dict.fromkeys(quiet, False),
    )
    trainer.fit(Module(network), loader)
    return mix


def run_accelerate(out, processes):
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=True)
    mix, loader, network = make_parts(drop_last=True)
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    network, optimizer, loader = accelerator.prepare(network, optimizer, loader)
    for _ in range(EPOCHS):
        for x, y in loader:
            optimizer.zero_grad()
            accelerator.backward(cross_entropy(network(x), y))
            optimizer.step()
    return mix


def run_transformers(out, processes):
    from transformers import Trainer, TrainingArguments

    class Network(torch.nn.Module):
        def __init__(self, network):
            super().__init__()
            self.network = network

        def forward(self, pixel_values, labels=None):
            logits = self.network(pixel_values)
            return {"loss": cross_entropy(logits, labels), "logits": logits}

    class PairTrainer(Trainer):
        def get_train_dataloader(self):
            return self.accelerator.prepare(loader)

    mix, loader, network = make_parts(Fields("pixel_values", "labels"), drop_last=True)
    options = TrainingArguments(
        output_dir=str(out / "trainer"),
        num_train_epochs=EPOCHS,
        per_device_train_batch_size=PAIRS,
        remove_unused_columns=False,
        report_to=[],
        save_strategy="no",
        use_cpu=True,
        disable_tqdm=True,
    )
    trainer = PairTrainer(model=Network(network), args=options, train_dataset=loader.dataset)
    trainer.train()
    return mix


def run_fastai(out, processes):
    from fastai.data.core import DataLoaders
    from fastai.learner import Learner

    mix, loader, network = make_parts()
    learner = Learner(DataLoaders(loader, loader), network, loss_func=cross_entropy)
    learner.remove_cbs([each for each in learner.cbs if each.name == "progress"])
    learner.logger = lambda *_: None
    learner.fit(EPOCHS, 0.1)
    return mix


def run_skorch(out, processes):
    from skorch import NeuralNetClassifier

    mix, loader, network = make_parts()
    net = NeuralNetClassifier(
        network,
        criterion=torch.nn.CrossEntropyLoss,
        max_epochs=EPOCHS,
        train_split=None,
        verbose=0,
        batch_size=None,
        iterator_train__batch_sampler=loader.batch_sampler,
        iterator_train__collate_fn=mix,
        iterator_train__batch_size=1,
        iterator_train__shuffle=False,
        classes=[0, 1, 2],
    )
    net.fit(loader.dataset, y=None)
    return mix


def run_monai(out, processes):
    from monai.data import DataLoader as MonaiLoader
    from monai.data import pad_list_data_collate
    from monai.engines import SupervisedTrainer

    data = Fields("image", "label")
    sampler = PairSampler(data, PAIRS, seed=0)
    mix = Recorder(sampler, collate=pad_list_data_collate)
    network = torch.nn.Linear(2, 3)
    trainer = SupervisedTrainer(
        device=torch.device("cpu"),
        max_epochs=EPOCHS,
        train_data_loader=MonaiLoader(data, batch_sampler=sampler, collate_fn=mix),
        network=network,
        optimizer=torch.optim.SGD(network.parameters(), 0.1),
        loss_function=torch.nn.CrossEntropyLoss(),
    )
    trainer.run()
    return mix


LOOPS = {
    "plain": run_plain,
    "lightning": run_lightning,
    "accelerate": run_accelerate,
    "transformers": run_transformers,
    "fastai": run_fastai,
    "skorch": run_skorch,
    "monai": run_monai,
}


def main(framework, out, processes="1"):
    mix = LOOPS[framework](Path(out), int(processes))
    rank = os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0"))
    Path(out, f"{rank}.json").write_text(json.dumps(mix.drawn))
    if torch.distributed.is_initialized():
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()
    os._exit(0)  # gloo's threads may abort a process whose interpreter ends


if __name__ == "__main__":
    main(*sys.argv[1:])
