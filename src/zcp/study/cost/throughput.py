"""What scoring costs: in units of a plain forward and backward, and how it grows.

Times are processor times of one thread, each measured in turns with the unit on the same network, so that a
busy machine slows both alike. The unit is one forward and backward of the mean cross-entropy in PyTorch's
default layout, float32.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from os import cpu_count
from pathlib import Path

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from zcp.collect import Pool, sampling_order, score_row
from zcp.collect.order import Unit
from zcp.collect.settings import Settings
from zcp.data.batches import gaussian_batches
from zcp.proxies.registry import REGISTRY
from zcp.scoring import score
from zcp.spaces import build, get_space
from zcp.spaces.cells import Cell, CellNetwork
from zcp.spaces.sss import CELL
from zcp.statistics.copies import ENGINES, Engine, get_engine
from zcp.study.cost.timing import interleaved
from zcp.study.greenfactory.published import COLUMNS
from zcp.study.provenance import machine
from zcp.study.results import Deposit, DisagreementError
from zcp.versions import versions

#: The columns of GreenFactory that are scores of one network; the condition number and zen take 16 samples.
GREENFACTORY = tuple(name for name in COLUMNS.values() if name in REGISTRY)
#: Seed of the random networks.
SEED = 1
#: Samples in the batch of `drift`'s small network.
STEADY_BATCH = 4
#: Side of the square matrices whose product measures the peak.
SIDE = 1024


def random_networks(count: int) -> list[tuple[str, int]]:
    """Return `count` random architectures of each NATS-Bench space: (space, index)."""
    return [(space, index) for space in ("tss", "sss") for index in sampling_order(space, SEED)[:count]]


def forward_backward(network: nn.Module, batch: tuple[Tensor, Tensor]) -> Callable[[], None]:
    """Return a plain forward and backward of the loss, the unit of cost."""

    def run() -> None:
        network.zero_grad(set_to_none=True)
        F.cross_entropy(network(batch[0]), batch[1]).backward()  # type: ignore[no-untyped-call]

    return run


def cost_in_units(
    networks: Sequence[tuple[str, int]],
    proxies: Sequence[str],
    batch: int,
    *,
    engines: Sequence[str | Engine] = ("fast", "plain"),
    apart: bool = True,
    repeats: int = 1,
) -> pd.DataFrame:
    """Measure all proxies together, with each engine, and one by one.

    Args:
        networks: (space, index) pairs; inputs are Gaussian, of CIFAR-10's shape.
        proxies: names.
        batch: samples in a batch.
        engines: names of engines, or engines.
        apart: whether to score the proxies one by one, too.
        repeats: rounds, of which the median counts.

    Returns:
        space, index, unit, one column an engine and `apart`: seconds a network.
    """
    rows = []
    for space, index in networks:
        network, batches = build(space, index), gaussian_batches("cifar10", batch)
        work: dict[str, Callable[[], object]] = {
            "unit": forward_backward(build(space, index).train(), batches[0])
        }
        for engine in engines:
            work[get_engine(engine).name] = partial(score, network, batches, proxies, engine=engine)
        if apart:
            work["apart"] = partial(_one_by_one, network, batches, proxies)
        rows.append({"space": space, "index": index, **interleaved(work, repeats, warm_up=False)})
    return pd.DataFrame(rows)


def _one_by_one(network: nn.Module, batches: Sequence[tuple[Tensor, Tensor]], proxies: Sequence[str]) -> None:
    for proxy in proxies:
        score(network, batches, [proxy], engine="plain")


def total_units(costs: pd.DataFrame) -> pd.DataFrame:
    """Return the costs of `cost_in_units` in units, summed over the networks of each space and over all.

    Returns:
        networks (a space, or `all`), n, unit (seconds a network), and each other column in units.
    """
    groups = [(str(space), part) for space, part in costs.groupby("space", sort=False)]
    rows = []
    for name, part in [*groups, ("all", costs)]:
        sums = part.drop(columns=["space", "index"]).sum()
        rows.append(
            {"networks": name, "n": len(part), "unit": sums["unit"] / len(part)}
            | {column: sums[column] / sums["unit"] for column in sums.index if column != "unit"}
        )
    return pd.DataFrame(rows)


def ablation(
    networks: Sequence[tuple[str, int]], proxies: Sequence[str], batches: Sequence[int]
) -> pd.DataFrame:
    """Measure what each part of the fast engine gains, added to the plain one in turn.

    Returns:
        engine, batch, units (all networks together).
    """
    plain, fast = ENGINES["plain"], ENGINES["fast"]
    copied = replace(plain, name="one copy", copies_once=True)
    laid_out = replace(copied, name="channels last", memory_format=fast.memory_format)
    together = replace(laid_out, name="equal layers together", together=fast.together)
    steps = [plain, copied, laid_out, together, replace(together, name="views", views=True)]
    rows = []
    for batch in batches:
        costs = cost_in_units(networks, proxies, batch, engines=steps, apart=False)
        units = total_units(costs).iloc[-1]
        rows += [{"engine": step.name, "batch": batch, "units": units[step.name]} for step in steps]
    return pd.DataFrame(rows)


def growth(proxies: Sequence[str], batches: Sequence[int], sizes: Sequence[int]) -> pd.DataFrame:
    """Measure how the cost grows with the batch, the width and the depth, for the cell of the size space.

    Args:
        proxies: names.
        batches: samples in a batch, for a width of 16 and one cell.
        sizes: widths in eighths and numbers of cells, for a batch of 8.

    Returns:
        what (batch, width or depth), value, unit (seconds), units.
    """
    plan = [("batch", b, 16, 1, b) for b in batches]
    plan += [("width", 8 * n, 8 * n, 1, 8) for n in sizes] + [("depth", n, 16, n, 8) for n in sizes]
    rows = []
    for what, value, width, depth, batch in plan:
        cells = [Cell(CELL, width, width) for _ in range(depth)]
        network, data = CellNetwork(width, cells, width, 10), gaussian_batches("cifar10", batch)
        found = interleaved(
            {
                "unit": forward_backward(network, data[0]),
                "all": partial(score, network, data, proxies),
            },
            1,
        )
        rows.append(
            {"what": what, "value": value, "unit": found["unit"], "units": found["all"] / found["unit"]}
        )
    return pd.DataFrame(rows)


def roofline(networks: Sequence[tuple[str, int]], proxies: Sequence[str], batch: int) -> pd.DataFrame:
    """Compare the operations that the passes need with the peak that a matrix product reaches here.

    Operations are those of convolutions and matrix products, a multiply-accumulate counting two.

    Returns:
        space, index, operations (1e9), seconds, rate (1e9 a second), peak (the same), fraction.
    """
    rows = []
    for space, index in networks:
        network, data = build(space, index), gaussian_batches("cifar10", batch)
        with FlopCounterMode(display=False) as counter:
            score(network, data, proxies)
        square = torch.randn(SIDE, SIDE)
        found = interleaved(
            {"all": partial(score, network, data, proxies), "peak": partial(torch.mm, square, square)}, 1
        )
        done, peak = counter.get_total_flops() / 1e9, 2 * SIDE**3 / 1e9 / found["peak"]
        rate = done / found["all"]
        row = {"space": space, "index": index, "operations": done, "seconds": found["all"], "rate": rate}
        rows.append(row | {"peak": peak, "fraction": rate / peak})
    return pd.DataFrame(rows)


def worker_scaling(count: int, workers: Sequence[int], settings: Settings) -> pd.DataFrame:
    """Measure networks a second, wall time, of several numbers of processes; their start is not counted.

    Returns:
        workers, networks, rate (a second).
    """
    units = [Unit(space, index, "cifar10") for space, index in random_networks(count)]
    rows = []
    for number in workers:
        arrivals = []
        for _ in Pool(number).outcomes(partial(_score, settings=settings), units):
            arrivals.append(time.perf_counter())
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
    tenth = found["number"] * 10 // len(found)
    groups = found.groupby(tenth)
    return pd.DataFrame(
        {
            "networks": groups["number"].max() + 1,
            "seconds": groups["seconds"].median(),
            "memory": groups["memory"].last(),
        }
    ).reset_index(drop=True)


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


def study(
    settings: Settings,
    batch: int,
    networks: int,
    *,
    apart: bool = True,
    workers: Sequence[int] = (1, 2),
    steady: int = 1000,
) -> Deposit:
    """Measure everything on this machine and return the section's deposit.

    Args:
        settings: of the collection that `worker_scaling` runs.
        batch: of the costs in units.
        networks: random architectures of each space.
        apart: whether to score the proxies one by one, too.
        workers: numbers of processes.
        steady: how many networks are scored in a row, to see whether time and memory stay where they are.
    """
    start = time.perf_counter()
    torch.set_num_threads(1)
    chosen = random_networks(networks)
    tables = {
        "costs": cost_in_units(chosen, GREENFACTORY, batch, apart=apart),
        "ablation": ablation(chosen[:1] + chosen[-1:], GREENFACTORY, (8, batch)),
        "growth": growth(GREENFACTORY, (8, 16, 32, 64), (1, 2, 4, 8)),
        "roofline": roofline(chosen[:1] + chosen[-1:], GREENFACTORY, batch),
        "scaling": worker_scaling(networks, workers, settings),
        "drift": by_tenth(drift(steady, STEADY_BATCH, GREENFACTORY)),
    }
    noted = {"batch": batch, "seed": SEED, "proxies": list(GREENFACTORY)}
    seconds = round(time.perf_counter() - start, 1)
    made = {
        "machine": machine(),
        "versions": versions(),
        "date": time.strftime("%Y-%m-%d"),
        "seconds": seconds,
    }
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
