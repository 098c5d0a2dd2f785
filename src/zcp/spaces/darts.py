"""The DARTS space: a normal and a reduction cell of four nodes with two inputs each, and seven operations.

The network is the one of NAS-Bench-Suite-Zero: 8 cells of which the third and the sixth reduce, 32 channels
at first. An architecture string is NASLib's: `[[(source, code), ... 8 pairs], [... 8 pairs]]`, normal cell
first; sources 0 and 1 are the outputs of the two cells before, 2 to 4 the nodes of this cell.
"""

from functools import cache
from itertools import combinations, product
from math import comb, prod
from operator import index

import numpy as np
import torch
from torch import Tensor, nn

from zcp.errors import InputError
from zcp.spaces.base import Space, read_literal
from zcp.spaces.cells import convolution, relu_conv_bn
from zcp.spaces.transnas import FactorizedReduce

#: By code; which of the two poolings is 0 cannot be seen from parameters or operations.
OPERATIONS = (
    "max_pool_3x3", "avg_pool_3x3", "skip_connect",
    "sep_conv_3x3", "sep_conv_5x5", "dil_conv_3x3", "dil_conv_5x5",
)  # fmt: skip
NODES = 4
WIDTH, CELLS, REDUCTIONS = 32, 8, (2, 5)
#: How many choices each node has, of the normal cell and then of the reduction cell.
SHAPE = tuple(comb(node + 2, 2) * len(OPERATIONS) ** 2 for node in range(NODES)) * 2

Edge = tuple[int, int]
Genotype = tuple[tuple[Edge, ...], tuple[Edge, ...]]


# Made when first asked for: a thousand tuples at import set off a garbage collection over all of torch's
# objects, which took longer than the rest of `import zcp` after torch.
@cache
def _choices() -> list[list[tuple[Edge, Edge]]]:
    """Return for each node the choices of its two edges: unordered, from different sources."""
    return [
        [
            ((i, a), (j, b))
            for i, j in combinations(range(node + 2), 2)
            for a, b in product(range(len(OPERATIONS)), repeat=2)
        ]
        for node in range(NODES)
    ]


@cache
def _positions() -> list[dict[tuple[Edge, ...], int]]:
    """Return for each node the position of each choice."""
    return [{pair: position for position, pair in enumerate(choices)} for choices in _choices()]


def parse_genotype(arch: str) -> Genotype:
    """Return the edges (source, code) of the normal and of the reduction cell.

    The two edges of a node are given in the order of their sources, since their sum does not depend on it.

    Raises:
        InputError: if the string is malformed; the message names the part at fault.
    """
    try:
        normal, reduction = (tuple((index(i), index(op)) for i, op in cell) for cell in read_literal(arch))
    except (ValueError, TypeError):
        raise InputError(f"malformed genotype {arch!r}: expected two lists of (source, code) pairs") from None
    cells = []
    for name, cell in (("normal", normal), ("reduction", reduction)):
        if len(cell) != 2 * NODES:
            raise InputError(
                f"malformed genotype: the {name} cell has {len(cell)} edges instead of {2 * NODES}"
            )
        edges: list[Edge] = []
        for node in range(NODES):
            pair = tuple(sorted(cell[2 * node : 2 * node + 2]))
            if pair not in _positions()[node]:
                raise InputError(
                    f"malformed genotype: node {node} of the {name} cell has edges {pair}; it needs two "
                    f"different sources of 0 to {node + 1} and codes of 0 to {len(OPERATIONS) - 1}"
                )
            edges.extend(pair)
        cells.append(tuple(edges))
    return cells[0], cells[1]


def _separable(channels: int, kernel: int, stride: int, dilation: int = 1) -> list[nn.Module]:
    """Return ReLU, depthwise and pointwise convolution, and batch normalisation without affine parameters."""
    padding = dilation * (kernel // 2)
    return [
        nn.ReLU(),
        nn.Conv2d(
            channels, channels, kernel, stride, padding, dilation=dilation, groups=channels, bias=False
        ),
        convolution(channels, channels, 1),
        nn.BatchNorm2d(channels, affine=False),
    ]


def _operation(code: int, channels: int, stride: int) -> nn.Module:
    name = OPERATIONS[code]
    kernel = 5 if name.endswith("5x5") else 3
    if name == "skip_connect":
        return nn.Identity() if stride == 1 else FactorizedReduce(channels, channels, affine=False)
    if name.startswith("sep"):
        return nn.Sequential(*_separable(channels, kernel, stride), *_separable(channels, kernel, stride=1))
    if name.startswith("dil"):
        return nn.Sequential(*_separable(channels, kernel, stride, dilation=2))
    if name.startswith("max"):
        pool: nn.Module = nn.MaxPool2d(3, stride, padding=1)
    else:
        pool = nn.AvgPool2d(3, stride, padding=1, count_include_pad=False)
    return nn.Sequential(pool, nn.BatchNorm2d(channels, affine=False))


class DartsCell(nn.Module):
    """Two preprocessed inputs, four nodes that add up two operations each, concatenated."""

    def __init__(
        self, edges: tuple[Edge, ...], inputs: tuple[int, int], width: int, reduces: tuple[bool, bool]
    ) -> None:
        super().__init__()
        was_reduced, is_reduction = reduces
        self.sources = [source for source, _ in edges]
        self.preprocess0 = (
            FactorizedReduce(inputs[0], width) if was_reduced else relu_conv_bn(inputs[0], width, 1)
        )
        self.preprocess1 = relu_conv_bn(inputs[1], width, 1)
        self.edges = nn.ModuleList(
            _operation(code, width, 2 if is_reduction and source < 2 else 1) for source, code in edges
        )

    def forward(self, before: Tensor, last: Tensor) -> Tensor:
        states = [self.preprocess0(before), self.preprocess1(last)]
        for node in range(NODES):
            first, second = (self.edges[k](states[self.sources[k]]) for k in (2 * node, 2 * node + 1))
            states.append(first + second)
        return torch.cat(states[2:], dim=1)


class DartsNetwork(nn.Module):
    """Stem, eight cells that each read the two before, global average pooling and a classifier.

    Maps images (B, channels, H, W) to logits (B, classes).
    """

    def __init__(self, genotype: Genotype, classes: int, channels: int) -> None:
        super().__init__()
        stem_width, width = 3 * WIDTH, WIDTH
        self.stem = nn.Sequential(convolution(channels, stem_width, 3), nn.BatchNorm2d(stem_width))
        cells, inputs, was_reduced = [], (stem_width, stem_width), False
        for number in range(CELLS):
            is_reduction = number in REDUCTIONS
            width *= 2 if is_reduction else 1
            cells.append(DartsCell(genotype[is_reduction], inputs, width, (was_reduced, is_reduction)))
            inputs, was_reduced = (inputs[1], NODES * width), is_reduction
        self.cells = nn.ModuleList(cells)
        self.global_pooling = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(NODES * width, classes)

    def forward(self, images: Tensor) -> Tensor:
        before = last = self.stem(images)
        for cell in self.cells:
            before, last = last, cell(before, last)
        logits: Tensor = self.classifier(torch.flatten(self.global_pooling(last), 1))
        return logits


class DartsSpace(Space):
    """The DARTS space (Liu et al. 2019) with the skeleton of NAS-Bench-Suite-Zero.

    There is no official order: the index counts the choices of the nodes, normal cell first, as digits.
    """

    name = "darts"
    size = prod(SHAPE)

    def arch(self, index: int) -> str:
        digits = np.unravel_index(self.check_index(index), SHAPE)
        edges = [e for choices, k in zip(_choices() * 2, digits, strict=True) for e in choices[k]]
        return str([edges[: 2 * NODES], edges[2 * NODES :]])

    def index(self, arch: str) -> int:
        pairs = [cell[k : k + 2] for cell in parse_genotype(arch) for k in range(0, 2 * NODES, 2)]
        digits = [positions[pair] for positions, pair in zip(_positions() * 2, pairs, strict=True)]
        return int(np.ravel_multi_index(digits, SHAPE))

    def network(self, arch: str, classes: int, channels: int = 3) -> nn.Module:
        return DartsNetwork(parse_genotype(arch), classes, channels)
