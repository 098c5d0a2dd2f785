"""Operations of a network, counted layer by layer."""

from collections.abc import Iterable

from torch import nn

from zcp.statistics.capture import Call


def multiply_accumulates(calls: Iterable[Call]) -> int:
    """Return the operations of convolutions and linear layers for one input, as NATS-Bench counts them.

    One a multiply-accumulate, and one an output element of a layer with a bias.
    """
    total = 0
    for module, _, output, _ in calls:
        weight: nn.Parameter = module.weight  # type: ignore[assignment]
        total += output[0].numel() * (weight[0].numel() + (module.bias is not None))
    return total
