"""Element-wise kernels that come as Triton source, such as `zcp.formulas.source` writes.

Each operator of the source is a device function below, with an underscore before its name; `BLOCK` elements
of a layer are a program's.
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


@triton.jit
def _wide(a):  # type: ignore[no-untyped-def]
    # Triton has no exponential of half precision.
    if a.dtype.primitive_bitwidth == 16:
        return a.to(tl.float32)
    else:
        return a


# --- compilation


@cache
def kernel(text: str) -> Any:
    """Return the compiled kernel `fused` of a Triton source."""
    # Triton reads a function's source back as debuggers do: by the name of its file.
    file = f"<zcp-fused-{hashlib.sha256(text.encode()).hexdigest()[:16]}>"
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    scope = {f"_{name}": function for name, function in FUNCTIONS.items()}
    scope |= {"_wide": _wide, "triton": triton, "tl": tl, "__name__": __name__}
    exec(compile(text, file, "exec"), scope)
    return scope["fused"]


def evaluate(text: str, ending: str, values: Sequence[Tensor], count: int) -> Tensor:
    """Run a kernel over flat values; see `zcp.kernels.fused`."""
    layers = max(map(len, values))
    programs = triton.cdiv(count, BLOCK)
    like = values[0].new_empty(0)
    kept = torch.float32 if ending and like.element_size() < 4 else like.dtype
    out = like.new_empty(layers, programs if ending else count, dtype=kept)
    given: list[Tensor | int] = []
    for value in values:
        given += [
            value,
            *(0 if size == 1 else step for size, step in zip(value.shape, value.stride(), strict=True)),
        ]
    if layers and count:
        with torch.cuda.device_of(out):  # type: ignore[no-untyped-call]
            # Without fused multiply-adds comparisons meet the same roundings as one by one.
            kernel(text)[(programs, layers)](*given, out, count, BLOCK, enable_fp_fusion=False)
    if not ending:
        return out
    total = out.double().sum(1, keepdim=True)
    return (total.sqrt() if ending == "norm" else total / count).to(like.dtype)
