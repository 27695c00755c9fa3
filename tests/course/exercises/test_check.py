"""Right answers in every form pass, and each typical wrong one is called by its name."""

import nbformat
import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.metrics import accuracy_score, balanced_accuracy_score, cohen_kappa_score, recall_score

from bmix_lite.base.errors import BmixError
from bmix_lite.course.exercises.audit import MATRIX, PHOTOS, SIDES, SWEEP, weigh_kappa
from bmix_lite.course.exercises.check import CHECKS, RIGHT, UNDONE, WRONG, check, grade, hint
from bmix_lite.course.exercises.hints import HINTS, REMARKS
from bmix_lite.course.exercises.runs import SCREENING, SEEDS, cost_per_thousand
from conftest import ROOT

A = np.array(SEEDS["a"])
B = np.array(SEEDS["b"])
GAP = float(np.mean(B - A))
P = float(stats.ttest_rel(B, A).pvalue)
JUDGED = {"difference": GAP, "p": P, "verdict": "higher"}
FOUND = np.array(MATRIX)
RECALL = FOUND.diagonal() / FOUND.sum(axis=1)
PRECISION = FOUND.diagonal() / FOUND.sum(axis=0)
TRUE, ANSWERED = (np.repeat(axis.ravel(), FOUND.ravel()) for axis in np.indices(FOUND.shape))
SCORED = {
    "accuracy": accuracy_score(TRUE, ANSWERED),
    "recall": recall_score(TRUE, ANSWERED, average=None),
    "balanced_accuracy": balanced_accuracy_score(TRUE, ANSWERED),
    "kappa": cohen_kappa_score(TRUE, ANSWERED, weights="quadratic"),
}
PLANNED = {"runs": 90, "minutes": 180, "chooses": "val", "reports": "test"}
CHOSEN = {"alpha": 0.3, "cost": 161.16}


def chances(labels):
    counts = np.bincount(labels)
    return 1 / (len(counts) * counts[labels])


def draw_class_first(labels, draws, rng):
    members = [np.flatnonzero(labels == c) for c in range(labels.max() + 1)]
    return [int(rng.choice(members[c])) for c in rng.integers(0, len(members), draws)]


def deal_from_shuffled_decks(labels, draws, rng):
    members = [np.flatnonzero(labels == c) for c in range(labels.max() + 1)]
    decks = [
        np.concatenate([rng.permutation(rows) for _ in range(draws // len(rows) + 1)])
        for rows in members
    ]
    return rng.permutation(np.concatenate([deck[: draws // len(members)] for deck in decks]))


def mix(base, balanced, lam):
    return (1 - lam) * base[0] + lam * balanced[0], (1 - lam) * base[1] + lam * balanced[1]


def mix_in_torch(base, balanced, lam):
    return [
        torch.lerp(*map(torch.from_numpy, pair), lam) for pair in zip(base, balanced, strict=True)
    ]


def shares(counts, weight):
    return (1 - weight) * counts / counts.sum() + weight / len(counts)


def patients_on(*pairs):
    """A function that finds the patients who lie on both sides of one of these pairs."""

    def find(photos, split):
        where = {}
        for photo, side in zip(photos, split, strict=True):
            where.setdefault(photo[:3], set()).add(side)
        return [name for name, sides in where.items() if any(set(pair) <= sides for pair in pairs)]

    return find


find_all = patients_on(("train", "test"), ("train", "val"), ("val", "test"))


def batches(rows, size):
    return [rows[k : k + size] for k in range(0, len(rows), size)]


RIGHT_ANSWERS = {
    "a lambda": ("mean_lam", lambda alpha: alpha / (1 + alpha)),
    "one less the other weight": ("mean_lam", lambda alpha: 1 - 1 / (1 + alpha)),
    "scipy's mean": ("mean_lam", lambda alpha: stats.beta(alpha, 1).mean() if alpha else 0),
    "a tensor of no dimension": ("mean_lam", lambda alpha: torch.tensor(alpha / (1 + alpha))),
    "an integral": (
        "mean_lam",
        lambda alpha: 1 - np.trapezoid(np.linspace(0, 1, 10**6) ** alpha) / (10**6 - 1),
    ),
    "weights": ("image_weights", chances),
    "weights as a list": ("image_weights", lambda labels: chances(labels).tolist()),
    "weights as float32": (
        "image_weights",
        lambda labels: torch.tensor(chances(labels), dtype=torch.float32),
    ),
    "weights by a loop": (
        "image_weights",
        lambda labels: [1 / sum(labels == label) / len(set(labels)) for label in labels],
    ),
    "rows by weights": (
        "draw_balanced",
        lambda labels, n, rng: rng.choice(len(labels), n, p=chances(labels)),
    ),
    "class first, a list": ("draw_balanced", draw_class_first),
    "decks": ("draw_balanced", deal_from_shuffled_decks),
    "the two lines": ("balanced_mixup", mix),
    "torch's lerp": ("balanced_mixup", mix_in_torch),
    "lists": ("balanced_mixup", lambda *given: [part.tolist() for part in mix(*given)]),
    "shares": ("mixed_shares", lambda counts, alpha: shares(counts, alpha / (1 + alpha))),
    "shares in torch": (
        "mixed_shares",
        lambda counts, a: (torch.tensor(counts / counts.sum()) + a / len(counts)) / (1 + a),
    ),
    "batches": ("score_all", batches),
    "batches as lists": (
        "score_all",
        lambda rows, size: [part.tolist() for part in batches(rows, size)],
    ),
    "a generator of batches": (
        "score_all",
        lambda rows, size: (part for part in batches(rows, size)),
    ),
    "numpy's split": ("score_all", lambda rows, size: np.split(rows, range(size, len(rows), size))),
    "alpha and cost": ("choose_alpha", CHOSEN),
    "a rounded cost": ("choose_alpha", CHOSEN | {"cost": 161}),
    "the seeds": ("judge_seeds", JUDGED),
    "numbers of numpy": ("judge_seeds", JUDGED | {"p": np.float32(P), "verdict": " Higher "}),
    "leaks": ("find_leaks", find_all),
    "leaks as a set": ("find_leaks", lambda photos, split: set(find_all(photos, split))),
    "leaks as an array": ("find_leaks", lambda photos, split: np.array(find_all(photos, split))),
    "scores": ("read_matrix", SCORED),
    "scores as fractions": (
        "read_matrix",
        SCORED | {"accuracy": 96 / 130, "recall": (0.8, 0.5, 0.6)},
    ),
    "the plan": ("plan_sweep", PLANNED),
    "the plan in floats": ("plan_sweep", PLANNED | {"runs": 90.0, "minutes": np.int64(180)}),
}


@pytest.mark.parametrize(("exercise", "answer"), RIGHT_ANSWERS.values(), ids=RIGHT_ANSWERS)
def test_a_right_answer_passes_in_whatever_form(exercise, answer):
    assert repr(check(exercise, answer)) == f"{RIGHT}: {REMARKS[exercise]}"


def mix_in_place(base, balanced, lam):
    x = base[0]
    x *= 1 - lam
    x += lam * balanced[0]
    return x, mix(base, balanced, lam)[1]


def y_with(function):
    return lambda base, balanced, lam: (
        mix(base, balanced, lam)[0],
        function(base[1], balanced[1], lam),
    )


def x_with(function):
    return lambda base, balanced, lam: (
        function(base[0], balanced[0], lam),
        mix(base, balanced, lam)[1],
    )


def clear(labels):
    weights = chances(labels)
    labels[:] = 0
    return weights


def sort_first(labels):
    counts = np.bincount(labels)
    return np.repeat(1 / (len(counts) * counts), counts)


def draw_by(weigh):
    return lambda labels, n, rng: rng.choice(len(labels), n, p=weigh(labels) / weigh(labels).sum())


def complain(*_):
    raise KeyError("the batch")


WRONG_ANSWERS = [
    ("mean_lam", lambda a: a, "alpha itself"),
    ("mean_lam", lambda a: 1 / (1 + a), "of the base batch, 1 - lam"),
    ("mean_lam", lambda a: 0.5 ** (1 / a), "the median"),
    ("mean_lam", lambda a: 0.5, "MixUp's Beta(alpha, alpha)"),
    ("mean_lam", lambda a: 100 * a / (1 + a), "per cent"),
    ("mean_lam", lambda a: round(a / (1 + a), 2), "rounded"),
    ("mean_lam", lambda a: np.random.default_rng(0).beta(a, 1, 4000).mean(), "drawn at random"),
    ("mean_lam", lambda a: 1 / (1 + 1 / a), "(0.0) it raised ZeroDivisionError"),
    ("mean_lam", lambda a: a / (1 + a) if a else 0.5, "at alpha = 0 nothing is mixed"),
    ("mean_lam", lambda a: a / (2 + a), "the integral of t times that"),
    ("mean_lam", lambda a: a**3, "too small"),
    ("mean_lam", lambda a: None, "a `return`"),
    ("mean_lam", lambda a: str(a / (1 + a)), "one number, found str"),
    ("mean_lam", lambda a: [a / (1 + a)], "one number, found list"),
    ("mean_lam", 1 / 6, "expected a function, found float"),
    ("mean_lam", lambda: 1, "raised TypeError"),
    ("mean_lam", lambda a: float("nan"), "divided by 0"),
    ("image_weights", lambda y: 1 / np.bincount(y), "one per class: expected one per image"),
    ("image_weights", lambda y: 1 / np.bincount(y)[y], "sum to 3: probabilities must sum to 1"),
    ("image_weights", lambda y: len(y) * chances(y), "sum to 12: probabilities must sum to 1"),
    ("image_weights", lambda y: np.full(len(y), 1 / len(y)), "instance-balanced"),
    ("image_weights", lambda y: np.full(len(y), 1 / 3), "the images of the class must divide"),
    (
        "image_weights",
        lambda y: np.bincount(y)[y] / np.sum(np.bincount(y) ** 2),
        "the wrong way round",
    ),
    (
        "image_weights",
        lambda y: np.bincount(y)[y] / len(y),
        "the class's share of the data",
    ),
    (
        "image_weights",
        lambda y: np.bincount(y)[y] ** -0.5 / np.sum(np.bincount(y) ** 0.5),
        "square-root",
    ),
    ("image_weights", lambda y: 100 * chances(y), "per cent"),
    ("image_weights", sort_first, "wrong order"),
    ("image_weights", clear, "argument 1 is changed in place"),
    ("image_weights", lambda y: chances(y)[:, None], "(12,); found shape (12, 1)"),
    ("image_weights", lambda y: {0: 1}, "numbers in an array, found dict"),
    ("draw_balanced", lambda y, n, rng: rng.integers(0, 3, n), "these are classes"),
    (
        "draw_balanced",
        lambda y, n, rng: rng.integers(0, len(y), n),
        "as in the data: instance-balanced",
    ),
    ("draw_balanced", lambda y, n, rng: rng.permutation(len(y)), "expected 3000 rows"),
    ("draw_balanced", draw_by(lambda y: chances(y) ** 2), "must come equally often"),
    ("draw_balanced", draw_by(lambda y: np.bincount(y)[y]), "must come equally often"),
    (
        "draw_balanced",
        lambda y, n, rng: np.array([0, 2, 3])[rng.integers(0, 3, n)],
        "row 1 is never drawn",
    ),
    (
        "draw_balanced",
        lambda y, n, rng: np.random.choice(len(y), n, p=chances(y)),  # noqa: NPY002
        "not from a global generator",
    ),
    (
        "draw_balanced",
        lambda y, n, rng: np.random.default_rng(0).choice(len(y), n, p=chances(y)),
        "set no seed inside",
    ),
    (
        "draw_balanced",
        lambda y, n, rng: rng.choice(len(y), n, p=chances(y)) + 1,
        "must lie in 0..11",
    ),
    ("draw_balanced", lambda y, n, rng: rng.choice(len(y), n, p=chances(y)) + 0.5, "whole numbers"),
    (
        "draw_balanced",
        lambda y, n, rng: (lambda rows: rows[np.argsort(y[rows])])(
            rng.choice(len(y), n, p=chances(y))
        ),
        "one after the other",
    ),
    ("balanced_mixup", lambda base, balanced, lam: mix(balanced, base, lam), "lam is swapped"),
    ("balanced_mixup", y_with(lambda one, other, lam: one), "only x is mixed"),
    ("balanced_mixup", y_with(lambda one, other, lam: other), "balanced batch alone"),
    (
        "balanced_mixup",
        y_with(lambda one, other, lam: lam * one + (1 - lam) * other),
        "in y lam is swapped",
    ),
    (
        "balanced_mixup",
        y_with(lambda one, other, lam: np.eye(3)[((1 - lam) * one + lam * other).argmax(1)]),
        "y is hard",
    ),
    ("balanced_mixup", y_with(lambda one, other, lam: one.argmax(1)), "not one-hot"),
    (
        "balanced_mixup",
        y_with(lambda one, other, lam: one + lam * other),
        "rows of y do not sum to 1",
    ),
    ("balanced_mixup", y_with(lambda one, other, lam: one[:, :2]), "y must keep its shape"),
    ("balanced_mixup", x_with(lambda one, other, lam: one), "the balanced one is missing"),
    ("balanced_mixup", x_with(lambda one, other, lam: other), "the base one is missing"),
    ("balanced_mixup", x_with(lambda one, other, lam: (one + other) / 2), "half and half"),
    (
        "balanced_mixup",
        x_with(lambda one, other, lam: one + lam * other),
        "weights of x do not sum to 1",
    ),
    (
        "balanced_mixup",
        x_with(lambda one, other, lam: (1 - lam) * one + lam * one[::-1]),
        "that is MixUp",
    ),
    ("balanced_mixup", x_with(lambda one, other, lam: one.reshape(4, -1)), "x must keep its shape"),
    ("balanced_mixup", lambda *given: mix(*given)[0], "a pair (x, y)"),
    ("balanced_mixup", mix_in_place, "argument 1 is changed in place"),
    ("balanced_mixup", complain, "raised KeyError: 'the batch'"),
    ("mixed_shares", lambda n, a: shares(n, a), "alpha is used as the weight"),
    ("mixed_shares", lambda n, a: shares(n, 1 / (1 + a)), "the streams are swapped"),
    ("mixed_shares", lambda n, a: shares(n, 0.5 ** (1 / a)), "the median of lam"),
    ("mixed_shares", lambda n, a: shares(n, 0), "before mixing"),
    ("mixed_shares", lambda n, a: shares(n, 1), "balanced stream alone"),
    ("mixed_shares", lambda n, a: n / n.sum() + a / len(n), "divide by 1 + alpha"),
    ("mixed_shares", lambda n, a: (n / n.sum() + a) / (1 + a), "each class 1/C, not 1"),
    ("mixed_shares", lambda n, a: (n + a / len(n)) / (1 + a), "divide the counts by their sum"),
    ("mixed_shares", lambda n, a: n.sum() * shares(n, a / (1 + a)), "numbers of images"),
    ("mixed_shares", lambda n, a: 100 * shares(n, a / (1 + a)).round(3), "per cent"),
    ("mixed_shares", lambda n, a: shares(n, a / (1 + a))[0], "one share per class"),
    (
        "score_all",
        lambda r, n: batches(r, n)[: len(r) // n],
        "21 rows in batches of 8: the last 5 are lost",
    ),
    ("score_all", lambda r, n: np.array_split(r, len(r) // n + 1), "batches"),
    (
        "score_all",
        lambda r, n: [r[k * n : (k + 1) * n] for k in range(len(r) // n + 1)],
        "one batch is empty",
    ),
    (
        "score_all",
        lambda r, n: [np.resize(p, n) if len(r) > n else p for p in batches(r, n)],
        "some come twice",
    ),
    ("score_all", lambda r, n: [r], "a batch has 21 rows"),
    ("score_all", lambda r, n: r, "one flat list"),
    ("score_all", lambda r, n: batches(r[::-1], n), "another order"),
    (
        "score_all",
        lambda r, n: [r[k + 1 : k + n] for k in range(0, len(r), n)],
        "3 of them are in no batch",
    ),
    ("score_all", lambda r, n: len(r), "something that is not a list"),
    ("choose_alpha", CHOSEN | {"alpha": 0.2}, "cheapest on test"),
    ("choose_alpha", CHOSEN | {"alpha": 0.05}, "the costs are swapped"),
    ("choose_alpha", CHOSEN | {"alpha": 0.1}, "fewest errors"),
    ("choose_alpha", CHOSEN | {"alpha": 0.5}, "balanced accuracy"),
    ("choose_alpha", CHOSEN | {"alpha": 1.0}, "half of all were diseased"),
    ("choose_alpha", CHOSEN | {"alpha": 3}, "alpha must be one of"),
    ("choose_alpha", CHOSEN | {"cost": 177.08}, "on test"),
    ("choose_alpha", CHOSEN | {"cost": 0.16116}, "one person"),
    ("choose_alpha", CHOSEN | {"cost": 120}, "misses only"),
    ("choose_alpha", CHOSEN | {"cost": 41.16}, "false alarms only"),
    ("choose_alpha", CHOSEN | {"cost": 162}, "only the 980 healthy"),
    ("choose_alpha", 0.3, "a dict with alpha, cost"),
    ("choose_alpha", {"alpha": 0.3}, "missing: cost"),
    ("judge_seeds", JUDGED | {"p": stats.ttest_ind(B, A).pvalue}, "unpaired"),
    ("judge_seeds", JUDGED | {"p": P / 2}, "one-sided"),
    ("judge_seeds", JUDGED | {"p": 1 - P}, "1 less"),
    ("judge_seeds", JUDGED | {"p": stats.wilcoxon(B, A).pvalue}, "Wilcoxon"),
    ("judge_seeds", JUDGED | {"p": 2 * stats.t.sf(GAP / np.std(B - A) * 5**0.5, 4)}, "ddof=1"),
    (
        "judge_seeds",
        JUDGED | {"p": 2 * stats.norm.sf(stats.ttest_rel(B, A).statistic)},
        "normal distribution",
    ),
    ("judge_seeds", JUDGED | {"p": 0.04}, "p: 0.04 is too large"),
    ("judge_seeds", JUDGED | {"difference": -GAP}, "wrong sign"),
    ("judge_seeds", JUDGED | {"difference": B[0] - A[0]}, "seed 0 alone"),
    ("judge_seeds", JUDGED | {"difference": B.max() - A.max()}, "the best seeds"),
    ("judge_seeds", JUDGED | {"difference": 100 * GAP}, "per cent"),
    ("judge_seeds", JUDGED | {"difference": GAP / A.mean()}, "relative"),
    ("judge_seeds", JUDGED | {"verdict": "not separable"}, "does not follow from p"),
    ("judge_seeds", JUDGED | {"verdict": "lower"}, "speaks of b"),
    ("judge_seeds", JUDGED | {"verdict": True}, "verdict must be"),
    ("find_leaks", lambda photos, split: [], "the two eyes of a patient"),
    ("find_leaks", lambda photos, split: photos, "photos are listed"),
    ("find_leaks", lambda photos, split: ["p02", "p09"], "'p09' is not a patient"),
    (
        "find_leaks",
        lambda photos, split: {p[:3] for p in photos} - {"p03"},
        "leak only if the sides differ",
    ),
    (
        "find_leaks",
        lambda photos, split: {p[:3] for p in photos} - {"p02", "p04", "p05"},
        "the wrong way round",
    ),
    ("find_leaks", patients_on(("train", "test")), "only train against test"),
    ("find_leaks", patients_on(("train", "val")), "only train against val"),
    ("find_leaks", patients_on(("train", "test"), ("val", "test")), "train against val is missing"),
    ("find_leaks", patients_on(("train", "test"), ("train", "val")), "1 more"),
    (
        "find_leaks",
        lambda photos, split: [*find_all(photos, split), "p03"],
        "is on one side only",
    ),
    ("find_leaks", lambda photos, split: 2 * find_all(photos, split), "listed twice"),
    (
        "find_leaks",
        lambda photos, split: len(find_all(photos, split)),
        "expected a list of patients, found int",
    ),
    ("read_matrix", SCORED | {"accuracy": RECALL.mean()}, "mean of the recalls"),
    ("read_matrix", SCORED | {"accuracy": 96}, "divide by all"),
    ("read_matrix", SCORED | {"accuracy": 34 / 130}, "share of errors"),
    ("read_matrix", SCORED | {"accuracy": 73.8}, "per cent"),
    ("read_matrix", SCORED | {"accuracy": 0.74}, "rounded"),
    ("read_matrix", SCORED | {"recall": PRECISION}, "that is precision"),
    ("read_matrix", SCORED | {"recall": RECALL[::-1]}, "reverse order"),
    ("read_matrix", SCORED | {"recall": 1 - RECALL}, "missed"),
    ("read_matrix", SCORED | {"recall": FOUND.diagonal() / 130}, "divide by the row"),
    ("read_matrix", SCORED | {"recall": 0.8}, "one number per class"),
    (
        "read_matrix",
        SCORED | {"recall": [0.8, 0.5, 0.4]},
        "0.4 at position 2 (counting from 0) is too small",
    ),
    ("read_matrix", SCORED | {"balanced_accuracy": 96 / 130}, "take the mean of the recalls"),
    ("read_matrix", SCORED | {"balanced_accuracy": PRECISION.mean()}, "mean of the precisions"),
    ("read_matrix", SCORED | {"balanced_accuracy": 1.9}, "sum of the recalls"),
    ("read_matrix", SCORED | {"balanced_accuracy": 0.6}, "median of the recalls"),
    ("read_matrix", SCORED | {"kappa": cohen_kappa_score(TRUE, ANSWERED)}, "no weights"),
    (
        "read_matrix",
        SCORED | {"kappa": cohen_kappa_score(TRUE, ANSWERED, weights="linear")},
        "linear weights",
    ),
    ("read_matrix", SCORED | {"kappa": 1 - SCORED["kappa"]}, "ratio of the disagreements"),
    ("plan_sweep", PLANNED | {"runs": 180}, "crossed with methods that have none"),
    ("plan_sweep", PLANNED | {"runs": 60}, "rivals without alpha are missing"),
    ("plan_sweep", PLANNED | {"runs": 45}, "four settings, not one"),
    ("plan_sweep", PLANNED | {"runs": 18}, "splits are missing"),
    ("plan_sweep", PLANNED | {"runs": 30}, "seeds are missing"),
    ("plan_sweep", PLANNED | {"runs": 48}, "are added"),
    ("plan_sweep", PLANNED | {"runs": 6}, "these are the settings"),
    ("plan_sweep", PLANNED | {"runs": 91}, "too many"),
    ("plan_sweep", PLANNED | {"minutes": 360}, "two runs go at a time"),
    ("plan_sweep", PLANNED | {"minutes": 3}, "hours"),
    ("plan_sweep", PLANNED | {"minutes": 720}, "do not double"),
    ("plan_sweep", PLANNED | {"chooses": "test"}, "no test images are left"),
    ("plan_sweep", PLANNED | {"chooses": "train"}, "by heart"),
    ("plan_sweep", PLANNED | {"reports": "val"}, "a best score that is too high"),
    ("plan_sweep", PLANNED | {"reports": None}, '"train", "val" or "test"'),
]


@pytest.mark.parametrize(
    ("exercise", "answer", "words"), WRONG_ANSWERS, ids=[f"{e}: {w}" for e, _, w in WRONG_ANSWERS]
)
def test_a_wrong_answer_is_called_by_its_name(exercise, answer, words):
    verdict = check(exercise, answer)
    assert verdict.state == WRONG
    assert words in verdict.message


def test_the_catalogue_knows_at_least_five_mistakes_of_every_exercise():
    told = [exercise for exercise, _, _ in WRONG_ANSWERS]
    assert {exercise for exercise in CHECKS if told.count(exercise) >= 5} == set(CHECKS)


@pytest.mark.parametrize(
    ("exercise", "secret"),
    {
        "mean_lam": "alpha / (1 + alpha",
        "read_matrix": "0.537",
        "choose_alpha": "161",
        "plan_sweep": "90",
        "judge_seeds": "0.0047",
        "find_leaks": "p04",
        "balanced_mixup": "(1 - lam) *",
    }.items(),
)
def test_no_message_gives_the_answer_away(exercise, secret):
    words = [check(name, answer).message for name, answer, _ in WRONG_ANSWERS if name == exercise]
    assert [told for told in words if secret in told] == []


def raise_undone(*_):
    raise NotImplementedError


@pytest.mark.parametrize("exercise", CHECKS)
@pytest.mark.parametrize("stub", [..., NotImplemented, lambda *_: ..., raise_undone])
def test_a_stub_is_not_done_yet_and_points_to_the_first_hint(exercise, stub):
    if callable(stub) and exercise in ("choose_alpha", "judge_seeds", "read_matrix", "plan_sweep"):
        stub = {"alpha": 0.3, "recall": [0.8, ...], "cost": ...}
    assert repr(check(exercise, stub)) == f'{UNDONE}: a hint: hint("{exercise}", 1)'


def test_a_tuple_with_dots_in_it_is_not_done_yet():
    assert check("balanced_mixup", lambda *_: (np.zeros(3), ...)).state == UNDONE


def test_the_checks_agree_with_the_tables_they_print():
    assert cost_per_thousand()[3] == pytest.approx(20 * 0.2 * 30 + 980 * 0.042)
    assert SCREENING["alpha"][cost_per_thousand().argmin()] == CHOSEN["alpha"]
    for power, name in enumerate((None, "linear", "quadratic")):
        assert weigh_kappa(power) == pytest.approx(cohen_kappa_score(TRUE, ANSWERED, weights=name))
    assert len(PHOTOS) == len(SIDES) == len(set(PHOTOS))
    settings = 2 + len(SWEEP["alphas_of_balanced_mixup"])
    assert settings * SWEEP["splits"] * SWEEP["seeds"] == PLANNED["runs"]


def test_checking_leaves_the_global_generators_alone():
    before = str(np.random.get_state())  # noqa: NPY002
    for exercise, answer in RIGHT_ANSWERS.values():
        check(exercise, answer)
    assert str(np.random.get_state()) == before  # noqa: NPY002


def test_every_exercise_has_three_hints_a_remark_and_a_section_in_the_order_of_the_notebook():
    assert set(HINTS) == set(REMARKS) == set(CHECKS)
    assert {len(steps) for steps in HINTS.values()} == {3}
    cells = nbformat.read(ROOT / "notebooks/11_exercises.ipynb", as_version=4).cells
    checked = [cell.source for cell in cells if cell.source.startswith("check(")]
    assert checked == [f'check("{name}", {name})' for name in CHECKS]
    assert sum(cell.source.startswith("## 11.") for cell in cells) == len(CHECKS) + 1


def test_a_hint_says_which_step_it_is_and_another_step_is_refused():
    assert hint("mean_lam", 3) == "3 of 3: " + HINTS["mean_lam"][2]
    for step in (0, 4, "1"):
        with pytest.raises(BmixError, match="step must be a whole number from 1 to 3"):
            hint("mean_lam", step)


@pytest.mark.parametrize("ask", [hint, lambda name: check(name, 1), lambda name: grade({name: 1})])
def test_an_unknown_exercise_is_refused_with_the_nearest_name(ask):
    with pytest.raises(BmixError, match="did you mean 'mean_lam'"):
        ask("mean_lamb")


def test_the_sheet_shows_every_exercise_once():
    sheet = grade({"mean_lam": lambda alpha: alpha, "plan_sweep": PLANNED})
    assert sheet.index.tolist() == list(CHECKS)
    assert sheet["state"].value_counts().to_dict() == {UNDONE: len(CHECKS) - 2, WRONG: 1, RIGHT: 1}
