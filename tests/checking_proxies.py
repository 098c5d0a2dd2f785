"""The checks of the pages on proxies and searches, on made-up rows."""

from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
from checking import Case, case, of_rows, topologies, unmeasured

from zcp.spaces import get_space
from zcp.study import correlations, results
from zcp.study.deeper_look import (
    biases,
    combination,
    comparison,
    decay,
    perturbation,
    predictor,
    search,
    small_tasks,
    spaces,
    training,
)
from zcp.study.own_networks import coverage
from zcp.study.results import Deposit

SHORT = training.Recipe(epochs=2, width=4, scored=16)
FEW = [search.Strategy("random"), search.Strategy("pool", "jacob_cov")]


@case("correlations.check", "jacob_cov")
def _correlations() -> Case:
    rows = topologies()
    check = lambda each, deposit: correlations.check([each], deposit)  # noqa: E731
    return of_rows(rows, correlations.study(rows), check)


@case("spaces.check")
def _spaces() -> Case:
    return Case(results.read("deeper_darts"), lambda deposit, _: spaces.check("darts", deposit))


@case("comparison.check", "params", "jacob_cov")
def _comparison() -> Case:
    rows = topologies()

    def live(features: pd.DataFrame) -> list[comparison.Scored]:
        return [comparison.Scored("ours", "tss", "cifar10", features, rows.accuracy)]

    pairs = comparison.correlate_pairs(live(rows.features)[0])
    run = lambda deposit, features: comparison.check(live(features), deposit)  # noqa: E731
    return Case(Deposit("made-up", {}, {"pairs": pairs}), run, rows.features)


@case("decay.check", "snip")
def _decay() -> Case:
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"index": range(30), "seed": 0, "epoch": 0, "loss": np.nan, "accuracy": 10.0})
    table = table.assign(**{proxy: rng.normal(size=30) for proxy in training.PROXIES})
    rows = pd.concat([table, table.assign(epoch=1, accuracy=rng.uniform(50, 90, 30), loss=0.5)])
    deposit = unmeasured(decay.study("digits", rows, SHORT, 1.0))
    return Case(deposit, lambda against, live: decay.check(live, against), rows)


@case("decay.retrain")
def _retrain() -> Case:
    rows = pd.DataFrame(training.train(1462, small_tasks.load_task("digits"), SHORT, 0, epochs=1))
    run = lambda deposit, _: decay.retrain("digits", deposit.tables["rows"], SHORT, [1462])  # noqa: E731
    return Case(Deposit("made-up", {}, {"rows": rows}), run)


@case("combination.check", "params")
def _combination() -> Case:
    rows = topologies()
    return of_rows(rows, combination.study(rows, [0]), combination.check)


@case("predictor.check", "jacob_cov", fits=True)
def _predictor() -> Case:
    rows = topologies().take(np.arange(70))
    return of_rows(rows, predictor.study(rows, [0]), predictor.check, "cifar10")


@case("search.check")
def _search() -> Case:
    rows = topologies()
    runs = search.run(rows, "cifar10", [0], 150, FEW)
    deposit = Deposit("made-up", {"seeds": [0], "budget": 150}, {"runs": runs})
    return of_rows(rows, deposit, search.check, FEW)


@case("biases.check", "params", "snip")
def _biases() -> Case:
    rows = topologies()
    labels = rows.labels.assign(arch=rows.labels["index"].map(get_space("tss").arch))

    def load(features: pd.DataFrame) -> Any:
        table = labels.join(features)
        return patch.object(biases, "load_scores", lambda name: table)

    with load(rows.features):
        found = biases.correlate(biases.load_scores(""))

    def run(deposit: Deposit, features: pd.DataFrame) -> Any:
        with load(features):
            return biases.check("", deposit)

    return Case(Deposit("made-up", {}, {"biases": found}), run, rows.features)


@case("perturbation.check")
def _perturbation() -> Case:
    deposit = unmeasured(perturbation.study(["valid"], [0], proxies=["params"]))
    return Case(deposit, lambda against, _: perturbation.check(against, "params"))


@case("coverage.check")
def _coverage() -> Case:
    return Case(results.read(coverage.NAME), lambda deposit, _: coverage.check(deposit, ["resnet"]))
