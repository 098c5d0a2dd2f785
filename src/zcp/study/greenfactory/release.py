"""From the study's results to the shipped artefacts."""

import dataclasses
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from zcp.ensemble.artefacts import Artefact, describe_fitted, quantiles
from zcp.ensemble.candidates import build_released
from zcp.ensemble.estimators import GreenFactory, GreenFactoryFast
from zcp.ensemble.examples import Examples
from zcp.ensemble.features import ONE_HOT
from zcp.errors import InputError
from zcp.study.greenfactory.intervals import residuals_out_of_fold, widths
from zcp.study.results import Deposit

# The ensemble as the study calls it -> the estimator that ships it.
ESTIMATORS: dict[str, type[GreenFactory]] = {
    "GreenFactory": GreenFactory,
    "GreenFactory-Fast": GreenFactoryFast,
}


def choose_model(models: Deposit) -> tuple[str, dict[str, Any]]:
    """Return the model to ship and its hyperparameters: the contest's choice, as tuned on its first split."""
    name, tuned = models.settings["choice"]["default"], models.tables["hyperparameters"]
    mine = (tuned["model"] == name) & (tuned["seed"] == models.settings["seeds"][0])
    return name, dict(json.loads(tuned.loc[mine, "found"].iloc[0]))


def restrict(examples: Examples, features: Sequence[str]) -> Examples:
    """Return the same rows with these features only, in alphabetical order.

    Raises:
        InputError: if one is missing.
    """
    missing = sorted(set(features) - set(examples.features))
    if missing:
        raise InputError(f"the scores lack the feature {', '.join(missing)}; collect it first")
    return dataclasses.replace(examples, features=examples.features[sorted(features)])


def fit_artefact(
    examples: Examples,
    ensemble: str,
    features: Sequence[str],
    model: str,
    hyperparameters: Mapping[str, Any],
    seed: int = 0,
) -> Artefact:
    """Fit an estimator on all rows and calibrate its intervals out of fold.

    Args:
        examples: all rows of a target.
        ensemble: `GreenFactory` or `GreenFactory-Fast`.
        features: what it sees, beside the dataset, which every model can tell.
        model: name of a candidate.
        hyperparameters: of the candidate.
        seed: of the model.

    Raises:
        InputError: if the ensemble, the model or a feature does not exist.
    """
    if ensemble not in ESTIMATORS:
        raise InputError(f"unknown ensemble {ensemble!r}; choose one of {', '.join(ESTIMATORS)}")
    start, kind = time.perf_counter(), ESTIMATORS[ensemble]
    features = sorted({*features, *ONE_HOT})
    rows = restrict(examples, features)
    estimator = kind(build_released(model, hyperparameters, seed), features, seed)
    found = widths(residuals_out_of_fold(estimator, rows), rows.labels)
    estimator.fit(rows.features, rows.accuracy)
    population = quantiles(pd.concat([examples.labels, examples.features], axis=1))
    card = {"model": model, "hyperparameters": dict(hyperparameters), "rows": len(rows), "seed": seed}
    card |= {"seconds": round(time.perf_counter() - start, 1)}
    needed = population if "az_nas" in features else {}
    return Artefact(
        kind.__name__, examples.target, estimator, found, needed, dict(examples.origin), card,
        **describe_fitted(rows.features, rows.labels),
    )  # fmt: skip
