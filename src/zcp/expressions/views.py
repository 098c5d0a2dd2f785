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

import torch
from torch import Tensor

from zcp.expressions.operators import OPERATORS, Shape
from zcp.expressions.tree import Expression

ROWS = "rows"
COLUMNS = "columns"


def rewrite(
    expressions: Sequence[Expression], shapes: Mapping[str, Shape], derived: Mapping[str, Expression]
) -> list[Expression]:
    """Return the formulas with views in the place of features, where that costs less.

    Args:
        expressions: the formulas.
        shapes: of the features; one that is left out is missing.
        derived: features that are computed from others, by name.
    """
    rewriter = _Rewriter(shapes, derived)
    return [rewriter.root(tree) for tree in expressions]


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
    """Return the first `count` elements of a view of a tensor, flat; what is cut off is not kept alive.

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


def leading(tensor: Tensor, count: int) -> Tensor:
    """Return the first `count` elements in the order of dimensions, flat, whatever the memory format.

    Fewer than all are copied, so that they do not keep the others.
    """
    if count >= tensor.numel():
        return tensor.reshape(-1)
    if tensor.ndim > 1:
        tensor = tensor[: -(-count // math.prod(tensor.shape[1:]))]
    return tensor.reshape(-1)[:count].clone()


class _Rewriter:
    def __init__(self, shapes: Mapping[str, Shape], derived: Mapping[str, Expression]) -> None:
        self.features, self.derived = shapes, derived
        self._shapes: dict[Expression, Shape | None] = {}
        self._free: dict[Expression, bool] = {}

    def root(self, tree: Expression) -> Expression:
        """Rewrite a formula, of whose value the mean is taken."""
        shape = self.shape(tree)
        if shape is None:
            return tree
        return self.rows(tree) if self.free(tree) else self.ordered(tree, math.prod(shape))

    def shape(self, node: Expression) -> Shape | None:
        """Return the shape of a value; None if a feature is missing."""
        if node not in self._shapes:
            self._shapes[node] = self._find_shape(node)
        return self._shapes[node]

    def _find_shape(self, node: Expression) -> Shape | None:
        if node.arguments is None:
            meaning = self.derived.get(node.name, node)
            return self.features.get(node.name) if meaning == node else self.shape(meaning)
        given = self._shapes_of(node)
        return OPERATORS[node.name].shape(given) if len(given) == len(node.arguments) else None

    def _shapes_of(self, node: Expression) -> list[Shape]:
        return [shape for a in node.arguments or () if (shape := self.shape(a)) is not None]

    def free(self, node: Expression) -> bool:
        """Tell whether a value can be had in the order of memory: its parts are images of one shape."""
        if node not in self._free:
            self._free[node] = self._find_free(node)
        return self._free[node]

    def _find_free(self, node: Expression) -> bool:
        shape = self.shape(node)
        if shape is None or len(shape) != 4:
            return False
        if node.arguments is None:
            meaning = self.derived.get(node.name, node)
            return meaning == node or self.free(meaning)
        return OPERATORS[node.name].elementwise and self._alike(node, shape)

    def _alike(self, node: Expression, shape: Shape) -> bool:
        """Tell whether all arguments are scalars, or free and of this shape."""
        return all(
            self.shape(a) == () or (self.shape(a) == shape and self.free(a)) for a in node.arguments or ()
        )

    def rows(self, node: Expression) -> Expression:
        """Rewrite a value that is free, so that its elements are in the order of memory."""
        return self._viewed(node, ROWS)

    def _viewed(self, node: Expression, view: str) -> Expression:
        if self.shape(node) == ():
            return self.ordered(node, 1)
        if node.arguments is None:
            meaning = self.derived.get(node.name, node)
            return Expression(f"{node.name}@{view}") if meaning == node else self._viewed(meaning, view)
        return Expression(node.name, tuple(self._viewed(a, view) for a in node.arguments))

    def columns(self, node: Expression, count: int) -> Expression:
        """Rewrite a value that is free, so that it has `count` columns."""
        return self._viewed(node, f"{COLUMNS}{count}")

    def ordered(self, node: Expression, count: int) -> Expression:
        """Rewrite a value of which the first `count` elements are read."""
        given = self._shapes_of(node)
        if node.arguments is None or not count or len(given) != len(node.arguments):
            return node
        operator = OPERATORS[node.name]
        largest = max(given, key=len)
        if operator.order_free and len(largest) == 4 and self._alike(node, largest):
            return Expression(node.name, tuple(self.rows(a) for a in node.arguments))
        needs = operator.need(count, given)
        # Operands of other shapes cut each other to the shortest.
        cut = operator.elementwise and len({*given} - {()}) > 1 and count == math.prod(operator.shape(given))
        change = self._cut if cut else self.ordered
        return Expression(
            node.name, tuple(change(a, need) for a, need in zip(node.arguments, needs, strict=True))
        )

    def _cut(self, node: Expression, count: int) -> Expression:
        """Rewrite an operand that another one cuts to `count` elements, so that its shape does not matter."""
        given = self._shapes_of(node)
        if node.name == "mat_mul" and node.arguments and () not in given:
            (left, right), (rows, width) = node.arguments, OPERATORS["mat_mul"].shape(given)
            if rows > 1 and count <= width and self.free(right):
                needs = OPERATORS["mat_mul"].need(count, given)
                return Expression("mat_mul", (self.ordered(left, needs[0]), self.columns(right, count)))
        return self.ordered(node, count)
