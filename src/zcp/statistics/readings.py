"""What the arguments of an operation are; a matrix product is a linear layer where one factor is a parameter.

The weight of a linear layer is (out, in). Which dimension is which is told by the product, not by the shape
in which a parameter is kept: in `x @ w` the rows of w are inputs, in `x @ w.t()` outputs.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from zcp.statistics.calls import is_parameter
from zcp.statistics.operations import Operation


class Reading(NamedTuple):
    """How an operation is read.

    Attributes:
        kind: what it computes.
        input: the activations that enter.
        weight: (out, in, …) or None.
        channels: the dimension of the output that the rows of a weight make.
        args: arguments of the function, such that what the weight is takes part.
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
        tuple(own if each is given else each for each in args),
        {name: own if each is given else each for name, each in kwargs.items()},
    )


def read(
    operation: Operation, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Reading:
    """Return how an operation is read."""
    given, weight = argument(operation.input, args, kwargs), argument(operation.weight, args, kwargs)
    if operation.kind == "product":
        return _product(func, args, given, weight)
    return Reading(operation.kind, given, weight, 1 if operation.kind == "convolution" else -1, args)


def _product(func: Callable[..., Any], args: tuple[Any, ...], first: Any, second: Any) -> Reading:
    """Read a product of two factors."""
    if func is torch.einsum:
        return _einsum(args)
    if is_parameter(second):
        weight = second if second.ndim < 2 else _transposed(second)
        return Reading("linear", first, weight, -1, _with(args, second, weight))
    if is_parameter(first) and isinstance(second, Tensor):
        return Reading("linear", second, first, -2, args)
    return Reading("product", first, None, -1, args)


def _einsum(args: tuple[Any, ...]) -> Reading:
    if not isinstance(args[0], str):
        return Reading("product", args[0], None, -1, args)
    operands = tuple(args[1]) if isinstance(args[1], list | tuple) else args[1:]
    args = (args[0], *operands)
    if len(operands) != 2:
        return Reading("product", operands[0], None, -1, args)
    inputs, _, output = args[0].replace(" ", "").partition("->")
    for weight, given, letters in zip(operands, operands[::-1], inputs.split(","), strict=False):
        out = [letter for letter in letters if letter in output]
        if is_parameter(weight) and len(letters) == 2 and len(out) == 1:
            behind = output.partition(out[0])[2]
            channels = output.index(out[0]) if "." in behind else -len(behind) - 1
            if out[0] == letters[0]:
                return Reading("linear", given, weight, channels, args)
            turned = _transposed(weight)
            return Reading("linear", given, turned, channels, _with(args, weight, turned))
    return _product(torch.matmul, args, *operands)


def _transposed(factor: Tensor) -> Tensor:
    """Return the weight that a factor (in, out) is the transpose of: the parameter itself where it is."""
    base = factor._base
    if base is not None and base.shape == factor.shape[::-1] and base.stride() == factor.stride()[::-1]:
        return base
    return factor.mT


def _with(args: tuple[Any, ...], factor: Tensor, weight: Tensor) -> tuple[Any, ...]:
    """Return arguments in which the weight, transposed, stands for a factor that it is a view of."""
    if weight is factor or weight is factor._base:
        return args
    return tuple(weight.mT if each is factor else each for each in args)
