"""Who predicts best: baselines and better models on leak-free splits, under one budget.

Every model is tuned anew for each split by the same number of trials, on at most `TUNING_ROWS` of its
training rows against its validation rows, fitted on both and measured on the test rows. What is not fitted
(parameters, the mean of ranks) is measured on the same test rows.
"""

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import optuna
import pandas as pd
from optuna.samplers import TPESampler

from zcp.analysis.bootstrap import draw, resampled_kendall
from zcp.analysis.metrics import kendall, rmse
from zcp.ensemble.candidates import CANDIDATES, SHIPPABLE, Candidate
from zcp.ensemble.examples import Examples
from zcp.ensemble.splits import split
from zcp.errors import InputError
from zcp.statistics.seeding import seed_for
from zcp.study.agreement import agree
from zcp.study.greenfactory.architectures import choose_columns
from zcp.study.greenfactory.fits import run_plan
from zcp.study.greenfactory.populations import mean_of_ranks, vote
from zcp.study.results import Deposit

SCHEME = "isomorphic"
TUNING_ROWS = 1_500
REFERENCE = "random forest"
CELL = ["space", "dataset"]
RESAMPLES = 100
# The shipped default must beat the forest in this share of the cells: four of six.
SHARE_TO_WIN = 2 / 3
UNFITTED = ("params", "flops", "mean of ranks", "vote")


def tune(
    candidate: Candidate, features: pd.DataFrame, accuracy: np.ndarray, parts: Any, trials: int, seed: int
) -> dict[str, Any]:
    """Return the hyperparameters of least RMSE on the validation rows."""
    if (suggest := candidate.suggest) is None:
        return {}
    rng = np.random.default_rng(seed_for("tuning rows", seed))
    few = rng.permutation(parts.train)[:TUNING_ROWS]
    held = parts.validation

    def error(trial: optuna.Trial) -> float:
        model = candidate.build(suggest(trial), seed)
        model.fit(features.iloc[few], accuracy[few])
        return rmse(model.predict(features.iloc[held]), accuracy[held])

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=TPESampler(seed=seed_for("contest", seed) % 2**32))
    study.optimize(error, n_trials=trials)
    return dict(study.best_params)


def predict_test(
    examples: Examples, name: str, trials: int, seed: int
) -> tuple[np.ndarray, dict[str, Any], float]:
    """Return a candidate's predictions for the test rows, its hyperparameters, and the seconds it took.

    Raises:
        InputError: if there is no candidate of that name.
    """
    if name not in CANDIDATES:
        raise InputError(f"unknown model {name!r}; choose one of {', '.join(CANDIDATES)}")
    start, candidate = time.perf_counter(), CANDIDATES[name]
    features, accuracy = choose_columns(examples, candidate.columns), examples.accuracy.to_numpy()
    parts = split(examples, SCHEME, seed)
    found = tune(candidate, features, accuracy, parts, trials, seed)
    seen = np.concatenate([parts.train, parts.validation])
    model = candidate.build(found, seed).fit(features.iloc[seen], accuracy[seen])
    predicted: np.ndarray = np.asarray(model.predict(features.iloc[parts.test]), float)
    return predicted, found, time.perf_counter() - start


def unfitted(examples: Examples) -> dict[str, np.ndarray]:
    """Return the scores of what needs no training, for all rows."""
    scores = {n: examples.features[n].to_numpy() for n in ("params", "flops") if n in examples.features}
    scores["mean of ranks"] = mean_of_ranks(examples).to_numpy()
    voted = vote(examples)
    return scores if voted is None else {**scores, "vote": voted.to_numpy()}


def measure(examples: Examples, predicted: Mapping[str, np.ndarray], seed: int) -> pd.DataFrame:
    """Return one row a model and cell of the test rows: seed, model, space, dataset, n, kendall, rmse."""
    test, rows = examples.take(split(examples, SCHEME, seed).test), []
    for (space, dataset), cell in test.labels.reset_index(drop=True).groupby(CELL):
        at, truth = cell.index.to_numpy(), test.accuracy.to_numpy()
        for name, values in predicted.items():
            row = {"seed": seed, "model": name, "space": space, "dataset": dataset, "n": len(at)}
            error = float("nan") if name in UNFITTED else rmse(values[at], truth[at])
            rows.append(row | {"kendall": kendall(values[at], truth[at]), "rmse": error})
    return pd.DataFrame(rows)


def resample(examples: Examples, predicted: Mapping[str, np.ndarray], seed: int) -> pd.DataFrame:
    """Return Kendall's advantage over the forest in bootstrap samples of each cell's test networks.

    Returns:
        seed, model, space, dataset, resample, difference.
    """
    test, rows = examples.take(split(examples, SCHEME, seed).test), []
    rng, truth = np.random.default_rng(seed_for("contest", "bootstrap", seed)), test.accuracy.to_numpy()
    for (space, dataset), cell in test.labels.reset_index(drop=True).groupby(CELL):
        at, weights = cell.index.to_numpy(), draw(len(cell), RESAMPLES, rng)
        taus = {name: resampled_kendall(v[at], truth[at], weights) for name, v in predicted.items()}
        key = {"seed": seed, "space": space, "dataset": dataset, "resample": range(RESAMPLES)}
        rows += [
            pd.DataFrame({**key, "model": name, "difference": tau - taus[REFERENCE]})
            for name, tau in taus.items()
        ]
    return pd.concat(rows, ignore_index=True)


def summarise(cells: pd.DataFrame, resampled: pd.DataFrame) -> pd.DataFrame:
    """Return one row a model and cell, and one for the mean of the cells (space and dataset `all`).

    Returns:
        model, space, dataset, n, seeds, kendall, kendall_std (over seeds), rmse, difference (to the random
        forest, Kendall), low, high (95 % of bootstrap samples, averaged over seeds).
    """
    whole = cells.groupby(["seed", "model"]).agg(
        n=("n", "mean"), kendall=("kendall", "mean"), rmse=("rmse", "mean")
    )
    both = pd.concat([cells, whole.reset_index().assign(space="all", dataset="all")], ignore_index=True)
    summary = both.groupby(["model", *CELL]).agg(
        n=("n", "mean"), seeds=("seed", "nunique"), kendall=("kendall", "mean"),
        kendall_std=("kendall", "std"), rmse=("rmse", "mean"),
    )  # fmt: skip
    keys = ["model", *CELL]
    over_seeds = resampled.groupby([*keys, "resample"])["difference"].mean()
    over_cells = resampled.groupby(["model", "resample"])["difference"].mean().rename("difference")
    pooled = over_cells.reset_index().assign(space="all", dataset="all")
    spread = pd.concat([over_seeds.reset_index(), pooled]).groupby(keys)["difference"]
    summary = summary.join(spread.quantile(0.025).rename("low")).join(spread.quantile(0.975).rename("high"))
    forest = summary["kendall"].xs(REFERENCE).rename("forest")
    summary = summary.join(forest, on=CELL)
    return summary.assign(difference=summary["kendall"] - summary.pop("forest")).reset_index()


def choose_default(summary: pd.DataFrame) -> dict[str, Any]:
    """Return the model to ship: the best of those that may be, if it beats the forest often enough.

    Returns:
        best, wins (cells in which its mean Kendall is above the forest's), cells, default.
    """
    whole = summary[(summary["space"] == "all") & summary["model"].isin(SHIPPABLE)]
    best = str(whole.set_index("model")["kendall"].idxmax())
    mine = summary[(summary["model"] == best) & (summary["space"] != "all")]
    wins, cells = int((mine["difference"] > 0).sum()), len(mine)
    default = best if wins >= SHARE_TO_WIN * cells else REFERENCE
    return {"best": best, "wins": wins, "cells": cells, "default": default}


def study(
    examples: Examples,
    seeds: Sequence[int],
    trials: int,
    *,
    models: Sequence[str] = tuple(CANDIDATES),
    jobs: int = 1,
) -> Deposit:
    """Let the models compete; the deposit `models-<target>` has `cells`, `summary`, `hyperparameters`."""
    start = time.perf_counter()
    plan = [(name, seed) for seed in seeds for name in models]
    fits = run_plan(predict_test, examples, [(n, trials, s) for n, s in plan], jobs=jobs)
    cells, resampled, scores = [], [], unfitted(examples)
    for seed in seeds:
        test = split(examples, SCHEME, seed).test
        predicted = {name: values[test] for name, values in scores.items()}
        predicted |= {n: fit[0] for (n, s), fit in zip(plan, fits, strict=True) if s == seed}
        cells.append(measure(examples, predicted, seed))
        resampled.append(resample(examples, predicted, seed))
    table = pd.concat(cells, ignore_index=True)
    summary = summarise(table, pd.concat(resampled, ignore_index=True))
    tuned = [
        {"model": n, "seed": s, "found": json.dumps(fit[1]), "seconds": round(fit[2], 1)}
        for (n, s), fit in zip(plan, fits, strict=True)
    ]
    settings = {"target": examples.target, "scheme": SCHEME, "seeds": list(seeds), "trials": trials}
    settings |= {"choice": choose_default(summary)}
    tables = {"cells": table, "summary": summary, "hyperparameters": pd.DataFrame(tuned)}
    seconds = max(time.perf_counter() - start, sum(fit[2] for fit in fits) / jobs)
    return Deposit(f"models-{examples.target}", settings, tables, examples.provenance(seconds))


def check(
    examples: Examples, deposit: Deposit, models: Sequence[str] = ("nearest neighbours",)
) -> pd.DataFrame:
    """Tune and fit some models anew with the deposit's first seed, and compare.

    Raises:
        DisagreementError: if a count differs, or another value by more than its measured tolerance.
    """
    seed, trials = deposit.settings["seeds"][0], deposit.settings["trials"]
    predicted = {name: predict_test(examples, name, trials, seed)[0] for name in models}
    live = measure(examples, predicted, seed)
    keys, measured = ["model", "seed", *CELL], ["kendall", "rmse"]
    return agree(live, deposit, "cells", keys=keys, measured=measured, exact=["n"], by=["model"])
