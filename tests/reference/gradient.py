"""Twins of the loss gradient family, through `torch.func`."""

import math

import torch
from torch import Tensor, nn
from torch.func import grad, jvp

from reference.functional import layers, loss_of, weights


def _gradient(network, batches) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    current = weights(network)
    return current, grad(loss_of(network, batches[0]))(current)


def grad_norm(network: nn.Module, batches, draw) -> float:
    _, gradient = _gradient(network, batches)
    return sum(math.sqrt(sum(g * g for g in tensor.flatten().tolist())) for tensor in gradient.values())


def snip(network: nn.Module, batches, draw) -> float:
    """Differentiate with respect to a mask of ones, as the paper does."""
    current = weights(network)
    loss = loss_of(network, batches[0])
    masks = {name: torch.ones_like(weight) for name, weight in current.items()}
    gradient = grad(lambda mask: loss({name: current[name] * mask[name] for name in mask}))(masks)
    return sum(abs(g) for tensor in gradient.values() for g in tensor.flatten().tolist())


def plain(network: nn.Module, batches, draw) -> float:
    current, gradient = _gradient(network, batches)
    return sum(
        w * g
        for name in current
        for w, g in zip(current[name].flatten().tolist(), gradient[name].flatten().tolist(), strict=True)
    )


def grasp(network: nn.Module, batches, draw) -> float:
    """- sum W * (H g), with H g by forward over reverse differentiation."""
    current = weights(network)
    gradient = grad(loss_of(network, batches[0]))
    _, product = jvp(gradient, (current,), (gradient(current),))
    return -sum((current[name] * product[name]).sum().item() for name in current)


def fisher(network: nn.Module, batches, draw) -> float:
    """Add a zero to each layer output differentiate with respect to it; loop over channels and samples."""
    outputs: list[Tensor] = []
    fan_in: list[int] = []
    zeros: list[Tensor] = []

    def shift(layer: nn.Module, args: tuple[Tensor], output: Tensor) -> Tensor:
        position = len(outputs)
        outputs.append(output.detach())
        fan_in.append(layer.weight[0].numel())
        return output + zeros[position] if zeros else output

    for layer in layers(network).values():
        layer.register_forward_hook(shift)
    loss = loss_of(network, batches[0])
    loss({})
    activations = list(outputs)

    def shifted(values: list[Tensor]) -> Tensor:
        outputs.clear()
        zeros[:] = values
        return loss({})

    gradients = grad(shifted)([torch.zeros_like(a) for a in activations])
    total = 0.0
    for activation, gradient, fan in zip(activations, gradients, fan_in, strict=False):
        for channel in range(activation.shape[1]):
            saliency = [
                (activation[n, channel] * gradient[n, channel]).sum().item() ** 2
                for n in range(len(activation))
            ]
            total += fan * sum(saliency) / (2 * len(activation))
    return total


def l2_norm(network: nn.Module, batches, draw) -> float:
    return sum(
        math.sqrt(sum(w * w for w in layer.weight.flatten().tolist())) for layer in layers(network).values()
    )


TWINS = {
    "grad_norm": grad_norm,
    "snip": snip,
    "grasp": grasp,
    "fisher": fisher,
    "plain": plain,
    "l2_norm": l2_norm,
}
