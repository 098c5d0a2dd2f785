"""From nested evaluation to the shipped artefacts: the pipeline that was measured, on all rows."""

import dataclasses
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from zcp.ensemble.artefacts import Artefact, describe_fitted, withhold, write
from zcp.ensemble.candidates import build_released
from zcp.ensemble.estimators import LEAST_LEAF, GreenFactory, GreenFactoryFast
from zcp.ensemble.examples import Examples
from zcp.ensemble.measured import JUDGED, Measured
from zcp.ensemble.population import quantiles
from zcp.errors import InputError, choose
from zcp.paths import MODELS
from zcp.study.greenfactory.intervals import residuals_out_of_fold, widths
from zcp.study.greenfactory.nested import ALL_ROWS, read_choice
from zcp.study.greenfactory.verdicts import read_measured
from zcp.study.results import Deposit

#: Targets that models ship for: accuracies of whole trainings.
SHIPPED = ("test", "valid")
# The ensemble as the study calls it -> the estimator that ships it.
ESTIMATORS: dict[str, type[GreenFactory]] = {
    "GreenFactory": GreenFactory,
    "GreenFactory-Fast": GreenFactoryFast,
}


def restrict(examples: Examples, features: list[str]) -> Examples:
    """Return the same rows with these features only, in alphabetical order.

    Raises:
        InputError: if one is missing.
    """
    missing = sorted(set(features) - set(examples.features))
    if missing:
        raise InputError(f"the scores lack the feature {', '.join(missing)}; collect it first")
    return dataclasses.replace(examples, features=examples.features[sorted(features)])


def fit_artefact(
    examples: Examples, ensemble: str, chosen: Mapping[str, Any], measured: dict[str, Any], seed: int = 0
) -> Artefact:
    """Fit an estimator on all rows and calibrate its intervals out of fold.

    Args:
        examples: all rows of a target.
        ensemble: `GreenFactory` or `GreenFactory-Fast`.
        chosen: features, model and hyperparameters; see `zcp.study.greenfactory.nested.read_choice`.
        measured: what the pipeline is worth that chose them, see `zcp.ensemble.measured.Measured`.
        seed: of the model.

    Raises:
        InputError: if the ensemble, the model or a feature does not exist, or a leaf may be too small.
    """
    start, kind = time.perf_counter(), choose(ESTIMATORS, ensemble, "ensemble")
    features, found = sorted(chosen["features"]), dict(chosen["hyperparameters"])
    rows = restrict(examples, features)
    model = build_released(chosen["model"], found, seed)
    _require_no_small_leaf(model)
    estimator = kind(model, features, seed)
    half = widths(residuals_out_of_fold(estimator, rows), rows.labels)
    estimator.fit(rows.features, rows.accuracy)
    population = quantiles(pd.concat([examples.labels, examples.features], axis=1))
    card = {"model": chosen["model"], "hyperparameters": found, "rows": len(rows), "seed": seed}
    card |= {"seconds": round(time.perf_counter() - start, 1)}
    needed = population if "az_nas" in features else {}
    return Artefact(
        kind.__name__, examples.target, estimator, half, needed, dict(examples.origin), card, measured,
        **describe_fitted(rows.features, rows.labels),
    )  # fmt: skip


def _require_no_small_leaf(model: Any) -> None:
    """Raise unless every leaf is an average: a fitted model is no copy of the benchmark's table."""
    for name, least in model.get_params().items():
        if name.endswith("min_samples_leaf") and (least or 0) < LEAST_LEAF:
            raise InputError(f"{name} is {least}; what ships has at least {LEAST_LEAF} networks in a leaf")


def ship(examples: Examples, deposit: Deposit, folder: Path = MODELS) -> list[Path]:
    """Write the artefact of every ensemble, or why it does not ship: Fast must beat its baselines.

    Args:
        examples: all rows of a target.
        deposit: their nested evaluation.
        folder: of the artefacts.

    Returns:
        Paths of the cards and notes; none for a target that is not of `SHIPPED`.

    Raises:
        InputError: if the deposit is of another target.
    """
    if (other := deposit.settings["target"]) != examples.target:
        raise InputError(f"{deposit.name} is of the target {other}, the rows are of {examples.target}")
    if examples.target not in SHIPPED:
        return []
    written = []
    for ensemble, kind in ESTIMATORS.items():
        measured = read_measured(deposit, ensemble)
        why = Measured.model_validate(measured).why_withheld()
        if why and kind.__name__ in JUDGED:
            written.append(withhold(kind.__name__, examples.target, f"it does not beat {why}", folder))
            continue
        chosen = read_choice(deposit, ensemble, ALL_ROWS)
        written.append(write(fit_artefact(examples, ensemble, chosen, measured), folder))
    return written
