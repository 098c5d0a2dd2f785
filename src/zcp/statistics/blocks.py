"""A network as a chain of blocks, each differentiated by itself.

Blocks are the `stem` and then each item of the `cells` of the network, or of the first module inside it that
has both, so that a wrapper does not hide them. The networks of `zcp.spaces` are built so; give another
network (or a wrapper) these two attributes: a module, and a sequence of modules. They need not be all of it.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from zcp.kernels.eigenvalues import eigenvalues
from zcp.statistics.activation_patterns import pack
from zcp.statistics.capture import check_logits, gradients

#: Added to a probability before its logarithm by AZ-NAS's reference.
EPSILON = 1e-8

Noise = Callable[[str, Sequence[int]], Tensor]


class BlockPass(NamedTuple):
    """What one forward gave, block by block. Without blocks the first three are empty.

    Attributes:
        features: the outputs f_0 (stem), f_1 … f_K in order of execution.
        cotangents: random signs r_k of the shape of f_k, for k = 1 … K.
        products: vector-Jacobian products of one block, d<f_k, r_k>/df_{k-1}, of the shape of f_{k-1}.
        patterns: the pattern of every executed ReLU.
    """

    features: list[Tensor]
    cotangents: list[Tensor]
    products: list[Tensor]
    patterns: list[Tensor]


def find_blocks(network: nn.Module) -> list[nn.Module]:
    """Return the stem and the cells of a network, an empty list where the rule above finds none."""
    for module in network.modules():
        stem, cells = getattr(module, "stem", None), getattr(module, "cells", None)
        if isinstance(stem, nn.Module) and isinstance(cells, nn.ModuleList | nn.Sequential | list | tuple):
            return [stem, *cells]
    return []


def run_blocks(network: nn.Module, inputs: Tensor, noise: Noise) -> BlockPass:
    """Run `network` on `inputs` and differentiate each block while only its own graph exists.

    Args:
        network: any module; no hook stays behind.
        inputs: (B, C, H, W).
        noise: gives the standard normal tensors `r1`, `r2` …, whose signs are the cotangents.

    Raises:
        InputError: if the network returns something other than one tensor.
    """
    found = BlockPass([], [], [], [])

    def differentiate(_module: nn.Module, _args: tuple[Tensor, ...], output: Tensor) -> Tensor:
        if found.features:
            draw = noise(f"r{len(found.features)}", output.shape)
            signs = torch.where(draw >= 0, 1.0, -1.0).to(output.dtype)
            found.products.extend(gradients(output * signs, [found.features[-1]]))
            found.cotangents.append(signs)
        # The next block begins from a leaf: with the last reference to `output` the graph behind it goes.
        found.features.append(output.detach().requires_grad_())
        return found.features[-1]

    def keep_pattern(_relu: nn.Module, _args: tuple[Tensor, ...], output: Tensor) -> None:
        found.patterns.append(pack(output))

    # A module that is listed twice runs its hook once for each time that it is executed.
    handles = [block.register_forward_hook(differentiate) for block in dict.fromkeys(find_blocks(network))]
    handles += [m.register_forward_hook(keep_pattern) for m in network.modules() if isinstance(m, nn.ReLU)]
    try:
        with torch.enable_grad():
            check_logits(network(inputs))
    finally:
        for handle in handles:
            handle.remove()
    return found._replace(features=[feature.detach() for feature in found.features])


def covariance(features: Tensor, *, literal: bool = False) -> tuple[Tensor, Tensor]:
    """Return the covariance of the channels of features (B, C, …), (C, C), and what its trace is to rounding.

    Args:
        features: one row a sample and position, one column a channel.
        literal: keep the precision of the features.
    """
    points = rows(features) if literal else rows(features).double()
    centred = points - points.mean(dim=0)
    rounding = (torch.finfo(features.dtype).eps * points.square().mean().sqrt()) ** 2
    return centred.T @ centred / len(points), rounding


def spectral_entropy(features: Tensor, *, literal: bool = False) -> Tensor:
    """Return the entropy of the normalised spectrum of the covariance of features (B, C, …), a scalar.

    Args:
        features: one row a sample and position, one column a channel.
        literal: keep the precision of the features and negative eigenvalues, and turn NaN into -inf.
    """
    matrix, rounding = covariance(features, literal=literal)
    return _entropy(matrix, rounding, literal)


def entropies(matrices: list[Tensor], roundings: list[Tensor], literal: bool) -> Tensor:
    """Return the spectral entropy of each `covariance`."""
    pairs = zip(matrices, roundings, strict=True)
    return torch.stack([_entropy(matrix, rounding, literal) for matrix, rounding in pairs])


def _entropy(matrix: Tensor, rounding: Tensor, literal: bool) -> Tensor:
    spectrum = eigenvalues(matrix)
    if not literal:
        spectrum = spectrum.clamp(min=0)
        if spectrum.sum() <= rounding:
            return torch.full_like(spectrum[0], -math.inf)
    p = spectrum / spectrum.sum()
    entropy: Tensor = -(p * (p + EPSILON).log()).sum()
    return entropy.nan_to_num(-math.inf, math.inf, -math.inf) if literal else entropy


def rows(tensor: Tensor) -> Tensor:
    """Return (B, C, …) as (B * positions, C)."""
    return tensor.movedim(1, -1).flatten(0, -2)
