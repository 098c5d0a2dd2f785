"""Search spaces: an architecture string or its official index on one side, a torch network on the other."""

from inspect import signature
from typing import TypeVar

import torch
from torch import nn

from zcp.data.datasets import get_dataset
from zcp.errors import InputError, choose
from zcp.spaces.base import Space
from zcp.spaces.darts import DartsSpace
from zcp.spaces.sss import SizeSpace
from zcp.spaces.transnas import TransNASSpace
from zcp.spaces.tss import TopologySpace
from zcp.statistics.initialisation import initialise

__all__ = ["ALL_SPACES", "SPACES", "Space", "build", "get_space", "register_space"]

S = TypeVar("S", bound=type[Space])

#: The spaces of NATS-Bench, which the study collects by default.
SPACES: dict[str, Space] = {space.name: space for space in (TopologySpace(), SizeSpace())}
#: These, those of the other benchmarks, and what is registered.
ALL_SPACES: dict[str, Space] = SPACES | {space.name: space for space in (TransNASSpace(), DartsSpace())}


def register_space(kind: S) -> S:
    """Register a search space of one's own, as a decorator of its class.

    The class derives from `Space` and has its `name`, its `size`, and the methods `arch`, `index`, `network`.
    Afterwards `build`, `score` and `zcp.collect` know it by its name. For the proxies of blocks its networks
    have the attributes `stem` and `cells`.

    Raises:
        InputError: if there is a space of that name, or the class lacks a member.

    Example:
        >>> @register_space
        ... class Widths(Space):
        ...     name, size = "widths", 8
        ...
        ...     def arch(self, index: int) -> str:
        ...         return str(self.check_index(index) + 1)
        ...
        ...     def index(self, arch: str) -> int:
        ...         return int(arch) - 1
        ...
        ...     def network(self, arch: str, classes: int, channels: int = 3) -> nn.Module:
        ...         layers = nn.Conv2d(channels, int(arch), 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()
        ...         return nn.Sequential(*layers, nn.Linear(int(arch), classes))
        >>> sum(p.numel() for p in build("widths", "2").parameters())
        86
        >>> del ALL_SPACES["widths"]
    """
    if missing := _missing(kind):
        raise InputError(f"the search space {kind.__name__} lacks {', '.join(missing)}; see zcp.Space")
    space = kind()
    if space.name in ALL_SPACES:
        raise InputError(f"there is a search space {space.name!r} already; choose another name")
    ALL_SPACES[space.name] = space
    return kind


def _missing(kind: type[Space]) -> list[str]:
    """Return what a class needs to be a search space and does not have."""
    if found := sorted(getattr(kind, "__abstractmethods__", ())):
        return found
    space = kind()
    try:
        signature(space.network).bind("", 10, 3)
    except TypeError:
        found.append("network(arch, classes, channels)")
    return [name for name in ("name", "size") if not hasattr(space, name)] + found


def get_space(name: str) -> Space:
    """Return the search space called `name` (`tss`, `sss`, `transnas`, `darts`, or one that is registered).

    Raises:
        InputError: if there is none of that name.
    """
    return choose(ALL_SPACES, name, "search space")


def build(space: str, arch: str | int, dataset: str = "cifar10", seed: int = 0) -> nn.Module:
    """Return the benchmark's network for an architecture, freshly initialised.

    Args:
        space: `tss`, `sss`, `transnas`, `darts`, or one that is registered.
        arch: architecture string, or index in the order of the space.
        dataset: a name of `zcp.data.datasets.ALL_DATASETS`; decides the number of classes and of channels.
        seed: of the weights (PyTorch's default initialisation); the global generator is not touched.

    Returns:
        A network in training mode that maps (B, channels, H, W) images to (B, classes) logits.

    Raises:
        InputError: if the space, architecture or dataset does not exist.

    Example:
        >>> import zcp
        >>> sum(p.numel() for p in zcp.build("tss", 9930).parameters())
        1288506
    """
    facts = get_dataset(dataset)
    index, string = get_space(space).resolve(arch)
    # On the meta device the constructors neither allocate nor draw from the global generator.
    with torch.device("meta"):
        network = get_space(space).network(string, facts.classes, facts.channels)
    network.to_empty(device="cpu")
    return initialise(network, "default", seed, space, index, dataset)
