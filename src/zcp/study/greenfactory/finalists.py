"""The best settings of a search, fitted in full, the paper's and the default beside them.

The search saw the validation rows, so it is right to choose on them and wrong to report what was chosen: the
errors to compare are those of the test rows of the same split.
"""

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
#: What stands beside them: the paper's setting, and scikit-learn's own.
OTHERS = ("paper", "default")


def measure_forest(
    examples: Examples, parts: Split, features: Sequence[str], hyperparameters: dict[str, Any], seed: int
) -> dict[str, float]:
    """Fit the whole forest and return its errors, percent.

    Returns:
        rmse (validation rows), test_rmse, test_low, test_high (test rows; 95 percent interval over
        architectures).
    """
    train, held, test = (examples.take(part) for part in parts)
    columns = sorted(features)
    model = build_tuned(hyperparameters, len(columns), seed).fit(train.features[columns], train.accuracy)
    predicted, measured = model.predict(test.features[columns]), test.accuracy.to_numpy()
    weights = Resamples(examples.architectures).weigh(test.architectures)
    low, high = interval(resampled_rmse(predicted, measured, weights))
    error = rmse(model.predict(held.features[columns]), held.accuracy.to_numpy())
    return {"rmse": error, "test_rmse": rmse(predicted, measured), "test_low": low, "test_high": high}


def find_winner(finals: pd.DataFrame) -> int:
    """Return the number of the trial whose forest has the least validation error in full."""
    ours = finals[~finals["setting"].isin(OTHERS)]
    return int(ours.sort_values("rmse", kind="stable")["setting"].iloc[0])


def fit_finalists(
    examples: Examples, features: Sequence[str], study: optuna.Study, name: str, *, scheme: str, seed: int
) -> pd.DataFrame:
    """Fit the best few different settings of a search in full, and `OTHERS`.

    Returns:
        setting (number of the trial, or a name), estimated (the trial's value), and those of
        `measure_forest`.
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
    for other, setting in zip(OTHERS, (published_setting(name), {"max_features": 1.0}), strict=True):
        finalists[other] = float("nan"), setting
    return pd.DataFrame(
        [
            {"setting": setting, "estimated": value}
            | measure_forest(examples, parts, features, hyperparameters, seed)
            for setting, (value, hyperparameters) in finalists.items()
        ]
    )
