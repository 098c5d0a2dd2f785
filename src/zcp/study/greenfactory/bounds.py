r"""A bound of the ceiling where nothing was trained twice: what the description of a network predicts.

A model that knows the description of every network, and no proxy, predicts accuracies of networks that it
did not see. What it reaches can be reached: the ceiling of Kendall's correlation is at least its, and the
least RMSE that noise allows is at most its error. How far the ceiling lies above, it does not say.

In the size space the model is a polynomial of the logarithms of the five widths, its degree chosen inside
the training part; in the topology space gradient boosting on the operations of the six edges. A twin of a
cell may be in training: its accuracy is that of another training, so it tells nothing of this one's noise.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, KFold, ShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

from zcp import benchmarks
from zcp.analysis.metrics import kendall, rmse
from zcp.data.datasets import DATASETS
from zcp.ensemble.examples import SPACES
from zcp.spaces import get_space
from zcp.spaces.cells import EDGES, OPERATIONS
from zcp.study.greenfactory.architectures import CELL_COLUMNS, WIDTH_COLUMNS, encode_architectures

Values = NDArray[np.float64]
FOLDS = 7  # 86 percent are trained on, the others predicted
DEGREES = (3, 4, 5, 6)
CELL = ["space", "dataset"]


@cache
def describe(space: str) -> Values:
    """Return the description of every network of a space, by index.

    Size space: logarithms to base 2 of the widths, shape (32768, 5). Topology space: the number of the
    operation of each edge, shape (15625, 6).
    """
    table = encode_architectures(pd.DataFrame({"space": space, "index": range(get_space(space).size)}))
    if space == "sss":
        logarithms: Values = np.log2(table[WIDTH_COLUMNS].to_numpy())
        return logarithms
    edges = table[CELL_COLUMNS].to_numpy().reshape(-1, len(EDGES), len(OPERATIONS))
    chosen: Values = edges.argmax(axis=2).astype(np.float64)
    return chosen


def build_describer(space: str) -> Any:
    """Return the unfitted model of a space."""
    if space == "tss":
        edges = list(range(len(EDGES)))
        return HistGradientBoostingRegressor(
            max_iter=300, early_stopping=False, categorical_features=edges, random_state=0
        )
    polynomial = make_pipeline(StandardScaler(), PolynomialFeatures(), Ridge(1e-2))
    inner = ShuffleSplit(1, test_size=0.15, random_state=0)
    degrees = {"polynomialfeatures__degree": list(DEGREES)}
    return GridSearchCV(polynomial, degrees, cv=inner, scoring="neg_root_mean_squared_error")


def find_bounds(target: str, folds: Sequence[int] = range(FOLDS)) -> pd.DataFrame:
    """Return what the description predicts in every cell of a target, over its complete space.

    Returns:
        space, dataset, fold, n (networks of the fold, which were not trained on), degree (of the polynomial;
        NaN where it is none), kendall, rmse (percent).
    """
    rows = []
    for space in SPACES[target]:
        described, table = describe(space), benchmarks.load(space)
        parts = list(KFold(FOLDS, shuffle=True, random_state=0).split(described))
        for dataset in DATASETS:
            accuracy = table.accuracy(dataset, target).to_numpy(float)
            for fold in folds:
                train, test = parts[fold]
                model = build_describer(space).fit(described[train], accuracy[train])
                found, measured = model.predict(described[test]), accuracy[test]
                degree = next(iter(getattr(model, "best_params_", {"": np.nan}).values()))
                row = {"space": space, "dataset": dataset, "fold": fold, "n": len(test), "degree": degree}
                rows.append({**row, "kendall": kendall(found, measured), "rmse": rmse(found, measured)})
    return pd.DataFrame(rows)
