"""The wrong way, on purpose: what lesson 10 shows beside the right one, and puts back into a run.

A mistake is a row, as a method is: a registered schedule, monitor or mixing; or other "val" rows.
"""

import random
from dataclasses import dataclass, fields

import numpy as np

from bmix_lite.base.errors import BmixError
from bmix_lite.base.files import hash_json
from bmix_lite.batches import MIXINGS, register_mixing
from bmix_lite.data.imageset import ImageSet
from bmix_lite.metrics import register_metric
from bmix_lite.mixing import balanced_mixup
from bmix_lite.plots.theme import COLOURS, DASHES, MARKERS, as_text, make_figure
from bmix_lite.recipe import METHODS
from bmix_lite.schedules import VAL_THRESHOLD, clean_metric, mixed_metric, register_schedule

# of the plateau schedule: Galdran et al., MICCAI 2021, section 3.2
FACTOR = 0.1
PATIENCE = 2
# how each is put back into a run, to see its effect; the "cube root" is q=0.875
MISTAKES = {
    "drop_last_of_val(data, batch_size)": "validation loses its last incomplete batch",
    "choose_on_test(data)": "the epoch is chosen on the test images that then give the score",
    'schedule="leading_plateau"': "the rate falls only where training scores above validation",
    'monitor="kappa_without_labels"': (
        "kappa has no place for a class that does not occur in validation"
    ),
    'mixing="global_lam"': "lam from Python's one global generator: a seed fixes no run",
}
# what `Recipe.paper` does otherwise than the authors: how theirs is had, or why it is not
DEVIATIONS = {
    "the rate may fall after any epoch, not only where training scores above validation": (
        'schedule="leading_plateau"'
    ),
    "all validation images are scored, not whole batches only": "drop_last_of_val(data, 8)",
    "kappa knows all grades, also those that do not occur": 'monitor="kappa_without_labels"',
    "lam comes from a private stream of the seed": 'mixing="global_lam"',
    "the score is that of test images, not of the validation images that chose the epoch": (
        "choose_on_test(data)"
    ),
    "training has 3/5 of the images, not 4/5 (Hyper-Kvasir) or 9/10 (EyePACS)": (
        "a column `split` in the table that is prepared; some images are left for a test"
    ),
    "Hyper-Kvasir has its official folds, and the eyes of a patient stay in one part": (
        "the same column: theirs were dealt image by image"
    ),
    "images are resized once": "no switch: Hyper-Kvasir was resized twice, by way of a JPEG file",
    "colours change in floats": "no switch: theirs were rounded to 256 levels after each change",
}


def register_defects():
    """Let recipes name the schedule, the monitor and the mixing of MISTAKES."""
    register_schedule("leading_plateau", leading_plateau, train_score=choose_score)
    register_metric("kappa_without_labels", kappa_without_labels)
    register_mixing("global_lam", mix_with_global_lam, reads_balanced=True)
    METHODS["balanced_mixup_global_lam"] = {"mixing": "global_lam", "alpha": 0.2}


@dataclass(frozen=True)
class OtherVal(ImageSet):
    """An ImageSet whose "val" rows are `val_rows` (n,), whatever its split says; shares the pixels.

    Its fingerprint is another: no run or checkpoint on it is taken for one on the healthy set.
    """

    val_rows: np.ndarray | None = None

    def rows(self, split):
        return self.val_rows if split == "val" else super().rows(split)

    @property
    def fingerprint(self):
        return hash_json([super().fingerprint, self.val_rows.tolist()])


def drop_last_of_val(data, batch_size):
    """Defect: `data` whose validation loses the images that a loader with drop_last=True loses."""
    return _with_val_rows(data, drop_last(data.rows("val"), batch_size))


def choose_on_test(data):
    """Defect: `data` whose epoch is chosen on the test images, which then give the score, too."""
    return _with_val_rows(data, data.rows("test"))


def drop_last(rows, batch_size):
    """Defect: the rows (N,) that a loader with drop_last=True scores: no incomplete batch."""
    return rows[: len(rows) // batch_size * batch_size]


def leading_plateau(recipe, epoch, history):
    """Defect: the schedule of `lower_rate_when_training_leads`, on scores by `recipe.monitor`."""
    records = history[recipe.warmup_epochs :]
    is_clean = choose_score(recipe) == "clean"
    name = clean_metric(recipe) if is_clean else mixed_metric(recipe)
    train = [record[name] for record in records]
    val = [record[f"val_{recipe.monitor}"] for record in records]
    return lower_rate_when_training_leads([*train, 0.0], [*val, 0.0], recipe.lr)[-1]


def choose_score(recipe):
    """Defect: which training score `leading_plateau` compares with validation, as the authors did.

    "clean" for Balanced-MixUp; "mixed" for all others: the batches as trained on, mixed by MixUp.
    """
    _, reads_balanced = MIXINGS[recipe.mixing]
    return "clean" if reads_balanced else "mixed"


def lower_rate_when_training_leads(train, val, lr):
    """Defect: rates (E,) of a plateau schedule asked only where training scores above validation.

    train, val (E,): scores per epoch. MixUp's training scores, on mixed images, stay below those of
    validation, so the schedule is never asked.
    """
    if len(train) != len(val):
        raise BmixError(f"train and val must be of one length, got {len(train)} and {len(val)}")
    rates = []
    best = -np.inf
    waited = 0
    for on_train, on_val in zip(train, val, strict=True):
        rates.append(lr)
        if on_train <= on_val:
            continue
        if on_val > best * (1 + VAL_THRESHOLD):
            best = on_val
            waited = 0
        else:
            waited += 1
        if waited > PATIENCE:
            lr *= FACTOR
            waited = 0
    return rates


def cbrt_shares(counts):
    """Defect: class shares (C,) of a mode named "cube root" that weighs an image by n ** -0.125.

    counts (C,). A class has n images, so its share goes with n ** 0.875: nearly as the data are.
    """
    mass = np.asarray(counts, dtype=float) ** (1 - 0.125)
    return mass / mass.sum()


def kappa_without_labels(labels, predicted, probabilities=None):
    """Defect: quadratic kappa whose scale lacks classes that neither occur nor are predicted."""
    from sklearn.metrics import cohen_kappa_score

    return float(cohen_kappa_score(labels, predicted, weights="quadratic"))


def mix_with_global_lam(batch, draws):
    """Defect: Balanced-MixUp with the lam of `draw_lam_globally`."""
    lam = draw_lam_globally(draws.alpha, draws.size)
    return balanced_mixup(batch, draws.balanced_batch(), lam)


def draw_lam_globally(alpha, size=None):
    """Defect: lam ~ Beta(alpha, 1) from Python's global generator, from which any code may draw."""
    draws = [random.betavariate(alpha, 1) for _ in range(size or 1)]
    return draws[0] if size is None else np.array(draws)


def counts_by_position(labels):
    """Defect: images of each class that occurs: entry j is class j only if no class is missing."""
    return np.unique(labels, return_counts=True)[1]


def _with_val_rows(data, rows):
    kept = {field.name: getattr(data, field.name) for field in fields(ImageSet)}
    return OtherVal(**kept, val_rows=rows)


def plot_before_after(x, curves, *, title, x_title, y_title, log=False):
    """Curves over the same x (N,): {name: (N,)}, the wrong one first. log: of the values."""
    figure = make_figure(title=as_text(title), height=360, margin={"b": 90})
    for at, (name, y) in zip((1, 0), curves.items(), strict=False):
        colour = COLOURS[at]
        figure.add_scatter(
            x=list(x),
            y=list(y),
            mode="lines+markers",
            name=as_text(name),
            line={"color": colour, "dash": DASHES[at], "width": 2},
            marker={"symbol": MARKERS[at], "size": 8, "color": colour},
        )
    figure.update_yaxes(
        title=y_title,
        type="log" if log else "linear",
        dtick=1 if log else None,
        exponentformat="none",
    )
    return figure.update_xaxes(title=x_title)
