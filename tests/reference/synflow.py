"""Twin of synflow, without a gradient.

With absolute weights the network is a polynomial R in the weights of one layer, of degree one for each use of
the layer. Scaling that layer by t, the sum of w dR/dw is dR/dt at t = 1, which the difference
R(3/2) - R(1/2) gives exactly up to degree two.
"""

import math

import torch
from torch import nn

from reference.functional import layers


@torch.no_grad()
def synflow(network: nn.Module, batches, draw) -> float:
    network.double().eval()
    for parameter in network.parameters():
        parameter.copy_(parameter.abs())
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.register_forward_hook(lambda _module, args, _output: args[0])
    ones = torch.ones(1, *batches[0][0].shape[1:], dtype=torch.float64)
    total = 0.0
    for layer in layers(network).values():
        weight = layer.weight.clone()
        sums = []
        for factor in (1.5, 0.5):
            layer.weight.copy_(factor * weight)
            sums.append(float(network(ones).sum()))
        layer.weight.copy_(weight)
        total += sums[0] - sums[1]
    return total


def log_synflow(network: nn.Module, batches, draw) -> float:
    value = synflow(network, batches, draw)
    return math.log(value) if value else -math.inf


TWINS = {"synflow": synflow, "log_synflow": log_synflow}
