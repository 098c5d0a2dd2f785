"""Element-wise formulas as one kernel each, whose Triton source is generated from the formula.

Each operator is a device function of the same name below; the generated kernel loads the leaves, calls the
operators in order, each sub-expression once, and stores the values or one partial sum a program.
"""

import hashlib
import linecache
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from zcp.formulas.tree import Expression

BLOCK = 1024  # elements of a layer that a program computes

#: Operator -> device function.
FUNCTIONS: dict[str, Any] = {}


def _device(function: Callable[..., Any]) -> Any:
    FUNCTIONS[function.__name__.strip("_")] = compiled = triton.jit(function)
    return compiled


# --- operators; see zcp.formulas.operators for what they mean


@_device
def _sum(a, b):  # type: ignore[no-untyped-def]
    return a + b


@_device
def _subtract(a, b):  # type: ignore[no-untyped-def]
    return a - b


@_device
def _element_wise_product(a, b):  # type: ignore[no-untyped-def]
    return a * b


@_device
def _min(a, b):  # type: ignore[no-untyped-def]
    return tl.where((a < b) | (a != a), a, b)


@_device
def _max(a, b):  # type: ignore[no-untyped-def]
    return tl.where((a > b) | (a != a), a, b)


@_device
def _less_than(a, b):  # type: ignore[no-untyped-def]
    return tl.where(a < b, 1.0, 0.0).to(a.dtype)


@_device
def _greater_than(a, b):  # type: ignore[no-untyped-def]
    return tl.where(a > b, 1.0, 0.0).to(a.dtype)


@_device
def _equal(a, b):  # type: ignore[no-untyped-def]
    return tl.where(a == b, 1.0, 0.0).to(a.dtype)


@_device
def _abs(a):  # type: ignore[no-untyped-def]
    return tl.abs(a)


@_device
def _power(a):  # type: ignore[no-untyped-def]
    return a * a


@_device
def _exp(a):  # type: ignore[no-untyped-def]
    return tl.exp(a)


@_device
def _log(a):  # type: ignore[no-untyped-def]
    return tl.log(tl.where(a > 0, a, 1.0))


@_device
def _abslog(a):  # type: ignore[no-untyped-def]
    return tl.abs(tl.log(tl.where(a == 0, 1.0, a)))


@_device
def _signed_log(a):  # type: ignore[no-untyped-def]
    return tl.where(a >= 0, tl.log(tl.where(a >= 0, a, 1.0)), 0.0)


@_device
def _round(a):  # type: ignore[no-untyped-def]
    low = tl.floor(a)
    rest = a - low
    even = low == 2 * tl.floor(low / 2)
    near = tl.where((rest < 0.5) | ((rest == 0.5) & even), low, low + 1)
    # Zero keeps its sign, which a reciprocal would show.
    return tl.where(near == 0, a * 0, near)


@_device
def _relu(a):  # type: ignore[no-untyped-def]
    return tl.where(a <= 0, 0.0, a)


@_device
def _sign(a):  # type: ignore[no-untyped-def]
    return (tl.where(a > 0, 1.0, 0.0) - tl.where(a < 0, 1.0, 0.0)).to(a.dtype)


@triton.jit
def _quotient(a, b):  # type: ignore[no-untyped-def]
    # Triton's division of single precision is approximate unless asked.
    if a.dtype == tl.float32:
        return tl.div_rn(a, b)
    else:
        return a / b


@_device
def _element_wise_invert(a):  # type: ignore[no-untyped-def]
    return _quotient(tl.full(a.shape, 1.0, a.dtype), a)


@_device
def _sigmoid(a):  # type: ignore[no-untyped-def]
    return _element_wise_invert(1.0 + tl.exp(-a))


@_device
def _greater_than_zero(a):  # type: ignore[no-untyped-def]
    return tl.where(a > 0, 1.0, 0.0).to(a.dtype)


@_device
def _less_than_zero(a):  # type: ignore[no-untyped-def]
    return tl.where(a < 0, 1.0, 0.0).to(a.dtype)


@_device
def _standardise(a, mean, deviation):  # type: ignore[no-untyped-def]
    value = _quotient(a - mean, deviation)
    return tl.where(value != value, 0.0, value)


FUNCTIONS["heaviside"] = _greater_than_zero

# --- generation

_KERNEL = """\
@triton.jit
def fused({arguments}, out, count, BLOCK: tl.constexpr):
    layer = tl.program_id(1).to(tl.int64)
    offset = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = offset < count
    {body}
"""
_LOAD = "{value} = tl.load({leaf} + layer * {leaf}_layer + offset * {leaf}_element, mask=inside, other=0.0)"
_STORE = "tl.store(out + layer * count + offset, {value}, mask=inside)"
_ADD = (
    "tl.store(out + layer * tl.num_programs(0) + tl.program_id(0), "
    "tl.sum(tl.where(inside, {value}, 0.0), axis=0))"
)


def source(expression: Expression, ending: str) -> str:
    """Return the Triton source of a kernel; arguments as in `zcp.kernels.fused`.

    Example:
        >>> tree = Expression("abs", (Expression("x0"),))
        >>> print(source(tree, "").splitlines()[-2].strip())
        v1 = _abs(v0)
    """
    names: dict[Expression, str] = {}
    lines: list[str] = []
    for node in expression.walk():
        if node in names:
            continue
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


@cache
def kernel(expression: Expression, ending: str) -> Any:
    """Return the compiled kernel of a formula."""
    text = source(expression, ending)
    # Triton reads a function's source back as debuggers do: by the name of its file.
    file = f"<zcp-fused-{hashlib.sha256(text.encode()).hexdigest()[:16]}>"
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    scope = {f"_{name}": function for name, function in FUNCTIONS.items()}
    scope |= {"triton": triton, "tl": tl, "__name__": __name__}
    exec(compile(text, file, "exec"), scope)
    return scope["fused"]


def evaluate(expression: Expression, ending: str, values: Sequence[Tensor], count: int) -> Tensor:
    """Evaluate a formula over flat values; see `zcp.kernels.fused`."""
    layers = max(map(len, values))
    programs = triton.cdiv(count, BLOCK)
    out = values[0].new_empty(layers, programs if ending else count)
    given: list[Tensor | int] = []
    for value in values:
        given += [
            value,
            *(0 if size == 1 else step for size, step in zip(value.shape, value.stride(), strict=True)),
        ]
    if layers and count:
        with torch.cuda.device_of(out):  # type: ignore[no-untyped-call]
            # Without fused multiply-adds comparisons meet the same roundings as one by one.
            kernel(expression, ending)[(programs, layers)](*given, out, count, BLOCK, enable_fp_fusion=False)
    if not ending:
        return out
    total = out.double().sum(1, keepdim=True)
    return (total.sqrt() if ending == "norm" else total / count).to(out.dtype)
