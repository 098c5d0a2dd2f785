"""Fitted estimators on disk, without pickle.

An artefact is two files in `data/models`: `<name>-<target>.skops`, the estimator in the format of the
package `skops` (a zip of JSON and numpy arrays, loaded against a list of trusted types), and
`<name>-<target>.json`, its card: format, SHA-256 of the other file, versions, features, the settings of
the scores that it was fitted on, interval widths per cell, and quantiles of the population that AZ-NAS ranks
a new network in. It holds no row of any benchmark.
"""

import json
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED

import numpy as np
import pandas as pd
import skops.io
from numpy.typing import NDArray

from zcp.data.checksums import sha256
from zcp.ensemble.estimators import GreenFactory
from zcp.errors import InputError
from zcp.paths import PROJECT
from zcp.proxies.population import AZ_NAS_PARTS
from zcp.proxies.registry import proxy_of_version
from zcp.versions import versions

FORMAT = 1
MODELS = PROJECT / "data" / "models"
LARGEST = 20 * 2**20  # bytes
# What an artefact may contain beside what skops trusts by itself (numpy and scikit-learn's estimators).
TRUSTED = (
    "zcp.ensemble.estimators.GreenFactory",
    "zcp.ensemble.estimators.GreenFactoryFast",
    "zcp.ensemble.features.FiniteFeatures",
    "zcp.ensemble.per_dataset.PerDataset",
    "zcp.ensemble.candidates.signed_log",
    "zcp.ensemble.candidates.log_error",
    "zcp.ensemble.candidates.accuracy_from",
    "catboost.core.CatBoostRegressor",
    "sklearn.tree._tree.Tree",
    "sklearn.utils._bunch.Bunch",
    "xgboost.core.Booster",
    "xgboost.sklearn.XGBRegressor",
    "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn._loss.loss.HalfSquaredError",
    "sklearn._loss.link.IdentityLink",
    "sklearn._loss.link.Interval",
)


@dataclass(frozen=True)
class Artefact:
    """A fitted estimator and what belongs to it.

    Attributes:
        name: `GreenFactory` or `GreenFactoryFast`.
        target: the accuracy that it predicts.
        estimator: fitted.
        widths: half-widths of the intervals: space, dataset, level, width (percent).
        population: quantiles of the parts of AZ-NAS: `space dataset` -> part -> ascending values.
        scores: what the training scores were computed with: file, sha256 and settings.
        card: everything else that the card says (rows, model, seconds).
    """

    name: str
    target: str
    estimator: GreenFactory
    widths: pd.DataFrame
    population: dict[str, dict[str, list[float]]]
    scores: dict[str, Any]
    card: dict[str, Any] = field(default_factory=dict)

    @property
    def features(self) -> list[str]:
        """Names of the features, in alphabetical order."""
        return [str(name) for name in self.estimator.feature_names_in_]

    def proxy_of(self, feature: str) -> str:
        """Return the name of the proxy that computes a feature in the version that the model was fitted on.

        Raises:
            InputError: if there is none any more.
        """
        version = self.scores["scores_settings"].get("versions", {}).get(feature, 1)
        return proxy_of_version(feature, version).name

    def width(self, space: str, dataset: str, level: float) -> float:
        """Return the half-width of the interval of a cell, percent.

        Raises:
            InputError: if the artefact was not calibrated for this cell or level.
        """
        asked = {"space": space, "dataset": dataset, "level": level}
        found = self.widths[self.widths[list(asked)].eq(pd.Series(asked)).all(axis=1)]
        if found.empty:
            cells = ", ".join(sorted(set(self.widths["space"] + " " + self.widths["dataset"])))
            levels = ", ".join(map(str, sorted(set(self.widths["level"]))))
            raise InputError(
                f"{self.name} gives intervals for {cells} at {levels}, not for {space} {dataset} at {level}"
            )
        return float(found["width"].iloc[0])


def quantiles(scores: pd.DataFrame, count: int = 201) -> dict[str, dict[str, list[float]]]:
    """Return quantiles of the parts of AZ-NAS in each cell; values that do not exist count as -inf.

    `scores` has the columns space, dataset and the parts; without a part there are no quantiles.
    """
    if not set(AZ_NAS_PARTS) <= set(scores):
        return {}
    found: dict[str, dict[str, list[float]]] = {}
    for (space, dataset), cell in scores.groupby(["space", "dataset"]):
        values = cell[list(AZ_NAS_PARTS)].fillna(-np.inf)
        at = np.linspace(0, len(cell) - 1, min(count, len(cell))).round().astype(int)
        found[f"{space} {dataset}"] = {part: np.sort(values[part])[at].tolist() for part in AZ_NAS_PARTS}
    return found


def write(artefact: Artefact, folder: Path = MODELS) -> Path:
    """Write an artefact and return the path of its card; the card is written last.

    Raises:
        InputError: if the estimator is larger than 20 MiB or holds a type that is not on the list.
    """
    folder.mkdir(parents=True, exist_ok=True)
    card = folder / f"{artefact.name}-{artefact.target}.json"
    model, unfinished = card.with_suffix(".skops"), card.with_suffix(".tmp")
    try:
        skops.io.dump(artefact.estimator, unfinished, compression=ZIP_DEFLATED, compresslevel=9)
        _require_trusted(unfinished)
        if unfinished.stat().st_size > LARGEST:
            raise InputError(
                f"{artefact.name} is larger than {LARGEST} bytes; use fewer trees or larger leaves"
            )
        unfinished.replace(model)
        told = {
            "format": FORMAT, "name": artefact.name, "target": artefact.target, "sha256": sha256(model),
            "features": artefact.features, "versions": versions(), "scores": artefact.scores,
            "widths": artefact.widths.to_dict("records"), "population": artefact.population,
            "card": artefact.card,
        }  # fmt: skip
        unfinished.write_text(json.dumps(told) + "\n")
        unfinished.replace(card)
    finally:
        unfinished.unlink(missing_ok=True)
    return card


def read(name: str, target: str = "test", folder: Path = MODELS) -> Artefact:
    """Read an artefact; nothing of it is executed before its card and types have been checked.

    Raises:
        InputError: if it is missing or damaged, was written by other versions, or holds other features or
            types than it says.
    """
    path = folder / f"{name}-{target}.json"
    if not path.is_file() or not path.with_suffix(".skops").is_file():
        raise InputError(f"no fitted model {path}; make it with `zcp run 11 -p profile paper`")
    told = _read_card(path)
    _require_version(path, told["versions"].get("scikit-learn"))
    if sha256(model := path.with_suffix(".skops")) != told["sha256"]:
        raise InputError(f"{model} is damaged: it is not the file that its card describes; restore both")
    _require_trusted(model)
    try:
        estimator = skops.io.load(model, trusted=list(TRUSTED))
    except Exception as error:
        raise InputError(f"{model} cannot be loaded ({error}); fit it again") from error
    if not isinstance(estimator, GreenFactory) or list(estimator.feature_names_in_) != told["features"]:
        raise InputError(f"{model} and its card name different features; restore both files or fit it again")
    widths = pd.DataFrame(told["widths"])
    return Artefact(name, target, estimator, widths, told["population"], told["scores"], told["card"])


def rank_in_population(values: dict[str, float], population: dict[str, list[float]]) -> float:
    r"""Return AZ-NAS of a network that joins a population known by its quantiles.

    Each part's rank is that of an equal member: ascending from 1, ties averaged; below all it is a half.
    Parts that are NaN rank lowest. `population` maps each part to its quantiles, ascending.
    """
    total = 0.0
    for part in AZ_NAS_PARTS:
        known: NDArray[np.float64] = np.asarray(population[part], float)
        value = values[part] if not np.isnan(values[part]) else -np.inf
        below, upto = (np.searchsorted(known, value, side=side) for side in ("left", "right"))
        total += float(np.log(min((below + upto + 1) / 2, len(known)) / len(known)))
    return total


def _read_card(path: Path) -> dict[str, Any]:
    fields = {"format", "sha256", "features", "versions", "scores", "widths", "population", "card"}
    try:
        told = json.loads(path.read_text())
    except ValueError as error:
        raise InputError(f"{path} is damaged ({error}); restore it") from error
    if not isinstance(told, dict) or not fields <= set(told):
        raise InputError(f"{path} is not a whole model card; restore it")
    if told["format"] != FORMAT:
        raise InputError(f"{path} has format {told['format']}, this zcp reads {FORMAT}; fit it again")
    return told


def _require_version(path: Path, made: str | None) -> None:
    """Raise unless scikit-learn is of the minor version that it was when the model was fitted.

    zcp's own version does not matter: features are computed in the versions of their definitions that the
    scores were recorded with (`Artefact.proxy_of`).
    """
    here = version("scikit-learn")
    if here.split(".")[:2] != str(made).split(".")[:2]:
        raise InputError(
            f"{path.stem} was fitted with scikit-learn {made}, but {here} is installed; install that version "
            "or fit it again with `zcp run 11 -p profile paper`"
        )


def _require_trusted(model: Path) -> None:
    try:
        unknown = sorted(set(skops.io.get_untrusted_types(file=model)) - set(TRUSTED))
    except Exception as error:
        raise InputError(f"{model} is damaged ({error}); restore it or fit it again") from error
    if unknown:
        raise InputError(f"{model} holds types that are not trusted: {', '.join(unknown)}")
