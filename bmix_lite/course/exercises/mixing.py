"""Checks of the exercises on sampling and mixing (lessons 1 to 3). Each raises Mistake or Undone, or is content.

The known mistakes stand beside the right answer as formulas, so that an answer is recognised by what it gives.
"""

import numpy as np

from bmix_lite.base.randomness import stream
from bmix_lite.course.exercises.answers import (
    Mistake,
    call,
    expect,
    near,
    read_array,
    read_number,
    recognise,
)
from bmix_lite.distribution import (
    class_probabilities,
    count_classes,
    mean_lam,
    median_lam,
    mixed_class_probabilities,
)

LABELS = np.array([2, 0, 0, 1, 0, 0, 1, 0, 0, 1, 0, 0])  # not in the order of the classes
COUNTS = np.array([90, 9, 1])
ALPHAS = np.array([0.1, 0.2, 0.5, 2.0])


def check_mean_lam(answer):
    """A function of alpha."""
    found = np.array([read_number(call(answer, float(alpha)), "E[lam]") for alpha in ALPHAS])
    wanted = mean_lam_of(ALPHAS)
    recognise(
        found,
        wanted,
        "E[lam]",
        [
            (ALPHAS, "that is alpha itself: the mean of Beta(alpha, 1) is smaller"),
            (
                1 - wanted,
                "that is the mean weight of the base batch, 1 - lam: lam is the weight of the balanced one",
            ),
            (
                [median_lam(alpha) for alpha in ALPHAS],
                "that is the median, below which half of the batches lie",
            ),
            (
                np.full(4, 0.5),
                "one half is the mean of MixUp's Beta(alpha, alpha); here it is Beta(alpha, 1)",
            ),
            (
                ALPHAS / (2 + ALPHAS),
                "the density is alpha * t**(alpha - 1), and the integral of t times that is asked",
            ),
        ],
    )
    at_zero = read_number(call(answer, 0.0), "E[lam] at alpha = 0")
    expect(near(at_zero, 0.0), "at alpha = 0 nothing is mixed, so E[lam] is 0")


def mean_lam_of(alphas):
    return np.array([mean_lam(alpha) for alpha in alphas])


def check_image_weights(answer):
    """A function of labels (N,) to the chance of each image, (N,)."""
    for labels in (LABELS, LABELS[::-1].copy()):
        counts, rows = count_classes(labels), len(labels)
        found = read_array(call(answer, labels), "the weights")
        if found.shape == counts.shape:
            raise Mistake(
                f"{len(counts)} weights, one per class: one per image is asked for, {rows} here"
            )
        expect(
            found.shape == (rows,),
            f"one weight per image is asked for, ({rows},); found shape {found.shape}",
        )
        of_image, equal = counts[labels], 1 / (len(counts) * counts[labels])
        ordered = np.repeat(1 / (len(counts) * counts), counts)
        roots = class_probabilities(counts, 0.5) / counts
        recognise(
            found,
            equal,
            "the weights",
            [
                (
                    1 / of_image,
                    f"the weights sum to {np.sum(1 / of_image):.0f}: chances must sum to 1",
                ),
                (rows * equal, f"the weights sum to {rows}: chances must sum to 1"),
                (
                    np.full(rows, 1 / rows),
                    "all images have the same weight: that is instance-balanced sampling",
                ),
                (
                    np.full(rows, 1 / len(counts)),
                    "each image has its class's share, which its images must divide",
                ),
                (
                    of_image / np.sum(of_image),
                    "the wrong way round: images of common classes weigh more",
                ),
                (
                    of_image / rows,
                    "that is the share of the image's class in the data: the rare must weigh more",
                ),
                (roots[labels], "that is square-root sampling (q = 1/2): class-balanced is q = 0"),
                (
                    ordered,
                    "right numbers, wrong order: weight k must be that of the image with labels[k]",
                ),
            ],
        )


def check_draw_balanced(answer):
    """A function of (labels, draws, rng) to rows (draws,)."""
    draws, counts = 3000, count_classes(LABELS)

    def draw(seed):
        rows = read_array(call(answer, LABELS, draws, stream(seed, "exercise")), "the rows")
        expect(
            rows.shape == (draws,),
            f"{draws} rows are asked for, as many as `draws`; found shape {rows.shape}",
        )
        expect((rows == rows.astype(int)).all(), "rows must be whole numbers that index the images")
        inside = rows.min() >= 0 and rows.max() < len(LABELS)
        expect(
            inside,
            f"rows must lie in 0..{len(LABELS) - 1}, found {rows.min():.0f} to {rows.max():.0f}",
        )
        return rows.astype(int)

    rows = draw(0)
    if set(rows) <= set(range(len(counts))):
        raise Mistake("that are classes: draw the class first, then one of the rows that have it")
    times = np.bincount(rows, minlength=len(LABELS))
    shares = np.bincount(LABELS, times) / draws
    slack = 5 * (0.25 / draws) ** 0.5
    instance = class_probabilities(counts, 1)
    if np.abs(shares - 1 / len(counts)).max() > slack:
        words = ", ".join(f"{share:.2f}" for share in shares)
        expect(
            np.abs(shares - instance).max() > slack,
            f"classes come with shares {words}, as in the data: instance-balanced",
        )
        raise Mistake(
            f"classes come with shares {words}: each of {len(counts)} classes must come equally often"
        )
    never = np.flatnonzero(times == 0)
    if len(never):
        raise Mistake(f"row {never[0]} is never drawn: every image of a class must have its chance")
    within = times[LABELS == 0] / times[LABELS == 0].sum()
    expect(np.ptp(within) < 0.1, "images of one class must be drawn equally often")
    expect(
        not np.array_equal(rows, draw(1)),
        "another rng gives the same rows: draw from `rng`, set no seed inside",
    )
    expect(
        np.array_equal(rows, draw(0)),
        "the same rng gives other rows: draw from `rng`, not from a global generator",
    )
    runs = np.mean(LABELS[rows][1:] == LABELS[rows][:-1])
    expect(runs < 0.5, "the classes come one after the other: a batch must hold a mixture of them")


def check_balanced_mixup(answer):
    """A function of (base, balanced, lam), both (x (B, H, W), y (B, C)), to (x, y)."""
    rng, lams = stream(0, "exercise batch"), np.array([0.25, 0.9])  # one on either side of a half
    x_base, x_balanced = rng.random((2, 4, 3, 3))
    y_base, y_balanced = np.eye(3)[[0, 0, 0, 1]], np.eye(3)[[2, 1, 2, 0]]
    xs, ys = [], []
    for lam in lams:
        found = call(answer, (x_base, y_base), (x_balanced, y_balanced), float(lam))
        pair = isinstance(found, tuple | list) and len(found) == 2
        expect(pair, "a pair (x, y) must come back: images and labels are mixed alike")
        x, y = read_array(found[0], "x"), read_array(found[1], "y")
        expect(x.shape == x_base.shape, f"x must keep its shape {x_base.shape}, found {x.shape}")
        hard = y.shape == y_base.shape[:1]
        expect(
            not hard,
            "y holds one number an image: labels are not one-hot any more, keep a share for each class",
        )
        expect(y.shape == y_base.shape, f"y must keep its shape {y_base.shape}, found {y.shape}")
        xs.append(x)
        ys.append(y)
    _check_images(np.stack(xs), x_base, x_balanced, lams[:, None, None, None])
    _check_soft_labels(np.stack(ys), y_base, y_balanced, lams[:, None, None])


def _check_images(found, base, balanced, lam):
    mistakes = [
        (
            lam * base + (1 - lam) * balanced,
            "lam is swapped: it is the weight of the balanced batch",
        ),
        (base + 0 * lam, "x is the base batch as it was: the balanced one is missing"),
        (balanced + 0 * lam, "x is the balanced batch alone: the base one is missing"),
        ((base + balanced) / 2 + 0 * lam, "x is mixed half and half, whatever lam is"),
        (base + lam * balanced, "the weights of x do not sum to 1: the base batch has 1 - lam"),
        ((1 - lam) * base + lam * base[::-1], "the base batch is mixed with itself: that is MixUp"),
    ]
    recognise(found, (1 - lam) * base + lam * balanced, "x", mistakes)


def _check_soft_labels(found, base, balanced, lam):
    wanted = (1 - lam) * base + lam * balanced
    mistakes = [
        (base + 0 * lam, "only x is mixed: y is still that of the base batch"),
        (balanced + 0 * lam, "y is that of the balanced batch alone"),
        (lam * base + (1 - lam) * balanced, "x is right, but in y lam is swapped"),
        (
            np.eye(3)[wanted.argmax(axis=-1)],
            "y is hard: the largest share got all; keep soft labels",
        ),
        (
            base + lam * balanced,
            "the rows of y do not sum to 1: the base labels have the weight 1 - lam",
        ),
    ]
    recognise(found, wanted, "y", mistakes)


def check_mixed_shares(answer):
    """A function of (counts, alpha) to the shares (C,) of label mass after mixing."""
    for counts, alpha in ((COUNTS, 0.2), (np.array([50, 30, 15, 5]), 0.5)):
        found = read_array(call(answer, counts, alpha), "the shares")
        expect(
            found.shape == counts.shape,
            f"one share per class is asked for, {counts.shape}; found {found.shape}",
        )
        data, equal, mean = (
            counts / counts.sum(),
            np.full(len(counts), 1 / len(counts)),
            mean_lam(alpha),
        )
        median = median_lam(alpha)
        recognise(
            found,
            mixed_class_probabilities(counts, 1, alpha),
            "the share",
            [
                (
                    (1 - alpha) * data + alpha * equal,
                    "alpha is used as the weight: its mean is alpha / (1 + alpha)",
                ),
                (
                    (1 - median) * data + median * equal,
                    "the median of lam is used: for expected shares use its mean",
                ),
                (
                    mean * data + (1 - mean) * equal,
                    "the streams are swapped: E[lam] is the weight of the balanced one",
                ),
                (data, "these are the shares before mixing"),
                (equal, "these are the shares of the balanced stream alone"),
                (data + alpha * equal, f"the shares sum to {1 + alpha:g}: divide by 1 + alpha"),
                ((1 - mean) * data + mean, "the balanced stream must give each class 1/C, not 1"),
                (
                    (1 - mean) * counts + mean * counts.sum() * equal,
                    "these are numbers of images: divide by all",
                ),
                (
                    (1 - mean) * counts + mean * equal,
                    "counts are mixed with shares: divide the counts by their sum",
                ),
            ],
        )
