"""What runs are repeats of, splits or seeds, and what a verdict or interval on them covers."""

from collections import defaultdict
from typing import NamedTuple

import numpy as np

SEEDS_ONLY = "other seeds alone"
SEEDS_AND_IMAGES = "other seeds and test images"
IMAGES_ONLY = "other test images alone"
COVERED = {  # by the kind of split
    "draws": "other splits and test images",
    "folds": "other splits and test images",
    "fixed_test": "other test images and other splits of the rest",
}


class Unit(NamedTuple):
    """What is averaged over, and how its repeats share images.

    name: "splits", the seeds of each averaged first, or "seeds" of one split; overlap: n_test /
    n_train of the corrected t test; fixed_test: whether all splits have the same test images;
    covers: in words; fault: why no test fits, "" where one does
    """

    name: str
    overlap: float
    fixed_test: bool
    covers: str
    fault: str = ""


def find_unit(runs, part="test"):
    """The Unit of runs that are compared, or of one method's. part: "val" or "test".

    Splits share images in three ways: see `SplitDesign`. The overlap of drawn splits and of folds
    is n / (all images - n) of n images in the part (Nadeau and Bengio, Machine Learning 52, 2003).
    Where the test images are the same, it is that of the validation images, on which alone the
    trainings differ, and the variance of the test images is to be added.
    """
    if len({read_split(run) for run in runs}) < 2:
        return Unit("seeds", 0.0, False, SEEDS_ONLY)
    kinds = {run.get("split_kind") for run in runs}
    fault = _find_fault(kinds)
    if fault:
        return Unit("splits", np.nan, False, "nothing", fault)
    kind = kinds.pop()
    fixed_test = kind == "fixed_test" and part == "test"
    overlap = float(np.mean([_share_images(run, part) for run in runs]))
    covers = COVERED["folds" if part == "val" else kind]
    return Unit("splits", overlap, fixed_test, covers)


def average_seeds(scores, unit):
    """{split or seed: score} of {(split, seed): score}; a split's seeds share its images."""
    repeats = defaultdict(list)
    for (split, seed), score in scores.items():
        repeats[split if unit == "splits" else seed].append(score)
    return {number: float(np.mean(values)) for number, values in repeats.items()}


def read_split(run):
    """The number of a run's split."""
    return run["recipe"]["split"]


def _find_fault(kinds):
    """Why splits of these kinds cannot be tested together; "" if they can."""
    unknown = kinds - set(COVERED)
    if unknown:
        return "nobody noted which images these splits have in common"
    if len(kinds) > 1:
        return f"splits of several kinds ({', '.join(sorted(kinds))}) share images in several ways"
    return ""


def _share_images(run, part):
    """n / (all - n) of one run: all images from which the part is taken, n of them in it."""
    test = run["test_images"]
    every = run["rest_images"]
    images = np.sum(run["metrics"]["val"]["confusion"])
    if run["split_kind"] != "fixed_test":
        every = every + test
        images = test if part == "test" else images
    return images / (every - images)
