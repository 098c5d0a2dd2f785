"""Formulas compiled together, and what of them has to be computed for features of certain shapes."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from zcp.errors import InputError
from zcp.formulas.operators import OPERATORS, Shape
from zcp.formulas.tree import Expression

#: Plans that a program remembers; thousands of networks have as many shapes.
MOST_PLANS = 64
#: Elements that the values of one layer that are larger than every feature may have together (256 MiB).
MAX_ELEMENTS = 2**26
#: Element operations that a formula may cost in one layer, or so many for each element of the largest
#: feature, where that is more. A thousand operators on whole features are within it.
MAX_WORK, MAX_WORK_EACH = 2**28, 2048


class Plan(NamedTuple):
    """How a program runs on features of certain shapes.

    Attributes:
        shapes: of the value of each node; None where a feature is missing.
        counts: how many leading elements of each node are needed; 0 where it is not computed at all.
        reads: of each node, the nodes that it reads and how many leading elements of each.
        readers: of each node, the nodes that read it.
        work: element operations that each node costs.
    """

    shapes: list[Shape | None]
    counts: list[int]
    reads: list[dict[int, int]]
    readers: list[list[int]]
    work: Sequence[int] = ()


def check_memory(
    plan: Plan, operators: list[str | None], arguments: list[tuple[int, ...]], nodes: Sequence[Expression]
) -> None:
    """Raise InputError where what is larger than every feature has more than `MAX_ELEMENTS` elements."""
    sizes = [math.prod(shape or ()) for shape in plan.shapes]
    largest = max((size for size, operator in zip(sizes, operators, strict=True) if not operator), default=0)
    total = 0
    for node, operator in enumerate(operators):
        if operator and plan.counts[node]:
            inner = OPERATORS[operator].inner([plan.shapes[argument] or () for argument in arguments[node]])
            needed = max(plan.counts[node], inner)
            total += needed if needed > largest else 0
        if total > MAX_ELEMENTS:
            raise InputError(
                f"{str(nodes[node])[:200]} and what comes before it need {total} elements for one layer, at "
                f"most {MAX_ELEMENTS} are allowed; reduce its arguments first, or score smaller inputs"
            )


def work_of(plan: Plan, operators: list[str | None], arguments: list[tuple[int, ...]]) -> list[int]:
    """Return the element operations that each node costs in one layer, from its operator and shapes."""
    found = []
    for node, operator in enumerate(operators):
        given = [plan.shapes[argument] or () for argument in arguments[node]]
        beside = OPERATORS[operator].work(plan.counts[node], given) if operator and plan.counts[node] else 0
        found.append(plan.counts[node] + sum(plan.reads[node].values()) + beside if operator else 0)
    return found


def check_work(
    plan: Plan, operators: list[str | None], nodes: Sequence[Expression], largest: int, formulas: int
) -> None:
    """Raise InputError where formulas cost more than `MAX_WORK` or `MAX_WORK_EACH` allow.

    Args:
        plan: of the formulas.
        operators: of each node; None for features.
        nodes: the nodes.
        largest: elements of the largest feature.
        formulas: how many there are.
    """
    allowed = formulas * max(MAX_WORK, MAX_WORK_EACH * largest)
    if (total := sum(plan.work)) > allowed:
        costly = max(range(len(nodes)), key=lambda node: plan.work[node])
        raise InputError(
            f"the formula costs {total} element operations in one layer, most of them in "
            f"{str(nodes[costly])[:200]}; at most {allowed} are allowed: reduce the arguments of "
            f"{operators[costly]!r} first, or score smaller inputs"
        )


class Program:
    """Formulas compiled together; equal sub-expressions are one node.

    Args:
        expressions: the formulas.
        derived: features that are others, or are computed from others, by name.

    Attributes:
        nodes: features and applications, arguments before what uses them.
        features: names of the features that have to be given.
    """

    def __init__(
        self, expressions: Sequence[Expression], derived: Mapping[str, Expression] | None = None
    ) -> None:
        self.nodes: list[Expression] = []
        self.operators: list[str | None] = []
        self.arguments: list[tuple[int, ...]] = []
        self._positions: dict[Expression, int] = {}
        self.roots = [self._add(tree, derived or {}) for tree in expressions]
        named = zip(self.nodes, self.operators, strict=True)
        self.features = {node.name: self._positions[node] for node, operator in named if operator is None}
        self._plans: dict[tuple[tuple[str, Shape], ...], Plan] = {}

    def _add(self, node: Expression, derived: Mapping[str, Expression]) -> int:
        meaning = derived.get(node.name, node) if node.arguments is None else node
        if meaning.arguments is None and meaning != node:
            return self._add(meaning, derived)
        if node not in self._positions:
            arguments = tuple(self._add(argument, derived) for argument in meaning.arguments or ())
            self._positions[node] = len(self.nodes)
            self.nodes.append(node)
            self.operators.append(None if meaning.arguments is None else meaning.name)
            self.arguments.append(arguments)
        return self._positions[node]

    def plan(self, shapes: Mapping[str, Shape]) -> Plan:
        """Return what has to be computed for features of these shapes; one that is left out is missing.

        Raises:
            InputError: if values larger than every feature need too much memory, see `check_memory`.
        """
        key = tuple(sorted(shapes.items()))
        if key not in self._plans:
            if len(self._plans) == MOST_PLANS:
                self._plans.clear()
            known = self.shapes(shapes)
            plan = Plan(known, *self._demands(known))
            check_memory(plan, self.operators, self.arguments, self.nodes)
            self._plans[key] = plan._replace(work=work_of(plan, self.operators, self.arguments))
        return self._plans[key]

    def shapes(self, features: Mapping[str, Shape]) -> list[Shape | None]:
        """Return the shape of each node, from those of the features; None where one is missing."""
        shapes: list[Shape | None] = []
        for node, operator, arguments in zip(self.nodes, self.operators, self.arguments, strict=True):
            given = [shape for a in arguments if (shape := shapes[a]) is not None]
            if operator is None:
                shapes.append(features.get(node.name))
            else:
                shapes.append(OPERATORS[operator].shape(given) if len(given) == len(arguments) else None)
        return shapes

    def _demands(
        self, shapes: Sequence[Shape | None]
    ) -> tuple[list[int], list[dict[int, int]], list[list[int]]]:
        counts = [0] * len(shapes)
        reads: list[dict[int, int]] = [{} for _ in shapes]
        readers: list[list[int]] = [[] for _ in shapes]
        for root in self.roots:
            shape = shapes[root]
            counts[root] = 0 if shape is None else math.prod(shape)
        for index in reversed(range(len(shapes))):
            operator, arguments = self.operators[index], self.arguments[index]
            if not counts[index] or operator is None:
                continue
            given = [shape for a in arguments if (shape := shapes[a]) is not None]
            for argument, need in zip(arguments, OPERATORS[operator].need(counts[index], given), strict=True):
                if need:
                    counts[argument] = max(counts[argument], need)
                    reads[index][argument] = max(reads[index].get(argument, 0), need)
            for argument in reads[index]:
                readers[argument].append(index)
        return counts, reads, readers
