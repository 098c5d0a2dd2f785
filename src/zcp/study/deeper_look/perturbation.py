"""Perturbation-based operation selection with proxies (Zero-Cost-PT), on the cell of the topology space.

A supernet holds every operation on every edge. Edge by edge, in a random order, each operation is removed in
turn; the one whose removal costs the score most is the most important, and the edge keeps it alone.
"""

import time
from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd
import torch
from joblib import Parallel, delayed
from torch import Tensor, nn

from zcp import benchmarks
from zcp.analysis.scores import lowest, sign_of
from zcp.data.batches import Batch
from zcp.data.datasets import DATASETS
from zcp.scoring import score
from zcp.spaces import get_space
from zcp.spaces.cells import EDGES, OPERATIONS, CellNetwork, Nodes, chain, operation
from zcp.spaces.tss import format_cell
from zcp.statistics.initialisation import initialise
from zcp.statistics.seeding import generator, seed_for
from zcp.study.agreement import agree
from zcp.study.deeper_look.training import CLASSES
from zcp.study.results import Deposit
from zcp.versions import versions

WIDTH = 8
#: Images of Gaussian noise that every supernet is scored on.
SHAPE = (16, 3, 16, 16)
PROXIES = ("log_synflow", "naswot", "jacob_cov", "snip", "grad_norm", "fisher")
Choice = tuple[tuple[str, ...], ...]


class Mean(nn.ModuleList):
    """An edge of the supernet: the mean of several operations."""

    def forward(self, x: Tensor) -> Tensor:
        outputs = [module(x) for module in self]
        mean: Tensor = sum(outputs[1:], outputs[0]) / len(outputs)
        return mean


def mixed_cell(choices: Choice, width: int) -> Nodes:
    """Return a cell whose edges are means of several operations, all of one width."""
    return Nodes(Mean(operation(name, width, width) for name in names) for names in choices)


def build_supernet(choices: Choice, seed: int) -> CellNetwork:
    """Return a narrow network with one mixed cell a stage, from the operations of each edge of the cell."""
    network = chain([WIDTH << stage for stage in range(3)], partial(mixed_cell, choices), 1, CLASSES)
    initialise(network, "default", seed, "supernet")
    return network


def noise() -> list[Batch]:
    """Return the one batch that every supernet is scored on, classes in turn."""
    images = torch.randn(*SHAPE, generator=generator("supernet", "noise"))
    return [Batch(images, torch.arange(SHAPE[0]) % CLASSES)]


def select(proxy: str, seed: int) -> int:
    """Discretise the supernet with one proxy, and return the index of the architecture that is left.

    A removal after which the proxy is undefined counts as the most costly one. The seed decides the weights
    and the order of the edges.
    """
    sign = sign_of(proxy)
    choices: list[tuple[str, ...]] = [OPERATIONS] * len(EDGES)
    batch = noise()
    for edge in np.random.default_rng(seed_for("perturbation", seed)).permutation(len(EDGES)):
        left = {}
        for name in OPERATIONS:
            without = list(choices)
            without[edge] = tuple(other for other in OPERATIONS if other != name)
            value = score(build_supernet(tuple(without), seed), batch, [proxy], init="keep")[proxy]
            left[name] = float(lowest(sign * value))
        choices[edge] = (min(left, key=lambda name: left[name]),)
    return get_space("tss").index(format_cell(tuple(names[0] for names in choices)))


def study(
    targets: Sequence[str], seeds: Sequence[int], jobs: int = 1, proxies: Sequence[str] = PROXIES
) -> Deposit:
    """Return the deposit `perturbation`.

    Returns:
        Tables `chosen` (proxy, seed, index of the architecture that is left) and `summary` (see `summarise`;
        with the column target, one block for each of `targets`).
    """
    start = time.perf_counter()
    plan = [(proxy, seed) for proxy in proxies for seed in seeds]
    indices = Parallel(n_jobs=jobs)(delayed(select)(*each) for each in plan)
    chosen = pd.DataFrame(plan, columns=["proxy", "seed"]).assign(index=indices)
    parts = [summarise(look_up(chosen, target)).assign(target=target) for target in targets]
    settings = {"targets": list(targets), "seeds": list(seeds), "width": WIDTH}
    made = {"versions": versions(), "seconds": round(time.perf_counter() - start, 1)}
    tables = {"chosen": chosen, "summary": pd.concat(parts, ignore_index=True)}
    return Deposit("perturbation", settings, tables, made)


def look_up(chosen: pd.DataFrame, target: str) -> pd.DataFrame:
    """Return the place of chosen architectures (proxy, seed, index) in the space.

    Returns:
        proxy, seed, index, dataset, beaten (percent of the space with less accuracy).
    """
    parts = []
    for dataset in DATASETS:
        accuracy = benchmarks.load("tss").accuracy(dataset, target)
        beaten = 100 * (accuracy.rank(method="min") - 1) / len(accuracy)
        parts.append(chosen.assign(dataset=dataset, beaten=chosen["index"].map(beaten)))
    return pd.concat(parts, ignore_index=True)


def summarise(found: pd.DataFrame) -> pd.DataFrame:
    """Return proxy, dataset, beaten (mean over seeds), least, most, seeds."""
    groups = found.groupby(["proxy", "dataset"], sort=False)
    return groups.agg(
        beaten=("beaten", "mean"),
        least=("beaten", "min"),
        most=("beaten", "max"),
        seeds=("seed", "nunique"),
    ).reset_index()


def check(deposit: Deposit, proxy: str) -> pd.DataFrame:
    """Repeat the first seed of one proxy and compare the architecture.

    Raises:
        DisagreementError: if another one is left.
    """
    seed = deposit.settings["seeds"][0]
    live = pd.DataFrame([(proxy, seed, select(proxy, seed))], columns=["proxy", "seed", "index"])
    return agree(live, deposit, "chosen", keys=["proxy", "seed"], exact=["index"])
