"""Eigenvalues of symmetric matrices that may not be finite, as in networks whose activations overflow."""

import math
from collections.abc import Callable

import torch
from torch import Tensor


def eigenvalues(matrices: Tensor, solver: Callable[[Tensor], Tensor] = torch.linalg.eigvalsh) -> Tensor:
    """Return the eigenvalues of symmetric matrices, NaN for each matrix that holds NaN or an infinity.

    LAPACK raises an error for such a matrix, or runs for ever.

    Args:
        matrices: (..., n, n).
        solver: what finds them; the default returns them in ascending order.

    Returns:
        (..., n), real.
    """
    finite = matrices.isfinite().all(-1).all(-1)[..., None]
    return solver(matrices.where(finite[..., None], 0.0)).real.where(finite, math.nan)
