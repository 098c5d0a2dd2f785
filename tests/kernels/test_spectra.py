"""Eigenvalues of matrices that overflowed."""

import math

import pytest
import torch

from zcp.kernels.eigenvalues import eigenvalues

MATRICES = torch.tensor([[2.0, 1.0], [1.0, 2.0]], dtype=torch.float64).expand(3, 2, 2)


@pytest.mark.parametrize("solver", [torch.linalg.eigvalsh, torch.linalg.eigvals])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_one_matrix_that_is_not_finite_leaves_the_others(solver, bad):
    matrices = MATRICES.clone()
    matrices[1, 0, 1] = matrices[1, 1, 0] = bad
    found = eigenvalues(matrices, solver).sort(1).values
    assert found[1].isnan().all()
    torch.testing.assert_close(found[[0, 2]], torch.tensor([[1.0, 3.0]] * 2, dtype=torch.float64))


def test_a_single_matrix():
    torch.testing.assert_close(eigenvalues(MATRICES[0]), torch.tensor([1.0, 3.0], dtype=torch.float64))
    assert eigenvalues(MATRICES[0] * math.nan).isnan().all()
