"""The checks of the study's pages on made-up rows, small enough to be run again and again.

`CASES` holds each by the name that a page calls it by, once `checking_ensembles` and `checking_proxies` are
imported. What a check computes live, it computes here from a
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
from joblib import Memory
from sklearn.linear_model import Ridge

from zcp.data.images import ImageSet
from zcp.ensemble.examples import Examples
from zcp.spaces import get_space
from zcp.spaces.tss import parse_cell
from zcp.study import results
from zcp.study.results import Deposit


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
        "zcp.study.greenfactory.descriptors.image_digests": lambda names: dict.fromkeys(names, "0" * 64),
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
