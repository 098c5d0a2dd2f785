"""The eager twins of the kernels: what runs on a CPU, and what the kernels are compared with."""

import torch
from torch import Tensor


def agreements(values: Tensor) -> Tensor:
    """Return how many units each two samples agree on: (samples, ...) to (samples, samples) in float64."""
    # With signs +-1 one product gives agreements minus disagreements; integers this small are exact.
    signs = torch.where(values.flatten(1) > 0, 1.0, -1.0).float()
    return ((signs @ signs.T).double() + signs.shape[1]) / 2


def determinants(matrices: Tensor) -> Tensor:
    """Return determinants: (count, side, side) to (count,), computed in float64."""
    # A quarter of a million elements at a time stay in the cache, which halves the time.
    parts = torch.split(matrices, max(2**18 // max(matrices.shape[1], 1) ** 2, 1))
    return torch.cat([torch.linalg.det(part.double()).to(matrices.dtype) for part in parts])
