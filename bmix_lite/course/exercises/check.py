"""The exercises of notebook 11: checks that name the mistake, hints in steps, a sheet of all answers."""

from dataclasses import dataclass

from bmix_lite.base.errors import require, require_choice
from bmix_lite.course.exercises import audit as exercises_audit
from bmix_lite.course.exercises import mixing as exercises_mixing
from bmix_lite.course.exercises import runs as exercises_runs
from bmix_lite.course.exercises.answers import Mistake, Undone
from bmix_lite.course.exercises.hints import HINTS, REMARKS

CHECKS = {  # in the order of the notebook
    "read_matrix": exercises_audit.check_read_matrix,
    "image_weights": exercises_mixing.check_image_weights,
    "draw_balanced": exercises_mixing.check_draw_balanced,
    "mean_lam": exercises_mixing.check_mean_lam,
    "mixed_shares": exercises_mixing.check_mixed_shares,
    "balanced_mixup": exercises_mixing.check_balanced_mixup,
    "choose_alpha": exercises_runs.check_choose_alpha,
    "judge_seeds": exercises_runs.check_judge_seeds,
    "plan_sweep": exercises_audit.check_plan_sweep,
    "find_leaks": exercises_audit.check_find_leaks,
    "score_all": exercises_runs.check_score_all,
}
RIGHT, WRONG, UNDONE = "right", "not right yet", "not done yet"


@dataclass(frozen=True)
class Verdict:
    """What a check has to say: state (right, not right yet, not done yet) and words."""

    state: str
    words: str

    def __repr__(self):
        return f"{self.state}: {self.words}" if self.words else self.state


def check(exercise, answer):
    """The verdict on an answer; never raises for a wrong one, so that Run All goes on.

    exercise: a name in CHECKS; answer: a function, number, array or dict, as the exercise asks. Raises BmixError for
    an unknown exercise.
    """
    require_choice("exercise", exercise, tuple(CHECKS))
    try:
        CHECKS[exercise](answer)
    except Undone:
        return Verdict(UNDONE, f'a hint: hint("{exercise}", 1)')
    except Mistake as mistake:
        return Verdict(WRONG, str(mistake))
    return Verdict(RIGHT, REMARKS[exercise])


def hint(exercise, step=1):
    """The hint of a step, 1 to 3, as text. Raises BmixError for another step or an unknown exercise."""
    require_choice("exercise", exercise, tuple(HINTS))
    steps = HINTS[exercise]
    whole = isinstance(step, int) and 1 <= step <= len(steps)
    require(whole, f"step must be a whole number from 1 to {len(steps)}, got {step!r}")
    return f"{step} of {len(steps)}: {steps[step - 1]}"


def grade(answers):
    """A table with the state of every exercise, a DataFrame indexed by name; what is not in `answers` is not done."""
    import pandas as pd

    for name in answers:
        require_choice("exercise", name, tuple(CHECKS))
    states = [check(name, answers.get(name, ...)).state for name in CHECKS]
    return pd.DataFrame({"state": states}, index=pd.Index(CHECKS, name="exercise"))
