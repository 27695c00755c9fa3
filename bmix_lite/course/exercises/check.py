"""The exercises of notebook 11: checks that name the mistake, hints in steps, a summary."""

from dataclasses import dataclass

from bmix_lite.base.errors import BmixError, require_choice
from bmix_lite.course.exercises import audit, mixing, runs, sampling
from bmix_lite.course.exercises.answers import Mistake, Undone
from bmix_lite.course.exercises.hints import HINTS, REMARKS

CHECKS = {  # in the order of the notebook
    "read_matrix": audit.check_read_matrix,
    "image_weights": sampling.check_image_weights,
    "draw_balanced": sampling.check_draw_balanced,
    "mean_lam": mixing.check_mean_lam,
    "mixed_shares": mixing.check_mixed_shares,
    "balanced_mixup": mixing.check_balanced_mixup,
    "choose_alpha": runs.check_choose_alpha,
    "judge_seeds": runs.check_judge_seeds,
    "plan_sweep": audit.check_plan_sweep,
    "find_leaks": audit.check_find_leaks,
    "score_all": runs.check_score_all,
}
RIGHT = "right"
WRONG = "not right yet"
UNDONE = "not done yet"


@dataclass(frozen=True)
class Verdict:
    """What a check says: state (right, not right yet, not done yet) and message."""

    state: str
    message: str

    def __repr__(self):
        return f"{self.state}: {self.message}" if self.message else self.state


def check(exercise, answer):
    """The Verdict on an answer; a wrong one never raises, so that Run All goes on.

    exercise: a name in CHECKS
    answer: a function, number, array or dict, as the exercise asks
    Raises BmixError for an unknown exercise.
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
    """Hint number `step`, 1 to 3. Raises BmixError for another step or an unknown exercise."""
    require_choice("exercise", exercise, tuple(HINTS))
    hints = HINTS[exercise]
    if not isinstance(step, int) or not 1 <= step <= len(hints):
        raise BmixError(f"step must be a whole number from 1 to {len(hints)}, got {step!r}")
    return f"{step} of {len(hints)}: {hints[step - 1]}"


def grade(answers):
    """The state of every exercise, a DataFrame indexed by name.

    answers: {exercise: answer}; an exercise that is not in it is not done
    """
    import pandas as pd

    for name in answers:
        require_choice("exercise", name, tuple(CHECKS))
    states = [check(name, answers.get(name, ...)).state for name in CHECKS]
    return pd.DataFrame({"state": states}, index=pd.Index(CHECKS, name="exercise"))
