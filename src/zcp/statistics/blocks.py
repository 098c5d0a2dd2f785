"""A network as a chain of blocks, each differentiated by itself.

Blocks are the `stem` and then each item of the `cells` of the network, or of the first module inside it that
has both, so that a wrapper does not hide them. The networks of `zcp.spaces` are built so. Of any other
network they are what `zcp.statistics.chain` finds, or what its owner names. They need not be all of it.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from zcp.errors import Undefined
from zcp.kernels.eigenvalues import eigenvalues
from zcp.statistics.activation_patterns import pack, unseen
from zcp.statistics.calls import Call
from zcp.statistics.capture import check_logits, gradients
from zcp.statistics.chain import first_tensor
from zcp.statistics.operations import LAYERS
from zcp.statistics.recorder import Overwrites, Recorder

#: Added to a probability before its logarithm by AZ-NAS's reference.
EPSILON = 1e-8

Noise = Callable[[str, Sequence[int]], Tensor]
#: Norms with the channels in dimension 1.
_FIRST = (F.batch_norm, F.group_norm, F.instance_norm, torch.batch_norm, torch.group_norm)


class BlockPass(NamedTuple):
    """What one forward gave, block by block. Without blocks the first three are empty.

    All tensors have their channels in dimension 1, those of tokens (B, T, C) as well.

    Attributes:
        features: the outputs f_0 (stem), f_1 … f_K in order of execution.
        cotangents: random signs r_k of the shape of f_k, for k = 1 … K.
        products: vector-Jacobian products of one block, d<f_k, r_k>/df_{k-1}, of the shape of f_{k-1}.
        patterns: the pattern of every executed activation.
        unseen: functions that patterns are without, by `zcp.statistics.activation_patterns.unseen`.
    """

    features: list[Tensor]
    cotangents: list[Tensor]
    products: list[Tensor]
    patterns: list[Tensor]
    unseen: set[str]


def find_blocks(network: nn.Module) -> list[nn.Module]:
    """Return the stem and the cells of a network, an empty list where the rule above finds none."""
    for module in network.modules():
        stem, cells = getattr(module, "stem", None), getattr(module, "cells", None)
        if isinstance(stem, nn.Module) and isinstance(cells, nn.ModuleList | nn.Sequential | list | tuple):
            return [stem, *cells]
    return []


def run_blocks(
    network: nn.Module,
    inputs: Tensor,
    noise: Noise,
    chain: Sequence[nn.Module] | None = None,
    *,
    copies: bool | None = None,
) -> BlockPass:
    """Run `network` on `inputs` and differentiate each block while only its own graph exists.

    Args:
        network: any module; no hook stays behind.
        inputs: (B, …).
        noise: gives the standard normal tensors `r1`, `r2` …, whose signs are the cotangents.
        chain: its blocks; by `find_blocks` if None.
        copies: as of `Recorder`; None: where the network overwrites activations.

    Raises:
        InputError: if the network returns something other than one tensor.
    """
    found, known = BlockPass([], [], [], [], set()), copies is not None
    last: dict[torch.Size, bool] = {}  # whether layers have the channels of such a tensor last

    def differentiate(_module: nn.Module, _args: Any, result: Any) -> Any:
        output = first_tensor(result)
        if output is None:
            raise Undefined("a block gave no tensor, so that it cannot be told what passes through it")
        found.unseen.update(unseen(output))
        if found.features:
            draw = noise(f"r{len(found.features)}", output.shape)
            signs = torch.where(draw >= 0, 1.0, -1.0).to(output.dtype)
            found.products.extend(gradients(output * signs, [found.features[-1]]))
            found.cotangents.append(signs)
        # The next block begins from a leaf: with the last reference to `output` the graph behind it goes.
        leaf = output.detach().requires_grad_()
        found.features.append(leaf)
        # A copy, because the network may overwrite what it gets.
        begin = leaf.clone()
        return tree_map(lambda each: begin if each is output else each, result)

    def take(call: Call) -> None:
        if call.kind == "activation":
            found.patterns.append(pack(call.by_sample(call.input, len(inputs))))
        else:
            first = call.kind == "convolution" or call.function in _FIRST
            last[call.input.shape] = not first and last.get(call.input.shape, True)
            last[call.output.shape] = not first and last.get(call.output.shape, True)

    # A module that is listed twice runs its hook once for each time that it is executed.
    blocks = dict.fromkeys(find_blocks(network) if chain is None else chain)
    handles = [block.register_forward_hook(differentiate) for block in blocks]
    try:
        with torch.enable_grad(), Recorder((*LAYERS, "activation"), copies=copies, take=take):
            logits = check_logits(network(inputs))
        found.unseen.update(unseen(logits))
    except Overwrites:
        copies = True
    finally:
        for handle in handles:
            handle.remove()
    if copies and not known:
        return run_blocks(network, inputs, noise, chain, copies=True)

    def channels_second(tensor: Tensor) -> Tensor:
        return tensor.movedim(-1, 1) if last.get(tensor.shape, tensor.ndim == 3) else tensor

    return BlockPass(
        [channels_second(feature.detach()) for feature in found.features],
        [channels_second(signs) for signs in found.cotangents],
        [channels_second(product) for product in found.products],
        found.patterns,
        found.unseen,
    )


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
