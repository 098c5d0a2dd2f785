r"""Intervals of errors and rank correlations, by the bootstrap over architectures: the only one of the study.

A resample draws as many architectures as there are, with replacement; a row counts as often as its
architecture was drawn. That is a weight $w$ for each row, so every measure is written with weights:

$\mathrm{RMSE} = \sqrt{\sum_i w_i (\hat y_i - y_i)^2 / \sum_i w_i}$ and
$\tau_b = \sum_{ij} w_i w_j\, s_{ij} / \sqrt{n_x n_y}$,
$n_x = \sum_{ij} w_i w_j [x_i \ne x_j]$ and $n_y$ alike,

with $s_{ij}$ the product of the signs of $x_i - x_j$ and $y_i - y_j$, which is what repeating the rows gives.
The models are not fitted again: an interval says what other networks would do to the number. An architecture
has a row in several cells; one object of `Resamples` serves all of them, so that its rows are drawn together
and a mean over cells has the interval of dependent cells.
"""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from zcp.analysis.metrics import rank_scores, spearman
from zcp.analysis.scores import usable
from zcp.statistics.seeding import seed_for

Floats = NDArray[np.float64]
RESAMPLES = 1_000
LEVELS = (2.5, 97.5)  # percentiles: an interval of 95 percent


class Resamples:
    """How often each architecture is drawn in each resample; the same for all that is compared.

    Args:
        architectures: one name a row; a name may repeat.
        resamples: how many.
    """

    def __init__(self, architectures: pd.Series, resamples: int = RESAMPLES) -> None:
        self.names = pd.Index(architectures.unique())
        rng = np.random.default_rng(seed_for("bootstrap", len(self.names)))
        shares = np.full(len(self.names), 1 / len(self.names))
        self.counts = rng.multinomial(len(self.names), shares, size=resamples)

    def weigh(self, architectures: pd.Series) -> Floats:
        """Return the weight of each of these rows in each resample, shape (resamples, rows)."""
        weights: Floats = self.counts[:, self.names.get_indexer(architectures)].astype(np.float64)
        return weights


def draw(count: int, resamples: int, source: np.random.Generator) -> Floats:
    """Return how often each of `count` rows, of as many architectures, is drawn, shape (resamples, count)."""
    drawn = source.integers(count, size=(resamples, count))
    numbered = drawn + count * np.arange(resamples)[:, None]
    weights: Floats = np.bincount(numbered.ravel(), minlength=resamples * count).astype(np.float64)
    return weights.reshape(resamples, count)


def resampled_rmse(predicted: Floats, measured: Floats, weights: Floats) -> Floats:
    """Return the RMSE of each resample, shape (resamples,); NaN where no row was drawn."""
    with np.errstate(invalid="ignore"):
        found: Floats = np.sqrt((weights @ (predicted - measured) ** 2) / weights.sum(axis=1))
    return found


def resampled_kendall(scores: Floats, measured: Floats, weights: Floats) -> Floats:
    """Return tau-b of each resample, shape (resamples,); NaN where one column is constant."""
    values = rank_scores(scores)
    one, other = (np.sign(v[:, None] - v[None, :]).astype(np.float32) for v in (values, measured))
    # Whole numbers far below 2**24: single precision is exact.
    balance = weights.astype(np.float32) @ (one * other)
    concordant = np.einsum("bi,bi->b", balance.astype(np.float64), weights)
    return _ratio(concordant, _untied(values, weights) * _untied(measured, weights))


def resampled_spearman(scores: Floats, measured: Floats, weights: Floats) -> Floats:
    """Return rho of each resample, shape (resamples,); NaN where one column is constant."""
    x, y = (_weighted_ranks(v, weights) for v in (rank_scores(scores), measured))
    return _ratio((weights * x * y).sum(1), (weights * x**2).sum(1) * (weights * y**2).sum(1))


def interval(resampled: Floats) -> tuple[float, float]:
    """Return the 95 percent interval of resampled values; NaN where there are none."""
    finite = resampled[np.isfinite(resampled)]
    if not len(finite):
        return float("nan"), float("nan")
    low, high = np.percentile(finite, LEVELS)
    return float(low), float(high)


def spearman_interval(scores: Floats, measured: Floats, resamples: int, *seed: object) -> tuple[float, float]:
    """Return the 95 percent interval of rho; NaN where a column is constant or there are fewer than two rows.

    Args:
        scores: one value an architecture, shape (n,); what does not exist ranks lowest.
        measured: of the same architectures, shape (n,).
        resamples: how many; none gives NaN.
        seed: of the draws.
    """
    if not resamples or len(scores) < 2 or np.ptp(scores) == 0:
        return float("nan"), float("nan")
    weights = draw(len(scores), resamples, np.random.default_rng(seed_for(*seed)))
    return interval(resampled_spearman(scores, measured, weights))


def correlate_usable(
    scores: ArrayLike, measured: ArrayLike, resamples: int = 0, *seed: object
) -> dict[str, float]:
    """Correlate scores with what was measured of the same architectures, shapes (n,), where both exist.

    Returns:
        spearman (NaN where a column is constant or fewer than two rows are left), low, high (see
        `spearman_interval`), n (rows used), left_out (those without a usable value of both).
    """
    values, accuracies = np.asarray(scores, np.float64), np.asarray(measured, np.float64)
    known = usable(values) & usable(accuracies)
    values, accuracies = values[known], accuracies[known]
    low, high = spearman_interval(values, accuracies, resamples, *seed)
    found = {"spearman": spearman(values, accuracies), "low": low, "high": high}
    return found | {"n": len(values), "left_out": int((~known).sum())}


def _untied(values: Floats, weights: Floats) -> Floats:
    """Return the weight of the pairs, both ways, that a column does not tie, shape (resamples,)."""
    untied: Floats = weights.sum(axis=1) ** 2 - (_by_level(values, weights)[0] ** 2).sum(axis=1)
    return untied


def _by_level(values: Floats, weights: Floats) -> tuple[Floats, NDArray[np.intp]]:
    """Return the weight of each value that occurs, shape (resamples, levels), and the level of each row."""
    level = rankdata(values, "dense").astype(np.intp) - 1
    order = np.argsort(level, kind="stable")
    starts = np.flatnonzero(np.diff(level[order], prepend=-1))
    return np.add.reduceat(weights[:, order], starts, axis=1), level


def _weighted_ranks(values: Floats, weights: Floats) -> Floats:
    """Return centred average ranks, as if each row were repeated by its weight, shape (resamples, rows)."""
    totals, level = _by_level(values, weights)
    ranks = (np.cumsum(totals, axis=1) - totals / 2)[:, level]
    total = np.maximum(weights.sum(1, keepdims=True), 1)  # a resample may hold no row of a small cell
    centred: Floats = ranks - (weights * ranks).sum(1, keepdims=True) / total
    return centred


def _ratio(top: Floats, square: Floats) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio: Floats = np.where(square > 0, top / np.sqrt(square), np.nan)
    return ratio
