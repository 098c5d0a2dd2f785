"""`score_many`: several networks, one table, ranked."""

import pickle
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from typing import Any

import pandas as pd
import torch
from torch import nn
from torch.utils.data import DataLoader

from zcp.errors import InputError, one_line
from zcp.proxies import population
from zcp.scoring import Scores, choose, score
from zcp.scoring.arguments import check_arguments
from zcp.statistics.batches import drawn

Builder = Callable[[], nn.Module]
Job = Callable[[], Scores | str]


def score_many(
    networks: Mapping[str, nn.Module | Builder], batches: Any, *, workers: int = 1, **options: Any
) -> pd.DataFrame:
    """Score several networks and rank them.

    Args:
        networks: by name: a network, or a function that builds it, which is called when its turn comes.
        batches: as for `zcp.score`, or by the name of the network where they read different inputs; from a
            loader as many are drawn as the proxies read, once, so that all see the same.
        workers: processes, each with one thread. What they are given is pickled: with more than one,
            builders are functions of a module, not lambdas.
        options: further arguments of `zcp.score`.

    Returns:
        One row a network, in the order of `networks`. Columns are pairs: ("score", proxy), and ("rank",
        proxy), 1 for the best in the proxy's direction, the same for ties, missing without a value. The
        proxies of populations, `az_nas`, `te_nas_rank` and `vote`, are there where their parts are.
        `attrs["reasons"]` says by network and proxy why a value is missing; a network that cannot be built or
        scored has no value at all, and its reason under the proxy name "".

    Raises:
        InputError: if there is no network, one has no batches or cannot be given to a process, or an argument
            cannot be used.
    """
    if not isinstance(networks, Mapping) or not networks:
        raise InputError("score_many needs one network or more, by name")
    if not isinstance(workers, int) or workers < 1:
        raise InputError(f"workers must be a number of processes, 1 or more, not {workers!r}")
    try:
        check_arguments(**{name: given for name, given in options.items() if name != "proxies"})
    except TypeError as error:
        raise InputError(f"zcp.score has no such argument ({error})") from error
    if isinstance(options.get("proxies"), Iterator):
        options["proxies"] = list(options["proxies"])
    count = max((proxy.batches for proxy in choose(options.get("proxies"))), default=1)
    given = batches if isinstance(batches, Mapping) else dict.fromkeys(networks, _listed(batches, count))
    if missing := networks.keys() - given.keys():
        raise InputError(f"there are no batches for the network {min(missing)!r}")
    jobs = {
        name: partial(_outcome, each, _listed(given[name], count), options) for name, each in networks.items()
    }
    rows, reasons, direction = {}, {}, dict[str, bool]()
    for name, outcome in _outcomes(jobs, workers):
        scores = outcome if isinstance(outcome, Scores) else Scores()
        rows[name] = dict(scores)
        direction |= scores.larger_is_better
        reasons[name] = scores.reasons if isinstance(outcome, Scores) else {"": outcome}
    values = pd.DataFrame.from_dict(rows, orient="index", columns=list(direction), dtype=float)
    scored = values.dropna(how="all")
    for function in (population.az_nas, population.te_nas_rank, population.vote):
        try:
            values[function.__name__] = function(scored)
            direction.setdefault(function.__name__, True)
        except InputError:
            continue  # not all of its parts were asked for, or nothing has a score
    ranks = pd.DataFrame(
        {name: values[name].rank(ascending=not direction[str(name)], method="min") for name in values}
    )
    table = pd.concat({"score": values, "rank": ranks}, axis=1).rename_axis("network")
    table.attrs["reasons"] = reasons
    return table


def _listed(batches: Any, count: int) -> Any:
    return drawn(batches, count) if isinstance(batches, DataLoader) else batches


def _outcome(network: nn.Module | Builder, batches: Any, options: dict[str, Any]) -> Scores | str:
    """Return the scores of one network, or why there are none."""
    if not isinstance(network, nn.Module) and not callable(network):
        return f"this is a {type(network).__name__}, neither a network nor a function that builds one"
    try:
        made = network if isinstance(network, nn.Module) else network()
    except (Exception, SystemExit) as error:  # it is code of the user
        return f"the function that builds the network fails ({type(error).__name__}: {one_line(error)})"
    if made is None:
        return "the function that builds the network returned None"
    try:
        return score(made, batches, **options)
    except InputError as error:
        return str(error)
    except Exception as error:
        return f"{type(error).__name__}: {one_line(error)}"


def _outcomes(jobs: Mapping[str, Job], workers: int) -> Iterator[tuple[str, Scores | str]]:
    if workers == 1:
        yield from ((name, job()) for name, job in jobs.items())
        return
    for name, job in jobs.items():
        try:
            pickle.dumps(job)
        except Exception as error:
            raise InputError(
                f"the network {name!r} cannot be given to another process ({error}); give a function of a "
                "module that builds it, or workers=1"
            ) from error
    with ProcessPoolExecutor(workers, get_context("spawn"), torch.set_num_threads, (1,)) as pool:
        futures = {name: pool.submit(job) for name, job in jobs.items()}
        for name, future in futures.items():
            failure = future.exception()
            yield (
                name,
                future.result() if failure is None else f"{type(failure).__name__}: {one_line(failure)}",
            )
