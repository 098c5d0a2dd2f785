"""Where a model was measured: how far the features of a network are from those of the fitted rows.

The promise of an interval holds for networks that are drawn as the fitted ones were. Of a network of
another kind one can tell this much: whether any fitted network is about as close to it as networks that were
held out are to those that were kept. Closeness is in ranks, so that no scale of a proxy counts: the mean over
the features of the difference of their ranks among the kept rows of the cell. What is not finite lies a whole
range beyond all ranks, as in `zcp.ensemble.features.FiniteFeatures`.

The limit is calibrated: half of a cell's networks, with all their names, are drawn to be kept, and the other
half tells how far a network of the same kind may be.
"""

from collections.abc import Mapping
from typing import Annotated, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from zcp.spaces.isomorphism import name_classes

#: Quantiles of each feature that ranks are read off, and fitted rows that are kept of a cell.
KNOTS, KEPT = 101, 250
#: Share of the networks held out that are no farther from a kept one than the limit.
SHARE = 0.99


class Region(BaseModel):
    """What is kept of the features of the fitted rows of one cell; it holds no accuracy.

    Attributes:
        knots: quantiles of the finite values by feature, ascending.
        rows: ranks of `KEPT` fitted rows in the order of the features, from 0 to 2 `KNOTS`; -2 `KNOTS` and 4
            `KNOTS` where a value is not finite.
        limit: the largest distance to the nearest row at which a network counts as of the same kind.
        missing: features that were not finite in some fitted row.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    knots: dict[str, Annotated[list[float], Field(min_length=1)]] = Field(min_length=1)
    rows: list[list[int]] = Field(min_length=1)
    limit: float = Field(ge=0, le=3)
    missing: list[str]

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if any(len(row) != len(self.knots) for row in self.rows):
            raise ValueError("a row has not one rank for each feature")
        return self

    def distances(self, features: pd.DataFrame) -> NDArray[np.float64]:
        """Return the distance of each row to the nearest kept one, in shares of the range of a feature."""
        return _nearest(_ranks(features, self.knots), np.array(self.rows))

    def holds(self, features: pd.DataFrame) -> NDArray[np.bool_]:
        """Return whether each row is of the same kind as the fitted ones, shape (rows,)."""
        never = [name for name in self.knots if name not in self.missing]
        found: NDArray[np.bool_] = np.isfinite(features[never].to_numpy(float)).all(axis=1)
        return found & (self.distances(features) <= self.limit)

    def why_outside(self, features: Mapping[str, float]) -> str:
        """Return why a network is of another kind than the fitted ones; empty where it is not."""
        odd = [name for name in self.knots if not np.isfinite(features[name]) and name not in self.missing]
        if odd:
            return f"{', '.join(odd)} failed, which no fitted network's did"
        if (distance := float(self.distances(pd.DataFrame([features]))[0])) > self.limit:
            return (
                f"it is far from all fitted networks: {distance:.3f} of the range of a feature, in the mean "
                f"over all, where {SHARE:.0%} of the networks held out have one within {self.limit:.3f}"
            )
        return ""


def measure(features: pd.DataFrame, labels: pd.DataFrame) -> dict[str, Region]:
    """Return the region of each cell, by `space dataset`.

    Args:
        features: of the fitted rows; columns of the dataset's one-hot code are left out.
        labels: their columns space, dataset and index.
    """
    own = features[[name for name in features if "=" not in str(name)]]
    cells = (labels["space"] + " " + labels["dataset"]).to_numpy()
    classes = pd.Series(name_classes(labels).to_numpy(), own.index)
    return {str(cell): _measure_cell(rows, classes[rows.index]) for cell, rows in own.groupby(cells)}


def _measure_cell(features: pd.DataFrame, classes: pd.Series) -> Region:
    drawn = np.random.default_rng(0).permutation(classes.unique())[: (classes.nunique() + 1) // 2]
    is_kept: NDArray[np.bool_] = classes.isin(drawn).to_numpy()
    knots, missing = {}, []
    for name, column in features.items():
        values = np.sort(column[is_kept & np.isfinite(column)].to_numpy(float))
        at = np.linspace(0, len(values) - 1, KNOTS).round().astype(int)
        knots[str(name)] = values[at].tolist() if len(values) else [0.0]
        missing += [] if np.isfinite(column).all() else [str(name)]
    ranks = _ranks(features, knots)
    kept = ranks[is_kept][np.random.default_rng(0).permutation(is_kept.sum())[:KEPT]]
    away = np.sort(_nearest(ranks[~is_kept], kept)) if not is_kept.all() else np.zeros(1)
    # As many of the distances, and the one to come, lie at or below it as were promised.
    limit = away[min(int(np.ceil(SHARE * (len(away) + 1))), len(away)) - 1]
    return Region(knots=knots, rows=kept.tolist(), limit=min(float(limit), 3.0), missing=missing)


def _ranks(features: pd.DataFrame, knots: Mapping[str, list[float]]) -> NDArray[np.int64]:
    """Return ranks, shape (rows, features): ties in the middle, NaN as low as can be."""
    columns = []
    for name, known in knots.items():
        ends, values = np.array(known), features[name].fillna(-np.inf).to_numpy(float)
        sides = [np.searchsorted(ends, values, side=side) for side in ("left", "right")]
        outside = (values - values.clip(ends[0], ends[-1])) / (ends[-1] - ends[0] or 1.0)
        rank = (sides[0] + sides[1]) * KNOTS // len(ends)
        columns.append(rank + np.rint(outside.clip(-1, 1) * 2 * KNOTS))
    return np.stack(columns, axis=1).astype(np.int64)


def _nearest(ranks: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the distance of each of `ranks` to the nearest of `rows`."""
    differences = np.zeros((len(ranks), len(rows)))
    for ours, theirs in zip(ranks.T, rows.T, strict=True):
        differences += np.abs(ours[:, None] - theirs)
    nearest: NDArray[np.float64] = (differences / (2 * KNOTS * ranks.shape[1])).min(axis=1)
    return nearest
