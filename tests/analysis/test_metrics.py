import itertools
import math

import numpy as np
import pytest

from zcp.analysis.metrics import (
    SEARCH,
    abs_kendall,
    abs_spearman,
    kendall,
    ndcg,
    precision,
    rank_scores,
    regret,
    rmse,
    spearman,
    top_kendall,
)
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


ACCURACIES = [50.0, 60.0, 70.0, 80.0, 90.0]


def test_tau_among_the_best_sees_no_other_network():
    scores = [9.0, 8.0, 7.0, 1.0, 2.0]  # the worst three are placed wrongly, the best two rightly
    assert kendall(scores, ACCURACIES) < 0 < top_kendall(scores, ACCURACIES, 0.4) == 1.0
    assert top_kendall([1, 2, 3, 5, 4], ACCURACIES, 0.4) == -1.0
    assert top_kendall(scores, ACCURACIES, 1.0) == kendall(scores, ACCURACIES)
    assert math.isnan(top_kendall(scores, ACCURACIES))  # a tenth of five is one network


def test_as_accurate_as_the_last_belongs_to_the_best():
    assert top_kendall([0, 1, 2, 3], [10.0, 20.0, 20.0, 30.0], 0.5) == kendall([1, 2, 3], [20.0, 20.0, 30.0])


def test_a_tenth_of_ten_is_one_and_of_eleven_two():
    assert math.isnan(top_kendall(range(10), range(10)))
    assert top_kendall(range(11), range(11)) == 1.0 and top_kendall(range(30), range(30), 0.1) == 1.0


def test_regret_is_what_the_chosen_miss():
    assert regret([5, 4, 1, 2, 3], ACCURACIES, 2) == 30.0  # the networks of 50 and 60 percent
    assert regret([5, 4, 1, 2, 3], ACCURACIES, 3) == 0.0 == regret([5, 4, 1, 2, 3], ACCURACIES, 99)


def test_regret_of_ties_is_expected():
    orders = list(
        itertools.permutations(range(4))
    )  # the four networks of score 1 in any order, after one of 2
    accuracies = [80.0, 95.0, 70.0, 90.0, 85.0]
    slow = [95.0 - max(80.0, *(accuracies[1 + i] for i in order[:2])) for order in orders]
    assert regret([2, 1, 1, 1, 1], accuracies, 3) == pytest.approx(np.mean(slow))


def test_precision_counts_the_best_among_the_chosen():
    assert precision([5, 4, 1, 2, 3], ACCURACIES, 2) == 0.0
    assert precision([5, 4, 1, 2, 3], ACCURACIES, 3) == pytest.approx(1 / 3)
    assert precision([1, 2, 3, 4, 5], ACCURACIES, 3) == precision([1, 1], [1, 2], 9) == 1.0


def test_precision_of_ties_is_expected():
    assert precision([1, 1, 1, 1, 1], ACCURACIES, 2) == pytest.approx(0.4)  # two of five are best
    assert precision([0, 0, 0, 0, 9], ACCURACIES, 2) == pytest.approx((1 + 1 / 4) / 2)
    assert precision([3, 2, 1], [5.0, 5.0, 5.0], 1) == 1.0  # all are as accurate as the best


def test_ndcg_by_hand():
    gains = np.array([0.0, 0.5, 1.0])
    best = 1 / np.log2(2) + 0.5 / np.log2(3)
    assert ndcg([2, 3, 1], [10.0, 20.0, 30.0]) == pytest.approx((0.5 + 0 + gains[2] / np.log2(4)) / best)
    assert ndcg([1, 2, 3], [10.0, 20.0, 30.0]) == pytest.approx(1.0)
    assert ndcg([1, 1, 1], [10.0, 20.0, 30.0]) == pytest.approx(0.5 * (1 + 1 / np.log2(3) + 0.5) / best)


@pytest.mark.parametrize("name", SEARCH)
def test_searchers_measures_know_a_failure_and_direction(name):
    rng = np.random.default_rng(0)
    accuracies = rng.uniform(50, 90, 60)
    right, failed = SEARCH[name](accuracies, accuracies), np.where(accuracies > 80, math.nan, accuracies)
    reverse, wrong = SEARCH[name](-accuracies, accuracies), SEARCH[name](failed, accuracies)
    sign = -1 if name == "regret" else 1
    assert sign * right > sign * wrong >= sign * reverse or (name == "top_kendall" and math.isnan(wrong))
    with pytest.raises(InputError, match="shapes"):
        SEARCH[name]([1.0], [1.0, 2.0])


@pytest.mark.parametrize("measure", [regret, precision])
def test_nothing_chosen_is_refused(measure):
    with pytest.raises(InputError, match="at least one network"):
        measure([1.0], [1.0], 0)
    assert math.isnan(measure([], []))


def test_shares_are_shares():
    with pytest.raises(InputError, match="share"):
        top_kendall([1.0], [1.0], 0)
