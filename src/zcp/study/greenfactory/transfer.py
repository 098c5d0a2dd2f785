"""Transfer: predicting on a dataset or a search space that no training row has.

All fits of a seed share one leak-free split, and are measured on its test rows. `within` trains on all
cells: what transfer loses is the difference to it. How rows say where they come from is varied: `one-hot`
dataset (useless for a new one), `descriptors` (`zcp.study.greenfactory.descriptors`), or `ranks`: every
proxy is replaced by its rank within its cell, which needs the scores of a population there, and no accuracy.
What `ranks` predicts is a rank, too, as nothing then tells one dataset's level from another's; it has no
RMSE.
"""

import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import pandas as pd

from zcp.analysis.metrics import abs_kendall, kendall, rmse
from zcp.analysis.scores import usable
from zcp.ensemble.candidates import CANDIDATES
from zcp.ensemble.examples import Examples
from zcp.ensemble.features import ONE_HOT
from zcp.ensemble.splits import split
from zcp.study.agreement import agree
from zcp.study.greenfactory.descriptors import replace_names
from zcp.study.greenfactory.fits import run_plan
from zcp.study.results import Deposit

T = TypeVar("T", pd.Series, pd.DataFrame)
CELL = ["space", "dataset"]
CODINGS = ("one-hot", "descriptors", "ranks")
MODEL = "extra trees"
SETTINGS = {"max_features": 0.5, "min_samples_leaf": 2, "bootstrap": False}


class Plan(NamedTuple):
    """One fit: a scenario, and the space or dataset that is left out of training (empty: none)."""

    scenario: str
    left_out: str
    coding: str


def plans(examples: Examples) -> Iterator[Plan]:
    """Yield every fit of a seed."""
    for coding in CODINGS:
        yield Plan("within", "", coding)
        for scenario, column in (("leave dataset out", "dataset"), ("leave space out", "space")):
            found = sorted(examples.labels[column].unique())
            for name in found if len(found) > 1 else []:
                yield Plan(scenario, name, coding)


def code_rows(examples: Examples, coding: str, descriptors: pd.DataFrame) -> pd.DataFrame:
    """Return the features of all rows in a coding."""
    if coding == "one-hot":
        return examples.features
    datasets = examples.labels["dataset"]
    if coding == "descriptors":
        return replace_names(examples.features, datasets, descriptors)
    return _ranks_in_cells(examples.features.drop(columns=ONE_HOT), examples.labels)


def _ranks_in_cells(values: T, labels: pd.DataFrame) -> T:
    """Return ranks within each cell as shares of its size; what does not exist ranks lowest."""
    known = values.where(usable(values), -np.inf)
    ranks: T = known.groupby([labels["space"], labels["dataset"]]).rank(pct=True)
    return ranks


def evaluate(examples: Examples, plan: Plan, descriptors: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Fit without what is left out and measure on test rows of it, or of every cell where nothing is.

    Returns:
        scenario, left_out, coding, seed, space, dataset, n, train (rows), kendall (signed), rmse (percent).
    """
    parts, features = split(examples, "isomorphic", seed), code_rows(examples, plan.coding, descriptors)
    labels, accuracy = examples.labels, examples.accuracy.to_numpy()
    foreign = ((labels["space"] == plan.left_out) | (labels["dataset"] == plan.left_out)).to_numpy()
    seen = np.concatenate([parts.train, parts.validation])
    train = seen[~foreign[seen]]
    known = accuracy[train]
    if by_rank := plan.coding == "ranks":
        known = _ranks_in_cells(pd.Series(known), labels.iloc[train].reset_index(drop=True)).to_numpy()
    test = parts.test[foreign[parts.test]] if plan.left_out else parts.test
    model = CANDIDATES[MODEL].build(SETTINGS, seed).fit(features.iloc[train], known)
    predicted, rows = model.predict(features.iloc[test]), []
    for (space, dataset), cell in labels.iloc[test].reset_index(drop=True).groupby(CELL):
        at = cell.index.to_numpy()
        row = {**plan._asdict(), "seed": seed, "space": space, "dataset": dataset, "n": len(at)}
        row |= {"train": len(train), "kendall": kendall(predicted[at], accuracy[test][at])}
        error = float("nan") if by_rank else rmse(predicted[at], accuracy[test][at])
        rows.append(row | {"rmse": error})
    return pd.DataFrame(rows)


def best_proxy(examples: Examples, seed: int) -> pd.DataFrame:
    """Measure, in each cell, the proxy that is best on average over the training rows of the other cells.

    Returns:
        seed, space, dataset, proxy, kendall (absolute): what transfers without any model.
    """
    parts = split(examples, "isomorphic", seed)
    seen, test = examples.take(np.concatenate([parts.train, parts.validation])), examples.take(parts.test)
    proxies = [c for c in map(str, examples.features) if c not in ONE_HOT]
    known = {key: _proxy_taus(seen, rows, proxies) for key, rows in _cells(seen)}
    rows = []
    for key, at in _cells(test):
        others = [taus for other, taus in known.items() if other != key] or [known[key]]
        name = str(pd.concat(others, axis=1).mean(axis=1).idxmax())
        tau = _proxy_taus(test, at, [name])[name]
        rows.append({"seed": seed, "space": key[0], "dataset": key[1], "proxy": name, "kendall": tau})
    return pd.DataFrame(rows)


def _cells(examples: Examples) -> list[tuple[tuple[str, str], np.ndarray]]:
    found = examples.labels.reset_index(drop=True).groupby(CELL)
    return [((str(key[0]), str(key[1])), cell.index.to_numpy()) for key, cell in found]


def _proxy_taus(examples: Examples, rows: np.ndarray, proxies: Sequence[str]) -> pd.Series:
    accuracy = examples.accuracy.to_numpy()[rows]
    taus = {p: abs_kendall(examples.features[p].to_numpy()[rows], accuracy) for p in proxies}
    return pd.Series(taus).fillna(0.0)


def study(examples: Examples, descriptors: pd.DataFrame, seeds: Sequence[int], *, jobs: int = 1) -> Deposit:
    """Run every plan; the deposit `transfer-<target>` holds `cells`, `summary`, `proxies`, `descriptors`."""
    start = time.perf_counter()
    work = [(plan, descriptors, seed) for seed in seeds for plan in plans(examples)]
    cells = pd.concat(run_plan(evaluate, examples, work, jobs=jobs), ignore_index=True)
    proxies = pd.concat([best_proxy(examples, seed) for seed in seeds], ignore_index=True)
    tables = {"cells": cells, "summary": summarise(cells), "proxies": proxies, "descriptors": descriptors}
    settings = {"target": examples.target, "seeds": list(seeds), "model": MODEL, **SETTINGS}
    provenance = examples.provenance(time.perf_counter() - start)
    return Deposit(f"transfer-{examples.target}", settings, tables, provenance)


def summarise(cells: pd.DataFrame) -> pd.DataFrame:
    """Return means over seeds, and the deviation of Kendall's, per scenario, coding and cell."""
    aims = {name: (name, "mean") for name in ("kendall", "rmse", "n", "train")}
    groups = cells.groupby(["scenario", "coding", *CELL], sort=False)
    return groups.agg(**aims, kendall_std=("kendall", "std"), seeds=("seed", "nunique")).reset_index()


def check(examples: Examples, deposit: Deposit) -> pd.DataFrame:
    """Run the plans of one coding that leave a dataset out anew, with the first seed, and compare.

    Raises:
        DisagreementError: if a count differs, or another value by more than its measured tolerance.
    """
    seed, descriptors = deposit.settings["seeds"][0], deposit.tables["descriptors"]
    mine = [p for p in plans(examples) if p.scenario == "leave dataset out" and p.coding == "ranks"]
    live = pd.concat([evaluate(examples, plan, descriptors, seed) for plan in mine], ignore_index=True)
    keys = ["scenario", "left_out", "coding", "seed", *CELL]
    return agree(live, deposit, "cells", keys=keys, measured=["kendall", "rmse"], exact=["n"])
