import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as sk

from bmix_lite.base.errors import BmixError
from bmix_lite.comparison.rates import estimate_rates, exact_interval, predictive_values

SHARES = st.floats(0.01, 0.99)


def test_predictive_values_of_a_screening_by_hand():
    # of 1,000 people 10 are ill: 9 found, 1 missed, 99 false alarms, 891 cleared
    assert predictive_values(0.9, 0.9, 0.01) == pytest.approx((9 / 108, 891 / 892))
    assert predictive_values(1, 1, 0.3) == (1, 1)
    nobody_called, nobody_cleared = predictive_values([0, 1], [1, 0], 0.3)
    assert nobody_called == pytest.approx([np.nan, 0.3], nan_ok=True)
    assert nobody_cleared == pytest.approx([0.7, np.nan], nan_ok=True)


@given(SHARES, SHARES, SHARES, SHARES)
def test_a_rarer_illness_makes_alarms_less_and_clearances_more_credible(
    sensitivity, specificity, one, other
):
    rare, common = sorted((one, other))
    (ppv, npv), (ppv_common, npv_common) = (
        predictive_values(sensitivity, specificity, prevalence) for prevalence in (rare, common)
    )
    assert ppv <= ppv_common + 1e-12
    assert npv >= npv_common - 1e-12


def test_shares_outside_zero_to_one_are_refused():
    with pytest.raises(BmixError, match=r"prevalence must lie in 0\.\.1, got 10"):
        predictive_values(0.9, 0.9, 10)


@pytest.mark.parametrize(("hits", "n"), [(0, 5), (5, 5), (3, 10), (1, 1), (399, 400)])
def test_the_exact_interval_is_scipy_s(hits, n):
    expected = stats.binomtest(hits, n).proportion_ci(0.9, method="exact")
    assert exact_interval(hits, n, 0.9) == pytest.approx((expected.low, expected.high))


def random_answers(seed, patients=40, images=5, likeness=0.0):
    """(truth, called, groups); likeness: chance that a patient's images all go the same way."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(patients), images)
    truth = np.repeat(rng.random(patients) < 0.4, images)
    alike = np.repeat(rng.random(patients) < likeness, images)
    one_each = np.repeat(rng.random(patients), images)
    right = np.where(alike, one_each, rng.random(len(groups))) < 0.8
    return truth, truth == right, groups


def test_rates_are_scikit_learn_s_and_at_the_own_prevalence_so_are_the_predictive_values():
    truth, called, groups = random_answers(0)
    for patients in (None, groups):
        estimates = estimate_rates(truth, called, truth.mean(), patients, resamples=50)
        expected = [
            sk.recall_score(truth, called),
            sk.recall_score(~truth, ~called),
            sk.precision_score(truth, called),
            sk.precision_score(~truth, ~called),
        ]
        assert [estimate.value for estimate in estimates] == pytest.approx(expected)
        assert all(estimate.low < estimate.value < estimate.high for estimate in estimates)


def test_alike_images_of_a_patient_widen_the_interval_to_that_of_so_many_patients():
    truth, called, groups = random_answers(1, patients=400, images=6, likeness=1.0)
    naive, _, _, _ = estimate_rates(truth, called, 0.4)
    resampled, _, _, _ = estimate_rates(truth, called, 0.4, groups)
    of_patients = exact_interval(called[truth].sum() / 6, truth.sum() / 6)
    assert resampled[1:] == pytest.approx(of_patients, abs=0.02)
    assert resampled.high - resampled.low > 2 * (naive.high - naive.low)


def test_patients_of_one_image_each_give_the_interval_of_images():
    truth, called, _ = random_answers(2, patients=500, images=1)
    by_image = estimate_rates(truth, called, 0.1)
    by_patient = estimate_rates(truth, called, 0.1, np.arange(500))
    assert np.array(by_patient) == pytest.approx(np.array(by_image), abs=0.03)


@pytest.mark.parametrize("called", [True, False])
def test_what_never_varies_among_few_patients_is_not_certain(called):
    truth = np.repeat([True, False], 30)
    groups = np.repeat(np.arange(6), 10)  # three ill patients with ten images each
    answers = np.full(60, called)
    sensitivity, specificity, ppv, npv = estimate_rates(truth, answers, 0.5, groups)
    right, wrong = exact_interval(3, 3), exact_interval(0, 3)
    assert sensitivity[1:] == pytest.approx(right if called else wrong)
    assert specificity[1:] == pytest.approx(wrong if called else right)
    defined, undefined = (ppv, npv) if called else (npv, ppv)
    assert defined.value == 0.5
    assert defined.high - defined.low > 0.2
    assert np.isnan(undefined).all()


def test_one_patient_with_a_positive_says_almost_nothing_about_others():
    truth = np.array([True] * 3 + [False] * 20)
    called = np.array([True, True, False] + [False] * 20)
    groups = np.array([0] * 3 + list(range(1, 21)))
    sensitivity, *_ = estimate_rates(truth, called, 0.1, groups)
    assert sensitivity.value == pytest.approx(2 / 3)
    assert sensitivity.high - sensitivity.low > 0.9


def ppv_without_false_alarms(seed):
    truth = np.repeat([True, False], [20, 100])
    return estimate_rates(truth, truth.copy(), 0.01, seed=seed)[2]


def test_a_ppv_of_one_at_a_low_prevalence_has_a_wide_interval():
    ppv = ppv_without_false_alarms(0)
    assert (ppv.value, ppv.high) == (1, 1)
    assert ppv.low < 0.4


@pytest.mark.nightly
@pytest.mark.parametrize(("images", "likeness", "least"), [(1, 0, 0.93), (5, 0.7, 0.9)])
def test_intervals_cover_the_true_values_as_often_as_they_say(images, likeness, least):
    true_values = (0.8, 0.8, *predictive_values(0.8, 0.8, 0.1))
    covered = np.zeros(4)
    for seed in range(400):
        truth, called, groups = random_answers(seed, 60, images, likeness)
        patients = None if images == 1 else groups
        estimates = estimate_rates(truth, called, 0.1, patients, resamples=500, seed=seed)
        covered += [e.low <= v <= e.high for e, v in zip(estimates, true_values, strict=True)]
    assert (covered / 400 > least).all(), covered / 400
