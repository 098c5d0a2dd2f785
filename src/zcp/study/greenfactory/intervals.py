"""Prediction intervals with a promised coverage, by conformal regression (package `crepes`).

Calibration residuals are out of fold: every seen row is predicted by a model that saw no row of its
isomorphism class. Three ways to turn them into intervals are compared: one width for all rows (`one
width`), one a cell (`per cell`, Mondrian), and one a cell scaled by the difficulty of a row, the mean error
of its nearest neighbours (`per cell, scaled`). A calibration row is not among its neighbours, nor is a row of
its isomorphism class, as no test row has such neighbours either: else it would look as difficult as its own
error is, and the widths of others would be too small. Coverage and width are measured on test rows.
"""

import dataclasses
import time
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import pandas as pd
from crepes import ConformalRegressor
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import QuantileTransformer

from zcp.analysis.over_splits import interval_over_splits
from zcp.ensemble.candidates import build_released
from zcp.ensemble.examples import Examples
from zcp.ensemble.features import FiniteFeatures
from zcp.ensemble.splits import TEST_TO_SEEN, split
from zcp.spaces.isomorphism import name_classes
from zcp.study.agreement import agree
from zcp.study.greenfactory.fits import run_plan
from zcp.study.results import Deposit

CELL = ["space", "dataset"]
LEVELS = (0.8, 0.9, 0.95)
METHODS = ("one width", "per cell", "per cell, scaled")
FOLDS = 5
#: Neighbours whose mean error is the difficulty of a row, and what is added to it, percentage points.
NEIGHBOURS, LEAST = 25, 0.01
Values = NDArray[np.float64]


class Regressor(Protocol):
    """What is calibrated."""

    def fit(self, X: Any, y: Any) -> Any: ...
    def predict(self, X: Any) -> Any: ...


def residuals_out_of_fold(model: Regressor, examples: Examples) -> Values:
    """Return measured minus predicted, percent, each from a model that saw nothing of the row's class."""
    classes = name_classes(examples.labels)
    predicted = cross_val_predict(
        clone(model), examples.features, examples.accuracy, groups=classes, cv=GroupKFold(FOLDS)
    )
    residuals: Values = examples.accuracy.to_numpy() - predicted
    return residuals


def name_cells(labels: pd.DataFrame) -> NDArray[Any]:
    """Return `space dataset` of each row."""
    names: NDArray[Any] = (labels["space"] + " " + labels["dataset"]).to_numpy(str)
    return names


def widths(residuals: Values, labels: pd.DataFrame, levels: Sequence[float] = LEVELS) -> pd.DataFrame:
    """Return the half-width of the intervals of each cell: space, dataset, level, width (percent)."""
    regressor = ConformalRegressor().fit(residuals, bins=name_cells(labels))
    cells, rows = labels[CELL].drop_duplicates().sort_values(CELL), []
    for level in levels:
        found = regressor.predict_int(np.zeros(len(cells)), bins=name_cells(cells), confidence=level)
        rows.append(cells.assign(level=level, width=found[:, 1]))
    return pd.concat(rows, ignore_index=True)


def find_intervals(
    method: str, residuals: Values, seen: Examples, test: Examples, predicted: Values, level: float
) -> Values:
    """Return the bounds of each test row, percent within 0 to 100, shape (rows, 2)."""
    fitting: dict[str, Any] = {}
    asking: dict[str, Any] = {}
    if method != "one width":
        fitting["bins"], asking["bins"] = name_cells(seen.labels), name_cells(test.labels)
    if method == "per cell, scaled":
        fitting["sigmas"], asking["sigmas"] = estimate_difficulty(residuals, seen, test)
    regressor = ConformalRegressor().fit(residuals, **fitting)
    found: Values = regressor.predict_int(predicted, confidence=level, y_min=0, y_max=100, **asking)
    return found


def estimate_difficulty(residuals: Values, seen: Examples, test: Examples) -> tuple[Values, Values]:
    """Return the difficulty of the seen rows and of the test rows, percentage points, larger is harder.

    It is the mean absolute residual of the nearest seen rows, among ranks of the features; of a seen row only
    those of other isomorphism classes count.
    """
    ranks = QuantileTransformer(n_quantiles=min(200, len(seen)), random_state=0)
    neighbours = make_pipeline(FiniteFeatures(), ranks, KNeighborsRegressor(NEIGHBOURS))
    errors, classes = np.abs(residuals), name_classes(seen.labels)
    known = cross_val_predict(neighbours, seen.features, errors, groups=classes, cv=GroupKFold(FOLDS))
    asked = neighbours.fit(seen.features, errors).predict(test.features)
    return known + LEAST, asked + LEAST


def evaluate(examples: Examples, chosen: Mapping[str, Any], seed: int) -> pd.DataFrame:
    """Calibrate on the seen rows of a leak-free split and measure on its test rows.

    Args:
        examples: all rows.
        chosen: features, model and hyperparameters, chosen on the seen rows of this split; see
            `zcp.study.greenfactory.nested.read_choice`.
        seed: of the split and the model.

    Returns:
        seed, method, level (promised), space, dataset, n, coverage (share of test rows within), width (mean,
        percentage points).
    """
    parts = split(examples, "isomorphic", seed)
    asked = dataclasses.replace(examples, features=examples.features[chosen["features"]])
    seen, test = asked.take(np.concatenate([parts.train, parts.validation])), asked.take(parts.test)
    model = build_released(chosen["model"], chosen["hyperparameters"], seed)
    residuals = residuals_out_of_fold(model, seen)
    predicted = np.asarray(model.fit(seen.features, seen.accuracy).predict(test.features), float)
    rows, truth, cells = [], test.accuracy.to_numpy(), test.labels.reset_index(drop=True)
    for method in METHODS:
        for level in LEVELS:
            found = find_intervals(method, residuals, seen, test, predicted, level)
            inside = (found[:, 0] <= truth) & (truth <= found[:, 1])
            table = cells.assign(inside=inside, width=found[:, 1] - found[:, 0]).groupby(CELL)
            aims = {"n": ("inside", "size"), "coverage": ("inside", "mean"), "width": ("width", "mean")}
            rows.append(table.agg(**aims).reset_index().assign(method=method, level=level, seed=seed))
    return pd.concat(rows, ignore_index=True)


def study(examples: Examples, choices: Mapping[int, Mapping[str, Any]], *, jobs: int = 1) -> Deposit:
    """Measure coverage in every split; the deposit `intervals-<target>` holds `cells` and `summary`.

    Args:
        examples: all rows.
        choices: of each split's seed, what was chosen on its seen rows.
        jobs: processes.
    """
    start, plan = time.perf_counter(), [(dict(chosen), seed) for seed, chosen in choices.items()]
    cells = pd.concat(run_plan(evaluate, examples, plan, jobs=jobs), ignore_index=True)
    settings = {"target": examples.target, "seeds": list(choices)}
    settings |= {"choices": [dict(chosen) for chosen in choices.values()]}
    tables = {"cells": cells, "summary": summarise(cells)}
    return Deposit(
        f"intervals-{examples.target}", settings, tables, examples.provenance(time.perf_counter() - start)
    )


def summarise(cells: pd.DataFrame) -> pd.DataFrame:
    """Return means over the splits: method, level, space, dataset, n, seeds, coverage, low, high, width.

    low and high are the 95 percent interval of the mean coverage over splits (`zcp.analysis.over_splits`).
    """
    rows, keys = [], ["method", "level", *CELL]
    for key, mine in cells.groupby(keys, sort=False):
        low, high = interval_over_splits(mine["coverage"], TEST_TO_SEEN, 0.0, 1.0)
        row = dict(zip(keys, key, strict=True)) | {"n": mine["n"].mean(), "seeds": len(mine)}
        rows.append(row | {"coverage": mine["coverage"].mean(), "low": low, "high": high}
                    | {"width": mine["width"].mean()})  # fmt: skip
    return pd.DataFrame(rows)


def check(examples: Examples, deposit: Deposit) -> pd.DataFrame:
    """Calibrate anew with the deposit's first seed and compare.

    Raises:
        DisagreementError: if a count differs, or another value by more than its measured tolerance.
    """
    made = deposit.settings
    live = evaluate(examples, made["choices"][0], made["seeds"][0])
    keys = ["method", "level", "seed", *CELL]
    measured = ["coverage", "width"]
    return agree(live, deposit, "cells", keys=keys, measured=measured, exact=["n"], by=["method"])
