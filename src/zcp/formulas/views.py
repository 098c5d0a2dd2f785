"""Formulas for features of known shapes, rewritten to read features in the way that costs least.

A norm or a mean does not depend on the order of elements, yet activations with the channels last in memory
have to be copied to be read in the order of dimensions. And of a product that is compared with a short tensor
only the first columns count. So a feature may be read in three ways:

* `name`: the leading elements in the order of dimensions;
* `name@rows`: all elements, each row (first dimension) in the order of memory, the same for all features;
* `name@columns<n>`: the first n elements of each row, in the order of dimensions.

The values of formulas stay the same, except that sums round differently.
"""

import math
from collections.abc import Mapping, Sequence
from functools import cache

import torch
from torch import Tensor

from zcp.formulas.evaluator import leading
from zcp.formulas.operators import OPERATORS, Shape
from zcp.formulas.program import Program
from zcp.formulas.tree import Expression

ROWS = "rows"
COLUMNS = "columns"


def rewrite(program: Program, shapes: Mapping[str, Shape]) -> list[Expression]:
    """Return the formulas of a program with views in the place of features, where that costs less.

    Args:
        program: the formulas compiled, without views.
        shapes: of the features; one that is left out is missing.
    """
    rewriter = _Rewriter(program, program.shapes(shapes))
    return [rewriter.root(root) for root in program.roots]


def base_of(feature: str) -> str:
    """Return the name of the feature that a view is of."""
    return feature.partition("@")[0]


def view_shape(feature: str, shape: Shape) -> Shape:
    """Return the shape of a view of a feature of this shape."""
    view = feature.partition("@")[2]
    if view.startswith(COLUMNS):
        return shape[0], int(view.removeprefix(COLUMNS))
    return (shape[0], math.prod(shape[1:])) if view == ROWS else shape


def read(feature: str, tensor: Tensor, count: int, memory_format: torch.memory_format) -> Tensor:
    """Return the first `count` elements of a view of a tensor, flat; they may share its memory.

    Args:
        feature: the view.
        tensor: the whole feature.
        count: how many elements are needed.
        memory_format: the order of memory.
    """
    view = feature.partition("@")[2]
    if view == ROWS:
        # Whatever the layout of this one, rows of two features must correspond.
        tensor = tensor.contiguous(memory_format=memory_format)
        if memory_format == torch.channels_last:
            tensor = tensor.permute(0, 2, 3, 1)
    elif view:
        columns = int(view.removeprefix(COLUMNS))
        rows = tensor[: -(-count // columns)]
        rows = rows[:, : -(-columns // math.prod(rows.shape[2:]))]
        tensor = rows.flatten(1)[:, :columns]
    return leading(tensor, count)


class _Rewriter:
    """Makes trees of the nodes of a program, which are numbers here."""

    def __init__(self, program: Program, shapes: Sequence[Shape | None]) -> None:
        self.nodes, self.operators, self.arguments = program.nodes, program.operators, program.arguments
        self.shapes = shapes
        # What is shared is rewritten once.
        self.viewed, self.ordered = cache(self._viewed), cache(self._ordered)
        self.free: list[bool] = []
        for node in range(len(self.nodes)):
            self.free.append(self._is_free(node))

    def root(self, node: int) -> Expression:
        """Rewrite a formula, of whose value the mean is taken."""
        shape = self.shapes[node]
        if shape is None:
            return self.nodes[node]
        return self.viewed(node, ROWS) if self.free[node] else self.ordered(node, math.prod(shape))

    def _is_free(self, node: int) -> bool:
        """Tell whether a value can be had in the order of memory: its parts are images of one shape."""
        shape, operator = self.shapes[node], self.operators[node]
        if shape is None or len(shape) != 4:
            return False
        return operator is None or (OPERATORS[operator].elementwise and self._alike(node, shape))

    def _alike(self, node: int, shape: Shape) -> bool:
        """Tell whether all arguments are scalars, or free and of this shape."""
        return all(
            self.shapes[a] == () or (self.shapes[a] == shape and self.free[a]) for a in self.arguments[node]
        )

    def _viewed(self, node: int, view: str) -> Expression:
        """Rewrite a value that is free, so that it is read through a view."""
        if self.shapes[node] == ():
            return self.ordered(node, 1)
        operator = self.operators[node]
        if operator is None:
            return Expression(f"{self.nodes[node].name}@{view}")
        return Expression(operator, tuple(self.viewed(a, view) for a in self.arguments[node]))

    def _given(self, node: int) -> list[Shape]:
        return [shape for a in self.arguments[node] if (shape := self.shapes[a]) is not None]

    def _ordered(self, node: int, count: int) -> Expression:
        """Rewrite a value of which the first `count` elements are read."""
        tree, given, arguments = self.nodes[node], self._given(node), self.arguments[node]
        if tree.arguments is None or not count or len(given) != len(arguments):
            return tree
        operator = OPERATORS[tree.name]
        largest = max(given, key=len)
        if operator.order_free and len(largest) == 4 and self._alike(node, largest):
            return Expression(tree.name, tuple(self.viewed(a, ROWS) for a in arguments))
        # Operands of other shapes cut each other to the shortest.
        cut = operator.elementwise and len({*given} - {()}) > 1 and count == math.prod(operator.shape(given))
        change = self._cut if cut else self.ordered
        needs = operator.need(count, given)
        return Expression(tree.name, tuple(change(a, need) for a, need in zip(arguments, needs, strict=True)))

    def _cut(self, node: int, count: int) -> Expression:
        """Rewrite an operand that another one cuts to `count` elements, so that its shape does not matter."""
        given = self._given(node)
        if self.operators[node] == "mat_mul" and () not in given:
            (left, right), (_, width) = self.arguments[node], OPERATORS["mat_mul"].shape(given)
            if count <= width and self.free[right]:
                need = OPERATORS["mat_mul"].need(count, given)[0]
                columns = self.viewed(right, f"{COLUMNS}{count}")
                return Expression("mat_mul", (self.ordered(left, need), columns))
        return self.ordered(node, count)
