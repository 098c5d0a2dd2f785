"""Determinants of whole numbers against elimination in Python's integers."""

import math

import pytest
import torch
from reference.eznas import _bareiss

from zcp.kernels import exact

SIDES = (1, 2, 3, 7, 8, 16, 31, 32)
KINDS = ("signs", "zeros", "low rank", "equal rows", "nearly singular", "sparse", "zero row")


def matrices(kind, side, count=6):
    source = torch.Generator().manual_seed(side)

    def draw(*shape):
        return torch.randint(-1, 2, shape, generator=source).double()

    signs = torch.randn(count, side, side, generator=source).double().sign()
    low = draw(count, side, max(side - 1, 1)) @ draw(count, max(side - 1, 1), side)
    if kind == "equal rows":
        signs[:, -1] = signs[:, 0]
    if kind == "zero row":
        signs[:, side // 2] = 0
    if kind == "nearly singular":
        low[:, 0, 0] += 1
    sparse = signs * (torch.rand(count, side, side, generator=source) < 2.2 / side)
    return {"zeros": draw(count, side, side), "low rank": low, "nearly singular": low, "sparse": sparse}.get(
        kind, signs
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("side", SIDES)
def test_zero_sign_and_value(kind, side):
    given = matrices(kind, side)
    wanted = [_bareiss(matrix) for matrix in given]
    assert exact.integer_determinants(given) == wanted
    for found, value in zip(exact.determinants(given).tolist(), wanted, strict=True):
        assert (found == 0) == (value == 0)
        assert found == (value if abs(value) < 2**19 else pytest.approx(value, rel=1e-6))
    kernel = given[0] @ given[0].T
    wanted = _bareiss(kernel)
    assert exact.log_determinant(kernel) == pytest.approx(math.log(wanted) if wanted else -math.inf)


def test_floating_point_alone_calls_singular_matrices_regular():
    """What the exact way is for: a rounded determinant of a singular matrix is not zero."""
    given = matrices("equal rows", 32, 50)
    given[:, -1] = given[:, :-1].sum(1)
    assert (torch.linalg.det(given).round() != 0).any()
    assert not exact.determinants(given).any()


def test_whole_numbers_are_told_from_others():
    given = torch.tensor(
        [[[1.0, -1], [0, 2]], [[0.5, 1], [1, 1]], [[1e30, 0], [0, 1]], [[math.nan, 0], [0, 1]]]
    )
    assert exact.are_whole(given).tolist() == [True, False, False, False]
    assert exact.are_whole(given[:1]).tolist() == [True]


def test_what_float64_cannot_hold_is_infinite():
    given = torch.eye(64)[None] * 2**20
    assert exact.determinants(given).tolist() == [math.inf]
    assert exact.integer_determinants(given) == [2**1280]
