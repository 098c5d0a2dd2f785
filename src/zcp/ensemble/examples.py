"""Scores joined with what the benchmarks measured: the rows of the regression problem."""

import dataclasses
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from zcp import benchmarks
from zcp.collect import load_scores, scores_path
from zcp.ensemble.features import KEYS, encode
from zcp.errors import InputError
from zcp.provenance import versions
from zcp.results import sha256

# Where a target is studied. `valid` is TSS only, although SSS has it: so every installation can.
SPACES = {"test": ("tss", "sss"), "test_12ep": ("tss",), "valid": ("tss",)}


@dataclass(frozen=True)
class Examples:
    """The rows of one regression problem.

    Attributes:
        features: float64, shape (rows, features), columns named; may hold values that are not finite.
        accuracy: what is predicted, percent, shape (rows,).
        labels: columns space, index, dataset; not features.
        target: name of the accuracy.
        origin: the scores file, its SHA-256 and its settings, for provenance.
    """

    features: pd.DataFrame
    accuracy: pd.Series
    labels: pd.DataFrame
    target: str
    origin: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.accuracy)

    @property
    def architectures(self) -> pd.Series:
        """One name an architecture: the same for its rows on several datasets."""
        names: pd.Series = self.labels["space"] + ":" + self.labels["index"].astype(str)
        return names

    def take(self, rows: np.ndarray) -> "Examples":
        """Return the rows at these positions, in this order; a position may repeat."""
        parts = {name: getattr(self, name).iloc[rows] for name in ("features", "accuracy", "labels")}
        return dataclasses.replace(self, **parts)

    def without(self, *names: str) -> "Examples":
        """Return the same rows without these features."""
        return dataclasses.replace(self, features=self.features.drop(columns=list(names)))

    def provenance(self, seconds: float) -> dict[str, Any]:
        """Return what a deposit says about its making; `seconds` is what the computation took."""
        return {**self.origin, "rows": len(self), "versions": versions(), "seconds": round(seconds, 1)}


def available_target(wanted: str) -> str:
    """Return `wanted` where all its accuracies can be had here, else `valid`, which needs no data folder.

    Raises:
        InputError: if no such target exists.
    """
    if wanted not in SPACES:
        raise InputError(f"unknown target {wanted!r}; choose one of {', '.join(SPACES)}")
    try:
        at_hand = all(wanted in benchmarks.load(space).targets for space in SPACES[wanted])
    except InputError:
        at_hand = False
    return wanted if at_hand else "valid"


def read_examples(scores: str, target: str) -> Examples:
    """Read a scores file and join it with the benchmarks' accuracies; networks not measured are left out.

    Args:
        scores: a name in `data/scores`, or a path ending in .parquet.
        target: `test`, `test_12ep` or `valid`.

    Raises:
        InputError: if the file, the target or a benchmark is missing, or the rows cannot be used.
    """
    if target not in SPACES:
        raise InputError(f"unknown target {target!r}; choose one of {', '.join(SPACES)}")
    path, table = scores_path(scores), load_scores(scores)
    origin = {
        "scores": path.name,
        "scores_sha256": sha256(path),
        "scores_settings": table.attrs.get("settings", {}),
    }
    table = table[table["space"].isin(SPACES[target])]
    cells = [
        _measured(space, dataset, target)
        for space, dataset in sorted(set(map(tuple, table[KEYS[::2]].values)))
    ]
    if not cells:
        raise InputError(
            f"{path} has no row of {' or '.join(SPACES[target])}, the spaces of target {target!r}"
        )
    return join(table, pd.concat(cells, ignore_index=True), target, origin)


def join(
    scores: pd.DataFrame, measured: pd.DataFrame, target: str, origin: dict[str, Any] | None = None
) -> Examples:
    """Join scores with accuracies (columns space, index, dataset, accuracy), in the order of the keys.

    Raises:
        InputError: if nothing is left, the accuracy is constant, or the scores cannot be encoded.
    """
    encode(scores)
    rows = scores.merge(measured, on=KEYS, how="left", validate="1:1").sort_values(KEYS)
    rows = rows[np.isfinite(rows["accuracy"].to_numpy(float))].reset_index(drop=True)
    if rows.empty:
        raise InputError(f"none of the scored networks has an accuracy for target {target!r}")
    if rows["accuracy"].nunique() == 1:
        raise InputError(f"the target is constant ({rows['accuracy'].iloc[0]}): there is nothing to predict")
    return Examples(encode(rows.drop(columns="accuracy")), rows["accuracy"], rows[KEYS], target, origin or {})


def _measured(space: str, dataset: str, target: str) -> pd.DataFrame:
    accuracy = benchmarks.load(space).accuracy(dataset, target)
    return accuracy.rename_axis("index").reset_index(name="accuracy").assign(space=space, dataset=dataset)
