r"""Which features: recursive elimination, with error, seconds and their trade-off at every step."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import pandas as pd

from zcp.analysis.bootstrap import Resamples, interval, resampled_rmse
from zcp.analysis.metrics import rmse
from zcp.ensemble.examples import Examples
from zcp.ensemble.regressors import build_forest
from zcp.ensemble.splits import Split, split
from zcp.study.agreement import agree
from zcp.study.cost.costs import Costs
from zcp.study.greenfactory.fits import run_plan
from zcp.study.results import Deposit, DisagreementError, compare_all

PICKS = {
    "GreenFactory": "rmse",
    "GreenFactory-Fast": "score",
}  # ensemble -> the column that its subset minimises


def fit_step(
    examples: Examples, parts: Split, features: Sequence[str], seed: int, jobs: int = 1
) -> dict[str, Any]:
    """Fit a forest that sees only these features: one step of the elimination.

    Returns:
        dropped (the feature of least impurity importance), rmse (percent, validation rows), low, high (its
        95 percent interval over architectures), fitted_in (seconds).
    """
    start = time.perf_counter()
    train, held = examples.take(parts.train), examples.take(parts.validation)
    # In the order of the examples, as scikit-learn's RFE keeps them.
    columns = [name for name in examples.features if name in set(features)]
    model = build_forest(seed)
    model[-1].set_params(n_jobs=jobs)
    model.fit(train.features[columns], train.accuracy)
    predicted, measured = model.predict(held.features[columns]), held.accuracy.to_numpy()
    weights = Resamples(examples.architectures).weigh(held.architectures)
    low, high = interval(resampled_rmse(predicted, measured, weights))
    least = columns[int(model[-1].feature_importances_.argmin())]
    step = {"dropped": least, "rmse": rmse(predicted, measured), "low": low, "high": high}
    return step | {"fitted_in": round(time.perf_counter() - start, 2)}


def eliminate(
    examples: Examples,
    cost: Callable[[Sequence[str]], float],
    *,
    scheme: str,
    seed: int,
    jobs: int = 1,
    keep: bool = False,
) -> pd.DataFrame:
    """Drop the least important feature, fit anew, and so on: what scikit-learn's RFE does, errors included.

    The forest whose importances decide is the one whose error is noted, so that there is one fit a step.

    Args:
        examples: the rows.
        cost: mean seconds a network for a set of features.
        scheme: how rows are split.
        seed: of split and forest.
        jobs: threads of a forest.
        keep: whether steps are kept, so that a killed run goes on where it stopped.

    Returns:
        One row for each number of features, from one to all: count, selected (names, comma-separated, the
        last to go first), dropped (the feature that goes next), rmse (percent, validation rows), low, high
        (95 percent interval of it), fitted_in (seconds), seconds (a network), n, score: the mean of RMSE and
        seconds, each brought to [0, 1]; smaller is better.
    """
    parts, work = split(examples, scheme, seed), partial(fit_step, jobs=jobs)
    remaining, rows = [str(name) for name in examples.features], []
    while remaining:
        (step,) = run_plan(work, examples, [(parts, list(remaining), seed)], keep=keep)
        row = {"count": len(remaining), "seconds": cost(remaining), "n": len(parts.validation)}
        rows.append(row | step)
        remaining.remove(step["dropped"])
    steps = pd.DataFrame(rows[::-1])
    order = steps["dropped"].tolist()
    selected = [",".join(order[:count]) for count in steps["count"]]
    return steps.assign(selected=selected, score=trade_off(steps["rmse"], steps["seconds"]))


def trade_off(error: pd.Series, seconds: pd.Series) -> pd.Series:
    r"""Return $\frac12(\tilde e + \tilde t)$, with $\tilde x = (x - \min x) / (\max x - \min x)$."""
    scaled = [(x - x.min()) / ((x.max() - x.min()) or 1.0) for x in (error, seconds)]
    mean: pd.Series = (scaled[0] + scaled[1]) / 2
    return mean


def pick_subsets(steps: pd.DataFrame) -> dict[str, list[str]]:
    """Return the features of both ensembles: least RMSE, and best trade-off."""
    return {name: steps["selected"].iloc[steps[column].argmin()].split(",") for name, column in PICKS.items()}


def study(
    examples: Examples,
    costs: Costs,
    *,
    scheme: str,
    seed: int,
    jobs: int = 1,
    keep: bool = True,
) -> Deposit:
    """Return the section's deposit: the table `steps`; the settings hold the picks and the costs."""
    start = time.perf_counter()
    steps = eliminate(examples, costs, scheme=scheme, seed=seed, jobs=jobs, keep=keep)
    settings = {
        "target": examples.target,
        "scheme": scheme,
        "seed": seed,
        "picks": pick_subsets(steps),
        "costs": asdict(costs),
    }
    # Steps that an earlier run kept took their time, too.
    provenance = examples.provenance(max(time.perf_counter() - start, float(steps["fitted_in"].sum())))
    return Deposit(f"feature_elimination-{examples.target}", settings, {"steps": steps}, provenance)


def check(examples: Examples, deposit: Deposit) -> pd.DataFrame:
    """Repeat the first step and the forest of the fast pick, and compare with the deposit.

    Raises:
        DisagreementError: if another feature is dropped first, or an RMSE differs by more than its measured
            tolerance.
    """
    seed, steps = deposit.settings["seed"], deposit.tables["steps"]
    parts = split(examples, deposit.settings["scheme"], seed)
    subsets = [list(examples.features), deposit.settings["picks"]["GreenFactory-Fast"]]
    found = {len(features): fit_step(examples, parts, features, seed) for features in subsets}
    live = pd.DataFrame({"count": list(found), "rmse": [step["rmse"] for step in found.values()]})
    least, deposited = found[len(subsets[0])]["dropped"], steps["dropped"].iloc[-1]

    def require_same_feature() -> None:
        if least != deposited:
            text = f"the first feature to go is {least!r} live but {deposited!r} in the deposit"
            raise DisagreementError(text)

    errors = partial(agree, live, deposit, "steps", keys=["count"], measured=["rmse"], by=["count"])
    compared: pd.DataFrame = compare_all(errors, require_same_feature)[0]
    return compared
