"""What a score says before it is compared: its direction, and that it may not exist. Decided here, once.

A proxy fails on a network where its score is NaN, infinite, or the mark of a failure in published files.

* Ranked (`lowest`): below every other score of the cell, tied with other failures, since a search must place
  every network. GreenFactory's sections and `zcp.analysis.metrics` do so.
* Left out (`usable`): and counted. The Deeper Look does so, as the post did.
* Of a regressor: `zcp.ensemble.features.FiniteFeatures` sets it aside from what was seen in training, and
  keeps plus infinity above.
* AZ-NAS alone (`zcp.proxies.population`) ranks plus infinity highest, as its authors' code does.
"""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from zcp.proxies.population import POPULATION
from zcp.proxies.registry import get_proxy

#: What published files hold where a measure failed.
FAILED = -1e8


def usable(scores: ArrayLike) -> NDArray[np.bool_]:
    """Return which scores exist: neither NaN, infinite nor the published mark of a failure; same shape."""
    values = np.asarray(scores, dtype=np.float64)
    known: NDArray[np.bool_] = np.isfinite(values) & (values != FAILED)
    return known


def lowest(scores: ArrayLike) -> NDArray[np.float64]:
    """Return the scores, larger is better, with minus infinity where they do not exist; same shape."""
    values = np.asarray(scores, dtype=np.float64)
    found: NDArray[np.float64] = np.where(usable(values), values, -np.inf)
    return found


def sign_of(proxy: str) -> float:
    """Return 1 where larger is better by the proxy's definition, else -1.

    Raises:
        InputError: if there is no such proxy, nor such a score of a population.
    """
    return 1.0 if proxy in POPULATION or get_proxy(proxy).larger_is_better else -1.0


def turn(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the scores, a column a proxy, with the sign that makes larger better; the mark becomes NaN."""
    return scores.where(scores != FAILED) * pd.Series({name: sign_of(str(name)) for name in scores})
