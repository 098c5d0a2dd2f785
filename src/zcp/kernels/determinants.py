"""Determinants of many small matrices: Gaussian elimination with partial pivoting in registers."""

import torch
import triton
import triton.language as tl
from torch import Tensor

#: Side of the largest matrix that fits the registers of a program.
LARGEST = 32
ELEMENTS = 1024  # that a program holds: several small matrices, or one large


@triton.jit  # type: ignore[untyped-decorator]
def _eliminate(  # type: ignore[no-untyped-def]
    matrices,
    found,
    count,
    matrix,
    row,
    column,
    side: tl.constexpr,
    TOGETHER: tl.constexpr,
    SIDE: tl.constexpr,
):
    """Write the determinants of TOGETHER matrices, padded to the power of two SIDE."""
    which = tl.program_id(0) * TOGETHER + tl.arange(0, TOGETHER)
    index = tl.arange(0, SIDE)
    rows, columns, line = index[None, :, None], index[None, None, :], index[None, :]
    inside = (which < count)[:, None, None] & (rows < side) & (columns < side)
    at = matrices + which.to(tl.int64)[:, None, None] * matrix + rows * row + columns * column
    a = tl.load(at, mask=inside, other=0.0).to(tl.float64)
    value = tl.full((TOGETHER,), 1.0, tl.float64)
    for k in range(side):
        first = tl.sum(tl.where(columns == k, a, 0.0), axis=2)
        # A NaN is taken for the largest, so that it reaches the determinant.
        size = tl.where(first == first, tl.abs(first), float("inf"))
        best = tl.argmax(tl.where((line >= k) & (line < side), size, -1.0), axis=1)
        top = tl.sum(tl.where(rows == k, a, 0.0), axis=1)
        chosen = tl.sum(tl.where(rows == best[:, None, None], a, 0.0), axis=1)
        pivot = tl.sum(tl.where(line == k, chosen, 0.0), axis=1)
        value *= tl.where(best == k, pivot, -pivot)
        # Row k is not read again, so of the exchange one half is enough.
        a = tl.where(rows == best[:, None, None], top[:, None, :], a)
        first = tl.where(
            line == best[:, None], tl.sum(tl.where(line == k, first, 0.0), axis=1)[:, None], first
        )
        factor = first / tl.where(pivot == 0, 1.0, pivot)[:, None]
        below = (rows > k) & (pivot != 0)[:, None, None]
        a = tl.where(below, a - factor[:, :, None] * chosen[:, None, :], a)
    tl.store(found + which, value.to(found.dtype.element_ty), mask=which < count)


def determinants(matrices: Tensor) -> Tensor:
    """Return determinants of matrices of side 1 to `LARGEST`; see `zcp.kernels.batched_determinant`."""
    count, side, _ = matrices.shape
    found = matrices.new_empty(count)
    padded = max(triton.next_power_of_2(side), 2)
    together = ELEMENTS // padded**2
    if count:
        with torch.cuda.device_of(matrices):  # type: ignore[no-untyped-call]
            _eliminate[(triton.cdiv(count, together),)](
                matrices, found, count, *matrices.stride(), side, together, padded
            )
    return found
