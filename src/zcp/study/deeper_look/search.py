"""A search on the topology space with and without proxies: how many queries reach the best 0.1 percent?

A query asks the benchmark for the accuracy of one architecture; one that is asked for again is free, as its
accuracy is known. The optimiser is Optuna's Tree-structured Parzen Estimator over the operations of the six
edges. Proxies cost no query: those of a scores file are known for what was scored, a random
sample of the space, and say where to begin; flops are known of every candidate.
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
from zcp.analysis.scores import turn, usable
from zcp.ensemble.examples import Examples
from zcp.errors import InputError
from zcp.spaces import get_space
from zcp.spaces.cells import OPERATIONS
from zcp.spaces.tss import format_cell, parse_cell
from zcp.statistics.seeding import seed_for
from zcp.study.agreement import agree
from zcp.study.deeper_look.combination import VOTE, vote
from zcp.study.results import Deposit

EDGES = [f"edge{number}" for number in range(6)]
#: The best of 1,000: sixteen architectures of the topology space, more where accuracies are equal.
SHARE = 0.001
#: A seed's share of the scored architectures, of which the best by the proxy are queried first, and how many.
POOL, WARM = 0.5, 10
#: Candidates of the optimiser of which a filter queries the one with most flops.
CANDIDATES = 4
KEYS = ["dataset", "strategy", "proxy", "seed"]


class Strategy(NamedTuple):
    """A way to search.

    Attributes:
        name: `random`; `tpe`; `warm`, which is TPE after the best of a pool by a proxy; `filter`, which is a
            warm start, and then of every few candidates of TPE the one with most flops; or `pool`, which
            queries the scored architectures in the order of the proxy, without an optimiser.
        proxy: a proxy of the scores file, or `vote` (of `VOTE`); empty for `random` and `tpe`.
    """

    name: str
    proxy: str = ""


PROXIES = ("flops", "synflow", "jacob_cov", "naswot", "snip", "vote")
STRATEGIES = (
    Strategy("random"),
    Strategy("tpe"),
    *(Strategy("warm", proxy) for proxy in PROXIES),
    Strategy("filter", "flops"),
    Strategy("filter", "vote"),
    Strategy("pool", "vote"),
)


def proxy_scores(examples: Examples, dataset: str, proxy: str) -> pd.Series:
    """Return a proxy of the scored architectures, larger is better, by index; failed ones are left out.

    Raises:
        InputError: if the scores hold no such proxy.
    """
    rows = np.flatnonzero((examples.labels["space"] == "tss") & (examples.labels["dataset"] == dataset))
    part = examples.take(rows)
    names = VOTE if proxy == "vote" else (proxy,)
    if missing := [name for name in names if name not in part.features]:
        raise InputError(f"the scores hold no proxy {', '.join(missing)}; collect it first")
    scores = turn(part.features[list(names)])
    known = np.logical_and.reduce([usable(scores[name]) for name in names])
    values = vote(scores[known].rank()) if proxy == "vote" else scores[known][proxy].to_numpy(float)
    return pd.Series(values, part.labels["index"].to_numpy()[known], name=proxy)


def goal(accuracy: np.ndarray) -> float:
    """Return the accuracy that the best `SHARE` of the space reach, in the unit of `accuracy`."""
    best = max(1, round(SHARE * len(accuracy)))
    return float(np.sort(accuracy)[-best])


def search(
    accuracy: np.ndarray, strategy: Strategy, scores: pd.Series | None, seed: int, budget: int
) -> tuple[int, float]:
    """Search until the goal is reached or the budget is spent.

    Args:
        accuracy: of every architecture in index order, shape (15625,), finite.
        strategy: how.
        scores: of the strategy's proxy, by index, larger is better; None where it has none.
        seed: of the optimiser, the pool and the order of ties.
        budget: most queries.

    Returns:
        (queries until the goal was reached, `budget` + 1 where it was not; best accuracy so far).
    """
    target, queried, best = goal(accuracy), set[int](), -np.inf
    for index in _proposals(accuracy, strategy, scores, seed):
        queried.add(index)
        best = max(best, float(accuracy[index]))
        if best >= target:
            return len(queried), best
        if len(queried) >= budget:
            break
    return budget + 1, best


def _proposals(
    accuracy: np.ndarray, strategy: Strategy, scores: pd.Series | None, seed: int
) -> Iterator[int]:
    first = [] if scores is None else _best_first(scores, strategy, seed)
    if strategy.name == "pool":
        yield from first
        return
    number = seed_for("sampler", *strategy, seed) % 2**32
    random = strategy.name == "random"
    sampler = RandomSampler(number) if random else TPESampler(seed=number, n_startup_trials=WARM)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    for index in first[:WARM]:
        study.enqueue_trial(_parameters(index))
    # Repeated proposals are free, so the number of turns needs a bound of its own.
    for turn_number in range(len(accuracy)):
        many = CANDIDATES if strategy.name == "filter" and turn_number >= WARM else 1
        asked = [_ask(study) for _ in range(many)]
        trial, index = max(asked, key=lambda pair: _flops(pair[1]))
        for other, _ in asked:
            if other is not trial:
                study.tell(other, state=optuna.trial.TrialState.FAIL)
        study.tell(trial, float(accuracy[index]))
        yield index


def _best_first(scores: pd.Series, strategy: Strategy, seed: int) -> list[int]:
    """Return a random pool of the scored architectures, best first; a strategy `pool` takes all of them."""
    source = np.random.default_rng(seed_for("pool", seed))
    order = source.permutation(len(scores))
    taken = order if strategy.name == "pool" else order[: round(POOL * len(order))]
    pool = scores.iloc[taken].sort_values(ascending=False, kind="stable")
    return [int(index) for index in pool.index]


def _flops(index: int) -> int:
    space = get_space("tss")
    return space.flops(space.arch(index), 10, 32)


def _ask(study: optuna.Study) -> tuple[optuna.Trial, int]:
    trial = study.ask()
    cell = tuple(trial.suggest_categorical(edge, OPERATIONS) for edge in EDGES)
    return trial, get_space("tss").index(format_cell(tuple(map(str, cell))))


def _parameters(index: int) -> dict[str, str]:
    return dict(zip(EDGES, parse_cell(get_space("tss").arch(index)), strict=True))


def accuracies(dataset: str, target: str) -> np.ndarray:
    """Return the accuracy of every architecture, percent, shape (15625,); see `zcp.benchmarks`."""
    return benchmarks.load("tss").accuracy(dataset, target).to_numpy(float)


def run(
    examples: Examples,
    dataset: str,
    seeds: Sequence[int],
    budget: int,
    strategies: Sequence[Strategy],
    jobs: int = 1,
) -> pd.DataFrame:
    """Search under every strategy and seed: dataset, strategy, proxy, seed, queries, reached."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    accuracy = accuracies(dataset, examples.target)
    names = {strategy.proxy for strategy in strategies}
    scores = {name: proxy_scores(examples, dataset, name) if name else None for name in names}
    plan = [(strategy, seed) for seed in seeds for strategy in strategies]
    found = Parallel(n_jobs=jobs)(
        delayed(search)(accuracy, strategy, scores[strategy.proxy], seed, budget) for strategy, seed in plan
    )
    rows = [
        (dataset, *strategy, seed, queries, queries <= budget)
        for (strategy, seed), (queries, _) in zip(plan, found, strict=True)
    ]
    return pd.DataFrame(rows, columns=[*KEYS, "queries", "reached"])


def study(
    examples: Examples, datasets: Sequence[str], seeds: Sequence[int], budget: int, jobs: int = 1
) -> Deposit:
    """Return the deposit `search-<target>`: `runs` (see `run`), `summary` and `space`.

    The table `space` has for each dataset the goal (percent), how many architectures reach it, the space's
    size, how many were scored, and how many of these reach the goal.
    """
    start = time.perf_counter()
    parts = [run(examples, dataset, seeds, budget, STRATEGIES, jobs) for dataset in datasets]
    runs = pd.concat(parts, ignore_index=True)
    settings = {"target": examples.target, "seeds": list(seeds), "budget": budget, "share": SHARE}
    settings |= {"pool": POOL, "warm": WARM, "candidates": CANDIDATES}
    space = pd.DataFrame([_describe(examples, dataset) for dataset in datasets])
    tables = {"runs": runs, "summary": summarise(runs, budget), "space": space}
    made = examples.provenance(time.perf_counter() - start)
    return Deposit(f"search-{examples.target}", settings, tables, made)


def _describe(examples: Examples, dataset: str) -> dict[str, object]:
    accuracy = accuracies(dataset, examples.target)
    reach = accuracy >= goal(accuracy)
    scored = proxy_scores(examples, dataset, "flops").index
    counts = {"architectures": int(reach.sum()), "space": len(accuracy), "scored": len(scored)}
    return {"dataset": dataset, "goal": goal(accuracy), **counts, "scored_best": int(reach[scored].sum())}


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


def check(examples: Examples, deposit: Deposit, strategies: Sequence[Strategy]) -> pd.DataFrame:
    """Repeat the first seed of some strategies on the first dataset and compare the queries.

    Raises:
        DisagreementError: if a number of queries differs.
    """
    runs, settings = deposit.tables["runs"], deposit.settings
    dataset = str(runs["dataset"].iloc[0])
    live = run(examples, dataset, settings["seeds"][:1], settings["budget"], strategies)
    return agree(live, deposit, "runs", keys=KEYS, exact=["queries"])
