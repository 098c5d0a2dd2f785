"""Sizes: the baselines that every proxy must beat."""

from torch import nn

from zcp.proxies.registry import proxy
from zcp.statistics.counting import multiply_accumulates
from zcp.statistics.network import Statistics


@proxy(init="none", source="dong2022nats", data=False, labels=False, unit="millions")
def params(s: Statistics) -> float:
    """Number of parameters in millions, batch norm and biases included."""
    return sum(p.numel() for p in s.network.parameters()) / 1e6


@proxy(init="none", source="dong2022nats", data=False, labels=False, unit="millions")
def flops(s: Statistics) -> float:
    """Multiply-accumulates of convolutions and linear layers for one input, in millions.

    As NATS-Bench counts them: one per multiply-accumulate and one per output element of a layer with a bias;
    batch norm, activations, pooling and sums do not count.
    """
    return multiply_accumulates(s.shapes.of(nn.Conv2d, nn.Linear)) / 1e6
