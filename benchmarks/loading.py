"""Images per second that reach the network: our prepared array against one JPEG file per image.

python benchmarks/loading.py [--quick] [--json PATH]. An image of Balanced-MixUp is mixed from two.
With --quick 2 min.
Promised: at least 10 times the images of Balanced-MixUp from files at 64 px and 5 times at 224 px
with augment="medical", 15 times with flips alone.

From files: a DataLoader opens each with Pillow, decodes it anew each time, and augments it by
torchvision, "medical" with the widths that ours has; Balanced-MixUp zips two loaders, one with a
WeightedRandomSampler, and mixes after normalising. Ours has no workers: it is measured on one
thread. Files of 64 and 128 px are stored at that size, those of 224 and 512 px at 512.
"""

import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from pairs import finish, keep_memory, median_ratio, read_arguments, time_in_turn
from PIL import Image
from torch.utils.data import DataLoader, Dataset, WeightedRandomSampler

from bmix_lite.augment import AUGMENTATIONS
from bmix_lite.batches import MixedBatches
from bmix_lite.data.fundus.toy import fundus_toy
from bmix_lite.data.imageset import ImageSet
from bmix_lite.layers import Normalise
from bmix_lite.models import IMAGENET
from bmix_lite.recipe import Recipe

BATCH = 32
ALPHA = 0.1
LIMITS = {(64, "medical"): 10, (224, "medical"): 5, (64, "flips"): 15, (224, "flips"): 15}
CONTENDERS = ("files", "files, mixed", "array", "array, mixed")


class Files(Dataset):
    """JPEG files read, augmented and normalised one by one."""

    def __init__(self, paths, labels, side, augment):
        self.paths = paths
        self.labels = labels
        self.change = make_transform(side, augment)

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, row):
        with Image.open(self.paths[row]) as image:
            return self.change(image.convert("RGB")), self.labels[row]


def make_transform(side, name):
    """One of our augmentations, made of torchvision's."""
    from torchvision import transforms

    chosen = AUGMENTATIONS[name]
    steps = [transforms.Resize((side, side))]
    if chosen.flip_x:
        steps.append(transforms.RandomHorizontalFlip())
    if chosen.flip_y:
        steps.append(transforms.RandomVerticalFlip())
    if chosen.rotate:
        affine = transforms.RandomAffine(
            chosen.rotate,
            translate=(chosen.shift, chosen.shift),
            scale=(1 - chosen.scale, 1 + chosen.scale),
            interpolation=transforms.InterpolationMode.BILINEAR,
        )
        steps.append(affine)
    if chosen.contrast:
        steps.append(transforms.ColorJitter(chosen.brightness, chosen.contrast))
    return transforms.Compose([*steps, transforms.ToTensor(), transforms.Normalize(*IMAGENET)])


def make_loaders(files, workers, mixed):
    """The loader of plain training, for Balanced-MixUp also a balanced one; workers stay alive."""
    settings = {"batch_size": BATCH, "num_workers": workers, "persistent_workers": workers > 0}
    loaders = [DataLoader(files, shuffle=True, **settings)]
    if mixed:
        weights = 1 / np.bincount(files.labels)[files.labels]
        sampler = WeightedRandomSampler(weights, len(files))
        loaders.append(DataLoader(files, sampler=sampler, **settings))
    return loaders


def read_files(loaders, classes):
    """One epoch from files; returns the number of images delivered."""
    rng = np.random.default_rng(0)
    count = 0
    for batches in zip(*loaders, strict=True):
        batches = [
            (images, torch.nn.functional.one_hot(labels, classes).float())
            for images, labels in batches
        ]
        if len(batches) > 1:
            lam = rng.beta(ALPHA, 1)
            batches = [[(1 - lam) * one + lam * other for one, other in zip(*batches, strict=True)]]
        count += len(batches[0][0])
    return count


def read_array(data, augment, mixed):
    """The same from the array of our kit, normalised as well."""
    recipe = Recipe.make("balanced_mixup", alpha=ALPHA) if mixed else Recipe()
    recipe = Recipe(**recipe.asdict() | {"augment": augment, "batch_size": BATCH})
    batches = MixedBatches(data, recipe, "cpu")
    normalise = Normalise(*IMAGENET)
    return sum(len(normalise(images)) for images, _ in batches.epoch(1))


def save_files(folder, data, stored):
    """Each image as a JPEG file of `stored` pixels per side; the paths."""
    paths = [str(folder / f"{row}.jpg") for row in range(len(data.images))]
    for path, image in zip(paths, data.images, strict=True):
        picture = Image.fromarray(image).resize((stored, stored), Image.Resampling.BICUBIC)
        picture.save(path, quality=90)
    return paths


def draw_images(side, count):
    """Drawn retinas, all for training; those of 512 px are enlarged, the kit draws none."""
    drawn = fundus_toy(n=count, size=min(side, 224))
    images = [
        cv2.resize(image, (side, side), interpolation=cv2.INTER_CUBIC) for image in drawn.images
    ]
    split = np.repeat("train", count)
    return ImageSet(np.stack(images), drawn.labels, drawn.class_names, split=split)


def measure(folder, side, workers, augment, count, rounds):
    """A row: images per second of the four, and how many times as many ours delivers."""
    data = draw_images(side, count)
    paths = save_files(folder, data, 512 if side > 128 else side)
    files = Files(paths, data.labels, side, augment)
    plain = make_loaders(files, workers, mixed=False)
    mixed = make_loaders(files, workers, mixed=True)
    contenders = {
        "files": lambda: read_files(plain, len(data.class_names)),
        "files, mixed": lambda: read_files(mixed, len(data.class_names)),
        "array": lambda: read_array(data, augment, False),
        "array, mixed": lambda: read_array(data, augment, True),
    }
    time_in_turn(contenders, 1)  # starts the workers
    # without workers all is done here: processor time, which other programs disturb less
    clock = time.perf_counter if workers else time.process_time
    seconds = time_in_turn(contenders, rounds, clock)
    row = {"side": side, "workers": workers, "augment": augment}
    for name, taken in seconds.items():
        row[name] = count / float(np.median(taken))
    row["plain ratio"] = median_ratio(seconds, "files", "array")
    row["mixed ratio"] = median_ratio(seconds, "files, mixed", "array, mixed")
    row["mixed over plain, files"] = median_ratio(seconds, "files, mixed", "files")
    row["mixed over plain, array"] = median_ratio(seconds, "array, mixed", "array")
    return row


def measure_all(sides, quick):
    """Yield a row per side, augmentation and number of workers."""
    for side in sides:
        count = 640
        if quick:
            count = 320 if side == 64 else 128
        for augment in ("medical", "flips"):
            for workers in (0, 2):
                with tempfile.TemporaryDirectory() as place:
                    rounds = 3 if quick else 7
                    yield measure(Path(place), side, workers, augment, count, rounds)


def main():
    chosen = read_arguments(__doc__).parse_args()
    keep_memory()
    torch.set_num_threads(1)
    print(f"images/s: {', '.join(CONTENDERS)}; times as many from the array, plain and mixed")
    rows = []
    promises = {}
    for row in measure_all((64, 224) if chosen.quick else (64, 128, 224, 512), chosen.quick):
        rows.append(row)
        side = row["side"]
        augment = row["augment"]
        numbers = " ".join(f"{row[name]:8.0f}" for name in CONTENDERS)
        ratios = f"{row['plain ratio']:5.1f} {row['mixed ratio']:5.1f}"
        setting = f"{side:4} px, {augment:<8} {row['workers']} workers"
        print(f"{setting} {numbers}  {ratios}", flush=True)
        if row["workers"] == 0 and (side, augment) in LIMITS:
            promise = f"times the mixed images a second at {side} px, {augment}, at least"
            promises[promise] = (row["mixed ratio"], LIMITS[side, augment])
    return finish(chosen, rows, promises)


if __name__ == "__main__":
    sys.exit(main())
