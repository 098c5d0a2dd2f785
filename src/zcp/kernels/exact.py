"""Determinants of matrices of whole numbers, in which no rounding error decides what is zero.

Of a matrix of signs that is singular, Gaussian elimination in floating point gives whatever its rounding
errors add up to, another value on every processor. Here a floating-point determinant counts where a bound on
its error certifies it; the others are computed in integers, from residues modulo enough primes for Hadamard's
bound (Chinese remainder theorem).

The bound. Elimination with partial pivoting gives factors with LU = PA + E and |E| <= γ|L||U| elementwise,
γ = n u / (1 - n u) (Higham 2002, theorem 9.3); |L| <= 1, so that e = n ε |L|_F |U|_F with ε = 2u is a bound
on the norm of E with a factor of two to spare. By Ipsen and Rehman (2008, theorem 2.12) the determinant moves
by at most the sum over i >= 1 of s_{n-i} e^i, s_j the elementary symmetric functions of the singular values,
and s_j <= C(n, j) μ^j with μ = |A|_F / sqrt(n) (Maclaurin, Cauchy-Schwarz): by at most (μ + e)^n - μ^n. Where
that does not suffice, an approximate inverse X bounds |A^-1| by |X| / (1 - |I - AX|), and the determinant
moves by at most its (1 + e |A^-1|)^n - 1 fold.
"""

import math
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import count, islice
from operator import mul
from typing import NamedTuple

import torch
from torch import Tensor

#: Entries up to this size are whole numbers that were meant; a large float is one by accident.
LARGEST_ENTRY = 2**20
#: Relative error of a determinant that counts as certain, and the size from which its absolute error does
#: not matter: d / (1 + d), what EZNAS reads, is then known to 4e-9.
CERTAIN, LARGE = 2.0**-20, 2.0**26
EPS = torch.finfo(torch.float64).eps
#: Primes lie below two to this power plus one.
PRIME_BITS = 24
#: Matrices are worked on in parts of so many elements, which stay in the cache.
TOGETHER = 2**18


class _Factors(NamedTuple):
    """Factors of matrices, their determinants (rounded), and a bound on the norm of the backward error."""

    lu: Tensor
    pivots: Tensor
    determinants: Tensor
    backward: Tensor


def are_whole(matrices: Tensor) -> Tensor:
    """Tell which matrices (count, side, side) hold nothing but whole numbers up to `LARGEST_ENTRY`."""
    whole = torch.equal(matrices, matrices.round())
    if whole and matrices.numel() and float(matrices.abs().max()) <= LARGEST_ENTRY:
        return torch.ones(len(matrices), dtype=torch.bool, device=matrices.device)
    entries: Tensor = (matrices == matrices.round()) & (matrices.abs() <= LARGEST_ENTRY)
    return entries.flatten(1).all(1)


def determinants(matrices: Tensor) -> Tensor:
    """Return determinants of matrices of whole numbers: whether one is zero, and its sign, are exact.

    Args:
        matrices: (count, side, side), of which `are_whole` is true.

    Returns:
        (count,), float64; exact below 2^19, larger ones good to what rounding leaves, at worst a quarter of
        what is above 2^26. What float64 cannot hold is infinite.
    """
    side = max(matrices.shape[1], 1)
    parts = torch.split(matrices, max(TOGETHER // side**2, 1))
    # LAPACK stores columns; transposed, a matrix need not be copied, and its determinant is the same.
    return torch.cat([_determinants(part.double().mT) for part in parts])


def _determinants(matrices: Tensor) -> Tensor:
    side, factors = matrices.shape[1], _factorise(matrices)
    found, size = factors.determinants, _norm(matrices) / math.sqrt(side)
    error = size**side * torch.expm1(side * torch.log1p(factors.backward / size)) + side * EPS * found.abs()
    found = torch.where(error < 0.5, found.round(), found)
    large = found.isfinite() & (found.abs() >= (4 * error).clamp_min(LARGE))
    doubtful = (~((error < 0.5) | large)).nonzero()[:, 0]
    if len(doubtful):
        chosen = _Factors(*(part[doubtful] for part in factors))
        found[doubtful] = _decide(matrices[doubtful], chosen, error[doubtful])
    return found


def _decide(matrices: Tensor, factors: _Factors, error: Tensor) -> Tensor:
    """Return determinants that the bound of their absolute error does not certify."""
    # What has a row or a column of zeros needs no arithmetic.
    empty = (matrices == 0).all(1).any(1) | (matrices == 0).all(2).any(1)
    found = torch.where(empty, 0.0, factors.determinants)
    found = torch.where(found.abs() < 0.5 / CERTAIN, found.round(), found)
    left = (~(empty | _is_certain(matrices, factors))).nonzero()[:, 0]
    if len(left):
        exact = integer_determinants(matrices[left], factors.determinants[left].abs() + error[left])
        found[left] = found.new_tensor([_as_float(number) for number in exact])
    return found


def log_determinant(matrix: Tensor) -> float:
    """Return the logarithm of the absolute determinant of one matrix of whole numbers, -inf where it is zero.

    Args:
        matrix: (side, side), float64; whole numbers of any size that float64 holds exactly.
    """
    factors = _factorise(matrix[None])
    if bool(_is_certain(matrix[None], factors)):
        return float(torch.linalg.slogdet(matrix).logabsdet)
    (found,) = integer_determinants(matrix[None])
    return math.log(abs(found)) if found else -math.inf


def integer_determinants(matrices: Tensor, largest: Tensor | None = None) -> list[int]:
    """Return exact determinants of matrices of whole numbers.

    Args:
        matrices: (count, side, side).
        largest: (count,), upper bounds of the sizes of the determinants, where better ones than Hadamard's
            (the product of the lengths of the rows) are known.
    """
    whole = matrices.double().cpu()
    bits = whole.norm(dim=2).clamp_min(1).log2().sum(1)
    if largest is not None:
        bits = torch.minimum(bits, largest.cpu().clamp_min(1).log2().nan_to_num(math.inf))
    # Two bits more, for the sign and for rounding.
    primes = list(islice(_primes(), int(max(bits.tolist(), default=0) + 2) // PRIME_BITS + 1))
    modulus = math.prod(primes)
    weights = [modulus // p * pow(modulus // p, -1, p) for p in primes]
    sums = [sum(map(mul, found, weights)) % modulus for found in zip(*_residues(whole, primes), strict=True)]
    return [total - modulus if total > modulus // 2 else total for total in sums]


def _residues(whole: Tensor, primes: Sequence[int]) -> list[list[int]]:
    """Return determinants (primes, count) modulo primes below 2^25, by elimination in exact float64."""
    each = [prime for prime in primes for _ in whole]
    moduli = torch.tensor(each, dtype=torch.float64)
    a, which = (
        torch.remainder(whole.repeat(len(primes), 1, 1), moduli[:, None, None]),
        torch.arange(len(each)),
    )
    found = torch.ones_like(moduli)
    for _ in range(whole.shape[1]):
        column = torch.remainder(a[:, :, 0], moduli[:, None])
        best = (column != 0).int().argmax(1)
        pivot, row = column[which, best], a[which, best, 1:]
        found = torch.remainder(found * torch.where(best == 0, pivot, moduli - pivot), moduli)
        # Of the exchange one half is enough: the chosen row is not read again.
        a[which, best], column[which, best] = a[:, 0].clone(), column[:, 0].clone()
        inverse = [pow(int(x), -1, p) if x else 0 for x, p in zip(pivot.tolist(), each, strict=True)]
        factor = torch.remainder(column[:, 1:] * moduli.new_tensor(inverse)[:, None], moduli[:, None])
        a = torch.baddbmm(a[:, 1:, 1:], factor[:, :, None], row[:, None], alpha=-1)
        # Residues from -p to 2p, which is close enough: their products are below 2^53.
        a -= torch.floor(a / moduli[:, None, None]) * moduli[:, None, None]
    return [[int(x) for x in row] for row in found.reshape(len(primes), len(whole)).tolist()]


def _primes() -> Iterator[int]:
    """Yield the primes below 2^25, from the largest on."""
    return (_prime(number) for number in count())


@cache
def _prime(number: int) -> int:
    candidate = (_prime(number - 1) if number else 2 ** (PRIME_BITS + 1) + 1) - 2
    while any(candidate % divisor == 0 for divisor in range(3, math.isqrt(candidate) + 1, 2)):
        candidate -= 2
    return candidate


def _factorise(matrices: Tensor) -> _Factors:
    side = matrices.shape[1]
    lu, pivots, _ = torch.linalg.lu_factor_ex(matrices)
    steps = torch.arange(1, side + 1, device=pivots.device)
    odd = (pivots != steps).sum(1) % 2 == 1
    product = lu.diagonal(dim1=1, dim2=2).prod(1)
    backward = side * EPS * math.sqrt(side * (side + 1) / 2) * _norm(lu)
    return _Factors(lu, pivots, torch.where(odd, -product, product), backward)


def _is_certain(matrices: Tensor, factors: _Factors) -> Tensor:
    """Tell which matrices are regular, and so well conditioned that their determinants are right."""
    side = matrices.shape[1]
    unit = torch.eye(side, dtype=matrices.dtype, device=matrices.device)
    inverse = torch.linalg.lu_solve(factors.lu, factors.pivots, unit.expand_as(matrices))
    residual = _norm(unit - matrices @ inverse) + side * EPS * _norm(matrices) * _norm(inverse)
    largest = _norm(inverse) / (1 - residual)
    moved = torch.expm1(side * torch.log1p(factors.backward * largest)) + side * EPS
    normal = factors.determinants.isfinite() & (factors.determinants != 0)
    certain: Tensor = (residual < 0.5) & (moved < CERTAIN) & normal
    return certain


def _norm(matrices: Tensor) -> Tensor:
    found: Tensor = torch.linalg.vector_norm(matrices, dim=(1, 2))
    return found


def _as_float(number: int) -> float:
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf
