"""How well scores order networks, and how well predictions meet accuracies.

A score that does not exist is ranked below all others (`zcp.analysis.scores`). A constant column has no rank
correlation: NaN.

A search asks less than an order of all networks: that the best ones are told apart, and found among the few
that it can train. `SEARCH` are measures of that; where scores are tied at the cut, they are what is expected
if the tied networks are drawn in random order.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import hypergeom, kendalltau, rankdata, spearmanr
from sklearn.metrics import ndcg_score

from zcp.analysis.scores import lowest
from zcp.errors import InputError

#: Share of the networks that count as the best ones, and how many a search can train.
SHARE, TRAINED = 0.1, 10


def kendall(scores: ArrayLike, accuracies: ArrayLike) -> float:
    r"""Return Kendall's rank correlation $\tau_b$ of scores with accuracies (ties are corrected for).

    Args:
        scores: one value a network, shape (n,); values that are not finite rank lowest.
        accuracies: what was measured, shape (n,), finite.

    Returns:
        A number in [-1, 1]; NaN for fewer than two networks or a constant column.

    Raises:
        InputError: if the shapes differ or an accuracy is not finite.
    """
    return _correlate(kendalltau, scores, accuracies)


def spearman(scores: ArrayLike, accuracies: ArrayLike) -> float:
    r"""Return Spearman's rank correlation $\rho$ of scores with accuracies, in [-1, 1]; all as `kendall`."""
    return _correlate(spearmanr, scores, accuracies)


def abs_kendall(scores: ArrayLike, accuracies: ArrayLike) -> float:
    r"""Return $|\tau_b|$, which published tables give; arguments as `kendall`."""
    return abs(kendall(scores, accuracies))


def abs_spearman(scores: ArrayLike, accuracies: ArrayLike) -> float:
    r"""Return $|\rho|$, which published tables give; arguments as `kendall`."""
    return abs(spearman(scores, accuracies))


def rmse(predictions: ArrayLike, accuracies: ArrayLike) -> float:
    r"""Return $\sqrt{\frac{1}{n}\sum_i (\hat y_i - y_i)^2}$, in the unit of the accuracies (percent).

    Raises:
        InputError: if the shapes differ, there are no rows, or a value is not finite.
    """
    predicted, measured = _paired(predictions, accuracies)
    if not len(measured) or not np.isfinite(predicted).all():
        raise InputError("the RMSE needs at least one row and finite predictions only")
    return float(np.sqrt(np.mean((predicted - measured) ** 2)))


def top_kendall(scores: ArrayLike, accuracies: ArrayLike, share: float = SHARE) -> float:
    r"""Return $\tau_b$ among the most accurate networks only.

    Args:
        scores: one value a network, shape (n,), larger is better; what does not exist ranks lowest.
        accuracies: what was measured, shape (n,), finite.
        share: of the networks, rounded up; those as accurate as the last one belong to them.

    Returns:
        A number in [-1, 1], larger is better; NaN for fewer than two such networks or a constant column.

    Raises:
        InputError: as `kendall`, or if the share is not within 0 and 1.
    """
    values, measured = _paired(scores, accuracies)
    if not 0 < share <= 1:
        raise InputError(f"the share of the best networks is {share}; choose one above 0 and up to 1")
    best = _best(measured, int(np.ceil(round(share * len(measured), 9))))
    return kendall(values[best], measured[best])


def regret(scores: ArrayLike, accuracies: ArrayLike, k: int = TRAINED) -> float:
    """Return by how much the best of the `k` networks that score highest misses the best of all.

    Args:
        scores: one value a network, shape (n,), larger is better; what does not exist ranks lowest.
        accuracies: what was measured, shape (n,), finite.
        k: how many networks are trained; all where there are fewer.

    Returns:
        Percentage points, 0 or more, smaller is better; NaN where there is no network. Of tied scores the
        expectation, see above.

    Raises:
        InputError: as `kendall`, or if `k` is not positive.
    """
    values, measured = _paired(scores, accuracies)
    sure, tied, left = _first(values, k)
    if not len(measured):
        return float("nan")
    # The i-th best of the tied is the best of those drawn if it is drawn and none before it is.
    order = np.sort(measured[tied])[::-1]
    drawn = hypergeom(len(order), left, np.arange(len(order) + 1)).pmf(0)
    floor = measured[sure].max(initial=-np.inf)
    expected = -np.diff(drawn) @ np.maximum(order, floor)
    return max(float(measured.max() - expected), 0.0)


def precision(scores: ArrayLike, accuracies: ArrayLike, k: int = TRAINED) -> float:
    """Return the share of the `k` networks that score highest which are among the `k` most accurate ones.

    Args:
        scores: one value a network, shape (n,), larger is better; what does not exist ranks lowest.
        accuracies: what was measured, shape (n,), finite; those as accurate as the `k`-th count as well.
        k: how many; all where there are fewer, which gives 1.

    Returns:
        A number in [0, 1], larger is better; NaN where there is no network. Of tied scores the expectation.

    Raises:
        InputError: as `kendall`, or if `k` is not positive.
    """
    values, measured = _paired(scores, accuracies)
    sure, tied, left = _first(values, k)
    if not len(measured):
        return float("nan")
    best = _best(measured, k)
    return float((best[sure].sum() + left * best[tied].mean()) / min(k, len(measured)))


def ndcg(scores: ArrayLike, accuracies: ArrayLike) -> float:
    r"""Return the normalised discounted cumulative gain of the order that the scores give.

    The gain of a network is its accuracy, scaled to 0 for the worst and 1 for the best one, and is divided by
    $\log_2(1 + r)$ of its rank $r$ (scikit-learn's `ndcg_score`, which averages over tied scores).

    Args:
        scores: one value a network, shape (n,), larger is better; what does not exist ranks lowest.
        accuracies: what was measured, shape (n,), finite.

    Returns:
        A number in (0, 1], larger is better, 1 for the right order; an order at random is well above 0. NaN
        for fewer than two networks or constant accuracies.

    Raises:
        InputError: as `kendall`.
    """
    values, measured = _paired(scores, accuracies)
    if len(measured) < 2 or np.ptp(measured) == 0:
        return float("nan")
    gains = (measured - measured.min()) / np.ptp(measured)
    return float(ndcg_score(gains[None], rank_scores(values)[None]))


#: What a searcher asks of a score, by name; arguments as `kendall`.
SEARCH: dict[str, Callable[[ArrayLike, ArrayLike], float]] = {
    "top_kendall": top_kendall,
    "regret": regret,
    "ndcg": ndcg,
    "precision": precision,
}


def rank_scores(scores: ArrayLike) -> NDArray[np.float64]:
    """Return average ranks from 1, shape (n,); values that are not finite share the lowest rank."""
    order: NDArray[np.float64] = rankdata(lowest(scores))
    return order


def _best(measured: NDArray[np.float64], k: int) -> NDArray[np.bool_]:
    """Return which networks are as accurate as the `k`-th best one, shape (n,)."""
    if not len(measured):
        return np.zeros(0, np.bool_)
    found: NDArray[np.bool_] = measured >= np.sort(measured)[-min(k, len(measured))]
    return found


def _first(values: NDArray[np.float64], k: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_], int]:
    """Return which networks are surely among the `k` that score highest, which are tied for the places left.

    The third value is the number of these places, at least one where there is a network.
    """
    if k < 1:
        raise InputError(f"k is {k}; at least one network must be chosen")
    ranks = rank_scores(values)
    if not len(ranks):
        return np.zeros(0, np.bool_), np.zeros(0, np.bool_), 0
    cut = np.sort(ranks)[-min(k, len(ranks))]
    return ranks > cut, ranks == cut, min(k, len(ranks)) - int((ranks > cut).sum())


def _correlate(measure: Callable[..., Any], scores: ArrayLike, accuracies: ArrayLike) -> float:
    values, measured = _paired(scores, accuracies)
    ranks = rank_scores(values)
    if len(ranks) < 2 or np.ptp(ranks) == 0 or np.ptp(measured) == 0:
        return float("nan")
    return float(measure(ranks, measured).statistic)


def _paired(scores: ArrayLike, accuracies: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    values, measured = (np.asarray(a, dtype=np.float64) for a in (scores, accuracies))
    if values.ndim != 1 or values.shape != measured.shape:
        raise InputError(
            f"expected two vectors of one length, got shapes {values.shape} and {measured.shape}"
        )
    if not np.isfinite(measured).all():
        raise InputError("an accuracy is not finite; drop the networks that were not measured first")
    return values, measured
