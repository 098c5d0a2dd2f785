r"""Which features: recursive elimination, with error, seconds and their trade-off at every step."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict

import pandas as pd
from sklearn.base import clone
from sklearn.feature_selection import RFE

from zcp.ensemble.costs import Costs
from zcp.ensemble.examples import Examples
from zcp.ensemble.regressors import build_forest
from zcp.ensemble.splits import Split, split
from zcp.metrics import rmse
from zcp.results import RELATIVE, Deposit, DisagreementError, agree

PICKS = {
    "GreenFactory": "rmse",
    "GreenFactory-Fast": "score",
}  # ensemble -> the column that its subset minimises


def rank_features(examples: Examples, parts: Split, seed: int) -> list[str]:
    """Return the features from most to least important, by recursive elimination with a random forest.

    At each step the feature of least impurity importance on the training rows is dropped (scikit-learn's
    RFE).
    """
    train = examples.take(parts.train)
    forest = build_forest(seed)
    values = forest[:-1].fit_transform(train.features)
    ranking = RFE(clone(forest[-1]), n_features_to_select=1).fit(values, train.accuracy).ranking_
    return [name for _, name in sorted(zip(ranking, examples.features.columns, strict=True))]


def subset_error(examples: Examples, parts: Split, features: Sequence[str], seed: int) -> float:
    """Return the RMSE on the validation rows (percent) of a forest that sees only these features."""
    train, held = examples.take(parts.train), examples.take(parts.validation)
    columns = sorted(features)
    model = build_forest(seed).fit(train.features[columns], train.accuracy)
    return rmse(model.predict(held.features[columns]), held.accuracy)


def eliminate(
    examples: Examples, cost: Callable[[Sequence[str]], float], *, scheme: str, seed: int
) -> pd.DataFrame:
    """Return one row for each number of features, from one to all.

    Args:
        examples: the rows.
        cost: mean seconds a network for a set of features.
        scheme: how rows are split.
        seed: of split and forest.

    Returns:
        count, selected (names, comma-separated), dropped (the feature that goes next), rmse (percent,
        validation rows), seconds (a network), score: the mean of RMSE and seconds, each brought to [0, 1];
        smaller is better.
    """
    parts = split(examples, scheme, seed)
    order = rank_features(examples, parts, seed)
    rows = [
        {
            "count": count,
            "selected": ",".join(order[:count]),
            "dropped": order[count - 1],
            "rmse": subset_error(examples, parts, order[:count], seed),
            "seconds": cost(order[:count]),
            "n": len(parts.validation),
        }
        for count in range(1, len(order) + 1)
    ]
    steps = pd.DataFrame(rows)
    return steps.assign(score=trade_off(steps["rmse"], steps["seconds"]))


def trade_off(error: pd.Series, seconds: pd.Series) -> pd.Series:
    r"""Return $\frac12(\tilde e + \tilde t)$, with $\tilde x = (x - \min x) / (\max x - \min x)$."""
    scaled = [(x - x.min()) / ((x.max() - x.min()) or 1.0) for x in (error, seconds)]
    mean: pd.Series = (scaled[0] + scaled[1]) / 2
    return mean


def pick_subsets(steps: pd.DataFrame) -> dict[str, list[str]]:
    """Return the features of both ensembles: least RMSE, and best trade-off."""
    return {name: steps["selected"].iloc[steps[column].argmin()].split(",") for name, column in PICKS.items()}


def study(examples: Examples, costs: Costs, *, scheme: str, seed: int) -> Deposit:
    """Return the section's deposit: the table `steps`; the settings hold the picks and the costs."""
    start = time.perf_counter()
    steps = eliminate(examples, costs, scheme=scheme, seed=seed)
    settings = {
        "target": examples.target,
        "scheme": scheme,
        "seed": seed,
        "picks": pick_subsets(steps),
        "costs": asdict(costs),
    }
    provenance = examples.provenance(time.perf_counter() - start)
    return Deposit(f"feature_elimination-{examples.target}", settings, {"steps": steps}, provenance)


def find_least(examples: Examples, parts: Split, seed: int) -> str:
    """Return the feature that the first step of the elimination drops."""
    train = examples.take(parts.train)
    forest = build_forest(seed)
    values = forest[:-1].fit_transform(train.features)
    kept = RFE(forest[-1], n_features_to_select=values.shape[1] - 1).fit(values, train.accuracy).support_
    return str(examples.features.columns[~kept][0])


def check(examples: Examples, deposit: Deposit) -> pd.DataFrame:
    """Repeat the first elimination and the forests of both picks, and compare with the deposit.

    Raises:
        DisagreementError: if another feature is dropped first, or an RMSE differs by more than two percent.
    """
    seed, steps = deposit.settings["seed"], deposit.tables["steps"]
    parts = split(examples, deposit.settings["scheme"], seed)
    least, deposited = find_least(examples, parts, seed), steps["dropped"].iloc[-1]
    if least != deposited:
        raise DisagreementError(f"the first feature to go is {least!r} live but {deposited!r} in the deposit")
    picks = {len(features): features for features in deposit.settings["picks"].values()}
    errors = [subset_error(examples, parts, features, seed) for features in picks.values()]
    live = pd.DataFrame({"count": list(picks), "rmse": errors})
    return agree(live, steps, keys=["count"], tolerances={"rmse": RELATIVE * live["rmse"]})
