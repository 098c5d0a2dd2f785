"""The best settings of a search, fitted in full, and the paper's beside them."""

from collections.abc import Sequence
from typing import Any

import optuna
import pandas as pd

from zcp.analysis.bootstrap import Resamples, interval, resampled_rmse
from zcp.analysis.metrics import rmse
from zcp.ensemble.examples import Examples
from zcp.ensemble.splits import Split, split
from zcp.study.greenfactory.growth import Shape
from zcp.study.greenfactory.hyperparameters import build_tuned, published_setting

#: Different settings that are fitted in full at the end of a search.
FINALISTS = 3


def validation_error(
    examples: Examples, parts: Split, features: Sequence[str], hyperparameters: dict[str, Any], seed: int
) -> dict[str, float]:
    """Fit the whole forest and return its RMSE (percent, validation rows) and interval: rmse, low, high."""
    train, held = examples.take(parts.train), examples.take(parts.validation)
    columns = sorted(features)
    model = build_tuned(hyperparameters, len(columns), seed).fit(train.features[columns], train.accuracy)
    predicted, measured = model.predict(held.features[columns]), held.accuracy.to_numpy()
    weights = Resamples(examples.architectures).weigh(held.architectures)
    low, high = interval(resampled_rmse(predicted, measured, weights))
    return {"rmse": rmse(predicted, measured), "low": low, "high": high}


def find_winner(finals: pd.DataFrame) -> int:
    """Return the number of the trial whose forest has the least error in full."""
    ours = finals[finals["setting"] != "paper"]
    return int(ours.sort_values("rmse", kind="stable")["setting"].iloc[0])


def fit_finalists(
    examples: Examples, features: Sequence[str], study: optuna.Study, name: str, *, scheme: str, seed: int
) -> pd.DataFrame:
    """Fit the best few different settings of a search in full, and the paper's.

    Returns:
        setting (number of the trial, or `paper`), estimated (the trial's value), rmse (percent, validation
        rows), low, high (95 percent interval over architectures).
    """
    parts = split(examples, scheme, seed)
    ordered = sorted(study.get_trials(deepcopy=False), key=lambda trial: trial.value or 0.0)
    finalists: dict[str, tuple[float, dict[str, Any]]] = {}
    shapes: set[tuple[Any, ...]] = set()
    for trial in ordered:
        shape = *Shape.of(trial.params, len(features)), trial.params["min_samples_split"]
        if shape not in shapes and len(shapes) < FINALISTS:
            shapes.add(shape)
            finalists[str(trial.number)] = float(trial.value or 0.0), trial.params
    finalists["paper"] = float("nan"), published_setting(name)
    return pd.DataFrame(
        [
            {"setting": setting, "estimated": value}
            | validation_error(examples, parts, features, hyperparameters, seed)
            for setting, (value, hyperparameters) in finalists.items()
        ]
    )
