"""Search spaces: an architecture string or its official index on one side, a torch network on the other."""

import torch
from torch import nn

from zcp.data.datasets import get_dataset
from zcp.errors import InputError
from zcp.spaces.base import Space
from zcp.spaces.darts import DartsSpace
from zcp.spaces.sss import SizeSpace
from zcp.spaces.transnas import TransNASSpace
from zcp.spaces.tss import TopologySpace
from zcp.statistics.initialisation import initialise

__all__ = ["ALL_SPACES", "SPACES", "Space", "build", "get_space"]

#: The spaces of NATS-Bench, which the study collects by default.
SPACES: dict[str, Space] = {space.name: space for space in (TopologySpace(), SizeSpace())}
#: These and those of the other benchmarks.
ALL_SPACES: dict[str, Space] = SPACES | {space.name: space for space in (TransNASSpace(), DartsSpace())}


def get_space(name: str) -> Space:
    """Return the search space called `name` (`tss`, `sss`, `transnas` or `darts`).

    Raises:
        InputError: if there is none of that name.
    """
    try:
        return ALL_SPACES[name]
    except KeyError:
        raise InputError(f"unknown search space {name!r}; choose one of {', '.join(ALL_SPACES)}") from None


def build(space: str, arch: str | int, dataset: str = "cifar10", seed: int = 0) -> nn.Module:
    """Return the benchmark's network for an architecture, freshly initialised.

    Args:
        space: `tss`, `sss`, `transnas` or `darts`.
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
