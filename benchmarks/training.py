"""An epoch of Balanced-MixUp against a plain one, and a training step against one of plain eager torch.

python benchmarks/training.py [--device cpu|cuda] [--quick] [--json PATH]. With --quick 2 min.
Promised on two cores, data and step included: Balanced-MixUp over plain at most 1.10 with small_cnn at 64 px and 1.05
with mobilenet_v2 at 128 px; a step at least 1.8 times as fast as with torch's defaults (channels first, the C library's
memory thresholds as they are, torch's own SGD; two threads both). The thresholds act at the start of a process, so each
contender is one, and they take turns. Epochs are compared by processor time, on one thread, as what making the batches
takes longer, over the whole plain epoch: of two whole epochs the ratio is shown, but on a shared machine it varies by a
tenth. Steps are compared by time elapsed, with --threads 1 by processor time.

On a GPU (it needs numpy, scikit-learn, torch and torchvision, nothing else): mobilenet_v2 at 224 px in batches of 256.
Promised: Balanced-MixUp over plain at most 1.03, and over the bare steps of the network at most 1.05.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from pairs import finish, keep_memory, read_arguments  # noqa: E402

from bmix_lite.batches import MixedBatches  # noqa: E402
from bmix_lite.data.imageset import ImageSet  # noqa: E402
from bmix_lite.inference import autocast, choose_layout, use_threads  # noqa: E402
from bmix_lite.models import make_model  # noqa: E402
from bmix_lite.recipe import Recipe  # noqa: E402
from bmix_lite.training import _Epochs, make_optimizer  # noqa: E402

CLASSES = 5
PLAIN, MIXED, BARE, DEFAULTS = (
    "plain epoch",
    "Balanced-MixUp epoch",
    "steps",
    "steps, torch's defaults",
)
PLAIN_DATA, MIXED_DATA = "plain batches", "mixed batches"
DATA = 8  # times as many steps where batches are made alone, which takes a thirtieth of the time
SETTINGS = {
    "cpu": [
        dict(model="small_cnn", side=64, batch=32, steps=4),
        dict(model="mobilenet_v2", side=128, batch=32, steps=2),
    ],
    "cuda": [dict(model="mobilenet_v2", side=224, batch=256, steps=40)],
}
OVER_PLAIN = {"small_cnn": 1.10, "mobilenet_v2": 1.05}  # on a CPU
STEP = 1.8
GPU_OVER_PLAIN, GPU_OVER_BARE = 1.03, 1.05


class Contender:
    """A process of its own that works when it is asked to."""

    def __init__(self, name, device, setting, threads):
        env = os.environ | {"OMP_NUM_THREADS": str(threads)}
        if name == DEFAULTS:
            env = {key: value for key, value in env.items() if not key.startswith("MALLOC_")}
        words = [sys.executable, __file__, "--work", json.dumps([name, device, setting, threads])]
        self.process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env
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
    device, turn = torch.device(device), make_turn(name, torch.device(device), **setting)
    with use_threads(threads if name in (BARE, DEFAULTS) else 1):
        for _ in sys.stdin:
            started, used = time.perf_counter(), time.process_time()
            turn()
            if device.type == "cuda":
                torch.cuda.synchronize()
            print(
                json.dumps([time.perf_counter() - started, time.process_time() - used]), flush=True
            )


def make_turn(name, device, model, side, batch, steps):
    """A function that does `steps` steps, with the kit's data or on one batch that is there."""
    method = "balanced_mixup" if name in (MIXED, MIXED_DATA) else "instance"
    recipe = Recipe.make(method, model=model, augment="medical", batch_size=batch)
    if name in (PLAIN_DATA, MIXED_DATA):
        batches, turns = (
            MixedBatches(draw_images(side, batch * steps * DATA), recipe, device),
            iter(range(1, 10**6)),
        )
        return lambda: [None for _ in batches.epoch(next(turns))]
    network = make_model(model, CLASSES, 3, seed=0, side=side).to(device)
    if name in (PLAIN, MIXED):
        network.to(memory_format=choose_layout(device, (batch, side, side, 3)))
        epochs, turns = (
            _Epochs(network, draw_images(side, batch * steps), recipe, device),
            iter(range(1, 10**6)),
        )
        return lambda: epochs.train_epoch(next(turns), 0.01)
    weights = list(network.parameters())
    optimizer = torch.optim.SGD(weights, 0.01, 0.9, weight_decay=5e-4, nesterov=True)
    images, labels = (
        torch.rand(batch, 3, side, side, device=device),
        torch.eye(CLASSES, device=device)[[0] * batch],
    )
    if name == BARE:
        network.to(memory_format=choose_layout(device, (batch, side, side, 3)))
        optimizer, images = (
            make_optimizer(weights, recipe),
            images.contiguous(memory_format=torch.channels_last),
        )
    network.train()

    def step():
        with autocast(device, recipe.precision if name == BARE else "fp32"):
            logits = network(images)
        loss = torch.nn.functional.cross_entropy(logits.float(), labels)
        loss.item()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    return lambda: [step() for _ in range(steps)]


def draw_images(side, count):
    """Noise, four images of the last class in a hundred; a step takes as long as on any other images."""
    rng = np.random.default_rng(0)
    labels = np.where(np.arange(count) % 25 == 24, CLASSES - 1, np.arange(count) % (CLASSES - 1))
    labels = np.concatenate([labels, np.arange(CLASSES)])
    images = rng.integers(0, 256, (len(labels), side, side, 3), dtype=np.uint8)
    split = np.repeat(["train", "val"], [count, CLASSES])
    return ImageSet(images, labels, tuple("abcde"), split=split)


def compare(device, setting, threads, rounds):
    """{contender: (rounds, 2) seconds elapsed and of the processor}, none always first."""
    names = (PLAIN, MIXED, BARE, DEFAULTS, PLAIN_DATA, MIXED_DATA)
    contenders = {name: Contender(name, device, setting, threads) for name in names}
    try:
        for contender in contenders.values():
            contender.work()  # warm
        found = {name: [] for name in names}
        for turn in range(rounds):
            for name in names[turn % 6 :] + names[: turn % 6]:
                found[name].append(contenders[name].work())
    finally:
        for contender in contenders.values():
            contender.close()
    found = {name: np.array(rows) for name, rows in found.items()}
    for name in (PLAIN_DATA, MIXED_DATA):
        found[name] /= DATA
    return found


def ratio(seconds, one, other, column):
    return float(np.median(seconds[one][:, column] / seconds[other][:, column]))


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
    rows, promises = [], {}
    for setting in SETTINGS[chosen.device]:
        setting |= {"steps": 1} if chosen.quick and chosen.device == "cpu" else {}
        seconds = compare(chosen.device, setting, chosen.threads, 3 if chosen.quick else 15)
        elapsed = {
            name: float(np.median(times[:, 0])) / setting["steps"] * 1e3
            for name, times in seconds.items()
        }
        on_gpu = chosen.device == "cuda"
        direct, over_plain = ratio(seconds, MIXED, PLAIN, 0 if on_gpu else 1), None
        if not on_gpu:
            added = np.median(seconds[MIXED_DATA][:, 1]) - np.median(seconds[PLAIN_DATA][:, 1])
            over_plain = 1 + float(added / np.median(seconds[PLAIN][:, 1]))
        steps, of_processor = (ratio(seconds, DEFAULTS, BARE, column) for column in (0, 1))
        rows.append(
            setting
            | {
                "threads": chosen.threads,
                "ms a step": elapsed,
                "over plain": over_plain,
                "direct": direct,
            }
        )
        rows[-1] |= {
            "over bare": ratio(seconds, MIXED, BARE, 0),
            "step": steps,
            "step, processor": of_processor,
        }
        label = f"{setting['model']} at {setting['side']} px"
        words = ", ".join(f"{name} {took:.0f}" for name, took in elapsed.items())
        print(f"{label}, ms a step: {words}", flush=True)
        print(
            f"  Balanced-MixUp epoch over plain {direct:.2f}; defaults over ours by processor time {of_processor:.2f}"
        )
        limit = GPU_OVER_PLAIN if on_gpu else OVER_PLAIN[setting["model"]]
        promises[f"{label}, Balanced-MixUp over plain, at most"] = (over_plain or direct, limit)
        if on_gpu:
            promises[f"{label}, Balanced-MixUp over bare steps, at most"] = (
                rows[-1]["over bare"],
                GPU_OVER_BARE,
            )
        else:
            found = steps if chosen.threads > 1 else of_processor
            promises[f"{label}, step, times torch's defaults, at least"] = (found, STEP)
    return finish(chosen, rows, promises)


if __name__ == "__main__":
    sys.exit(main())
