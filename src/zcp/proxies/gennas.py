"""GenNAS: how well a few gradient steps regress synthetic signals (Li et al. 2021). Not training-free.

Its passes stay here and not among the statistics: each runs on weights that the step before has moved, so no
other proxy could share one.
"""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zcp.errors import Undefined
from zcp.proxies.registry import proxy
from zcp.statistics.chain import first_tensor
from zcp.statistics.copies import duplicate
from zcp.statistics.network import Statistics

#: Gradient steps, learning rate, and how many depths of the network regress.
STEPS, RATE, DEPTHS = 10, 0.05, 3
#: Sine waves beside the resized image, in the target of each depth.
WAVES = 4


@proxy(
    init="default",
    source="li2021gennas",
    data=True,
    labels=False,
    larger_is_better=False,
    optional=f"trains a copy of the network: {STEPS} gradient steps on 16 samples",
)
def gennas(s: Statistics) -> Tensor:
    """Error with which features at three depths regress synthetic signals after ten gradient steps.

    It takes gradient steps, on a copy, and so is not a zero-cost proxy in the strict sense. Features of the
    last block of each of the last three resolutions, normalised by channel, go through 1x1 convolutions to
    the image, resized, and four sine waves of random direction for each sample; stochastic gradient descent
    with momentum 0.9 on the mean squared error of the first 16 samples. Smaller is better. Ours: signals,
    steps and rate, which the authors search for each space (they take about 100 steps). A dead network gives
    the error of predicting zero.
    """
    # What a block is stays the same when it is copied.
    names = {module: name for name, module in s.network.named_modules()}
    network, inputs = duplicate(s.network), s.batches[0][0][:16]
    blocks = [network.get_submodule(names[block]) for block in dict.fromkeys(s.chain)]
    heads: list[Tensor] = []
    targets: list[Tensor] = []
    optimiser: torch.optim.Optimizer | None = None
    error = torch.zeros(())
    for step in range(STEPS + 1):
        features = _by_depth(s, network, inputs, blocks)
        if optimiser is None:
            targets = [_target(s, inputs, depth, f.shape[2:]) for depth, f in enumerate(features)]
            heads = list(_heads(s, features, targets))
            optimiser = torch.optim.SGD([*network.parameters(), *heads], lr=RATE, momentum=0.9)
        error = _error(features, heads, targets)
        if step < STEPS:
            s.passes["backward"] += 1
            optimiser.zero_grad()
            error.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    return error.detach()


def _by_depth(s: Statistics, network: nn.Module, inputs: Tensor, blocks: list[nn.Module]) -> list[Tensor]:
    """Return the output of the last block of each of the last resolutions."""
    outputs: dict[tuple[int, ...], Tensor] = {}

    def keep(_block: nn.Module, _args: tuple[Tensor, ...], result: Any) -> None:
        output = first_tensor(result)
        if output is not None:
            # A copy, because what follows may overwrite it.
            outputs[tuple(output.shape[2:])] = output.clone()

    handles = [block.register_forward_hook(keep) for block in blocks]
    try:
        s.forward(network, inputs, ())
    finally:
        for handle in handles:
            handle.remove()
    if not outputs:
        raise Undefined("the network is no chain of blocks, so its depths cannot be told; name its blocks")
    if any(feature.ndim != 4 for feature in outputs.values()):
        raise Undefined("a block gave features that are not (B, C, H, W), which no image can be resized to")
    return list(outputs.values())[-DEPTHS:]


def _target(s: Statistics, inputs: Tensor, depth: int, size: torch.Size) -> Tensor:
    """Return the image resized to `size`, and the waves, (B, channels, height, width)."""
    frequency, phase = s.noise(f"gennas {depth}", (3, len(inputs), WAVES, 1, 1)).tensor_split([2])
    grid = [torch.linspace(-torch.pi, torch.pi, n, device=s.device, dtype=s.dtype) for n in size]
    y, x = torch.meshgrid(*grid, indexing="ij")
    waves = torch.sin(frequency[0] * x + frequency[1] * y + torch.pi * phase[0])
    return torch.cat([F.adaptive_avg_pool2d(inputs, (size[0], size[1])), waves], dim=1)


def _heads(s: Statistics, features: list[Tensor], targets: list[Tensor]) -> Iterator[Tensor]:
    for depth, (feature, target) in enumerate(zip(features, targets, strict=True)):
        shape = (target.shape[1], feature.shape[1], 1, 1)
        yield (s.noise(f"gennas head {depth}", shape) / feature.shape[1] ** 0.5).requires_grad_()


def _error(features: list[Tensor], heads: list[Tensor], targets: list[Tensor]) -> Tensor:
    errors = [
        F.mse_loss(F.conv2d(F.batch_norm(feature, None, None, training=True), head), target)
        for feature, head, target in zip(features, heads, targets, strict=True)
    ]
    return torch.stack(errors).mean()
