"""Evaluates many formulas over layers of equal shapes: each sub-expression once, only as far as it is needed.

Features may come one after the other. What can be computed is computed when they do, and everything is let go
with its last reader, so that of a pass little is left when the next one begins.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple, Self

import torch
from torch import Tensor

from zcp.formulas.operators import OPERATORS, Shape
from zcp.formulas.program import Program
from zcp.formulas.tree import Expression

#: Gives standard normal values for the text of an expression and a shape.
Normal = Callable[[str, Shape], Tensor]
#: Values of all layers: (layers or 1, elements), or one by one where they are large: (1, elements) each.
Rows = Tensor | list[Tensor]
#: Elements from which on it costs more to bring the values of layers together than to work on each.
APART = 2**15


class _Maker(NamedTuple):
    like: Tensor
    draw: Callable[[Shape], Tensor]

    def constant(self, value: float, count: int) -> Tensor:
        return self.like.new_full((1, count), value)

    def normal(self, shape: Shape) -> Tensor:
        return self.draw(shape).to(self.like)


class Evaluation:
    """One run of a program over one layer, or over several of equal shapes.

    Args:
        program: the formulas.
        shapes: of the features that exist, in each layer.
        like: a tensor of the device and precision to compute with.
        normals: for each layer, the source of the operator `gaussian_init`.
    """

    def __init__(self, program: Program, shapes: Mapping[str, Shape], like: Tensor, *normals: Normal) -> None:
        self.program, self.plan = program, program.plan(shapes)
        self.like, self.layers, self._normals = like, len(normals), normals
        self._held: list[int] = []  # what only the host computes, with all its arguments there
        self._means: dict[int, Tensor] = {}
        self._values: dict[int, Rows] = {}
        self._unread = [list(readers) for readers in self.plan.readers]
        self._missing = [len(reads) for reads in self.plan.reads]
        for index, operator in enumerate(program.operators):
            if operator and self.plan.counts[index] and not self.plan.reads[index]:
                self._settle(index, self._compute(index))
        # They may hold a whole network, and nobody asks again.
        self._normals = ()

    @property
    def results(self) -> list[float]:
        """For each formula the mean over its elements in the first layer; NaN where a feature lacks."""
        return self.by_layer()[0]

    def by_layer(self) -> list[list[float]]:
        """Return the results of every layer."""
        empty = [math.nan] * self.layers
        columns = [
            self._means[root].expand(self.layers).tolist() if root in self._means else empty
            for root in self.program.roots
        ]
        return [list(row) for row in zip(*columns, strict=True)] if columns else [[]] * self.layers

    @property
    def pending(self) -> list[Tensor]:
        """What the host has to fetch, in order to `resume`, once all features were offered on a device."""
        return [*self._means.values(), *(v for v in self._values.values() if isinstance(v, Tensor))]

    def resume(self, fetched: Sequence[Tensor]) -> Self:
        """Go on with what was `pending`, now on the CPU, and return this evaluation with its results."""
        values = iter(fetched)
        self._means = {index: next(values) for index in self._means}
        self._values = {index: next(values) for index in self._values}
        self.like = self.like.new_empty(0, device="cpu")
        while self._held:
            index = self._held.pop()
            self._settle(index, self._compute(index))
        return self

    def needs(self, feature: str) -> int:
        """Return how many leading elements of a feature are read."""
        index = self.program.features.get(feature)
        return 0 if index is None else self.plan.counts[index]

    @torch.no_grad()
    def offer(self, feature: str, *values: Tensor) -> None:
        """Take a feature, one tensor a layer, and compute what can be computed now."""
        count = self.needs(feature)
        if count:
            flat = [leading(value.detach(), count) for value in values]
            # What holds more memory than is read is copied, so that the rest is not kept alive.
            alone = len(flat) == 1 and flat[0].untyped_storage().nbytes() == flat[0].nbytes
            self.take(feature, (flat[0][None] if alone else torch.stack(flat)).to(self.like.dtype))

    @torch.no_grad()
    def take(self, feature: str, rows: Rows) -> None:
        """Take a feature that is read, of all layers: (layers, as many elements as it needs), or a list."""
        self._settle(self.program.features[feature], rows)

    def _settle(self, index: int, value: Rows) -> None:
        """Record the value of a node, then compute the readers that waited for nothing else."""
        settled = [(index, value)]
        while settled:
            index, value = settled.pop()
            if index in self.program.roots:
                count = self.plan.counts[index]
                self._means[index] = _together([each[:, :count].mean(1) for each in _parts(value)])
            if not self._unread[index]:
                continue
            self._values[index] = value
            del value
            for reader in self.plan.readers[index]:
                self._missing[reader] -= 1
                if self._missing[reader]:
                    continue
                if self._waits(reader):
                    self._held.append(reader)
                else:
                    settled.append((reader, self._compute(reader)))

    def _waits(self, index: int) -> bool:
        return self.like.device.type != "cpu" and OPERATORS[self.program.operators[index] or ""].host

    def _compute(self, index: int) -> Rows:
        value = self._apply(index)
        for argument in self.plan.reads[index]:
            self._release(argument, index)
        return value

    def _apply(self, index: int) -> Rows:
        program, plan = self.program, self.plan
        reads = plan.reads[index]
        given = [self._values[a] if a in reads else self.like for a in program.arguments[index]]
        shapes = [shape for a in program.arguments[index] if (shape := plan.shapes[a]) is not None]
        operator = OPERATORS[program.operators[index] or ""]
        maker = _Maker(self.like, partial(self._draw, program.nodes[index]))
        count, together = plan.counts[index], [each for each in given if isinstance(each, Tensor)]
        if len(together) == len(given):
            return operator.compute(together, shapes, count, maker)
        layers = [[_of_layer(each, layer) for each in given] for layer in range(self.layers)]
        return joined([operator.compute(each, shapes, count, maker) for each in layers])

    def _draw(self, node: Expression, shape: Shape) -> Tensor:
        return torch.stack([normal(str(node), shape).reshape(-1) for normal in self._normals])

    def _release(self, index: int, reader: int) -> None:
        """Let go of what nobody will read any more: the value, or all but its beginning."""
        unread = self._unread[index]
        unread.remove(reader)
        if not unread:
            del self._values[index]
            return
        parts = _parts(self._values[index])
        half = parts[0].shape[1] // 2
        if self.plan.reads[reader][index] > half:
            rest = max(self.plan.reads[other][index] for other in unread)
            if rest < half:
                self._values[index] = joined([part[:, :rest].clone() for part in parts])


def _parts(value: Rows) -> list[Tensor]:
    return [value] if isinstance(value, Tensor) else value


def _together(value: Rows) -> Tensor:
    parts = _parts(value)
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _of_layer(value: Rows, layer: int) -> Tensor:
    if isinstance(value, list):
        return value[layer]
    return value if len(value) == 1 else value[layer : layer + 1]


def joined(layers: list[Tensor]) -> Rows:
    """Return the values of layers together, unless they are large; what is together already stays so."""
    return layers if len(layers) > 1 and layers[0].shape[1] >= APART else _together(layers)


def leading(tensor: Tensor, count: int) -> Tensor:
    """Return the first `count` elements in the order of dimensions, flat, whatever the memory format.

    They may share memory with the tensor, and so keep all of it.
    """
    # Only what is read may have to be brought in order.
    while tensor.ndim > 1 and count < tensor.numel():
        rows = -(-count // math.prod(tensor.shape[1:]))
        if rows > 1:
            tensor = tensor[:rows]
            break
        tensor = tensor[0]
    flat = tensor.reshape(-1)
    return flat if count >= len(flat) else flat[:count]
