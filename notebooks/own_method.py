"""A method of your own: a loss, a base stream, and the row that names them.

    python -m bmix_lite sweep notebooks/05_train.ipynb --with notebooks/own_method.py \
        --grid method=brier_cube_root --out build/own

The content of this file is part of what tells runs apart.
"""

from bmix_lite.distribution import register_sampling
from bmix_lite.losses import register_loss
from bmix_lite.recipe import METHODS


def brier(logits, targets):
    """Squared distance between probabilities and soft targets, (B, C) each (Brier, 1950)."""
    return (logits.softmax(dim=1) - targets).square().sum(dim=1).mean()


def cube_root(counts, epoch, epochs):
    """Class weights (C,): the cube root of the counts, between balanced and square root."""
    return counts ** (1 / 3)


register_loss("brier", brier)
register_sampling("cube_root", cube_root)
METHODS["brier_cube_root"] = dict(loss="brier", q="cube_root")
