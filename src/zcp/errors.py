"""The two ways in which a request can fail: the input is wrong, or the value does not exist."""

from collections.abc import Mapping
from typing import TypeVar

T = TypeVar("T")


class InputError(ValueError):
    """What the caller passed cannot be used; the message names the fault and the remedy."""


class Undefined(ArithmeticError):
    """A proxy has no value for this network; the message says why and becomes the reason of the NaN."""


def choose(known: Mapping[str, T], name: str, what: str) -> T:
    """Return `known[name]`.

    Raises:
        InputError: if there is no such `what` (what it is called in the message, which lists all there are).
    """
    if name not in known:
        raise InputError(f"unknown {what} {name!r}; choose one of {', '.join(known)}")
    return known[name]
