"""NATS-Bench topology space: 15,625 cells of four nodes with five candidate operations on six edges."""

import random
from collections import Counter
from functools import cached_property
from itertools import product

from torch import nn

from zcp.errors import InputError
from zcp.spaces.base import Space
from zcp.spaces.cells import EDGES, OPERATIONS, Cell, chain

WIDTHS = (16, 32, 64)
CELLS_PER_STAGE = 5


def parse_cell(arch: str) -> tuple[str, ...]:
    """Return the six operations of `|op~0|+|op~0|op~1|+|op~0|op~1|op~2|`, in edge order.

    Raises:
        InputError: if the string is malformed; the message names the part at fault.
    """
    nodes = arch.split("+")
    if len(nodes) != 3:
        raise InputError(f"malformed cell {arch!r}: expected 3 nodes joined by '+', found {len(nodes)}")
    operations = []
    for number, node in enumerate(nodes, start=1):
        if len(node) < 2 or node[0] != "|" or node[-1] != "|":
            raise InputError(f"malformed cell {arch!r}: node {node!r} must begin and end with '|'")
        edges = node[1:-1].split("|")
        if len(edges) != number:
            raise InputError(
                f"malformed cell {arch!r}: node {number} {node!r} must have {number} edge(s), "
                f"not {len(edges)}"
            )
        for source, edge in enumerate(edges):
            name, separator, origin = edge.partition("~")
            if not separator or origin != str(source):
                raise InputError(f"malformed cell {arch!r}: edge {edge!r} must end with '~{source}'")
            if name not in OPERATIONS:
                raise InputError(
                    f"malformed cell {arch!r}: unknown operation {name!r}; choose of {', '.join(OPERATIONS)}"
                )
            operations.append(name)
    return tuple(operations)


def format_cell(operations: tuple[str, ...]) -> str:
    """Return the architecture string of six operations, the inverse of `parse_cell`."""
    nodes: dict[int, str] = {}
    for name, (source, node) in zip(operations, EDGES, strict=True):
        nodes[node] = nodes.get(node, "|") + f"{name}~{source}|"
    return "+".join(nodes.values())


class TopologySpace(Space):
    """The topology space: 16, 32, 64 channels, five cells a stage (Dong et al. 2022)."""

    name = "tss"
    size = len(OPERATIONS) ** len(EDGES)

    @cached_property
    def _order(self) -> list[tuple[str, ...]]:
        # The benchmark shuffled the Cartesian product with Python's generator and this seed.
        cells = list(product(OPERATIONS, repeat=len(EDGES)))
        random.Random(88).shuffle(cells)
        return cells

    @cached_property
    def _positions(self) -> dict[tuple[str, ...], int]:
        return {cell: index for index, cell in enumerate(self._order)}

    def arch(self, index: int) -> str:
        return format_cell(self._order[self.check_index(index)])

    def index(self, arch: str) -> int:
        return self._positions[parse_cell(arch)]

    def network(self, arch: str, classes: int, channels: int = 3) -> nn.Module:
        operations = parse_cell(arch)
        return chain(WIDTHS, lambda width: Cell(operations, width, width), CELLS_PER_STAGE, classes, channels)

    def params(self, arch: str, classes: int) -> int:
        count = Counter(parse_cell(arch))
        return 72_656 + 65 * classes + 243_040 * count["nor_conv_3x3"] + 28_000 * count["nor_conv_1x1"]

    def flops(self, arch: str, classes: int, resolution: int) -> int:
        count = Counter(parse_cell(arch))
        per_pixel = 7_600 + 34_560 * count["nor_conv_3x3"] + 3_840 * count["nor_conv_1x1"]
        return per_pixel * resolution**2 + 65 * classes
