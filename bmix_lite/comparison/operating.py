"""The operating point: a threshold chosen on validation images and reported on test images.

One class, or several together ("grade 2 and above"), stand against all others. The score of an
image is the sum of its probabilities for them; it is called positive where its score is at least
the threshold.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from bmix_lite.base.predictions import check_probabilities
from bmix_lite.comparison.rates import Estimate, estimate_rates, read_groups
from bmix_lite.comparison.thresholds import (
    choose_threshold,
    read_aim,
    read_scores,
    read_share,
    require_both,
    sum_scores,
)


@dataclass(frozen=True, repr=False)
class OperatingPoint:
    """A threshold, the rule that chose it, and what it gave where it was chosen.

    positive: class numbers; threshold: infinite where no image is called positive; prevalence:
    that of the rule, or None; sensitivity and specificity: of the images that chose it, hence too
    good.
    """

    positive: tuple[int, ...]
    threshold: float
    rule: str
    prevalence: float | None
    sensitivity: float
    specificity: float
    counts: tuple[int, int]  # images of the positive classes, and all others

    def call(self, probabilities: ArrayLike) -> np.ndarray:
        """Which images are called positive, (N,) bool, of probabilities (N, C)."""
        return sum_scores(check_probabilities(probabilities), self.positive) >= self.threshold

    def report(
        self,
        probabilities: ArrayLike,
        labels: ArrayLike,
        *,
        groups: ArrayLike | None = None,
        prevalence: float | None = None,
        level: float = 0.95,
        resamples: int = 2000,
        seed: int = 0,
    ) -> "OperatingReport":
        """What the threshold does to other images, the test split, with intervals.

        groups (N,): the patient of each image; patients are then resampled, with all their images
        prevalence: for PPV and NPV, taken as known; else that of the rule, else of these images
        Raises BmixError if a row cannot be scored.
        """
        scores, truth, _ = read_scores(probabilities, labels, self.positive)
        called = scores >= self.threshold
        level = read_share("level", level)
        stated = self.prevalence if prevalence is None else read_share("prevalence", prevalence)
        known = float(truth.mean()) if stated is None else stated
        patients = None if groups is None else read_groups(groups, len(truth))
        settings = {"level": level, "resamples": resamples, "seed": seed}
        rates = estimate_rates(truth, called, known, patients, **settings)
        sensitivity, specificity, ppv, npv = rates
        return OperatingReport(
            point=self,
            sensitivity=sensitivity,
            specificity=specificity,
            ppv=ppv,
            npv=npv,
            prevalence=known,
            stated=stated is not None,
            counts=_count(truth, called),
            level=level,
            patients=None if patients is None else len(np.unique(patients)),
        )

    def __repr__(self):
        where = f"where their score is at least {self.threshold:.4g}"
        if np.isinf(self.threshold):
            where = "nowhere, the threshold is infinite"
        positives, others = self.counts
        return (
            f"OperatingPoint: images are called {_name_positive(self.positive)} {where}\n"
            f"  chosen for {self.rule}\n"
            f"  on {positives + others:,} images, {positives:,} of them positive: "
            f"sensitivity {self.sensitivity:.3f}, specificity {self.specificity:.3f}\n"
            "  too good, since it was chosen there: report() says what other images give"
        )


@dataclass(frozen=True, repr=False)
class OperatingReport:
    """An operating point on images that did not choose it; each Estimate is value, low, high."""

    point: OperatingPoint
    sensitivity: Estimate
    specificity: Estimate
    ppv: Estimate
    npv: Estimate
    prevalence: float  # for which PPV and NPV hold
    stated: bool  # or else that of these images
    counts: dict[str, int]  # images found, missed, false_alarms, cleared
    level: float
    patients: int | None

    @property
    def covers(self) -> str:
        """What the intervals speak of, and what not."""
        images = f"{sum(self.counts.values()):,} images"
        others = f"other images than these {images}, taken as of different patients"
        if self.patients is not None:
            others = f"other patients than these {self.patients:,} with {images}"
        return f"{others}; not another training, threshold or prevalence"

    def per_thousand(self) -> dict[str, float]:
        """Expected found, missed, false_alarms and cleared of 1,000 at the prevalence."""
        ill = 1000 * self.prevalence
        well = 1000 - ill
        return {
            "found": ill * self.sensitivity.value,
            "missed": ill * (1 - self.sensitivity.value),
            "false_alarms": well * (1 - self.specificity.value),
            "cleared": well * self.specificity.value,
        }

    def __repr__(self):
        found, missed, false_alarms, cleared = self.counts.values()
        source = "stated" if self.stated else "that of these images"
        expected = self.per_thousand()
        told = "not defined"
        if not any(map(np.isnan, expected.values())):
            told = ", ".join(f"{n:.0f} {name.replace('_', ' ')}" for name, n in expected.items())
        return "\n".join(
            [
                f"OperatingReport: {_name_positive(self.point.positive)}, "
                f"threshold {self.point.threshold:.4g}, chosen for {self.point.rule}",
                f"  sensitivity  {self.sensitivity}, {found:,} of {found + missed:,}",
                f"  specificity  {self.specificity}, {cleared:,} of {cleared + false_alarms:,}",
                f"  PPV          {self.ppv} at prevalence {self.prevalence:.4g} ({source})",
                f"  NPV          {self.npv}",
                f"  of 1,000 at this prevalence: {told}",
                f"  {100 * self.level:g} % intervals: {self.covers}",
            ]
        )


def operating_point(
    probabilities: ArrayLike,
    labels: ArrayLike,
    *,
    positive: int | ArrayLike,
    min_recall: float | None = None,
    min_specificity: float | None = None,
    costs: dict[str, float] | None = None,
    prevalence: float | None = None,
) -> OperatingPoint:
    """The threshold that serves one aim best on these images, those of the validation split.

    probabilities (N, C), labels (N,); positive: a class number, or several that count as one
    min_recall: at least this sensitivity, then the highest specificity
    min_specificity: at least this specificity, then the highest sensitivity
    costs: {"false_negative": 10, "false_positive": 1}, the lowest expected cost
    prevalence: with costs, where they arise; with the two above, noted for PPV and NPV; alone, as
    many are called positive as are (Freeman and Moisen, Ecological Modelling 217, 2008)
    Of equally good thresholds the one with the highest sensitivity. Thresholds lie half-way between
    neighbouring scores. Raises BmixError unless there is one aim, and both kinds of image.
    """
    scores, truth, classes = read_scores(probabilities, labels, positive)
    require_both(truth, classes)
    if prevalence is not None:
        prevalence = read_share("prevalence", prevalence)
    aim, value = read_aim(prevalence, min_recall, min_specificity, costs)
    known = float(truth.mean()) if prevalence is None else prevalence
    threshold, sensitivity, specificity, rule = choose_threshold(scores, truth, aim, value, known)
    return OperatingPoint(
        positive=classes,
        threshold=threshold,
        rule=rule,
        prevalence=prevalence,
        sensitivity=sensitivity,
        specificity=specificity,
        counts=(int(truth.sum()), int((~truth).sum())),
    )


def _count(truth, called):
    return {
        "found": int((truth & called).sum()),
        "missed": int((truth & ~called).sum()),
        "false_alarms": int((~truth & called).sum()),
        "cleared": int((~truth & ~called).sum()),
    }


def _name_positive(positive):
    """In words: "class 2", "class 2, 3 or 4"."""
    *first, last = map(str, positive)
    return f"class {', '.join(first)} or {last}" if first else f"class {last}"
