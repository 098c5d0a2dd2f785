"""The golden file's recipe for weights and inputs, which numpy alone can make."""

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

SHAPE = (16, 3, 32, 32)


class RecipeDraw:
    """The recipe's noise: x and x2 for a proxy's two Gaussian inputs, the labels, and AZ-NAS's signs."""

    def __init__(self, batches: Sequence[tuple[Tensor, Tensor]]) -> None:
        self.tensors = {"x": batches[0][0], "e": batches[1][0], "labels": F.one_hot(batches[0][1]).float()}

    def __call__(self, name: str, shape: Sequence[int]) -> Tensor:
        if name not in self.tensors:
            bits = np.random.default_rng([77, int(name.removeprefix("r"))]).integers(0, 2, size=tuple(shape))
            self.tensors[name] = torch.from_numpy((bits - 0.5) * 2)
        return self.tensors[name].reshape(tuple(shape))

    def redraw_signs(self, seed: int) -> None:
        """Draw the signs that were asked for anew, as the reference did: from the last block to the first."""
        source = torch.Generator().manual_seed(seed)
        for name in reversed([name for name in self.tensors if name.startswith("r")]):
            half = torch.full(self.tensors[name].shape, 0.5)
            self.tensors[name] = (torch.bernoulli(half, generator=source) - 0.5) * 2


def recipe_batches(dtype: torch.dtype = torch.float32) -> list[tuple[Tensor, Tensor]]:
    """Return the two batches of the recipe, 16 inputs of 3x32x32 each, of values that float32 has."""
    labels = torch.arange(16)
    draws = [np.random.default_rng(seed).standard_normal(SHAPE).astype(np.float32) for seed in (7, 8)]
    targets = [labels % 10, (labels + 3) % 10]
    return [(torch.from_numpy(draw).to(dtype), target) for draw, target in zip(draws, targets, strict=True)]


@torch.no_grad()
def recipe_weights(network: nn.Module, *, scaled: bool = True) -> nn.Module:
    """Give `network` the recipe's weights, in place, and return it."""
    layer = 0
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            weight = module.weight
            draw = np.random.default_rng([1234, layer]).standard_normal(tuple(weight.shape))
            scale = math.sqrt(2 / weight[0].numel()) if scaled else 1.0
            weight.copy_(torch.from_numpy((draw * scale).astype(np.float32)))
            if module.bias is not None:
                module.bias.zero_()
            layer += 1
        elif isinstance(module, nn.BatchNorm2d):
            module.reset_parameters()
    return network
