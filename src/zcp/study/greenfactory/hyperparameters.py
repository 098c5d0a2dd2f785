"""The forest's hyperparameters: GreenFactory's ranges, and the forest that a choice of them makes."""

from collections.abc import Mapping
from typing import Any

import optuna
from sklearn.pipeline import Pipeline

from zcp.ensemble.regressors import build_forest
from zcp.study.greenfactory.published import read_table

# GreenFactory's Table 1.
RANGES = {
    "n_estimators": (10, 1000),
    "min_samples_split": (2, 32),
    "min_samples_leaf": (1, 32),
    "max_depth": (10, 100),
}
MAX_FEATURES = [*range(1, 11), "sqrt", "log2"]
# Their Table 3 calls the hyperparameters so.
PUBLISHED_NAMES = {
    "Estimators": "n_estimators",
    "Max features": "max_features",
    "Min samples split": "min_samples_split",
    "Min samples leaf": "min_samples_leaf",
    "Max depth": "max_depth",
    "Bootstrap": "bootstrap",
}


def published_setting(ensemble: str) -> dict[str, Any]:
    """Return the hyperparameters that the paper's Table 3 gives for one of its ensembles."""
    table = read_table("3").query("name == @ensemble")
    values = {PUBLISHED_NAMES[name]: text for name, text in table[["metric", "value"]].to_numpy()}
    return {
        name: text == "True" if name == "bootstrap" else int(text) if text.isdigit() else text
        for name, text in values.items()
    }


def suggest(trial: optuna.Trial) -> dict[str, Any]:
    """Draw one setting of the forest from the paper's ranges."""
    drawn: dict[str, Any] = {name: trial.suggest_int(name, low, high) for name, (low, high) in RANGES.items()}
    drawn["max_features"] = trial.suggest_categorical("max_features", MAX_FEATURES)
    drawn["bootstrap"] = trial.suggest_categorical("bootstrap", [False, True])
    return drawn


def build_tuned(hyperparameters: Mapping[str, Any], features: int, seed: int) -> Pipeline:
    """Return the unfitted forest; a number of features to try is cut to the number that there is.

    As in scikit-learn a float is a share of the features.
    """
    tried = hyperparameters["max_features"]
    limit = min(tried, features) if isinstance(tried, int) else tried
    return build_forest(seed, **{**hyperparameters, "max_features": limit})
