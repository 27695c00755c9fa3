"""Which runs are of one dataset is tested in runs/test_same_data; here what is said of splits."""

import pytest

from bmix_lite.comparison.datasets import describe_splits


def make_runs(kind, tests, rest=76):
    noted = {"split_kind": kind, "rest_images": rest if kind else None}
    return [
        noted | {"recipe": {"split": split, "seed": seed}, "test_images": test if kind else None}
        for split, test in enumerate(tests)
        for seed in range(2)
    ]


@pytest.mark.parametrize(
    ("runs", "sentence"),
    [
        (make_runs("draws", [400], 1397), "One split, with 400 test images."),
        (
            make_runs("draws", [400] * 3, 1397),
            "3 splits: each draws 400 test images anew, from a pool of 1,797.",
        ),
        (
            make_runs("folds", [19, 20], 76),
            "2 splits: folds of 95 to 96 images, with 19 to 20 test images each.",
        ),
        (
            make_runs("fixed_test", [20, 20]),
            "2 splits with the same 20 test images: training and validation vary.",
        ),
        (make_runs(None, [9]), "One split."),
        (
            make_runs(None, [9, 9]),
            "2 splits: what their test images have in common is not known.",
        ),
        (
            make_runs("draws", [9, 9]) + make_runs(None, [9]),
            "2 splits: what their test images have in common is not known.",
        ),
    ],
)
def test_how_splits_relate_is_said_in_words(runs, sentence):
    assert describe_splits(runs) == sentence
