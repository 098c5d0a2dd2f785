import itertools
import math

import numpy as np
import pytest

from zcp.analysis.metrics import abs_kendall, abs_spearman, kendall, rank_scores, rmse, spearman
from zcp.errors import InputError


def slow_kendall(x, y):
    """Count pairs: concordant minus discordant over the geometric mean of untied pairs."""
    balance = untied_x = untied_y = 0
    for (a, b), (c, d) in itertools.combinations(zip(x, y, strict=True), 2):
        balance += np.sign(a - c) * np.sign(b - d)
        untied_x += a != c
        untied_y += b != d
    return balance / math.sqrt(untied_x * untied_y)


def slow_spearman(x, y):
    return np.corrcoef(rank_scores(x), rank_scores(y))[0, 1]


@pytest.fixture
def pair():
    rng = np.random.default_rng(0)
    x = np.round(rng.normal(size=40), 1)
    return x, np.round(-x + rng.normal(size=40), 1)


def test_kendall_is_the_count_of_pairs(pair):
    assert kendall(*pair) == pytest.approx(slow_kendall(*pair))
    assert abs_kendall(*pair) == -kendall(*pair) > 0.3


def test_spearman_is_the_correlation_of_ranks(pair):
    assert spearman(*pair) == pytest.approx(slow_spearman(*pair))
    assert abs_spearman(*pair) == -spearman(*pair) > 0.3


@pytest.mark.parametrize("bad", [math.nan, -math.inf, math.inf])
def test_failures_rank_lowest(bad):
    assert rank_scores([3.0, bad, -5.0, bad]).tolist() == [4.0, 1.5, 3.0, 1.5]
    assert kendall([bad, 2.0, 3.0], [1.0, 2.0, 3.0]) == 1.0


@pytest.mark.parametrize("measure", [kendall, spearman, abs_kendall, abs_spearman])
@pytest.mark.parametrize(
    ("scores", "accuracies"),
    [
        ([1.0, 1.0, 1.0], [1.0, 2.0, 3.0]),
        ([1.0, 2.0], [5.0, 5.0]),
        ([1.0], [1.0]),
        ([math.nan] * 3, [1, 2, 3]),
    ],
)
def test_what_has_no_order_is_nan(measure, scores, accuracies):
    assert math.isnan(measure(scores, accuracies))


def test_large_scores_do_not_overflow():
    assert kendall([1e300, 1e308, -1e308], [2.0, 3.0, 1.0]) == 1.0


def test_rmse():
    assert rmse([1.0, 2.0, 5.0], [1.0, 4.0, 4.0]) == pytest.approx(math.sqrt(5 / 3))


@pytest.mark.parametrize("measure", [kendall, spearman, abs_kendall, abs_spearman, rmse])
def test_bad_input_is_named(measure):
    with pytest.raises(InputError, match="shapes"):
        measure([1.0, 2.0], [1.0])
    with pytest.raises(InputError, match="not measured"):
        measure([1.0, 2.0], [1.0, math.nan])


def test_rmse_wants_predictions():
    with pytest.raises(InputError, match="finite predictions"):
        rmse([math.nan], [1.0])
    with pytest.raises(InputError, match="at least one row"):
        rmse([], [])
