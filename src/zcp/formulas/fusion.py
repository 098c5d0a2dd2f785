"""Finds the element-wise parts of a program, each of which a GPU computes in one pass over memory.

A part is one operator, its head, with all element-wise operators that nothing outside the part reads. What
else the part reads is a leaf: features, reductions, softmax, matrices, values that other parts share. The
head may be the norm or the mean of an element-wise value; of a formula's own head only the mean is kept.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from zcp.errors import InputError
from zcp.formulas.operators import OPERATORS, Shape
from zcp.formulas.tree import Expression

#: Operators that may end a part -> name of the reduction in `zcp.kernels`.
ENDINGS = {"frobenius_norm": "norm", "normalized_sum": "mean"}
HEADS = {ending: operator for operator, ending in ENDINGS.items()}
#: Elements that the values of one layer that are larger than every feature may have together (256 MiB).
MAX_ELEMENTS = 2**26
#: Element operations that a formula may cost in one layer, or so many for each element of the largest
#: feature, where that is more. A thousand operators on whole features are within it.
MAX_WORK, MAX_WORK_EACH = 2**28, 2048


class Part(NamedTuple):
    """A part of a program.

    Attributes:
        expression: its operators over leaves x0, x1, ...
        ending: `mean`, `norm` or empty.
        leaves: nodes.
        elements: how many are computed, before the ending.
    """

    expression: Expression
    ending: str
    leaves: tuple[int, ...]
    elements: int


class Plan(NamedTuple):
    """How a program runs on features of certain shapes.

    Attributes:
        shapes: of the value of each node; None where a feature is missing.
        counts: how many leading elements of each node are needed; 0 where it is not computed at all.
        reads: of each node, the nodes that it reads and how many leading elements of each.
        readers: of each node, the nodes that read it.
        fused: node -> the part that it is the head of.
        work: element operations that each node costs.
    """

    shapes: list[Shape | None]
    counts: list[int]
    reads: list[dict[int, int]]
    readers: list[list[int]]
    fused: dict[int, Part]
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


def fuse(plan: Plan, operators: list[str | None], arguments: list[tuple[int, ...]], roots: list[int]) -> Plan:
    """Return a plan whose element-wise parts are one step each.

    Args:
        plan: as it is without.
        operators: of each node; None for features.
        arguments: of each node.
        roots: the nodes whose means are the results.
    """
    heads = _heads(plan, operators, set(roots))
    fused = {}
    for head in sorted(set(heads.values())):
        members = {node for node, of in heads.items() if of == head}
        part = _part(plan, operators, arguments, head, members)
        if not part.ending and head in roots and not plan.readers[head]:
            part = part._replace(ending="mean")
        if len(members) > 1 or (part.ending and operators[head] not in ENDINGS):
            fused[head] = part
    inner = {node for node, head in heads.items() if head in fused and node != head}
    counts = [0 if node in inner else count for node, count in enumerate(plan.counts)]
    reads = [{} if node in inner else needs for node, needs in enumerate(plan.reads)]
    for head, part in fused.items():
        reads[head] = {leaf: _need(plan, leaf, part.elements) for leaf in part.leaves}
    readers: list[list[int]] = [[] for _ in reads]
    for node in reversed(range(len(reads))):
        for leaf in reads[node]:
            readers[leaf].append(node)
    return Plan(plan.shapes, counts, reads, readers, fused, plan.work)


def _need(plan: Plan, leaf: int, count: int) -> int:
    return 1 if plan.shapes[leaf] == () else count


def _heads(plan: Plan, operators: list[str | None], roots: set[int]) -> dict[int, int]:
    """Return the head of each node that may be in a part."""
    heads: dict[int, int] = {}
    for node in reversed(range(len(operators))):
        operator = operators[node]
        if operator is None or not plan.counts[node]:
            continue
        above = {heads.get(reader, -1) for reader in plan.readers[node]}
        if OPERATORS[operator].elementwise and node not in roots and len(above) == 1 and -1 not in above:
            heads[node] = above.pop()
        elif OPERATORS[operator].elementwise or operator in ENDINGS:
            heads[node] = node
    return heads


def _part(
    plan: Plan, operators: list[str | None], arguments: list[tuple[int, ...]], head: int, members: set[int]
) -> Part:
    trees: dict[int, Expression] = {}
    leaves: list[int] = []
    ending = ENDINGS.get(operators[head] or "", "")
    # Arguments come before what uses them.
    for node in sorted(members - {head}) if ending else sorted(members):
        for argument in arguments[node]:
            if argument not in trees:
                trees[argument] = Expression(f"x{len(leaves)}")
                leaves.append(argument)
        trees[node] = Expression(
            operators[node] or "", tuple(trees[argument] for argument in arguments[node])
        )
    (top,) = arguments[head] if ending else (head,)
    shape = plan.shapes[top]
    count = math.prod(shape or ()) if ending else plan.counts[head]
    return Part(trees.get(top, Expression("x0")), ending, tuple(leaves), count)


def one_by_one(part: Part, leaves: Sequence[Tensor]) -> Tensor:
    """Evaluate a part as its operators do, the twin of its kernel.

    Args:
        part: what to evaluate.
        leaves: its leaves, (layers or 1, at least `part.elements` or 1).

    Returns:
        (layers, `part.elements`), or (layers, 1) with an ending.
    """
    layers, count = max(map(len, leaves)), part.elements
    values = {Expression(f"x{number}"): leaf[:, :count] for number, leaf in enumerate(leaves)}
    for node in part.expression.walk():
        if node not in values and node.arguments is not None:
            given = [values[argument] for argument in node.arguments]
            values[node] = _apply(node.name, given, max(value.shape[1] for value in given))
    value = values[part.expression].expand(layers, count)
    return _apply(HEADS[part.ending], [value], count) if part.ending else value


def _apply(operator: str, given: list[Tensor], count: int) -> Tensor:
    # No tensor is made that does not come from arguments.
    return OPERATORS[operator].compute(given, [(count,)], count, None)  # type: ignore[arg-type]
