"""An epoch of Balanced-MixUp over a plain one in a loop of one's own: ImageFolder, two workers.

python benchmarks/own_loop.py [--quick] [--json PATH]. Best on an idle machine; about 2 min.
Promised: at most 2.1 times the plain epoch, as every batch reads two images per image; beside it
the authors' way, two loaders zipped, and a Dataset that reads both images and mixes them itself.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from loading import draw_images
from pairs import finish, median_ratio, read_arguments, time_in_turn
from PIL import Image
from torch.nn.functional import one_hot
from torch.utils.data import DataLoader, Dataset, WeightedRandomSampler
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from bmix_lite import BalancedMixUp, PairSampler

BATCH = 32
ALPHA = 0.2
LIMIT = 2.1
WORKERS = {"num_workers": 2, "persistent_workers": True}


class Wrapper(Dataset):
    """Reads a base and a balanced image at once, and mixes them: no loader knows of it."""

    def __init__(self, folder, classes):
        self.folder = folder
        self.classes = classes
        self.rng = np.random.default_rng(0)
        labels = np.array(folder.targets)
        self.weights = 1 / np.bincount(labels)[labels]
        self.weights /= self.weights.sum()

    def __len__(self):
        return len(self.folder)

    def __getitem__(self, row):
        other = self.rng.choice(len(self.folder), p=self.weights)
        lam = self.rng.beta(ALPHA, 1)
        (x, y), (other_x, other_y) = self.folder[row], self.folder[other]
        labels = one_hot(torch.tensor([y, other_y]), self.classes).float()
        return torch.lerp(x, other_x, lam), torch.lerp(*labels, lam)


def save_folder(place, side, count):
    """Drawn retinas as JPEG files in a folder per class."""
    data = draw_images(side, count)
    for row, (image, label) in enumerate(zip(data.images, data.labels, strict=True)):
        path = place / str(label) / f"{row}.jpg"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(image).save(path, quality=90)


def make_contenders(folder):
    """{name: function that reads an epoch}."""
    classes = len(folder.classes)
    plain = DataLoader(folder, BATCH, shuffle=True, **WORKERS)
    sampler = PairSampler(folder, BATCH)
    mix = BalancedMixUp(sampler, alpha=ALPHA)
    ours = DataLoader(folder, batch_sampler=sampler, collate_fn=mix, **WORKERS)
    labels = np.array(folder.targets)
    weighted = WeightedRandomSampler(1 / np.bincount(labels)[labels], len(labels))
    balanced = DataLoader(folder, BATCH, sampler=weighted, **WORKERS)
    wrapped = DataLoader(Wrapper(folder, classes), BATCH, shuffle=True, **WORKERS)
    rng = np.random.default_rng(0)

    def read_two():
        for (x, y), (other_x, other_y) in zip(plain, balanced, strict=True):
            lam = rng.beta(ALPHA, 1)
            torch.lerp(x, other_x, lam)
            torch.lerp(one_hot(y, classes).float(), one_hot(other_y, classes).float(), lam)

    return {
        "plain": lambda: sum(1 for _ in plain),
        "PairSampler": lambda: sum(1 for _ in ours),
        "two loaders": read_two,
        "a dataset around it": lambda: sum(1 for _ in wrapped),
    }


def measure(side, count, rounds):
    """{name: times the plain epoch}."""
    steps = [v2.RandomHorizontalFlip(), v2.ToImage(), v2.ToDtype(torch.float32, scale=True)]
    with tempfile.TemporaryDirectory() as name:
        save_folder(Path(name), side, count)
        contenders = make_contenders(ImageFolder(name, v2.Compose(steps)))
        time_in_turn(contenders, 1)  # starts the workers
        seconds = time_in_turn(contenders, rounds)
    return {name: median_ratio(seconds, name, "plain") for name in contenders}


def main():
    chosen = read_arguments(__doc__).parse_args()
    torch.set_num_threads(1)
    rows = []
    promises = {}
    for side in (224,) if chosen.quick else (64, 224):
        ratios = measure(side, 640, 3 if chosen.quick else 9)
        rows.append({"side": side} | ratios)
        numbers = ", ".join(f"{name} {ratio:.2f}" for name, ratio in ratios.items())
        print(f"{side} px, times the plain epoch: {numbers}", flush=True)
        promises[f"times the plain epoch at {side} px, at most"] = (ratios["PairSampler"], LIMIT)
    return finish(chosen, rows, promises)


if __name__ == "__main__":
    sys.exit(main())
