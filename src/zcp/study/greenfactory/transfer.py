"""Transfer: predicting on a dataset or a search space that no training row has.

All fits of a seed share one leak-free split, and are measured on its test rows. `within` trains on all
cells: what transfer loses is the difference to it. How rows say where they come from is varied: `one-hot`
dataset (useless for a new one), `descriptors` (`zcp.study.greenfactory.descriptors`), or `ranks`: every
proxy is replaced by its rank within its cell, which needs the scores of a population there, and no accuracy.
What `ranks` predicts is a rank, too, as nothing then tells one dataset's level from another's; it has no
RMSE. Beside them stand

* `chosen`: the coding that transfers best inside the training cells (`rank_coding`). The best of the three on
  the test rows would be a maximum of three draws.
* `best proxy`: the single proxy, with its sign, that correlates most on average over the training cells.
"""

import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pandas as pd

from zcp.analysis.metrics import kendall, rmse
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
#: Trees of a fit, and of one that only chooses a coding.
TREES, INNER_TREES = 100, 25
KEYS = ["scenario", "left_out", "coding", "seed", *CELL]


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


def _is_foreign(examples: Examples, left_out: str) -> np.ndarray:
    """Return which rows are of the space or dataset that is left out, shape (rows,)."""
    return (examples.labels[CELL] == left_out).any(axis=1).to_numpy()


def _fit_and_measure(
    examples: Examples,
    features: pd.DataFrame,
    parts: tuple[np.ndarray, np.ndarray],
    by_rank: bool,
    model: Any,
) -> pd.DataFrame:
    """Fit on the first rows and measure on the second: space, dataset, n, train, kendall, rmse."""
    train, test = parts
    known, accuracy = examples.accuracy.iloc[train], examples.accuracy.to_numpy()
    if by_rank:
        known = _ranks_in_cells(known, examples.labels.iloc[train])
    predicted = model.fit(features.iloc[train], known).predict(features.iloc[test])
    rows = []
    for key, at in _cells(examples.labels.iloc[test]):
        found, measured = predicted[at], accuracy[test][at]
        error = float("nan") if by_rank else rmse(found, measured)
        row = {**dict(zip(CELL, key, strict=True)), "n": len(at), "train": len(train)}
        rows.append({**row, "kendall": kendall(found, measured), "rmse": error})
    return pd.DataFrame(rows)


def _build(trees: int, seed: int) -> Any:
    model = CANDIDATES[MODEL].build(SETTINGS, seed)
    model[-1].set_params(n_estimators=trees)
    return model


def evaluate(examples: Examples, plan: Plan, descriptors: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Fit without what is left out and measure on test rows of it, or of every cell where nothing is.

    Returns:
        scenario, left_out, coding, seed, choice (empty), space, dataset, n, train (rows), kendall (signed),
        rmse (percent).
    """
    rows, features = _rows_of(examples, plan.left_out, seed), code_rows(examples, plan.coding, descriptors)
    found = _fit_and_measure(examples, features, rows, plan.coding == "ranks", _build(TREES, seed))
    return found.assign(**plan._asdict(), seed=seed, choice="")


def _rows_of(examples: Examples, left_out: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the training rows without what is left out, and the test rows (of it alone, if anything is)."""
    parts, foreign = split(examples, "isomorphic", seed), _is_foreign(examples, left_out)
    seen = np.concatenate([parts.train, parts.validation])
    return seen[~foreign[seen]], parts.test[foreign[parts.test]] if left_out else parts.test


def rank_coding(examples: Examples, plan: Plan, descriptors: pd.DataFrame, seed: int) -> dict[str, Any]:
    """Measure how well a coding does inside the training part: its fits see no test row and nothing left out.

    `within` is measured on the validation rows; the others on validation rows of each remaining dataset when
    it is left out, too. (With one space left there is no other to leave out.)

    Returns:
        The plan, seed and `inner`: mean Kendall correlation over the cells that were measured.
    """
    parts, features = split(examples, "isomorphic", seed), code_rows(examples, plan.coding, descriptors)
    own = ~_is_foreign(examples, plan.left_out)
    remaining = sorted(examples.labels.loc[own, "dataset"].unique()) if plan.left_out else [""]
    taus = []
    for name in remaining:
        foreign = _is_foreign(examples, name)
        train, held = parts.train[own[parts.train]], parts.validation[own[parts.validation]]
        rows = train[~foreign[train]], held[foreign[held]] if name else held
        model = _build(INNER_TREES, seed)
        taus.append(_fit_and_measure(examples, features, rows, plan.coding == "ranks", model)["kendall"])
    return {**plan._asdict(), "seed": seed, "inner": float(pd.concat(taus).mean())}


def take_chosen(cells: pd.DataFrame, inner: pd.DataFrame) -> pd.DataFrame:
    """Return the cells of the coding that was best inside the training part, under the coding `chosen`."""
    groups = ["scenario", "left_out", "seed"]
    best = inner.loc[inner.groupby(groups)["inner"].idxmax(), [*groups, "coding"]]
    mine = cells.merge(best, on=[*groups, "coding"])
    return mine.assign(choice=mine["coding"], coding="chosen")


def measure_proxy(examples: Examples, plan: Plan, seed: int) -> pd.DataFrame:
    """Measure the proxy that is best on average over the training cells, as `evaluate` does.

    Its direction is learnt there, too, so that its correlation is signed as a model's is. `choice` is its
    name, with a minus where smaller is better.
    """
    train, test = _rows_of(examples, plan.left_out, seed)
    proxies = [c for c in map(str, examples.features) if c not in ONE_HOT]
    taus = pd.concat(
        [_taus(examples, train[at], proxies) for _, at in _cells(examples.labels.iloc[train])], axis=1
    )
    mean = taus.mean(axis=1)
    name = str(mean.abs().idxmax())
    sign = -1.0 if mean[name] < 0 else 1.0
    rows: list[dict[str, Any]] = []
    for key, at in _cells(examples.labels.iloc[test]):
        row = {**plan._asdict(), "coding": "best proxy", "seed": seed, "choice": f"{'-' * (sign < 0)}{name}"}
        row |= {**dict(zip(CELL, key, strict=True)), "n": len(at), "train": len(train)}
        rows.append({**row, "kendall": _taus(examples, test[at], [name], sign)[name], "rmse": float("nan")})
    return pd.DataFrame(rows)


def _cells(labels: pd.DataFrame) -> list[tuple[tuple[str, str], np.ndarray]]:
    found = labels.reset_index(drop=True).groupby(CELL)
    return [((str(key[0]), str(key[1])), cell.index.to_numpy()) for key, cell in found]


def _taus(examples: Examples, rows: np.ndarray, proxies: Sequence[str], sign: float = 1.0) -> pd.Series:
    """Return Kendall's correlation of each proxy, times `sign`, over some rows; 0 where there is none."""
    accuracy, features = examples.accuracy.to_numpy()[rows], examples.features
    return pd.Series({p: kendall(sign * features[p].to_numpy()[rows], accuracy) for p in proxies}).fillna(0.0)


def study(examples: Examples, descriptors: pd.DataFrame, seeds: Sequence[int], *, jobs: int = 1) -> Deposit:
    """Run every plan; the deposit `transfer-<target>` holds `cells`, `summary`, `inner`, `descriptors`."""
    start = time.perf_counter()
    work = [(plan, descriptors, seed) for seed in seeds for plan in plans(examples)]
    alone = [(plan, seed) for plan, _, seed in work if plan.coding == CODINGS[0]]
    fitted = pd.concat(run_plan(evaluate, examples, work, jobs=jobs), ignore_index=True)
    inner = pd.DataFrame(run_plan(rank_coding, examples, work, jobs=jobs))
    proxies = run_plan(measure_proxy, examples, alone, jobs=jobs)
    cells = pd.concat([fitted, take_chosen(fitted, inner), *proxies], ignore_index=True)
    tables = {"cells": cells, "summary": summarise(cells), "inner": inner, "descriptors": descriptors}
    settings = {"target": examples.target, "seeds": list(seeds), "model": MODEL, "trees": TREES, **SETTINGS}
    provenance = examples.provenance(time.perf_counter() - start)
    return Deposit(f"transfer-{examples.target}", settings, tables, provenance)


def summarise(cells: pd.DataFrame) -> pd.DataFrame:
    """Return means over seeds, and the deviation of Kendall's, per scenario, coding and cell."""
    aims = {name: (name, "mean") for name in ("kendall", "rmse", "n", "train")}
    groups = cells.groupby(["scenario", "coding", *CELL], sort=False)
    return groups.agg(**aims, kendall_std=("kendall", "std"), seeds=("seed", "nunique")).reset_index()


def check(examples: Examples, deposit: Deposit) -> pd.DataFrame:
    """Leave one dataset out anew, with the first seed, and compare: errors, ranks, and the best proxy.

    Raises:
        DisagreementError: if a count differs, or another value by more than its measured tolerance.
    """
    seed, descriptors = deposit.settings["seeds"][0], deposit.tables["descriptors"]
    left_out = min(examples.labels["dataset"])
    mine = [Plan("leave dataset out", left_out, coding) for coding in ("descriptors", "ranks")]
    found = [evaluate(examples, plan, descriptors, seed) for plan in mine]
    live = pd.concat([*found, measure_proxy(examples, mine[0], seed)], ignore_index=True)
    return agree(live, deposit, "cells", keys=KEYS, measured=["kendall", "rmse"], exact=["n", "train"])
