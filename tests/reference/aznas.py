"""Twins of AZ-NAS: the blocks run one after the other, spectra and singular values by numpy."""

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.functional import vjp


def blocks_of(network: nn.Module) -> list[Callable[[Tensor], Tensor]]:
    """Return what runs from the images to the first block's output, and then from each output to the next."""
    if hasattr(network, "cells"):
        return [network.stem, *network.cells]
    if isinstance(network, nn.Sequential):
        # The convolutions are the blocks; norm and ReLU lie between them.
        return [network[0], network[1:4]]
    return [
        lambda x: network.conv(network.relu(network.stem(x))),
        lambda x: network.conv(network.relu(network.bn(x))),
    ]


def _features(network: nn.Module, batches, draw) -> list[Tensor]:
    x = draw("x", batches[0][0].shape).to(batches[0][0].dtype)
    features = []
    with torch.no_grad():
        for block in blocks_of(network.train()):
            x = block(x)
            features.append(x)
    return features


def _entropies(features: list[Tensor], *, clamp: bool) -> list[float]:
    entropies = []
    for feature in features:
        channels = np.stack([feature[:, c].flatten().numpy() for c in range(feature.shape[1])])
        spectrum = np.linalg.eigvalsh(np.cov(channels, bias=True))
        if not spectrum.any():
            entropies.append(-math.inf)
            continue
        spectrum = spectrum.clip(min=0) if clamp else spectrum
        entropies.append(-sum(p * math.log(p + 1e-8) for p in spectrum / spectrum.sum()))
    return entropies


def expressivity(network: nn.Module, batches, draw, clamp: bool = True) -> float:
    entropies = _entropies(_features(network, batches, draw), clamp=clamp)
    return sum(entropies)


def progressivity(network: nn.Module, batches, draw, clamp: bool = True) -> float:
    entropies = _entropies(_features(network, batches, draw), clamp=clamp)
    if -math.inf in entropies:
        return -math.inf
    return min(after - before for before, after in pairwise(entropies))


def trainability(network: nn.Module, batches, draw) -> float:
    features = _features(network, batches, draw)
    scores = []
    for k, block in enumerate(blocks_of(network)[1:], start=1):
        signs = torch.tensor(np.where(draw(f"r{k}", features[k].shape) >= 0, 1.0, -1.0))
        _, product = vjp(block, features[k - 1], signs)
        if product.shape == signs.shape and bool((product == signs).all()):
            return -math.inf
        if product.shape[2] % signs.shape[2]:
            return math.nan
        scores.append(_gain(product, signs))
    return sum(scores) / len(scores)


def _gain(product: Tensor, signs: Tensor) -> float:
    """Sum the outer products of what is at each output position and at the input positions below it."""
    batch, _, height, width = signs.shape
    step = product.shape[2] // height
    matrix = 0
    for b in range(batch):
        for i in range(height):
            for j in range(width):
                q = product[b, :, step * i : step * (i + 1), step * j : step * (j + 1)]
                matrix = matrix + np.outer(q.flatten(), signs[b, :, i, j])
    sigma = np.linalg.svd(matrix / (batch * height * width), compute_uv=False)[0]
    return -sigma - 1 / (sigma + 1e-6) + 2


TWINS = {
    "expressivity": expressivity,
    "progressivity": progressivity,
    "trainability": trainability,
    "expressivity_literal": lambda *arguments: expressivity(*arguments, clamp=False),
    "progressivity_literal": lambda *arguments: progressivity(*arguments, clamp=False),
}
