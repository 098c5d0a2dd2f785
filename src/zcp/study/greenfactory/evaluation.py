"""How good: rank correlations, errors and what a search asks, of every proxy alone and of both ensembles.

An ensemble is measured on the test rows of a split, and fitted anew for each. A proxy is fitted to nothing
and so needs no split: its rank correlations are over all scored rows (of the mixture of accuracies that the
scheme makes), with the interval of these. What a search asks (`zcp.analysis.metrics.SEARCH`) depends on the
number of networks that it has, so there a proxy has the same test rows as an ensemble.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from zcp.analysis.bootstrap import (
    RESAMPLES,
    Resamples,
    resampled_kendall,
    resampled_rmse,
    resampled_spearman,
)
from zcp.analysis.metrics import SEARCH, abs_spearman, kendall, rmse
from zcp.analysis.scores import sign_of, usable
from zcp.ensemble.examples import Examples
from zcp.ensemble.features import ONE_HOT
from zcp.ensemble.splits import COPIED_FIRST, split
from zcp.spaces.isomorphism import name_classes
from zcp.study.agreement import agree
from zcp.study.greenfactory.fits import run_plan
from zcp.study.greenfactory.hyperparameters import build_tuned
from zcp.study.greenfactory.summaries import CELL, METRICS, SCHEMES, average_cells, summarise
from zcp.study.results import Deposit

__all__ = [
    "CELL",
    "METRICS",
    "SCHEMES",
    "Ensemble",
    "check",
    "measure",
    "measure_alone",
    "read_ensembles",
    "study",
]


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

    def cut(self, trees: int) -> "Ensemble":
        """Return it with at most so many trees, for fits that are many."""
        fewer = {"n_estimators": min(trees, self.hyperparameters["n_estimators"])}
        return self._replace(hyperparameters=self.hyperparameters | fewer)

    def predict(self, model: Pipeline, examples: Examples) -> np.ndarray:
        """Return the predicted accuracies of all rows, percent, shape (rows,)."""
        predicted: np.ndarray = model.predict(examples.features[sorted(self.features)])
        return predicted


def read_ensembles(tuning: Deposit) -> dict[str, Ensemble]:
    """Return the ensembles that a tuning deposit defines."""
    picks, best = tuning.settings["picks"], tuning.settings["best"]
    return {name: Ensemble(picks[name], best[name]) for name in picks}


def turned_scores(examples: Examples) -> dict[str, np.ndarray]:
    """Return the scores of each proxy, larger is better by its definition, shape (rows,)."""
    names = [str(name) for name in examples.features if name not in ONE_HOT]
    return {name: sign_of(name) * examples.features[name].to_numpy() for name in names}


def measure(
    test: Examples, predicted: Mapping[str, np.ndarray], weights: np.ndarray | None = None
) -> pd.DataFrame:
    """Measure every proxy and these predictions in each cell.

    Args:
        test: the test rows.
        predicted: accuracies by ensemble, percent, shape (rows,).
        weights: of the test rows in each resample, shape (resamples, rows); no intervals where None.

    Returns:
        name (proxy or ensemble), space, dataset, n (test rows of the cell), failed (scores that are not
        finite), abs_kendall, abs_spearman, kendall (signed: positive where a proxy points as its definition
        says), rmse (percent; NaN for a proxy), those of `SEARCH`, resampled (of a prediction, where there are
        resamples: metric -> its value in each).
    """
    columns, accuracies = turned_scores(test) | dict(predicted), test.accuracy.to_numpy()
    found: list[dict[str, Any]] = []
    for (space, dataset), cell in test.labels.reset_index(drop=True).groupby(CELL):
        rows = cell.index.to_numpy()
        for name, value in columns.items():
            row: dict[str, Any] = {"name": name, "space": space, "dataset": dataset}
            row |= _measure(value[rows], accuracies[rows], name in predicted)
            if weights is not None and name in predicted:
                row["resampled"] = _resample(value[rows], accuracies[rows], weights[:, rows], True)
            found.append(row)
    return pd.DataFrame(found)


def measure_alone(examples: Examples, scheme: str) -> list[dict[str, Any]]:
    """Correlate every proxy with the accuracy over all rows of a scheme, over-sampled as with seed 0.

    Returns:
        A row a proxy and cell: name, space, dataset, rows (scored, without copies), failed, abs_kendall,
        abs_spearman, resampled; JSON values.
    """
    every = np.concatenate(split(examples, scheme, 0)) if scheme in COPIED_FIRST else np.arange(len(examples))
    copies = np.bincount(every, minlength=len(examples)).astype(np.float64)
    resamples, accuracies = Resamples(examples.architectures), examples.accuracy.to_numpy()
    found: list[dict[str, Any]] = []
    for (space, dataset), cell in examples.labels.reset_index(drop=True).groupby(CELL):
        rows = cell.index.to_numpy()
        drawn = resamples.weigh(examples.architectures.iloc[rows]) * copies[rows]
        weights = np.vstack([copies[rows], drawn])
        for name, value in turned_scores(examples).items():
            values = _resample(value[rows], accuracies[rows], weights)
            row = {"name": name, "space": space, "dataset": dataset, "rows": len(rows)}
            row |= {"failed": int((~usable(value[rows])).sum())} | {m: v[0] for m, v in values.items()}
            found.append(row | {"resampled": {metric: each[1:] for metric, each in values.items()}})
    return found


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

    Its tables are `cells`, their `summary`, `means` over cells, and the `importances` of the features in both
    ensembles, first seed.

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
    mixtures = [scheme for scheme in schemes if scheme in COPIED_FIRST] + ["random"]
    found = run_plan(measure_alone, examples, [(mixture,) for mixture in mixtures], jobs=jobs, keep=keep)
    rows = dict(zip(mixtures, found, strict=True))
    alone = pd.concat([pd.DataFrame(rows.get(s, rows["random"])).assign(scheme=s) for s in schemes])
    settings = {
        "target": examples.target,
        "schemes": list(schemes),
        "seeds": list(seeds),
        "resamples": RESAMPLES,
        "ensembles": defined,
    }
    tables = {"cells": cells.drop(columns="resampled"), "summary": summarise(cells, alone)}
    tables["means"] = average_cells(cells, alone)
    first = [share for block in blocks for share in block["importances"] if share["seed"] == seeds[0]]
    tables["importances"] = pd.DataFrame(first)
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
    # What the split draws at random is what a resample draws: with all its names, where these stay together.
    units = name_classes(examples.labels) if scheme == "isomorphic" else examples.architectures
    weights = Resamples(units).weigh(units.iloc[parts.test])
    cells = measure(test, predicted, weights).assign(scheme=scheme, seed=seed)
    shares = [
        {"scheme": scheme, "seed": seed, "ensemble": name, "feature": feature, "importance": float(share)}
        for name, model in models.items()
        for feature, share in feature_importances(model, ensembles[name].features).items()
    ]
    seconds = round(time.perf_counter() - start, 2)
    return {"cells": cells.to_dict("records"), "importances": shares, "seconds": seconds}


def _resample(
    values: np.ndarray, accuracy: np.ndarray, weights: np.ndarray, is_prediction: bool = False
) -> dict[str, list[float]]:
    found = {
        "abs_kendall": np.abs(resampled_kendall(values, accuracy, weights)),
        "abs_spearman": np.abs(resampled_spearman(values, accuracy, weights)),
    }
    if is_prediction:
        found["rmse"] = resampled_rmse(values, accuracy, weights)
    return {metric: resampled.round(6).tolist() for metric, resampled in found.items()}


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
        **{metric: function(values, accuracy) for metric, function in SEARCH.items()},
    }


def check(live: pd.DataFrame, deposit: Deposit) -> pd.DataFrame:
    """Compare live cells with the deposited ones of the same scheme, seed and name.

    Raises:
        DisagreementError: if a count differs, or another value by more than its measured tolerance.
    """
    live = live[live["seed"].isin(deposit.settings["seeds"])].reset_index(drop=True)
    keys = ["scheme", "seed", "name", *CELL]
    measured = [*METRICS, "kendall", *SEARCH]
    return agree(live, deposit, "cells", keys=keys, measured=measured, exact=["n", "failed"], by=["name"])
