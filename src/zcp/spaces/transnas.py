"""TransNAS-Bench-101, micro space: 4,096 cells of four nodes with four candidate operations on six edges.

The network is that of the benchmark's scene classification: ten cells of 128, 256 and 512 channels. Other
tasks differ in what follows the cells only.
"""

from collections.abc import Callable
from functools import cache
from math import prod

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zcp.errors import InputError
from zcp.spaces.base import Space, read_literal
from zcp.spaces.cells import EDGES, Nodes, convolution, relu_conv_bn

#: By code. An architecture string is the tuple of the codes of `EDGES`.
OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3")
SHAPE = (len(OPERATIONS),) * len(EDGES)
STEM_WIDTH = 64
#: (channels, cells) of each stage; its first cell halves the size.
STAGES = ((128, 4), (256, 4), (512, 2))


def parse_codes(arch: str) -> tuple[int, ...]:
    """Return the six operation codes of a string such as `(1, 0, 0, 2, 1, 0)`, in edge order.

    Raises:
        InputError: if the string is malformed; the message names the part at fault.
    """
    codes = read_literal(arch)
    if not isinstance(codes, tuple) or len(codes) != len(EDGES):
        raise InputError(f"malformed cell {arch!r}: expected {len(EDGES)} codes such as '(1, 0, 0, 2, 1, 0)'")
    for code in codes:
        if type(code) is not int or not 0 <= code < len(OPERATIONS):
            raise InputError(f"malformed cell {arch!r}: code {code!r} is not one of 0 to 3")
    return codes


class ZeroReduce(nn.Module):
    """The operation `none` where the size and the width change: zeros."""

    def __init__(self, outputs: int, stride: int) -> None:
        super().__init__()
        self.outputs, self.stride = outputs, stride

    def forward(self, x: Tensor) -> Tensor:
        # The product keeps the input in the graph, with zero gradients.
        smaller = x[:, :1, :: self.stride, :: self.stride] * 0.0
        return smaller.expand(-1, self.outputs, -1, -1)


class FactorizedReduce(nn.Module):
    """`skip_connect` where the size halves: two 1x1 convolutions of stride 2, shifted by a pixel, then BN."""

    def __init__(self, inputs: int, outputs: int, affine: bool = True) -> None:
        super().__init__()
        self.relu = nn.ReLU()
        self.even = convolution(inputs, outputs // 2, 1, stride=2)
        self.odd = convolution(inputs, outputs - outputs // 2, 1, stride=2)
        self.bn = nn.BatchNorm2d(outputs, affine=affine)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(x)
        shifted = F.pad(x, (0, 1, 0, 1))[:, :, 1:, 1:]
        output: Tensor = self.bn(torch.cat([self.even(x), self.odd(shifted)], dim=1))
        return output


def _operation(code: int, inputs: int, outputs: int, stride: int) -> nn.Module:
    if code == 0:
        return ZeroReduce(outputs, stride)
    if code == 1:
        return nn.Identity() if stride == 1 else FactorizedReduce(inputs, outputs)
    return relu_conv_bn(inputs, outputs, 1 if code == 2 else 3, stride)


class MicroCell(Nodes):
    """A cell whose edges that leave the input carry the stride."""

    def __init__(self, codes: tuple[int, ...], inputs: int, outputs: int) -> None:
        super().__init__(
            _operation(code, outputs if source else inputs, outputs, 1 if source or inputs == outputs else 2)
            for code, (source, _) in zip(codes, EDGES, strict=True)
        )


class MicroNetwork(nn.Module):
    """Stem that halves the size twice, ten cells, global average pooling and a classifier.

    Maps images (B, channels, H, W) to logits (B, classes).
    """

    def __init__(self, codes: tuple[int, ...], classes: int, channels: int) -> None:
        super().__init__()
        half = STEM_WIDTH // 2
        self.stem = nn.Sequential(
            convolution(channels, half, 3, 2),
            nn.BatchNorm2d(half),
            nn.ReLU(),
            convolution(half, STEM_WIDTH, 3, 2),
            nn.BatchNorm2d(STEM_WIDTH),
        )
        cells, previous = [], STEM_WIDTH
        for width, count in STAGES:
            cells += [MicroCell(codes, width if k else previous, width) for k in range(count)]
            previous = width
        self.cells = nn.ModuleList(cells)
        self.global_pooling = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(previous, classes)

    def forward(self, images: Tensor) -> Tensor:
        x = self.stem(images)
        for cell in self.cells:
            x = cell(x)
        logits: Tensor = self.classifier(torch.flatten(self.global_pooling(x), 1))
        return logits


class TransNASSpace(Space):
    """The micro space of TransNAS-Bench-101 (Duan et al. 2021), in the order of its codes."""

    name = "transnas"
    size = prod(SHAPE)

    def arch(self, index: int) -> str:
        return str(tuple(map(int, np.unravel_index(self.check_index(index), SHAPE))))

    def index(self, arch: str) -> int:
        return int(np.ravel_multi_index(parse_codes(arch), SHAPE))

    def network(self, arch: str, classes: int, channels: int = 3) -> nn.Module:
        return MicroNetwork(parse_codes(arch), classes, channels)

    # The whole space is counted at once, so a network is not built for each cell.
    def params(self, arch: str, classes: int) -> int:
        return _sum_edges(super().params, arch, classes)

    def flops(self, arch: str, classes: int, resolution: int) -> int:
        return _sum_edges(super().flops, arch, classes, resolution)


def _sum_edges(count: Callable[..., int], arch: str, *arguments: int) -> int:
    empty, added = _count_edges(count, *arguments)
    return empty + sum(added[edge][code] for edge, code in enumerate(parse_codes(arch)))


@cache
def _count_edges(count: Callable[..., int], *arguments: int) -> tuple[int, list[list[int]]]:
    """Return the count of the cell without operations, and what each code of each edge adds to it."""

    def alone(edge: int, code: int) -> int:
        return count(str((0,) * edge + (code,) + (0,) * (len(EDGES) - edge - 1)), *arguments)

    empty = alone(0, 0)
    codes = range(len(OPERATIONS))
    return empty, [[alone(edge, code) - empty for code in codes] for edge in range(len(EDGES))]
