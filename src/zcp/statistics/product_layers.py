"""Products with a weight, run as the linear layers that they are.

Activations (…, in), a weight (out, in), outputs (…, out); letters that both factors keep make groups, as in a
grouped convolution. The network gets the outputs in the order that it asked for.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import wrap_torch_function

from zcp.statistics.operations import OPERATIONS, Operation
from zcp.statistics.products import Product


class Form(NamedTuple):
    """How the network wants the outputs (…, groups * out) of a layer.

    Attributes:
        sizes: of the dimensions that these are made of. order: in which it wants them.
        channels: how many of these, from behind, are channels.
    """

    sizes: tuple[int, ...]
    order: tuple[int, ...]
    channels: int

    def give(self, outputs: Tensor) -> Tensor:
        """Return outputs of a layer as the network wants them."""
        return outputs.reshape(self.sizes).permute(self.order)

    def take(self, wanted: Tensor) -> Tensor:
        """Return as outputs of a layer what the network has."""
        back = sorted(range(len(self.order)), key=self.order.__getitem__)
        positions = self.sizes[: len(self.sizes) - self.channels]
        return wanted.permute(back).reshape(*positions, -1)

    def is_bias(self, shape: Sequence[int]) -> bool:
        """Tell whether something of this shape, added to what the network has, has a number a channel."""
        first = len(self.sizes) - self.channels
        full = [self.sizes[place] if place >= first else 1 for place in self.order]
        return full[len(full) - len(shape) :] == [*shape]


class Layer(NamedTuple):
    """A product as a linear layer: activations (…, groups * in), a weight (groups * out, in).

    Attributes:
        form: how the network wants the outputs; None: as they are.
    """

    input: Tensor
    weight: Tensor
    groups: int
    form: Form | None

    def run(self) -> Tensor:
        """Return the outputs (…, groups * out)."""
        if self.groups == 1:
            return F.linear(self.input, self.weight)
        outputs: Tensor = grouped_linear(self.input, self.weight, self.groups)
        return outputs


def as_layer(product: Product) -> Layer:
    """Return a product whose second factor is the weight as the layer that it is."""
    given, factor, (mine, theirs), output = product.reduced()
    both = {*mine} & {*theirs}
    groups = [letter for letter in theirs if letter in both and letter in output]
    summed = [letter for letter in theirs if letter in both and letter not in output]
    positions = [letter for letter in mine if letter not in both]
    out = [letter for letter in theirs if letter not in both]
    sizes = dict(zip(mine + theirs, (*given.shape, *factor.shape), strict=False))
    sizes |= zip(theirs, factor.shape, strict=True)
    width = math.prod(sizes[letter] for letter in groups)
    fan_in = math.prod(sizes[letter] for letter in summed)
    x = _laid(given, mine, [*positions, *groups, *summed], [*(sizes[n] for n in positions), width * fan_in])
    rows = width * math.prod(sizes[letter] for letter in out)
    weight = _whole(_laid(factor, theirs, [*groups, *out, *summed], [rows, fan_in]))
    made = [*positions, *groups, *out]
    order = tuple(made.index(letter) for letter in output)
    plain = order == (*range(len(made)),) and len(made) == len(positions) + 1
    form = None if plain else Form(tuple(sizes[n] for n in made), order, len(made) - len(positions))
    return Layer(x, weight, width, form)


def _laid(factor: Tensor, letters: str, order: list[str], shape: list[int]) -> Tensor:
    """Return a factor with its dimensions in another order and some taken together; itself if it is so."""
    places = [letters.index(letter) for letter in order]
    if places != [*range(len(places))]:
        factor = factor.permute(places)
    return factor if [*factor.shape] == shape else factor.reshape(shape)


def _whole(weight: Tensor) -> Tensor:
    """Return the tensor that a weight is a view of, if it is all of it in its own order."""
    base = weight._base
    if base is None or base.shape != weight.shape or base.stride() != weight.stride():
        return weight
    return base if base.storage_offset() == weight.storage_offset() else weight


@wrap_torch_function(lambda *args: args[:2])
def grouped_linear(input: Tensor, weight: Tensor, groups: int) -> Tensor:
    """Return (…, groups * out) of inputs (…, groups * in) and a weight (groups * out, in)."""
    x, rows = torch.unflatten(input, -1, (groups, -1)), torch.unflatten(weight, 0, (groups, -1))
    return torch.einsum("...gi,goi->...go", x, rows).flatten(-2)


OPERATIONS[grouped_linear] = Operation("linear", weight=(1, "weight"))
