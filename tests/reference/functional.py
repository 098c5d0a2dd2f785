"""A network as a function of its weights, for `torch.func`."""

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

Weights = dict[str, Tensor]


def layers(network: nn.Module) -> dict[str, nn.Module]:
    """Return the convolutions and linear layers by name."""
    return {n: m for n, m in network.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)}


def weights(network: nn.Module) -> Weights:
    return {f"{name}.weight": layer.weight.detach() for name, layer in layers(network).items()}


def forget_running_statistics(network: nn.Module) -> None:
    """Batch norm in training mode without buffers: the same output, and `torch.func` can differentiate it."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean = module.running_var = module.num_batches_tracked = None
            module.track_running_stats = False


def loss_of(network: nn.Module, batch: tuple[Tensor, Tensor]) -> Callable[[Weights], Tensor]:
    """Return the mean cross-entropy on a batch as a function of the weights."""
    network.train()
    forget_running_statistics(network)
    inputs, labels = batch

    def loss(current: Weights) -> Tensor:
        log_probability = functional_call(network, current, (inputs,)).log_softmax(1)
        return F.nll_loss(log_probability, labels)

    return loss
