"""Parameters and operations of a network, counted layer by layer, under two named rules.

* `nats_flops`: as NATS-Bench counts, and as the proxy `flops` does: multiply-accumulates of convolutions and
  linear layers, and one operation an output element where the layer has a bias.
* `naslib_flops`: as NASLib counted for NAS-Bench-Suite-Zero: multiply-accumulates without biases, one an
  element of a ReLU, two an element of a batch norm (one without affine parameters), and the area of the
  window an output element of a pooling. The window of a global pooling counts as one larger than the feature
  map on each side: 81 for 8 x 8.

A network on the meta device is counted without computing anything.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from zcp.statistics.initialisation import BatchNorm

Count = Callable[[nn.Module, Tensor, Tensor], int]


def count_params(network: nn.Module) -> int:
    """Return the number of parameters, batch norms and biases included."""
    return sum(p.numel() for p in network.parameters())


def nats_flops(network: nn.Module, shape: tuple[int, ...]) -> int:
    """Return the operations for one input of `shape` (C, H, W), as NATS-Bench counts them."""

    def count(module: nn.Module, _input: Tensor, output: Tensor) -> int:
        return _multiply_accumulates(module, output) + output[0].numel() * _has_bias(module)

    return _total(network, shape, count)


def naslib_flops(network: nn.Module, shape: tuple[int, ...]) -> int:
    """Return the operations for one input of `shape` (C, H, W), as NASLib counts them."""
    return _total(network, shape, _naslib)


def _total(network: nn.Module, shape: tuple[int, ...], count: Count) -> int:
    device = next((p.device for p in network.parameters()), torch.device("cpu"))
    counts: list[int] = []

    def add(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
        counts.append(count(module, args[0], output))

    handles = [m.register_forward_hook(add) for m in network.modules() if not list(m.children())]
    was_training = network.training
    try:
        with torch.no_grad():
            network.eval()(torch.zeros(1, *shape, device=device))
    finally:
        network.train(was_training)
        for handle in handles:
            handle.remove()
    return sum(counts)


def _has_bias(module: nn.Module) -> bool:
    return isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None


def _multiply_accumulates(module: nn.Module, output: Tensor) -> int:
    if isinstance(module, nn.Conv2d | nn.Linear):
        return output[0].numel() * module.weight[0].numel()
    return 0


def _naslib(module: nn.Module, before: Tensor, after: Tensor) -> int:
    if isinstance(module, nn.ReLU):
        return after.numel()
    if isinstance(module, BatchNorm):
        return after.numel() * (2 if module.affine else 1)
    if isinstance(module, nn.AvgPool2d | nn.MaxPool2d):
        assert isinstance(module.kernel_size, int)
        return after.numel() * module.kernel_size**2
    if isinstance(module, nn.AdaptiveAvgPool2d):
        height, width = before.shape[-2:]
        return after.numel() * (height + 1) * (width + 1)
    return _multiply_accumulates(module, after)
