"""The models that compete: what is searched of each, and what it then is.

All see a table of features, keep no rows of a benchmark, and may be shipped: no leaf of theirs averages fewer
than `LEAST_LEAF` networks, while they are searched, measured and shipped alike.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import optuna
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import ExtraTreesRegressor, HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from zcp.ensemble.estimators import LEAST_LEAF
from zcp.ensemble.features import FiniteFeatures
from zcp.ensemble.transforms import accuracy_from, log_error, signed_log
from zcp.errors import choose

Settings = dict[str, Any]
TREES = 64  # of each forest; three times as many rank no better and are three times as large


class Candidate(NamedTuple):
    """A model.

    Attributes:
        suggest: draws hyperparameters.
        make: makes the unfitted model from all its hyperparameters and a seed.
        forest: whether it is a forest, whose trees are `TREES`.
    """

    suggest: Callable[[optuna.Trial], Settings]
    make: Callable[[Mapping[str, Any], int], Any]
    forest: bool = False

    def complete(self, found: Mapping[str, Any]) -> Settings:
        """Return what was found and what is fixed: every hyperparameter that is not a library's default."""
        return {"n_estimators": TREES, **found} if self.forest else dict(found)

    def build(self, found: Mapping[str, Any], seed: int) -> Any:
        """Return the unfitted model."""
        return self.make(self.complete(found), seed)


def _forest(trial: optuna.Trial) -> Settings:
    return {
        "max_features": trial.suggest_float("max_features", 0.1, 1.0),
        "min_samples_leaf": trial.suggest_int("min_samples_leaf", LEAST_LEAF, 30),
        "bootstrap": trial.suggest_categorical("bootstrap", [False, True]),
    }


def _histogram(trial: optuna.Trial) -> Settings:
    return {
        "learning_rate": trial.suggest_float("learning_rate", 0.02, 0.3, log=True),
        "max_iter": trial.suggest_int("max_iter", 100, 400),
        "max_leaf_nodes": trial.suggest_int("max_leaf_nodes", 7, 63),
        "min_samples_leaf": trial.suggest_int("min_samples_leaf", LEAST_LEAF, 30),
        "l2_regularization": trial.suggest_float("l2_regularization", 1e-3, 10, log=True),
    }


def _plain(kind: Callable[..., Any], *before: Any, **fixed: Any) -> Callable[[Mapping[str, Any], int], Any]:
    return lambda found, seed: make_pipeline(
        FiniteFeatures(), *before, kind(random_state=seed, **fixed, **found)
    )


def _on_log_error(found: Mapping[str, Any], seed: int) -> TransformedTargetRegressor:
    trees = _plain(ExtraTreesRegressor, n_jobs=1)(found, seed)
    return TransformedTargetRegressor(trees, func=log_error, inverse_func=accuracy_from)


CANDIDATES: dict[str, Candidate] = {
    "random forest": Candidate(_forest, _plain(RandomForestRegressor, n_jobs=1), True),
    "extra trees": Candidate(_forest, _plain(ExtraTreesRegressor, n_jobs=1), True),
    "extra trees, log features": Candidate(
        _forest, _plain(ExtraTreesRegressor, FunctionTransformer(signed_log), n_jobs=1), True
    ),
    "extra trees, log error": Candidate(_forest, _on_log_error, True),
    "histogram boosting": Candidate(_histogram, _plain(HistGradientBoostingRegressor, early_stopping=False)),
}


def build_released(name: str, hyperparameters: Mapping[str, Any], seed: int) -> Any:
    """Return the unfitted candidate of this name.

    Raises:
        InputError: if there is none.
    """
    return choose(CANDIDATES, name, "model").build(hyperparameters, seed)
