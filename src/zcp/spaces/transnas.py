"""TransNAS-Bench-101, micro space: 4,096 cells of four nodes with four candidate operations on six edges.

The network is that of the benchmark's scene classification: ten cells of 128, 256 and 512 channels. Other
tasks differ in what follows the cells only.
"""

from ast import literal_eval
from collections.abc import Iterator
from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zcp.errors import InputError
from zcp.spaces.base import Space
from zcp.spaces.cells import EDGES, convolution, relu_conv_bn

#: By code. An architecture string is the tuple of the codes of `EDGES`.
OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3")
STEM_WIDTH = 64
#: (channels, cells) of each stage; its first cell halves the size.
STAGES = ((128, 4), (256, 4), (512, 2))


def parse_codes(arch: str) -> tuple[int, ...]:
    """Return the six operation codes of a string such as `(1, 0, 0, 2, 1, 0)`, in edge order.

    Raises:
        InputError: if the string is malformed; the message names the part at fault.
    """
    try:
        codes = literal_eval(arch)
    except (ValueError, SyntaxError, TypeError):
        codes = None
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


class MicroCell(nn.Module):
    """Four nodes; each is the sum of its edges; edges that leave the input carry the stride."""

    def __init__(self, codes: tuple[int, ...], inputs: int, outputs: int) -> None:
        super().__init__()
        self.edges = nn.ModuleList(
            _operation(code, outputs if source else inputs, outputs, 1 if source or inputs == outputs else 2)
            for code, (source, _) in zip(codes, EDGES, strict=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        nodes, edges = [x], iter(self.edges)
        for node in range(1, 4):
            terms = [next(edges)(nodes[source]) for source in range(node)]
            nodes.append(sum(terms[1:], terms[0]))
        return nodes[-1]


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
    size = len(OPERATIONS) ** len(EDGES)
    _cells = tuple(product(range(len(OPERATIONS)), repeat=len(EDGES)))

    def arch(self, index: int) -> str:
        return str(self._cells[self.check_index(index)])

    def index(self, arch: str) -> int:
        index = 0
        for code in parse_codes(arch):
            index = index * len(OPERATIONS) + code
        return index

    def network(self, arch: str, classes: int, channels: int = 3) -> nn.Module:
        return MicroNetwork(parse_codes(arch), classes, channels)

    def params(self, arch: str, classes: int, channels: int = 3) -> int:
        """Return the number of trainable parameters for images of `channels` channels, from a closed form."""
        half = STEM_WIDTH // 2
        stem = (9 * channels + 2) * half + (9 * half + 2) * STEM_WIDTH
        edges = sum(weights + 2 * width * count for weights, width, _, count in _edges(parse_codes(arch)))
        return int(stem + edges + (STAGES[-1][0] + 1) * classes)

    def flops(self, arch: str, classes: int, resolution: int) -> int:
        """See `Space.flops`; from a closed form, for a resolution that is a multiple of 32."""
        half = STEM_WIDTH // 2
        stem = 27 * half * (resolution // 2) ** 2 + 9 * half * STEM_WIDTH * (resolution // 4) ** 2
        edges = sum(
            weights * (resolution // (8 * 2**stage)) ** 2
            for weights, _, stage, _ in _edges(parse_codes(arch))
        )
        return int(stem + edges + (STAGES[-1][0] + 1) * classes)


def _edges(codes: tuple[int, ...]) -> Iterator[tuple[int, int, int, int]]:
    """Yield (weights of convolutions, width, stage, number of batch norms) of each edge in each stage."""
    for stage, (width, cells) in enumerate(STAGES):
        for code, (source, _) in zip(codes, EDGES, strict=True):
            # Only the first cell of a stage has other inputs, half as wide.
            inputs = width * cells - (width // 2 if source == 0 else 0)
            if code >= 2:
                yield inputs * width * (1 if code == 2 else 9), width, stage, cells
            elif code == 1 and source == 0:
                yield width // 2 * width, width, stage, 1
