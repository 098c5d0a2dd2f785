"""The checks of the study's pages on made-up rows, small enough to be run again and again.

`CASES` holds each by the name that a page calls it by. What a check computes live, it computes here from a
table of features, so that a test can shuffle a column of it.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np
import pandas as pd
from ensembles import make_examples
from joblib import Memory
from sklearn.linear_model import Ridge

from zcp.data.datasets import DATASETS
from zcp.data.images import ImageSet
from zcp.ensemble.examples import Examples
from zcp.ensemble.splits import split
from zcp.spaces import get_space
from zcp.spaces.tss import parse_cell
from zcp.study import correlations, results
from zcp.study.cost.costs import Costs
from zcp.study.deeper_look import (
    biases,
    combination,
    comparison,
    decay,
    perturbation,
    predictor,
    search,
    spaces,
    training,
)
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
from zcp.study.own_networks import coverage
from zcp.study.results import Deposit

PROXIES = ("params", "flops", "zico", "naswot")
COSTS = Costs({name: cost for cost, name in enumerate(PROXIES, 1)}, {name: [name] for name in PROXIES})
ENSEMBLE = evaluation.Ensemble(
    ["params", "zico"], {"n_estimators": 5, "max_features": 2, "min_samples_leaf": 1}
)
SHORT = training.Recipe(epochs=2, width=4, scored=16)
FEW = [search.Strategy("random"), search.Strategy("pool", "jacob_cov")]


class Case(NamedTuple):
    """A check.

    Attributes:
        deposit: one that agrees.
        run: calls the check with a deposit and with features that live values are computed from.
        features: those that the deposit was made of; None where no live value is made of any.
    """

    deposit: Deposit
    run: Callable[[Deposit, Any], Any]
    features: pd.DataFrame | None = None


Maker = Callable[[], Case]
CASES: dict[str, Maker] = {}
#: The checks that are made of features -> columns that matter, and those that fit a model.
INFORMS: dict[str, tuple[str, ...]] = {}
FITTING: list[str] = []


def case(name: str, *informs: str, fits: bool = False) -> Callable[[Maker], Maker]:
    """Enter what makes the case of a check, the features that matter, and whether a model is fitted."""

    def enter(make: Maker) -> Maker:
        CASES[name] = cache(make)
        INFORMS.update({name: informs} if informs else {})
        FITTING.extend([name] if fits else [])
        return make

    return enter


@contextmanager
def small() -> Iterator[None]:
    """Make forests and whatever else a check is made of small, and keep no fit."""
    rng = np.random.default_rng(0)
    images = ImageSet(
        rng.integers(0, 255, (20, 4, 4, 3)).astype(np.uint8), np.arange(20) % 4, results.RESULTS
    )
    patches = {
        "zcp.study.greenfactory.fits.MEMORY": Memory(None),
        "zcp.ensemble.candidates.TREES": 5,
        "zcp.study.greenfactory.transfer.TREES": 5,
        "zcp.study.greenfactory.transfer.INNER_TREES": 3,
        "zcp.study.greenfactory.bounds.build_describer": lambda space: Ridge(),
        "zcp.study.greenfactory.descriptors.load_images": lambda name: images,
        "zcp.study.deeper_look.search.accuracies": lambda dataset, target: convolutions(),
        "zcp.study.deeper_look.perturbation.SHAPE": (4, 3, 8, 8),
        "zcp.study.whole_space.COUNTED": ("params",),
    }
    with ExitStack() as stack:
        for name, value in patches.items():
            stack.enter_context(patch(name, value))
        ranges = "zcp.study.greenfactory.hyperparameters.RANGES"
        stack.enter_context(patch.dict(ranges, n_estimators=(2, 6)))
        yield


@cache
def convolutions() -> np.ndarray:
    """An accuracy of every topology: its 3x3 convolutions, and a little noise."""
    space = get_space("tss")
    counts = [parse_cell(space.arch(index)).count("nor_conv_3x3") for index in range(space.size)]
    return np.array(counts, float) + np.random.default_rng(0).uniform(0, 0.1, len(counts))


@cache
def topologies() -> Examples:
    """Cells with their parameters, half of what else matters (`jacob_cov`), and noise."""
    rng, space = np.random.default_rng(0), get_space("tss")
    index = np.arange(0, 15_600, 52)
    parameters = np.array([space.params(space.arch(int(i)), 10) for i in index], float)
    hidden = rng.normal(size=len(index))
    features = {"params": parameters, "flops": parameters**2, "snip": rng.normal(size=len(index))}
    features |= {"synflow": rng.normal(size=len(index)), "jacob_cov": hidden + rng.normal(0, 0.3, len(index))}
    accuracy = pd.Series(50 + 10 * parameters / parameters.max() + 5 * hidden)
    labels = pd.DataFrame({"space": "tss", "index": index, "dataset": "cifar10"})
    return Examples(pd.DataFrame(features), accuracy, labels, "valid", {"scores": "none"})


def of_rows(rows: Examples, deposit: Deposit, check: Callable[..., Any], *more: Any) -> Case:
    """Return the case of a check that takes examples and a deposit."""

    def run(against: Deposit, features: pd.DataFrame) -> Any:
        return check(replace(rows, features=features), against, *more)

    return Case(unmeasured(deposit), run, rows.features)


def of_live(
    rows: Examples, live: Callable[[Examples], pd.DataFrame], table: str, check: Callable[..., Any]
) -> Case:
    """Return the case of a check that takes a live table and a deposit."""

    def run(against: Deposit, features: pd.DataFrame) -> Any:
        return check(live(replace(rows, features=features)), against)

    return Case(Deposit("made-up", {"seeds": [0]}, {table: live(rows)}), run, rows.features)


def unmeasured(deposit: Deposit) -> Deposit:
    """Return the deposit under a name that no spread was measured for: only rounding is allowed."""
    return replace(deposit, name="made-up")


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


@case("correlations.check", "jacob_cov")
def _correlations() -> Case:
    rows = topologies()
    check = lambda each, deposit: correlations.check([each], deposit)  # noqa: E731
    return of_rows(rows, correlations.study(rows), check)


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
    return of_rows(rows, intervals.study(rows, "extra trees", found, [0]), intervals.check)


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
    rows = pd.DataFrame(training.train(1462, training_task(), SHORT, 0, epochs=1))
    run = lambda deposit, _: decay.retrain("digits", deposit.tables["rows"], SHORT, [1462])  # noqa: E731
    return Case(Deposit("made-up", {}, {"rows": rows}), run)


@cache
def training_task() -> Any:
    return decay.load_task("digits")


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
