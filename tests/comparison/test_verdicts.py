import numpy as np
import pandas as pd
import pytest
from scipy import stats

from bmix_lite.base.errors import BmixError
from bmix_lite.comparison.paired import smallest_detectable
from bmix_lite.comparison.tables import REPORTED
from bmix_lite.comparison.verdicts import (
    choose_by_validation,
    compare_pairs,
    explain_tests,
    pair_up,
)
from bmix_lite.recipe import Recipe

pytestmark = pytest.mark.filterwarnings("error", "ignore::pytest.PytestUnraisableExceptionWarning")
BASE = [0.80, 0.84, 0.82, 0.90, 0.79]
GAPS = [0.03, -0.01, 0.04, 0.02, 0.05]
BETTER = [0.10, 0.12, 0.11, 0.10, 0.09]


def make_run(method="instance", *, test=0.5, val=None, images=40, **fields):
    recipe = Recipe.make(method, **fields)
    metrics = {
        split: dict.fromkeys(REPORTED, value) | {"confusion": [[images // 2, 0], [0, images // 2]]}
        for split, value in {"test": test, "val": test if val is None else val}.items()
    }
    return {
        "recipe": recipe.asdict(),
        "fingerprint": f"digits, split {recipe.split}",
        "method": recipe.method,
        "metrics": metrics,
        "train_counts": [100, 60],
    }


def seeds(method, values, **fields):
    return [make_run(method, test=value, seed=seed, **fields) for seed, value in enumerate(values)]


def folds(method, values, **fields):
    return [make_run(method, test=value, split=fold, **fields) for fold, value in enumerate(values)]


def add(gaps):
    return list(np.array(BASE) + gaps)


def test_seeds_are_compared_by_a_paired_t_test_with_holm_over_the_methods():
    runs = (
        seeds("instance", BASE) + seeds("focal", add(GAPS)) + seeds("class_balanced", add(BETTER))
    )
    table = compare_pairs(runs)
    assert list(table.index) == ["focal", "class_balanced"]
    raw = [stats.ttest_rel(add(gaps), BASE).pvalue for gaps in (GAPS, BETTER)]
    assert table["p"].tolist() == pytest.approx([raw[0], 2 * raw[1]])
    assert table["difference"].tolist() == pytest.approx([0.026, 0.104])
    interval = stats.ttest_rel(add(GAPS), BASE).confidence_interval(0.95)
    assert table.loc["focal", ["low", "high"]].tolist() == pytest.approx(
        [interval.low, interval.high]
    )
    assert table[["pairs", "higher"]].values.tolist() == [[5, 4], [5, 5]]
    assert set(table["test"]) == {"paired t"}
    assert set(table["unit"]) == {"seeds"}
    oracle = stats.wilcoxon(GAPS, method="exact").pvalue
    assert table.loc["focal", ["p_wilcoxon", "floor"]].tolist() == pytest.approx([oracle, 0.0625])
    assert table.loc["class_balanced", "p_signs"] == 0.0625


def test_the_smallest_detectable_difference_is_that_of_holm_s_first_step():
    alone = compare_pairs(seeds("instance", BASE) + seeds("focal", add(GAPS)))
    assert alone.loc["focal", "detectable"] == pytest.approx(smallest_detectable(GAPS))
    among = compare_pairs(
        seeds("instance", BASE) + seeds("focal", add(GAPS)) + seeds("class_balanced", add(BETTER))
    )
    assert among.loc["focal", "detectable"] == pytest.approx(smallest_detectable(GAPS, limit=0.025))


@pytest.mark.parametrize(
    ("gaps", "words"),
    [
        (BETTER, "higher"),
        ([-gap for gap in BETTER], "lower"),
        (GAPS, "not separable with 5 seeds; only differences above 0.039 would have been seen"),
        (GAPS[:2], "not separable with 2 seeds; only differences above 0.33 would have been seen"),
        ([0.2, -0.1], "not separable with 2 seeds; so few could not have shown any difference"),
        ([0.02, 0.02, 0.02], "no verdict: the difference is the same in all 3 seeds"),
        ([0.0, 0.0], "no verdict: the difference is the same in all 2 seeds"),
        ([0.1], "no verdict: it takes two seeds or folds that both have, found 1"),
        ([], "no verdict: it takes two seeds or folds that both have, found 0"),
    ],
)
def test_the_verdict_is_in_words(gaps, words):
    other = [value + gap for value, gap in zip(BASE, gaps, strict=False)]
    runs = seeds("instance", BASE) + (seeds("focal", other) or [make_run("focal", seed=9)])
    assert compare_pairs(runs).loc["focal", "verdict"] == words


def test_folds_are_compared_by_the_corrected_test():
    runs = folds("instance", BASE) + folds("focal", add(GAPS))
    row = compare_pairs(runs).loc["focal"]
    assert (row["test"], row["unit"], row["pairs"]) == ("corrected paired t", "folds", 5)
    # n_test / n_train = 40 / 160
    t = np.mean(GAPS) / np.sqrt(np.var(GAPS, ddof=1) * (1 / 5 + 40 / 160))
    assert row["p"] == pytest.approx(2 * stats.t.sf(t, 4))
    assert (
        row["p"]
        > compare_pairs(seeds("instance", BASE) + seeds("focal", add(GAPS))).loc["focal", "p"]
    )
    assert row["detectable"] == pytest.approx(smallest_detectable(GAPS, overlap=0.25))
    assert (
        row["verdict"]
        == "not separable with 5 folds; only differences above 0.058 would have been seen"
    )


def test_the_seeds_of_a_fold_count_as_one_because_they_share_its_images():
    runs = [make_run(split=fold, seed=seed, test=0.5) for fold in (0, 1) for seed in (0, 1)]
    others = [
        make_run("focal", split=f, seed=s, test=0.5 + gap)
        for f, s, gap in [(0, 0, 0.1), (0, 1, 0.3), (1, 0, 0)]
    ]
    gaps, unit = pair_up(runs, others, "accuracy")
    assert unit == "folds"
    assert gaps == pytest.approx([0.2, 0])


def test_seeds_that_both_have_on_one_fold_only_are_pairs_of_seeds():
    runs = [*folds("instance", BASE), make_run(split=0, seed=1, test=0.7)]
    gaps, unit = pair_up(runs, seeds("focal", [0.9, 0.9]), "accuracy")
    assert unit == "seeds"
    assert gaps == pytest.approx([0.1, 0.2])


def test_only_equal_seeds_are_pairs_whatever_failed_or_is_undefined():  # H13
    base = [run for run in seeds("instance", BASE) if run["recipe"]["seed"] != 3]
    others = seeds("focal", [0.81, None, 0.84, 0.1, 0.8])
    row = compare_pairs(base + others).loc["focal"]
    assert (row["pairs"], row["higher"]) == (3, 3)
    assert row["difference"] == pytest.approx(np.mean([0.01, 0.02, 0.01]))


def test_the_reference_can_be_chosen_and_one_method_alone_gives_an_empty_table():
    runs = seeds("instance", BASE) + seeds("focal", add(GAPS))
    assert compare_pairs(runs, "focal").loc["instance", "difference"] == pytest.approx(-0.026)
    alone = compare_pairs(seeds("instance", BASE))
    assert alone.empty
    assert list(alone) == list(compare_pairs(runs))
    with pytest.raises(
        BmixError,
        match=r"reference must be one of instance, focal, got 'fokal'; did you mean 'focal'",
    ):
        compare_pairs(runs, "fokal")
    with pytest.raises(BmixError, match="metric must be one of accuracy"):
        compare_pairs(runs, metric="acuracy")


def test_kappa_may_differ_by_two_and_accuracy_by_one():
    runs = seeds("instance", [0.1, 0.1]) + seeds("focal", [0.3, 0.1])
    few, kappa = (compare_pairs(runs, metric=name).loc["focal"] for name in ("accuracy", "kappa"))
    assert few["verdict"].endswith("so few could not have shown any difference")
    assert kappa["verdict"].endswith("only differences above 1.6 would have been seen")


def test_the_tests_are_explained_with_the_floor_of_signs_and_ranks():
    words = " ".join(
        explain_tests(compare_pairs(seeds("instance", BASE) + seeds("focal", add(GAPS))))
    )
    assert "Pairs are runs of equal seed, compared by the paired t test" in words
    assert "with 5 pairs p cannot fall below 0.0625, so they alone cannot reach 0.05" in words
    assert "Nadeau" not in words
    many = seeds("instance", np.linspace(0.5, 0.7, 9)) + seeds(
        "focal", np.linspace(0.55, 0.72, 9) ** 2
    )
    assert "with 9 pairs p cannot fall below 0.0039." in " ".join(
        explain_tests(compare_pairs(many))
    )


def test_folds_are_explained_and_that_signs_and_ranks_do_not_know_of_their_overlap():
    words = " ".join(
        explain_tests(compare_pairs(folds("instance", BASE) + folds("focal", add(GAPS))))
    )
    assert "Nadeau and Bengio" in words
    assert "too low" in words
    assert "equal seed" not in words


def test_where_nothing_was_compared_nothing_is_explained():
    assert explain_tests(compare_pairs(seeds("instance", BASE))) == []
    assert explain_tests(compare_pairs([*seeds("instance", BASE), make_run("focal", seed=9)])) == []


def test_the_honest_choice_is_made_on_validation_and_reported_on_test():
    runs = [make_run("instance", val=0.9, test=0.7), make_run("focal", val=0.8, test=0.75)]
    assert choose_by_validation(runs) == [
        ("instance", {"val": 0.9, "test": 0.7}),
        ("focal", {"val": 0.8, "test": 0.75}),
    ]


def test_the_interval_of_a_difference_ends_where_no_difference_can_lie():
    row = compare_pairs(seeds("instance", [0.1, 0.1]) + seeds("focal", [0.9, 0.2])).loc["focal"]
    assert (row["low"], row["high"]) == (-1, 1)
    kappa = compare_pairs(
        seeds("instance", [0.1, 0.1]) + seeds("focal", [0.9, 0.2]), metric="kappa"
    ).loc["focal"]
    assert (kappa["low"], kappa["high"]) == (-2, 2)


def test_the_table_holds_whole_numbers_as_such():
    table = compare_pairs(seeds("instance", BASE) + seeds("focal", add(GAPS)))
    assert pd.api.types.is_integer_dtype(table["pairs"])
    assert pd.api.types.is_integer_dtype(table["higher"])
