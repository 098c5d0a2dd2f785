"""The models that compete: what each sees, what is searched, and what it then is."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import optuna
from catboost import CatBoostRegressor
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import (
    ExtraTreesRegressor,
    HistGradientBoostingRegressor,
    RandomForestRegressor,
    StackingRegressor,
)
from sklearn.linear_model import RidgeCV
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, QuantileTransformer, StandardScaler
from sklearn.svm import SVR
from xgboost import XGBRegressor

from zcp.ensemble.estimators import LEAST_LEAF
from zcp.ensemble.features import FiniteFeatures
from zcp.ensemble.per_dataset import PerDataset
from zcp.ensemble.transforms import accuracy_from, log_error, signed_log
from zcp.errors import InputError

Settings = dict[str, Any]
TREES = 200  # of each forest; more changes little and costs all


class Candidate(NamedTuple):
    """A model.

    Attributes:
        columns: what it sees: `proxies`, `encoding` or `both`.
        suggest: draws hyperparameters; None where there is nothing to tune.
        build: makes the unfitted model from hyperparameters and a seed.
    """

    columns: str
    suggest: Callable[[optuna.Trial], Settings] | None
    build: Callable[[Mapping[str, Any], int], Any]


def _forest(trial: optuna.Trial) -> Settings:
    return {
        "max_features": trial.suggest_float("max_features", 0.1, 1.0),
        "min_samples_leaf": trial.suggest_int("min_samples_leaf", 1, 10),
        "bootstrap": trial.suggest_categorical("bootstrap", [False, True]),
    }


def _histogram(trial: optuna.Trial) -> Settings:
    return {
        "learning_rate": trial.suggest_float("learning_rate", 0.02, 0.3, log=True),
        "max_iter": trial.suggest_int("max_iter", 100, 400),
        "max_leaf_nodes": trial.suggest_int("max_leaf_nodes", 7, 63),
        "min_samples_leaf": trial.suggest_int("min_samples_leaf", 5, 40),
        "l2_regularization": trial.suggest_float("l2_regularization", 1e-3, 10, log=True),
    }


def _xgboost(trial: optuna.Trial) -> Settings:
    return {
        "learning_rate": trial.suggest_float("learning_rate", 0.02, 0.3, log=True),
        "n_estimators": trial.suggest_int("n_estimators", 100, 400),
        "max_depth": trial.suggest_int("max_depth", 3, 8),
        "min_child_weight": trial.suggest_int("min_child_weight", 1, 20),
        "subsample": trial.suggest_float("subsample", 0.5, 1.0),
        "colsample_bytree": trial.suggest_float("colsample_bytree", 0.3, 1.0),
    }


def _catboost(trial: optuna.Trial) -> Settings:
    return {
        "learning_rate": trial.suggest_float("learning_rate", 0.03, 0.3, log=True),
        "iterations": trial.suggest_int("iterations", 150, 400),
        "depth": trial.suggest_int("depth", 4, 7),
        "l2_leaf_reg": trial.suggest_float("l2_leaf_reg", 1.0, 10.0, log=True),
    }


def _support(trial: optuna.Trial) -> Settings:
    return {
        "C": trial.suggest_float("C", 1.0, 300.0, log=True),
        "gamma": trial.suggest_float("gamma", 0.003, 1.0, log=True),
        "epsilon": trial.suggest_float("epsilon", 0.05, 1.0, log=True),
    }


def _neighbours(trial: optuna.Trial) -> Settings:
    return {
        "n_neighbors": trial.suggest_int("n_neighbors", 1, 30),
        "weights": trial.suggest_categorical("weights", ["uniform", "distance"]),
        "p": trial.suggest_categorical("p", [1, 2]),
    }


def _ranks() -> QuantileTransformer:
    return QuantileTransformer(n_quantiles=200, random_state=0)


def _extra(found: Mapping[str, Any], seed: int) -> ExtraTreesRegressor:
    return ExtraTreesRegressor(TREES, random_state=seed, n_jobs=1, **found)


def _plain(model: Callable[[Mapping[str, Any], int], Any], *before: Any) -> Any:
    return lambda found, seed: make_pipeline(FiniteFeatures(), *before, model(found, seed))


def _random_forest(found: Mapping[str, Any], seed: int) -> RandomForestRegressor:
    return RandomForestRegressor(TREES, random_state=seed, n_jobs=1, **found)


def _boosted(found: Mapping[str, Any], seed: int) -> HistGradientBoostingRegressor:
    return HistGradientBoostingRegressor(random_state=seed, early_stopping=False, **found)


def _stack(found: Mapping[str, Any], seed: int) -> StackingRegressor:
    parts = [
        ("trees", _extra({"max_features": 0.5, "min_samples_leaf": 2}, seed)),
        ("boosting", _boosted({"max_iter": 250, "learning_rate": 0.06}, seed)),
        ("support", make_pipeline(_ranks(), StandardScaler(), SVR(C=30, gamma=0.03))),
    ]
    return StackingRegressor(parts, RidgeCV(), cv=3)


def _xgb(found: Mapping[str, Any], seed: int) -> XGBRegressor:
    return XGBRegressor(random_state=seed, n_jobs=1, **found)


def _cat(found: Mapping[str, Any], seed: int) -> CatBoostRegressor:
    settings = {"thread_count": 1, "verbose": False, "allow_writing_files": False, **found}
    return CatBoostRegressor(random_seed=seed, **settings)


def _on_log_error(found: Mapping[str, Any], seed: int) -> TransformedTargetRegressor:
    trees = _plain(_extra)(found, seed)
    return TransformedTargetRegressor(trees, func=log_error, inverse_func=accuracy_from)


CANDIDATES: dict[str, Candidate] = {
    # What a sceptic asks for.
    "random forest": Candidate("proxies", _forest, _plain(_random_forest)),
    "random forest, encoding": Candidate("encoding", _forest, _plain(_random_forest)),
    "random forest, both": Candidate("both", _forest, _plain(_random_forest)),
    "nearest neighbours": Candidate(
        "proxies", _neighbours, _plain(lambda found, seed: KNeighborsRegressor(**found), _ranks())
    ),
    # What may beat the forest.
    "extra trees": Candidate("proxies", _forest, _plain(_extra)),
    "extra trees, ranked features": Candidate("proxies", _forest, _plain(_extra, _ranks())),
    "extra trees, log features": Candidate(
        "proxies", _forest, _plain(_extra, FunctionTransformer(signed_log))
    ),
    "extra trees, log error": Candidate("proxies", _forest, _on_log_error),
    "extra trees, target per dataset": Candidate(
        "proxies", _forest, lambda found, seed: PerDataset(_plain(_extra)(found, seed))
    ),
    "histogram boosting": Candidate("proxies", _histogram, _plain(_boosted)),
    "XGBoost": Candidate("proxies", _xgboost, _plain(_xgb)),
    "CatBoost": Candidate("proxies", _catboost, _plain(_cat)),
    "support vectors, ranked features": Candidate(
        "proxies", _support, _plain(lambda found, seed: SVR(**found), _ranks(), StandardScaler())
    ),
    "stacking (untuned)": Candidate("proxies", None, _plain(_stack)),
    "extra trees, both": Candidate("both", _forest, _plain(_extra)),
}


#: These keep rows of the benchmark: all of them, or those that are support vectors, alone or in a stack.
KEEPS_ROWS = ("nearest neighbours", "support vectors, ranked features", "stacking (untuned)")
#: What may be shipped: sees proxies only, so that it works for any network, and keeps no rows.
SHIPPABLE = tuple(name for name, c in CANDIDATES.items() if c.columns == "proxies" and name not in KEEPS_ROWS)


def build_released(name: str, hyperparameters: Mapping[str, Any], seed: int) -> Any:
    """Return the unfitted candidate as it is shipped: no leaf averages fewer than five networks.

    A fitted model is then an aggregate of the benchmark's measurements and not a copy of its table, and it
    is small.

    Raises:
        InputError: if there is no candidate of that name that may be shipped.
    """
    if name not in SHIPPABLE:
        raise InputError(f"{name!r} cannot be shipped; choose one of {', '.join(SHIPPABLE)}")
    limits = {key: LEAST_LEAF for key in ("min_samples_leaf", "min_child_weight") if key in hyperparameters}
    raised = {key: max(value, hyperparameters[key]) for key, value in limits.items()}
    return CANDIDATES[name].build({**hyperparameters, **raised}, seed)
