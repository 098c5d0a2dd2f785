"""Scores joined with what the benchmarks measured: the rows of the regression problem."""

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from zcp import benchmarks
from zcp.benchmarks.measured import REGISTERED, accuracies, is_measured
from zcp.collect import load_scores, scores_digest, scores_path
from zcp.ensemble.features import KEYS, encode
from zcp.errors import InputError, choose
from zcp.proxies.population import AZ_NAS_PARTS, az_nas
from zcp.versions import versions

# The final accuracy, the one that the paper's numbers fit, and the one that every installation has.
TARGETS = ("test", "test_12ep", "valid")
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
        origin: the collection, its SHA-256 and its settings, for provenance.
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

    def fingerprint(self) -> str:
        """Return a digest of the rows and of the packages, to keep what was made from others apart."""
        digest = hashlib.sha256(json.dumps([self.target, versions(), *self.features.columns]).encode())
        for values in (self.features, self.accuracy, self.labels):
            digest.update(pd.util.hash_pandas_object(values, index=False).to_numpy().tobytes())
        return digest.hexdigest()[:16]

    def provenance(self, seconds: float) -> dict[str, Any]:
        """Return what a deposit says about its making; `seconds` is what the computation took."""
        return {**self.origin, "rows": len(self), "versions": versions(), "seconds": round(seconds, 1)}


def available_target(wanted: str) -> str:
    """Return `wanted` where all its accuracies can be had here, else `valid`, which needs no data folder.

    Raises:
        InputError: if no such target exists.
    """
    spaces = choose(SPACES, wanted, "target")
    try:
        at_hand = all(wanted in benchmarks.load(space).targets for space in spaces)
    except InputError:
        at_hand = False
    return wanted if at_hand else "valid"


def targets_at_hand() -> list[str]:
    """Return the targets whose accuracies can all be had here."""
    return [target for target in TARGETS if available_target(target) == target]


def read_examples(scores: str, target: str, proxies: Sequence[str] | None = None) -> Examples:
    """Read a collection and join it with the benchmarks' accuracies; networks not measured are left out.

    AZ-NAS compares the networks of a population: all that the collection holds of a (space, dataset). Its
    size is noted in `origin["az_nas_N"]`. No accuracy takes part in it, but a network's value depends on the
    others.

    Args:
        scores: a name in `data/scores`, or the path of a folder.
        target: `test`, `test_12ep` or `valid`, or one that `zcp.accuracies` knows for another space.
        proxies: those to use, by name; all that there are where None.

    Raises:
        InputError: if the collection, the target or a benchmark is missing, or the rows cannot be used.
    """
    path, table = scores_path(scores), load_scores(scores)
    origin = {
        "scores": path.name,
        "scores_sha256": scores_digest(path),
        "scores_settings": table.attrs.get("settings", {}),
    }
    table, sizes = with_az_nas(table)
    origin |= {"az_nas_N": sizes} if sizes else {}
    cells = list(zip(table["space"], table["dataset"], strict=True))
    wanted = {(s, d) for s, d in cells if _is_studied(s, d, target)}
    measured = [_measured(space, dataset, target) for space, dataset in sorted(wanted)]
    if not measured:
        raise InputError(
            f"{path} has no row that was measured for target {target!r}; choose one of {', '.join(SPACES)}, "
            "or give your own accuracies to zcp.register_accuracies"
        )
    return join(
        table[[cell in wanted for cell in cells]],
        pd.concat(measured, ignore_index=True),
        target,
        origin,
        proxies,
    )


def with_az_nas(scores: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int]]:
    """Return the scores with the column `az_nas`, and the size of each population by `space dataset`.

    Where the scores lack a part of it, they come back as they are.
    """
    if not {*AZ_NAS_PARTS} <= {*scores.columns} or scores.empty:
        return scores, {}
    values = az_nas(scores)
    sizes = {" ".join(cell): count for cell, count in values.attrs["N"].items()}
    return scores.assign(az_nas=values.to_numpy()), sizes


def join(
    scores: pd.DataFrame,
    measured: pd.DataFrame,
    target: str,
    origin: dict[str, Any] | None = None,
    proxies: Sequence[str] | None = None,
) -> Examples:
    """Join scores with accuracies (columns space, index, dataset, accuracy), in the order of the keys.

    Only these proxies become features; all that the scores hold where None.

    Raises:
        InputError: if nothing is left, the accuracy is constant, or the scores cannot be encoded.
    """
    encode(scores, proxies)
    rows = scores.merge(measured, on=KEYS, how="left", validate="1:1").sort_values(KEYS)
    rows = rows[np.isfinite(rows["accuracy"].to_numpy(float))].reset_index(drop=True)
    if rows.empty:
        raise InputError(f"none of the scored networks has an accuracy for target {target!r}")
    if rows["accuracy"].nunique() == 1:
        raise InputError(f"the target is constant ({rows['accuracy'].iloc[0]}): there is nothing to predict")
    features = encode(rows.drop(columns="accuracy"), proxies)
    return Examples(features, rows["accuracy"], rows[KEYS], target, origin or {})


def _is_studied(space: str, dataset: str, target: str) -> bool:
    """Tell whether rows of a (space, dataset) are examples: of NATS-Bench those of `SPACES`."""
    own = (space, dataset, target) in REGISTERED
    return own or (is_measured(space, dataset, target) and space in SPACES.get(target, (space,)))


def _measured(space: str, dataset: str, target: str) -> pd.DataFrame:
    found = accuracies(space, dataset, target).drop(columns="arch")
    return found.assign(space=space, dataset=dataset)
