"""Functions that are made of operations, as these: what runs them sees each operation."""

from collections.abc import Callable, Sequence
from string import ascii_letters
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from zcp.statistics.operations import ATTENTION
from zcp.statistics.products import letters_of, operands_of
from zcp.statistics.recurrent import RECURRENT
from zcp.statistics.spellings import named

Function = Callable[..., Any]


def _added(multiply: Function) -> Function:
    """Return a function that adds a product to its input."""

    def add(input: Tensor, one: Any = None, other: Any = None, **kwargs: Any) -> Tensor:
        beta, alpha = kwargs.pop("beta", 1), kwargs.pop("alpha", 1)
        factors = [each for each in (one, other, *kwargs.values()) if each is not None]
        product: Tensor = multiply(*factors)
        product = product if alpha == 1 else product * alpha
        if beta == 0:
            return product.expand(torch.broadcast_shapes(product.shape, input.shape))  # type: ignore[no-untyped-call]
        total: Tensor = product + (input if beta == 1 else input * beta)
        return total

    return add


def _added_in_place(add: Function) -> Function:
    return lambda input, *args, **kwargs: input.copy_(add(input, *args, **kwargs))


def _batches(first: Tensor, second: Tensor) -> Tensor:
    return torch.einsum("bik,bkj->ij", first, second)


def _bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Run a bilinear layer as the linear one of all products of two inputs, and a weight (out, in1 * in2)."""
    pairs = input1.unsqueeze(-1) * input2.unsqueeze(-2)
    return F.linear(pairs.flatten(-2), weight.flatten(1), bias)


def _chain(*matrices: Any, tensors: Sequence[Tensor] | None = None, out: None = None) -> Tensor:
    """Multiply in the order that takes fewest operations, as PyTorch does."""
    factors = operands_of(tensors if tensors is not None else matrices)
    sizes = [
        1 if factors[0].ndim == 1 else factors[0].shape[0],
        *(each.shape[0 if each.ndim == 1 else -1] for each in factors[:-1]),
        factors[-1].shape[-1] if factors[-1].ndim > 1 else 1,
    ]
    best: dict[tuple[int, int], tuple[int, int]] = {(n, n): (0, n) for n in range(len(factors))}
    for length in range(1, len(factors)):
        for left in range(len(factors) - length):
            right = left + length
            best[left, right] = min(
                (
                    best[left, cut][0]
                    + best[cut + 1, right][0]
                    + sizes[left] * sizes[cut + 1] * sizes[right + 1],
                    cut,
                )
                for cut in range(left, right)
            )

    def multiply(left: int, right: int) -> Tensor:
        if left == right:
            return factors[left]
        cut = best[left, right][1]
        return torch.matmul(multiply(left, cut), multiply(cut + 1, right))

    return multiply(0, len(factors) - 1)


def pairwise(equation: str, *operands: Any) -> Tensor:
    """Run an einsum of three or more factors as products of two, from left to right."""
    factors = [*operands_of(operands)]
    letters, output = letters_of(equation, factors)
    known = {letter: number for number, letter in enumerate(dict.fromkeys("".join(letters)))}
    found, mine = factors.pop(0), letters.pop(0)
    for number, (factor, theirs) in enumerate(zip(factors, letters, strict=True)):
        later = {*output, *"".join(letters[number + 1 :])}
        kept = "".join(letter for letter in dict.fromkeys(mine + theirs) if letter in later)
        kept = output if number == len(factors) - 1 else kept
        places = ([known[letter] for letter in each] for each in (mine, theirs, kept))
        one, other, out = ("".join(ascii_letters[place] for place in each) for each in places)
        found, mine = torch.einsum(f"{one},{other}->{out}", found, factor), kept
    return found


def exchanged(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Run `F.linear` where what should be activations is the weight."""
    product = torch.inner(input, weight)
    return product if bias is None else product + bias


#: Functions of many factors -> the same as products of two.
CHAINS: dict[Function, Function] = {
    torch.linalg.multi_dot: _chain,
    torch.chain_matmul: _chain,
    torch.einsum: pairwise,
}
_SUMS: dict[str, Function] = {"addmm": torch.mm, "baddbmm": torch.bmm, "addbmm": _batches, "addmv": torch.mv}
#: Functions that are made of products and of other functions.
MADE_OF_PRODUCTS: dict[Function, Function] = {
    **dict.fromkeys(named("bilinear"), _bilinear),
    **{f: _added(multiply) for name, multiply in _SUMS.items() for f in named(name)},
    **{f: _added_in_place(_added(multiply)) for name, multiply in _SUMS.items() for f in named(f"{name}_")},
}
#: Functions that are made of operations -> the same, operation by operation.
COMPOSED: dict[Function, Function] = {
    **ATTENTION, **RECURRENT, **MADE_OF_PRODUCTS, **CHAINS, exchanged: exchanged,
}  # fmt: skip
