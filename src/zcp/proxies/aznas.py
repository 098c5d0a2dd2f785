"""AZ-NAS: three properties of the chain of blocks (Lee and Ham 2024), from one pass.

The blocks are those of `zcp.statistics.blocks`; in networks that name none they are found by the rule of
`zcp.statistics.chain`, which is ours. One block alone is no chain: none of the three has a value. Channels
are features, positions are pixels or tokens. Weights are Kaiming normal (fan in), the input is Gaussian
noise of the shape of the first batch.
`zcp.proxies.population.az_nas` turns the three and `flops` into the score of a population.
"""

import math

import torch
from torch import Tensor

from zcp.errors import Undefined
from zcp.proxies.registry import proxy
from zcp.statistics.blocks import BlockPass, rows
from zcp.statistics.network import Statistics
from zcp.statistics.transfer import Later

#: Added to a singular value before its inverse by the reference.
EPSILON = 1e-6

ONE_BLOCK = "the network ran only one block, so no block follows another; name several in blocks=[...]"
LITERAL = "the reference's arithmetic, in which rounding makes valid networks -inf; for comparison only"


@proxy(init="kaiming_fan_in", source="lee2024aznas", data=False, labels=False)
def expressivity(s: Statistics) -> Tensor | Later[Tensor]:
    r"""$\sum_k E_k$, entropies $-\sum p\log(p + 10^{-8})$ of the covariance spectrum p of each block.

    The covariance is that of output channels over samples and positions, p are its eigenvalues divided by
    their sum, and each entropy is at most the logarithm of the number of channels. Computed in float64 and
    clamped at 0; `expressivity_literal` does neither. A block whose output is constant, as in a dead network,
    gives -inf (no dimension is used).
    """
    return s.later(torch.sum, _entropies(s))


@proxy(init="kaiming_fan_in", source="lee2024aznas", data=False, labels=False)
def progressivity(s: Statistics) -> Tensor | Later[Tensor]:
    r"""$\min_k E_k - E_{k-1}$, the smallest gain of entropy from a block to the next, E as in `expressivity`.

    A block whose output is constant gives -inf.
    """
    return s.later(_smallest_gain, _entropies(s))


@proxy(init="kaiming_fan_in", source="lee2024aznas", data=False, labels=False)
def trainability(s: Statistics) -> Tensor | Later[Tensor]:
    r"""Mean over blocks of $2 - \sigma - 1/(\sigma + 10^{-6})$, σ the largest gain of gradients in a block.

    σ is the largest singular value of $Q^TR/n$, R random signs at the n positions of a block's output, Q
    their vector-Jacobian product. At most about 0, at σ = 1. A block that hands gradients on unchanged (an
    identity) gives -inf, as in the reference; one without a gradient gives about -1e6.
    """
    run = _blocks(s)
    pairs = list(zip(run.products, run.cotangents, strict=True))
    gains, unchanged = [gain(q, r) for q, r in pairs], [is_unchanged(q, r) for q, r in pairs]
    return s.later(_mean_score, gains, unchanged)


@proxy(init="kaiming_fan_in", source="lee2024aznas", data=False, labels=False, optional=LITERAL)
def expressivity_literal(s: Statistics) -> Tensor | Later[Tensor]:
    """`expressivity` with eigenvalues in the precision of the network, not clamped; any NaN becomes -inf.

    In float32 rounding makes some eigenvalues of valid networks negative: their score is -inf.
    """
    return s.later(torch.sum, _entropies(s, literal=True))


@proxy(init="kaiming_fan_in", source="lee2024aznas", data=False, labels=False, optional=LITERAL)
def progressivity_literal(s: Statistics) -> Tensor | Later[Tensor]:
    """`progressivity` with the entropies of `expressivity_literal`."""
    return s.later(_smallest_gain, _entropies(s, literal=True))


def gain_score(product: Tensor, cotangent: Tensor) -> Tensor:
    """Return AZ-NAS's t of one block, a float64 scalar; see `trainability`.

    Args:
        product: (B, C, H, W), the vector-Jacobian product at the block's input.
        cotangent: (B, C', H', W'), the signs at its output; H and W are multiples of H' and W'.
    """
    return _score(gain(product, cotangent), is_unchanged(product, cotangent))


def is_unchanged(product: Tensor, cotangent: Tensor) -> Tensor:
    """Tell, as a tensor (), whether a block hands gradients on unchanged."""
    if product.shape != cotangent.shape:
        return torch.zeros((), dtype=torch.bool, device=product.device)
    return (product == cotangent).all()


def gain(product: Tensor, cotangent: Tensor) -> Tensor:
    """Return the matrix Q^T R / n of `trainability`, float64."""
    q, r = rows(_space_to_depth(product, cotangent)).double(), rows(cotangent).double()
    return q.T @ r / len(r)


def _mean_score(gains: list[Tensor], unchanged: list[Tensor]) -> Tensor:
    return torch.stack([_score(*pair) for pair in zip(gains, unchanged, strict=True)]).mean()


def _score(matrix: Tensor, unchanged: Tensor) -> Tensor:
    if unchanged:
        return torch.tensor(-math.inf, dtype=torch.float64)
    sigma = torch.linalg.matrix_norm(matrix, ord=2)
    score: Tensor = 2 - sigma - 1 / (sigma + EPSILON)
    return score


def _space_to_depth(product: Tensor, cotangent: Tensor) -> Tensor:
    """Move the positions that one output position covers into channels."""
    before, after = tuple(product.shape[2:]), tuple(cotangent.shape[2:])
    if len(before) != len(after) or any(large % small for large, small in zip(before, after, strict=True)):
        raise Undefined(f"a block maps {before} positions to {after}, which is no whole stride")
    for axis in range(2, product.ndim):
        shape, outputs = product.shape, cotangent.shape[axis]
        parts = product.reshape(*shape[:axis], outputs, shape[axis] // outputs, *shape[axis + 1 :])
        product = parts.movedim(axis + 1, 2).flatten(1, 2)
    return product


def _blocks(s: Statistics) -> BlockPass:
    run = s.block_pass
    if not run.features:
        raise Undefined(
            "the network is no chain of blocks, so that they cannot be told; blocks are modules, and what a "
            "forward does by functions is none: name them in blocks=[...] (zcp.statistics.chain)"
        )
    if len(run.features) < 2:
        raise Undefined(ONE_BLOCK)
    return run


def _entropies(s: Statistics, *, literal: bool = False) -> Tensor | Later[Tensor]:
    _blocks(s)
    return s.entropies(literal=True) if literal else s.block_entropies


def _smallest_gain(entropies: Tensor) -> Tensor:
    gains = entropies.diff()
    # From -inf to -inf nothing is left to lose; the block that fell to -inf counts already.
    return torch.where(gains.isnan() & entropies[:-1].isneginf(), math.inf, gains).min()
