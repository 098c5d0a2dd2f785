"""The interval of a mean over repeated splits of the same rows, each with everything fitted anew."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import t

LEVEL = 0.95


def interval_over_splits(
    values: ArrayLike, ratio: float, least: float = -np.inf, most: float = np.inf
) -> tuple[float, float]:
    r"""Return the interval (95 percent) of the mean of a measure over random splits, by Student's t.

    What differs between splits is the test rows, the training rows, and all that was chosen and fitted on
    them. The splits overlap, so that their values are not independent: as Nadeau and Bengio (2003) correct
    it, the variance of the mean of $k$ values with variance $s^2$ is $(1/k + n_\text{test}/n_\text{train})
    s^2$.

    Args:
        values: the measure on each split's test rows, shape (k,).
        ratio: test rows for each training row.
        least: the least value that the measure can have; the interval ends there.
        most: the largest.

    Returns:
        low, high; NaN for fewer than two splits or a value that does not exist.
    """
    found = np.asarray(values, np.float64)
    if len(found) < 2 or not np.isfinite(found).all():
        return float("nan"), float("nan")
    half = t.ppf((1 + LEVEL) / 2, len(found) - 1) * np.sqrt((1 / len(found) + ratio) * found.var(ddof=1))
    mean = found.mean()
    return float(np.clip(mean - half, least, most)), float(np.clip(mean + half, least, most))
