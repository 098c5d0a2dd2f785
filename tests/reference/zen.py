"""Twin of zen: the running variance of each batch norm kept by hand."""

import math

import torch
from torch import Tensor, nn


@torch.no_grad()
def zen(network: nn.Module, batches, draw) -> float:
    shape = (min(16, len(batches[0][0])), *batches[0][0].shape[1:])
    x, e = (draw(name, shape).to(batches[0][0].dtype) for name in ("x", "e"))
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    running = {norm: [1.0] * norm.num_features for norm in norms}
    features: list[Tensor] = []

    def update(norm: nn.Module, args: tuple[Tensor]) -> None:
        for channel in range(norm.num_features):
            values = args[0][:, channel].flatten().tolist()
            mean = sum(values) / len(values)
            variance = sum((value - mean) ** 2 for value in values) / (len(values) - 1)
            running[norm][channel] = 0.9 * running[norm][channel] + 0.1 * variance

    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.register_forward_pre_hook(update)
        if isinstance(module, nn.AdaptiveAvgPool2d):
            module.register_forward_pre_hook(lambda _pool, args: features.append(args[0].clone()))
    for inputs in (x, x + 0.01 * e):
        network.train()(inputs)
    distances = [float((a - b).abs().sum()) for a, b in zip(*features, strict=True)]
    mean = sum(distances) / len(distances)
    score = math.log(mean) if mean else -math.inf
    return score + sum(0.5 * math.log(sum(running[norm]) / norm.num_features) for norm in norms)


TWINS = {"zen": zen}
