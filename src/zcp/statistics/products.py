"""How a matrix product is read: as a linear layer where one factor is a parameter.

The weight of a linear layer is (out, in). Which dimension is which is told by the product, not by the shape
in which a parameter is kept: in `x @ w` the rows of w are inputs, in `x @ w.t()` outputs.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from zcp.statistics.calls import is_parameter


class Product(NamedTuple):
    """A product.

    Attributes:
        kind: `linear` or `product`, of two activations.
        input: the activations.
        weight: (out, in) or None.
        channels: the dimension of the output that the rows of a weight make.
        args: arguments of the function, such that what the weight is takes part.
    """

    kind: str
    input: Any
    weight: Tensor | None
    channels: int
    args: tuple[Any, ...]


def read_product(func: Callable[..., Any], args: tuple[Any, ...], first: Any, second: Any) -> Product:
    """Return how a product of two factors, positional arguments of a function, is read."""
    if func is torch.einsum:
        return _einsum(args)
    if is_parameter(second):
        weight = second if second.ndim < 2 else _transposed(second)
        return Product("linear", first, weight, -1, _with(args, second, weight))
    if is_parameter(first) and isinstance(second, Tensor):
        return Product("linear", second, first, -2, args)
    return Product("product", first, None, -1, args)


def _einsum(args: tuple[Any, ...]) -> Product:
    if not isinstance(args[0], str):
        return Product("product", args[0], None, -1, args)
    operands = tuple(args[1]) if isinstance(args[1], list | tuple) else args[1:]
    args = (args[0], *operands)
    if len(operands) != 2:
        return Product("product", operands[0], None, -1, args)
    inputs, _, output = args[0].replace(" ", "").partition("->")
    for weight, given, letters in zip(operands, operands[::-1], inputs.split(","), strict=False):
        out = [letter for letter in letters if letter in output]
        if is_parameter(weight) and len(letters) == 2 and len(out) == 1:
            behind = output.partition(out[0])[2]
            channels = output.index(out[0]) if "." in behind else -len(behind) - 1
            if out[0] == letters[0]:
                return Product("linear", given, weight, channels, args)
            turned = _transposed(weight)
            return Product("linear", given, turned, channels, _with(args, weight, turned))
    return read_product(torch.matmul, args, *operands)


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
