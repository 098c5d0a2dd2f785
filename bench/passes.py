"""A set of proxies from shared passes, against one by one and in units of a plain forward and backward."""

import math
from collections.abc import Callable, Sequence
from functools import partial

import pandas as pd
import torch

from bench.floor import passes_alone
from zcp import build, score
from zcp.data.batches import gaussian_batches
from zcp.study.cost.throughput import by_tenth, drift
from zcp.study.cost.units import (
    cost_in_units,
    forward_backward,
    interleaved,
    random_networks,
    total_units,
)
from zcp.study.greenfactory.published import PROXIES

NETWORKS = {"TSS 9930": ("tss", 9930), "SSS 64:64:64:64:64": ("sss", "64:64:64:64:64")}

#: The paper's proxies, but for the score of a population.
GREENFACTORY = [name for name in PROXIES if name != "az_nas"]
#: The passes that these cannot do without, in both layouts.
FLOORS = {
    "passes alone": passes_alone,
    "passes alone, channels last": partial(passes_alone, memory_format=torch.channels_last),
}
#: The first proxies of the project.
FIRST = (
    *("params", "flops", "grad_norm", "snip", "grasp", "fisher"),
    *("synflow", "jacob_cov", "naswot", "zen", "zico"),
)


def shared_passes(
    proxies: Sequence[str], batch: int, repeats: int, most: float, least: float | None = None
) -> bool:
    """Print the cost of `proxies` and return whether the targets are met.

    Args:
        proxies: names.
        batch: samples in a batch.
        repeats: rounds of measurement.
        most: target, units of one plain forward and backward for all together.
        least: target, time one by one over time together; None leaves that out.
    """
    met = True
    for title, (space, arch) in NETWORKS.items():
        network, batches = build(space, arch), gaussian_batches("cifar10", batch)
        work: dict[str, Callable[[], object]] = {
            "unit": forward_backward(build(space, arch), batches[0]),
            "together": lambda n=network, b=batches: score(n, b, proxies),
        }
        if least is not None:
            work["one by one"] = lambda n=network, b=batches: [score(n, b, [name]) for name in proxies]
        seconds = interleaved(work, repeats)
        units = seconds["together"] / seconds["unit"]
        met &= units <= most
        print(
            f"{title}: one forward and backward {seconds['unit']:.2f} s, together {seconds['together']:.2f} s"
        )
        print(f"    {units:.2f} units of one forward and backward (target: at most {most:g})")
        if least is not None:
            ratio = seconds["one by one"] / seconds["together"]
            met &= ratio >= least
            print(
                f"    one by one {seconds['one by one']:.2f} s: {ratio:.2f} times as long "
                f"(target: at least {least:g})"
            )
    return met


def units_of_rounds(
    batch: int, count: int, repeats: int, most: float = math.inf, *, floors: bool = False
) -> bool:
    """Print the cost of GreenFactory's scores on random networks and return whether the target is met.

    In each round every network is run and scored in turn; what counts is the median of the rounds.

    Args:
        batch: samples in a batch.
        count: random networks of each space, the same in every run.
        repeats: rounds.
        most: target, units over all networks.
        floors: measure in place of the scores what they cannot do without.
    """
    networks = random_networks(count)
    measure = partial(cost_in_units, proxies=GREENFACTORY, batch=batch, apart=False)
    measure = partial(measure, engines=() if floors else ("fast",), others=FLOORS if floors else {})
    measure(networks[:1])  # what is set up once
    rounds = pd.concat([total_units(measure(networks)).iloc[-1:] for _ in range(repeats)])
    units = rounds.drop(columns=["networks", "n", "unit"])
    asked = "" if floors else f" (asked: at most {most:g})"
    print(f"    batch {batch}, {len(networks)} networks, {repeats} rounds{asked}")
    for name, reached in units.items():
        print(f"        {name}: median {reached.median():.2f}, {reached.min():.2f} to {reached.max():.2f}")
    return bool(units.iloc[:, 0].median() <= most)


def steady(count: int, batch: int, most: float = 1.1) -> bool:
    """Print how time and memory develop over `count` networks and return whether they stay where they are."""
    tenths = by_tenth(drift(count, batch, GREENFACTORY))
    first, last = tenths["seconds"].iloc[[0, -1]]
    grown = tenths["memory"].iloc[-1] - tenths["memory"].iloc[0]
    print(
        f"{count} networks, batch {batch}: median of the first tenth {first:.3f} s, of the last {last:.3f} s"
    )
    print(f"    ratio {last / first:.3f} (target: within {most - 1:.0%}); memory grew by {grown:.0f} MiB")
    return 1 / most <= last / first <= most and grown < 64
