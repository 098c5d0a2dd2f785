"""How good: rank correlations and errors per cell, of every proxy alone and of both ensembles."""

import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from zcp.analysis.bootstrap import (
    RESAMPLES,
    Resamples,
    interval,
    resampled_kendall,
    resampled_rmse,
    resampled_spearman,
)
from zcp.analysis.metrics import abs_spearman, kendall, rmse
from zcp.analysis.scores import usable
from zcp.ensemble.examples import Examples
from zcp.ensemble.features import ONE_HOT
from zcp.ensemble.splits import split
from zcp.study.agreement import agree
from zcp.study.greenfactory.fits import run_plan
from zcp.study.greenfactory.hyperparameters import build_tuned
from zcp.study.results import Deposit

SCHEMES = ("random", "grouped", "stratified")
CELL = ["space", "dataset"]
METRICS = ["abs_kendall", "abs_spearman", "rmse"]


class Ensemble(NamedTuple):
    """What defines an ensemble before it is fitted: its features and its forest's hyperparameters."""

    features: list[str]
    hyperparameters: dict[str, Any]

    def fit(self, examples: Examples, rows: np.ndarray, seed: int) -> Pipeline:
        """Fit on these rows."""
        train, columns = examples.take(rows), sorted(self.features)
        return build_tuned(self.hyperparameters, len(columns), seed).fit(
            train.features[columns], train.accuracy
        )

    def predict(self, model: Pipeline, examples: Examples) -> np.ndarray:
        """Return the predicted accuracies of all rows, percent, shape (rows,)."""
        predicted: np.ndarray = model.predict(examples.features[sorted(self.features)])
        return predicted


def read_ensembles(tuning: Deposit) -> dict[str, Ensemble]:
    """Return the ensembles that a tuning deposit defines."""
    picks, best = tuning.settings["picks"], tuning.settings["best"]
    return {name: Ensemble(picks[name], best[name]) for name in picks}


def measure(
    test: Examples, predicted: Mapping[str, np.ndarray], resamples: Resamples | None = None
) -> pd.DataFrame:
    """Measure every proxy and these predictions in each cell.

    Args:
        test: the test rows.
        predicted: accuracies by ensemble, percent, shape (rows,).
        resamples: of the architectures; no intervals where None.

    Returns:
        name (proxy or ensemble), space, dataset, n (test rows of the cell), failed (scores that are not
        finite), abs_kendall, abs_spearman, kendall (signed), rmse (percent; NaN for a proxy), resampled
        (metric -> its value in each resample; only where there are resamples).
    """
    columns = {str(name): test.features[name].to_numpy() for name in test.features if name not in ONE_HOT}
    found: list[dict[str, Any]] = []
    for (space, dataset), cell in test.labels.reset_index(drop=True).groupby(CELL):
        rows = cell.index.to_numpy()
        accuracy = test.accuracy.to_numpy()[rows]
        weights = None if resamples is None else resamples.weigh(test.architectures.iloc[rows])
        for name, value in (columns | dict(predicted)).items():
            row = {"name": name, "space": space, "dataset": dataset}
            row |= _measure(value[rows], accuracy, name in predicted)
            if weights is not None:
                row["resampled"] = _resample(value[rows], accuracy, weights, name in predicted)
            found.append(row)
    return pd.DataFrame(found)


def study(
    examples: Examples,
    ensembles: Mapping[str, Ensemble],
    seeds: Sequence[int],
    *,
    schemes: Sequence[str] = SCHEMES,
    jobs: int = 1,
    keep: bool = True,
) -> Deposit:
    """Evaluate under every scheme and seed and return the section's deposit.

    Its tables are `cells`, their `summary`, and the `importances` of the features in both ensembles.

    Args:
        examples: the rows.
        ensembles: by name.
        seeds: of splits and forests.
        schemes: how rows are split.
        jobs: processes.
        keep: whether single fits are kept, so that a killed study goes on.
    """
    start = time.perf_counter()
    defined = {name: ensemble._asdict() for name, ensemble in ensembles.items()}
    plan = [(dict(ensembles), scheme, seed) for scheme in schemes for seed in seeds]
    blocks = run_plan(_evaluate_unit, examples, plan, jobs=jobs, keep=keep)
    cells = pd.DataFrame([row for block in blocks for row in block["cells"]])
    settings = {
        "target": examples.target,
        "schemes": list(schemes),
        "seeds": list(seeds),
        "resamples": RESAMPLES,
        "ensembles": defined,
    }
    tables = {"cells": cells.drop(columns="resampled"), "summary": summarise(cells)}
    tables["importances"] = pd.DataFrame(blocks[0]["importances"])
    # What an earlier run kept took its time, too.
    seconds = max(time.perf_counter() - start, sum(block["seconds"] for block in blocks) / jobs)
    return Deposit(f"evaluation-{examples.target}", settings, tables, examples.provenance(seconds))


def _evaluate_unit(
    examples: Examples, ensembles: Mapping[str, Ensemble], scheme: str, seed: int
) -> dict[str, Any]:
    """Return the cells of one split, the importances of its fits and the seconds, as JSON values."""
    start = time.perf_counter()
    parts = split(examples, scheme, seed)
    test = examples.take(parts.test)
    models = {name: ensemble.fit(examples, parts.train, seed) for name, ensemble in ensembles.items()}
    predicted = {name: ensembles[name].predict(model, test) for name, model in models.items()}
    cells = measure(test, predicted, Resamples(examples.architectures)).assign(scheme=scheme, seed=seed)
    shares = [
        {"ensemble": name, "feature": feature, "importance": float(share)}
        for name, model in models.items()
        for feature, share in feature_importances(model, ensembles[name].features).items()
    ]
    seconds = round(time.perf_counter() - start, 2)
    return {"cells": cells.to_dict("records"), "importances": shares, "seconds": seconds}


def summarise(cells: pd.DataFrame) -> pd.DataFrame:
    """Return means over seeds, and the deviation of Kendall's, per scheme, name and cell.

    Where the cells hold resamples, `<metric>_low` and `<metric>_high` are the 95 percent interval of the mean
    over seeds, by the bootstrap over architectures.
    """
    means = {metric: (metric, "mean") for metric in METRICS}
    counts = {"n": ("n", "mean"), "failed": ("failed", "mean"), "seeds": ("seed", "nunique")}
    groups = cells.groupby(["scheme", "name", *CELL], sort=False)
    table = groups.agg(**means, abs_kendall_std=("abs_kendall", "std"), **counts).reset_index()
    if "resampled" not in cells:
        return table
    bounds = [
        {f"{metric}_{end}": value for metric in METRICS for end, value in _bounds(block, metric)}
        for _, block in groups["resampled"]
    ]
    return pd.concat([table, pd.DataFrame(bounds)], axis=1)


def _bounds(resampled: pd.Series, metric: str) -> list[tuple[str, float]]:
    """Return (`low`, value) and (`high`, value) of the mean over seeds of one metric."""
    found = np.array([each[metric] for each in resampled if metric in each])
    means = found.mean(axis=0) if len(found) else np.array([np.nan])
    return list(zip(("low", "high"), interval(means), strict=True))


def _resample(
    values: np.ndarray, accuracy: np.ndarray, weights: np.ndarray, is_prediction: bool
) -> dict[str, list[float]]:
    found = {
        "abs_kendall": np.abs(resampled_kendall(values, accuracy, weights)),
        "abs_spearman": np.abs(resampled_spearman(values, accuracy, weights)),
    }
    if is_prediction:
        found["rmse"] = resampled_rmse(values, accuracy, weights)
    return {metric: resampled.round(4).tolist() for metric, resampled in found.items()}


def arrange(summary: pd.DataFrame, scheme: str, metric: str = "abs_kendall") -> pd.DataFrame:
    """Return one metric under one scheme, names as rows and cells (`space dataset`) as columns."""
    mine = summary[summary["scheme"] == scheme]
    named = mine.assign(cell=mine["space"] + " " + mine["dataset"])
    return named.pivot(index="name", columns="cell", values=metric)


def compare_schemes(summary: pd.DataFrame, names: Sequence[str], metric: str = "abs_kendall") -> pd.DataFrame:
    """Return one metric of these names under every scheme: name, split, one column a cell, mean."""
    blocks = [arrange(summary, scheme, metric).loc[list(names)] for scheme in SCHEMES]
    table = pd.concat(blocks, keys=SCHEMES, names=["split"])
    table = table.assign(mean=table.mean(axis=1)).reset_index()
    return table.sort_values("name", key=lambda column: column.map(list(names).index), kind="stable")


def feature_importances(model: Pipeline, features: Sequence[str]) -> pd.Series:
    """Return the impurity importance of each feature of a fitted forest, largest first."""
    return pd.Series(model[-1].feature_importances_, sorted(features), name="importance").sort_values(
        ascending=False
    )


def _measure(values: np.ndarray, accuracy: np.ndarray, is_prediction: bool) -> dict[str, float]:
    signed = kendall(values, accuracy)
    return {
        "n": len(values),
        "failed": int((~usable(values)).sum()),
        "kendall": signed,
        "abs_kendall": abs(signed),
        "abs_spearman": abs_spearman(values, accuracy),
        "rmse": rmse(values, accuracy) if is_prediction else float("nan"),
    }


def check(live: pd.DataFrame, deposit: Deposit) -> pd.DataFrame:
    """Compare live cells with the deposited ones of the same scheme, seed and name.

    Raises:
        DisagreementError: if a count differs, or another value by more than its measured tolerance.
    """
    live = live[live["seed"].isin(deposit.settings["seeds"])].reset_index(drop=True)
    keys = ["scheme", "seed", "name", *CELL]
    return agree(live, deposit, "cells", keys=keys, measured=METRICS, exact=["n"], by=["name"])
