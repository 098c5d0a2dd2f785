"""Twins of the counts: arithmetic on layer shapes."""

import math

import torch
from torch import Tensor, nn

from reference.functional import layers


def params(network: nn.Module, batches, draw) -> float:
    return sum(math.prod(shape) for shape in (p.shape for p in network.parameters())) / 1e6


def flops(network: nn.Module, batches, draw) -> float:
    """Count one multiply-accumulate for each output element and each weight that it sees."""
    total = 0

    def count(layer: nn.Module, args: tuple[Tensor], output: Tensor) -> None:
        nonlocal total
        for _position in range(output[0].numel()):
            total += layer.weight[0].numel() + (layer.bias is not None)

    for layer in layers(network).values():
        layer.register_forward_hook(count)
    with torch.no_grad():
        network.eval()(batches[0][0][:1])
    return total / 1e6


TWINS = {"params": params, "flops": flops}
