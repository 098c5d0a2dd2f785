"""Agreements of activation signs between samples, as a matrix product that never writes the signs."""

import torch
import triton
import triton.language as tl
from torch import Tensor

TILE = 64  # samples by samples that a program counts
DEPTH = 32  # units that it reads at a time
STEPS = 16  # how often; more programs share a long pattern


@triton.jit
def _signs(values, row, sample, unit, samples, units):  # type: ignore[no-untyped-def]
    """1 where positive, -1 where not, 0 outside: (TILE, DEPTH)."""
    inside = (sample < samples)[:, None] & (unit < units)[None, :]
    at = values + sample.to(tl.int64)[:, None] * row + unit[None, :]
    found = tl.load(at, mask=inside, other=0.0)
    return tl.where(inside, tl.where(found > 0, 1.0, -1.0), 0.0).to(tl.float16)


@triton.jit  # type: ignore[untyped-decorator]
def _correlate(  # type: ignore[no-untyped-def]
    values, sums, samples, units, row, TILE: tl.constexpr, DEPTH: tl.constexpr, STEPS: tl.constexpr
):
    """Add the products of signs over STEPS * DEPTH units to (samples, samples) of int32."""
    left = tl.program_id(1) * TILE + tl.arange(0, TILE)
    right = tl.program_id(2) * TILE + tl.arange(0, TILE)
    found = tl.zeros((TILE, TILE), tl.float32)
    for step in range(STEPS):
        unit = (tl.program_id(0) * STEPS + step) * DEPTH + tl.arange(0, DEPTH)
        a = _signs(values, row, left, unit, samples, units)
        b = _signs(values, row, right, unit, samples, units)
        found = tl.dot(a, tl.trans(b), found)
    inside = (left < samples)[:, None] & (right < samples)[None, :]
    # Whole numbers: the order in which programs add makes no difference.
    tl.atomic_add(sums + left[:, None] * samples + right[None, :], found.to(tl.int32), mask=inside)


def _rows(values: Tensor) -> Tensor:
    """Return the samples as dense rows; the order of units is that of memory, so that nothing is copied."""
    if values.ndim == 4 and values.is_contiguous(memory_format=torch.channels_last):
        values = values.permute(0, 2, 3, 1)
    rows = values.flatten(1)
    return rows if rows.stride(1) == 1 else rows.contiguous()


def agreements(values: Tensor) -> Tensor:
    """Return how many units each two samples agree on; see `zcp.kernels.agreements`."""
    rows = _rows(values)
    samples, units = rows.shape
    sums = torch.zeros(samples, samples, dtype=torch.int32, device=rows.device)
    tiles = triton.cdiv(samples, TILE)
    grid = (triton.cdiv(units, DEPTH * STEPS), tiles, tiles)
    if sums.numel() and units:
        with torch.cuda.device_of(rows):  # type: ignore[no-untyped-call]
            _correlate[grid](rows, sums, samples, units, rows.stride(0), TILE, DEPTH, STEPS)
    return (sums.double() + units) / 2
