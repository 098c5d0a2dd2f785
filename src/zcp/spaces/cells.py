"""Building blocks of the NATS-Bench networks: cell edges, cells, residual blocks and the network around them.

The order inside an edge is ReLU, convolution, batch normalisation, and no convolution has a bias.
"""

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")

#: The edges (from node, to node) of a cell with four nodes, in the order of the architecture string.
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))


def convolution(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    """Return a bias-free convolution that keeps the size (divided by the stride)."""
    return nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)


def relu_conv_bn(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Return ReLU, convolution, batch normalisation, in this order."""
    return nn.Sequential(nn.ReLU(), convolution(inputs, outputs, kernel, stride), nn.BatchNorm2d(outputs))


class Zero(nn.Module):
    """The operation `none`: multiplies by zero, so the input stays in the graph with zero gradients."""

    def forward(self, x: Tensor) -> Tensor:
        return x * 0.0


class Projection(nn.Sequential):
    """`skip_connect` between unequal widths: a 1x1 convolution and batch normalisation, no activation."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.add_module("conv", convolution(inputs, outputs, 1))
        self.add_module("bn", nn.BatchNorm2d(outputs))


def operation(name: str, inputs: int, outputs: int) -> nn.Module:
    """Return a new instance of one of `OPERATIONS` that maps `inputs` to `outputs` channels.

    NATS-Bench changes the width on convolution and skip edges only.
    """
    if name == "nor_conv_3x3":
        return relu_conv_bn(inputs, outputs, 3)
    if name == "nor_conv_1x1":
        return relu_conv_bn(inputs, outputs, 1)
    if name == "skip_connect":
        return nn.Identity() if inputs == outputs else Projection(inputs, outputs)
    if name == "avg_pool_3x3":
        return nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
    return Zero()


class Nodes(nn.Module):
    """Four nodes; each is the sum of its incoming edges, modules in the order of `EDGES`; gives the last."""

    def __init__(self, edges: Iterable[nn.Module]) -> None:
        super().__init__()
        self.edges = nn.ModuleList(edges)

    def forward(self, x: Tensor) -> Tensor:
        nodes = [x]
        edges = iter(self.edges)
        for node in range(1, 4):
            terms = [next(edges)(nodes[source]) for source in range(node)]
            nodes.append(sum(terms[1:], terms[0]))
        return nodes[-1]


class Cell(Nodes):
    """A cell of NATS-Bench, with one of `OPERATIONS` on each edge."""

    def __init__(self, operations: Sequence[str], inputs: int, outputs: int) -> None:
        super().__init__(
            operation(name, inputs if source == 0 else outputs, outputs)
            for name, (source, _) in zip(operations, EDGES, strict=True)
        )


class Residual(nn.Module):
    """Halves the size: two ReLU-conv-BN blocks beside an average pool with a bare 1x1 convolution."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.a = relu_conv_bn(inputs, outputs, 3, stride=2)
        self.b = relu_conv_bn(outputs, outputs, 3)
        self.down = nn.Sequential(nn.AvgPool2d(2), convolution(inputs, outputs, 1))

    def forward(self, x: Tensor) -> Tensor:
        # The main path runs first: some proxies read modules in the order of execution.
        main = self.b(self.a(x))
        output: Tensor = self.down(x) + main
        return output


class CellNetwork(nn.Module):
    """Stem, a chain of cells and residual blocks, then BN, ReLU, global average pooling and a classifier.

    Maps images (B, channels, H, W) to logits (B, classes).
    """

    def __init__(
        self, stem_width: int, cells: Sequence[nn.Module], width: int, classes: int, channels: int = 3
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(convolution(channels, stem_width, 3), nn.BatchNorm2d(stem_width))
        self.cells = nn.ModuleList(cells)
        self.lastact = nn.Sequential(nn.BatchNorm2d(width), nn.ReLU())
        self.global_pooling = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(width, classes)

    def forward(self, images: Tensor) -> Tensor:
        x = self.stem(images)
        for cell in self.cells:
            x = cell(x)
        pooled = self.global_pooling(self.lastact(x))
        logits: Tensor = self.classifier(torch.flatten(pooled, 1))
        return logits


def chain(
    widths: Sequence[int], cell: Callable[[int], nn.Module], repeats: int, classes: int, channels: int = 3
) -> CellNetwork:
    """Return a network of stages of these widths, residual blocks between them.

    A stage has `repeats` cells, each of which `cell` makes for a width, which it keeps.
    """
    body: list[nn.Module] = []
    for stage, width in enumerate(widths):
        body += [Residual(widths[stage - 1], width)] if stage else []
        body += [cell(width) for _ in range(repeats)]
    return CellNetwork(widths[0], body, widths[-1], classes, channels)
