"""The wrong way, on purpose: what lesson 10 shows beside the right one, and what a recipe may ask for by name."""

import random

import numpy as np

from bmix_lite.base.errors import require

FACTOR, PATIENCE = 0.1, 2  # of the plateau schedule, Galdran et al., MICCAI 2021, section 3.2
# what `Recipe.defects` may name, so that the effect of each on a run can be seen; the "cube root" is q=0.875
SWITCHES = {
    "drop_last": "validation loses its last incomplete batch",
    "leading_plateau": "the plateau schedule is asked only where mixed training images score above validation",
    "chosen_on_test": "the epoch is chosen on the test images that then give the score",
    "kappa_without_labels": "kappa on validation has no place for a class that does not occur there",
    "global_lam": "lam comes from Python's one global generator: the same seed gives another run",
}


def drop_last(rows, batch_size):
    """Defect: the rows (N,) that a loader with drop_last=True scores; the last incomplete batch is lost."""
    return rows[: len(rows) // batch_size * batch_size]


def lower_rate_when_training_leads(train, val, lr):
    """Defect: rates (E,) of a plateau schedule on `val` that is only asked where the training score is the higher.

    train, val (E,) scores of each epoch. Scores on mixed images stay below those of validation: it is never asked.
    """
    require(
        len(train) == len(val),
        f"train and val must be of one length, got {len(train)} and {len(val)}",
    )
    rates, best, waited = [], -np.inf, 0
    for on_train, on_val in zip(train, val, strict=True):
        rates.append(lr)
        if on_train > on_val:
            best, waited = (on_val, 0) if on_val > best else (best, waited + 1)
            if waited > PATIENCE:
                lr, waited = lr * FACTOR, 0
    return rates


def cbrt_shares(counts):
    """Defect: class shares (C,) of a mode named after the cube root that weighs each image by n ** -0.125.

    counts (C,). A class has n images, so its share goes with n ** 0.875: nearly as the data are.
    """
    mass = np.asarray(counts, dtype=float) ** (1 - 0.125)
    return mass / mass.sum()


def kappa_without_labels(labels, predicted):
    """Defect: quadratic kappa in which classes that neither occurs nor is predicted have no place on the scale."""
    from sklearn.metrics import cohen_kappa_score

    return float(cohen_kappa_score(labels, predicted, weights="quadratic"))


def draw_lam_globally(alpha, size=None):
    """Defect: lam ~ Beta(alpha, 1) from Python's one global generator, which any other code may draw from too."""
    draws = [random.betavariate(alpha, 1) for _ in range(size or 1)]
    return draws[0] if size is None else np.array(draws)


def counts_by_position(labels):
    """Defect: images of each class that occurs, (C or fewer,); entry j is class j only where no class is missing."""
    return np.unique(labels, return_counts=True)[1]
