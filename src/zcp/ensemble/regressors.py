"""The nine regressors of GreenFactory's Table 2, with their libraries' defaults and one thread each."""

from collections.abc import Callable
from typing import Any

from catboost import CatBoostRegressor
from sklearn.ensemble import GradientBoostingRegressor, RandomForestRegressor
from sklearn.linear_model import BayesianRidge, ElasticNet, LinearRegression, SGDRegressor
from sklearn.pipeline import Pipeline
from sklearn.tree import DecisionTreeRegressor
from xgboost import XGBRegressor

from zcp.ensemble.transforms import build_pipeline
from zcp.errors import choose

# Named as in the paper's table, cheapest first. Each maps a seed to an estimator; parallelism, if
# any, is over fits.
REGRESSORS: dict[str, Callable[[int], Any]] = {
    "Linear": lambda seed: LinearRegression(),
    "Bayesian Ridge": lambda seed: BayesianRidge(),
    "ElasticNet": lambda seed: ElasticNet(random_state=seed),
    "SGD": lambda seed: SGDRegressor(random_state=seed),
    "Decision Tree": lambda seed: DecisionTreeRegressor(random_state=seed),
    "XGB": lambda seed: XGBRegressor(random_state=seed, n_jobs=1),
    "Gradient Boosting": lambda seed: GradientBoostingRegressor(random_state=seed),
    "CatBoost": lambda seed: CatBoostRegressor(
        random_seed=seed, thread_count=1, verbose=False, allow_writing_files=False
    ),
    "Random Forest": lambda seed: RandomForestRegressor(random_state=seed, n_jobs=1),
}
# Those that take a second at most on ten thousand rows.
CHEAP = tuple(REGRESSORS)[:6]
# Plain gradient descent diverges on features of such different scales; the paper leaves this out, too.
NEEDS_SCALING = {"SGD"}


def build_regressor(name: str, seed: int, *, standardize: bool = False) -> Pipeline:
    """Return the unfitted pipeline of the regressor called `name`.

    Raises:
        InputError: if there is none of that name.
    """
    return build_pipeline(choose(REGRESSORS, name, "regressor")(seed), standardize=standardize)


def build_forest(seed: int, **hyperparameters: Any) -> Pipeline:
    """Return the unfitted random forest, one thread, with scikit-learn's defaults where nothing is given."""
    return build_pipeline(RandomForestRegressor(random_state=seed, n_jobs=1, **hyperparameters))
