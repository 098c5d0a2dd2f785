"""NATS-Bench size space: 32,768 choices of five channel counts around one fixed cell."""

from torch import nn

from zcp.errors import InputError
from zcp.spaces.base import Space
from zcp.spaces.cells import Cell, CellNetwork, Residual
from zcp.spaces.tss import parse_cell

CHOICES = tuple(range(8, 65, 8))
LAYERS = 5
CELL = parse_cell(
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"
)


def parse_widths(arch: str) -> tuple[int, ...]:
    """Return the five channel counts of `c1:c2:c3:c4:c5`.

    Raises:
        InputError: if the string is malformed; the message names the part at fault.
    """
    parts = arch.split(":")
    if len(parts) != LAYERS:
        raise InputError(
            f"malformed sizes {arch!r}: expected {LAYERS} numbers joined by ':', found {len(parts)}"
        )
    for part in parts:
        if part not in map(str, CHOICES):
            raise InputError(
                f"malformed sizes {arch!r}: {part!r} is not one of {', '.join(map(str, CHOICES))}"
            )
    return tuple(map(int, parts))


def _cell_convolutions(inputs: int, outputs: int) -> list[tuple[int, int, int]]:
    """Return (inputs, outputs, kernel) of each convolution of the fixed cell; all are followed by BN."""
    skip = [(inputs, outputs, 1)] if inputs != outputs else []
    return [(inputs, outputs, 3)] * 2 + [(outputs, outputs, 3)] * 3 + skip


class SizeSpace(Space):
    """The size space: one cell a stage, widths 8 to 64 (Dong et al. 2022)."""

    name = "sss"
    size = len(CHOICES) ** LAYERS

    def arch(self, index: int) -> str:
        remainder = self.check_index(index)
        widths: list[int] = []
        for _ in range(LAYERS):
            remainder, digit = divmod(remainder, len(CHOICES))
            widths.append(CHOICES[digit])
        return ":".join(map(str, reversed(widths)))

    def index(self, arch: str) -> int:
        index = 0
        for width in parse_widths(arch):
            index = index * len(CHOICES) + CHOICES.index(width)
        return index

    def network(self, arch: str, classes: int, channels: int = 3) -> nn.Module:
        c1, c2, c3, c4, c5 = parse_widths(arch)
        cells = [
            Cell(CELL, c1, c1),
            Residual(c1, c2),
            Cell(CELL, c2, c3),
            Residual(c3, c4),
            Cell(CELL, c4, c5),
        ]
        return CellNetwork(c1, cells, c5, classes, channels)

    def params(self, arch: str, classes: int) -> int:
        c1, c2, c3, c4, c5 = parse_widths(arch)

        def cell(i: int, o: int) -> int:
            return sum(a * b * k * k + 2 * b for a, b, k in _cell_convolutions(i, o))

        def residual(i: int, o: int) -> int:
            return (9 * i * o + 2 * o) + (9 * o * o + 2 * o) + i * o

        body = cell(c1, c1) + residual(c1, c2) + cell(c2, c3) + residual(c3, c4) + cell(c4, c5)
        return (27 + 2) * c1 + body + 2 * c5 + (c5 + 1) * classes

    def flops(self, arch: str, classes: int, resolution: int) -> int:
        c1, c2, c3, c4, c5 = parse_widths(arch)

        def cell(i: int, o: int) -> int:
            return sum(a * b * k * k for a, b, k in _cell_convolutions(i, o))

        def residual(i: int, o: int) -> int:
            return 9 * i * o + 9 * o * o + i * o

        full, half, quarter = resolution**2, resolution**2 // 4, resolution**2 // 16
        return (
            full * (27 * c1 + cell(c1, c1))
            + half * (residual(c1, c2) + cell(c2, c3))
            + quarter * (residual(c3, c4) + cell(c4, c5))
            + (c5 + 1) * classes
        )
