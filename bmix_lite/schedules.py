"""Learning rates as a pure function of recipe and history: no scheduler state can be lost."""

import math
from numbers import Real

from bmix_lite.base.errors import BmixError, require_choice
from bmix_lite.base.registry import add_own
from bmix_lite.recipe import CHOICES

PLATEAU_PATIENCE = 2  # epochs; Galdran et al., MICCAI 2021, section 3.2, like the factor
PLATEAU_FACTOR = 0.1
# what counts as better, relative to the best: torch's default, the authors' too
VAL_THRESHOLD = 1e-4
# on clean training images: the same number for every method
PLATEAU_METRIC = "train_balanced_accuracy"
TRAIN_SCORES = ("clean", "mixed")  # what a schedule can ask training to score besides validation


def lr_at(recipe, epoch, history):
    """Learning rate of `epoch` (from 1), given the records of the epochs before it.

    cosine: from lr to nearly 0 over the epochs; constant; plateau: times 0.1 after the third epoch
    in a row without a better clean training score; val_plateau: the same by the recipe's monitor on
    validation. `warmup_epochs` rise linearly to lr first.
    None: the rate would lie below min_lr, so training ends.
    """
    if epoch <= recipe.warmup_epochs:
        return recipe.lr * epoch / (recipe.warmup_epochs + 1)
    rate_of, _ = SCHEDULES[recipe.schedule]
    rate = rate_of(recipe, epoch, history)
    can_stop = len(history) > 0  # without one epoch there is no model to keep
    if can_stop and rate < recipe.min_lr * (1 - 1e-9):  # 0.01 * 0.1 * 0.1 is not quite 1e-4
        return None
    return rate


def train_score(recipe):
    """The score on training images that the recipe's schedule needs: "clean", "mixed", or None."""
    kind = SCHEDULES[recipe.schedule][1]
    return kind(recipe) if callable(kind) else kind


def clean_metric(recipe):
    """The name, in the records, of the monitored score on clean training images."""
    return f"train_{recipe.monitor}"


def mixed_metric(recipe):
    """The name, in the records, of the score on mixed training images."""
    return f"train_mixed_{recipe.monitor}"


def register_schedule(name, function, train_score=None):
    """Make `schedule=name` a schedule of recipes: function(recipe, epoch, history) returns a rate.

    epoch: from 1, after the warm-up; history: the records of all epochs before it, as `train`
    yields them. A rate below `recipe.min_lr` ends the training. Halved every ten epochs:

        def halve(recipe, epoch, history):
            return recipe.lr * 0.5 ** ((epoch - 1) // 10)

        register_schedule("halve", halve)
        recipe = Recipe(schedule="halve")

    train_score: what training adds to each record: "clean", scores on the training images as they
    are, balanced accuracy (PLATEAU_METRIC) and the recipe's monitor (`clean_metric(recipe)`);
    "mixed", the monitor on the mixed images, as the network answered while it learned
    (`mixed_metric(recipe)`); or a function of the recipe that says which.
    A recipe, a run id and a checkpoint hold the name alone: give a changed function a new name.
    Raises BmixError for the name of a built-in schedule.
    """
    if train_score is not None and not callable(train_score):
        require_choice("train_score", train_score, TRAIN_SCORES)
    add_own(SCHEDULES, BUILT_IN, "schedule", name, function)

    def checked(recipe, epoch, history):
        rate = function(recipe, epoch, history)
        if not (isinstance(rate, Real) and math.isfinite(rate) and rate >= 0):
            raise BmixError(f"the schedule {name!r} must return a rate of 0 or more, got {rate!r}")
        return float(rate)

    SCHEDULES[name] = (checked, train_score)
    CHOICES["schedule"] = tuple(SCHEDULES)


def _cosine(recipe, epoch, history):
    done = (epoch - 1 - recipe.warmup_epochs) / (recipe.epochs - recipe.warmup_epochs)
    return recipe.lr * (1 + math.cos(math.pi * done)) / 2


def _constant(recipe, epoch, history):
    return recipe.lr


def _plateau(recipe, epoch, history):
    scores = [record[PLATEAU_METRIC] for record in history[recipe.warmup_epochs :]]
    return recipe.lr * PLATEAU_FACTOR ** _count_plateaus(scores)


def _val_plateau(recipe, epoch, history):
    scores = [record[f"val_{recipe.monitor}"] for record in history[recipe.warmup_epochs :]]
    return recipe.lr * PLATEAU_FACTOR ** _count_plateaus(scores, VAL_THRESHOLD)


def _count_plateaus(scores, threshold=0.0):
    best = -math.inf
    waited = 0
    plateaus = 0
    for score in scores:
        if score > best * (1 + threshold):
            best = score
            waited = 0
        else:
            waited += 1
        if waited > PLATEAU_PATIENCE:
            plateaus += 1
            waited = 0
    return plateaus


# name: (function of (recipe, epoch, history) that gives the rate, what `train_score` returns)
SCHEDULES = {
    "cosine": (_cosine, None),
    "constant": (_constant, None),
    "plateau": (_plateau, "clean"),
    "val_plateau": (_val_plateau, None),
}
BUILT_IN = tuple(SCHEDULES)
