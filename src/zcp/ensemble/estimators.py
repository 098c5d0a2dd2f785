"""The shipped estimators: from a table of scores to accuracies, with scikit-learn's interface.

Both are used as any regressor is (`fit`, `predict`, `clone`, pipelines, cross-validation). They differ from
others in what a table of scores needs: columns are known by name, so their order does not matter and columns
that were not there in training are ignored; and scores may be NaN or infinite (`FiniteFeatures`).
"""

import json
from collections.abc import Sequence
from functools import cache
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.utils.validation import check_is_fitted, validate_data

from zcp.ensemble.transforms import build_pipeline
from zcp.errors import InputError
from zcp.paths import MODELS, is_file

# A leaf is an average of at least so many networks: the fitted model is an aggregate of the benchmark's
# measurements, not a copy of its table, and it is small.
LEAST_LEAF = 5
READING: dict[str, Any] = {"dtype": np.float64, "ensure_all_finite": False}


class GreenFactory(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Predict accuracy from zero-cost proxies and the dataset.

    Args:
        regressor: any regressor; 200 extremely randomised trees with at least five networks a leaf where
            None.
        features: names of the columns to use; all that are there in `fit` where None.
        random_state: seed of the default regressor.

    Attributes:
        feature_names_in_: the columns that it uses, in alphabetical order; only where X had column names.
        n_features_in_: how many.
        regressor_: the fitted regressor.

    Example:
        >>> from zcp.ensemble.examples import read_examples
        >>> rows = read_examples("nats-b16", "valid")
        >>> model = GreenFactory().fit(rows.features, rows.accuracy)
        >>> model.predict(rows.features).shape == (len(rows),)
        True
    """

    def __init__(
        self, regressor: Any = None, features: Sequence[str] | None = None, random_state: int | None = 0
    ) -> None:
        self.regressor = regressor
        self.features = features
        self.random_state = random_state

    def fit(self, X: ArrayLike | pd.DataFrame, y: ArrayLike) -> Self:
        """Fit on scores X, shape (rows, features), and accuracies y in percent, shape (rows,).

        Raises:
            InputError: if a wanted column is missing or occurs twice.
        """
        if isinstance(X, pd.DataFrame):
            X = self._choose(X, self.features if self.features is not None else self._default(X))
        elif self.features is not None:
            raise InputError("features are chosen by name, so X must be a data frame with named columns")
        values, y = validate_data(self, X, y, reset=True, y_numeric=True, **READING)
        default = build_pipeline(
            ExtraTreesRegressor(
                200, max_features=0.5, min_samples_leaf=LEAST_LEAF, random_state=self.random_state, n_jobs=1
            )
        )
        self.regressor_ = clone(self.regressor) if self.regressor is not None else default
        self.regressor_.fit(self._named(values), y)
        return self

    def predict(self, X: ArrayLike | pd.DataFrame) -> NDArray[np.float64]:
        """Return predicted accuracies, percent, shape (rows,).

        Raises:
            InputError: if a column that it was fitted on is missing.
        """
        check_is_fitted(self)
        if isinstance(X, pd.DataFrame) and hasattr(self, "feature_names_in_"):
            X = self._choose(X, self.feature_names_in_)
        values = validate_data(self, X, reset=False, **READING)
        return np.asarray(self.regressor_.predict(self._named(values)), np.float64)

    def __sklearn_tags__(self) -> object:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def _default(self, X: pd.DataFrame) -> Sequence[str]:
        return list(X.columns)

    @staticmethod
    def _choose(X: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
        """Return the columns of these names, in alphabetical order where the names are text."""
        wanted = list(names)
        twice = sorted({str(n) for n in wanted if list(X.columns).count(n) > 1})
        missing = [str(name) for name in wanted if name not in X.columns]
        if missing or twice:
            fault = f"lack {', '.join(missing)}" if missing else f"hold {', '.join(twice)} twice"
            raise InputError(f"the scores {fault}; the estimator needs each of its features once")
        if all(isinstance(name, str) for name in wanted):
            wanted.sort()
        return X[wanted]

    def _named(self, values: NDArray[np.float64]) -> Any:
        names = getattr(self, "feature_names_in_", None)
        return values if names is None else pd.DataFrame(values, columns=names)


class GreenFactoryFast(GreenFactory):
    """`GreenFactory` on `fast_features`: the few proxies of the shipped model, and the dataset.

    Args:
        regressor: see `GreenFactory`.
        features: names of the columns to use; `fast_features()` where None and X has named columns.
        random_state: see `GreenFactory`.
    """

    def _default(self, X: pd.DataFrame) -> Sequence[str]:
        return fast_features() if all(isinstance(name, str) for name in X) else list(X.columns)


@cache
def fast_features() -> tuple[str, ...]:
    """Return what the shipped GreenFactoryFast of the target `test` sees, as its card says.

    Raises:
        InputError: if none ships.
    """
    card = MODELS / "GreenFactoryFast-test.json"
    if not is_file(card):
        raise InputError("no GreenFactoryFast ships that could say its features; name them: features=[...]")
    return tuple(json.loads(card.read_text(encoding="utf-8"))["features"])
