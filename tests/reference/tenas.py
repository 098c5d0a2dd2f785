"""Twins of TE-NAS: the whole Jacobian by `torch.func`, and patterns as tuples."""

import math

import numpy as np
import torch
from torch import nn
from torch.func import functional_call, jacrev

from reference.functional import forget_running_statistics


def _kernel(network: nn.Module, batches) -> np.ndarray:
    inputs = batches[0][0][:16]
    forget_running_statistics(network.train())
    weights = {name: p.detach() for name, p in network.named_parameters() if "weight" in name}
    jacobian = jacrev(lambda current: functional_call(network, current, (inputs,)).sum(1))(weights)
    rows = np.concatenate([part.flatten(1).detach().numpy() for part in jacobian.values()], axis=1)
    return np.array([[math.fsum(a * b) for b in rows] for a in rows])


def ntk_cond(network: nn.Module, batches, draw) -> float:
    spectrum = np.linalg.svd(_kernel(network, batches), compute_uv=False)
    if not spectrum[0]:
        return math.nan
    singular = np.linalg.matrix_rank(_kernel(network, batches)) < len(spectrum)
    return math.inf if singular else spectrum[0] / spectrum[-1]


def _regions(network: nn.Module, inputs) -> int:
    patterns: list[list[bool]] = [[] for _ in inputs]

    def keep(_relu: nn.Module, _args, output) -> None:
        for pattern, sample in zip(patterns, output, strict=True):
            pattern.extend(value > 0 for value in sample.flatten().tolist())

    for module in network.modules():
        if isinstance(module, nn.ReLU):
            module.register_forward_hook(keep)
    with torch.no_grad():
        network.train()(inputs)
    return len({tuple(pattern) for pattern in patterns})


def linear_regions(network: nn.Module, batches, draw) -> float:
    return float(_regions(network, draw("x", batches[0][0].shape).to(batches[0][0].dtype)))


def te_nas(network: nn.Module, batches, draw) -> float:
    condition = ntk_cond(network, batches, draw)
    return _regions(network, batches[0][0][:16]) - condition


TWINS = {
    "ntk_cond": ntk_cond,
    "ntk_trace": lambda network, batches, draw: float(np.trace(_kernel(network, batches))),
    "ntk_lambda_max": lambda network, batches, draw: float(np.linalg.norm(_kernel(network, batches), 2)),
    "ntk_lambda_min": lambda network, batches, draw: float(np.linalg.norm(_kernel(network, batches), -2)),
    "linear_regions": linear_regions,
    "te_nas": te_nas,
}
#: The smallest eigenvalue is exact to rounding of the largest.
TOLERANCES = {"ntk_cond": 1e-7, "ntk_lambda_min": 1e-7, "te_nas": 1e-7}
