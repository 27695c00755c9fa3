from collections import namedtuple

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn import metrics as sk

from bmix_lite.base.errors import BmixError
from bmix_lite.comparison.estimates import Estimate, combine_errors, find_p
from bmix_lite.comparison.imagewise import COUNTED, find_slopes, image_error, weigh_images
from bmix_lite.comparison.levels import bound_level
from bmix_lite.comparison.paired import estimate_mean
from bmix_lite.comparison.verdicts import compare_pairs
from bmix_lite.metrics import score, score_matrix
from comparison.test_verdicts import make_run
from test_metrics import one_hot

SIMULATIONS = 400
HALVES = slice(0, 10), slice(10, 20)  # features of two algorithms that are as good
Case = namedtuple("Case", ["labels", "predicted"])


def save_run(folder, labels, predicted, *, groups=None, **fields):
    """A run of `make_run` whose test predictions lie in a folder; classes 0..C-1 all present."""
    labels = np.asarray(labels)
    probabilities = one_hot(predicted, labels.max() + 1)
    table = pd.DataFrame(probabilities, columns=[f"p_{j}" for j in range(probabilities.shape[1])])
    table.insert(0, "label", labels)
    if groups is not None:
        table.insert(0, "group", groups)
    table.insert(0, "index", np.arange(len(labels)))
    table.insert(0, "split", "test")
    run = make_run(**fields)
    folder = folder / run["run_id"]
    folder.mkdir(parents=True)
    table.to_csv(folder / "predictions.csv", index=False)
    run["metrics"]["test"] |= score(labels, probabilities)
    run["metrics"]["val"]["confusion"] = [[10, 0], [0, 10]]
    return run | {"folder": str(folder)}


def draw_case(sizes=(60, 30, 20), right=0.7, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(sizes)), sizes)
    others = rng.integers(0, len(sizes), len(labels))
    return Case(labels, np.where(rng.random(len(labels)) < right, labels, others))


@pytest.mark.parametrize("metric", COUNTED)
def test_slopes_are_what_one_image_counted_twice_changes_in_many(metric):
    labels, predicted = draw_case((600, 300, 200))
    matrix = sk.confusion_matrix(labels, predicted)
    slopes = find_slopes(matrix, metric)
    before = score_matrix(matrix, (metric,))[metric]
    for cell in np.ndindex(3, 3):
        more = matrix.astype(float)
        more[cell] += 0.01
        change = score_matrix(more, (metric,))[metric] - before
        assert slopes[cell] == pytest.approx(100 * change, rel=1e-3, abs=1e-7)
    # a score does not change if every image counts twice
    assert np.sum(slopes * matrix) == pytest.approx(0, abs=1e-8)


@pytest.mark.parametrize("metric", COUNTED)
def test_the_error_over_other_images_is_that_of_a_bootstrap(tmp_path, metric):
    labels, predicted = draw_case((120, 80, 60))
    run = save_run(tmp_path, labels, predicted)
    error, _ = image_error(weigh_images(run, metric), metric)
    rng = np.random.default_rng(1)
    cells = np.bincount(3 * labels + predicted, minlength=9) / len(labels)
    matrices = rng.multinomial(len(labels), cells, size=400).reshape(-1, 3, 3)
    scores = [score_matrix(matrix, (metric,))[metric] for matrix in matrices]
    assert error == pytest.approx(np.std(scores), rel=0.12)


def test_the_error_of_an_accuracy_is_the_binomial_one_and_of_patients_that_of_their_means(tmp_path):
    labels, predicted = draw_case()
    share = np.mean(labels == predicted)
    error, _ = image_error(weigh_images(save_run(tmp_path, labels, predicted), "accuracy"), "")
    assert error == pytest.approx(np.sqrt(share * (1 - share) / (len(labels) - 1)))
    groups = np.arange(len(labels)) // 5
    run = save_run(tmp_path, labels, predicted, groups=groups, seed=1)
    error, freedom = image_error(weigh_images(run, "accuracy"), "accuracy")
    means = (labels == predicted).reshape(-1, 5).mean(axis=1)
    assert error == pytest.approx(stats.sem(means))
    assert freedom <= len(means) - 1


def test_a_class_of_one_image_is_not_certain(tmp_path):
    labels = np.repeat([0, 1], [40, 1])
    predicted = np.where(np.arange(41) < 10, 1, labels)
    error, _ = image_error(
        weigh_images(save_run(tmp_path, labels, predicted), "balanced_accuracy"),
        "balanced_accuracy",
    )
    spread = np.var(labels == predicted, ddof=1, where=labels == 0)  # of the class that shows any
    assert error == pytest.approx(np.sqrt(spread * (1 / 40 + 1 / 1600 + 1)) / 2, rel=0.01)


def test_a_metric_that_is_not_read_off_counts_is_refused(tmp_path):
    run = save_run(tmp_path, *draw_case())
    with pytest.raises(BmixError, match=r"metric must be one of accuracy, .* got 'macro_auc'"):
        weigh_images(run, "macro_auc")


def make_fixed(folder, *, groups=None, images=90, splits=5):
    """Two methods on five splits of one set of test images, of which each finds its own easy."""
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], images // 3)
    runs = []
    for method in ("instance", "focal"):
        ease = rng.normal(0.8, 1, images)
        if groups is not None:
            ease = ease[groups]
        for split in range(splits):
            right = ease + rng.normal(0, 0.5, images) > 0
            fields = {"method": method, "split": split, "kind": "fixed_test", "images": images}
            predicted = np.where(right, labels, (labels + 1) % 3)
            runs.append(save_run(folder, labels, predicted, groups=groups, **fields))
    return runs


def test_where_all_splits_have_the_same_test_images_their_variance_is_added(tmp_path):
    runs = make_fixed(tmp_path)
    row = compare_pairs(runs).loc["focal"]
    assert row["test"] == "images and splits"
    assert row["covers"] == "other test images and other splits of the rest"
    hits = {"instance": 0.0, "focal": 0.0}  # of each image, the mean over splits
    scores = {"instance": [], "focal": []}
    for run in runs:
        table = pd.read_csv(f"{run['folder']}/predictions.csv")
        right = table[["p_0", "p_1", "p_2"]].to_numpy().argmax(axis=1) == table["label"]
        hits[run["method"]] = hits[run["method"]] + right / 5
        scores[run["method"]].append(right.mean())
    gaps = np.subtract(scores["focal"], scores["instance"])
    of_classes = (hits["focal"] - hits["instance"]).to_numpy().reshape(3, 30)
    over_images = np.mean(of_classes.var(axis=1, ddof=1)) / 90
    # 20 of the 160 images that are not tested validate
    over_splits = gaps.var(ddof=1) * (1 / 5 + 20 / 140)
    freedom = (row["high"] - row["difference"]) / np.sqrt(over_images + over_splits)
    assert row["difference"] == pytest.approx(gaps.mean())
    assert 1.96 < freedom < 2.2  # Student's t with some tens of degrees of freedom
    assert over_images > over_splits


def test_patients_make_the_interval_of_a_fixed_test_set_wider(tmp_path):
    groups = np.arange(90) // 6
    runs = make_fixed(tmp_path, groups=groups)
    wide = compare_pairs(runs).loc["focal"]
    for run in runs:
        path = f"{run['folder']}/predictions.csv"
        pd.read_csv(path).drop(columns="group").to_csv(path, index=False)
    narrow = compare_pairs(runs).loc["focal"]
    assert wide["high"] - wide["low"] > 1.7 * (narrow["high"] - narrow["low"])  # six of each: 2.4


def test_intervals_of_one_method_say_what_they_cover(tmp_path):
    labels, predicted = draw_case()
    rng = np.random.default_rng(5)
    runs = []
    for seed in range(3):
        changed = np.where(rng.random(len(labels)) < 0.05, (predicted + 1) % 3, predicted)
        runs.append(save_run(tmp_path, labels, changed, seed=seed))
    mean, (seeds, images) = bound_level(runs, "balanced_accuracy", images=True)
    values = [run["metrics"]["test"]["balanced_accuracy"] for run in runs]
    interval = stats.t.interval(0.95, 2, np.mean(values), stats.sem(values))
    assert (seeds["low"], seeds["high"]) == pytest.approx(interval)
    assert (mean, seeds["covers"]) == (pytest.approx(np.mean(values)), "other seeds alone")
    assert images["covers"] == "other seeds and test images"
    assert images["high"] - images["low"] > 0.15
    grouped = save_run(tmp_path, labels, predicted, groups=np.arange(len(labels)) // 2, seed=9)
    _, (_, by_groups) = bound_level([grouped], "accuracy", images=True)
    assert by_groups["covers"] == "other test images by groups alone"
    _, (nothing, images) = bound_level(runs[:1], "accuracy", images=True)
    assert (nothing["covers"], images["covers"]) == ("nothing: one run", "other test images alone")
    _, (fixed,) = bound_level(make_fixed(tmp_path / "fixed")[:5], "accuracy")
    assert fixed["covers"] == "other test images and other splits of the rest"
    assert fixed["low"] < fixed["high"]


def nearest_centroid(train, test, features):
    """Whether each test image is right: the nearer of two class means, on some of the features."""
    (x, y), (seen, truth) = train, test
    x, seen = x[:, features], seen[:, features]
    first, second = (x[y == j].mean(axis=0) for j in (0, 1))
    return (seen @ (second - first) > (first + second) / 2 @ (second - first)) == truth


@pytest.mark.parametrize(("pool", "tested"), [(200, 40), (200, 200), (1000, 100)])
def test_equal_methods_on_one_test_set_are_told_apart_as_rarely_as_said(pool, tested):
    # two algorithms of equal expected accuracy on five folds of a pool; the test of Nadeau and
    # Bengio alone errs in 23 to 68 % here
    rng = np.random.default_rng(0)
    false = 0
    for _ in range(SIMULATIONS):
        labels = np.arange(pool + tested) % 2
        images = rng.normal(size=(len(labels), 20)) + 0.25 * (2 * labels[:, None] - 1)
        fold = np.arange(pool) % 10 // 2
        test = images[pool:], labels[pool:]
        effects = []
        for left_out in range(5):
            train = images[:pool][fold != left_out], labels[:pool][fold != left_out]
            one, other = (nearest_centroid(train, test, half) for half in HALVES)
            effects.append(one.astype(float) - other)
        gaps = np.mean(effects, axis=1)
        mean = np.mean(effects, axis=0)
        table = pd.DataFrame({"label": test[1], "group": np.arange(tested)})
        table["influence"] = (mean - mean.mean()) / tested
        over_splits = estimate_mean(gaps, 1 / 4)
        spread = np.nan_to_num(over_splits.error), over_splits.freedom
        errors = combine_errors(image_error(table, "accuracy"), spread)
        false += find_p(Estimate(gaps.mean(), *errors)) < 0.05
    print(f"fixed test of {tested}, pool {pool}: false {false / SIMULATIONS:.3f}")
    assert false / SIMULATIONS <= 0.07
