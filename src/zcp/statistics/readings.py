"""What the arguments of an operation are."""

from typing import Any

from torch import Tensor


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
