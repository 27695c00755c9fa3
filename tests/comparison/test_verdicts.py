import numpy as np
import pandas as pd
import pytest
from scipy import stats

from bmix_lite.base.errors import BmixError
from bmix_lite.comparison.estimates import range_detectable
from bmix_lite.comparison.moderated import share_variances
from bmix_lite.comparison.paired import correct_holm, estimate_mean
from bmix_lite.comparison.pairing import pair_up
from bmix_lite.comparison.tables import REPORTED
from bmix_lite.comparison.verdicts import (
    choose_by_validation,
    compare_pairs,
    compare_sets,
    explain_tests,
)
from bmix_lite.recipe import Recipe
from comparison.in_one import smallest_detectable

pytestmark = pytest.mark.filterwarnings("error", "ignore::pytest.PytestUnraisableExceptionWarning")
BASE = [0.80, 0.84, 0.82, 0.90, 0.79]
GAPS = [0.03, -0.01, 0.04, 0.02, 0.05]
BETTER = [0.10, 0.12, 0.11, 0.10, 0.09]


def make_run(method="instance", *, test=0.5, val=None, images=40, split=0, kind="folds", **fields):
    recipe = Recipe.make(method, **fields)
    metrics = {
        part: dict.fromkeys(REPORTED, value) | {"confusion": [[images // 2, 0], [0, images // 2]]}
        for part, value in {"test": test, "val": test if val is None else val}.items()
    }
    return {
        "run_id": f"{method}-{split}-{recipe.seed}",
        "recipe": recipe.asdict() | {"split": split},
        "fingerprint": f"digits, split {split}",
        "method": recipe.method,
        "metrics": metrics,
        "train_counts": [100, 60],
        "split_kind": kind,
        "test_images": images,
        "rest_images": 160,
    }


def seeds(method, values, **fields):
    return [make_run(method, test=value, seed=seed, **fields) for seed, value in enumerate(values)]


def splits(method, values, kind="folds", **fields):
    return [
        make_run(method, test=value, split=number, kind=kind, **fields)
        for number, value in enumerate(values)
    ]


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
        (BETTER, "higher on this split"),
        ([-gap for gap in BETTER], "lower on this split"),
        (
            GAPS,
            "not separable with 5 seeds on this split; "
            "the smallest difference seen 4 times in 5 is 0.023 to 0.11",
        ),
        (
            GAPS[:2],
            "not separable with 2 seeds on this split; "
            "the smallest difference seen 4 times in 5 is 0.15 or more",
        ),
        (
            [0.2, -0.1],
            "not separable with 2 seeds on this split; so few could not have shown any difference",
        ),
        ([0.001, -0.001, 0, 0.002, -0.002], "equivalent within 0.01 on this split"),
        ([0.02, 0.02, 0.02], "no verdict: the difference is the same in all 3 seeds"),
        ([0.0, 0.0], "no verdict: the difference is the same in all 2 seeds"),
        ([0.1], "no verdict: it takes two splits or seeds that both have, found 1"),
        ([], "no verdict: it takes two splits or seeds that both have, found 0"),
    ],
)
def test_the_verdict_is_in_words_and_of_one_split_says_so(gaps, words):
    other = [value + gap for value, gap in zip(BASE, gaps, strict=False)]
    runs = seeds("instance", BASE) + (seeds("focal", other) or [make_run("focal", seed=9)])
    row = compare_pairs(runs).loc["focal"]
    assert row["verdict"] == words
    assert row["covers"] == "other seeds alone"


@pytest.mark.parametrize("kind", ["folds", "draws"])
def test_splits_are_compared_by_the_corrected_test(kind):
    runs = splits("instance", BASE, kind) + splits("focal", add(GAPS), kind)
    row = compare_pairs(runs).loc["focal"]
    assert (row["test"], row["unit"], row["pairs"]) == ("corrected paired t", "splits", 5)
    assert row["covers"] == "other splits and test images"
    # n_test / (all others) = 40 / 160
    error = np.sqrt(np.var(GAPS, ddof=1) * (1 / 5 + 40 / 160))
    assert row["p"] == pytest.approx(2 * stats.t.sf(np.mean(GAPS) / error, 4))
    of_seeds = compare_pairs(seeds("instance", BASE) + seeds("focal", add(GAPS)))
    assert row["p"] > of_seeds.loc["focal", "p"]
    assert row["detectable"] == pytest.approx(smallest_detectable(GAPS, overlap=0.25))
    reach = range_detectable(estimate_mean(GAPS, 0.25))
    assert row[["detectable_low", "detectable_high"]].tolist() == pytest.approx(reach)
    assert row["verdict"] == (
        "not separable with 5 splits; the smallest difference seen 4 times in 5 is 0.035 to 0.17"
    )
    posterior = stats.t(4, np.mean(GAPS), error)  # Benavoli et al. 2017
    assert row["better"] == pytest.approx(posterior.sf(0))
    assert row["equivalent"] == pytest.approx(posterior.cdf(0.01) - posterior.cdf(-0.01))


def test_a_verdict_over_splits_stands_without_a_condition():
    runs = splits("instance", BASE) + splits("focal", add(BETTER))
    assert compare_pairs(runs).loc["focal", "verdict"] == "higher"


def test_the_overlap_of_drawn_splits_is_that_with_the_whole_pool():
    # 400 of 1,797 are tested in each draw, whatever few of the others train
    runs = splits("instance", BASE, "draws") + splits("focal", add(GAPS), "draws")
    runs = [run | {"test_images": 400, "rest_images": 1397, "train_counts": [9, 9]} for run in runs]
    error = np.sqrt(np.var(GAPS, ddof=1) * (1 / 5 + 400 / 1397))
    p = compare_pairs(runs).loc["focal", "p"]
    assert p == pytest.approx(2 * stats.t.sf(np.mean(GAPS) / error, 4))


@pytest.mark.parametrize(
    ("kinds", "words"),
    [
        ((None, None), "no verdict: nobody noted which images these splits have in common"),
        (
            ("draws", "folds"),
            "no verdict: splits of several kinds (draws, folds) share images in several ways",
        ),
        (
            ("fixed_test", "fixed_test"),
            "no verdict: the predictions of the runs are not at hand: read them with read_runs",
        ),
    ],
)
def test_splits_for_which_no_test_fits_are_refused_in_words(kinds, words):
    runs = [
        make_run(method, test=value, split=number, kind=kind)
        for number, kind in enumerate(kinds)
        for method, value in (("instance", 0.5 + number / 10), ("focal", 0.6))
    ]
    row = compare_pairs(runs).loc["focal"]
    assert row["verdict"] == words
    assert np.isnan(row[["p", "low", "high", "better", "equivalent"]].astype(float)).all()
    assert row["difference"] == pytest.approx(0.05)


def test_the_seeds_of_a_split_count_as_one_because_they_share_its_images():
    runs = [make_run(split=split, seed=seed, test=0.5) for split in (0, 1) for seed in (0, 1)]
    others = [
        make_run("focal", split=split, seed=seed, test=0.5 + gap)
        for split, seed, gap in [(0, 0, 0.1), (0, 1, 0.3), (1, 0, 0)]
    ]
    pairing = pair_up(runs, others, "accuracy")
    assert pairing.unit.name == "splits"
    assert pairing.gaps == pytest.approx([0.2, 0])


def test_seeds_that_both_have_on_one_split_only_are_pairs_of_seeds():
    runs = [*splits("instance", BASE), make_run(seed=1, test=0.7)]
    pairing = pair_up(runs, seeds("focal", [0.9, 0.9]), "accuracy")
    assert pairing.unit.name == "seeds"
    assert pairing.gaps == pytest.approx([0.1, 0.2])


def test_three_methods_over_splits_share_what_they_show_of_the_scatter():
    gaps = {"focal": GAPS, "class_balanced": BETTER, "mixup": [0.01, 0.05, -0.02, 0.03, 0.04]}
    runs = splits("instance", BASE)
    for method, values in gaps.items():
        runs += splits(method, add(values))
    table = compare_pairs(runs)
    variances, freedom = share_variances(np.array(list(gaps.values())))
    error = np.sqrt(variances * (1 / 5 + 40 / 160))
    means = np.mean(list(gaps.values()), axis=1)
    expected = correct_holm(2 * stats.t.sf(means / error, freedom))
    assert table["p"].tolist() == pytest.approx(expected.tolist())
    assert freedom > 4


def test_holm_counts_all_that_a_page_shows():
    first = seeds("instance", BASE) + seeds("focal", add(GAPS))
    second = seeds("instance", BASE) + seeds("class_balanced", add(BETTER))
    tables = compare_sets({"one": first, "other": second})
    together = compare_pairs(first + seeds("class_balanced", add(BETTER)))
    for table in tables.values():
        for name, row in table.iterrows():
            expected = together.loc[name, ["p", "detectable"]]
            assert row[["p", "detectable"]].tolist() == pytest.approx(expected.tolist())


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
    assert "4 times in 5 is 0.73 or more" in kappa["verdict"]


def test_the_tests_are_explained_with_the_floor_of_signs_and_ranks():
    words = " ".join(
        explain_tests(compare_pairs(seeds("instance", BASE) + seeds("focal", add(GAPS))))
    )
    assert "Pairs are runs of equal seed on one split, compared by the paired t test" in words
    assert "with 5 pairs p cannot fall below 0.0625, so they alone cannot reach 0.05" in words
    assert "Nadeau" not in words
    many = seeds("instance", np.linspace(0.5, 0.7, 9)) + seeds(
        "focal", np.linspace(0.55, 0.72, 9) ** 2
    )
    assert "with 9 pairs p cannot fall below 0.0039." in " ".join(
        explain_tests(compare_pairs(many))
    )


def test_splits_are_explained_and_that_signs_and_ranks_do_not_know_of_their_overlap():
    words = " ".join(
        explain_tests(compare_pairs(splits("instance", BASE) + splits("focal", add(GAPS))))
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
