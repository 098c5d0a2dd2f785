"""From a table of scores to the features of a regressor.

The features are the proxies that the table holds, in alphabetical order, and the dataset in one-hot coding.
The search space is left out, as in GreenFactory. Values that are not finite stay as they are here:
`FiniteFeatures` replaces them inside a pipeline, with what it learnt from training rows alone.
"""

from collections.abc import Sequence
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from zcp.data.datasets import DATASETS, get_dataset
from zcp.errors import InputError

KEYS = ["space", "index", "dataset"]
ONE_HOT = [f"dataset={name}" for name in DATASETS]
NOT_PROXIES = {*KEYS, "arch", "reason"}
# Trees compare in single precision; raw synflow leaves it. Larger magnitudes are tied at this bound.
LARGEST = 1e37


def proxy_columns(scores: pd.DataFrame) -> list[str]:
    """Return the names of the proxies that a table of scores holds, in alphabetical order."""
    return sorted(c for c in scores.columns if c not in NOT_PROXIES and not c.startswith("seconds_"))


def encode(scores: pd.DataFrame, proxies: Sequence[str] | None = None) -> pd.DataFrame:
    """Return the features of each row of `scores`: float64, one row a (space, index, dataset), same index.

    Args:
        scores: columns `space`, `index`, `dataset` and one a proxy; the order of the columns does not
            matter.
        proxies: the proxies to use; all that the table holds where None.

    Raises:
        InputError: if a column is missing or not numeric, a row occurs twice, or a dataset is unknown.
    """
    wanted = proxy_columns(scores) if proxies is None else sorted(proxies)
    _require_keys(scores)
    missing = [p for p in wanted if p not in scores.columns]
    if missing or not wanted:
        raise InputError(f"the scores hold no proxy {', '.join(missing) or 'at all'}; collect it first")
    try:
        values = scores[wanted].astype(np.float64)
    except (ValueError, TypeError) as error:
        raise InputError(f"a proxy's column is not numeric: {error}") from error
    one_hot = [scores["dataset"].eq(name).astype(np.float64).rename(f"dataset={name}") for name in DATASETS]
    return pd.concat([values, *one_hot], axis=1)


class FiniteFeatures(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    r"""Replace values that are not finite, column by column, by what the training rows teach.

    With $a$ and $b$ the least and greatest finite training value of a column, NaN and $-\infty$ (a proxy
    that failed, or a dead network) become $2a - b$, one range below everything seen, and $+\infty$ becomes
    $2b - a$. A tree can so cut failures off, and a linear model sees no absurd number. The step is 1 for a
    constant column; a column without any finite training value becomes 0. No test row has a say.
    """

    def fit(self, X: ArrayLike, y: ArrayLike | None = None) -> Self:
        """Learn the finite range of each column of X, shape (rows, features)."""
        values = self._check(X, reset=True)
        hidden = np.where(np.isfinite(values), values, np.nan)
        empty = np.isnan(hidden).all(axis=0)
        hidden[:, empty] = 0.0
        self.lowest_, self.highest_ = np.nanmin(hidden, axis=0), np.nanmax(hidden, axis=0)
        step = self.highest_ - self.lowest_
        step = np.where(empty, 0.0, np.where(step > 0, step, 1.0))
        self.below_, self.above_ = self.lowest_ - step, self.highest_ + step
        return self

    def transform(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return X, shape (rows, features), with finite values only."""
        check_is_fitted(self)
        values = self._check(X, reset=False)
        values = np.where(np.isposinf(values), self.above_, values)
        finite: NDArray[np.float64] = np.where(np.isfinite(values), values, self.below_)
        return finite

    def __sklearn_tags__(self) -> object:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def _check(self, X: ArrayLike, *, reset: bool) -> NDArray[np.float64]:
        values = validate_data(self, X, reset=reset, dtype=np.float64, ensure_all_finite=False)
        clipped: NDArray[np.float64] = np.where(np.isinf(values), values, np.clip(values, -LARGEST, LARGEST))
        return clipped


def _require_keys(scores: pd.DataFrame) -> None:
    missing = [key for key in KEYS if key not in scores.columns]
    if missing:
        raise InputError(f"the scores lack the column {', '.join(missing)}")
    for name in scores["dataset"].unique():
        get_dataset(name)
    twice = scores.loc[scores.duplicated(KEYS), KEYS]
    if len(twice):
        raise InputError(f"{len(twice)} rows occur twice in the scores, first {twice.iloc[0].to_dict()}")
