"""The Triton source of an element-wise part of a formula: one pass over memory.

The kernel loads the leaves, calls the operators in order (`zcp.kernels.elementwise` has them), each
sub-expression once, and stores the values or one partial sum a program.
"""

from functools import cache

from zcp.formulas.tree import Expression

_KERNEL = """\
@triton.jit
def fused({arguments}, out, count, BLOCK: tl.constexpr):
    layer = tl.program_id(1).to(tl.int64)
    offset = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = offset < count
    {body}
"""
_LOAD = (
    "{value} = _wide("
    "tl.load({leaf} + layer * {leaf}_layer + offset * {leaf}_element, mask=inside, other=0.0))"
)
_STORE = "tl.store(out + layer * count + offset, {value}, mask=inside)"
_ADD = (
    "tl.store(out + layer * tl.num_programs(0) + tl.program_id(0), "
    "tl.sum(tl.where(inside, {value}, 0.0), axis=0))"
)


@cache
def source(expression: Expression, ending: str) -> str:
    """Return the Triton source of a kernel, which `zcp.kernels.fused` runs.

    Args:
        expression: element-wise operators over leaves named x0, x1, ...
        ending: `mean`, `norm` (root of the sum of squares), or empty.

    Example:
        >>> tree = Expression("abs", (Expression("x0"),))
        >>> print(source(tree, "").splitlines()[-2].strip())
        v1 = _abs(v0)
    """
    names: dict[Expression, str] = {}
    lines: list[str] = []
    for node in expression.walk():
        name = names[node] = f"v{len(names)}"
        if node.arguments is None:
            lines.append(_LOAD.format(value=name, leaf=node.name))
        else:
            arguments = ", ".join(names[argument] for argument in node.arguments)
            lines.append(f"{name} = _{node.name}({arguments})")
    value = names[expression]
    stored = {"": _STORE, "mean": _ADD, "norm": _ADD}[ending]
    lines.append(stored.format(value=f"{value} * {value}" if ending == "norm" else value))
    leaves = sorted(expression.features, key=lambda leaf: int(leaf[1:]))
    given = ", ".join(f"{leaf}, {leaf}_layer, {leaf}_element" for leaf in leaves)
    return _KERNEL.format(arguments=given, body="\n    ".join(lines))
