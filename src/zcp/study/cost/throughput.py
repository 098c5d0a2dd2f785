"""What scoring costs: the section's deposit, and what many networks cost (workers, long runs, a benchmark).

The costs of one network, in units, are those of `zcp.study.cost.units`.
"""

import time
from collections.abc import Sequence
from functools import partial
from os import cpu_count
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from zcp.collect import Pool, score_row
from zcp.collect.order import Unit
from zcp.collect.settings import Settings
from zcp.data.batches import gaussian_batches
from zcp.scoring import score
from zcp.spaces import build, get_space
from zcp.study.cost.units import SEED, ablation, cost_in_units, growth, random_networks, roofline
from zcp.study.provenance import machine
from zcp.study.results import Deposit, DisagreementError
from zcp.versions import versions

#: Networks that are scored in a row, to see whether time and memory stay where they are, and their batch.
STEADY, STEADY_BATCH = 1000, 4


def worker_scaling(count: int, workers: Sequence[int], settings: Settings) -> pd.DataFrame:
    """Measure networks a second, wall time, of several numbers of processes; their start is not counted.

    Returns:
        workers, networks, rate (a second).
    """
    units = [Unit(space, index, "cifar10") for space, index in random_networks(count)]
    rows = []
    for number in workers:
        outcomes = Pool(number).outcomes(partial(_score, settings=settings), units)
        arrivals = [time.perf_counter() for _ in outcomes]
        rate = (len(arrivals) - 1) / (arrivals[-1] - arrivals[0])
        rows.append({"workers": number, "networks": len(arrivals), "rate": rate})
    return pd.DataFrame(rows)


def _score(unit: Unit, settings: Settings) -> dict[str, object]:
    return score_row(unit.space, unit.index, unit.dataset, settings)


def drift(count: int, batch: int, proxies: Sequence[str]) -> pd.DataFrame:
    """Score one small network `count` times; return number, seconds and memory of this process (MiB)."""
    network, data = build("sss", 0), gaussian_batches("cifar10", batch)
    rows = []
    for number in range(count):
        start = time.process_time()
        score(network, data, proxies)
        rows.append({"number": number, "seconds": time.process_time() - start, "memory": _resident()})
    return pd.DataFrame(rows)


def by_tenth(found: pd.DataFrame) -> pd.DataFrame:
    """Return `drift`'s rows by tenths: networks (the last number), seconds (median), memory (at the end)."""
    tenths = found.assign(networks=found["number"] + 1).groupby(found["number"] * 10 // len(found))
    return tenths.agg({"networks": "max", "seconds": "median", "memory": "last"}).reset_index(drop=True)


def _resident() -> float:
    """Return the resident memory of this process in MiB (Linux)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20


def whole_benchmark(
    scores: pd.DataFrame, units: float, workers: int | None = None, watts: float = 10.0
) -> pd.DataFrame:
    """Extrapolate what all networks of both spaces on three datasets cost on this kind of processor.

    Args:
        scores: a collection with its seconds.
        units: how many times longer the wished batch takes than that of the collection.
        workers: processes that run side by side; the cores of this machine where None.
        watts: stated power of one busy core.

    Returns:
        space, dataset, networks, seconds (one network, of the collection), hours (all, all workers), kWh.
    """
    number = workers or cpu_count() or 1
    timed = [str(c) for c in scores if str(c).startswith("seconds_")]
    rows = []
    for (space, dataset), cell in scores.groupby(["space", "dataset"]):
        size, mean = get_space(str(space)).size, float(cell[timed].sum(axis=1).mean())
        hours = size * mean * units / 3600
        row = {"space": space, "dataset": dataset, "networks": size, "seconds": mean}
        rows.append(row | {"hours": hours / number, "kWh": hours * watts / 1e3})
    return pd.DataFrame(rows)


def study(settings: Settings, batch: int, networks: int) -> Deposit:
    """Measure everything on this machine and return the section's deposit.

    Args:
        settings: of the collection that `worker_scaling` runs; its proxies are those that are timed.
        batch: of the costs in units.
        networks: random architectures of each space.
    """
    start = time.perf_counter()
    torch.set_num_threads(1)
    chosen, proxies = random_networks(networks), settings.proxies
    tables = {
        "costs": cost_in_units(chosen, proxies, batch),
        "ablation": ablation(chosen[:1] + chosen[-1:], proxies, (8, batch)),
        "growth": growth(proxies, (8, 16, 32, 64), (1, 2, 4, 8)),
        "roofline": roofline(chosen[:1] + chosen[-1:], proxies, batch),
        "scaling": worker_scaling(networks, (1, 2), settings),
        "drift": by_tenth(drift(STEADY, STEADY_BATCH, proxies)),
    }
    noted = {"batch": batch, "seed": SEED, "proxies": list(proxies)}
    made: dict[str, Any] = {"machine": machine(), "versions": versions(), "date": time.strftime("%Y-%m-%d")}
    made["seconds"] = round(time.perf_counter() - start, 1)
    return Deposit("throughput-cpu", noted, tables, made)


def check(live: pd.DataFrame, deposit: Deposit) -> pd.DataFrame:
    """Return costs in units measured now beside the deposited ones of the same networks.

    A cost is a measurement of this machine at this hour, not a value: it is shown and never compared.

    Raises:
        DisagreementError: if a network was not deposited, or took no time.
    """
    both = live.merge(deposit.tables["costs"], on=["space", "index"], suffixes=("", "_deposited"))
    if len(both) < len(live) or both.empty:
        raise DisagreementError(f"{len(live) - len(both)} of {len(live)} live networks were never deposited")
    if not (both[["unit", "fast"]] > 0).all(axis=None):
        raise DisagreementError("a network was scored in no time: nothing was measured", both)
    return both
