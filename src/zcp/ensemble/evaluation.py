"""How good: rank correlations and errors per cell, of every proxy alone and of both ensembles."""

import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from sklearn.pipeline import Pipeline

from zcp.ensemble.examples import Examples
from zcp.ensemble.features import ONE_HOT
from zcp.ensemble.hyperparameters import build_tuned
from zcp.ensemble.published import COLUMNS, read_table
from zcp.ensemble.splits import split
from zcp.metrics import kendall, rmse, spearman
from zcp.results import RELATIVE, Deposit, agree

SCHEMES = ("random", "grouped", "stratified")
CELL = ["space", "dataset"]
METRICS = ["abs_kendall", "abs_spearman", "rmse"]
# Our scheme -> what the paper calls that data; it has no counterpart of `grouped`.
PUBLISHED_DATA = {"random": "random", "stratified": "stratified"}


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


def evaluate(examples: Examples, ensembles: Mapping[str, Ensemble], scheme: str, seed: int) -> pd.DataFrame:
    """Fit the ensembles on the training rows and measure everything on the test rows of each cell.

    Returns:
        scheme, seed, name (proxy or ensemble), space, dataset, n (test rows of the cell), failed (scores
        that are not finite), abs_kendall, abs_spearman, kendall (signed), rmse (percent; NaN for a proxy).
    """
    parts = split(examples, scheme, seed)
    test = examples.take(parts.test)
    columns = {str(name): test.features[name].to_numpy() for name in test.features if name not in ONE_HOT}
    predicted = {name: e.predict(e.fit(examples, parts.train, seed), test) for name, e in ensembles.items()}
    values = columns | predicted
    found: list[dict[str, Any]] = []
    for (space, dataset), cell in test.labels.reset_index(drop=True).groupby(CELL):
        rows = cell.index.to_numpy()
        for name, value in values.items():
            row = {"scheme": scheme, "seed": seed, "name": name, "space": space, "dataset": dataset}
            row |= _measure(value[rows], test.accuracy.to_numpy()[rows], name in ensembles)
            found.append(row)
    return pd.DataFrame(found)


def study(
    examples: Examples,
    ensembles: Mapping[str, Ensemble],
    seeds: Sequence[int],
    *,
    schemes: Sequence[str] = SCHEMES,
    jobs: int = 1,
) -> Deposit:
    """Evaluate under every scheme and seed and return the section's deposit: `cells` and its `summary`."""
    start = time.perf_counter()
    plan = [(scheme, seed) for scheme in schemes for seed in seeds]
    cells = pd.concat(
        Parallel(n_jobs=jobs)(delayed(evaluate)(examples, ensembles, *each) for each in plan),
        ignore_index=True,
    )
    settings = {
        "target": examples.target,
        "schemes": list(schemes),
        "seeds": list(seeds),
        "ensembles": {name: ensemble._asdict() for name, ensemble in ensembles.items()},
    }
    seconds = time.perf_counter() - start
    tables = {"cells": cells, "summary": summarise(cells)}
    return Deposit(f"evaluation-{examples.target}", settings, tables, examples.provenance(seconds))


def summarise(cells: pd.DataFrame) -> pd.DataFrame:
    """Return means over seeds, and the deviation of Kendall's, per scheme, name and cell."""
    means = {metric: (metric, "mean") for metric in METRICS}
    counts = {"n": ("n", "mean"), "failed": ("failed", "mean"), "seeds": ("seed", "nunique")}
    groups = cells.groupby(["scheme", "name", *CELL], sort=False)
    return groups.agg(**means, abs_kendall_std=("abs_kendall", "std"), **counts).reset_index()


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


def stack_twin(twin: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return ours, the paper's and the difference below each other: published, numbers, one column a cell."""
    mine = twin[twin["metric"] == metric]
    named = mine.assign(cell=mine["space"] + " " + mine["dataset"])
    long = named.melt(["published", "cell"], ["ours", "paper", "difference"], "numbers", "value")
    table = long.pivot(index=["published", "numbers"], columns="cell", values="value")
    order = [(name, numbers) for name in mine["published"].unique() for numbers in long["numbers"].unique()]
    return table.loc[order].reset_index()


def compare_with_paper(summary: pd.DataFrame) -> pd.DataFrame:
    """Return the paper's Tables 4 to 6, 8 and 9 beside ours.

    Returns:
        scheme, published (their name), name (ours), space, dataset, metric, paper, ours, difference, n,
        seeds; only rows that both have.
    """
    paper = read_table("4", "5", "6", "8", "9").rename(columns={"name": "published", "value": "paper"})
    paper = paper.assign(
        name=paper["published"].map(COLUMNS),
        scheme=paper["data"].map({theirs: ours for ours, theirs in PUBLISHED_DATA.items()}),
        paper=paper["paper"].astype(float),
    )
    ours = summary.melt(["scheme", "name", *CELL, "n", "seeds"], METRICS, "metric", "ours").dropna(
        subset="ours"
    )
    both = paper.drop(columns="data").merge(ours, on=["scheme", "name", *CELL, "metric"])
    columns = ["scheme", "published", "name", *CELL, "metric", "paper", "ours", "difference", "n", "seeds"]
    return both.assign(difference=both["ours"] - both["paper"])[columns]


def feature_importances(model: Pipeline, features: Sequence[str]) -> pd.Series:
    """Return the impurity importance of each feature of a fitted forest, largest first."""
    return pd.Series(model[-1].feature_importances_, sorted(features), name="importance").sort_values(
        ascending=False
    )


def _measure(values: np.ndarray, accuracy: np.ndarray, is_prediction: bool) -> dict[str, float]:
    signed = kendall(values, accuracy, signed=True)
    return {
        "n": len(values),
        "failed": int((~np.isfinite(values)).sum()),
        "kendall": signed,
        "abs_kendall": abs(signed),
        "abs_spearman": spearman(values, accuracy),
        "rmse": rmse(values, accuracy) if is_prediction else float("nan"),
    }


def check(live: pd.DataFrame, deposit: Deposit) -> pd.DataFrame:
    """Compare live cells with the deposited ones of the same scheme, seed and name.

    Raises:
        DisagreementError: if a correlation differs by more than 0.01 or an RMSE by more than two percent.
    """
    live = live[live["seed"].isin(deposit.settings["seeds"])].reset_index(drop=True)
    tolerances = {
        "abs_kendall": 0.01,
        "abs_spearman": 0.01,
        "rmse": RELATIVE * live["rmse"].fillna(0.0),
        "n": 0,
    }
    return agree(live, deposit.tables["cells"], keys=["scheme", "seed", "name", *CELL], tolerances=tolerances)
