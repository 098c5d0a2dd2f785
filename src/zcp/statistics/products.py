"""Products of matrices, whatever they are written as: what is summed over, and which factor is the weight.

`matmul`, `@`, `mm`, `bmm`, `mv`, `inner`, `tensordot` and `einsum` are read as one form, the letters of an
einsum: those of the first factor, of the second, of what comes out. A letter of both factors that does not
come out is summed over. Where none is, the product is element-wise and no product here, as is none that is
written in other arithmetic, `(x * w).sum(-1)`.
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from string import ascii_letters
from typing import Any, NamedTuple

import torch
from torch import Tensor

from zcp.statistics.spellings import named

Function = Callable[..., Any]


class Product(NamedTuple):
    """A product of two factors, and the letters of their dimensions and of the outcome's."""

    first: Tensor
    second: Tensor
    letters: tuple[str, str]
    output: str

    @property
    def summed(self) -> set[str]:
        """What is summed over: letters of both factors that do not come out."""
        return {*self.letters[0]} & {*self.letters[1]} - {*self.output}

    @property
    def multiply_accumulates(self) -> int:
        """The product of the sizes of all letters, without those of one factor alone that do not come out."""
        reduced = self.reduced()
        sizes = dict(zip(reduced.letters[0], reduced.first.shape, strict=True))
        sizes |= zip(reduced.letters[1], reduced.second.shape, strict=True)
        return math.prod(sizes.values())

    def turned(self) -> "Product":
        """Return the same product with the factors exchanged."""
        return Product(self.second, self.first, self.letters[::-1], self.output)

    def reduced(self) -> "Product":
        """Return the same without diagonals, broadcasting, and sums that concern one factor alone."""
        (first, mine), (second, theirs) = (
            _diagonal(*each) for each in ((self.first, self.letters[0]), (self.second, self.letters[1]))
        )
        sizes = dict(zip(mine, first.shape, strict=True)), dict(zip(theirs, second.shape, strict=True))
        shared = {*mine} & {*theirs}
        broadcast = {letter for letter in shared if sizes[0][letter] != sizes[1][letter]}
        kept = [
            {
                letter
                for letter in own
                if (letter in self.output or letter in shared)
                and not (letter in broadcast and own[letter] == 1)
            }
            for own in sizes
        ]
        # What was broadcast concerns one factor alone.
        kept = [
            {letter for letter in own if letter not in broadcast or letter in self.output} for own in kept
        ]
        first, mine = _summed(first, mine, kept[0])
        second, theirs = _summed(second, theirs, kept[1])
        return Product(first, second, (mine, theirs), self.output)


def _diagonal(factor: Tensor, letters: str) -> tuple[Tensor, str]:
    """Let every letter of a factor stand for one dimension."""
    own = "".join(dict.fromkeys(letters))
    if own == letters:
        return factor, letters
    places = [own.index(letter) for letter in letters]
    return torch.einsum(factor, places, [*range(len(own))]), own


def _summed(factor: Tensor, letters: str, kept: set[str]) -> tuple[Tensor, str]:
    gone = [place for place, letter in enumerate(letters) if letter not in kept]
    return (factor.sum(gone), "".join(n for n in letters if n in kept)) if gone else (factor, letters)


# --- how functions are read


def _matmul(first: Tensor, second: Tensor) -> Product:
    mine, theirs = (_batch(max(each.ndim - 2, 0)) for each in (first, second))
    rows, columns = "m" * (first.ndim > 1), "n" * (second.ndim > 1)
    output = max(mine, theirs, key=len) + rows + columns
    return Product(first, second, (mine + rows + "k", theirs + "k" + columns), output)


def _batch(count: int) -> str:
    """Return letters for leading dimensions, the same for the same place from behind."""
    return "".join(chr(0x100 + place) for place in reversed(range(count)))


def _inner(first: Tensor, second: Tensor) -> Product:
    mine, theirs = ascii_letters[: first.ndim - 1], ascii_letters[26 : 25 + second.ndim]
    return Product(first, second, (mine + "k", theirs + "k"), mine + theirs)


def _tensordot(a: Tensor, b: Tensor, dims: Any = 2, out: None = None) -> Product:
    mine, theirs = [*ascii_letters[: a.ndim]], [*ascii_letters[26 : 26 + b.ndim]]
    if isinstance(dims, Tensor):
        dims = dims.tolist()
    if isinstance(dims, int):
        pairs = [(a.ndim - dims + number, number) for number in range(dims)]
    else:
        each = ([places] if isinstance(places, int) else places for places in dims)
        pairs = [*zip(*each, strict=True)]
    for one, other in pairs:
        theirs[other] = mine[one]
    met = {mine[one] for one, _ in pairs}
    output = "".join(letter for letter in (*mine, *theirs) if letter not in met)
    return Product(a, b, ("".join(mine), "".join(theirs)), output)


def _einsum(equation: str, *operands: Any) -> Product | None:
    factors = operands_of(operands)
    if len(factors) != 2:
        return None
    letters, output = letters_of(equation, factors)
    return Product(factors[0], factors[1], (letters[0], letters[1]), output)


def operands_of(operands: Sequence[Any]) -> Sequence[Tensor]:
    """Return the factors, which may be given one by one or in one list."""
    return operands[0] if len(operands) == 1 and isinstance(operands[0], list | tuple) else operands


def letters_of(equation: str, operands: Sequence[Tensor]) -> tuple[list[str], str]:
    """Return the letters of all operands and of the outcome, those of an ellipsis among them."""
    inputs, arrow, output = equation.replace(" ", "").partition("->")
    hidden = [
        operand.ndim - len(indices.replace("...", "")) if "..." in indices else 0
        for indices, operand in zip(inputs.split(","), operands, strict=True)
    ]
    letters = [
        indices.replace("...", _batch(count))
        for indices, count in zip(inputs.split(","), hidden, strict=True)
    ]
    if not arrow:
        counts = Counter(inputs.replace("...", "").replace(",", ""))
        output = "..." + "".join(sorted(letter for letter, count in counts.items() if count == 1))
    return letters, output.replace("...", _batch(max(hidden)))


#: Functions of two factors -> how their arguments are read; None where they have another number of them.
PRODUCTS: dict[Function, Callable[..., Product | None]] = {
    **dict.fromkeys(named("matmul", "__matmul__", "mm", "bmm", "mv"), _matmul),
    torch.linalg.matmul: _matmul,
    Tensor.__rmatmul__: lambda second, first: _matmul(first, second),
    **dict.fromkeys(named("inner"), _inner),
    torch.tensordot: _tensordot,
    torch.einsum: _einsum,
}
#: The names of their factors, where these are given by keyword.
_NAMES = ("input", "other", "mat2", "vec", "a", "b", "self", "tensor")


def read_product(func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Product | None:
    """Return what a function multiplies; None if it is no product of two factors that sums over anything."""
    factors = [kwargs[name] for name in _NAMES if name in kwargs]
    others = {name: each for name, each in kwargs.items() if name not in _NAMES}
    if others.pop("out", None) is not None:
        return None
    product = PRODUCTS[func](*args, *factors, **others)
    return product if product is not None and product.summed else None
