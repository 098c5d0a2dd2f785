"""Activation patterns: which units of a sample are on.

A unit is on where what enters its activation is positive: for a ReLU the same as a positive output. That this
sign is the pattern of smooth activations (GELU, SiLU, the sigmoid of a gate) and of those with further kinks
(ReLU6) as well is ours.

On a CPU a pattern is kept, a bit a unit. On another device it is 64 bits, the sum of random numbers of the
units that are on: two different patterns share it with a probability of 2^-64.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zcp.errors import Undefined
from zcp.statistics.seeding import generator
from zcp.statistics.transfer import to_device

#: Functions of PyTorch that bend what they are given, and that are no activations here, as their graph has
#: them. Those that norms and softmax are written out of (exp, pow, sqrt) are not among them.
BENT = {
    f"{name}Backward0"
    for name in (
        *("Abs", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "Cos", "Cosh"),
        *("Erf", "Erfc", "Sin", "Sinc", "Sinh", "Tan"),
    )
}
#: Why there are no patterns.
NO_UNITS = (
    "the network ran no activation that is recognised, so no units are on or off; write a ReLU as F.relu or "
    "nn.ReLU"
)


def unseen(outputs: Tensor) -> set[str]:
    """Return the functions behind a tensor that no pattern holds though they may bend, by name.

    These are those of `BENT`, and every `torch.autograd.Function` of one's own.
    """
    found: set[str] = set()
    seen: set[Any] = set()
    nodes: list[Any] = [outputs.grad_fn]
    while nodes:
        node = nodes.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        own = getattr(node, "_forward_cls", None)
        if own is not None and not own.__module__.startswith(("zcp.", "torch.")):
            found.add(own.__name__)
        elif (name := type(node).__name__) in BENT:
            found.add(name.removesuffix("Backward0").lower())
        nodes += [following for following, _ in node.next_functions]
    return found


def require_numbers(activations: Tensor) -> None:
    """Raise where an activation is NaN: it is neither on nor off, and no comparison says so.

    Raises:
        Undefined: then.
    """
    if activations.isnan().any():
        raise Undefined("an activation is NaN, so there is no pattern of units that are on")


def pack(activations: Tensor) -> Tensor:
    """Return the pattern `activations > 0` of each sample: eight units a byte, (B, ceil(units / 8)) of uint8.

    On another device than a CPU (B, 2) of int64: the hash of the pattern, and how many units are NaN.

    Raises:
        Undefined: if an activation is NaN, on a CPU; `count_distinct` does for other devices.
    """
    if activations.device.type != "cpu":
        return hashed(activations)
    require_numbers(activations)
    return torch.from_numpy(np.packbits((activations.detach() > 0).flatten(1).numpy(), axis=1))


def hashed(activations: Tensor) -> Tensor:
    """Return the hash of the pattern of each sample and how many of its units are NaN: (B, 2) of int64."""
    units = activations.detach().flatten(1)
    # A power of two, so that a few draws serve all sizes.
    numbers = _numbers(1 << max(units.shape[1] - 1, 0).bit_length(), units.device)[: units.shape[1]]
    return torch.stack([torch.where(units > 0, numbers, 0).sum(1), units.isnan().sum(1)], dim=1)


@lru_cache(maxsize=32)
def _numbers(count: int, device: torch.device) -> Tensor:
    ends = torch.iinfo(torch.int64)
    return to_device(torch.randint(ends.min, ends.max, (count,), generator=generator("patterns")), device)


def count_distinct(patterns: Sequence[Tensor]) -> int:
    """Return in how many linear regions the samples lie: distinct rows over all activations together.

    Args:
        patterns: what `pack` returned, on the CPU.

    Raises:
        Undefined: if an activation was NaN.
    """
    together = torch.cat(list(patterns), dim=1)
    if together.dtype == torch.int64 and together[:, 1::2].any():
        raise Undefined("an activation is NaN, so there is no pattern of units that are on")
    return len({row.tobytes() for row in together.numpy()})
