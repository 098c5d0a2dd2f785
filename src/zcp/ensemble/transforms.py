"""Functions that fitted estimators name: of features and of accuracies, and the pipeline around a regressor.

What is shipped loads with scikit-learn alone; so nothing here imports what only the candidates need.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from zcp.ensemble.features import FiniteFeatures


def signed_log(values: NDArray[np.float64]) -> NDArray[np.float64]:
    r"""Return $\mathrm{sign}(x) \log(1 + |x|)$."""
    logarithms: NDArray[np.float64] = np.sign(values) * np.log1p(np.abs(values))
    return logarithms


def log_error(accuracy: NDArray[np.float64]) -> NDArray[np.float64]:
    r"""Return $-\log(101 - y)$ of an accuracy in percent: steps near the top count more."""
    return -np.log(101.0 - accuracy)


def accuracy_from(error: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the accuracy, percent, of `log_error`."""
    return 101.0 - np.exp(-error)


def build_pipeline(regressor: Any, *, standardize: bool = False) -> Pipeline:
    """Return a pipeline: values made finite, features standardised if asked for, regressor."""
    steps = [FiniteFeatures(), *([StandardScaler()] if standardize else []), regressor]
    return make_pipeline(*steps)
