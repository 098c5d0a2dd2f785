"""What a search space is: an ordered set of architecture strings, each of which names a network."""

import re
import warnings
from abc import ABC, abstractmethod
from ast import literal_eval
from typing import Any

import torch
from torch import nn

from zcp.errors import InputError
from zcp.statistics.capture import forward
from zcp.statistics.flops import counted_as_nats_bench
from zcp.statistics.operations import WEIGHTED

#: Characters of an architecture string that is a Python literal.
LONGEST = 1000


def index_or_string(text: str) -> int | str:
    """Return what names an architecture in a text: an index in decimal digits, or else a string."""
    return int(text) if re.fullmatch(r"-?[0-9]{1,18}", text) else text


def read_literal(arch: str) -> Any:
    """Return the value of a Python literal; None where a text is none, or longer than any architecture."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the syntax of what is no literal
            return literal_eval(arch) if len(arch) <= LONGEST else None
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None


class Space(ABC):
    """An ordered search space.

    Attributes:
        name: short name, as used in tables and on the command line.
        size: number of architectures.
    """

    name: str
    size: int

    @abstractmethod
    def arch(self, index: int) -> str:
        """Return the architecture string at `index` of the official order.

        Raises:
            InputError: if `index` is out of range.
        """

    @abstractmethod
    def index(self, arch: str) -> int:
        """Return the official index of an architecture string.

        Raises:
            InputError: if the string is malformed; the message names the part at fault.
        """

    @abstractmethod
    def network(self, arch: str, classes: int, channels: int = 3) -> nn.Module:
        """Return the network of an architecture string for images of so many channels."""

    def params(self, arch: str, classes: int) -> int:
        """Return the number of trainable parameters for images of three channels."""
        with torch.device("meta"):
            return sum(p.numel() for p in self.network(arch, classes).parameters())

    def flops(self, arch: str, classes: int, resolution: int) -> int:
        """Return the multiply-accumulates for one image (convolutions and classifier, biases included).

        The image is a square of `resolution` pixels a side, a multiple of 4 (of 32 for `transnas`).
        """
        with torch.device("meta"), torch.no_grad():
            image = torch.zeros(1, 3, resolution, resolution)
            seen = forward(self.network(arch, classes).eval(), image, WEIGHTED, arguments=True)
        return counted_as_nats_bench(seen.calls)

    def resolve(self, arch: str | int) -> tuple[int, str]:
        """Return (index, architecture string) of an architecture given as either of them.

        Raises:
            InputError: if it is neither.
        """
        if not isinstance(arch, str):
            return arch, self.arch(arch)
        try:
            return self.index(arch), arch
        except InputError as error:
            raise InputError(
                f"{error}; an architecture of {self.name} is an index from 0 to {self.size - 1}, or a string "
                f"such as {self.arch(0)!r}"
            ) from error

    def check_index(self, index: int) -> int:
        """Return `index` as an int.

        Raises:
            InputError: if it is not an integer from 0 to `size` - 1.
        """
        if isinstance(index, bool) or not hasattr(index, "__index__"):
            raise InputError(f"an index of space {self.name!r} must be an integer, not {index!r}")
        if not 0 <= index < self.size:
            raise InputError(
                f"index {index} is out of range: space {self.name!r} has indices 0 to {self.size - 1}"
            )
        return int(index)
