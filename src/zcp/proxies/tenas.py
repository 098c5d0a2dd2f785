"""TE-NAS: trainability by the tangent kernel, expressivity by linear regions (Chen et al. 2021).

The kernel is that of the sum of logits, on the first 16 samples of the first batch, in training mode (batch
norm couples the samples, as in the reference), for all parameters with "weight" in their name, and (ours)
for matrices of other names that are multiplied with activations. Neither loss nor labels take part.
`zcp.proxies.population.te_nas_rank` is the form that ranks a population.
"""

import torch
from torch import Tensor

from zcp.errors import Kind, Undefined
from zcp.kernels.eigenvalues import eigenvalues
from zcp.proxies.registry import proxy
from zcp.statistics.activation_patterns import NO_UNITS, count_distinct, pack, unseen
from zcp.statistics.network import Statistics
from zcp.statistics.transfer import Later


@proxy(init="kaiming_fan_out", source="chen2021tenas", data=True, labels=False, larger_is_better=False)
def ntk_cond(s: Statistics) -> Tensor | Later[Tensor]:
    r"""Condition number $\lambda_{max}/\lambda_{min}$ of the tangent kernel. Smaller is better.

    A smallest eigenvalue of zero (to rounding) gives inf. In single precision, one unit in the last place of
    weights and images moves it by up to 3 percent, and by less than a thousandth in ten of twelve networks
    (`data/results/portability.json`). Undefined for a dead network: its kernel is zero.
    """
    return s.later(_condition, s.tangent_kernel, torch.finfo(s.dtype).eps)


def _condition(kernel: Tensor, eps: float) -> Tensor:
    smallest, largest = _extremes(kernel)
    if largest == 0:
        why = "the tangent kernel is zero (a dead network), so it has no condition number"
        raise Undefined(why, Kind.ZERO)
    # Equal rows agree to the network's precision only; the kernel's smallest eigenvalue is of its square.
    rounding = len(kernel) * max(torch.finfo(torch.float64).eps, eps**2)
    return torch.where(smallest <= rounding * largest, torch.inf, largest / smallest)


@proxy(init="kaiming_fan_out", source="chen2021tenas", data=True, labels=False)
def ntk_trace(s: Statistics) -> Tensor:
    r"""Trace of the tangent kernel, $\sum_i \|\partial \sum_c y_{ic}/\partial w\|^2$.

    A dead network gives 0.
    """
    return s.tangent_kernel.trace()


@proxy(init="kaiming_fan_out", source="chen2021tenas", data=True, labels=False)
def ntk_lambda_max(s: Statistics) -> Tensor | Later[Tensor]:
    """Largest eigenvalue of the tangent kernel. A dead network gives 0."""
    return s.later(lambda kernel: _extremes(kernel)[1], s.tangent_kernel)


@proxy(init="kaiming_fan_out", source="chen2021tenas", data=True, labels=False)
def ntk_lambda_min(s: Statistics) -> Tensor | Later[Tensor]:
    """Smallest eigenvalue of the tangent kernel, clamped at 0. A dead network gives 0."""
    return s.later(lambda kernel: _extremes(kernel)[0], s.tangent_kernel)


@proxy(init="kaiming_fan_in", source="chen2021tenas", data=False, labels=False)
def linear_regions(s: Statistics) -> int | Later[int]:
    """Number of linear regions that a batch of noise falls into: distinct patterns of all activations.

    At most the batch size, which ordinary networks reach: then it carries no information. (TE-NAS counts on a
    thinned copy with 3000 crops of 3x3 pixels.) A dead network gives 1. Of activations other than ReLU the
    patterns are those of `naswot`; smooth ones have no linear regions, and what is counted are patterns
    (ours).
    """
    return _regions(s, s.block_pass.patterns, s.block_pass.unseen)


@proxy(init="kaiming_fan_out", source="chen2021tenas", data=True, labels=False)
def te_nas(s: Statistics) -> float | Later[float]:
    """Linear regions minus `ntk_cond`, both of the same forward: the one-number form of Zen-NAS's port.

    The number of regions is almost always that of the samples: a constant minus the condition number.
    """
    calls = s.few.intact("activation")
    patterns = [pack(call.by_sample(call.input, len(s.few.inputs))) for call in calls]
    regions = _regions(s, patterns, unseen(s.few.logits))
    return s.later(lambda count, condition: count - float(condition), regions, ntk_cond(s))


def _extremes(kernel: Tensor) -> tuple[Tensor, Tensor]:
    """Return (smallest, largest) eigenvalue of the tangent kernel."""
    found = eigenvalues(kernel).clamp(min=0)
    return found[0], found[-1]


def _regions(s: Statistics, patterns: list[Tensor], without: set[str]) -> int | Later[int]:
    if not patterns:
        raise Undefined(NO_UNITS)
    s.unseen |= without
    return s.later(count_distinct, patterns)
