"""Weighted measures against the same measures of rows that are really repeated."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kendalltau, spearmanr

from zcp.analysis import bootstrap
from zcp.study.greenfactory.paper import verdict

RNG = np.random.default_rng(3)
NAMES = pd.Series([f"tss:{i}" for i in RNG.integers(0, 25, 60)])  # rows of one architecture come together
SCORES = RNG.integers(0, 9, 60).astype(float)  # with ties
MEASURED = SCORES + RNG.normal(0, 4, 60).round()


@pytest.fixture(scope="module")
def weights():
    return bootstrap.Resamples(NAMES, 20).weigh(NAMES)


def rmse(x, y):
    return np.sqrt(np.mean((x - y) ** 2))


@pytest.mark.parametrize(
    ("fast", "slow"),
    [
        (bootstrap.resampled_rmse, rmse),
        (bootstrap.resampled_kendall, lambda x, y: kendalltau(x, y).statistic),
        (bootstrap.resampled_spearman, lambda x, y: spearmanr(x, y).statistic),
    ],
)
def test_a_weight_is_a_repetition(weights, fast, slow):
    for weight, value in zip(weights, fast(SCORES, MEASURED, weights), strict=True):
        rows = np.repeat(np.arange(60), weight.astype(int))
        assert value == pytest.approx(slow(SCORES[rows], MEASURED[rows]))


def test_rows_of_an_architecture_are_drawn_together(weights):
    assert (pd.DataFrame(weights.T).groupby(NAMES.to_numpy()).nunique() == 1).all(axis=None)
    assert weights.std() > 0
    np.testing.assert_array_equal(weights, bootstrap.Resamples(NAMES, 20).weigh(NAMES))


def test_failed_scores_rank_lowest(weights):
    failed, lowest = SCORES.copy(), SCORES.copy()
    failed[5], lowest[5] = np.nan, -1.0
    for measure in (bootstrap.resampled_kendall, bootstrap.resampled_spearman):
        np.testing.assert_array_equal(measure(failed, MEASURED, weights), measure(lowest, MEASURED, weights))


def test_a_constant_score_has_no_interval(weights):
    constant = np.ones(60)
    for measure in (bootstrap.resampled_kendall, bootstrap.resampled_spearman):
        assert np.isnan(bootstrap.interval(measure(constant, MEASURED, weights))).all()


def test_an_interval_is_that_of_drawn_rows():
    drawn = np.random.default_rng(bootstrap.seed_for("some", 1)).integers(60, size=(50, 60))
    slow = [spearmanr(SCORES[rows], MEASURED[rows]).statistic for rows in drawn]
    found = bootstrap.spearman_interval(SCORES, MEASURED, 50, "some", 1)
    assert found == pytest.approx(np.percentile(slow, [2.5, 97.5]))
    assert np.isnan(bootstrap.spearman_interval(SCORES, MEASURED, 0, "some", 1)).all()
    assert np.isnan(bootstrap.spearman_interval(SCORES[:1], MEASURED[:1], 50, "some", 1)).all()


def test_the_sign_is_kept(weights):
    for measure in (bootstrap.resampled_kendall, bootstrap.resampled_spearman):
        np.testing.assert_allclose(measure(-SCORES, MEASURED, weights), -measure(SCORES, MEASURED, weights))


def test_an_interval_holds_the_middle_95_percent():
    assert bootstrap.interval(np.arange(1001.0)) == (25.0, 975.0)


@pytest.mark.parametrize(
    ("published", "word"), [(0.5, "inside"), (0.3, "above"), (0.9, "below"), (float("nan"), "")]
)
def test_verdicts(published, word):
    assert verdict(published, 0.4, 0.6) == word
