"""A search on the topology space with and without proxies: how many queries reach the best 0.1 percent?

A query asks the benchmark for the accuracy of one architecture; one that is asked for again is free, as its
accuracy is known. Proxies are free as well: narrow networks' scores of the whole space. The optimiser is
Optuna's Tree-structured Parzen Estimator over the operations of the six edges.
"""

import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import optuna
import pandas as pd
from joblib import Parallel, delayed
from optuna.samplers import RandomSampler, TPESampler

from zcp import benchmarks
from zcp.deeper_look.whole_space import representatives, whole_space
from zcp.ensemble.examples import available_target
from zcp.errors import InputError
from zcp.provenance import versions
from zcp.results import Deposit, agree
from zcp.seeding import seed_for
from zcp.spaces import get_space
from zcp.spaces.cells import OPERATIONS
from zcp.spaces.tss import format_cell, parse_cell

EDGES = [f"edge{number}" for number in range(6)]
#: The best of 1,000: sixteen architectures of the topology space, more where accuracies are equal.
SHARE = 0.001
#: Networks that a proxy is asked about before the first query of a warm start, and how many are queried.
POOL, WARM = 1000, 10
#: Candidates of the optimiser of which a filter queries the best by the proxy.
CANDIDATES = 4
KEYS = ["dataset", "strategy", "proxy", "seed"]


class Strategy(NamedTuple):
    """A way to search: `random`, `tpe`, `warm` (TPE after a proxy's best of a pool), `filter` or `order`.

    Attributes:
        name: which; `filter` lets the proxy choose among the optimiser's candidates, after a warm start,
            and `order` queries the whole space in the order of the proxy, without an optimiser.
        proxy: a column of `zcp.deeper_look.whole_space.whole_space`, `vote` (the sum of the ranks of
            jacob_cov, naswot, log_synflow and flops), or empty.
    """

    name: str
    proxy: str = ""


PROXIES = ("flops", "log_synflow", "jacob_cov", "naswot", "vote")
STRATEGIES = (
    Strategy("random"),
    Strategy("tpe"),
    *(Strategy(name, proxy) for name in ("order", "warm", "filter") for proxy in PROXIES),
)


def proxy_scores(proxy: str) -> np.ndarray:
    """Return a proxy of all architectures in index order, shape (15625,); undefined ones rank last.

    Raises:
        InputError: if there is no such proxy of the whole space.
    """
    table = whole_space()
    if proxy == "vote":
        return table[["jacob_cov", "naswot", "log_synflow", "flops"]].rank().sum(axis=1).to_numpy(float)
    if proxy not in table:
        raise InputError(
            f"no proxy {proxy!r} of the whole space; choose of vote, {', '.join(map(str, table))}"
        )
    values = table[proxy].to_numpy(float)
    return np.where(np.isfinite(values), values, -np.inf)


def goal(accuracy: np.ndarray) -> float:
    """Return the accuracy that the best `SHARE` of the space reach, in the unit of `accuracy`."""
    best = max(1, round(SHARE * len(accuracy)))
    return float(np.sort(accuracy)[-best])


def search(accuracy: np.ndarray, strategy: Strategy, seed: int, budget: int) -> tuple[int, float]:
    """Search until the goal is reached or the budget is spent.

    Args:
        accuracy: of every architecture in index order, shape (15625,), finite.
        strategy: how.
        seed: of the optimiser, the pool and the order of ties.
        budget: most queries.

    Returns:
        (queries until the goal was reached, `budget` + 1 where it was not; best accuracy within the budget,
        of a search that stops at the goal).
    """
    target, queried, best = goal(accuracy), set[int](), -np.inf
    for index in _proposals(accuracy, strategy, seed):
        if index not in queried:
            queried.add(index)
            best = max(best, float(accuracy[index]))
        if best >= target:
            return len(queried), best
        if len(queried) >= budget:
            break
    return budget + 1, best


def _proposals(accuracy: np.ndarray, strategy: Strategy, seed: int) -> Iterator[int]:
    source = np.random.default_rng(seed_for("search", *strategy, seed))
    order = source.permutation(len(accuracy))
    if strategy.name == "order":
        yield from map(int, order[np.argsort(-proxy_scores(strategy.proxy)[order], kind="stable")])
        return
    number = seed_for("sampler", *strategy, seed) % 2**32
    random = strategy.name == "random"
    sampler = RandomSampler(number) if random else TPESampler(seed=number, n_startup_trials=WARM)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    scores = proxy_scores(strategy.proxy) if strategy.proxy else None
    if scores is not None:
        pool = order[:POOL]
        for index in pool[np.argsort(-scores[pool], kind="stable")][:WARM]:
            study.enqueue_trial(_parameters(int(index)))
    for turn in range(10 * len(accuracy)):
        many = CANDIDATES if strategy.name == "filter" and turn >= WARM else 1
        asked = [_ask(study) for _ in range(many)]
        trial, index = max(asked, key=lambda pair: scores[pair[1]] if scores is not None else 0.0)
        for other, _ in asked:
            if other is not trial:
                study.tell(other, state=optuna.trial.TrialState.FAIL)
        study.tell(trial, float(accuracy[index]))
        yield index


def _ask(study: optuna.Study) -> tuple[optuna.Trial, int]:
    trial = study.ask()
    cell = tuple(trial.suggest_categorical(edge, OPERATIONS) for edge in EDGES)
    return trial, get_space("tss").index(format_cell(tuple(map(str, cell))))


def _parameters(index: int) -> dict[str, str]:
    return dict(zip(EDGES, parse_cell(get_space("tss").arch(index)), strict=True))


def accuracies(dataset: str, target: str) -> np.ndarray:
    """Return the accuracy of every architecture, percent, shape (15625,); see `zcp.benchmarks`."""
    values: np.ndarray = benchmarks.load("tss").accuracy(dataset, target).to_numpy(float)
    return values


def run(
    dataset: str,
    target: str,
    seeds: Sequence[int],
    budget: int,
    strategies: Sequence[Strategy],
    jobs: int = 1,
) -> pd.DataFrame:
    """Search under every strategy and seed: dataset, strategy, proxy, seed, queries, reached, best."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    accuracy = accuracies(dataset, target)
    plan = [(strategy, seed) for seed in seeds for strategy in strategies]
    found = Parallel(n_jobs=jobs)(delayed(search)(accuracy, *each, budget) for each in plan)
    rows = [
        (dataset, *strategy, seed, queries, queries <= budget, best)
        for (strategy, seed), (queries, best) in zip(plan, found, strict=True)
    ]
    return pd.DataFrame(rows, columns=[*KEYS, "queries", "reached", "best"])


def study(target: str, datasets: Sequence[str], seeds: Sequence[int], budget: int, jobs: int = 1) -> Deposit:
    """Return the deposit `search-<target>`: `runs` (see `run`), `summary` and `space` (the goal)."""
    start = time.perf_counter()
    parts = [run(dataset, target, seeds, budget, STRATEGIES, jobs) for dataset in datasets]
    runs = pd.concat(parts, ignore_index=True)
    goals = []
    for dataset in datasets:
        accuracy = accuracies(dataset, target)
        reach = accuracy >= goal(accuracy)
        goals.append((dataset, goal(accuracy), int(reach.sum()), len(accuracy), len(set(representatives()))))
    columns = ["dataset", "goal", "architectures", "space", "classes"]
    settings = {"target": target, "seeds": list(seeds), "budget": budget, "share": SHARE}
    settings |= {"pool": POOL, "warm": WARM, "candidates": CANDIDATES}
    tables = {"runs": runs, "summary": summarise(runs, budget), "space": pd.DataFrame(goals, columns=columns)}
    made = {"versions": versions(), "seconds": round(time.perf_counter() - start, 1)}
    return Deposit(f"search-{target}", settings, tables, made)


def summarise(runs: pd.DataFrame, budget: int) -> pd.DataFrame:
    """Return dataset, strategy, proxy, median, low, high (quartiles of the queries), reached, seeds.

    A search that did not reach the goal counts as one that needs more than the budget: where a quartile is
    among those it is NaN.
    """
    groups = runs.groupby(KEYS[:3], sort=False)
    levels = {"median": 0.5, "low": 0.25, "high": 0.75}
    parts = {n: groups["queries"].quantile(q, interpolation="higher") for n, q in levels.items()}
    found = pd.DataFrame(parts).astype(float)
    found = found.where(found <= budget)
    counts = groups.agg(reached=("reached", "sum"), seeds=("seed", "nunique"))
    return found.join(counts).reset_index()


def check(deposit: Deposit, target: str, strategies: Sequence[Strategy]) -> pd.DataFrame:
    """Repeat the first seed of some strategies on the first dataset and compare the queries.

    Raises:
        DisagreementError: if a number of queries differs.
    """
    target = available_target(target)
    runs, settings = deposit.tables["runs"], deposit.settings
    live = run(str(runs["dataset"].iloc[0]), target, settings["seeds"][:1], settings["budget"], strategies)
    return agree(live, runs, keys=KEYS, tolerances={"queries": 0})
