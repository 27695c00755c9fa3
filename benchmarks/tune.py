"""How the defaults of `Recipe` were chosen: on validation, the same grid and seeds for all methods.

python benchmarks/tune.py [--quick]: the whole grid takes about 20 minutes on two cores. The test
images are never read.
"""

import argparse
from concurrent.futures import ProcessPoolExecutor

import pandas as pd

from bmix_lite.data.datasets import load
from bmix_lite.models import make_model
from bmix_lite.pages.demo import ROWS
from bmix_lite.sweeps.sweep import expand_grid
from bmix_lite.training import Recipe, train

GRID = {
    "lr": [0.005, 0.01, 0.02, 0.05],
    "epochs": [40, 60],
    "augment": ["none", "upright"],
    "seed": list(range(5)),
}
QUICK = {"lr": [0.01, 0.05], "epochs": [40], "seed": [0]}


def validate(setting):
    """Best validation balanced accuracy of one run."""
    recipe = Recipe.make(**setting)
    data = load(recipe.dataset, split=recipe.split)
    classes, channels = len(data.class_names), data.images.shape[3]
    network = make_model(recipe.model, classes, channels, seed=recipe.seed, head=recipe.head)
    return max(record["val_balanced_accuracy"] for record in train(network, data, recipe))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one seed, four settings")
    parser.add_argument("--jobs", type=int, default=2)
    chosen = parser.parse_args()
    grid = GRID | QUICK if chosen.quick else GRID
    settings = [row | point for row in ROWS for point in expand_grid(**grid)]
    with ProcessPoolExecutor(chosen.jobs) as pool:
        table = pd.DataFrame(settings).assign(val=list(pool.map(validate, settings)))
    table["method"] += table["alpha"].map(lambda alpha: "" if pd.isna(alpha) else f" {alpha:g}")
    scores = table.pivot_table(
        index=["augment", "epochs", "lr"], columns="method", values="val", sort=False
    )
    scores["mean"] = scores.mean(axis=1)
    print(scores.sort_values("mean", ascending=False).round(3).to_string())


if __name__ == "__main__":
    main()
