"""Learning rates as a pure function of the recipe and the history, so that no scheduler state can be lost."""

import math

from bmix_lite.course.defects import lower_rate_when_training_leads

PLATEAU_PATIENCE, PLATEAU_FACTOR = 2, 0.1  # Galdran et al., MICCAI 2021, section 3.2
PLATEAU_METRIC = (
    "train_balanced_accuracy"  # on clean training images: the same number for every method
)


def lr_at(recipe, epoch, history):
    """Learning rate of `epoch` (from 1), given the records of the epochs before it.

    cosine: from lr to nearly 0 over the epochs; constant; plateau: times 0.1 after 2 epochs without a better
    clean training score. `warmup_epochs` rise linearly to lr first. None: the rate would lie below min_lr, stop.
    """
    if epoch <= recipe.warmup_epochs:
        return recipe.lr * epoch / (recipe.warmup_epochs + 1)
    if recipe.schedule == "cosine":
        done = (epoch - 1 - recipe.warmup_epochs) / (recipe.epochs - recipe.warmup_epochs)
        return recipe.lr * (1 + math.cos(math.pi * done)) / 2
    if recipe.schedule == "plateau":
        rate = _lower_at_plateaus(recipe, history[recipe.warmup_epochs :])
        return (
            None if rate < recipe.min_lr * (1 - 1e-9) else rate
        )  # 0.01 * 0.1 * 0.1 is not quite 1e-4
    return recipe.lr


def mixed_metric(recipe):
    """The name of the score on mixed training images, which only the defect "leading_plateau" looks at."""
    return f"train_mixed_{recipe.monitor}"


def _lower_at_plateaus(recipe, history):
    if recipe.makes("leading_plateau"):
        train, val = (
            [record[name] for record in history]
            for name in (mixed_metric(recipe), f"val_{recipe.monitor}")
        )
        return lower_rate_when_training_leads([*train, 0.0], [*val, 0.0], recipe.lr)[-1]
    return recipe.lr * PLATEAU_FACTOR ** _count_plateaus(history)


def _count_plateaus(history):
    best, waited, plateaus = -math.inf, 0, 0
    for record in history:
        if record[PLATEAU_METRIC] > best:
            best, waited = record[PLATEAU_METRIC], 0
        else:
            waited += 1
        if waited > PLATEAU_PATIENCE:
            plateaus, waited = plateaus + 1, 0
    return plateaus
