"""Twins of the survey's methods: sums in loops, Gaussian process and training written out."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, grad

from reference.aznas import blocks_of
from reference.functional import forget_running_statistics, layers, loss_of, weights
from zcp.statistics.initialisation import initialise


def epe_nas(network: nn.Module, batches, draw) -> float:
    inputs, labels = batches[0]
    forget_running_statistics(network.train())
    rows = grad(lambda x: network(x).sum())(inputs).flatten(1).detach().numpy()
    if any(np.ptp(row) == 0 for row in rows):
        return math.nan
    sums = []
    for label in sorted(set(labels.tolist())):
        members = [row for row, other in zip(rows, labels.tolist(), strict=True) if other == label]
        total = 0.0
        for a in members:
            for b in members:
                total += math.log(abs(np.corrcoef(a, b)[0, 1]) + 1e-5)
        sums.append((total, len(members)))
    if network(inputs).shape[1] <= 100:
        return sum(abs(total) for total, _ in sums)
    means = [total / size for total, size in sums]
    return sum(abs(a - b) for a in means for b in means) / len(means)


def nasi(network: nn.Module, batches, draw) -> float:
    gradient = grad(loss_of(network, batches[0]))(weights(network))
    return sum(g * g for tensor in gradient.values() for g in tensor.flatten().tolist())


def grad_norm_l2(network: nn.Module, batches, draw) -> float:
    shape = batches[0][0].shape
    inputs = draw("x", shape).to(batches[0][0].dtype)
    forget_running_statistics(network.train())
    with torch.no_grad():
        classes = network(inputs).shape[1]
    labels = draw("labels", (len(inputs), classes)).argmax(1)
    parameters = {name: p.detach() for name, p in network.named_parameters()}
    gradient = grad(lambda p: F.cross_entropy(functional_call(network, p, (inputs,)), labels))(parameters)
    return math.sqrt(sum(g * g for tensor in gradient.values() for g in tensor.flatten().tolist()))


def synflow_bn(network: nn.Module, batches, draw) -> float:
    """The gradient by `torch.func`, with running statistics dropped."""
    network.double().train()
    forget_running_statistics(network)
    ones = torch.ones(1, *batches[0][0].shape[1:], dtype=torch.float64)
    parameters = {name: p.detach().abs() for name, p in network.named_parameters()}
    names = [f"{name}.weight" for name in layers(network)]
    gradient = grad(lambda p: functional_call(network, p, (ones,)).sum())(parameters)
    return sum((parameters[name] * gradient[name]).abs().sum().item() for name in names)


def nngp(network: nn.Module, batches, draw) -> float:
    inputs, labels = (torch.cat(parts) for parts in zip(*batches, strict=True))
    features: list[Tensor] = []
    kernels = []
    last = [module for module in network.modules() if isinstance(module, nn.Linear)][-1]
    last.register_forward_pre_hook(lambda _linear, args: features.append(args[0]))
    for number in range(4):
        initialise(network.train(), "default", "nngp", number, draw(f"nngp {number}", (1,)).item())
        with torch.no_grad():
            classes = network(inputs).shape[1]
        rows = features[-1].numpy()
        kernels.append([[a @ b / len(a) for b in rows] for a in rows])
    kernel = np.mean(kernels, axis=0)
    if not kernel.any():
        return math.nan
    half = len(inputs) // 2
    targets = np.eye(classes)[labels.numpy()] - 1 / classes
    ridge = 1e-3 * np.trace(kernel) / len(kernel) * np.eye(half)
    predicted = kernel[half:, :half] @ np.linalg.inv(kernel[:half, :half] + ridge) @ targets[:half]
    return float(((predicted - targets[half:]) ** 2).mean())


def gennas(network: nn.Module, batches, draw) -> float:
    """Stochastic gradient descent with momentum by hand."""
    inputs = batches[0][0][:16]
    depths = _stages(network, inputs)
    signals = [_signals(inputs, depth, f.shape, draw) for depth, f in enumerate(depths)]
    shapes = [(s.shape[1], f.shape[1], 1, 1) for s, f in zip(signals, depths, strict=True)]
    heads = [draw(f"gennas head {d}", s).to(inputs.dtype) / math.sqrt(s[1]) for d, s in enumerate(shapes)]
    parameters = [*network.parameters(), *(head.requires_grad_() for head in heads)]
    velocity = [torch.zeros_like(p) for p in parameters]
    for step in range(11):
        errors = []
        for feature, head, signal in zip(_stages(network, inputs), heads, signals, strict=True):
            mean, variance = (
                feature.mean((0, 2, 3), keepdim=True),
                feature.var((0, 2, 3), False, keepdim=True),
            )
            normalised = (feature - mean) / (variance + 1e-5).sqrt()
            predicted = torch.einsum("bchw,sc->bshw", normalised, head[:, :, 0, 0])
            errors.append(((predicted - signal) ** 2).mean())
        error = sum(errors) / len(errors)
        if step < 10:
            gradient = torch.autograd.grad(error, parameters, allow_unused=True)
            with torch.no_grad():
                for p, v, g in zip(parameters, velocity, gradient, strict=True):
                    if g is not None:
                        v.mul_(0.9).add_(g)
                        p.sub_(0.05 * v)
    return error.item()


def _stages(network: nn.Module, inputs: Tensor) -> list[Tensor]:
    x, stages = inputs, {}
    for block in blocks_of(network.train()):
        x = block(x)
        stages[x.shape[2:]] = x
    return list(stages.values())[-3:]


def _signals(inputs: Tensor, depth: int, shape: torch.Size, draw) -> Tensor:
    noise = draw(f"gennas {depth}", (3, len(inputs), 4, 1, 1)).to(inputs.dtype)
    height, width = shape[2:]
    waves = torch.zeros(len(inputs), 4, height, width, dtype=inputs.dtype)
    for b in range(len(inputs)):
        for wave in range(4):
            fx, fy, phase = noise[:, b, wave, 0, 0].tolist()
            for i in range(height):
                for j in range(width):
                    y, x = (math.pi * (2 * at / (n - 1) - 1) for at, n in ((i, height), (j, width)))
                    waves[b, wave, i, j] = math.sin(fy * y + fx * x + math.pi * phase)
    rows, columns = (_windows(*sizes) for sizes in zip(inputs.shape[2:], shape[2:], strict=True))
    means = [[inputs[:, :, r, c].mean((2, 3)) for c in columns] for r in rows]
    resized = torch.stack([torch.stack(row, dim=-1) for row in means], dim=-2)
    return torch.cat([resized, waves], dim=1)


def _windows(before: int, after: int) -> list[slice]:
    """Return the pixels that each of `after` pixels covers, whole ones."""
    return [slice(i * before // after, -(-(i + 1) * before // after)) for i in range(after)]


TWINS = {
    "epe_nas": epe_nas,
    "nasi": nasi,
    "grad_norm_l2": grad_norm_l2,
    "synflow_bn": synflow_bn,
    "nngp": nngp,
    "gennas": gennas,
}
TOLERANCES = {"nngp": 1e-7, "gennas": 1e-6}
