"""What the arguments of an operation are."""

from typing import Any, NamedTuple

from torch import Tensor

from zcp.statistics.operations import Operation


class Reading(NamedTuple):
    """How an operation is read.

    Attributes:
        kind: what it computes.
        input: the activations that enter.
        weight: (out, in, …) or None.
        channels: the dimension of the output that the rows of a weight make.
        args: arguments of the function.
    """

    kind: str
    input: Any
    weight: Tensor | None
    channels: int
    args: tuple[Any, ...]


def argument(place: tuple[int, str] | None, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Return the argument of this position and name; None if there is none."""
    if place is None:
        return None
    position, name = place
    return args[position] if len(args) > position else kwargs.get(name)


def replaced(
    given: Tensor, own: Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return arguments with one tensor in the place of another."""
    return (
        tuple(_swapped(given, own, each) for each in args),
        {name: own if each is given else each for name, each in kwargs.items()},
    )


def _swapped(given: Tensor, own: Tensor, each: Any) -> Any:
    if isinstance(each, list):  # the factors of an einsum
        return [own if one is given else one for one in each]
    return own if each is given else each


def read(operation: Operation, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Reading:
    """Return how an operation is read."""
    given, weight = argument(operation.input, args, kwargs), argument(operation.weight, args, kwargs)
    return Reading(operation.kind, given, weight, 1 if operation.kind == "convolution" else -1, args)
