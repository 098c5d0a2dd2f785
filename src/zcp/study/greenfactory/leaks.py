"""What leaks: the same forest under splits that keep more and more of one network on one side.

Each step of `CHAIN` changes one thing; the difference of two neighbours is what it adds. One step is no leak:
over-sampled rows are another mixture of accuracies, in training and in test, and a forest may rank these
better without having seen any of them (`MIXTURE`). Every scheme is measured on one name of each network, as
the last one is: pairs of names are noise, of which the schemes have unequal shares.
"""

import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from zcp.analysis.metrics import kendall, rmse
from zcp.analysis.over_splits import interval_over_splits
from zcp.ensemble.examples import Examples
from zcp.ensemble.splits import TEST_TO_TRAINING, one_name, split
from zcp.spaces.isomorphism import name_classes
from zcp.study.agreement import agree
from zcp.study.greenfactory.evaluation import CELL, Ensemble
from zcp.study.greenfactory.fits import run_plan
from zcp.study.results import Deposit

CHAIN = ("stratified", "stratified_after", "random", "grouped", "isomorphic")
SCHEMES = (*CHAIN, "stratified_isomorphic")
METRICS = ("kendall", "rmse")


#: The step that is no leak.
MIXTURE = "accuracies made even"


class Leak(NamedTuple):
    """What one step of the chain takes away: with it, and without."""

    leak: str
    with_leak: str
    without: str


LEAKS = (
    Leak("copies of a row", "stratified", "stratified_after"),
    Leak(MIXTURE, "stratified_after", "random"),
    Leak("other datasets", "random", "grouped"),
    Leak("isomorphic cells", "grouped", "isomorphic"),
)


def evaluate(examples: Examples, ensemble: Ensemble, scheme: str, seed: int) -> pd.DataFrame:
    """Fit on the training rows and measure in each cell of the test rows.

    Returns:
        scheme, seed, space, dataset, n, kendall (signed), rmse (percent), exposed: share of test rows whose
        network (isomorphism class) has a row among the training rows, copied: share that are training rows.
    """
    parts = split(examples, scheme, seed)
    parts = parts._replace(test=one_name(examples, parts.test, seed))
    test = examples.take(parts.test)
    predicted = ensemble.predict(ensemble.fit(examples, parts.train, seed), test)
    classes = name_classes(examples.labels).to_numpy()
    exposed, copied = np.isin(classes[parts.test], classes[parts.train]), np.isin(parts.test, parts.train)
    accuracy, rows = test.accuracy.to_numpy(), []
    for (space, dataset), cell in test.labels.reset_index(drop=True).groupby(CELL):
        at = cell.index.to_numpy()
        row = {"scheme": scheme, "seed": seed, "space": space, "dataset": dataset, "n": len(at)}
        row |= {"kendall": kendall(predicted[at], accuracy[at])}
        row |= {"rmse": rmse(predicted[at], accuracy[at])}
        rows.append(row | {"exposed": exposed[at].mean(), "copied": copied[at].mean()})
    return pd.DataFrame(rows)


def explain(cells: pd.DataFrame) -> pd.DataFrame:
    """Return what each leak adds in each cell: the difference of two schemes under the same seed.

    Returns:
        leak, space, dataset, metric, mean, std (over seeds), seeds; a positive Kendall and a negative RMSE
        flatter the forest.
    """
    wide = cells.pivot(index=[*CELL, "seed"], columns="scheme", values=list(METRICS))
    rows = []
    for leak in LEAKS:
        for metric in METRICS:
            gain = wide[metric, leak.with_leak] - wide[metric, leak.without]
            per_cell = gain.groupby(CELL).agg(mean="mean", std="std", seeds="count").reset_index()
            rows.append(per_cell.assign(leak=leak.leak, metric=metric))
    return pd.concat(rows, ignore_index=True)


def decompose(cells: pd.DataFrame) -> pd.DataFrame:
    """Return what each step adds on average over the cells, with the interval over seeds.

    Returns:
        leak, is_leak (False for `MIXTURE`), metric, mean, low, high (95 percent interval over splits, see
        `zcp.analysis.over_splits`; NaN for one seed), seeds. The steps of a metric sum to the whole, of which
        the last row tells (`all leaks`, without the mixture).
    """
    wide = cells.groupby(["scheme", "seed"])[list(METRICS)].mean().unstack("scheme")
    rows = []
    for metric in METRICS:
        gains = {leak.leak: wide[metric, leak.with_leak] - wide[metric, leak.without] for leak in LEAKS}
        gains["all leaks"] = sum(gain for name, gain in gains.items() if name != MIXTURE)
        for name, gain in gains.items():
            low, high = interval_over_splits(gain, TEST_TO_TRAINING)
            row = {"leak": name, "is_leak": name != MIXTURE, "metric": metric, "mean": gain.mean()}
            rows.append(row | {"low": low, "high": high, "seeds": len(gain)})
    return pd.DataFrame(rows)


def summarise(cells: pd.DataFrame) -> pd.DataFrame:
    """Return means over seeds and the deviation of both metrics, per scheme and cell."""
    aims = {name: (name, "mean") for name in (*METRICS, "n", "exposed", "copied")}
    spread = {f"{metric}_std": (metric, "std") for metric in METRICS}
    return cells.groupby(["scheme", *CELL], sort=False).agg(**aims, **spread).reset_index()


def study(examples: Examples, ensemble: Ensemble, seeds: Sequence[int], *, jobs: int = 1) -> Deposit:
    """Evaluate under every scheme and seed; the deposit holds `cells`, `summary`, `effects` and `worth`."""
    start = time.perf_counter()
    plan = [(ensemble, scheme, seed) for scheme in SCHEMES for seed in seeds]
    cells = pd.concat(run_plan(evaluate, examples, plan, jobs=jobs), ignore_index=True)
    settings = {"target": examples.target, "seeds": list(seeds), "ensemble": ensemble._asdict()}
    tables = {"cells": cells, "summary": summarise(cells), "effects": explain(cells)}
    tables["worth"] = decompose(cells)
    provenance = examples.provenance(time.perf_counter() - start)
    return Deposit(f"leaks-{examples.target}", settings, tables, provenance)


def check(examples: Examples, deposit: Deposit) -> pd.DataFrame:
    """Evaluate the leak-free scheme anew with the deposit's first seed and compare.

    Raises:
        DisagreementError: if a count differs, or another value by more than its measured tolerance.
    """
    ensemble = Ensemble(**deposit.settings["ensemble"])
    live = evaluate(examples, ensemble, "isomorphic", deposit.settings["seeds"][0])
    keys = ["scheme", "seed", *CELL]
    return agree(live, deposit, "cells", keys=keys, measured=[*METRICS, "exposed"], exact=["n"], by=keys)
