"""What scoring costs, in units of a plain forward and backward.

Times are processor times of one thread, each measured in turns with the unit on the same network, so that a
busy machine slows both alike. The unit is one forward and backward of the mean cross-entropy in PyTorch's
default layout, float32.
"""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from zcp.collect import sampling_order
from zcp.data.batches import gaussian_batches
from zcp.scoring import score
from zcp.spaces import build
from zcp.spaces.cells import Cell, chain
from zcp.spaces.sss import CELL
from zcp.statistics.copies import ENGINES, Engine, get_engine

Batches = Sequence[tuple[Tensor, Tensor]]
#: Seed of the random networks.
SEED = 1
#: Side of the square matrices whose product measures the peak.
SIDE = 1024


def random_networks(count: int) -> list[tuple[str, int]]:
    """Return `count` random architectures of each NATS-Bench space: (space, index)."""
    return [(space, index) for space in ("tss", "sss") for index in sampling_order(space, SEED)[:count]]


def interleaved(
    work: Mapping[str, Callable[[], object]], repeats: int, *, warm_up: bool = True
) -> dict[str, float]:
    """Return the median processor time in seconds of each piece of work; each runs once in every round.

    With `warm_up` one more round runs beforehand, which does not count.
    """
    times: dict[str, list[float]] = {name: [] for name in work}
    for turn in range(repeats + warm_up):
        for name, run in work.items():
            start = time.process_time()
            run()
            if turn >= warm_up:
                times[name].append(time.process_time() - start)
    return {name: statistics.median(values) for name, values in times.items()}


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
    others: Mapping[str, Callable[[nn.Module, Batches], Callable[[], object]]] | None = None,
) -> pd.DataFrame:
    """Measure all proxies together, with each engine, and where asked for one by one (`apart`).

    Networks are (space, index) pairs; inputs are Gaussian, of CIFAR-10's shape. `others` make further work
    of a network in training mode and its batches.

    Returns:
        space, index, unit, one column an engine, `apart` and those of `others`: seconds a network.
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
        for name, make in (others or {}).items():
            work[name] = make(build(space, index).train(), batches)
        rows.append({"space": space, "index": index, **interleaved(work, 1, warm_up=False)})
    return pd.DataFrame(rows)


def _one_by_one(network: nn.Module, batches: Batches, proxies: Sequence[str]) -> None:
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

    Batches are for a width of 16 and one cell, sizes (widths in eighths, numbers of cells) for a batch of 8.

    Returns:
        what (batch, width or depth), value, unit (seconds), units.
    """
    plan = [("batch", b, 16, 1, b) for b in batches]
    plan += [("width", 8 * n, 8 * n, 1, 8) for n in sizes] + [("depth", n, 16, n, 8) for n in sizes]
    rows = []
    for what, value, width, depth, batch in plan:
        network = chain((width,), lambda channels: Cell(CELL, channels, channels), depth, classes=10)
        data = gaussian_batches("cifar10", batch)
        unit, everything = forward_backward(network, data[0]), partial(score, network, data, proxies)
        found = interleaved({"unit": unit, "all": everything}, 1)
        row = {"what": what, "value": value, "unit": found["unit"]}
        rows.append(row | {"units": found["all"] / found["unit"]})
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
