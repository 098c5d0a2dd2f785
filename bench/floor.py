"""The passes that the definitions of GreenFactory's scores ask for, alone: a floor under their cost."""

import copy
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zcp.study.cost.units import Batches


def passes_alone(
    network: nn.Module, batches: Batches, memory_format: torch.memory_format = torch.contiguous_format
) -> Callable[[], None]:
    """Return a function that runs the passes and nothing else: no hooks, draws, copies or formulas.

    What one pass can serve is run once. Weights differ where the definitions draw others; the time does not.

    Args:
        network: in training mode; its parameters and buffers are rearranged.
        batches: two (inputs, labels) pairs.
        memory_format: of weights and inputs.
    """
    network.to(memory_format=memory_format)  # type: ignore[call-overload]
    double = copy.deepcopy(network).double()
    (images, labels), second = [(x.contiguous(memory_format=memory_format), y) for x, y in batches]
    few, one = images[:16], torch.ones(1, *images.shape[1:], dtype=torch.float64)
    weights = [p for name, p in network.named_parameters() if "weight" in name]

    def loss_gradients(inputs: Tensor, targets: Tensor, *, of_inputs: bool) -> None:
        inputs = inputs.detach().requires_grad_(of_inputs)
        loss = F.cross_entropy(network(inputs), targets)
        torch.autograd.grad(loss, [*weights, inputs] if of_inputs else weights)

    def run() -> None:
        with torch.no_grad():
            network(images[:1])  # params, flops
            for _ in range(2):
                network(few)  # zen
        torch.autograd.grad(double(one).sum(), list(double.parameters()))  # synflow
        loss_gradients(images, labels, of_inputs=True)  # grad_norm, naswot, zico, formulas
        loss_gradients(*second, of_inputs=False)  # zico
        for _ in range(3):
            loss_gradients(images, labels, of_inputs=True)  # formulas: perturbed images and two of noise
        for _ in range(2):  # the blocks of AZ-NAS, eznas: gradients of activations, not of weights
            inputs = images.detach().requires_grad_()
            torch.autograd.grad(network(inputs).sum(), inputs)
        for output in (outputs := network(few).sum(1)):  # te_nas: one gradient a sample
            torch.autograd.grad(output, weights, retain_graph=output is not outputs[-1])

    return run
