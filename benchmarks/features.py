"""From images to features to a head: speed of a pretrained network on a CPU, and what it holds.

python benchmarks/features.py [--quick] [--json PATH]: noise of 128 px, 4,000 images (0.2 GB in the
temporary folder) or 20,000 (1 GB) embedded by efficientnet_lite0 with all cores, in a process of
its own; then heads of one layer on 10,000 x 1,280 features in 23 classes, 30 epochs on a core.
With --quick a minute on two cores, else three.
Promised, on two idle cores: at least 200 images per second; at most 1,500 MB in that process at its
highest, however many the images; at most 3 s for a head by instance sampling, and Balanced-MixUp in
at most 1.3 times its time.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from pairs import finish, median_ratio, read_arguments, time_in_turn

from bmix_lite.data.imageset import ImageSet
from bmix_lite.data.prepared import write_description, write_images
from bmix_lite.models import make_model
from bmix_lite.recipe import Recipe
from bmix_lite.training import train

SIDE = 128
BLOCK = 500
CLASSES = 23
CHANNELS = 1280
ROWS = {"train": 10_000, "val": 2000, "test": 2000}
IMAGES_PER_SECOND = 200  # limit
MEGABYTES = 1500  # limit
HEAD = 3.0  # limit, seconds
MIXED = 1.3  # limit
EMBED = """
import resource, sys, time
from bmix_lite.preparation.embed import embed
folder, out = sys.argv[1:]
started = time.perf_counter()
rows = len(embed(folder, out=out, progress=False).labels)
seconds = time.perf_counter() - started
print(rows / seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3)
"""


def write_noise(folder, count):
    """A prepared dataset of noise."""
    rng = np.random.default_rng(0)
    shape = (BLOCK, SIDE, SIDE, 3)
    blocks = (rng.integers(0, 256, shape, dtype=np.uint8) for _ in range(count // BLOCK))
    digest = write_images(folder / "images.npy", (count, *shape[1:]), blocks)
    images = np.load(folder / "images.npy", mmap_mode="r")
    labels = np.arange(count) % CLASSES
    names = tuple(map(str, range(CLASSES)))
    data = ImageSet(images, labels, names, name=folder.name, images_sha256=digest)
    write_description(data, folder)


def measure_embedding(folder, count):
    """(images per second, megabytes at the highest) of a process that embeds; also its start."""
    write_noise(folder / "noise", count)
    command = [sys.executable, "-c", EMBED, folder / "noise", folder / "features"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    speed, megabytes = map(float, printed.split())
    return speed, megabytes


def make_features():
    """Rows around a point for each class, the rarest 1 in 100."""
    rng = np.random.default_rng(0)
    shares = 100.0 ** (-np.arange(CLASSES) / (CLASSES - 1))
    total = sum(ROWS.values())
    labels = rng.choice(CLASSES, total, p=shares / shares.sum())
    features = rng.standard_normal((total, CHANNELS), dtype=np.float32)
    features += rng.standard_normal((CLASSES, CHANNELS), dtype=np.float32)[labels]
    split = np.repeat(list(ROWS), list(ROWS.values()))
    names = tuple(map(str, range(CLASSES)))
    return ImageSet(features[:, None, None, :], labels, names, split=split)


def measure_heads(rounds):
    """{method: seconds (rounds,)} of whole trainings."""
    data = make_features()

    def train_head(method):
        recipe = Recipe.on_features("noise", method)
        model = make_model(recipe.model, CLASSES, CHANNELS, seed=0, side=1)
        list(train(model, data, recipe, device="cpu"))

    train_head("instance")  # torch's own first time
    methods = ("instance", "balanced_mixup")
    heads = {method: lambda method=method: train_head(method) for method in methods}
    return time_in_turn(heads, rounds)


def main():
    chosen = read_arguments(__doc__).parse_args()
    count = 4000 if chosen.quick else 20_000
    with tempfile.TemporaryDirectory() as place:
        speed, megabytes = measure_embedding(Path(place), count)
    heads = measure_heads(3 if chosen.quick else 5)
    plain = float(np.median(heads["instance"]))
    rows = [{"images": count, "images per second": speed, "megabytes": megabytes}]
    rows += [{"method": name, "seconds": values.tolist()} for name, values in heads.items()]
    promises = {
        f"{count:,} images of {SIDE} px, images per second, at least": (speed, IMAGES_PER_SECOND),
        f"{count:,} images of {SIDE} px, megabytes, at most": (megabytes, MEGABYTES),
        "a head on 10,000 features, seconds, at most": (plain, HEAD),
        "Balanced-MixUp of features over instance, at most": (
            median_ratio(heads, "balanced_mixup", "instance"),
            MIXED,
        ),
    }
    return finish(chosen, rows, promises)


if __name__ == "__main__":
    sys.exit(main())
