"""Sizes: the baselines that every proxy must beat."""

from zcp.proxies.registry import proxy
from zcp.statistics.flops import counted_as_nats_bench
from zcp.statistics.network import Statistics


@proxy(init="none", source="dong2022nats", data=False, labels=False, unit="millions")
def params(s: Statistics) -> float:
    """Number of parameters in millions, batch norm and biases included."""
    return sum(p.numel() for p in s.network.parameters()) / 1e6


@proxy(init="none", source="dong2022nats", data=False, labels=False, unit="millions")
def flops(s: Statistics) -> float:
    """Multiply-accumulates for one input, in millions, and one an output element of a layer with a bias.

    As NATS-Bench counts convolutions and linear layers; norms, activations, pooling and sums do not count.
    The products of attention, of which NATS-Bench has none, count as well; `zcp.flops` shows them by module.
    """
    return counted_as_nats_bench(s.shapes.calls) / 1e6
