import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn import metrics as sk

from bmix_lite.base.errors import BmixError
from bmix_lite.base.files import write_json
from bmix_lite.comparison.tables import (
    REPORTED,
    collect_distances,
    collect_recalls,
    group_recalls,
    group_runs,
    group_sizes,
    measure_cost,
    name_run,
    name_runs,
    sum_confusions,
    summarise,
    tabulate,
    tabulate_recall,
    vary,
)
from bmix_lite.recipe import Recipe
from bmix_lite.runs.complete import TASK
from bmix_lite.runs.ledger import append_ledger


def make_run(
    method="instance", *, value=0.5, confusion=((3, 1), (2, 2)), recall=(0.75, 0.5), **fields
):
    recipe = Recipe.make(method, **fields)
    test = dict.fromkeys(REPORTED, value) | {
        "confusion": [list(row) for row in confusion],
        "recall": list(recall),
    }
    return {
        "run_id": f"{method}-{recipe.alpha:g}-{recipe.split}-{recipe.seed}",
        "recipe": recipe.asdict(),
        "method": recipe.method,
        "fingerprint": f"digits, split {recipe.split}",
        "class_names": [str(j) for j in range(len(recall))],
        "train_counts": [100 // (j + 1) for j in range(len(recall))],
        "metrics": {"test": test, "val": test | dict.fromkeys(REPORTED, value and value / 2)},
    }


def seeds(method, values, **fields):
    return [make_run(method, value=value, seed=seed, **fields) for seed, value in enumerate(values)]


@pytest.mark.parametrize(
    ("method", "fields", "name"),
    [
        ("instance", {}, "instance"),
        ("class_balanced_loss", {}, "class_balanced_loss"),
        ("mixup", {"alpha": 0.2}, "mixup, alpha 0.2"),
        ("balanced_mixup", {"alpha": 1}, "balanced_mixup, alpha 1"),
        ("balanced_mixup", {"alpha": 0.1, "q": 0.5}, "balanced_mixup, alpha 0.1, q 0.5"),
        (
            "balanced_mixup",
            {"alpha": 0.1, "q": "progressive"},
            "balanced_mixup, alpha 0.1, q progressive",
        ),
    ],
)
def test_a_run_is_named_by_its_method_its_alpha_and_an_unusual_q(method, fields, name):
    assert name_run(make_run(method, **fields)) == name


def test_a_summary_has_mean_student_interval_and_every_run_of_each_method():
    values = [0.80, 0.84, 0.82, 0.90, 0.79]
    table = summarise(
        seeds("instance", values) + seeds("balanced_mixup", [0.9, 0.9, 0.9, 0.9, 0.9], alpha=0.1)
    )
    assert list(table.index) == ["instance", "balanced_mixup, alpha 0.1"]
    row = table.loc["instance"]
    assert [row[f"seed {seed}"] for seed in range(5)] == values
    interval = stats.t.interval(0.95, 4, loc=np.mean(values), scale=stats.sem(values))
    assert [row["runs"], row["mean"], row["low"], row["high"]] == pytest.approx(
        [5, np.mean(values), *interval]
    )
    assert table.loc[
        "balanced_mixup, alpha 0.1", ["mean", "low", "high"]
    ].tolist() == pytest.approx([0.9] * 3)


def test_a_summary_can_be_of_validation_and_of_any_reported_metric():
    for metric in REPORTED:
        assert summarise(seeds("instance", [0.4, 0.6]), metric, "val").loc[
            "instance", "mean"
        ] == pytest.approx(0.25)


def test_one_run_has_no_interval():
    row = summarise(seeds("instance", [0.7])).loc["instance"]
    assert (row["runs"], row["mean"]) == (1, 0.7)
    assert np.isnan(row[["low", "high"]].astype(float)).all()


def test_an_undefined_metric_lowers_n_and_is_averaged_neither_as_zero_nor_as_nan():
    table = summarise(
        seeds("instance", [0.4, None, 0.6]) + seeds("focal", [None, None, None]), "kappa"
    )
    assert table["runs"].tolist() == [2, 0]
    assert table.loc["instance", "mean"] == pytest.approx(0.5)
    assert pd.isna(table.loc["instance", "seed 1"])
    assert pd.isna(table.loc["focal", ["mean", "low", "high", "seed 0"]]).all()


def test_folds_stand_beside_seeds_where_there_are_several():
    runs = [
        make_run(value=0.1 * split + 0.01 * seed, split=split, seed=seed)
        for split in (0, 1)
        for seed in (0, 1)
    ]
    row = summarise(runs).loc["instance"]
    assert row["runs"] == 4
    columns = [f"split {split} seed {seed}" for split in (0, 1) for seed in (0, 1)]
    assert row[columns].tolist() == pytest.approx([0, 0.01, 0.1, 0.11])


def test_an_unknown_metric_is_refused_with_the_nearest_one():
    with pytest.raises(
        BmixError, match=r"metric must be one of accuracy, .* got 'mc'; did you mean 'mcc'\?"
    ):
        summarise(seeds("instance", [0.5]), "mc")


def test_confusion_matrices_are_summed_over_the_runs_of_each_method():
    runs = [make_run(seed=0), make_run(seed=1, confusion=((4, 0), (1, 3))), make_run("focal")]
    sums = sum_confusions(runs)
    assert {name: matrix.tolist() for name, matrix in sums.items()} == {
        "instance": [[7, 1], [3, 5]],
        "focal": [[3, 1], [2, 2]],
    }


def test_recalls_are_one_row_a_run_and_nan_where_a_class_has_no_image():
    recalls = collect_recalls(
        [make_run(seed=0), make_run(seed=1, recall=(None, 1.0)), make_run("focal")]
    )
    assert recalls["instance"].shape == (2, 2)
    assert np.array_equal(recalls["instance"], [[0.75, 0.5], [np.nan, 1.0]], equal_nan=True)
    assert recalls["focal"].tolist() == [[0.75, 0.5]]


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("epochs", (1, 2)),
        ("lr", (0.01, 0.02)),
        ("batch_size", (8, 16)),
        ("augment", ("none", "flips")),
    ],
)
def test_runs_that_differ_in_more_than_seed_and_fold_are_not_pooled_but_named_apart(field, values):
    runs = [make_run(seed=seed, **{field: value}) for value in values for seed in (0, 1)]
    names = [f"instance, {field} {value}" for value in values]
    assert vary(runs) == [field, "seed"]
    assert name_runs(runs) == [names[0]] * 2 + [names[1]] * 2
    for pool in (group_runs, sum_confusions, collect_recalls):
        assert list(pool(runs)) == names
    assert summarise(runs)["runs"].to_dict() == dict.fromkeys(names, 2)


def test_all_differing_fields_are_named_in_the_order_of_the_recipe():
    runs = [
        make_run("mixup", alpha=0.2, epochs=1),
        make_run("mixup", alpha=0.2, epochs=2, batch_size=8),
    ]
    in_order = [name for name in runs[0]["recipe"] if name in ("epochs", "batch_size")]
    for name, run in zip(name_runs(runs), runs, strict=True):
        assert name == "mixup, alpha 0.2, " + ", ".join(
            f"{field} {run['recipe'][field]}" for field in in_order
        )


def test_what_all_runs_share_or_the_method_s_name_says_already_is_not_in_their_names():
    runs = [
        make_run(epochs=7),
        make_run("mixup", alpha=0.2, epochs=7, seed=1),
        make_run("focal", epochs=7, split=1),
    ]
    assert name_runs(runs) == ["instance", "mixup, alpha 0.2", "focal"]


def test_what_the_method_says_of_head_posthoc_and_mixing_is_told_only_where_a_run_differs():
    rows = ["instance", "ldam_drw", "tau_norm", "cutmix", "balanced_mixup"]
    names = name_runs([make_run(row) for row in rows])
    assert names == [
        "instance",
        "ldam_drw",
        "tau_norm",
        "cutmix, alpha 1",
        "balanced_mixup, alpha 0.2",
    ]
    others = [
        make_run("instance", head="cosine"),
        make_run("class_balanced", posthoc="crt"),
        make_run("cutmix", mix_probability=1.0),
    ]
    assert name_runs([*(make_run(row) for row in rows), *others])[5:] == [
        "instance, head cosine",
        "class_balanced, posthoc crt",
        "cutmix, alpha 1, mix_probability 1.0",
    ]


def test_runs_on_different_datasets_are_not_compared():
    runs = [make_run(), make_run("focal", dataset="skin") | {"fingerprint": "skin"}]
    with pytest.raises(BmixError, match="different datasets"):
        summarise(runs)


def test_two_runs_of_one_seed_and_fold_are_not_counted_as_two():
    runs = [
        make_run(seed=0),
        make_run(seed=0) | {"run_id": "of an older notebook"},
        make_run(seed=1),
    ]
    with pytest.raises(BmixError, match=r"instance.*seed 0"):
        summarise(runs)


def test_groups_keep_the_order_of_the_runs():
    runs = [make_run("focal", seed=1), make_run("instance"), make_run("focal", seed=0)]
    assert {
        name: [run["recipe"]["seed"] for run in group] for name, group in group_runs(runs).items()
    } == {
        "focal": [1, 0],
        "instance": [0],
    }


def test_the_table_has_one_row_a_run_with_what_it_was_what_it_reached_and_how_long_it_took(
    tmp_path,
):
    runs = [make_run("balanced_mixup", value=0.6, alpha=0.1, seed=3), make_run(value=None)]
    for status, seconds in (("complete", 9.5), ("complete", 2.25), ("failed", None)):
        append_ledger(tmp_path, runs[0]["run_id"], status, seconds=seconds)
    table = tabulate(runs, tmp_path)
    first, second = table.iloc[0], table.iloc[1]
    assert first[["dataset", "method", "q", "alpha", "loss", "seed"]].tolist() == [
        "digits_lt", "balanced_mixup", 1.0, 0.1, "cross_entropy", 3,
    ]  # fmt: skip
    for name in REPORTED:
        assert (first[f"test_{name}"], first[f"val_{name}"]) == (0.6, 0.3)
        assert pd.isna(second[f"test_{name}"])
    assert first["seconds"] == 2.25
    assert pd.isna(second["seconds"])
    assert list(table.columns[:4]) == ["run_id", "status", "dataset", "method"]
    assert set(table["status"]) == {"complete"}
    assert table.columns[-1] == "seconds"


def test_the_table_has_a_column_for_each_further_field_in_which_the_runs_differ(tmp_path):
    table = tabulate([make_run(epochs=1), make_run(epochs=2)], tmp_path)
    assert table["epochs"].tolist() == [1, 2]
    assert "epochs" not in tabulate([make_run(epochs=1), make_run(epochs=1, seed=1)], tmp_path)


def test_an_interval_over_seeds_ends_where_the_metric_does():
    row = summarise(seeds("instance", [0.9, 0.99])).loc["instance"]
    assert (row["mean"], row["high"]) == (pytest.approx(0.945), 1)
    assert summarise(seeds("instance", [0.01, 0.2]), "kappa").loc["instance", "low"] == -1


@pytest.mark.parametrize(
    ("counts", "groups"),
    [
        (
            [100, 1, 30, 7],
            {
                "2 rarest classes (1 to 7 images)": [1, 3],
                "1 middle classes (30 to 30 images)": [2],
                "1 commonest classes (100 to 100 images)": [0],
            },
        ),
        (
            [5, 2000],
            {
                "1 rarest classes (5 to 5 images)": [0],
                "1 commonest classes (2,000 to 2,000 images)": [1],
            },
        ),
    ],
)
def test_classes_are_grouped_by_size(counts, groups):
    assert {name: classes.tolist() for name, classes in group_sizes(counts).items()} == groups


def test_recall_by_size_is_the_mean_over_the_group_s_classes_that_have_images():
    runs = [
        make_run("mixup", alpha=a, recall=r)
        for a, r in ((0.1, (1, 0.5, None)), (0.4, (0.8, 0.1, 0.3)))
    ]
    table = tabulate_recall(runs, {"rare": np.array([1, 2]), "common": np.array([0])}, "alpha")
    assert table["alpha"].tolist() == [0.1, 0.4]
    assert table["rare"].tolist() == pytest.approx([0.5, 0.2])
    assert table["common"].tolist() == [1, 0.8]


def test_cost_is_the_mean_of_seconds_by_method_and_unknown_without_a_sweep(tmp_path):
    runs = [make_run(seed=0), make_run(seed=1), make_run("focal")]
    for run, seconds in zip(runs, (2.0, 4.0, 9.0), strict=True):
        append_ledger(tmp_path, run["run_id"], "complete", seconds=seconds)
    write_json(tmp_path / runs[0]["run_id"] / TASK, {"wall": 12.5})
    cost = measure_cost(runs, tmp_path)
    assert cost["seconds"].to_dict() == {"instance": 3.0, "focal": 9.0}
    assert cost["runs"].to_dict() == {"instance": 2, "focal": 1}
    assert cost.loc["instance", "notebook seconds"] == 12.5
    assert np.isnan(cost.loc["focal", "notebook seconds"])


def test_recalls_by_group_are_means_over_the_classes_that_have_images():
    runs = [
        make_run(seed=0, recall=(0.9, 0.8, 0.4, 0.2)),
        make_run(seed=1, recall=(1.0, None, None, None)),
    ]
    tables = group_recalls([*runs, make_run("focal", recall=(1.0, 1.0, 1.0, 0.5))])
    named = group_sizes([100, 50, 33, 25])
    assert list(tables) == ["instance", "focal"]
    assert [classes.tolist() for classes in named.values()] == [[2, 3], [1], [0]]
    assert list(tables["instance"]) == list(named)
    expected = [[0.3, 0.8, 0.9], [np.nan, np.nan, 1.0]]
    assert tables["instance"].to_numpy() == pytest.approx(np.array(expected), nan_ok=True)
    assert tables["focal"].to_numpy() == pytest.approx(np.array([[0.75, 1, 1]]))


def test_distances_count_steps_between_classes_and_every_class_alike():
    confusion = [[6, 3, 1], [0, 1, 1], [0, 0, 0]]
    (table,) = collect_distances([make_run(confusion=confusion, recall=(0.6, 0.5, None))]).values()
    # class 0: 0.6, 0.3, 0.1; class 1: 0.5, 0.5, 0; class 2 has no image
    assert list(table) == ["right", "1 off", "2 off"]
    assert table.to_numpy() == pytest.approx(np.array([[0.55, 0.4, 0.05]]))


def test_the_share_without_distance_is_scikit_learns_balanced_accuracy_and_shares_sum_to_one():
    labels, predicted = np.random.default_rng(0).integers(0, 4, (2, 200))
    confusion = sk.confusion_matrix(labels, predicted)
    (table,) = collect_distances(
        [make_run(confusion=confusion.tolist(), recall=(0, 0, 0, 0))]
    ).values()
    assert table.loc[0, "right"] == pytest.approx(sk.balanced_accuracy_score(labels, predicted))
    assert table.sum(axis=1).tolist() == pytest.approx([1])
