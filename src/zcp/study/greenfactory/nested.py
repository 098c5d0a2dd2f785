"""Nested evaluation: everything is chosen inside the training part, and the test part is read once.

Each outer split holds out networks, in all their rows and under all their names, and tests one name of each.
Inside the rest every contender's features, model and hyperparameters are chosen
(`zcp.study.greenfactory.choosing`), fitted anew on all of the rest, and measured on the networks held out;
intervals and the region that they hold for are made of the rest, too. What ships is the same made of all rows
(`zcp.study.greenfactory.release`).
"""

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from zcp.analysis.metrics import SEARCH, kendall, rmse
from zcp.analysis.scores import lowest
from zcp.ensemble.candidates import CANDIDATES
from zcp.ensemble.examples import Examples
from zcp.ensemble.region import measure as measure_region
from zcp.ensemble.splits import split
from zcp.study.agreement import agree
from zcp.study.cost.costs import Costs
from zcp.study.greenfactory.architectures import choose_columns
from zcp.study.greenfactory.choosing import (
    CELL,
    CLOSE,
    FITTED,
    JUDGED,
    STARTUP,
    choose,
    repeat_trials,
)
from zcp.study.greenfactory.fits import run_plan
from zcp.study.greenfactory.intervals import residuals_out_of_fold, widths
from zcp.study.greenfactory.populations import larger_is_better, mean_of_ranks, vote
from zcp.study.greenfactory.verdicts import compare, summarise
from zcp.study.results import Deposit, compare_all

SCHEME = "isomorphic"
#: The split of which all rows are the training part.
ALL_ROWS = -1
MEASURES = ("kendall", "rmse", *SEARCH)


class Contender(NamedTuple):
    """What a model may see, and how its features are chosen; see `zcp.study.greenfactory.choosing.choose`."""

    columns: str
    subset: str


CONTENDERS = {
    "GreenFactory": Contender("proxies", "best"),
    "GreenFactory-Fast": Contender("proxies", "cheapest"),
    "architecture": Contender("encoding", "all"),
    "architecture and proxies": Contender("both", "all"),
}
#: Those that ship: they see nothing that a network of one's own lacks.
ENSEMBLES = tuple(name for name, contender in CONTENDERS.items() if contender.columns == "proxies")


def outer(examples: Examples, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of the training part and of the test part; all and none for `ALL_ROWS`."""
    if seed == ALL_ROWS:
        return np.arange(len(examples)), np.arange(0)
    parts = split(examples, SCHEME, seed)
    return np.sort(np.concatenate([parts.train, parts.validation])), np.sort(parts.test)


def order_by_cost(examples: Examples, costs: Costs) -> list[str]:
    """Return the proxies of the examples, cheapest first."""
    proxies = [str(name) for name in examples.features if "=" not in str(name)]
    return sorted(proxies, key=lambda name: (costs([name]), name))


def choose_in(examples: Examples, name: str, order: Sequence[str], trials: int, seed: int) -> dict[str, Any]:
    """Return what a contender chooses inside the training part of a split, as JSON values."""
    training = examples.take(outer(examples, seed)[0])
    return choose(training, *CONTENDERS[name], order, trials, max(seed, 0))._asdict()


def measure_in(
    examples: Examples, name: str, chosen: Mapping[str, Any], seed: int, calibrate: bool = True
) -> dict[str, list[dict[str, Any]]]:
    """Fit a choice on the training part of a split and measure it on the test part.

    Returns:
        cells (see `_measure`; beside it inside: the share of test rows that are like the training rows) and
        coverage (level, n, coverage: share of these rows within their interval, width: half of it, percent);
        none where it is not to be calibrated.
    """
    training, test = outer(examples, seed)
    kind = CONTENDERS[name].columns
    features = choose_columns(examples, kind)[chosen["features"]]
    seen, held = examples.take(training), examples.take(test)
    fitted, asked = features.iloc[training], features.iloc[test]
    model = CANDIDATES[chosen["model"]].build(chosen["hyperparameters"], max(seed, 0))
    predicted = np.asarray(model.fit(fitted, seen.accuracy).predict(asked), float)
    cells = _measure(held, predicted, name, seed, accuracies=True)
    told: dict[str, list[dict[str, Any]]] = {"cells": cells, "coverage": []}
    if kind != "proxies" or not calibrate:
        return told
    inside = _inside(fitted, seen.labels, asked, held.labels)
    half = widths(residuals_out_of_fold(model, _replace(seen, fitted)), seen.labels)
    errors = held.labels[CELL].assign(error=np.abs(held.accuracy - predicted))[inside]
    rows = []
    for level, found in errors.merge(half, on=CELL).groupby([*CELL, "level"]):
        within = float((found["error"] <= found["width"]).mean())
        key = dict(zip([*CELL, "level"], level, strict=True))
        rows.append({"name": name, "seed": seed, **key, "n": len(found), "coverage": within}
                    | {"width": float(found["width"].iloc[0])})  # fmt: skip
    shares = pd.Series(inside).groupby([held.labels[key].to_numpy() for key in CELL]).mean()
    for cell in cells:
        cell["inside"] = float(shares[cell["space"], cell["dataset"]])
    return told | {"coverage": rows}


def _replace(examples: Examples, features: pd.DataFrame) -> Examples:
    return Examples(features, examples.accuracy, examples.labels, examples.target, examples.origin)


def _inside(
    fitted: pd.DataFrame, seen: pd.DataFrame, asked: pd.DataFrame, labels: pd.DataFrame
) -> np.ndarray:
    """Return whether each asked row is like the fitted rows of its cell."""
    found = np.zeros(len(asked), bool)
    for cell, region in measure_region(fitted, seen).items():
        at = (labels["space"] + " " + labels["dataset"]).eq(cell).to_numpy()
        found[at] = region.holds(asked[at])
    return found


def _measure(
    test: Examples, values: np.ndarray, name: str, seed: int, *, accuracies: bool
) -> list[dict[str, Any]]:
    """Return a row a cell: name, seed, space, dataset, n, and `MEASURES`; no RMSE of what is no accuracy."""
    rows = []
    for (space, dataset), cell in test.labels.reset_index(drop=True).groupby(CELL):
        given, truth = values[cell.index], test.accuracy.to_numpy()[cell.index]
        row = {"name": name, "seed": seed, "space": space, "dataset": dataset, "n": len(cell)}
        row |= {"kendall": kendall(given, truth), "rmse": rmse(given, truth) if accuracies else float("nan")}
        rows.append(row | {measure: of(given, truth) for measure, of in SEARCH.items()})
    return rows


def baselines(examples: Examples, seed: int) -> list[dict[str, Any]]:
    """Measure on the test part what needs no search; it knows accuracies of the training part only.

    That is the parameters; the mean of ranks, in documented directions and in those of the training rows; of
    each cell the proxy that ranks the training rows best, in its better direction; the vote; and the cell's
    mean accuracy, which orders nothing.
    """
    training, test = outer(examples, seed)
    seen, held, documented = examples.take(training), examples.take(test), larger_is_better(examples)
    turned, best, means = documented.copy(), np.zeros(len(test)), np.zeros(len(test))
    for cell, known in seen.labels.reset_index(drop=True).groupby(CELL):
        at = training[known.index]
        rows = examples.labels[CELL].eq(cell).all(axis=1).to_numpy()
        accuracy, top = examples.accuracy.to_numpy()[at], ("", -2.0)
        for name, column in documented.items():
            ways = {sign: np.nan_to_num(kendall(sign * column.to_numpy()[at], accuracy)) for sign in (1, -1)}
            sign = max(ways, key=lambda way: ways[way])
            turned.loc[rows, name] = lowest(sign * column[rows])
            top = max(top, (str(name), ways[sign]), key=lambda found: found[1])
        asked = rows[test]
        best[asked], means[asked] = turned[top[0]].to_numpy()[test][asked], accuracy.mean()
    ranked = {
        "mean of ranks": mean_of_ranks(documented, examples.labels),
        "mean of ranks, turned": mean_of_ranks(turned, examples.labels),
        "vote": vote(examples),
    }
    values = {name: score.to_numpy()[test] for name, score in ranked.items() if score is not None}
    if "params" in held.features:
        values["params"] = held.features["params"].to_numpy()
    found = _measure(held, means, "mean of the cell", seed, accuracies=True)
    for name, scores in {**values, "best proxy": best}.items():
        found += _measure(held, scores, name, seed, accuracies=False)
    return found


def study(
    examples: Examples, costs: Costs, splits: int, trials: int, *, jobs: int = 1, keep: bool = True
) -> Deposit:
    """Return the deposit `nested-<target>`.

    Its tables are `cells` and `coverage` of every split, their `summary` and `gains`, the `choices` (of every
    split, and of `ALL_ROWS` for what ships), their `steps` and `trials`.
    """
    order, seeds = order_by_cost(examples, costs), list(range(splits))
    plan = [(name, order, trials, seed) for seed in seeds for name in CONTENDERS]
    plan += [(name, order, trials, ALL_ROWS) for name in ENSEMBLES]
    start = time.perf_counter()
    chosen = run_plan(choose_in, examples, plan, jobs=jobs, keep=keep)
    keys = [{"name": name, "seed": seed} for name, *_, seed in plan]
    fitted = [
        (key["name"], {part: choice[part] for part in ("features", "model", "hyperparameters")}, key["seed"])
        for key, choice in zip(keys, chosen, strict=True)
        if key["seed"] != ALL_ROWS
    ]
    measured = run_plan(measure_in, examples, fitted, jobs=jobs, keep=keep)
    plain = run_plan(baselines, examples, [(seed,) for seed in seeds], jobs=jobs, keep=keep)
    cells = pd.DataFrame([r for m in measured for r in m["cells"]] + [r for rows in plain for r in rows])
    tables = {
        "summary": summarise(cells), "gains": compare(cells, tuple(CONTENDERS)), "cells": cells,
        "coverage": pd.DataFrame([row for each in measured for row in each["coverage"]]),
        "choices": pd.DataFrame([key | _told(choice) for key, choice in zip(keys, chosen, strict=True)]),
    }  # fmt: skip
    for table in ("steps", "trials"):
        rows = [key | row for key, choice in zip(keys, chosen, strict=True) for row in choice[table]]
        tables[table] = pd.DataFrame(rows)
    settings = {"target": examples.target, "scheme": SCHEME, "seeds": seeds, "trials": trials}
    settings |= {"startup": STARTUP, "fitted": FITTED, "judged": JUDGED, "close": CLOSE, "order": order}
    settings |= {"contenders": {name: contender._asdict() for name, contender in CONTENDERS.items()}}
    # What an earlier run kept took its time, too.
    seconds = max(time.perf_counter() - start, sum(choice["seconds"] for choice in chosen) / jobs)
    return Deposit(f"nested-{examples.target}", settings, tables, examples.provenance(seconds))


def _told(choice: Mapping[str, Any]) -> dict[str, Any]:
    told = {part: choice[part] for part in ("model", "kendall", "rmse", "seconds")}
    lists = {part: json.dumps(choice[part]) for part in ("features", "hyperparameters")}
    return told | lists | {"count": len(choice["features"])}


def read_choice(deposit: Deposit, name: str, seed: int) -> dict[str, Any]:
    """Return features, model and hyperparameters that a contender chose in a split."""
    table = deposit.tables["choices"]
    row = table[(table["name"] == name) & (table["seed"] == seed)].iloc[0]
    lists = {part: json.loads(row[part]) for part in ("features", "hyperparameters")}
    return {"model": str(row["model"]), **lists}


def check(examples: Examples, deposit: Deposit, trials: int = 2) -> list[pd.DataFrame]:
    """Measure what ships and the baselines anew on the first split, repeat trials of Fast, and compare.

    Raises:
        DisagreementError: if a count differs, or another value by more than its measured tolerance.
    """
    seed, fast = deposit.settings["seeds"][0], ENSEMBLES[-1]
    rows = baselines(examples, seed)
    for name in ENSEMBLES:
        rows += measure_in(examples, name, read_choice(deposit, name, seed), seed, calibrate=False)["cells"]
    cells = pd.DataFrame(rows)
    features = read_choice(deposit, fast, seed)["features"]
    training = examples.take(outer(examples, seed)[0])
    again = pd.DataFrame(repeat_trials(training, CONTENDERS[fast].columns, features, trials, seed))
    again = again.assign(name=fast, seed=seed)
    keys = ["name", "seed", *CELL]
    return compare_all(
        lambda: agree(cells, deposit, "cells", keys=keys, measured=MEASURES, exact=["n"], by=["name"]),
        lambda: agree(again, deposit, "trials", keys=["name", "seed", "trial"], measured=MEASURES[:2]),
    )
