"""Search spaces: an architecture string or its official index on one side, a torch network on the other."""

import torch
from torch import nn

from zcp.datasets import get_dataset
from zcp.errors import InputError
from zcp.initialisation import initialise
from zcp.spaces.base import Space
from zcp.spaces.sss import SizeSpace
from zcp.spaces.tss import TopologySpace

__all__ = ["SPACES", "Space", "build", "get_space"]

SPACES: dict[str, Space] = {space.name: space for space in (TopologySpace(), SizeSpace())}


def get_space(name: str) -> Space:
    """Return the search space called `name` (`tss` or `sss`).

    Raises:
        InputError: if there is none of that name.
    """
    try:
        return SPACES[name]
    except KeyError:
        raise InputError(f"unknown search space {name!r}; choose one of {', '.join(SPACES)}") from None


def build(space: str, arch: str | int, dataset: str = "cifar10", seed: int = 0) -> nn.Module:
    """Return the benchmark's network for an architecture, freshly initialised.

    Args:
        space: `tss` or `sss`.
        arch: architecture string, or index in the official order.
        dataset: `cifar10`, `cifar100` or `ImageNet16-120`; decides the number of classes.
        seed: of the weights (PyTorch's default initialisation); the global generator is not touched.

    Returns:
        A network in training mode that maps (B, 3, H, W) images to (B, classes) logits.

    Raises:
        InputError: if the space, architecture or dataset does not exist.

    Example:
        >>> import zcp
        >>> sum(p.numel() for p in zcp.build("tss", 9930).parameters())
        1288506
    """
    classes = get_dataset(dataset).classes
    index, string = get_space(space).resolve(arch)
    # On the meta device the constructors neither allocate nor draw from the global generator.
    with torch.device("meta"):
        network = get_space(space).network(string, classes)
    network.to_empty(device="cpu")
    return initialise(network, "default", seed, space, index, dataset)
