import pytest

from bmix_lite.base.errors import BmixError
from bmix_lite.comparison.tuning import keep_tuned
from comparison.test_verdicts import make_run


def tried(method, val, test, **fields):
    """Runs of three learning rates with two seeds; val and test: one mean for each rate."""
    rates = zip((0.003, 0.01, 0.03), val, test, strict=True)
    return [
        make_run(method, val=v + gap, test=t - gap, lr=lr, seed=seed, **fields)
        for lr, v, t in rates
        for seed, gap in enumerate((0.05, -0.05))
    ]


INSTANCE = tried("instance", (0.5, 0.7, 0.6), (0.9, 0.4, 0.8))
MIXED = tried("balanced_mixup", (0.5, 0.6, 0.8), (0.9, 0.8, 0.3))


def test_each_method_keeps_the_setting_that_validation_prefers_whatever_test_says():
    kept, table = keep_tuned(INSTANCE + MIXED)
    assert kept == INSTANCE[2:4] + MIXED[4:6]
    assert table["setting"].tolist() == ["lr 0.01", "lr 0.03"]
    assert table["tried"].tolist() == [3, 3]
    assert table["val"].tolist() == pytest.approx([0.7, 0.8])
    assert table["test"].tolist() == pytest.approx([0.4, 0.3])


def test_alpha_is_a_setting_of_a_method_that_mixes():
    alphas = [make_run("balanced_mixup", val=alpha, alpha=alpha) for alpha in (0.1, 0.3, 0.2)]
    kept, table = keep_tuned(alphas + INSTANCE[::2])
    assert kept == [alphas[1], INSTANCE[2]]
    assert table["setting"].tolist() == ["alpha 0.3", "lr 0.01"]


def test_the_lowest_of_equal_settings_is_kept():
    kept, _ = keep_tuned(tried("instance", (0.6, 0.7, 0.7), (0.1, 0.2, 0.3))[::-1])
    assert {run["recipe"]["lr"] for run in kept} == {0.01}


def test_methods_with_one_setting_each_stay_as_they_are():
    runs = [make_run("instance"), make_run("focal")]
    kept, table = keep_tuned(runs)
    assert kept == runs
    assert table["setting"].tolist() == ["", ""]


def test_a_method_that_was_tried_more_often_is_refused():
    with pytest.raises(BmixError, match="equal settings: instance has 3, balanced_mixup has 2"):
        keep_tuned(INSTANCE + MIXED[:4])


def test_a_setting_with_other_seeds_is_refused():
    with pytest.raises(
        BmixError, match=r"equal splits and seeds: instance lr 0.003 has .*, instance lr 0.03 has"
    ):
        keep_tuned(INSTANCE[:-1])


def test_a_setting_without_a_score_is_never_chosen_and_a_method_with_none_is_refused():
    broken = [make_run("instance", lr=lr) for lr in (0.1, 0.2)]
    broken[0]["metrics"]["val"]["balanced_accuracy"] = None
    assert keep_tuned(broken)[0] == broken[1:]
    broken[1]["metrics"]["val"]["balanced_accuracy"] = None
    with pytest.raises(BmixError, match="instance: balanced_accuracy is not defined"):
        keep_tuned(broken)


def test_runs_on_two_datasets_are_refused():
    with pytest.raises(BmixError, match="one dataset at a time"):
        keep_tuned([make_run(), make_run(dataset="other") | {"fingerprint": "of others"}])
