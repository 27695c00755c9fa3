"""An epoch of Balanced-MixUp against a plain one, and a step against one of plain eager torch.

python benchmarks/training.py [--device cpu|cuda] [--quick] [--json PATH]. With --quick 2 min.
Promised on two cores, data and step included: Balanced-MixUp over plain at most 1.10 with small_cnn
at 64 px and 1.05 with mobilenet_v2 at 128 px; a step at least 1.8 times as fast as with torch's
defaults (channels first, the C library's memory thresholds as they are, torch's own SGD; two
threads both).

Each contender is a process, as the thresholds act at its start, and they take turns. Epochs are
compared by processor time, on one thread: the extra time for the batches over a whole plain epoch
(the ratio of two epochs varies by a tenth). Steps by time elapsed, with --threads 1 by processor.

On a GPU (it needs numpy, scikit-learn, torch and torchvision, nothing else): mobilenet_v2 at 224 px
in batches of 256. Promised: Balanced-MixUp over plain at most 1.03, and over the bare steps of the
network at most 1.05.
"""

import itertools
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))  # a GPU machine need not have the kit installed

from pairs import finish, keep_memory, read_arguments, rotate

from bmix_lite.batches import MixedBatches
from bmix_lite.data.imageset import ImageSet
from bmix_lite.epochs import Epochs
from bmix_lite.inference import autocast, choose_layout, use_threads
from bmix_lite.models import make_model
from bmix_lite.recipe import Recipe
from bmix_lite.training import make_optimizer

CLASSES = 5
PLAIN = "plain epoch"
MIXED = "Balanced-MixUp epoch"
BARE = "steps"
DEFAULTS = "steps, torch's defaults"
PLAIN_DATA = "plain batches"
MIXED_DATA = "mixed batches"
NAMES = (PLAIN, MIXED, BARE, DEFAULTS, PLAIN_DATA, MIXED_DATA)
DATA = 8  # times as many steps where only batches are made, which takes a thirtieth of the time
SETTINGS = {
    "cpu": [
        dict(model="small_cnn", side=64, batch=32, steps=4),
        dict(model="mobilenet_v2", side=128, batch=32, steps=2),
    ],
    "cuda": [dict(model="mobilenet_v2", side=224, batch=256, steps=40)],
}
OVER_PLAIN = {"small_cnn": 1.10, "mobilenet_v2": 1.05}  # limits, on a CPU
STEP = 1.8
GPU_OVER_PLAIN = 1.03
GPU_OVER_BARE = 1.05
ELAPSED, PROCESSOR = 0, 1  # columns of what is measured


class Contender:
    """A process of its own that works when it is asked to."""

    def __init__(self, name, device, setting, threads):
        env = os.environ | {"OMP_NUM_THREADS": str(threads)}
        if name == DEFAULTS:
            env = {key: value for key, value in env.items() if not key.startswith("MALLOC_")}
        role = json.dumps([name, device, setting, threads])
        command = [sys.executable, __file__, "--work", role]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env
        )

    def work(self):
        """(seconds, seconds of the processor) of a turn."""
        print(file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer:
            raise SystemExit(f"training: a contender ended with {self.process.wait()}")
        return json.loads(answer)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def serve(name, device, setting, threads):
    """What a contender does: a turn for each line it reads."""
    device = torch.device(device)
    turn = make_turn(name, device, **setting)
    with use_threads(threads if name in (BARE, DEFAULTS) else 1):
        for _ in sys.stdin:
            started = time.perf_counter()
            used = time.process_time()
            turn()
            if device.type == "cuda":
                torch.cuda.synchronize()
            elapsed = time.perf_counter() - started
            print(json.dumps([elapsed, time.process_time() - used]), flush=True)


def make_turn(name, device, model, side, batch, steps):
    """A function that does `steps` steps, with the kit's data or on one batch that is there."""
    method = "balanced_mixup" if name in (MIXED, MIXED_DATA) else "instance"
    recipe = Recipe.make(method, model=model, augment="medical", batch_size=batch)
    epochs = itertools.count(1)
    if name in (PLAIN_DATA, MIXED_DATA):
        batches = MixedBatches(draw_images(side, batch * steps * DATA), recipe, device)
        return lambda: [None for _ in batches.epoch(next(epochs))]
    network = make_model(model, CLASSES, 3, seed=0, side=side).to(device)
    if name != DEFAULTS:
        network.to(memory_format=choose_layout(device, (batch, side, side, 3)))
    if name in (PLAIN, MIXED):
        training = Epochs(network, draw_images(side, batch * steps), recipe, device)
        return lambda: training.train_epoch(next(epochs), 0.01)
    step = make_step(name, network, recipe, device, side)
    return lambda: [step() for _ in range(steps)]


def make_step(name, network, recipe, device, side):
    """A function that does one step on one batch, as the kit does or in plain torch."""
    batch = recipe.batch_size
    weights = list(network.parameters())
    images = torch.rand(batch, 3, side, side, device=device)
    labels = torch.eye(CLASSES, device=device)[[0] * batch]
    if name == BARE:
        optimizer = make_optimizer(weights, recipe)
        images = images.contiguous(memory_format=torch.channels_last)
        precision = recipe.precision
    else:
        optimizer = torch.optim.SGD(weights, 0.01, 0.9, weight_decay=5e-4, nesterov=True)
        precision = "fp32"
    network.train()

    def step():
        with autocast(device, precision):
            logits = network(images)
        loss = torch.nn.functional.cross_entropy(logits.float(), labels)
        loss.item()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    return step


def draw_images(side, count):
    """Noise, four images of the last class in a hundred; a step takes as long as on any other."""
    rows = np.arange(count)
    labels = np.where(rows % 25 == 24, CLASSES - 1, rows % (CLASSES - 1))
    labels = np.concatenate([labels, np.arange(CLASSES)])
    images = np.random.default_rng(0).integers(0, 256, (len(labels), side, side, 3), dtype=np.uint8)
    split = np.repeat(["train", "val"], [count, CLASSES])
    return ImageSet(images, labels, tuple("abcde"), split=split)


def compare(device, setting, threads, rounds):
    """{contender: (rounds, 2) seconds elapsed and of the processor}, none always first."""
    contenders = {name: Contender(name, device, setting, threads) for name in NAMES}
    seconds = {name: [] for name in NAMES}
    try:
        for contender in contenders.values():
            contender.work()  # warm
        for turn in range(rounds):
            for name in rotate(NAMES, turn):
                seconds[name].append(contenders[name].work())
    finally:
        for contender in contenders.values():
            contender.close()
    seconds = {name: np.array(rows) for name, rows in seconds.items()}
    for name in (PLAIN_DATA, MIXED_DATA):
        seconds[name] /= DATA
    return seconds


def ratio(seconds, one, other, column):
    return float(np.median(seconds[one][:, column] / seconds[other][:, column]))


def add_up(seconds, steps, on_gpu):
    """The figures of one setting, of what `compare` gives."""
    elapsed = {
        name: float(np.median(times[:, ELAPSED])) / steps * 1e3 for name, times in seconds.items()
    }
    over_plain = None
    if not on_gpu:
        processor = {name: np.median(times[:, PROCESSOR]) for name, times in seconds.items()}
        added = processor[MIXED_DATA] - processor[PLAIN_DATA]
        over_plain = 1 + float(added / processor[PLAIN])
    return {
        "ms a step": elapsed,
        "over plain": over_plain,
        "direct": ratio(seconds, MIXED, PLAIN, ELAPSED if on_gpu else PROCESSOR),
        "over bare": ratio(seconds, MIXED, BARE, ELAPSED),
        "step": ratio(seconds, DEFAULTS, BARE, ELAPSED),
        "step, processor": ratio(seconds, DEFAULTS, BARE, PROCESSOR),
    }


def list_promises(row, on_gpu):
    """{text: (value, limit)} of a row."""
    label = f"{row['model']} at {row['side']} px"
    over_plain = f"{label}, Balanced-MixUp over plain, at most"
    over_bare = f"{label}, Balanced-MixUp over bare steps, at most"
    if on_gpu:
        over_bare_limit = (row["over bare"], GPU_OVER_BARE)
        return {over_plain: (row["direct"], GPU_OVER_PLAIN), over_bare: over_bare_limit}
    step = row["step"] if row["threads"] > 1 else row["step, processor"]
    return {
        over_plain: (row["over plain"], OVER_PLAIN[row["model"]]),
        f"{label}, step, times torch's defaults, at least": (step, STEP),
    }


def show(row):
    milliseconds = ", ".join(f"{name} {value:.0f}" for name, value in row["ms a step"].items())
    print(f"{row['model']} at {row['side']} px, ms a step: {milliseconds}")
    print(f"  Balanced-MixUp epoch over plain {row['direct']:.2f}", end="; ")
    print(f"defaults over ours by processor time {row['step, processor']:.2f}", flush=True)


def main():
    parser = read_arguments(__doc__)
    parser.add_argument("--device", choices=list(SETTINGS), default="cpu")
    parser.add_argument(
        "--threads", type=int, default=2, help="of the steps (default: %(default)s)"
    )
    parser.add_argument("--work", help="be a contender: for this program's own use")
    chosen = parser.parse_args()
    if chosen.work:
        return serve(*json.loads(chosen.work))
    keep_memory()
    on_gpu = chosen.device == "cuda"
    rows = []
    promises = {}
    for setting in SETTINGS[chosen.device]:
        if chosen.quick and not on_gpu:
            setting = setting | {"steps": 1}
        seconds = compare(chosen.device, setting, chosen.threads, 3 if chosen.quick else 15)
        row = setting | {"threads": chosen.threads} | add_up(seconds, setting["steps"], on_gpu)
        rows.append(row)
        show(row)
        promises |= list_promises(row, on_gpu)
    return finish(chosen, rows, promises)


if __name__ == "__main__":
    sys.exit(main())
