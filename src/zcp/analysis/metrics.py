"""How well scores order networks, and how well predictions meet accuracies.

A score that does not exist is ranked below all others (`zcp.analysis.scores`). A constant column has no rank
correlation: NaN.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import kendalltau, rankdata, spearmanr

from zcp.analysis.scores import lowest
from zcp.errors import InputError


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


def rank_scores(scores: ArrayLike) -> NDArray[np.float64]:
    """Return average ranks from 1, shape (n,); values that are not finite share the lowest rank."""
    order: NDArray[np.float64] = rankdata(lowest(scores))
    return order


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
