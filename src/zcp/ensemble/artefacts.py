"""Fitted estimators on disk, without pickle.

An artefact is two files, the shipped ones in `models` beside this file: `<name>-<target>.skops`, the
estimator in the format of the package `skops` (a zip of JSON and numpy arrays, loaded against a list of
trusted types), and `<name>-<target>.json`, its card (`zcp.ensemble.cards`): SHA-256 of the other file,
versions, features, the settings of the scores that it was fitted on, what it is worth by nested evaluation,
interval widths per cell, quantiles of the population that AZ-NAS ranks a new network in, which networks were
fitted, how far their features are apart, and a seal over all this. It holds no row of any benchmark.

What does not beat its baselines does not ship: in its place lies `<name>-<target>.txt`, a line that says why.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zipfile import ZIP_LZMA

import pandas as pd
import skops.io

from zcp.data.checksums import sha256
from zcp.ensemble.cards import FORMAT, Card, check_card, find_card, find_width, require_versions, seal
from zcp.ensemble.estimators import GreenFactory
from zcp.ensemble.lean import lean
from zcp.ensemble.region import Region, measure
from zcp.errors import InputError
from zcp.paths import MODELS
from zcp.proxies.registry import proxy_of_version
from zcp.versions import versions

LARGEST = 20 * 2**20  # bytes
# What an artefact may contain beside what skops trusts by itself (numpy and scikit-learn's estimators).
TRUSTED = (
    "zcp.ensemble.estimators.GreenFactory",
    "zcp.ensemble.estimators.GreenFactoryFast",
    "zcp.ensemble.features.FiniteFeatures",
    "zcp.ensemble.transforms.signed_log",
    "zcp.ensemble.transforms.log_error",
    "zcp.ensemble.transforms.accuracy_from",
    "sklearn.tree._tree.Tree",
    "sklearn.utils._bunch.Bunch",
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
        card: the model, its hyperparameters, rows, seed and seconds.
        measured: what it is worth, see `zcp.ensemble.measured.Measured`.
        fitted: indices of the fitted networks by `space dataset`.
        regions: where they lie, by `space dataset`.
        versions: of the packages that it was fitted with.
    """

    name: str
    target: str
    estimator: GreenFactory
    widths: pd.DataFrame
    population: dict[str, dict[str, list[float]]]
    scores: dict[str, Any]
    card: dict[str, Any]
    measured: dict[str, Any]
    fitted: dict[str, list[int]]
    regions: dict[str, Region]
    versions: dict[str, str] = field(default_factory=versions)

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
        return find_width(self.name, self.widths.to_dict("records"), space, dataset, level)


def write(artefact: Artefact, folder: Path = MODELS) -> Path:
    """Write an artefact and return the path of its card; the card is written last.

    Raises:
        InputError: if the estimator is larger than 20 MiB, holds a type that is not on the list, or its card
            would not be whole.
    """
    folder.mkdir(parents=True, exist_ok=True)
    card = folder / f"{artefact.name}-{artefact.target}.json"
    model, unfinished = card.with_suffix(".skops"), card.with_suffix(".tmp")
    try:
        skops.io.dump(lean(artefact.estimator), unfinished, compression=ZIP_LZMA)
        _require_trusted(unfinished)
        if unfinished.stat().st_size > LARGEST:
            raise InputError(
                f"{artefact.name} is larger than {LARGEST} bytes; use fewer trees or larger leaves"
            )
        text = json.dumps(_tell(artefact, sha256(unfinished)))
        _require_told(artefact.estimator, check_card(json.loads(text), card), card)
        unfinished.replace(model)
        unfinished.write_text(text + "\n")
        unfinished.replace(card)
        card.with_suffix(".txt").unlink(missing_ok=True)
    finally:
        unfinished.unlink(missing_ok=True)
    return card


def withhold(name: str, target: str, why: str, folder: Path = MODELS) -> Path:
    """Ship no model of this name, and return the path of the line that says why."""
    note = folder / f"{name}-{target}.txt"
    folder.mkdir(parents=True, exist_ok=True)
    note.write_text(f"{why}\n")
    for left in (note.with_suffix(".json"), note.with_suffix(".skops")):
        left.unlink(missing_ok=True)
    return note


def read(name: str, target: str = "test", folder: str | Path = MODELS) -> Artefact:
    """Read an artefact; nothing of it is executed before its card and types have been checked.

    Raises:
        InputError: if it is missing, withheld or damaged, was written by other versions, or holds other
            features, hyperparameters or types than it says.
    """
    path = Path(folder) / f"{name}-{target}.json"
    card = find_card(name, target, folder)
    if sha256(model := path.with_suffix(".skops")) != card.sha256:
        raise InputError(f"{model} is damaged: it is not the file that its card describes; restore both")
    require_versions(path, card, {"sklearn", *_require_trusted(model)})
    try:
        estimator = skops.io.load(model, trusted=list(TRUSTED))
    except Exception as error:
        raise InputError(f"{model} cannot be loaded ({error}); fit it again") from error
    if not isinstance(estimator, GreenFactory) or list(estimator.feature_names_in_) != card.features:
        raise InputError(f"{model} and its card name different features; restore both files or fit it again")
    _require_told(estimator, card, path)
    told = card.model_dump()
    widths = pd.DataFrame(told["widths"])
    parts = {key: told[key] for key in ("population", "scores", "card", "measured", "fitted", "versions")}
    return Artefact(name, target, estimator, widths, regions=card.regions, **parts)


def describe_fitted(features: pd.DataFrame, labels: pd.DataFrame) -> dict[str, Any]:
    """Return `fitted` and `regions` of an artefact from its rows; `labels` has the columns of `KEYS`."""
    cells = (labels["space"] + " " + labels["dataset"]).to_numpy()
    fitted = {str(cell): sorted(map(int, rows)) for cell, rows in labels["index"].groupby(cells)}
    return {"fitted": fitted, "regions": measure(features, labels)}


def _tell(artefact: Artefact, digest: str) -> dict[str, Any]:
    """Return what the card says, with its seal."""
    told = {
        "format": FORMAT, "name": artefact.name, "target": artefact.target, "sha256": digest,
        "features": artefact.features, "versions": artefact.versions, "scores": artefact.scores,
        "widths": artefact.widths.to_dict("records"), "population": artefact.population,
        "card": artefact.card, "measured": artefact.measured, "fitted": artefact.fitted,
        "regions": {cell: region.model_dump() for cell, region in artefact.regions.items()},
    }  # fmt: skip
    return {**told, "seal": seal(json.loads(json.dumps(told)))}


def _require_told(estimator: GreenFactory, card: Card, path: Path) -> None:
    """Raise unless the hyperparameters of the card are those of the estimator."""
    found = estimator.get_params()
    for name, value in card.card.hyperparameters.items():
        if value not in [held for key, held in found.items() if key.split("__")[-1] == name]:
            raise InputError(f"{path} says {name} {value}, which its model was not fitted with; fit it again")


def _require_trusted(model: Path) -> set[str]:
    """Return the packages whose types a model holds beside numpy's; raise InputError for a foreign type."""
    try:
        found = set(skops.io.get_untrusted_types(file=model))
    except Exception as error:
        raise InputError(f"{model} is damaged ({error}); restore it or fit it again") from error
    if unknown := sorted(found - set(TRUSTED)):
        raise InputError(f"{model} holds types that are not trusted: {', '.join(unknown)}")
    return {name.partition(".")[0] for name in found}
