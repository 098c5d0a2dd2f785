"""NATS-Bench size space: 32,768 choices of five channel counts around one fixed cell."""

import numpy as np
from torch import nn

from zcp.errors import InputError
from zcp.spaces.base import Space
from zcp.spaces.cells import Cell, CellNetwork, Residual
from zcp.spaces.tss import parse_cell

CHOICES = tuple(range(8, 65, 8))
LAYERS = 5
SHAPE = (len(CHOICES),) * LAYERS
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


class SizeSpace(Space):
    """The size space: one cell a stage, widths 8 to 64 (Dong et al. 2022)."""

    name = "sss"
    size = len(CHOICES) ** LAYERS

    def arch(self, index: int) -> str:
        digits = np.unravel_index(self.check_index(index), SHAPE)
        return ":".join(str(CHOICES[digit]) for digit in digits)

    def index(self, arch: str) -> int:
        return int(np.ravel_multi_index([CHOICES.index(width) for width in parse_widths(arch)], SHAPE))

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
