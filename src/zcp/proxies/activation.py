"""NASWOT: activation patterns of a batch (Mellor et al. 2021)."""

from collections import Counter

import torch
from torch import Tensor

from zcp.errors import Undefined
from zcp.kernels.exact import log_determinant
from zcp.proxies.registry import proxy
from zcp.statistics.activation_patterns import NO_UNITS, require_numbers, unseen
from zcp.statistics.network import Statistics
from zcp.statistics.transfer import Later


@proxy(init="default", source="mellor2021naswot", data=True, labels=False)
def naswot(s: Statistics) -> float | Later[float]:
    r"""$\log|\det K|$, where $K_{ij}$ counts the activation units that samples i and j agree on.

    They agree where both are on or both are off. Every executed activation counts, as a module, a function or
    a method; the definition knows ReLUs, and that of others (GELU, SiLU, a sigmoid gate) a unit is on where
    what enters is positive is ours. Functions that are no activation here (sin, erf, an autograd.Function of
    one's own) have no units; beside others they are named in `Scores.unseen`. Not normalised by the number of
    units $N_A$: about $B\log N_A$. Samples with equal patterns make K singular: -inf, as for a dead network;
    K holds whole numbers, and whether it is singular is decided exactly.
    """
    calls = s.data.intact("activation")
    if not calls:
        raise Undefined(NO_UNITS)
    s.unseen |= unseen(s.data.logits)
    kernel = torch.zeros(len(s.data.inputs), len(s.data.inputs), device=s.device, dtype=torch.float64)
    # Edges that leave one node of a cell begin with ReLUs of the same tensor: one product serves them all.
    tensors = [call.by_sample(call.input, len(kernel)) for call in calls]
    for tensor, count in Counter(tensors).items():
        if s.device.type == "cpu":
            require_numbers(tensor)
        else:
            # Where nobody looks yet, NaN is left in the kernel.
            kernel += torch.where(tensor.isnan().any(), torch.nan, 0.0)
        kernel += count * _agreements(tensor.detach())
    return s.later(_log_determinant, kernel)


def _agreements(values: Tensor) -> Tensor:
    """Return how many units each two samples agree on: (samples, ...) to (samples, samples) in float64."""
    # With signs +-1 one product gives agreements minus disagreements; integers this small are exact.
    signs = torch.where(values.flatten(1) > 0, 1.0, -1.0).float()
    return ((signs @ signs.T).double() + signs.shape[1]) / 2


def _log_determinant(kernel: Tensor) -> float:
    require_numbers(kernel)
    return log_determinant(kernel)
