"""The checks of the pages on ensembles, on made-up rows."""

import pandas as pd
from checking import Case, case, of_live, of_rows, unmeasured
from ensembles import make_examples

from zcp.data.datasets import DATASETS
from zcp.ensemble.examples import Examples
from zcp.ensemble.splits import split
from zcp.study.cost.costs import Costs
from zcp.study.greenfactory import (
    ceiling,
    descriptors,
    elimination,
    evaluation,
    growing,
    histograms,
    intervals,
    leaks,
    learning_curves,
    nested,
    selection,
    transfer,
    tuning,
)

PROXIES = ("params", "flops", "zico", "naswot")
COSTS = Costs({name: cost for cost, name in enumerate(PROXIES, 1)}, {name: [name] for name in PROXIES})
ENSEMBLE = evaluation.Ensemble(
    ["params", "zico"], {"n_estimators": 5, "max_features": 2, "min_samples_leaf": 1}
)


@case("selection.check", "params", fits=True)
def _selection() -> Case:
    names = ["Decision Tree", "Linear"]
    live = lambda rows: selection.compare_regressors(rows, [0], regressors=names)  # noqa: E731
    return of_live(make_examples(20), live, "fits", selection.check)


@case("elimination.check", "params", fits=True)
def _elimination() -> Case:
    rows = make_examples(20)
    deposit = elimination.study(rows, COSTS, scheme="grouped", seed=0, keep=False)
    return of_rows(rows, deposit, elimination.check)


@case("tuning.check", "params", fits=True)
def _tuning() -> Case:
    rows, picks = make_examples(20), {"GreenFactory": list(PROXIES), "GreenFactory-Fast": ["params"]}
    deposit = tuning.study(rows, picks, 4, scheme="random", seed=0, storage=None)
    return of_rows(rows, deposit, tuning.check, 2)


@case("evaluation.check", "params", fits=True)
def _evaluation() -> Case:
    def live(rows: Examples) -> pd.DataFrame:
        parts = split(rows, "random", 0)
        test = rows.take(parts.test)
        predicted = {"GreenFactory": ENSEMBLE.predict(ENSEMBLE.fit(rows, parts.train, 0), test)}
        return evaluation.measure(test, predicted).assign(scheme="random", seed=0)

    return of_live(make_examples(40), live, "cells", evaluation.check)


@case("growing.check", "params", fits=True)
def _growing() -> Case:
    rows = make_examples(40)
    return of_rows(rows, growing.study(rows, ENSEMBLE, [0], shares=[0.5]), growing.check)


@case("descriptors.check_images")
def _images() -> Case:
    return Case(descriptors.count_images(), lambda deposit, _: descriptors.check_images(deposit))


@case("leaks.check", "params", fits=True)
def _leaks() -> Case:
    rows = make_examples(30)
    return of_rows(rows, leaks.study(rows, ENSEMBLE, [0]), leaks.check)


@case("ceiling.check")
def _ceiling() -> Case:
    return Case(unmeasured(ceiling.study("valid", [0])), lambda deposit, _: ceiling.check(deposit))


@case("histograms.check")
def _histograms() -> Case:
    return Case(unmeasured(histograms.study("valid")), lambda deposit, _: histograms.check(deposit))


@case("nested.check", "params", fits=True)
def _nested() -> Case:
    rows = make_examples(40)
    deposit = nested.study(rows, COSTS, 1, 2, keep=False)
    return of_rows(rows, deposit, nested.check)


@case("transfer.check", "params", fits=True)
def _transfer() -> Case:
    numbers = {"classes": [10, 100, 120], "resolution": [32, 32, 16], "channels": 3}
    numbers |= {"samples": [50_000, 50_000, 151_700], "separability": [0.55, 0.56, 0.6]}
    rows, told = make_examples(30), pd.DataFrame({"dataset": list(DATASETS), **numbers})
    return of_rows(rows, transfer.study(rows, told, [0]), transfer.check)


@case("learning_curves.check", "params", fits=True)
def _learning_curves() -> Case:
    rows = make_examples(40)
    return of_rows(rows, learning_curves.study(rows, [0], sizes=[10]), learning_curves.check, 10)


@case("intervals.check", "params", fits=True)
def _intervals() -> Case:
    rows, found = make_examples(40), {"max_features": 0.8, "min_samples_leaf": 5}
    chosen = {"features": list(rows.features), "model": "extra trees", "hyperparameters": found}
    return of_rows(rows, intervals.study(rows, {0: chosen}), intervals.check)
